"""Golden models of scikit-learn, XGBoost and LightGBM, converted to ONNX, and what ONNX Runtime answers.

    python skl.py OUT    # writes to the folder OUT, which is called `onnx-VERSION`

Models and answers have the form that `library.py` tells of.
"""

import json
import pathlib
import sys
import warnings

import numpy as np
import onnx
import onnxruntime as ort
from onnxmltools.convert import convert_lightgbm, convert_xgboost
from onnxmltools.convert.common.data_types import FloatTensorType as BoosterFloats
from skl2onnx import to_onnx
from skl2onnx.common.data_types import DoubleTensorType, FloatTensorType, Int64TensorType, StringTensorType

warnings.filterwarnings("ignore")
ort.set_default_logger_severity(4)
rng = np.random.RandomState(5)


def plain(value):
    """skl2onnx hands over lists of numpy's numbers, and matrices for lists, which onnx takes no longer."""
    value = value.ravel().tolist() if isinstance(value, np.ndarray) else value
    if not isinstance(value, list):
        return value
    value = [it.item() if isinstance(it, np.generic) else it for it in value]
    return [int(it) if isinstance(it, bool) else it for it in value]


make_attribute = onnx.helper.make_attribute
onnx.helper.make_attribute = lambda key, value, *rest, **named: make_attribute(key, plain(value), *rest, **named)
NAMES = {"float32": "FP32", "float64": "FP64", "bool": "BOOL", "int32": "INT32", "int64": "INT64", "uint8": "UINT8"}


def data(classes=3, features=4, rows=150):
    x = rng.normal(size=(rows, features)).astype(np.float32)
    score = x @ rng.normal(size=(features, max(classes, 1))) + 0.3 * rng.normal(size=(rows, max(classes, 1)))
    return x, score.argmax(axis=1) if classes > 1 else score[:, 0].astype(np.float32)


def classifiers():
    from sklearn.calibration import CalibratedClassifierCV
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis, QuadraticDiscriminantAnalysis
    from sklearn.ensemble import (AdaBoostClassifier, BaggingClassifier, ExtraTreesClassifier, GradientBoostingClassifier,
                                  HistGradientBoostingClassifier, RandomForestClassifier, StackingClassifier, VotingClassifier)
    from sklearn.linear_model import LogisticRegression, Perceptron, RidgeClassifier, SGDClassifier
    from sklearn.multiclass import OneVsOneClassifier, OneVsRestClassifier
    from sklearn.naive_bayes import BernoulliNB, ComplementNB, GaussianNB, MultinomialNB
    from sklearn.neighbors import KNeighborsClassifier
    from sklearn.neural_network import MLPClassifier
    from sklearn.svm import LinearSVC, NuSVC, SVC
    from sklearn.tree import DecisionTreeClassifier

    logistic = LogisticRegression()
    yield "logistic", logistic, {}
    yield "logistic-raw", LogisticRegression(), {"raw": True}
    for name, model in [
        ("tree", DecisionTreeClassifier(max_depth=5)), ("forest", RandomForestClassifier(12, random_state=1)),
        ("extra-trees", ExtraTreesClassifier(8, random_state=1)), ("boosting", GradientBoostingClassifier(n_estimators=8)),
        ("hist-boosting", HistGradientBoostingClassifier(max_iter=8)), ("ada-boost", AdaBoostClassifier(n_estimators=5)),
        ("bagging", BaggingClassifier(DecisionTreeClassifier(max_depth=3), n_estimators=4)),
        ("svc", SVC(probability=True)), ("svc-scores", SVC()), ("nu-svc", NuSVC(nu=0.2, probability=True, kernel="poly")), ("linear-svc", LinearSVC()),
        ("knn", KNeighborsClassifier(5)), ("knn-distance", KNeighborsClassifier(3, weights="distance")), 
        ("gaussian-nb", GaussianNB()), ("bernoulli-nb", BernoulliNB()), ("mlp", MLPClassifier((16,), max_iter=60)), ("ridge", RidgeClassifier()),
        ("sgd", SGDClassifier(loss="log_loss")), ("perceptron", Perceptron()), ("lda", LinearDiscriminantAnalysis()), ("qda", QuadraticDiscriminantAnalysis()),
        ("one-vs-rest", OneVsRestClassifier(LogisticRegression())), ("one-vs-one", OneVsOneClassifier(LogisticRegression())),
        ("calibrated", CalibratedClassifierCV(LogisticRegression(), cv=2)),
        ("voting", VotingClassifier([("a", LogisticRegression()), ("b", GaussianNB())], voting="soft", flatten_transform=False)),
        ("stacking", StackingClassifier([("a", LogisticRegression()), ("b", DecisionTreeClassifier(max_depth=2))], cv=2)),
    ]:
        yield name, model, {}
        if name != "linear-svc":
            yield name + "-raw", model, {"raw": True}
    for name, model in [("multinomial-nb", MultinomialNB()), ("complement-nb", ComplementNB())]:
        yield name, model, {"positive": True}
    for name, model in [("logistic", logistic), ("forest", RandomForestClassifier(8)), ("boosting", GradientBoostingClassifier(n_estimators=8)),
                        ("hist-boosting", HistGradientBoostingClassifier(max_iter=8)), ("svc", SVC(probability=True)), ("svc-scores", SVC()),
                        ("gaussian-nb", GaussianNB()), ("mlp", MLPClassifier((8,), max_iter=60)),
                        ("ada-boost", AdaBoostClassifier(n_estimators=5)), ("knn", KNeighborsClassifier(3))]:
        yield "two-" + name, model, {"classes": 2}
    yield "text-logistic", LogisticRegression(), {"labels": ["setosa", "virginica", "maple"]}
    yield "text-forest", RandomForestClassifier(6), {"labels": ["setosa", "virginica", "maple"]}
    yield "text-two", LogisticRegression(), {"labels": ["no", "yes"], "classes": 2}
    yield "double-logistic", LogisticRegression(), {"kind": DoubleTensorType, "raw": True}
    yield "double-forest", RandomForestClassifier(6), {"kind": DoubleTensorType, "raw": True}
    yield "double-mlp", MLPClassifier((8,), max_iter=60), {"kind": DoubleTensorType, "raw": True}


