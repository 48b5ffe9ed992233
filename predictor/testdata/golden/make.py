"""Makes golden files: many small models, and what their own framework answers to fifty rows.

    python make.py sklearn OUT [FAMILY]   # the families in the folder `sklearn`, with the scikit-learn that is installed
    python make.py xgboost OUT            # the same of XGBoost
    python make.py lightgbm OUT           # and of LightGBM

The files are not kept in the repository: a test reads them where `WEIR_GOLDEN` says they are, one folder a version. Beside
a model `NAME.joblib` stands `NAME.golden`, lines of a word, a tab and JSON (numbers with every digit; `NaN` and `Infinity`
as bare tokens):

    rows        the rows asked, as lists or as objects
    tolerance   how far a real number may be off, relative; 1e-12 where the line is missing
    OUTPUT      what the method of that name answers, row by row

Beside them `covered.json` says of each class of the framework how many of the models hold a fitted one.

A family is a module with `cases()`, which yields `Case`s, or with a `main(OUT)` of its own.
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
    covered = {}
    for module in sorted(folder.glob("*.py")):
        if only not in (None, module.stem):
            continue
        # By its path: the folder has the name of the framework.
        spec = importlib.util.spec_from_file_location("family_" + module.stem, str(module))
        family = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(family)
        if hasattr(family, "main"):
            family.main(out)
            continue
        for case in family.cases():
            assert case.name not in names, case.name
            names.add(case.name)
            write(case, out)
            for name in held(case.model):
                covered[name] = covered.get(name, 0) + 1
    if covered:
        (out / "covered.json").write_text(json.dumps(dict(sorted(covered.items())), indent=1) + "\n")
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


def held(model):
    """Returns the names of the classes of all that is fitted in a model: parameters that were copied before do not count."""
    names, seen, rest = set(), set(), [model]
    while rest:
        value = rest.pop()
        if id(value) in seen:
            continue
        seen.add(id(value))
        if isinstance(value, dict):
            rest += value.values()
        elif isinstance(value, (list, tuple)):
            rest += value
        elif getattr(value, "dtype", None) == object and hasattr(value, "tolist"):
            rest.append(value.tolist())
        elif type(value).__module__.startswith("sklearn.") and hasattr(value, "__dict__"):
            names.add(type(value).__name__)
            parameters = value.get_params(deep=False) if hasattr(value, "get_params") else {}
            # Those that are fitted where they stand.
            for name in ("steps", "transformer_list"):
                parameters.pop(name, None)
            rest += [it for name, it in vars(value).items() if name not in parameters]
    return names


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
