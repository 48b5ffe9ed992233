"""Neighbours, and what is built around models."""

import numpy as np
import pandas
import sklearn
from sklearn import linear_model as lm
from sklearn import multiclass as mc
from sklearn import neighbors as nb
from sklearn import preprocessing as pp
from sklearn.compose import TransformedTargetRegressor
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits, load_iris, load_wine

from sklearn.feature_extraction.text import CountVectorizer, HashingVectorizer, TfidfVectorizer
from sklearn.isotonic import IsotonicRegression
from sklearn.multioutput import ClassifierChain, RegressorChain
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.svm import SVC, LinearSVC

from case import Case

IRIS, CANCER, SUGAR, WINE = load_iris(), load_breast_cancer(), load_diabetes(), load_wine()
DIGITS = load_digits()
RECENT = tuple(int(it) for it in sklearn.__version__.split(".")[:2]) >= (1, 6)
FAR = np.vstack([IRIS.data[::4], IRIS.data[:12] * 3 - 4])


def cases():
    yield from classifiers()
    yield from regressors()
    yield from radius()
    yield from centroids()
    yield from targets()
    yield from curves()
    yield from codes()
    yield from chains()
    yield from accents()
    yield from splines()


def classifiers():
    # The flowers are measured in tenths: many distances tie, and whose vote counts is up to the order of the search.
    for tree in ["kd_tree", "ball_tree"]:
        for k in [1, 2, 5, 8, 20]:
            for leaf in [1, 4, 30]:
                for weights in ["uniform", "distance"]:
                    model = nb.KNeighborsClassifier(k, algorithm=tree, leaf_size=leaf, weights=weights)
                    yield Case("knn_{}_{}_{}_{}".format(tree, k, leaf, weights), model.fit(IRIS.data, IRIS.target), FAR)
        for p in [1, 1.5, 3, np.inf]:
            for weights in ["uniform", "distance"]:
                model = nb.KNeighborsClassifier(6, algorithm=tree, leaf_size=3, p=p, weights=weights)
                yield Case("knn_{}_p{}_{}".format(tree, p, weights), model.fit(IRIS.data, IRIS.target), FAR)
    # Brute force adds up the same distances for these metrics as a tree does.
    for p in [1, 3, np.inf, 0.5] if RECENT else [1, 3, np.inf]:
        for weights in ["uniform", "distance"]:
            model = nb.KNeighborsClassifier(7, algorithm="brute", p=p, weights=weights)
            yield Case("knn_brute_p{}_{}".format(p, weights), model.fit(IRIS.data, IRIS.target), FAR)
    # Euclidean distances of brute force are differences of large numbers: no ties here, and seven digits.
    cancer = CANCER.data[::2] / CANCER.data.std(axis=0)
    asked = CANCER.data[1::12] / CANCER.data.std(axis=0)
    names = np.array(["bad", "good"])[CANCER.target[::2]]
    for weights in ["uniform", "distance"]:
        model = nb.KNeighborsClassifier(9, weights=weights).fit(cancer, names)
        assert model._fit_method == "brute"
        yield Case("knn_auto_brute_{}".format(weights), model, asked, tolerance=1e-9)
    if RECENT:
        # Since 1.3 a plain vote of brute force adds up differences too.
        yield Case("knn_brute_ties", nb.KNeighborsClassifier(6, algorithm="brute").fit(IRIS.data, IRIS.target), FAR)
    # Of whole numbers brute force makes no mistakes: distances tie there as they do in a tree.
    yield Case("knn_digits", nb.KNeighborsClassifier().fit(DIGITS.data[::3], DIGITS.target[::3]), DIGITS.data[1::40])
    yield Case("knn_digits_far", nb.KNeighborsClassifier(3, weights="distance").fit(DIGITS.data, DIGITS.target), DIGITS.data[1::40])
    wine = nb.KNeighborsClassifier(4, leaf_size=7).fit(WINE.data, WINE.target == 1)
    yield Case("knn_bool", wine, WINE.data[::4] + 0.3, form=4)
    frame = pandas.DataFrame(WINE.data[:, :3], columns=["a", "b", "c"])
    named = nb.KNeighborsClassifier(3, metric="chebyshev", algorithm="ball_tree").fit(frame, WINE.target_names[WINE.target])
    yield Case("knn_names", named, frame.iloc[::5], form=2)
    grid = np.array([[x, y] for x in range(9) for y in range(9)], dtype=float)
    colours = (grid[:, 0] * 7 + grid[:, 1] * 3) % 4
    asked = np.array([[x / 2, y / 2] for x in range(7) for y in range(7)]) + 0.5
    for tree in ["kd_tree", "ball_tree", "brute"]:
        for k in [1, 3, 4, 12]:
            model = nb.KNeighborsClassifier(k, algorithm=tree, leaf_size=2).fit(grid, colours)
            yield Case("knn_grid_{}_{}".format(tree, k), model, asked)


