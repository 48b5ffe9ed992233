"""Golden models of LightGBM whose categories have names (`pandas_categorical`). Rows are asked as objects."""

import json
import pathlib
import sys

import lightgbm as lgb
import numpy as np
from frames import asked, framed, table


def main(out):
    frame, label = table(cities=["Bonn", "K\u00f6ln", "Ulm", "S\u00e3o Paulo", "a \"b\"", "Zug"])
    rows = asked(frame)
    truths = frame.assign(one=(frame["one"] == "yes").astype("category"))
    true_rows = [dict(row, one=row["one"] == "yes") for row in rows]
    sets = {"max_cat_to_onehot": 1, "cat_smooth": 1, "min_data_per_group": 2}
    for name, data, questions, settings in [
        ("names-sets", frame, rows, sets),
        ("names-one-hot", frame, rows, {"max_cat_to_onehot": 100}),
        ("names-binary", frame, rows, dict(sets, objective="binary")),
        ("names-truths", truths, true_rows, sets),
    ]:
        target = (label > 2).astype(int) if "objective" in settings else label
        settings = dict({"num_leaves": 15, "min_data_in_leaf": 3, "num_threads": 1, "seed": 1, "verbose": -1}, **settings)
        booster = lgb.train(settings, lgb.Dataset(data, target), 8)
        path = pathlib.Path(out) / (name + ".txt")
        booster.save_model(str(path))
        loaded = lgb.Booster(model_file=str(path))
        asked_for = framed(questions)
        answers = {"predict": loaded.predict(asked_for), "raw_score": loaded.predict(asked_for, raw_score=True)}
        lines = [("rows", questions), ("tolerance", 0)] + [(word, np.asarray(it).tolist()) for word, it in answers.items()]
        text = "".join("{}\t{}\n".format(word, json.dumps(value)) for word, value in lines)
        pathlib.Path(str(path) + ".golden").write_text(text)


if __name__ == "__main__":
    main(sys.argv[1])
