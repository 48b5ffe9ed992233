"""Golden models of XGBoost: what `Booster.predict` answers to fifty rows, bit for bit.

    python boosters.py OUT    # writes to the folder OUT, which is called `xgboost-VERSION`; no scikit-learn is needed

Beside a model `NAME.json` (`.ubj`, `.bst`) stands `NAME.json.golden`, lines of a word, a tab and JSON: `rows`, `tolerance` (0:
not a bit may differ), `predict` and `margin`. Versions 0.72 and later; each writes the cases and formats that it knows.
"""

import collections
import collections.abc
import json
import pathlib
import sys

import numpy as np

collections.Mapping = collections.abc.Mapping  # XGBoost before 0.80 looks for it here
import xgboost as xgb  # noqa: E402

VERSION = tuple(int(part) for part in xgb.__version__.split(".")[:2])
FORMATS = ["bst"] if VERSION < (1, 0) else ["json"] if VERSION < (1, 6) else ["json", "ubj"]
if (1, 0) <= VERSION < (2, 0):
    FORMATS.append("bst")
FORMATS.append("handle.bst")
rng = np.random.RandomState(11)

N, WIDTH = 600, 7
x = rng.normal(size=(N, WIDTH)).astype(np.float32)
x[:, 3] = rng.randint(0, 4, size=N)
holes = x.copy()
holes[rng.uniform(size=x.shape) < 0.15] = np.nan
signal = x[:, 0] * 2 - x[:, 1] * x[:, 2] + (x[:, 3] == 2) + np.sin(3 * x[:, 4])
binary = (signal > 0).astype(int)
classes = np.digitize(signal, [-1.0, 1.0])
many = np.digitize(signal, np.quantile(signal, np.arange(1, 9) / 9))
positive = np.exp(signal / 3) + 0.1
counts = rng.poisson(positive)
targets = np.stack([signal, -positive, x[:, 4]], axis=1)

codes = x.copy()
codes[:, 1] = rng.randint(0, 12, size=N)
codes[:, 4] = rng.randint(0, 70, size=N)
codes[rng.uniform(size=x.shape) < 0.1] = np.nan
codes_signal = x[:, 0] + np.isin(codes[:, 1], [1, 4, 7]) * 3 - np.isin(codes[:, 4], [0, 31, 32, 33, 64]) * 2
TYPES = ["q", "c", "q", "q", "c", "q", "q"]

TINY, HUGE = np.finfo(np.float32).tiny, np.finfo(np.float32).max


def asked(data):
    """Rows of the data, rows of nothing, of the edges of singles, and just beside what was trained on."""
    rows = np.concatenate([data[:30], data[30:50]]).copy()
    rows[30] = np.nan
    rows[31:40] = np.array([[0.0], [-0.0], [TINY], [-TINY], [1e-45], [-1e-45], [HUGE], [-HUGE], [1e30]])
    rows[40:44] = np.nextafter(rows[:4], np.float32(9))
    return rows.astype(np.float32)