def regressors():
    from sklearn.ensemble import (AdaBoostRegressor, ExtraTreesRegressor, GradientBoostingRegressor, HistGradientBoostingRegressor,
                                  IsolationForest, RandomForestRegressor)
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.linear_model import ElasticNet, LinearRegression, PoissonRegressor, QuantileRegressor, Ridge
    from sklearn.neighbors import KNeighborsRegressor, LocalOutlierFactor
    from sklearn.neural_network import MLPRegressor
    from sklearn.svm import LinearSVR, NuSVR, OneClassSVM, SVR
    from sklearn.tree import DecisionTreeRegressor

    for name, model in [
        ("linear", LinearRegression()), ("ridge-regressor", Ridge()), ("elastic", ElasticNet(0.1)), ("quantile", QuantileRegressor(alpha=0.1)),
        ("tree-regressor", DecisionTreeRegressor(max_depth=5)), ("forest-regressor", RandomForestRegressor(10, random_state=1)),
        ("extra-regressor", ExtraTreesRegressor(6)), ("boosting-regressor", GradientBoostingRegressor(n_estimators=8)),
        ("hist-regressor", HistGradientBoostingRegressor(max_iter=8)), ("ada-regressor", AdaBoostRegressor(n_estimators=4)),
        ("svr", SVR()), ("nu-svr", NuSVR(kernel="sigmoid")), ("linear-svr", LinearSVR()), ("one-class", OneClassSVM()),
        ("knn-regressor", KNeighborsRegressor(4)), ("knn-manhattan", KNeighborsRegressor(4, p=1, weights="distance")),
        ("mlp-regressor", MLPRegressor(hidden_layer_sizes=(12,), max_iter=80)),
        ("isolation-forest", IsolationForest(n_estimators=10, random_state=1)), ("outliers", LocalOutlierFactor(8, novelty=True)),
    ]:
        yield name, model, {"classes": 1}
    yield "positive-poisson", PoissonRegressor(), {"classes": 1, "target": lambda y: np.exp(y / 4)}
    yield "several-linear", LinearRegression(), {"classes": 1, "target": lambda y: np.stack([y, -y, y * y], axis=1)}
    yield "several-forest", RandomForestRegressor(6), {"classes": 1, "target": lambda y: np.stack([y, -y], axis=1)}
    # In singles what it answers is what is left of large numbers.
    yield "double-gp", GaussianProcessRegressor(alpha=0.5), {"classes": 1, "kind": DoubleTensorType}
    yield "double-linear", LinearRegression(), {"classes": 1, "kind": DoubleTensorType}


