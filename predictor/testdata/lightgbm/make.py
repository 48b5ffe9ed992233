"""Writes the golden models and answers beside this file, in a folder named after the installed LightGBM.

    python make.py            # with lightgbm 4.7.0 (numpy 2.4, pandas): every case
    python make.py            # with lightgbm 3.3.5 (numpy 1.26, pandas 2.0): the cases whose files or rules may differ

A case is a model as text (`.txt`), for some also as the JSON of `dump_model` (`.json`), and its answers (`.answers`): one line
a row, `features;raw scores;predictions`, every number as the sixteen hexadecimal digits of its 64-bit float. The answers are
those of `Booster.predict` on a Booster read back from the text. The same rows one by one give the same answers, which this
script checks.
"""

import json
import pathlib

import lightgbm as lgb
import numpy as np
import pandas as pd

EVERY = int(lgb.__version__.split(".")[0]) >= 4
FOLDER = pathlib.Path(__file__).parent / lgb.__version__
FOLDER.mkdir(exist_ok=True)
rng = np.random.default_rng(7)

FEATURES, ROWS = 5, 400
x = rng.normal(size=(ROWS, FEATURES))
x[:, 3] = rng.integers(0, 4, size=ROWS)  # few distinct values
holes = x.copy()
holes[rng.random(size=x.shape) < 0.15] = np.nan
signal = x[:, 0] * 2 - x[:, 1] * x[:, 2] + (x[:, 3] == 2)
binary = (signal > 0).astype(int)
classes = np.digitize(signal, [-1.0, 1.0])
positive = np.exp(signal / 3) + 0.1
counts = rng.poisson(positive)
zeros = holes.copy()
zeros[rng.random(size=x.shape) < 0.3] = 0.0
zeros_signal = np.nan_to_num(zeros[:, 0]) + 2 * (zeros[:, 1] == 0) - (zeros[:, 2] < 0)

codes = x.copy()
codes[:, 1] = rng.integers(0, 12, size=ROWS)
codes[:, 4] = rng.choice([0, 1, 5, 31, 32, 33, 63, 64, 65, 100, 1000], size=ROWS)
codes_signal = codes[:, 0] + np.isin(codes[:, 1], [1, 4, 7]) * 3 - np.isin(codes[:, 4], [0, 31, 32, 65, 1000]) * 2
codes_holes = codes.copy()
codes_holes[rng.random(size=x.shape) < 0.1] = np.nan

ZERO = float(np.float32(1e-35))  # where LightGBM's zero ends
EDGES = [np.nan, np.inf, -np.inf, 0.0, -0.0, ZERO, -ZERO, np.nextafter(ZERO, 1), np.nextafter(-ZERO, -1), 1e-36, -1e-36,
         5e-324, -5e-324, 1.7976931348623157e308, float(np.finfo(np.float32).max), float(np.finfo(np.float32).tiny),
         float(np.nextafter(np.float32(1), np.float32(2)))]
CODES = [np.nan, np.inf, -np.inf, -0.0, -0.5, -1.0, -0.999999, 0.999, 1.5, 2.75, 31, 32, 64.5, 96, 1000, 1023, 1024, 1e6,
         2147483647.0, 2147483648.0, 4294967296.0, 4294967297.0, 1e19, -3e9]


def edges(data, count=14):
    """Rows of the data, with every column's values replaced by each edge in turn."""
    values = CODES if data is codes_holes else EDGES
    rows = [data[:count]]
    for at, value in enumerate(values):
        row = data[at].copy()
        row[at % FEATURES] = value
        rows.append(row[None])
        if data is codes_holes:
            row = data[at].copy()
            row[[1, 4]] = value
        else:
            row = np.full(FEATURES, value)
        rows.append(row[None])
    return np.concatenate(rows)


def bits(values):
    return " ".join(f"{bit:016x}" for bit in np.ascontiguousarray(values, dtype=np.float64).view(np.uint64))


def write(name, booster, rows, dump=False):
    """Saves the model, reads it back and writes down what it answers."""
    text = FOLDER / f"{name}.txt"
    booster.save_model(text)
    if dump:
        (FOLDER / f"{name}.json").write_text(json.dumps(booster.dump_model()))
    booster = lgb.Booster(model_file=str(text))
    with np.errstate(all="ignore"):
        raw = booster.predict(rows, raw_score=True).reshape(len(rows), -1)
        answers = booster.predict(rows).reshape(len(rows), -1)
        alone = np.concatenate([booster.predict(row[None]) for row in rows]).reshape(answers.shape)
    assert answers.tobytes() == alone.tobytes(), name
    lines = [";".join(bits(part) for part in row) for row in zip(rows, raw, answers)]
    (FOLDER / f"{name}.answers").write_text("\n".join(lines) + "\n")