def regressors():
    x, y = SUGAR.data, SUGAR.target
    rows = np.vstack([x[::10], x[:5] * 3])
    both = np.c_[y, -2 * y + x[:, 0]]
    for tree in ["kd_tree", "ball_tree", "brute"]:
        for weights in ["uniform", "distance"]:
            for k in [1, 6, 15]:
                model = nb.KNeighborsRegressor(k, algorithm=tree, weights=weights)
                # Of brute force a row that was fitted is not quite at its own place.
                asked, near = (rows * 1.01, 1e-9) if tree == "brute" else (rows, 1e-12)
                yield Case("near_{}_{}_{}".format(tree, k, weights), model.fit(x, y), asked, tolerance=near)
        model = nb.KNeighborsRegressor(4, algorithm=tree, p=1, weights="distance")
        yield Case("near_both_{}".format(tree), model.fit(x, both), rows)
    yield Case("near_column", nb.KNeighborsRegressor(3, algorithm="kd_tree").fit(x, y[:, None]), rows)
    whole = nb.KNeighborsRegressor(3, algorithm="kd_tree", weights="distance").fit(IRIS.data, IRIS.target)
    yield Case("near_whole", whole, FAR)


def radius():
    for method in ["kd_tree", "ball_tree", "brute"]:
        for weights in ["uniform", "distance"]:
            for p in [1, 2, 3] if method != "brute" else [1, 3]:
                name = "{}_{}_p{}".format(method, weights, p)
                options = dict(algorithm=method, weights=weights, p=p, leaf_size=3)
                # Brute force has no outliers here: what it makes of their label is another thing in each release.
                if method == "brute":
                    vote = nb.RadiusNeighborsClassifier(0.7, **options).fit(IRIS.data, IRIS.target)
                    yield Case("radius_" + name, vote, IRIS.data[::3])
                vote = nb.RadiusNeighborsClassifier(0.7, outlier_label="most_frequent", **options)
                if method != "brute":
                    yield Case("radius_" + name, vote.fit(IRIS.data, IRIS.target), FAR)
                mean = nb.RadiusNeighborsRegressor(0.9, **options).fit(IRIS.data, IRIS.data[:, 0] * 3)
                yield Case("radius_mean_" + name, mean, FAR)
    names = nb.RadiusNeighborsClassifier(0.5, outlier_label="virginica", algorithm="kd_tree")
    yield Case("radius_names", names.fit(IRIS.data, IRIS.target_names[IRIS.target]), FAR)


def centroids():
    for metric in ["euclidean", "manhattan"]:
        model = nb.NearestCentroid(metric=metric)
        yield Case("centroid_" + metric, model.fit(IRIS.data, IRIS.target), FAR)
        yield Case("centroid_two_" + metric, nb.NearestCentroid(metric=metric).fit(WINE.data, WINE.target == 1), WINE.data[::4])
    yield Case("centroid_shrunk", nb.NearestCentroid(shrink_threshold=0.3).fit(IRIS.data, IRIS.target_names[IRIS.target]), FAR)
    if RECENT:
        model = nb.NearestCentroid(priors=[0.2, 0.5, 0.3])
        yield Case("centroid_priors", model.fit(IRIS.data, IRIS.target), FAR)
        model = nb.NearestCentroid(metric="manhattan", priors=[0.2, 0.5, 0.3])
        yield Case("centroid_priors_manhattan", model.fit(IRIS.data, IRIS.target), FAR)