def transformers():
    from sklearn.cluster import KMeans
    from sklearn.decomposition import PCA, TruncatedSVD
    from sklearn.feature_selection import SelectKBest, VarianceThreshold
    from sklearn.impute import KNNImputer, SimpleImputer
    from sklearn.mixture import GaussianMixture
    from sklearn.pipeline import FeatureUnion, make_pipeline
    from sklearn.preprocessing import (Binarizer, KBinsDiscretizer, MaxAbsScaler, MinMaxScaler, Normalizer, PolynomialFeatures,
                                       PowerTransformer, QuantileTransformer, RobustScaler, StandardScaler)
    from sklearn.linear_model import LogisticRegression

    for name, model in [
        ("standard", StandardScaler()), ("min-max", MinMaxScaler(clip=True)), ("max-abs", MaxAbsScaler()), ("robust", RobustScaler()),
        ("norm-l1", Normalizer("l1")), ("norm-l2", Normalizer()), ("norm-max", Normalizer("max")), ("binary", Binarizer(threshold=0.2)),
        ("bins", KBinsDiscretizer(4, encode="onehot-dense")), ("bins-ordinal", KBinsDiscretizer(3, encode="ordinal")),
        ("polynomials", PolynomialFeatures(2)), ("power", PowerTransformer()), ("quantiles", QuantileTransformer(n_quantiles=20)),
        ("pca", PCA(2)), ("svd", TruncatedSVD(2)), ("k-best", SelectKBest(k=2)), ("variance", VarianceThreshold(0.1)),
        ("k-means", KMeans(3, n_init=2)), ("mixture", GaussianMixture(2)), ("union", FeatureUnion([("a", StandardScaler()), ("b", PCA(2))])),
        ("knn-imputer", KNNImputer(n_neighbors=2)),
    ]:
        yield name, model, {}
    yield "imputer", SimpleImputer(), {"gaps": True}
    yield "pipeline", make_pipeline(SimpleImputer(), StandardScaler(), PCA(3), LogisticRegression()), {"gaps": True}


def tables():
    """Pipelines of mixed columns, and texts."""
    import pandas as pd
    from sklearn.compose import ColumnTransformer
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.feature_extraction import DictVectorizer
    from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import LabelBinarizer, OneHotEncoder, OrdinalEncoder, StandardScaler

    rows = 80
    frame = pd.DataFrame({
        "age": rng.uniform(18, 80, rows).astype(np.float32), "fare": rng.exponential(30, rows).astype(np.float32),
        "class": rng.randint(1, 4, rows), "sex": rng.choice(["male", "female"], rows), "port": rng.choice(["C", "Q", "S", ""], rows),
    })
    target = (frame["sex"] == "female").to_numpy() ^ (rng.uniform(size=rows) < 0.2)
    kinds = [("age", FloatTensorType([None, 1])), ("fare", FloatTensorType([None, 1])), ("class", Int64TensorType([None, 1])),
             ("sex", StringTensorType([None, 1])), ("port", StringTensorType([None, 1]))]
    columns = ColumnTransformer([("numbers", StandardScaler(), ["age", "fare"]), ("classes", OneHotEncoder(handle_unknown="ignore"), ["class"]),
                                 ("texts", OneHotEncoder(handle_unknown="ignore"), ["sex", "port"])])
    for name, last in [("mixed-logistic", LogisticRegression()), ("mixed-forest", RandomForestClassifier(6))]:
        model = make_pipeline(columns, last).fit(frame, target.astype(int))
        given = {key: frame[[key]].to_numpy()[:7].copy() for key in frame}
        given["sex"][0, 0] = "unknown"
        yield name, to_onnx(model, initial_types=kinds, options={"zipmap": name == "mixed-forest"}, target_opset={"": 18, "ai.onnx.ml": 3}), [given]
    ordinal = OrdinalEncoder().fit(frame[["sex", "port"]].to_numpy())
    given = frame[["sex", "port"]].to_numpy()[:6]
    yield "ordinal", to_onnx(ordinal, initial_types=[("X", StringTensorType([None, 2]))], target_opset={"": 18, "ai.onnx.ml": 3}), [{"X": given}]
    lines = np.array([["the cat sat on the mat"], ["a dog ate my homework"], ["cats and dogs, dogs and cats"], ["nothing of it"]], dtype=object)
    for name, model in [("counts", CountVectorizer()), ("tf-idf", TfidfVectorizer()), ("pairs", TfidfVectorizer(ngram_range=(1, 2))),
                        ("stop-words", TfidfVectorizer(stop_words=["the", "a"])), ("binary-counts", CountVectorizer(binary=True)),
                        ("sublinear", TfidfVectorizer(sublinear_tf=True, norm="l1"))]:
        model = model.fit(lines.ravel())
        yield "text-" + name, to_onnx(model, initial_types=[("X", StringTensorType([None, 1]))], target_opset={"": 18, "ai.onnx.ml": 3}), [{"X": lines}]
    model = make_pipeline(TfidfVectorizer(), LogisticRegression()).fit(lines.ravel(), [0, 1, 1, 0])
    yield "text-logistic-lines", to_onnx(model, initial_types=[("X", StringTensorType([None, 1]))], target_opset={"": 18, "ai.onnx.ml": 3}), [{"X": lines}]
    from skl2onnx.common.data_types import DictionaryType

    vectorizer = DictVectorizer(sparse=False).fit([{"a": 1.0, "b": 2.0, "c": 0.5}])
    try:
        kind = DictionaryType(StringTensorType([1]), FloatTensorType([1]))
        yield "dictionaries", to_onnx(vectorizer, initial_types=[("X", kind)], target_opset={"": 18, "ai.onnx.ml": 3}), None
    except Exception as error:
        print("left out dictionaries", str(error).splitlines()[0][:120])