def train(name, label, rounds=3, data=holes, dump=False, names="auto", categories="auto", rows=None, fobj=None, **more):
    settings = {"num_leaves": 5, "min_data_in_leaf": 3, "learning_rate": 0.4, "num_threads": 1, "seed": 1, "verbose": -1,
                "deterministic": True, "force_row_wise": True, **more}
    group = [20] * (ROWS // 20) if settings.get("objective") in ("lambdarank", "rank_xendcg") else None
    linear = {"linear_tree": True} if settings.get("linear_tree") else {}
    dataset = lgb.Dataset(data, label, group=group, feature_name=names, categorical_feature=categories,
                          params={"verbose": -1, **linear})
    if fobj is None:
        booster = lgb.train(settings, dataset, rounds)
    elif EVERY:
        booster = lgb.train({**settings, "objective": fobj}, dataset, rounds)
    else:
        booster = lgb.train(settings, dataset, rounds, fobj=fobj)
    write(name, booster, edges(data) if rows is None else rows, dump)


def squares(scores, dataset):
    return scores - dataset.get_label(), np.ones_like(scores)


NAMES = ["age", "fare", "größe", "class", "sibsp"]
CATEGORIES = {"data": codes_holes, "categories": [1, 4]}
train("regression", signal, objective="regression", dump=True)
train("binary", binary, objective="binary", names=NAMES, dump=True)
train("multiclass", classes, 2, objective="multiclass", num_class=3, dump=True)
train("sets", codes_signal, 4, objective="regression", max_cat_to_onehot=1, cat_smooth=1, min_data_per_group=2, dump=True,
      **CATEGORIES)
train("one-hot", codes_signal, 4, objective="regression", max_cat_to_onehot=100, **CATEGORIES)
train("zero-as-missing", zeros_signal, objective="regression", zero_as_missing=True, data=zeros, dump=True)
train("no-missing", zeros_signal, objective="regression", use_missing=False, data=zeros)
train("zeros", zeros_signal, 4, objective="regression", data=zeros)
train("linear", signal, objective="regression", linear_tree=True, dump=True)
train("dart", binary, 5, objective="binary", boosting="dart", drop_rate=0.5)
train("forest", signal, 3, objective="regression", boosting="rf", bagging_freq=1, bagging_fraction=0.6, dump=True)
train("poisson", counts, objective="poisson")
train("custom", signal, fobj=squares)

if EVERY:
    train("sqrt", signal, objective="regression", reg_sqrt=True)
    train("l1", signal, objective="regression_l1")
    train("l1-sqrt", signal, objective="regression_l1", reg_sqrt=True)
    train("huber", signal, objective="huber")
    train("fair", signal, objective="fair")
    train("quantile", signal, objective="quantile", alpha=0.8)
    train("mape", positive, objective="mape")
    train("gamma", positive, objective="gamma")
    train("tweedie", counts, objective="tweedie")
    train("sigmoid", binary, objective="binary", sigmoid=12.3456)
    train("one-vs-all", classes, 2, objective="multiclassova", num_class=3, sigmoid=0.3)
    train("cross-entropy", binary, objective="cross_entropy")
    train("cross-entropy-lambda", binary, objective="cross_entropy_lambda")
    train("lambdarank", counts.clip(0, 3), objective="lambdarank")
    train("xendcg", counts.clip(0, 3), objective="rank_xendcg")
    train("goss", signal, objective="regression", data_sample_strategy="goss")
    train("forest-multiclass", classes, 2, objective="multiclass", num_class=3, boosting="rf", bagging_freq=1,
          bagging_fraction=0.6)
    train("linear-multiclass", classes, 2, objective="multiclass", num_class=3, linear_tree=True)
    train("linear-sets", codes_signal, objective="regression", linear_tree=True, max_cat_to_onehot=1, min_data_per_group=2,
          **CATEGORIES)
    train("roots", signal, 2, objective="regression", min_gain_to_split=1e9)
    train("lopsided", signal, 1, objective="regression", num_leaves=30, min_data_in_leaf=1, feature_fraction_bynode=0.4,
          dump=True)
    train("monotone", signal, objective="regression", monotone_constraints=[1, 0, 0, 0, -1])

    # Stops early: what is saved ends with the best iteration.
    fit, wrong = lgb.Dataset(holes, signal), lgb.Dataset(holes[:60], -signal[:60])
    booster = lgb.train({"objective": "regression", "num_leaves": 3, "verbose": -1}, fit, 8, valid_sets=[wrong],
                        callbacks=[lgb.early_stopping(2, verbose=False)])
    assert booster.best_iteration < 6
    write("stopped-early", booster, holes[:20])

    # Categories by name: a matrix holds their codes, in the order of the last line of the file.
    frame = pd.DataFrame({"size": x[:, 0], "colour": pd.Categorical.from_codes(codes[:, 1].astype(int) % 3,
                                                                                ["red", "green", "blue"])})
    booster = lgb.train({"objective": "regression", "num_leaves": 4, "verbose": -1, "min_data_per_group": 2,
                         "cat_smooth": 1, "max_cat_to_onehot": 1}, lgb.Dataset(frame, codes_signal), 2)
    write("pandas", booster, np.stack([x[:20, 0], (codes[:20, 1] % 4) - 1], axis=1), True)
