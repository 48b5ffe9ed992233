"""Golden models of XGBoost whose categories have names: 3.1 and later keep them in the file. Rows are asked as objects."""

import json
import pathlib
import sys

import xgboost as xgb
from frames import asked, framed, table

VERSION = tuple(int(part) for part in xgb.__version__.split(".")[:2])


def main(out):
    if VERSION < (3, 1):
        return
    frame, label = table()
    # It refuses others than it knows, but for those that it takes for a neighbour.
    rows = asked(frame, others=False)
    for name, settings in {
        "names-sets": {"max_cat_to_onehot": 1},
        "names-one-hot": {"max_cat_to_onehot": 100},
        "names-dart": {"max_cat_to_onehot": 1, "booster": "dart", "rate_drop": 0.5},
        "names-logistic": {"objective": "binary:logistic"},
    }.items():
        target = (label > 2).astype(int) if "objective" in settings else label
        settings = {"max_depth": 5, "eta": 0.4, "nthread": 1, "seed": 1, "tree_method": "hist", **settings}
        booster = xgb.train(settings, xgb.DMatrix(frame, target, enable_categorical=True), 8)
        for ending in ("json", "ubj"):
            path = pathlib.Path(out) / (name + "." + ending)
            booster.save_model(str(path))
            loaded = xgb.Booster(model_file=str(path))
            data = xgb.DMatrix(framed(rows), enable_categorical=True)
            lines = [("rows", rows), ("tolerance", 0)]
            lines += [("predict", loaded.predict(data)), ("margin", loaded.predict(data, output_margin=True))]
            plain = [(word, [float(it) for it in value] if hasattr(value, "dtype") else value) for word, value in lines]
            text = "".join("{}\t{}\n".format(word, json.dumps(value)) for word, value in plain)
            pathlib.Path(str(path) + ".golden").write_text(text)


if __name__ == "__main__":
    main(sys.argv[1])