def targets():
    x, y = SUGAR.data, SUGAR.target
    rows = np.vstack([x[::10], x[:5] * 30])
    both = np.c_[y, y ** 2 + 1]
    transformers = [
        pp.StandardScaler(), pp.StandardScaler(with_mean=False), pp.MinMaxScaler((-1, 3)), pp.MaxAbsScaler(),
        pp.RobustScaler(), pp.RobustScaler(with_scaling=False), pp.PowerTransformer(), pp.PowerTransformer(standardize=False),
        pp.PowerTransformer(method="box-cox"), pp.QuantileTransformer(n_quantiles=40),
        pp.QuantileTransformer(n_quantiles=60, output_distribution="normal"),
        pp.FunctionTransformer(np.log, np.exp), pp.FunctionTransformer(np.sqrt, np.square),
        pp.FunctionTransformer(),
    ]
    for at, transformer in enumerate(transformers):
        name = "target_{}_{}".format(type(transformer).__name__, at)
        model = TransformedTargetRegressor(lm.Ridge(), transformer=transformer)
        yield Case(name, model.fit(x, y), rows, tolerance=1e-11)
        yield Case(name + "_both", model.fit(x, both), rows, tolerance=1e-11)
    yield Case("target_functions", TransformedTargetRegressor(func=np.log1p, inverse_func=np.expm1).fit(x, y), rows)
    yield Case("target_column", TransformedTargetRegressor(lm.Ridge(), transformer=pp.StandardScaler()).fit(x, y[:, None]), rows)
    yield Case("target_nothing", TransformedTargetRegressor().fit(x, y), rows)
    piped = make_pipeline(pp.StandardScaler(), lm.Lasso(0.1))
    frame = pandas.DataFrame(x, columns=SUGAR.feature_names)
    model = TransformedTargetRegressor(piped, func=np.log2, inverse_func=np.exp2).fit(frame, y)
    yield Case("target_piped", model, frame.iloc[::9])
    model = make_pipeline(pp.StandardScaler(), TransformedTargetRegressor(nb.KNeighborsRegressor(3), transformer=pp.MinMaxScaler()))
    yield Case("target_in_pipe", model.fit(x, y), rows)


def curves():
    x, y = SUGAR.data[:, 2], SUGAR.target
    rows = np.sort(np.r_[x[:30], np.linspace(-0.2, 0.3, 20)])[:, None]
    for beyond in ["nan", "clip"]:
        for up in [True, False]:
            yield Case("isotonic_{}_{}".format(beyond, up), IsotonicRegression(out_of_bounds=beyond, increasing=up).fit(x, y), rows)
    inside = x[(x > x.min()) & (x < x.max())][:50, None]
    yield Case("isotonic_raise", IsotonicRegression(out_of_bounds="raise", y_min=100, y_max=200).fit(x, y), inside)
    yield Case("isotonic_one", IsotonicRegression().fit([1.0, 1.0], [2.0, 4.0]), rows)
    yield Case("isotonic_flat", IsotonicRegression(out_of_bounds="nan").fit([1.0, 2.0], [2.0, 2.0]), rows * 10)


def codes():
    models = [
        lm.LogisticRegression(max_iter=1000), LinearSVC(max_iter=20000, random_state=0), GaussianNB(), SVC(C=0.1),
        make_pipeline(pp.StandardScaler(), lm.Perceptron()), nb.KNeighborsClassifier(3, algorithm="kd_tree"),
    ]
    for at, model in enumerate(models):
        yield Case("pairs_{}".format(at), mc.OneVsOneClassifier(model).fit(IRIS.data, IRIS.target), FAR)
        names = mc.OneVsOneClassifier(model).fit(WINE.data, WINE.target_names[WINE.target])
        yield Case("pairs_names_{}".format(at), names, WINE.data[::4])
        two = mc.OneVsOneClassifier(model).fit(IRIS.data, IRIS.target == 1)
        yield Case("pairs_two_{}".format(at), two, FAR, form=4)
        code = mc.OutputCodeClassifier(model, code_size=2.5, random_state=1)
        yield Case("code_{}".format(at), code.fit(IRIS.data, IRIS.target), FAR)
    digits = mc.OneVsOneClassifier(lm.RidgeClassifier()).fit(DIGITS.data[::4], DIGITS.target[::4])
    yield Case("pairs_digits", digits, DIGITS.data[1::40])
    digits = mc.OutputCodeClassifier(lm.RidgeClassifier(), code_size=3, random_state=0).fit(DIGITS.data[::4], DIGITS.target[::4])
    yield Case("code_digits", digits, DIGITS.data[1::40])