def boosters():
    import lightgbm
    import xgboost

    for classes, name in [(1, "regressor"), (2, "two"), (3, "three")]:
        x, y = data(classes)
        kind = [("X", BoosterFloats([None, x.shape[1]]))]
        maker = "Regressor" if classes == 1 else "Classifier"
        model = getattr(xgboost, "XGB" + maker)(n_estimators=8, max_depth=3).fit(x, y)
        yield "xgboost-" + name, lambda model=model, kind=kind: convert_xgboost(model, initial_types=kind, target_opset=15), [{"X": it} for it in asked(x)]
        model = getattr(lightgbm, "LGBM" + maker)(n_estimators=8, num_leaves=7, verbose=-1).fit(x, y)
        for zipped in (True, False) if classes > 1 else (True,):
            convert = lambda model=model, kind=kind, zipped=zipped: convert_lightgbm(model, initial_types=kind, zipmap=zipped, target_opset=15)
            yield "lightgbm-" + name + ("" if zipped else "-raw"), convert, [{"X": it} for it in asked(x)]


def asked(x):
    return [x[:1], x[:5], x[:50]]


def estimators():
    for family in (classifiers, regressors, transformers):
        for name, model, told in family():
            x, y = data(told.get("classes", 3))
            if told.get("positive"):
                x = np.abs(x)
            if told.get("gaps"):
                x[rng.uniform(size=x.shape) < 0.1] = np.nan
            if "labels" in told:
                y = np.array(told["labels"])[y]
            if "target" in told:
                y = told["target"](y)
            kind = told.get("kind", FloatTensorType)
            options = {"zipmap": False} if told.get("raw") else {}
            given = x.astype(np.float64) if kind is DoubleTensorType else x

            def convert(model=model, kind=kind, options=options, width=x.shape[1], x=x, y=y):
                model.fit(x, y)
                return to_onnx(model, initial_types=[("X", kind([None, width]))], options={id(model): options} if options else None,
                               target_opset={"": 18, "ai.onnx.ml": 3})

            yield name, convert, [{"X": it} for it in asked(given)]


def tensor(value):
    value = np.asarray(value)
    if value.dtype.kind in "OSU":
        texts = [(it if isinstance(it, bytes) else str(it).encode()).hex() for it in value.reshape(-1).tolist()]
        return {"datatype": "BYTES", "shape": list(value.shape), "data": texts}
    return {"datatype": NAMES[value.dtype.name], "shape": list(value.shape), "data": value.tobytes().hex()}


def classes(model, output):
    for node in model.graph.node:
        if output in node.output:
            for it in node.attribute:
                if it.name.startswith("classlabels") and (it.strings or it.ints):
                    return [key.decode() for key in it.strings] or list(it.ints)
    return None


def answers(model, questions):
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    for inputs in questions:
        told = {}
        for port, value in zip(session.get_outputs(), session.run(None, inputs)):
            if isinstance(value, list):
                keys = classes(model, port.name) or list(value[0])
                value = np.array([[row[key] for key in keys] for row in value], dtype=np.float32)
            told[port.name] = tensor(value)
        yield "\t{}\n".format(json.dumps({"inputs": {key: tensor(it) for key, it in inputs.items()}, "outputs": told}))


def write(out, name, model, questions):
    if callable(model):
        model = model()
    for node in model.graph.node:
        if node.op_type == "StringNormalizer":  # not every machine has that of the United States
            for it in [it for it in node.attribute if it.name == "locale"]:
                node.attribute.remove(it)
            node.attribute.append(make_attribute("locale", "C.UTF-8"))
    lines = list(answers(model, questions))
    (out / (name + ".onnx")).write_bytes(model.SerializeToString())
    (out / (name + ".answers")).write_text("".join(lines))


def main(out):
    out = pathlib.Path(out)
    out.mkdir(parents=True, exist_ok=True)
    count = 0
    for family in (estimators, tables, boosters):
        for name, model, questions in family():
            assert not (out / (name + ".onnx")).exists(), name
            if questions is None:
                continue
            try:
                write(out, name, model, questions)
            except Exception as error:  # what the converters or ONNX Runtime have not
                print("left out", name, type(error).__name__, str(error).strip().splitlines()[0][:140])
                continue
            count += 1
    print("{} models in {}".format(count, out))


if __name__ == "__main__":
    main(sys.argv[1])
