"""Writes the golden models and answers beside this file, in a folder named after the installed XGBoost.

    python make.py            # with xgboost(-cpu) 3.2.0: every case
    python make.py            # with xgboost-cpu 3.0.5 or xgboost 1.7.6: the cases whose files differ between versions
    python make.py            # with xgboost 2.1.4: leaves that are vectors
    python make.py            # with xgboost 0.72.1, 0.82 or 0.90: the binary format

numpy 1.26 (before 2.0) or 2.4. A case is a model (`.json`, `.ubj`) and a text: one line a row, `features;margins;predictions`,
every number as the eight hexadecimal digits of its 32-bit float. Margins and predictions are those of `Booster.predict`.
To keep the folder small only the first cases come as UBJSON too, those of 1.7.6 also in the binary format, and 3.0.5, whose files differ from those of 3.2.0 only in
`base_score`, writes a few.
"""

import collections
import collections.abc
import pathlib

import numpy as np

collections.Mapping = collections.abc.Mapping  # XGBoost before 0.80 looks for it here
import xgboost as xgb  # noqa: E402

VERSION = tuple(int(part) for part in xgb.__version__.split("."))
FOLDER = pathlib.Path(__file__).parent / xgb.__version__
rng = np.random.default_rng(7)

FEATURES = 5
x = rng.normal(size=(300, FEATURES)).astype(np.float32)
x[:, 3] = rng.integers(0, 4, size=300)  # few distinct values
holes = x.copy()
holes[rng.random(size=x.shape) < 0.15] = np.nan
signal = x[:, 0] * 2 - x[:, 1] * x[:, 2] + (x[:, 3] == 2)
binary = (signal > 0).astype(int)
classes = np.digitize(signal, [-1.0, 1.0])
positive = np.exp(signal / 3) + 0.1
counts = rng.poisson(positive)

codes = x.copy()
codes[:, 1] = rng.integers(0, 12, size=300)
codes[:, 4] = rng.integers(0, 40, size=300)
codes_signal = codes[:, 0] + np.isin(codes[:, 1], [1, 4, 7]) * 3 - np.isin(codes[:, 4], [0, 31, 32, 33, 39]) * 2
codes_holes = codes.copy()
codes_holes[rng.random(size=x.shape) < 0.1] = np.nan


every_version = True


def write(name, booster, rows):
    """Saves the model, reads it back and writes down what it answers."""
    FOLDER.mkdir(exist_ok=True)
    if VERSION[0] == 0:
        booster.save_model(str(FOLDER / f"{name}.bst"))
        answers(name, xgb.Booster(model_file=str(FOLDER / f"{name}.bst")), xgb.DMatrix(rows), rows)
        return
    for suffix in ("json", "ubj") if every_version and VERSION != (3, 0, 5) else ("json",):
        booster.save_model(FOLDER / f"{name}.{suffix}")
    if VERSION[0] == 1 and "c" not in (booster.feature_types or []):
        booster.save_model(FOLDER / f"{name}.bst")  # the binary format; it knows neither names nor categories
    booster = xgb.Booster(model_file=FOLDER / f"{name}.json")
    types = booster.feature_types
    data = xgb.DMatrix(rows, feature_types=types, enable_categorical=True, feature_names=booster.feature_names)
    answers(name, booster, data, rows)


def answers(name, booster, data, rows):
    # Before 1.0 a model of dart drops trees at random when it predicts, unless it is told how many to ask.
    limit = {"ntree_limit": 1000} if VERSION[0] == 0 and name == "dart" else {}
    margins = booster.predict(data, output_margin=True, **limit).reshape(len(rows), -1)
    predictions = booster.predict(data, **limit).reshape(len(rows), -1)
    with open(FOLDER / f"{name}.txt", "w") as out:
        for row in zip(rows, margins, predictions):
            bits = [" ".join(f"{bit:08x}" for bit in part.astype(np.float32).view(np.uint32)) for part in row]
            out.write(";".join(bits) + "\n")


