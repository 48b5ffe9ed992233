"""Naive Bayes, discriminant analysis, neural networks, clusters, decompositions."""

import numpy as np
from sklearn.cluster import KMeans, MiniBatchKMeans
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits, load_iris, load_wine
from sklearn.decomposition import PCA, IncrementalPCA, TruncatedSVD
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis, QuadraticDiscriminantAnalysis
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import BernoulliNB, ComplementNB, GaussianNB, MultinomialNB
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from case import Case

IRIS, WINE, SUGAR, CANCER = load_iris(), load_wine(), load_diabetes(), load_breast_cancer()
DIGITS = load_digits()


def cases():
    yield from bayes()
    yield from discriminant()
    yield from networks()
    yield from clusters()
    yield from decompositions()


def bayes():
    iris = np.vstack([IRIS.data[::4], IRIS.data[:12] + 3])
    yield Case("gaussian", GaussianNB().fit(IRIS.data, IRIS.target), iris)
    yield Case("gaussian_binary", GaussianNB(priors=[0.3, 0.7]).fit(CANCER.data, CANCER.target), CANCER.data[::12][:50])
    yield Case("gaussian_text", GaussianNB(var_smoothing=1e-3).fit(WINE.data, WINE.target.astype(str)), WINE.data[::4], form=3)
    x, y = DIGITS.data[:600], DIGITS.target[:600]
    rows = DIGITS.data[600:1600:20]
    for at, model in enumerate([MultinomialNB(), MultinomialNB(alpha=0.1, fit_prior=False), ComplementNB(),
                                ComplementNB(norm=True), BernoulliNB(), BernoulliNB(binarize=7.5)]):
        yield Case("counts_{}".format(at), model.fit(x, y), rows)
        two = y < 2
        yield Case("counts_two_{}".format(at), model.__class__(**model.get_params()).fit(x[two], y[two] == 1), rows)
    yield Case("bernoulli_bits", BernoulliNB(binarize=None).fit((x > 7) * 1.0, y), (rows > 7) * 1.0)


def discriminant():
    iris = np.vstack([IRIS.data[::4], IRIS.data[:12] + 3])
    for at, model in enumerate([LinearDiscriminantAnalysis(), LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto"),
                                QuadraticDiscriminantAnalysis(), QuadraticDiscriminantAnalysis(reg_param=0.1)]):
        # Quadratic decisions far away are differences of large numbers.
        rows = iris if at < 2 else IRIS.data[::3]
        yield Case("discriminant_{}".format(at), model.fit(IRIS.data, IRIS.target), rows, METHODS, tolerance=1e-10)
        two = model.__class__(**model.get_params()).fit(IRIS.data[50:], IRIS.target[50:])
        yield Case("discriminant_two_{}".format(at), two, rows, METHODS, tolerance=1e-10)


METHODS = ["predict", "predict_proba", "decision_function"]


def networks():
    rows = np.vstack([IRIS.data[::4], IRIS.data[:12] * 10])
    for activation in ["identity", "logistic", "tanh", "relu"]:
        model = MLPClassifier((8, 5), activation=activation, max_iter=200, random_state=0)
        yield Case("mlp_" + activation, model.fit(IRIS.data, IRIS.target_names[IRIS.target]), rows)
        model = MLPClassifier((6,), activation=activation, max_iter=200, random_state=0)
        yield Case("mlp_two_" + activation, model.fit(IRIS.data, IRIS.target == 2), rows)
        model = MLPRegressor(hidden_layer_sizes=(6,), activation=activation, max_iter=200, random_state=0)
        yield Case("mlp_number_" + activation, model.fit(SUGAR.data, SUGAR.target), SUGAR.data[::9])
    model = MLPRegressor(hidden_layer_sizes=(4, 4, 4), max_iter=300, random_state=0)
    yield Case("mlp_numbers", model.fit(SUGAR.data, np.c_[SUGAR.target, SUGAR.data[:, :2]]), SUGAR.data[::9])


    try:
        model = MLPRegressor("poisson", hidden_layer_sizes=(4,), max_iter=300, random_state=0)
    except TypeError:
        return
    if "loss" in model.get_params():
        yield Case("mlp_poisson", model.fit(SUGAR.data, SUGAR.target), SUGAR.data[::9])


def clusters():
    for at, model in enumerate([KMeans(3, n_init=2, random_state=0), KMeans(7, n_init=2, random_state=1),
                                MiniBatchKMeans(4, n_init=2, random_state=0)]):
        model.fit(IRIS.data)
        # Distances are roots of differences of squares, in scikit-learn as here.
        yield Case("kmeans_{}".format(at), model, IRIS.data[::3], ["predict", "transform"], tolerance=1e-9)


def decompositions():
    for at, model in enumerate([PCA(2), PCA(3, whiten=True), PCA(0.95), IncrementalPCA(2), TruncatedSVD(2, random_state=0)]):
        yield Case("components_{}".format(at), model.fit(WINE.data), WINE.data[::4], ["transform"], tolerance=1e-10)
    pipe = make_pipeline(StandardScaler(), PCA(5), LogisticRegression(max_iter=1000)).fit(WINE.data, WINE.target)
    yield Case("components_pipeline", pipe, WINE.data[::4])
    yield Case("svd_pipeline", make_pipeline(TruncatedSVD(9, random_state=0), LogisticRegression(max_iter=3000)).fit(
        DIGITS.data[:400], DIGITS.target[:400]), DIGITS.data[400:1400:20])
