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
from sklearn.svm import SVC, LinearSVC, LinearSVR

from case import Case

IRIS, WINE, SUGAR, CANCER = load_iris(), load_wine(), load_diabetes(), load_breast_cancer()
NAMES = IRIS.target_names[IRIS.target]
VERSION = tuple(int(it) for it in sklearn.__version__.split(".")[:2])
RANDOM = np.random.RandomState(3)


def cases():
    yield from trees()
    yield from forests()
    yield from boosting()
    yield from baselines()
    yield from histograms()
    yield from isolation()
    yield from adaboost()
    yield from bagging()
    yield from voting()
    yield from stacking()


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


def boosting():
    x, y = SUGAR.data, SUGAR.target
    rows = np.vstack([x[::10][:40], x[:10] * 1e3])
    flowers = np.vstack([IRIS.data[::4], IRIS.data[:12] * 100 - 300])
    for at, options in enumerate([{}, {"loss": "absolute_error"}, {"loss": "huber", "alpha": 0.8}, {"loss": "quantile", "alpha": 0.3},
                                  {"subsample": 0.5, "max_features": 3, "learning_rate": 0.3}, {"init": "zero"}, {"learning_rate": 1},
                                  {"init": DummyRegressor(strategy="constant", constant=3)}, {"criterion": "squared_error"},
                                  {"n_estimators": 60, "n_iter_no_change": 2}, {"n_estimators": 100, "max_depth": 2}]):
        options = dict({"n_estimators": 15, "random_state": 0}, **options)
        yield Case("boosting_numbers_{}".format(at), en.GradientBoostingRegressor(**options).fit(x, y), rows)
    # The first guess gets 32-bit floats, and computes in them.
    begun = en.GradientBoostingRegressor(n_estimators=15, init=LinearRegression()).fit(x, y)
    yield Case("boosting_numbers_linear", begun, rows, tolerance=1e-6)
    begun = en.GradientBoostingRegressor(n_estimators=15, init=tr.DecisionTreeRegressor(max_depth=3)).fit(x, y)
    yield Case("boosting_numbers_tree", begun, rows)
    for name, target in [("three", NAMES), ("two", IRIS.target == 1), ("ints", IRIS.target * 3)]:
        for at, options in enumerate([{}, {"subsample": 0.6, "random_state": 0}, {"init": "zero"}, {"max_depth": 1, "n_estimators": 30},
                                      {"init": en.RandomForestClassifier(5, random_state=0)}, {"init": DummyClassifier(strategy="most_frequent")},
                                      {"init": DummyClassifier(strategy="constant", constant=1)},
                                      {"init": tr.DecisionTreeClassifier(max_depth=1)}, {"loss": "exponential"},
                                      {"loss": "exponential", "init": "zero"},
                                      {"loss": "exponential", "init": tr.DecisionTreeClassifier(max_depth=1)}]):
            if "exponential" in options.values() and name != "two":
                continue
            options = dict({"n_estimators": 10}, **options)
            model = en.GradientBoostingClassifier(**options).fit(IRIS.data, target)
            yield Case("boosting_{}_{}".format(name, at), model, flowers, form=[2, "joblib"][at % 2])
    yield Case("boosting_hundred", en.GradientBoostingClassifier(max_depth=2).fit(CANCER.data, CANCER.target), CANCER.data[::12])
    halves = np.tile([False, True], 75)
    yield Case("boosting_even", en.GradientBoostingClassifier(n_estimators=5).fit(IRIS.data[:, :1] * 0, halves), IRIS.data[::3, :1])


def baselines():
    x, y = SUGAR.data, SUGAR.target
    for at, options in enumerate([{"strategy": "prior"}, {"strategy": "most_frequent"}, {"strategy": "constant", "constant": "virginica"}]):
        model = make_pipeline(StandardScaler(), DummyClassifier(**options)).fit(IRIS.data, NAMES)
        yield Case("dummy_{}".format(at), model, IRIS.data[::3])
    for at, options in enumerate([{}, {"strategy": "median"}, {"strategy": "quantile", "quantile": 0.2}, {"strategy": "constant", "constant": 3}]):
        yield Case("dummy_numbers_{}".format(at), make_pipeline(StandardScaler(), DummyRegressor(**options)).fit(x, y), x[::9])
    yield Case("dummy_targets", make_pipeline(StandardScaler(), DummyRegressor()).fit(x, np.c_[y, -y]), x[::9])


