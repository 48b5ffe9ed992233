"""Scalers, features of features, selections."""

import numpy as np
from sklearn import preprocessing as pre
from sklearn.datasets import load_breast_cancer, load_digits, load_iris, load_wine
from sklearn.feature_selection import (RFE, SelectFromModel, SelectFpr, SelectKBest, SelectPercentile, VarianceThreshold,
                                       chi2, f_classif)
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from case import Case

IRIS, WINE, CANCER, DIGITS = load_iris(), load_wine(), load_breast_cancer(), load_digits()


def cases():
    rows = np.vstack([WINE.data[::4], WINE.data[:5] * -1e3])
    gaps = rows.copy()
    gaps[::7, 3] = np.nan
    for at, model in enumerate([
        pre.StandardScaler(), pre.StandardScaler(with_mean=False), pre.StandardScaler(with_std=False),
        pre.StandardScaler(with_mean=False, with_std=False), pre.MinMaxScaler(), pre.MinMaxScaler((-2, 5), clip=True),
        pre.MaxAbsScaler(), pre.RobustScaler(), pre.RobustScaler(with_centering=False, quantile_range=(10, 80)),
        pre.RobustScaler(with_scaling=False), pre.PowerTransformer(), pre.PowerTransformer(standardize=False),
    ]):
        yield Case("column_{}".format(at), model.fit(WINE.data), gaps, tolerance=1e-11 if at >= 10 else 1e-12)
    for at, model in enumerate([
        pre.Normalizer(), pre.Normalizer("l1"), pre.Normalizer("max"), pre.Binarizer(), pre.Binarizer(threshold=2.5),
        pre.PolynomialFeatures(), pre.PolynomialFeatures(3, interaction_only=True), pre.PolynomialFeatures((2, 3), include_bias=False),
        pre.FunctionTransformer(np.log1p), pre.FunctionTransformer(np.sqrt), pre.FunctionTransformer(),
        pre.FunctionTransformer(np.square, validate=True),
    ]):
        some = np.vstack([WINE.data[::4, :5], [[0.0] * 5]])
        if isinstance(model, pre.FunctionTransformer):
            # Before 1.2 it did not note how many columns it takes: the step behind it does.
            model = make_pipeline(model, pre.MaxAbsScaler())
        yield Case("row_{}".format(at), model.fit(WINE.data[:, :5]), some, form=4)
    boxcox = pre.PowerTransformer("box-cox").fit(WINE.data)
    yield Case("boxcox", boxcox, WINE.data[::4], tolerance=1e-11)
    for at, model in enumerate([
        VarianceThreshold(0.5), SelectKBest(f_classif, k=3), SelectKBest(chi2, k="all"), SelectPercentile(percentile=40),
        SelectFpr(alpha=1e-8), RFE(LogisticRegression(max_iter=2000), n_features_to_select=4),
        SelectFromModel(LogisticRegression(max_iter=2000)), SelectFromModel(LogisticRegression(max_iter=2000), threshold="median"),
        SelectFromModel(LogisticRegression(penalty="l1", solver="saga", C=0.05, max_iter=300)),
    ]):
        yield Case("select_{}".format(at), model.fit(WINE.data, WINE.target), WINE.data[::4], ["transform"])
    x, y = DIGITS.data[:500], DIGITS.target[:500]
    # Many columns of zeros: scores that are no number, and ties.
    yield Case("select_digits", SelectKBest(chi2, k=40).fit(x, y), DIGITS.data[500:1500:20])
    yield Case("select_digits_percentile", SelectPercentile(chi2, percentile=50).fit(x, y), DIGITS.data[500:1500:20])
    for at, steps in enumerate([
        [pre.MinMaxScaler(), pre.PolynomialFeatures(2)], [pre.Normalizer()], [VarianceThreshold(0.1), pre.RobustScaler()],
        [pre.PowerTransformer()], [pre.Binarizer(threshold=2)],
    ]):
        model = make_pipeline(*steps, LogisticRegression(max_iter=3000))
        yield Case("pipeline_{}".format(at), model.fit(IRIS.data, IRIS.target), IRIS.data[::3])
