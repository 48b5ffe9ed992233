"""Golden models of LightGBM: what `Booster.predict` answers to fifty rows, bit for bit.

    python boosters.py OUT    # writes to the folder OUT, which is called `lightgbm-VERSION`

Beside a model `NAME.txt` (`save_model`) and, for many, `NAME.json` (`dump_model`) stands `NAME.txt.golden`, lines of a word, a tab
and JSON: `rows`, `tolerance` (0: not a bit may differ), `predict` and `raw_score`, as the model answers that was read back from the
text. LightGBM 3.3 and later.
"""

import json
import pathlib
import sys

import lightgbm as lgb
import numpy as np
import pandas as pd

NEW = int(lgb.__version__.split(".")[0]) >= 4
rng = np.random.RandomState(5)

N, WIDTH = 600, 6
x = rng.normal(size=(N, WIDTH))
x[:, 3] = rng.randint(0, 4, size=N)
holes = x.copy()
holes[rng.uniform(size=x.shape) < 0.15] = np.nan
signal = x[:, 0] * 2 - x[:, 1] * x[:, 2] + (x[:, 3] == 2) + np.sin(3 * x[:, 4])
binary = (signal > 0).astype(int)
classes = np.digitize(signal, [-1.0, 1.0])
many = np.digitize(signal, np.quantile(signal, np.arange(1, 7) / 7))
positive = np.exp(signal / 3) + 0.1
counts = rng.poisson(positive)
grades = counts.clip(0, 3)
shares = 1 / (1 + np.exp(-signal))
zeros = holes.copy()
zeros[rng.uniform(size=x.shape) < 0.3] = 0.0
zeros_signal = np.nan_to_num(zeros[:, 0]) + 2 * (zeros[:, 1] == 0) - (zeros[:, 2] < 0)
codes = x.copy()
codes[:, 1] = rng.randint(0, 12, size=N)
codes[:, 4] = rng.choice([0, 1, 5, 31, 32, 33, 63, 64, 65, 100, 1000], size=N)
codes_signal = x[:, 0] + np.isin(codes[:, 1], [1, 4, 7]) * 3 - np.isin(codes[:, 4], [0, 31, 32, 65, 1000]) * 2
codes[rng.uniform(size=x.shape) < 0.1] = np.nan
CATEGORIES = {"data": codes, "categories": [1, 4]}

TINY = float(np.float32(1e-35))  # where LightGBM's zero ends
EDGES = [0.0, -0.0, np.inf, -np.inf, TINY, -TINY, np.nextafter(TINY, 1), 1e-36, 5e-324, 1.7e308, -1.7e308]


def asked(data):
    """Rows of the data, rows of nothing, of the edges of numbers, and just beside what was trained on."""
    rows = data[:50].copy()
    rows[30] = np.nan
    rows[31:31 + len(EDGES)] = np.array(EDGES)[:, None]
    rows[42:46] = np.nextafter(rows[:4], 9)
    if data is codes:
        for row, code in zip(rows[31:46], [np.nan, -0.5, -1, 0.999, 1.5, 31, 64.5, 96, 1000, 1023, 1e6, 2147483648, 1e19, -3e9, np.inf]):
            row[[1, 4]] = code
    return rows