def train(label, rounds=6, data=holes, types=None, **more):
    settings = {"max_depth": 4, "eta": 0.4, "nthread": 1, "seed": 1}
    settings.update(more)
    new = {"enable_categorical": True, "feature_types": types} if types else {}
    matrix = xgb.DMatrix(data, label, **new)
    if settings["objective"].startswith("rank:"):
        matrix.set_group([20] * (N // 20))
    if settings["objective"] == "survival:aft":
        matrix.set_float_info("label_lower_bound", label)
        matrix.set_float_info("label_upper_bound", np.where(binary, label, np.inf))
    return xgb.train(settings, matrix, rounds), asked(data), types


def cases():
    square = "reg:squarederror" if VERSION >= (0, 90) else "reg:linear"
    yield "squared", lambda: train(signal, objective=square)
    yield "squared-base", lambda: train(signal, objective=square, base_score=-3.7)
    yield "reg-linear", lambda: train(signal, objective="reg:linear")
    yield "logistic", lambda: train(binary, objective="binary:logistic")
    yield "logistic-base", lambda: train(binary, objective="binary:logistic", base_score=0.21)
    yield "reg-logistic", lambda: train(binary, objective="reg:logistic", base_score=0.7)
    yield "logitraw", lambda: train(binary, objective="binary:logitraw", base_score=0.3)
    yield "hinge", lambda: train(binary, objective="binary:hinge")
    yield "softprob", lambda: train(classes, objective="multi:softprob", num_class=3)
    yield "softprob-many", lambda: train(many, objective="multi:softprob", num_class=9)
    yield "softmax", lambda: train(classes, objective="multi:softmax", num_class=3)
    yield "softmax-many", lambda: train(many, objective="multi:softmax", num_class=9)
    yield "poisson", lambda: train(counts, objective="count:poisson")
    yield "poisson-base", lambda: train(counts, objective="count:poisson", base_score=2.5)
    yield "gamma", lambda: train(positive, objective="reg:gamma", base_score=1.5)
    yield "tweedie", lambda: train(counts, objective="reg:tweedie", tweedie_variance_power=1.3)
    yield "pairwise", lambda: train(binary, objective="rank:pairwise")
    yield "ndcg", lambda: train(binary, objective="rank:ndcg")
    yield "map", lambda: train(binary, objective="rank:map")
    yield "cox", lambda: train(np.where(binary, positive, -positive), objective="survival:cox")
    yield "dart", lambda: train(classes, objective="multi:softprob", num_class=3, booster="dart", rate_drop=0.5)
    yield "dart-logistic", lambda: train(binary, 9, objective="binary:logistic", booster="dart", rate_drop=0.4,
                                         normalize_type="forest", sample_type="weighted")
    yield "linear", lambda: train(signal, 9, objective=square, booster="gblinear", base_score=0.7)
    yield "linear-softprob", lambda: train(classes, objective="multi:softprob", num_class=3, booster="gblinear", data=x)
    yield "linear-poisson", lambda: train(counts, objective="count:poisson", booster="gblinear", base_score=0.7)
    yield "forest", lambda: train(binary, 3, objective="binary:logistic", num_parallel_tree=4, subsample=0.6, eta=1.0)
    yield "forest-softprob", lambda: train(classes, 2, objective="multi:softprob", num_class=3, num_parallel_tree=3,
                                           subsample=0.6)
    yield "lopsided", lambda: train(signal, objective=square, grow_policy="lossguide", max_depth=0, max_leaves=40,
                                    tree_method="hist", min_child_weight=0, gamma=0)
    yield "chain", lambda: train(np.exp(4 * x[:, 0]), 3, objective=square, max_depth=30, grow_policy="lossguide",
                                 max_leaves=24, tree_method="hist", data=x)
    yield "deep", lambda: train(signal, 3, objective=square, max_depth=12)
    yield "deep-9", lambda: train(signal, 9, objective=square, max_depth=9, eta=0.1)
    yield "stumps", lambda: train(signal, 20, objective=square, max_depth=1)
    yield "depth-2", lambda: train(signal, 17, objective=square, max_depth=2)
    yield "depth-3", lambda: train(signal, 8, objective=square, max_depth=3)
    yield "depth-7", lambda: train(signal, 11, objective=square, max_depth=7)
    yield "depth-8", lambda: train(signal, 11, objective=square, max_depth=8)
    yield "roots", lambda: train(signal, 3, objective=square, gamma=1e6)
    yield "pruned", lambda: train(signal, 9, objective=square, gamma=20, tree_method="exact")
    yield "no-holes", lambda: train(signal, objective=square, data=x)
    yield "one-column", lambda: train(signal, objective=square, data=holes[:, :1])
    yield "wide", lambda: train(signal, 12, objective=square, data=np.tile(holes, 30), colsample_bytree=0.1)
    yield "many-rounds", lambda: train(binary, 120, objective="binary:logistic", eta=0.1)
    if VERSION >= (1, 0):
        yield "squared-log", lambda: train(positive, objective="reg:squaredlogerror")
    if VERSION >= (1, 2):
        yield "aft", lambda: train(positive, objective="survival:aft", aft_loss_distribution="logistic")
        yield "aft-extreme", lambda: train(positive, objective="survival:aft", aft_loss_distribution="extreme")
        yield "pseudo-huber", lambda: train(signal, objective="reg:pseudohubererror")
    if VERSION >= (1, 7):
        yield "absolute", lambda: train(signal, objective="reg:absoluteerror")
        yield "sets", lambda: train(codes_signal, objective=square, data=codes, types=TYPES, max_cat_to_onehot=1,
                                    tree_method="hist")
        yield "one-hot", lambda: train(codes_signal, objective=square, data=codes, types=TYPES, max_cat_to_onehot=100,
                                       tree_method="hist")
        yield "sets-softprob", lambda: train(classes, objective="multi:softprob", num_class=3, data=codes, types=TYPES,
                                             tree_method="hist")
        yield "targets", lambda: train(targets, objective=square)
        yield "targets-logistic", lambda: train((targets > 0).astype(int), objective="binary:logistic")
    if VERSION >= (2, 0):
        yield "quantile", lambda: train(signal, objective="reg:quantileerror", quantile_alpha=[0.1, 0.5, 0.9])
        vectors = {"multi_strategy": "multi_output_tree", "tree_method": "hist"}
        yield "vectors", lambda: train(targets, objective=square, **vectors)
        yield "vectors-softprob", lambda: train(classes, objective="multi:softprob", num_class=3, **vectors)
        yield "vectors-logistic", lambda: train((targets > 0).astype(int), objective="binary:logistic", **vectors)


def plain(value):
    """Numbers as JSON; a single is written so that it is read back as the same."""
    value = np.asarray(value)
    return [plain(it) for it in value] if value.ndim else float(value)


def write(name, made, out):
    booster, rows, types = made
    for suffix in FORMATS:
        if suffix.endswith("bst") and types and VERSION < (2, 0):
            continue  # the binary format knows no categories
        path = out / (name + "." + suffix)
        if suffix == "handle.bst":  # what a pickle of the booster or of a scikit-learn wrapper holds
            path.write_bytes(bytes(booster.__getstate__()["handle"]))
        else:
            booster.save_model(str(path))
        loaded = booster if suffix == "handle.bst" else xgb.Booster(model_file=str(path))
        new = {"enable_categorical": True, "feature_types": types} if types else {}
        data = xgb.DMatrix(rows, **new)
        # Before 1.0 a model of dart drops trees at random when it predicts, unless it is told how many to ask.
        limit = {"ntree_limit": 1000} if VERSION < (1, 0) and name.startswith("dart") else {}
        lines = [("rows", plain(rows)), ("tolerance", 0), ("predict", plain(loaded.predict(data, **limit))),
                 ("margin", plain(loaded.predict(data, output_margin=True, **limit)))]
        text = "".join("{}\t{}\n".format(word, json.dumps(value)) for word, value in lines)
        pathlib.Path(str(path) + ".golden").write_text(text)


def main(out):
    out = pathlib.Path(out)
    out.mkdir(parents=True, exist_ok=True)
    count = 0
    for name, make in cases():
        try:
            made = make()
        except xgb.core.XGBoostError as error:  # an option that this version lacks
            print("skipped", name, str(error).splitlines()[0][:120])
            continue
        write(name, made, out)
        count += 1
    print("{} models in {}".format(count, out))


if __name__ == "__main__":
    main(*sys.argv[1:])