def histograms():
    x, y = SUGAR.data, SUGAR.target
    rows = np.vstack([x[::10][:30], x[:5] * 1e3, gaps(x, 15)])
    rows[30, 2], rows[31, 3] = np.inf, -np.inf
    for at, options in enumerate([{}, {"loss": "absolute_error"}, {"loss": "poisson"}, {"loss": "quantile", "quantile": 0.3},
                                  {"loss": "gamma"}, {"max_depth": 2, "learning_rate": 0.5}, {"max_leaf_nodes": 5, "max_iter": 100},
                                  {"l2_regularization": 2.0, "max_bins": 8}, {"early_stopping": True, "max_iter": 60}]):
        if options.get("loss") == "gamma" and VERSION < (1, 3):
            continue
        options = dict({"max_iter": 15, "random_state": 0}, **options)
        for name, data in [("whole", x), ("gaps", gaps(x, 442))]:
            yield Case("histogram_numbers_{}_{}".format(name, at), en.HistGradientBoostingRegressor(**options).fit(data, y), rows)
    flowers = np.vstack([IRIS.data[::5], IRIS.data[:10] * 100 - 300, gaps(IRIS.data, 10)])
    for name, target in [("three", NAMES), ("two", IRIS.target == 1), ("ints", IRIS.target * 3)]:
        for at, options in enumerate([{}, {"max_depth": 2, "learning_rate": 0.4}, {"max_iter": 40, "min_samples_leaf": 3}]):
            options = dict({"max_iter": 10}, **options)
            for kind, data in [("whole", IRIS.data), ("gaps", gaps(IRIS.data, 150))]:
                model = en.HistGradientBoostingClassifier(**options).fit(data, target)
                yield Case("histogram_{}_{}_{}".format(name, kind, at), model, flowers, form=[4, "joblib"][at % 2])
    halves = np.tile([False, True], 75)
    yield Case("histogram_even", en.HistGradientBoostingClassifier(max_iter=3).fit(IRIS.data[:, :1] * 0, halves), IRIS.data[::3, :1])
    yield Case("histogram_hundred", en.HistGradientBoostingClassifier().fit(CANCER.data, CANCER.target), CANCER.data[::12])
    yield from categories()


def categories():
    random = np.random.RandomState(5)
    x = np.c_[random.randint(0, 12, 400), random.randn(400), random.randint(3, 250, 400), random.randn(400)].astype(float)
    y = np.sin(x[:, 0] * 7) + np.cos(x[:, 2] * 3) + x[:, 1] * 0.2
    holed = x.copy()
    holed[random.rand(400) < 0.1, 0] = np.nan
    rows = np.vstack([x[:30], x[:20]])
    rows[30:38, 0] = [np.nan, 12, 11, -1, 300, 0.5, 255, -3]
    # What a byte cannot hold loses its higher bits, and before 1.3 its sign.
    rows[46:50, 0] = [-253, 259, -250, 2.0**31]
    rows[38:46, 2] = [np.nan, 2, 250, -100, 300, 7.9, 1e12, 262]
    options = {"max_iter": 15, "min_samples_leaf": 4, "max_depth": 5}
    for name, data in [("whole", x), ("gaps", holed)]:
        model = en.HistGradientBoostingRegressor(categorical_features=[0, 2], **options).fit(data, y)
        yield Case("categories_numbers_" + name, model, rows)
        model = en.HistGradientBoostingClassifier(categorical_features=[True, False, False, False], **options).fit(data, np.digitize(y, [-0.5, 0.5]))
        yield Case("categories_three_" + name, model, rows)
        model = en.HistGradientBoostingClassifier(categorical_features=[2], **options).fit(data, y > 0)
        yield Case("categories_two_" + name, model, rows)
    if VERSION < (1, 4):
        return
    frame = pandas.DataFrame({"size": x[:, 1], "town": random.choice(["york", "bath", "wells", "ely"], 400), "code": x[:, 0].astype(int),
                              "note": random.choice(["a", "b"], 400), "width": x[:, 3]})
    target = y + (frame.town == "bath") * 2 + (frame.town == "ely") - (frame.note == "b")
    asked = frame[:50].copy()
    asked.loc[3:5, "town"] = "oxford"
    asked.loc[6:8, "code"] = 99
    for name in ["object", "category"]:
        typed = frame.copy()
        for column in ["town", "note"]:
            typed[column] = typed[column].astype(name)
        model = en.HistGradientBoostingRegressor(categorical_features=["town", "code", "note"], **options).fit(typed, target)
        yield Case("categories_words_" + name, model, asked)
        model = en.HistGradientBoostingClassifier(categorical_features=["town"], **options).fit(typed.drop(columns=["note"]), target > 0)
        yield Case("categories_word_" + name, model, asked.drop(columns=["note"]))
    missing = frame.copy().astype({"town": object})
    missing.loc[::7, "town"] = np.nan
    model = en.HistGradientBoostingRegressor(categorical_features=["town"], **options).fit(missing.drop(columns=["note"]), target)
    yield Case("categories_words_missing", model, asked.drop(columns=["note"]))
    typed = frame.astype({"town": "category", "note": "category"})
    model = en.HistGradientBoostingRegressor(categorical_features="from_dtype", **options).fit(typed, target)
    yield Case("categories_words_dtype", model, asked)