def train(label, rounds=5, data=holes, names="auto", categories="auto", fobj=None, **more):
    settings = {"num_leaves": 7, "min_data_in_leaf": 3, "learning_rate": 0.3, "num_threads": 1, "seed": 1, "verbose": -1,
                "deterministic": True, "force_row_wise": True}
    settings.update(more)
    ranks = settings.get("objective") in ("lambdarank", "rank_xendcg")
    linear = {"linear_tree": True} if settings.get("linear_tree") else {}
    dataset = lgb.Dataset(data, label, group=[20] * (N // 20) if ranks else None, feature_name=names,
                          categorical_feature=categories, params=dict(verbose=-1, **linear))
    if fobj is None:
        booster = lgb.train(settings, dataset, rounds)
    elif NEW:
        booster = lgb.train(dict(settings, objective=fobj), dataset, rounds)
    else:
        booster = lgb.train(settings, dataset, rounds, fobj=fobj)
    return booster, asked(data)


def squares(scores, dataset):
    return scores - dataset.get_label(), np.ones_like(scores)


def early():
    fit, other = lgb.Dataset(holes, signal), lgb.Dataset(holes[:60], -signal[:60])
    booster = lgb.train({"objective": "regression", "num_leaves": 3, "verbose": -1}, fit, 8, valid_sets=[other],
                        callbacks=[lgb.early_stopping(2, verbose=False)])
    assert booster.best_iteration < 6
    return booster, asked(holes)


def frame(names):
    """Columns with names and types of their own; a matrix holds the codes of those that are categories."""
    table = pd.DataFrame({names[0]: x[:, 0], names[1]: x[:, 2].astype(np.float32), names[2]: counts, names[3]: binary.astype(bool)})
    return lgb.train({"objective": "regression", "num_leaves": 6, "verbose": -1}, lgb.Dataset(table, signal), 4), np.stack(
        [x[:50, 0], x[:50, 2], counts[:50], binary[:50]], axis=1)


OBJECTIVES = {
    "squared": (signal, {"objective": "regression"}),
    "squared-sqrt": (signal, {"objective": "regression", "reg_sqrt": True}),
    "absolute": (signal, {"objective": "regression_l1"}),
    "absolute-sqrt": (signal, {"objective": "regression_l1", "reg_sqrt": True}),
    "huber": (signal, {"objective": "huber", "alpha": 0.7}),
    "fair": (signal, {"objective": "fair", "fair_c": 0.6}),
    "poisson": (counts, {"objective": "poisson"}),
    "quantile": (signal, {"objective": "quantile", "alpha": 0.8}),
    "percentage": (positive, {"objective": "mape"}),
    "gamma": (positive, {"objective": "gamma"}),
    "tweedie": (counts, {"objective": "tweedie", "tweedie_variance_power": 1.3}),
    "binary": (binary, {"objective": "binary"}),
    "binary-sigmoid": (binary, {"objective": "binary", "sigmoid": 12.3456}),
    "softmax": (classes, {"objective": "multiclass", "num_class": 3}),
    "softmax-many": (many, {"objective": "multiclass", "num_class": 7}),
    "one-vs-all": (classes, {"objective": "multiclassova", "num_class": 3, "sigmoid": 0.3}),
    "cross-entropy": (shares, {"objective": "cross_entropy"}),
    "cross-entropy-lambda": (shares, {"objective": "cross_entropy_lambda"}),
    "lambdarank": (grades, {"objective": "lambdarank"}),
    "xendcg": (grades, {"objective": "rank_xendcg"}),
}
# Those that a boosting of another kind, or other data, is tried with.
FEW = ("squared", "poisson", "binary", "softmax", "one-vs-all", "cross-entropy")
FOREST = {"boosting": "rf", "bagging_freq": 1, "bagging_fraction": 0.6}
GOSS = {"data_sample_strategy": "goss"} if NEW else {"boosting": "goss"}
SETS = {"max_cat_to_onehot": 1, "cat_smooth": 1, "min_data_per_group": 2}


def cases():
    for name, (label, settings) in OBJECTIVES.items():
        yield name, lambda: train(label, **settings)
    for name in FEW:
        label, settings = OBJECTIVES[name]
        yield name + "-dart", lambda: train(label, 8, boosting="dart", drop_rate=0.5, **settings)
        yield name + "-forest", lambda: train(label, 4, **dict(FOREST, **settings))
        yield name + "-goss", lambda: train(label, **dict(GOSS, **settings))
        yield name + "-sets", lambda: train(label, **dict(SETS, **settings), **CATEGORIES)
        yield name + "-one-hot", lambda: train(label, max_cat_to_onehot=100, **settings, **CATEGORIES)
        yield name + "-zero-as-missing", lambda: train(label, zero_as_missing=True, data=zeros, **settings)
        yield name + "-no-missing", lambda: train(label, use_missing=False, data=zeros, **settings)
        if name != "cross-entropy":
            yield name + "-linear", lambda: train(label, linear_tree=True, **settings)
            yield name + "-linear-whole", lambda: train(label, linear_tree=True, data=x, linear_lambda=0.1, **settings)
    squared = OBJECTIVES["squared"][1]
    yield "codes", lambda: train(codes_signal, 8, **squared, **SETS, **CATEGORIES)
    yield "codes-linear", lambda: train(codes_signal, linear_tree=True, **squared, **SETS, **CATEGORIES)
    yield "codes-zero-as-missing", lambda: train(codes_signal, zero_as_missing=True, **squared, **SETS, **CATEGORIES)
    yield "zeros", lambda: train(zeros_signal, 8, data=zeros, **squared)
    yield "zeros-as-missing", lambda: train(zeros_signal, 8, data=zeros, zero_as_missing=True, **squared)
    yield "custom", lambda: train(signal, fobj=squares)
    yield "monotone", lambda: train(signal, monotone_constraints=[1, 0, 0, 0, -1, 0], **squared)
    yield "lopsided", lambda: train(signal, 2, num_leaves=60, min_data_in_leaf=1, data=x, **squared)
    yield "deep", lambda: train(np.exp(4 * x[:, 0]), 3, num_leaves=120, min_data_in_leaf=1, max_depth=-1, data=x, **squared)
    yield "stumps", lambda: train(signal, 20, num_leaves=2, **squared)
    yield "roots", lambda: train(signal, 2, min_gain_to_split=1e9, **squared)
    yield "many-rounds", lambda: train(binary, 150, learning_rate=0.05, objective="binary")
    yield "leafy", lambda: train(signal, 4, num_leaves=200, min_data_in_leaf=1, **squared)
    yield "one-column", lambda: train(signal, data=np.ascontiguousarray(holes[:, :1]), **squared)
    yield "wide", lambda: train(signal, 12, data=np.tile(holes, 30), feature_fraction=0.2, **squared)
    yield "names", lambda: train(signal, names=["age", "fare", "gr\u00f6\u00dfe", "class_", "f0", "x"], **squared)
    yield "stopped-early", early
    yield "columns", lambda: frame(["size", "weight", "count", "flag"])
    yield "extra-trees", lambda: train(signal, extra_trees=True, **squared)
    yield "path-smooth", lambda: train(signal, path_smooth=3.0, **squared)
    yield "bagging", lambda: train(binary, 9, bagging_freq=1, bagging_fraction=0.5, objective="binary")
    yield "unbalanced", lambda: train(binary, is_unbalance=True, objective="binary")
    yield "not-from-average", lambda: train(signal, boost_from_average=False, **squared)


def plain(values):
    return [[float(it) for it in row] if np.ndim(row) else float(row) for row in values]


def write(name, made, out):
    booster, rows = made
    text = out / (name + ".txt")
    booster.save_model(str(text))
    (out / (name + ".json")).write_text(json.dumps(booster.dump_model()))
    booster = lgb.Booster(model_file=str(text))
    with np.errstate(all="ignore"):
        answers = {"predict": booster.predict(rows), "raw_score": booster.predict(rows, raw_score=True)}
    lines = [("rows", plain(rows)), ("tolerance", 0)] + [(word, plain(it)) for word, it in answers.items()]
    golden = "".join("{}\t{}\n".format(word, json.dumps(value)) for word, value in lines)
    for ending in ("txt", "json"):
        (out / "{}.{}.golden".format(name, ending)).write_text(golden)


def main(out):
    out = pathlib.Path(out)
    out.mkdir(parents=True, exist_ok=True)
    names = set()
    for name, make in cases():
        assert name not in names, name
        names.add(name)
        write(name, make(), out)
    print("{} models of LightGBM {} in {}".format(len(names), lgb.__version__, out))


if __name__ == "__main__":
    main(sys.argv[1])