def train(name, label, rounds=4, data=holes, types=None, names=None, rows=None, params=None, **more):
    settings = {"max_depth": 3, "eta": 0.4, "nthread": 1, "seed": 1, **more, **(params or {})}
    new = {"enable_categorical": True, "feature_names": names} if VERSION[0] > 0 else {}
    matrix = xgb.DMatrix(data, label, feature_types=types, **new)
    if settings["objective"] == "rank:pairwise":
        matrix.set_group([20] * 15)
    if settings["objective"] == "survival:aft":
        matrix.set_float_info("label_lower_bound", label)
        matrix.set_float_info("label_upper_bound", np.where(binary, label, np.inf))
    booster = xgb.train(settings, matrix, rounds)
    write(name, booster, data[:27] if rows is None else rows)


if VERSION[:2] == (2, 1):  # the vectors lie elsewhere than since 3.1
    every_version = False
    train("vector-leaves", np.stack([signal, positive], axis=1), 2, objective="reg:squarederror",
          multi_strategy="multi_output_tree", tree_method="hist")
    raise SystemExit
NAMES = ["age", "fare", "größe", "class", "sibsp"]
train("binary", binary, objective="binary:logistic", names=NAMES)
if VERSION[0] > 0:
    train("categorical-sets", codes_signal, objective="reg:squarederror", data=codes_holes,
          types=["q", "c", "q", "q", "c"], max_cat_to_onehot=1, tree_method="hist")
train("softprob", classes, 3, objective="multi:softprob", num_class=3)
if VERSION == (3, 0, 5):
    raise SystemExit
train("binary-base-score", binary, objective="binary:logistic", base_score=0.3)
train("logitraw", binary, objective="binary:logitraw", base_score=0.3)
train("dart", classes, 5, objective="multi:softprob", num_class=3, booster="dart", max_depth=2, rate_drop=0.5)
train("poisson", counts, objective="count:poisson")
train("linear", signal, 8, objective="reg:squarederror" if VERSION[0] > 0 else "reg:linear", booster="gblinear",
      base_score=0.7)

every_version = False
if VERSION[:2] == (3, 2):
    train("hinge", binary, objective="binary:hinge")
    train("softmax", classes, 3, objective="multi:softmax", num_class=3)
    train("squarederror", signal, objective="reg:squarederror")
    train("gamma", positive, objective="reg:gamma", base_score=1.5)
    train("tweedie", counts, objective="reg:tweedie")
    train("pairwise", binary, objective="rank:pairwise")
    train("aft", positive, objective="survival:aft")
    train("cox", np.where(binary, positive, -positive), objective="survival:cox")
    train("quantile", signal, 3, objective="reg:quantileerror", quantile_alpha=[0.1, 0.5, 0.9])
    train("targets", np.stack([signal, -positive], axis=1), 3, objective="reg:squarederror")
    train("forest", binary, 3, objective="binary:logistic", num_parallel_tree=3, subsample=0.6, eta=1.0)
    train("lopsided", signal, 2, objective="reg:squarederror", grow_policy="lossguide", max_depth=0, max_leaves=24,
          tree_method="hist", colsample_bynode=0.4)
    train("roots", signal, 3, objective="reg:squarederror", params={"gamma": 1e6})
    train("linear-softprob", classes, 4, data=x, objective="multi:softprob", num_class=3, booster="gblinear")
    unseen = codes_holes[:27].copy()
    unseen[:8, 1] = [11, 12, 31, 32, 64, 100, 1e6, 2.75]
    unseen[8:12, 4] = [-1.0, -0.5, 16777216.0, 3e9]
    train("categorical-one-hot", codes_signal, objective="reg:squarederror", data=codes_holes,
          types=["q", "c", "q", "q", "c"], max_cat_to_onehot=100, tree_method="hist", rows=unseen)
    train("vector-leaves", np.stack([signal, positive], axis=1), 2, objective="reg:squarederror",
          multi_strategy="multi_output_tree", tree_method="hist")

    # Stops early: Booster.predict uses every tree all the same; only the scikit-learn wrapper looks at best_iteration.
    matrix, wrong = xgb.DMatrix(holes, signal), xgb.DMatrix(holes[:60], -signal[:60])
    booster = xgb.train({"max_depth": 2, "nthread": 1}, matrix, 8, evals=[(wrong, "eval")], early_stopping_rounds=3,
                        verbose_eval=False)
    assert booster.best_iteration < booster.num_boosted_rounds() - 1
    write("stopped-early", booster, holes[:27])
