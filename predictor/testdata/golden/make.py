"""Makes golden files: many small models, and what their own framework answers to fifty rows.

    python make.py sklearn OUT [FAMILY]   # the families in the folder `sklearn`, with the scikit-learn that is installed

The files are not kept in the repository: a test reads them where `WEIR_GOLDEN` says they are, one folder a version. Beside
a model `NAME.joblib` stands `NAME.golden`, lines of a word, a tab and JSON (numbers with every digit; `NaN` and `Infinity`
as bare tokens):

    rows        the rows asked, as lists or as objects
    tolerance   how far a real number may be off, relative; 1e-12 where the line is missing
    OUTPUT      what the method of that name answers, row by row

A family is a module with `cases()`, which yields `Case`s.
"""

import importlib.util
import json
import sys
import warnings
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from case import METHODS  # noqa: E402

warnings.filterwarnings("ignore")


def main(framework, out, only=None):
    folder = Path(__file__).parent / framework
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    names = set()
    for module in sorted(folder.glob("*.py")):
        if only not in (None, module.stem):
            continue
        # By its path: the folder has the name of the framework.
        spec = importlib.util.spec_from_file_location("family_" + module.stem, str(module))
        family = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(family)
        for case in family.cases():
            assert case.name not in names, case.name
            names.add(case.name)
            write(case, out)
    print("{} models in {}".format(len(names), out))


def write(case, out):
    case.save(out)
    lines = [("rows", plain(case.rows_json())), ("tolerance", case.tolerance)]
    answers = 0
    for method in METHODS:
        answer = case.answer(method)
        if answer is not None:
            lines.append((method, plain(answer)))
            answers += 1
    assert answers, "{} answers nothing".format(case.name)
    text = "".join("{}\t{}\n".format(word, json.dumps(value)) for word, value in lines)
    (out / (case.file + ".golden")).write_text(text, encoding="utf-8")


def plain(value):
    """Returns arrays as lists, numpy's scalars as Python's."""
    if hasattr(value, "toarray"):
        value = value.toarray()
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, (list, tuple)):
        return [plain(it) for it in value]
    if isinstance(value, dict):
        return {key: plain(it) for key, it in value.items()}
    if isinstance(value, bytes):
        return value.decode("utf-8")
    return value


if __name__ == "__main__":
    main(*sys.argv[1:])
