"""Columns, unions, searches, models around models."""

import numpy as np
import pandas
from sklearn import preprocessing as pre
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer, make_column_transformer
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris, load_wine
from sklearn.decomposition import PCA
from sklearn.feature_selection import SelectKBest
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge, RidgeClassifier
from sklearn.model_selection import GridSearchCV, RandomizedSearchCV
from sklearn.multiclass import OneVsRestClassifier
from sklearn.multioutput import MultiOutputClassifier, MultiOutputRegressor
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import FeatureUnion, Pipeline, make_pipeline
from sklearn.svm import SVC, LinearSVC

from case import Case

IRIS, WINE, SUGAR, CANCER = load_iris(), load_wine(), load_diabetes(), load_breast_cancer()
RANDOM = np.random.RandomState(1)
PEOPLE = pandas.DataFrame({
    "age": RANDOM.randint(16, 80, 200).astype(float), "job": RANDOM.choice(["nurse", "clerk", "smith"], 200).astype(object),
    "town": RANDOM.choice(["york", "bath"], 200).astype(object), "pay": np.round(RANDOM.exponential(30.0, 200), 2),
    "note": RANDOM.choice(["x", "y"], 200).astype(object)})
TARGET = (PEOPLE.pay > 25) ^ (PEOPLE.job == "smith")


def cases():
    yield from columns()
    yield from unions()
    yield from around()


def columns():
    gaps = PEOPLE.copy()
    gaps.loc[::9, "age"] = np.nan
    numbers = make_pipeline(SimpleImputer(strategy="median"), pre.StandardScaler())
    words = pre.OneHotEncoder(handle_unknown="ignore")
    for at, remainder in enumerate(["drop", "passthrough"]):
        kept = gaps if remainder == "drop" else gaps.drop(columns=["note"])
        mixed = ColumnTransformer([("numbers", numbers, ["age"]), ("words", words, ["job", "town"])], remainder=remainder)
        model = Pipeline([("columns", mixed), ("clf", LogisticRegression(max_iter=1000))]).fit(kept, TARGET)
        yield Case("people_{}".format(at), model, kept[:50])
        lists = Case("people_lists_{}".format(at), mixed.fit(kept), kept[:50])
        yield lists
    some = make_column_transformer((pre.StandardScaler(), [0, 2]), (pre.KBinsDiscretizer(3), slice(3, 6)), ("passthrough", [7]),
                                   (pre.MinMaxScaler(), np.arange(13) > 10))
    yield Case("places", some.fit(WINE.data), WINE.data[::4])
    yield Case("places_model", make_pipeline(some, LogisticRegression(max_iter=2000)).fit(WINE.data, WINE.target), WINE.data[::4])
    rest = make_column_transformer((pre.StandardScaler(), [1]), remainder=pre.MinMaxScaler())
    yield Case("rest", rest.fit(WINE.data), WINE.data[::4])
    names = pandas.DataFrame(WINE.data[:, :4], columns=["a", "b", "c", "d"])
    named = ColumnTransformer([("s", pre.StandardScaler(), ["d", "a"]), ("p", "passthrough", ["b"])])
    yield Case("named", named.fit(names), names[::4])
    after = make_pipeline(pre.StandardScaler(), ColumnTransformer([("pca", PCA(2), [0, 1, 2]), ("keep", "passthrough", [5, 6])]), GaussianNB())
    yield Case("after", after.fit(WINE.data, WINE.target), WINE.data[::4])


def unions():
    union = FeatureUnion([("pca", PCA(2)), ("best", SelectKBest(k=3)), ("off", "drop")])
    yield Case("union", union.fit(WINE.data, WINE.target), WINE.data[::4])
    weighted = FeatureUnion([("pca", PCA(2)), ("scale", pre.StandardScaler())], transformer_weights={"pca": 0.5, "scale": 3})
    yield Case("union_weights", weighted.fit(WINE.data), WINE.data[::4])
    yield Case("union_model", make_pipeline(union, LogisticRegression(max_iter=3000)).fit(WINE.data, WINE.target), WINE.data[::4])
    hot = FeatureUnion([("hot", pre.OneHotEncoder(handle_unknown="ignore")), ("bins", pre.KBinsDiscretizer(2))])
    steps = np.floor(WINE.data[:, :3])
    yield Case("union_sparse", make_pipeline(hot, Ridge()).fit(steps, WINE.target), steps[::4])


def around():
    x, y = IRIS.data, IRIS.target_names[IRIS.target]
    rows = x[::3]
    grid = GridSearchCV(make_pipeline(pre.StandardScaler(), SVC()), {"svc__C": [0.5, 2]}, cv=3)
    yield Case("search_grid", grid.fit(x, y), rows)
    yield Case("search_random", RandomizedSearchCV(LogisticRegression(max_iter=2000), {"C": [0.1, 1, 10]}, n_iter=2, random_state=0).fit(x, y), rows)
    for at, inner in enumerate([LogisticRegression(max_iter=1000), LinearSVC(max_iter=20000), GaussianNB(), RidgeClassifier(),
                                make_pipeline(pre.MinMaxScaler(), SVC())]):
        yield Case("rest_three_{}".format(at), OneVsRestClassifier(inner).fit(x, y), rows)
        yield Case("rest_two_{}".format(at), OneVsRestClassifier(inner).fit(x, y == "setosa"), rows)
    both = np.c_[IRIS.target, IRIS.target == 1]
    yield Case("outputs_classes", MultiOutputClassifier(LogisticRegression(max_iter=1000)).fit(x, both), rows, ["predict"])
    yield Case("outputs_names", MultiOutputClassifier(GaussianNB()).fit(x, np.c_[y, y[::-1]]), rows, ["predict"])
    yield Case("outputs_numbers", MultiOutputRegressor(Ridge()).fit(SUGAR.data, np.c_[SUGAR.target, SUGAR.data[:, 0]]), SUGAR.data[::9])
    for method in ["sigmoid", "isotonic"]:
        for at, inner in enumerate([LinearSVC(max_iter=20000), GaussianNB(), SVC(), LogisticRegression(max_iter=1000)]):
            yield Case("calibrated_{}_{}".format(method, at), CalibratedClassifierCV(inner, method=method, cv=3).fit(x, y), rows, tolerance=1e-11)
            two = CalibratedClassifierCV(inner, method=method, cv=3).fit(CANCER.data[:, :5], CANCER.target)
            yield Case("calibrated_two_{}_{}".format(method, at), two, CANCER.data[::12, :5], tolerance=1e-11)
