"""Makes small PMML models and what the JPMML evaluator answers to some rows, beside what scikit-learn, XGBoost and LightGBM do.

    pip install sklearn2pmml==0.133.1 jpmml_evaluator==0.16.0 scikit-learn==1.9.0 xgboost==3.2.0 lightgbm==4.7.0 pandas
    python make.py

Needs Java 11 or later: the converter and the evaluator are written in it. Beside a model `NAME.pmml` stands `NAME.golden`, lines of
a word, a tab and JSON: `rows` that are asked, as objects, and each output by its name, row by row. The models in `written` are
written by hand, each with its rows in `NAME.rows`.
"""

import json
import re
import sys
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
from jpmml_evaluator import make_evaluator
from lightgbm import LGBMClassifier, LGBMRegressor
from sklearn.cluster import KMeans
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import (
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    IsolationForest,
    RandomForestClassifier,
    RandomForestRegressor,
    VotingClassifier,
)
from sklearn.impute import SimpleImputer
from sklearn.linear_model import ElasticNet, LinearRegression, LogisticRegression, PoissonRegressor
from sklearn.naive_bayes import GaussianNB
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.preprocessing import (
    Binarizer,
    FunctionTransformer,
    KBinsDiscretizer,
    MaxAbsScaler,
    MinMaxScaler,
    OneHotEncoder,
    OrdinalEncoder,
    PolynomialFeatures,
    RobustScaler,
    StandardScaler,
)
from sklearn.svm import SVC, SVR, LinearSVC
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor
from sklearn2pmml import sklearn2pmml
from sklearn2pmml.pipeline import PMMLPipeline
from xgboost import XGBClassifier, XGBRegressor

warnings.filterwarnings("ignore")

HERE = Path(__file__).parent
RNG = np.random.default_rng(7)
N = 90
NUMBERS = ["a", "b", "c"]
X = pd.DataFrame({name: RNG.normal(0, 2, N).round(2) for name in NUMBERS})
MIXED = X.assign(colour=RNG.choice(["red", "green", "blue"], N), size=RNG.integers(0, 5, N).astype(float))
Y2 = pd.Series(np.where(X.a + X.b * X.c > 0, "yes", "no"), name="y")
Y3 = pd.Series(np.digitize(X.a - X.b, [-1.5, 1.5]), name="y")
YR = pd.Series((X.a * 2 - X.b + X.c**2 / 3 + RNG.normal(0, 0.3, N)).round(3), name="y")
ASKED = 14


def mixed(last):
    return PMMLPipeline(
        [
            (
                "columns",
                ColumnTransformer(
                    [
                        ("hot", OneHotEncoder(), ["colour"]),
                        ("scale", StandardScaler(), ["a", "b"]),
                        ("range", MinMaxScaler(), ["c"]),
                        ("bins", KBinsDiscretizer(3, encode="ordinal", strategy="uniform"), ["size"]),
                    ]
                ),
            ),
            ("last", last),
        ]
    )


def plain(last, *before):
    steps = [("step{}".format(at), it) for at, it in enumerate(before)]
    return PMMLPipeline([*steps, ("last", last)])


def impute(frame):
    frame = frame.copy()
    for column in frame.columns:
        frame.loc[frame.index % 5 == list(frame.columns).index(column), column] = np.nan
    return frame


