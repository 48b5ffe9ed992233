"""Trees and their ensembles."""

import numpy as np
import pandas
import sklearn
from sklearn import ensemble as en
from sklearn import tree as tr
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris, load_wine
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC, SVR, LinearSVC

from case import Case

IRIS, WINE, SUGAR, CANCER = load_iris(), load_wine(), load_diabetes(), load_breast_cancer()
NAMES = IRIS.target_names[IRIS.target]
VERSION = tuple(int(it) for it in sklearn.__version__.split(".")[:2])
RANDOM = np.random.RandomState(3)


def cases():
    yield from trees()
    yield from forests()


def edges(model, x):
    """Rows of the data, rows far away, and rows on thresholds and beside them."""
    tree = model.tree_
    rows = [x[::max(1, len(x) // 20)][:20], x[:6] * 1e6, x[:4] * -1e30]
    beside = np.repeat(x[:1], 20, axis=0)
    splits = np.flatnonzero(tree.children_left >= 0)
    for at, row in enumerate(beside):
        node = splits[at % len(splits)]
        threshold = np.float32(tree.threshold[node])
        row[tree.feature[node]] = [threshold, np.nextafter(threshold, np.float32(np.inf)), tree.threshold[node],
                                   np.nextafter(threshold, np.float32(-np.inf))][at // 5]
    return np.vstack(rows + [beside])


def gaps(x, count=50):
    holed = x[:: max(1, len(x) // count)][:count].copy()
    holed[RANDOM.rand(*holed.shape) < 0.2] = np.nan
    return holed


def trees():
    x, y = SUGAR.data, SUGAR.target
    for kind in ["Decision", "Extra"]:
        classifier, regressor = getattr(tr, kind + "TreeClassifier"), getattr(tr, kind + "TreeRegressor")
        for at, options in enumerate([{}, {"max_depth": 3}, {"criterion": "entropy", "splitter": "random"}, {"min_samples_leaf": 9}]):
            for name, target in [("ints", IRIS.target), ("names", NAMES), ("bools", IRIS.target == 1)]:
                model = classifier(random_state=0, **options).fit(IRIS.data, target)
                yield Case("{}_tree_{}_{}".format(kind, name, at), model, edges(model, IRIS.data))
        weighted = classifier(random_state=0, max_depth=3, class_weight={0: 0.3, 1: 7, 2: 1}).fit(IRIS.data, IRIS.target)
        yield Case("{}_tree_weights".format(kind), weighted, edges(weighted, IRIS.data), form=2)
        stump = classifier(random_state=0, max_depth=1).fit(IRIS.data[:, :1], NAMES)
        yield Case("{}_tree_stump".format(kind), stump, edges(stump, IRIS.data[:, :1]))
        leaf = classifier(random_state=0).fit(IRIS.data[:20], NAMES[:20])
        yield Case("{}_tree_leaf".format(kind), leaf, IRIS.data[::3])
        framed = classifier(random_state=0).fit(pandas.DataFrame(IRIS.data, columns=list("abcd")), NAMES)
        yield Case("{}_tree_frame".format(kind), framed, pandas.DataFrame(IRIS.data[::3], columns=list("abcd")))
        both = np.c_[NAMES, NAMES[::-1]]
        yield Case("{}_tree_outputs_names".format(kind), classifier(random_state=0, max_depth=4).fit(IRIS.data, both), IRIS.data[::3], ["predict"])
        both = np.c_[IRIS.target, IRIS.target == 1]
        yield Case("{}_tree_outputs_ints".format(kind), classifier(random_state=0, max_depth=2).fit(IRIS.data, both), IRIS.data[::3], ["predict"])
        for at, options in enumerate([{}, {"max_depth": 3}, {"criterion": "absolute_error", "max_depth": 4}, {"criterion": "poisson"},
                                      {"criterion": "friedman_mse", "splitter": "best"}, {"max_leaf_nodes": 9}]):
            model = regressor(random_state=0, **options).fit(x, y)
            yield Case("{}_tree_numbers_{}".format(kind, at), model, edges(model, x))
        model = regressor(random_state=0, max_depth=5).fit(x, np.c_[y, -y, y * x[:, 0]])
        yield Case("{}_tree_targets".format(kind), model, edges(model, x))
        model = regressor(random_state=0, max_depth=5).fit(x, y[:, None])
        yield Case("{}_tree_column".format(kind), model, edges(model, x))
    if VERSION >= (1, 3):
        yield Case("tree_gaps", tr.DecisionTreeClassifier(random_state=0).fit(gaps(IRIS.data, 150), IRIS.target), gaps(IRIS.data))
        yield Case("tree_gaps_later", tr.DecisionTreeClassifier(random_state=0).fit(IRIS.data, IRIS.target), gaps(IRIS.data))
        yield Case("tree_gaps_numbers", tr.DecisionTreeRegressor(random_state=0).fit(gaps(x, 442), y), gaps(x))
    if VERSION >= (1, 6):
        yield Case("extra_tree_gaps", tr.ExtraTreeClassifier(random_state=0).fit(gaps(IRIS.data, 150), IRIS.target), gaps(IRIS.data))


def forests():
    x, y = SUGAR.data, SUGAR.target
    rows = np.vstack([x[::10][:40], x[:10] * 1e3])
    flowers = np.vstack([IRIS.data[::4], IRIS.data[:12] * 100 - 300])
    for kind in ["RandomForest", "ExtraTrees"]:
        classifier, regressor = getattr(en, kind + "Classifier"), getattr(en, kind + "Regressor")
        for at, options in enumerate([{}, {"max_depth": 3}, {"class_weight": "balanced", "min_samples_leaf": 5}, {"n_estimators": 1},
                                      {"bootstrap": True, "oob_score": True, "n_estimators": 30}]):
            for name, target in [("ints", IRIS.target + 7), ("names", NAMES), ("bools", IRIS.target == 1)]:
                options = dict({"n_estimators": 10, "random_state": 0}, **options)
                yield Case("{}_{}_{}".format(kind, name, at), classifier(**options).fit(IRIS.data, target), flowers)
        yield Case("{}_hundred".format(kind), classifier(100, random_state=0).fit(WINE.data, WINE.target), WINE.data[::4], form="joblib+zlib")
        both = np.c_[NAMES, NAMES[::-1]]
        yield Case("{}_outputs".format(kind), classifier(10, random_state=0, max_depth=4).fit(IRIS.data, both), flowers, ["predict"])
        for at, options in enumerate([{}, {"max_depth": 3}, {"criterion": "absolute_error", "max_depth": 3}, {"criterion": "poisson"},
                                      {"max_features": 0.5, "n_estimators": 30}]):
            options = dict({"n_estimators": 10, "random_state": 0}, **options)
            yield Case("{}_numbers_{}".format(kind, at), regressor(**options).fit(x, y), rows)
        yield Case("{}_numbers_hundred".format(kind), regressor(100, max_depth=6, random_state=0).fit(x, y), rows, form=4)
        yield Case("{}_targets".format(kind), regressor(10, max_depth=6, random_state=0).fit(x, np.c_[y, -y]), rows)
        if VERSION >= (1, 6):
            yield Case("{}_gaps".format(kind), classifier(10, random_state=0).fit(gaps(WINE.data, 178), WINE.target), gaps(WINE.data))
            yield Case("{}_gaps_numbers".format(kind), regressor(10, random_state=0).fit(gaps(x, 442), y), gaps(x))