def chains():
    many = np.c_[IRIS.target == 0, IRIS.target == 1, IRIS.data[:, 0] > 5.8].astype(int)
    for at, model in enumerate([lm.LogisticRegression(max_iter=1000), GaussianNB(), LinearSVC(max_iter=20000, random_state=0)]):
        chain = ClassifierChain(model, order=[2, 0, 1])
        yield Case("chain_{}".format(at), chain.fit(IRIS.data, many), FAR)
        yield Case("chain_plain_{}".format(at), ClassifierChain(model).fit(IRIS.data, many), FAR, form=4)
    if RECENT:
        for method in ["predict_proba", "decision_function"]:
            chain = ClassifierChain(lm.LogisticRegression(max_iter=1000), order="random", random_state=3, chain_method=method)
            yield Case("chain_by_" + method, chain.fit(IRIS.data, many), FAR)
    x, y = SUGAR.data, np.c_[SUGAR.target, -SUGAR.target ** 2 / 100, SUGAR.data[:, 0]]
    for at, model in enumerate([lm.Ridge(), nb.KNeighborsRegressor(3)]):
        yield Case("chain_numbers_{}".format(at), RegressorChain(model, order=[1, 2, 0]).fit(x, y), x[::9])
        yield Case("chain_folds_{}".format(at), RegressorChain(model, cv=3).fit(x, y), x[::9])


def accents():
    words = [
        "Été à la plage", "ÅNGSTRÖM naïve façade", "ﬁne ﬂuid ½ x² ①", "Ελληνικά ΆΈ", "한국어 텍스트", "日本語 ガ ｶﾞ", "Việt Nam tiếng",
        "İstanbul ıI", "plain ascii text", "e\u0301te\u0301 a\u030a", "ЁЖ й Й", "हिन्दी नमस्ते", "عَرَبِيّ", "\u00a0no\u2009break\u2003space", "ß ẞ œuvre æ ø Ł",
        "a\u0308\u0323 \u1e09", "𝔘𝔫𝔦𝔠𝔬𝔡𝔢 𝟙𝟚", "\u0344 \u0387 \u212b", "שָׁלוֹם", "ไทย กำ",
    ]
    texts = [a + " " + b for a in words for b in words[:3]][:50]
    for kind in ["unicode", "ascii"]:
        for at, options in enumerate([dict(), dict(analyzer="char", ngram_range=(1, 3)), dict(analyzer="char_wb", ngram_range=(2, 3)), dict(lowercase=False, ngram_range=(1, 2))]):
            yield Case("accents_{}_{}".format(kind, at), CountVectorizer(strip_accents=kind, **options).fit(texts), texts)
        yield Case("accents_weighed_" + kind, TfidfVectorizer(strip_accents=kind, stop_words=["ete", "la"], ngram_range=(1, 2)).fit(texts), texts)
        yield Case("accents_hashed_" + kind, HashingVectorizer(n_features=64, strip_accents=kind), texts)


def splines():
    x = IRIS.data
    inside = x[(x > x.min(axis=0)).all(axis=1) & (x < x.max(axis=0)).all(axis=1)][:50]
    for kind in ["constant", "linear", "continue", "periodic", "error"]:
        for degree in [1, 2, 3, 5]:
            if kind == "linear" and degree == 1:
                continue
            for knots in ["uniform", "quantile"]:
                model = pp.SplineTransformer(6, degree=degree, extrapolation=kind, knots=knots, include_bias=degree != 2)
                rows = inside if kind == "error" else FAR
                yield Case("spline_{}_{}_{}".format(kind, degree, knots), model.fit(x), rows)
    yield Case("spline_line", pp.SplineTransformer(4, degree=1, extrapolation="linear").fit(x[:, :1]), FAR[:, :1])
    model = make_pipeline(pp.SplineTransformer(), lm.Ridge()).fit(SUGAR.data, SUGAR.target)
    yield Case("spline_ridge", model, SUGAR.data[::9] * 1.3)
    if RECENT:
        rows = FAR.copy()
        rows[::7, 1] = np.nan
        yield Case("spline_missing", pp.SplineTransformer(handle_missing="zeros").fit(x), rows)
