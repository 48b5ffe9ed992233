"""Linear models."""

import numpy as np
import sklearn
from sklearn import linear_model as lm
from sklearn import svm
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris

from case import Case

IRIS, CANCER, SUGAR = load_iris(), load_breast_cancer(), load_diabetes()
BINARY = IRIS.target == 1


def cases():
    yield from regressors()
    yield from classifiers()


def regressors():
    x, y = SUGAR.data, SUGAR.target
    rows = np.vstack([x[::10][:45], x[:5] * 1e4])
    models = [
        lm.LinearRegression(), lm.LinearRegression(fit_intercept=False), lm.Ridge(alpha=0.5), lm.RidgeCV(),
        lm.Lasso(alpha=0.1), lm.LassoCV(cv=3), lm.ElasticNet(alpha=0.01), lm.ElasticNetCV(cv=3), lm.Lars(),
        lm.LassoLars(alpha=0.1), lm.OrthogonalMatchingPursuit(n_nonzero_coefs=4), lm.BayesianRidge(), lm.ARDRegression(),
        lm.HuberRegressor(max_iter=1000), lm.TheilSenRegressor(random_state=0), lm.SGDRegressor(random_state=0),
        svm.LinearSVR(random_state=0, max_iter=5000), lm.QuantileRegressor(alpha=0.01, solver="highs"),
    ]
    if hasattr(lm, "PassiveAggressiveRegressor"):
        models.append(lm.PassiveAggressiveRegressor(random_state=0))
    for at, model in enumerate(models):
        yield Case("{}_{}".format(name(model), at), model.fit(x, y), rows)
    both = np.c_[y, -2 * y + x[:, 0]]
    for at, model in enumerate([lm.LinearRegression(), lm.Ridge(), lm.MultiTaskLasso(), lm.MultiTaskElasticNet()]):
        yield Case("{}_both_{}".format(name(model), at), model.fit(x, both), rows)
    yield Case("LinearRegression_column", lm.LinearRegression().fit(x, y[:, None]), rows)
    glms = [
        lm.PoissonRegressor(), lm.GammaRegressor(), lm.TweedieRegressor(power=0), lm.TweedieRegressor(power=1.5),
        lm.TweedieRegressor(power=0, link="log"),
    ]
    for at, model in enumerate(glms):
        yield Case("{}_glm_{}".format(name(model), at), model.fit(x, y), rows[:45])


def classifiers():
    rows = np.vstack([IRIS.data[::4], IRIS.data[:12] * 100 - 300])
    for penalty in [0.1, 1.0, 100.0]:
        yield Case("logistic_c{}".format(penalty), lm.LogisticRegression(C=penalty, max_iter=1000).fit(IRIS.data, IRIS.target), rows)
    named = lm.LogisticRegression(max_iter=1000).fit(IRIS.data, IRIS.target_names[IRIS.target])
    yield Case("logistic_named", named, rows)
    yield Case("logistic_binary", lm.LogisticRegression(max_iter=1000).fit(IRIS.data, BINARY), rows, form=4)
    yield Case("logistic_cv", lm.LogisticRegressionCV(Cs=3, cv=3, max_iter=2000).fit(IRIS.data, IRIS.target), rows)
    logs = "log_loss" if sklearn.__version__ >= "1.1" else "log"
    models = [
        lm.RidgeClassifier(), lm.RidgeClassifierCV(), lm.Perceptron(random_state=0), svm.LinearSVC(max_iter=20000, random_state=0),
        lm.SGDClassifier(random_state=0), lm.SGDClassifier(loss=logs, random_state=0),
        lm.SGDClassifier(loss="modified_huber", random_state=0), lm.SGDClassifier(loss="squared_hinge", random_state=0),
    ]
    if hasattr(lm, "PassiveAggressiveClassifier"):
        models.append(lm.PassiveAggressiveClassifier(random_state=0))
    for at, model in enumerate(models):
        yield Case("{}_three_{}".format(name(model), at), model.fit(IRIS.data, IRIS.target), rows)
        yield Case("{}_two_{}".format(name(model), at), model.fit(IRIS.data, IRIS.target_names[BINARY.astype(int)]), rows, form=2)


def name(model):
    return type(model).__name__