CASES = {
    "tree": (plain(DecisionTreeClassifier(max_depth=3)), X, Y3),
    "tree-text": (plain(DecisionTreeClassifier(max_depth=3)), X, Y2),
    "tree-regression": (plain(DecisionTreeRegressor(max_depth=3)), X, YR),
    "forest": (plain(RandomForestClassifier(n_estimators=4, max_depth=3, random_state=1)), X, Y3),
    "forest-regression": (plain(RandomForestRegressor(4, max_depth=3, random_state=1)), X, YR),
    "boosting": (plain(GradientBoostingClassifier(n_estimators=4, max_depth=2)), X, Y2),
    "boosting-three": (plain(GradientBoostingClassifier(n_estimators=2, max_depth=2)), X, Y3),
    "boosting-regression": (plain(GradientBoostingRegressor(n_estimators=4, max_depth=2)), X, YR),
    "linear": (plain(LinearRegression()), X, YR),
    "elastic": (mixed(ElasticNet(alpha=0.01)), MIXED, YR),
    "poisson": (plain(PoissonRegressor()), X, YR.abs()),
    "logistic": (plain(LogisticRegression()), X, Y2),
    "logistic-three": (plain(LogisticRegression(), StandardScaler()), X, Y3),
    "mixed": (mixed(LogisticRegression()), MIXED, Y2),
    "mixed-tree": (mixed(DecisionTreeClassifier(max_depth=4)), MIXED, Y3),
    "imputed": (plain(LinearRegression(), SimpleImputer(), MaxAbsScaler()), impute(X), YR),
    "imputed-forest": (
        plain(RandomForestClassifier(n_estimators=3, max_depth=3, random_state=2), SimpleImputer(strategy="median")),
        impute(X),
        Y3,
    ),
    "polynomial": (plain(LinearRegression(), RobustScaler(), PolynomialFeatures(2)), X, YR),
    "binarized": (plain(LogisticRegression(), Binarizer(threshold=0.5)), X, Y2),
    "absolute": (plain(LinearRegression(), FunctionTransformer(np.absolute), FunctionTransformer(np.log1p)), X, YR),
    "ordinal": (
        PMMLPipeline([("c", ColumnTransformer([("o", OrdinalEncoder(), ["colour"])], remainder="passthrough")),
                      ("last", DecisionTreeRegressor(max_depth=4))]),
        MIXED,
        YR,
    ),
    "bayes": (plain(GaussianNB()), X, Y3),
    "clusters": (plain(KMeans(3, n_init=1, random_state=1)), X, None),
    "network": (plain(MLPClassifier(hidden_layer_sizes=(5, 4), max_iter=300, random_state=1), StandardScaler()), X, Y3),
    "network-two": (plain(MLPClassifier(hidden_layer_sizes=(4,), activation="tanh", max_iter=300, random_state=1)), X, Y2),
    "network-regression": (plain(MLPRegressor(hidden_layer_sizes=(4,), activation="logistic", max_iter=900, random_state=1)), X, YR),
    "vectors": (plain(SVC(), StandardScaler()), X[:30], Y2[:30]),
    "vectors-three": (plain(SVC(kernel="poly", degree=2)), X[:30], Y3[:30]),
    "vectors-regression": (plain(SVR(kernel="sigmoid", gamma=0.1)), X[:30], YR[:30]),
    "vectors-linear": (plain(LinearSVC()), X, Y3),
    "isolation": (plain(IsolationForest(n_estimators=3, max_samples=8, random_state=1)), X, None),
    "voting": (
        plain(VotingClassifier([("a", LogisticRegression()), ("b", DecisionTreeClassifier(max_depth=2))], voting="soft")),
        X,
        Y3,
    ),
    "xgboost": (plain(XGBClassifier(n_estimators=3, max_depth=2)), impute(X), Y3),
    "xgboost-two": (plain(XGBClassifier(n_estimators=4, max_depth=3)), X, (Y2 == "yes").astype(int).rename("y")),
    "xgboost-regression": (plain(XGBRegressor(n_estimators=4, max_depth=3)), impute(X), YR),
    "lightgbm": (plain(LGBMClassifier(n_estimators=2, num_leaves=4, verbose=-1)), X, Y3),
    "lightgbm-two": (plain(LGBMClassifier(n_estimators=3, num_leaves=5, verbose=-1)), X, Y2),
    "lightgbm-regression": (plain(LGBMRegressor(n_estimators=3, num_leaves=5, verbose=-1)), impute(X), YR),
}


def rows_of(frame):
    frame = frame.iloc[:ASKED]
    return [{k: None if v != v else v for k, v in row.items()} for row in frame.to_dict(orient="records")]


def answers(path, rows):
    """The evaluator's answers, an output a key."""
    evaluator = make_evaluator(str(path), backend="py4j")
    columns = {}
    for at, row in enumerate(rows):
        # An empty text is a missing value.
        row = {key: None if value == "" else value for key, value in row.items()}
        for name, value in evaluator.evaluate(row).items():
            # Where the file has no name for what is predicted, the evaluator has none either.
            column = columns.setdefault(name or "predict", [None] * len(rows))
            column[at] = value
    return columns


def compare(name, model, frame, columns):
    """What the framework itself answers must be the same, but for the digits that are lost on the way."""
    frame = frame.iloc[:ASKED]
    if hasattr(model, "predict") and name not in ("isolation",):
        own = list(model.predict(frame))
        got = next(iter(columns.values()))
        for left, right in zip(own, got):
            if isinstance(left, str) or name == "clusters":
                assert str(left) == str(right), (name, left, right)
            else:
                assert abs(float(left) - float(right)) <= 1e-5 * max(1, abs(float(left))), (name, left, right)
    if hasattr(model, "predict_proba"):
        for at, label in enumerate(model.classes_):
            got = columns.get("probability({})".format(label))
            own = model.predict_proba(frame)[:, at]
            assert got is not None and np.allclose(own, np.array(got, dtype=float), atol=1e-5), (name, own, got)


def bare(path):
    """Leaves out what tells when and where the file was made."""
    text = path.read_text(encoding="utf-8")
    text = re.sub(r"\s*<Timestamp>.*?</Timestamp>", "", text)
    text = re.sub(r"<(Application|Extension)[^>]*/>\s*", "", text)
    text = re.sub(r">\s*<", "><", text.replace("\t", ""))
    path.write_text(text, encoding="utf-8")


def write(path, rows, columns):
    lines = [("rows", rows), *columns.items()]
    text = "".join("{}\t{}\n".format(word, json.dumps(value)) for word, value in lines)
    path.with_suffix(".golden").write_text(text, encoding="utf-8")


def main(only):
    for name, (pipeline, frame, y) in CASES.items():
        if only and name not in only:
            continue
        path = HERE / (name + ".pmml")
        try:
            pipeline.fit(frame, y) if y is not None else pipeline.fit(frame)
            sklearn2pmml(pipeline, str(path))
            bare(path)
            columns = answers(path, rows_of(frame))
            compare(name, pipeline, frame, columns)
            write(path, rows_of(frame), columns)
        except Exception as error:
            print(name, "FAILED", str(error)[-300:])
    for path in sorted((HERE / "written").glob("*.pmml")):
        if only and path.stem not in only:
            continue
        rows = json.loads(path.with_suffix(".rows").read_text(encoding="utf-8"))
        try:
            write(path, rows, answers(path, rows))
        except Exception as error:
            print(path.name, "FAILED", str(error)[-400:])


if __name__ == "__main__":
    main(sys.argv[1:])