def isolation():
    for data, name in [(IRIS.data, "iris"), (WINE.data, "wine"), (CANCER.data, "cancer")]:
        rows = np.vstack([data[:: len(data) // 30][:30], data[:10] * 3, -data[:10]])
        for at, options in enumerate([{}, {"contamination": 0.2}, {"max_features": 0.5}, {"max_samples": 30}, {"bootstrap": True},
                                      {"max_features": 2, "contamination": 0.1}, {"n_estimators": 100}, {"max_samples": 2}]):
            options = dict({"n_estimators": 20, "random_state": 0}, **options)
            yield Case("isolation_{}_{}".format(name, at), en.IsolationForest(**options).fit(data), rows, form=[3, "joblib"][at % 2])
    yield Case("isolation_one", en.IsolationForest(n_estimators=5, max_samples=1).fit(IRIS.data), IRIS.data[::4])
    if VERSION >= (1, 6):
        rows = np.vstack([gaps(IRIS.data), IRIS.data[:4] * 1e300])
        yield Case("isolation_gaps", en.IsolationForest(n_estimators=20, random_state=0).fit(gaps(IRIS.data, 150)), rows)


def based(kind, inner, **options):
    """An ensemble of that estimator: 1.2 gave the parameter another name."""
    return kind(**dict({"estimator" if VERSION >= (1, 2) else "base_estimator": inner}, **options))


def adaboost():
    x, y = SUGAR.data, SUGAR.target
    flowers = np.vstack([IRIS.data[::4], IRIS.data[:12] * 100 - 300])
    algorithms = ["SAMME", "SAMME.R"] if VERSION < (1, 4) else [None]
    for algorithm in algorithms:
        extra = {} if algorithm is None else {"algorithm": algorithm}
        for name, target in [("three", NAMES), ("two", IRIS.target == 1), ("ints", IRIS.target * 3)]:
            for at, (inner, options) in enumerate([(None, {}), (tr.DecisionTreeClassifier(max_depth=2), {}), (GaussianNB(), {}),
                                                   (None, {"learning_rate": 0.3, "n_estimators": 40}), (LogisticRegression(max_iter=300), {})]):
                options = dict({"n_estimators": 12, "random_state": 0}, **dict(extra, **options))
                model = based(en.AdaBoostClassifier, inner, **options).fit(IRIS.data, target)
                yield Case("adaboost_{}_{}_{}".format(name, algorithm, at), model, flowers, form=[2, "joblib"][at % 2])
        hundred = en.AdaBoostClassifier(n_estimators=100, random_state=0, **extra).fit(CANCER.data, CANCER.target)
        yield Case("adaboost_hundred_{}".format(algorithm), hundred, CANCER.data[::12])
    for at, (inner, options) in enumerate([(None, {}), (None, {"loss": "square"}), (None, {"loss": "exponential", "learning_rate": 0.3}),
                                           (Ridge(), {}), (tr.DecisionTreeRegressor(max_depth=1), {"n_estimators": 60})]):
        options = dict({"n_estimators": 12, "random_state": 0}, **options)
        yield Case("adaboost_numbers_{}".format(at), based(en.AdaBoostRegressor, inner, **options).fit(x, y), np.vstack([x[::10], x[:5] * 100]))


def bagging():
    x, y = SUGAR.data, SUGAR.target
    flowers = np.vstack([IRIS.data[::4], IRIS.data[:12] * 100 - 300])
    for name, target in [("three", NAMES), ("two", IRIS.target == 1)]:
        for at, (inner, options) in enumerate([(None, {}), (None, {"max_features": 2}), (None, {"max_features": 0.5, "bootstrap_features": True}),
                                               (SVC(), {}), (LinearSVC(max_iter=20000), {"max_features": 3}), (LogisticRegression(max_iter=500), {}),
                                               (make_pipeline(StandardScaler(), GaussianNB()), {"max_samples": 0.3}),
                                               (None, {"bootstrap": False, "max_samples": 0.5, "n_estimators": 100})]):
            options = dict({"n_estimators": 10, "random_state": 0}, **options)
            yield Case("bagging_{}_{}".format(name, at), based(en.BaggingClassifier, inner, **options).fit(IRIS.data, target), flowers)
    # Few rows: some estimators do not see every class, and have no weights to see them by.
    few = np.r_[0:4, 50:54, 100:104]
    missing = based(en.BaggingClassifier, make_pipeline(StandardScaler(), GaussianNB()), n_estimators=15, max_samples=4, random_state=0)
    yield Case("bagging_missing_classes", missing.fit(IRIS.data[few], NAMES[few]), flowers[:38], ["predict", "predict_proba"])
    for at, (inner, options) in enumerate([(None, {}), (None, {"max_features": 4}), (LinearSVR(random_state=0, max_iter=5000), {"max_features": 0.5, "bootstrap_features": True}), (Ridge(), {})]):
        options = dict({"n_estimators": 10, "random_state": 0}, **options)
        yield Case("bagging_numbers_{}".format(at), based(en.BaggingRegressor, inner, **options).fit(x, y), np.vstack([x[::10], x[:5] * 100]))
    targets = en.BaggingRegressor(n_estimators=10, random_state=0).fit(x, np.c_[y, -y])
    yield Case("bagging_targets", targets, x[::10])


def voting():
    x, y = SUGAR.data, SUGAR.target
    flowers = np.vstack([IRIS.data[::4], IRIS.data[:12] * 100 - 300])
    some = [("tree", tr.DecisionTreeClassifier(max_depth=2, random_state=0)), ("bayes", GaussianNB()),
            ("line", make_pipeline(StandardScaler(), LogisticRegression())), ("off", "drop"), ("stump", tr.DecisionTreeClassifier(max_depth=1))]
    for name, target in [("three", NAMES), ("two", IRIS.target == 1), ("ints", IRIS.target * 3)]:
        for way in ["hard", "soft"]:
            for at, weights in enumerate([None, [1, 2, 3, 4, 5], [0.3, 0.1, 0.1, 9, 0.5]]):
                yield Case("voting_{}_{}_{}".format(name, way, at), en.VotingClassifier(some, voting=way, weights=weights).fit(IRIS.data, target), flowers)
    machines = en.VotingClassifier([("a", LinearSVC(max_iter=20000)), ("b", SVC())]).fit(IRIS.data, NAMES)
    yield Case("voting_machines", machines, flowers)
    some = [("tree", tr.DecisionTreeRegressor(max_depth=3)), ("line", Ridge()), ("off", "drop"), ("forest", en.RandomForestRegressor(5))]
    for at, weights in enumerate([None, [1, 2, 3, 4], [0.3, 0.1, 0.1, 9]]):
        yield Case("voting_numbers_{}".format(at), en.VotingRegressor(some, weights=weights).fit(x, y), np.vstack([x[::10], x[:5] * 100]))


def stacking():
    x, y = SUGAR.data, SUGAR.target
    flowers = IRIS.data[::3]
    some = [("tree", tr.DecisionTreeClassifier(max_depth=2, random_state=0)), ("bayes", GaussianNB()), ("off", "drop"),
            ("machine", make_pipeline(StandardScaler(), LinearSVC(max_iter=20000))), ("forest", en.RandomForestClassifier(5, random_state=0))]
    for name, target in [("three", NAMES), ("two", IRIS.target == 1), ("ints", IRIS.target * 3)]:
        for at, options in enumerate([{}, {"passthrough": True}, {"stack_method": "predict"}, {"final_estimator": en.RandomForestClassifier(5, random_state=0)},
                                      {"final_estimator": SVC()}, {"final_estimator": make_pipeline(StandardScaler(), GaussianNB()), "passthrough": True}]):
            yield Case("stacking_{}_{}".format(name, at), en.StackingClassifier(some, cv=3, **options).fit(IRIS.data, target), flowers)
    some = [("tree", tr.DecisionTreeRegressor(max_depth=3)), ("line", Ridge()), ("off", "drop"), ("machine", LinearSVR(random_state=0, max_iter=5000))]
    for at, options in enumerate([{}, {"passthrough": True}, {"final_estimator": en.GradientBoostingRegressor(n_estimators=10)}, {"final_estimator": Ridge()}]):
        yield Case("stacking_numbers_{}".format(at), en.StackingRegressor(some, cv=3, **options).fit(x, y), x[::9])
