"""Makes the golden files beside it: small models and what scikit-learn itself answers.

    python make.py            # the files of this release of scikit-learn
    python make.py forms      # folder `forms`: one model in every form a file may have; wants lz4 and dill
    python make.py CASES      # folder `explain`: the explainer's golden cases, out of their folder

Run it once in each of these environments; each writes its own folder and its own line of `versions.txt`:

    scikit-learn 0.20.4, numpy 1.16.6 (Python 3.7)      folder 0.20
    scikit-learn 0.24.2, numpy 1.19.5, joblib 1.4.2     folder 0.24
    scikit-learn 1.1.3, numpy 1.23.5, joblib 1.2.0      folder 1.1
    scikit-learn 1.5.2, numpy 2.4.6, joblib 1.6.0       folder 1.5
    scikit-learn 1.9.1, numpy 2.4.6, joblib 1.6.0       folder 1.9

Data: iris, wine and breast_cancer, from scikit-learn. Beside `NAME.joblib` or `NAME.pkl` stands `NAME.txt`: a line for each
input row, `input` and its numbers, then a line for each output and row, its name and its values, with every digit. The
cases in `explain` were saved by scikit-learn 1.5.2 with numpy 1.26.4 and keep twelve digits; they lack `decision_function`,
as do support vector machines in 0.20, where it still depended on the other rows of the batch.
"""

import io
import json
import pickle
import sys
import warnings
import zlib
from pathlib import Path

import numpy as np
import sklearn
from sklearn.datasets import load_breast_cancer, load_iris, load_wine
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

try:
    import joblib
except ImportError:
    from sklearn.externals import joblib

warnings.filterwarnings("ignore")

VERSION = tuple(int(part) for part in sklearn.__version__.split(".")[:2])
FOLDER = Path(__file__).parent / "{}.{}".format(*VERSION)

IRIS = load_iris()
WINE = load_wine()
CANCER = load_breast_cancer()
# Every third row is enough to learn from; two of the others are asked for.
IRIS_X, IRIS_Y = IRIS.data[::3], IRIS.target[::3]
BINARY_X, BINARY_Y = IRIS.data[50::3], IRIS.target[50::3]
ASK = IRIS.data[[1, 70, 77, 106, 133]]
# Far away, where the kernels underflow and scores tie.
FAR = np.array([[1e3, -1e3, 50.0, 0.0], [0.0, 0.0, 0.0, 0.0]])


def main():
    FOLDER.mkdir(exist_ok=True)
    if VERSION in [(1, 5)]:
        everything()
    else:
        a_few()
    versions = Path(__file__).parent / "versions.txt"
    lines = set(versions.read_text().splitlines()) if versions.exists() else set()
    line = "{}: scikit-learn {}, numpy {}, joblib {}".format(
        FOLDER.name, sklearn.__version__, np.__version__, joblib.__version__)
    kept = {it for it in lines if not it.startswith(FOLDER.name + ":")}
    versions.write_text("\n".join(sorted(kept | {line})) + "\n")


def a_few():
    """What changed between releases: where classes live, what attributes are called, how leaves and arrays are stored."""
    if VERSION < (0, 22):
        save("svc", SVC(gamma="scale", probability=True, random_state=0).fit(IRIS_X, IRIS_Y), ASK, "joblib")
    else:
        save("svc", SVC(probability=True, random_state=0).fit(IRIS_X, IRIS_Y), ASK, "joblib")
    save("logistic", LogisticRegression(max_iter=1000, solver="lbfgs").fit(IRIS_X, IRIS_Y), ASK, "joblib")
    save("logistic_liblinear", LogisticRegression(solver="liblinear").fit(BINARY_X, BINARY_Y), ASK, 4)
    if VERSION >= (1, 2):
        save("logistic_newton", LogisticRegression(solver="newton-cholesky").fit(IRIS_X, IRIS_Y), ASK, "joblib")
    scaled = Pipeline([("scaler", StandardScaler()), ("clf", SVC(gamma="auto"))]).fit(IRIS_X, IRIS_Y)
    save("pipeline", scaled, ASK, 2)
    save("forest", forest(5).fit(IRIS_X, IRIS_Y), ASK, "joblib")
    save("forest", forest(3, class_weight={0: 1.0, 1: 2.5, 2: 0.3}).fit(IRIS_X, IRIS_Y), ASK, 4)
    if VERSION in [(1, 1), (1, 9)]:
        trees()
    if VERSION >= (1, 9):
        near()


def trees():
    """Trees and ensembles, as small as they can be and still be what they are."""
    from sklearn import ensemble, tree

    save("tree", tree.DecisionTreeClassifier(max_depth=3, random_state=0).fit(IRIS_X, IRIS_Y), ASK, "joblib")
    save("tree_numbers", tree.ExtraTreeRegressor(max_depth=3, random_state=0).fit(IRIS_X[:, :3], IRIS_X[:, 3]), ASK[:, :3], 4)
    boosting = ensemble.GradientBoostingClassifier(n_estimators=2, max_depth=2, random_state=0)
    save("boosting", boosting.fit(IRIS_X, IRIS_Y), ASK, "joblib")
    # Categories in the second column; one of those asked for is unknown, one missing.
    steps = np.c_[IRIS.data[:, 0], np.arange(150) % 5]
    histogram = ensemble.HistGradientBoostingClassifier(max_iter=2, max_depth=3, min_samples_leaf=3, categorical_features=[1], max_bins=12)
    asked = np.c_[np.repeat(ASK[:, 0], 2), [0, 3, 1, 2, 4, 0, 9, 300, np.nan, -1]]
    save("histogram", histogram.fit(steps, steps[:, 1] * 7 % 4 > 1.5), asked, 4)
    save("adaboost", ensemble.AdaBoostClassifier(n_estimators=3, random_state=0).fit(IRIS_X, IRIS_Y), ASK, "joblib")
    bagging = ensemble.BaggingClassifier(tree.DecisionTreeClassifier(max_depth=2), n_estimators=3, max_features=2, random_state=0)
    save("bagging", bagging.fit(IRIS_X, IRIS_Y), ASK, "joblib")
    both = [("tree", tree.DecisionTreeClassifier(max_depth=2, random_state=0)), ("line", LogisticRegression(max_iter=500))]
    save("voting", ensemble.VotingClassifier(both, voting="soft", weights=[1, 2]).fit(IRIS_X, IRIS_Y), ASK, "joblib")
    save("stacking", ensemble.StackingClassifier(both, cv=3, passthrough=True).fit(IRIS_X, IRIS_Y), ASK, "joblib")
    save("isolation", ensemble.IsolationForest(n_estimators=3, max_samples=8, random_state=0).fit(IRIS_X), ASK, "joblib")


def near():
    from sklearn.compose import TransformedTargetRegressor
    from sklearn.multiclass import OneVsOneClassifier, OutputCodeClassifier
    from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor, NearestCentroid, RadiusNeighborsClassifier
    from sklearn.preprocessing import MinMaxScaler

    # Between points of a grid distances tie, and the order of the search decides.
    grid = np.array([[x, y] for x in range(6) for y in range(6)], dtype=float)
    colours, between = (grid @ [7, 3]).astype(int) % 3, grid[:20] + 0.5
    save("near_boxes", KNeighborsClassifier(3, algorithm="kd_tree", leaf_size=3).fit(grid, colours), between, "joblib")
    balls = KNeighborsClassifier(4, algorithm="ball_tree", leaf_size=2, p=3, weights="distance")
    save("near_balls", balls.fit(grid, colours), np.vstack([between, grid[:3]]), 4)
    brute = KNeighborsRegressor(5, algorithm="brute", p=1, weights="distance").fit(grid, grid @ [1.5, -2])
    save("near_list", brute, np.vstack([between, grid[:3]]), "joblib")
    within = RadiusNeighborsClassifier(1.0, outlier_label=1, algorithm="kd_tree", leaf_size=2)
    save("near_within", within.fit(grid, colours), np.vstack([between, FAR[:, :2]]), "joblib")
    save("centroids", NearestCentroid().fit(IRIS_X, IRIS_Y), ASK, "joblib")
    target = TransformedTargetRegressor(KNeighborsRegressor(2, algorithm="kd_tree"), transformer=MinMaxScaler())
    save("target", target.fit(grid, grid @ [1.5, -2]), between, "joblib")
    model = LogisticRegression(max_iter=1000)
    save("pairs", OneVsOneClassifier(model).fit(IRIS_X, IRIS_Y), ASK, "joblib")
    save("code", OutputCodeClassifier(model, code_size=2, random_state=0).fit(IRIS_X, IRIS_Y), ASK, "joblib")


def everything():
    support_vectors()
    logistic()
    pipelines()
    forests()
    labels()


def support_vectors():
    rows = np.vstack([ASK, FAR])
    for kernel in ["linear", "rbf", "poly", "sigmoid"]:
        model = SVC(kernel=kernel, coef0=0.5, gamma=0.05 if kernel == "sigmoid" else "scale", degree=4)
        save("svc_" + kernel, model.fit(IRIS_X, IRIS_Y), rows, "joblib")
    save("svc_binary", SVC().fit(BINARY_X, BINARY_Y), rows, "joblib")
    save("svc_binary_linear", SVC(kernel="linear").fit(BINARY_X, BINARY_Y), rows, 5)
    proba = SVC(probability=True, random_state=0)
    save("svc_binary_proba", proba.fit(BINARY_X, BINARY_Y), rows, "joblib")
    save("svc_proba_ovo", proba.set_params(decision_function_shape="ovo").fit(IRIS_X, IRIS_Y), rows, 4)
    # Probabilities of a pair so near to 0 and 1 that libsvm cuts them off.
    save("svc_proba_far", SVC(kernel="linear", C=100, probability=True, random_state=0).fit(IRIS_X, IRIS_Y), rows, 5)
    # Five classes that overlap, so that votes tie; some classes have many more vectors than others.
    quality = np.digitize(WINE.data[:, 9], [2.5, 3.5, 5.0, 7.0])
    few, asked = (WINE.data[::2, :5], quality[::2]), WINE.data[1::2, :5]
    many = SVC(probability=True, random_state=0, C=0.2).fit(*few)
    save("svc_five", many, asked[::5], "joblib")
    ties = SVC(break_ties=True, C=10, gamma=0.1).fit(*few)
    votes = SVC(C=10, gamma=0.1).fit(*few).predict(asked)
    assert (ties.predict(asked) != votes).sum() > 3
    tied = np.flatnonzero(ties.predict(asked) != votes)
    save("svc_break_ties", ties, np.vstack([asked[tied], asked[::20]]), "joblib")


def logistic():
    options = dict(max_iter=2000)
    save("logistic_binary", LogisticRegression(**options).fit(BINARY_X, BINARY_Y), ASK, "joblib")
    save("logistic_softmax", LogisticRegression(**options).fit(IRIS_X, IRIS_Y), ASK, 5)
    binary = LogisticRegression(multi_class="multinomial", **options)
    save("logistic_binary_softmax", binary.fit(BINARY_X, BINARY_Y), ASK, 4)
    save("logistic_ovr", LogisticRegression(multi_class="ovr", **options).fit(IRIS_X, IRIS_Y), ASK, 2)
    save("logistic_liblinear", LogisticRegression(solver="liblinear").fit(IRIS_X, IRIS_Y), ASK, "joblib")
    save("logistic_newton", LogisticRegression(solver="newton-cholesky").fit(IRIS_X, IRIS_Y), ASK, "joblib")
    # The scores are so low that softmax underflows without care.
    save("logistic_far", LogisticRegression(C=1e4, **options).fit(IRIS_X, IRIS_Y), FAR * 100, "joblib")


def pipelines():
    steps = [("scaler", StandardScaler()), ("nothing", "passthrough"), ("clf", SVC(probability=True, random_state=0))]
    save("pipeline_svc", Pipeline(steps).fit(IRIS_X, IRIS_Y), ASK, "joblib")
    inner = Pipeline([("center", StandardScaler(with_std=False)), ("scale", StandardScaler(with_mean=False))])
    outer = Pipeline([("inner", inner), ("off", None), ("clf", LogisticRegression())])
    save("pipeline_logistic", outer.fit(IRIS_X, IRIS_Y), ASK, 5)
    idle = Pipeline([("idle", StandardScaler(with_mean=False, with_std=False)), ("scaler", StandardScaler())])
    save("scaler", idle.fit(IRIS_X), np.vstack([ASK, [[np.nan, 1.0, 2.0, 3.0]]]), "joblib")

    import pandas

    frame = pandas.DataFrame(IRIS_X, columns=["sepal length", "sepal width", "petal length", "petal width"])
    named = Pipeline([("scaler", StandardScaler()), ("clf", LogisticRegression())]).fit(frame, IRIS_Y)
    save("columns", named, ASK, "joblib")


def forests():
    save("forest", forest(10).fit(WINE.data[::3], WINE.target[::3]), WINE.data[1::13], "joblib")
    cancer = CANCER.data[::9, :6], CANCER.target[::9]
    save("forest_binary", forest(4, max_leaf_nodes=6).fit(*cancer), CANCER.data[1::30, :6], 4)
    gaps = WINE.data[::2, :6].copy()
    gaps[np.random.RandomState(0).rand(*gaps.shape) < 0.2] = np.nan
    asked = gaps[1::9].copy()
    asked[0] = np.nan
    save("forest_missing", forest(6).fit(gaps, WINE.target[::2]), asked, 5)
    # Thresholds between two 32-bit floats: the rows asked for stand exactly on them.
    steps = np.arange(40, dtype=np.float64).reshape(-1, 1) * 0.1
    edges = forest(3).fit(steps, (steps[:, 0] * 7 % 3).astype(int))
    found = np.concatenate([tree.tree_.threshold[tree.tree_.feature >= 0] for tree in edges.estimators_])
    save("forest_edges", edges, found.reshape(-1, 1)[:20], "joblib")


def labels():
    names = IRIS.target_names[IRIS_Y]
    save("labels_text", LogisticRegression(max_iter=500).fit(IRIS_X, names), ASK, "joblib")
    objects = np.array(["sétosa", "versicolor", "virginica"], dtype=object)[IRIS_Y]
    save("labels_object", SVC().fit(IRIS_X, objects), ASK, "joblib")
    save("labels_object", forest(2).fit(IRIS_X, objects), ASK, 4)
    save("labels_float", SVC().fit(IRIS_X, IRIS_Y * 2.0 - 1.0), ASK, 5)
    save("labels_bool", LogisticRegression().fit(IRIS_X, IRIS_Y == 1), ASK, "joblib")
    save("labels_int8", LogisticRegression().fit(IRIS_X, (IRIS_Y - 5).astype(np.int8)), ASK, 2)
    # Written by machines whose bytes stand the other way around, and by code that likes Fortran's order.
    model = LogisticRegression(max_iter=500).fit(IRIS_X, IRIS_Y)
    model.coef_ = np.asfortranarray(model.coef_.astype(">f8"))
    model.intercept_ = model.intercept_.astype(np.float32).astype(np.float64).astype(">f4")
    save("order", model, ASK, "joblib")
    save("order", model, ASK, 0)
    save("order", model, ASK, 5)


def forms():
    """One model, compressed in every way of joblib's, and pickled by dill."""
    folder = Path(__file__).parent / "forms"
    folder.mkdir(exist_ok=True)
    names = IRIS.target_names[IRIS_Y]
    model = LogisticRegression(max_iter=500).fit(IRIS_X, names)
    files = {}
    for method in ["zlib", "gzip", "bz2", "xz", "lzma", "lz4"]:
        whole = io.BytesIO()
        joblib.dump(model, whole, compress=(method, 3))
        files["{}.joblib".format(method)] = whole.getvalue()
    plain = pickle.dumps(model, protocol=2)
    # joblib before 0.10, and the one before 0.8.5 with its blank.
    files["zfile.joblib"] = b"ZF" + hex(len(plain)).encode().ljust(19) + zlib.compress(plain)
    files["zfile_blank.joblib"] = b"ZF" + hex(len(plain)).encode().ljust(19) + b" " + zlib.compress(plain)

    import dill

    files["dill.pkl"] = dill.dumps(model, protocol=4)
    for name, content in files.items():
        (folder / name).write_bytes(content)
        lines = ["input " + numbers(row) for row in ASK]
        lines += ["predict {}".format(label) for label in model.predict(ASK)]
        for output in ["predict_proba", "decision_function"]:
            lines += [output + " " + numbers(row) for row in getattr(model, output)(ASK)]
        (folder / (name + ".txt")).write_text("\n".join(lines) + "\n")


def explain(cases):
    """Unpacks the explainer's models and writes what was noted of them."""
    folder = Path(__file__).parent / "explain"
    folder.mkdir(exist_ok=True)
    for name in ["iris_lr", "wine_rf"]:
        (folder / (name + ".joblib")).write_bytes(zlib.decompress((cases / name / "model.joblib").read_bytes()))
        rows = (cases / name / "instances.csv").read_text().splitlines()[1:]
        noted = json.loads((cases / name / "predictions.json").read_text())
        lines = ["input " + row.replace(",", " ") for row in rows]
        lines += ["predict {}".format(label) for label in noted["label"]]
        lines += ["predict_proba " + numbers(row) for row in noted["proba"]]
        (folder / (name + ".joblib.txt")).write_text("\n".join(lines) + "\n")


def forest(trees, **options):
    return RandomForestClassifier(trees, random_state=0, **options)


def save(name, model, rows, form):
    """Writes the model, with joblib or that protocol of pickle, and what it answers when it is read again."""
    file = name + ".joblib" if form == "joblib" else "{}.p{}.pkl".format(name, form)
    if form == "joblib":
        joblib.dump(model, str(FOLDER / file))
    else:
        (FOLDER / file).write_bytes(pickle.dumps(model, protocol=form))
    lines = ["input " + numbers(row) for row in rows]
    for output in ["predict", "predict_proba", "decision_function", "score_samples", "transform"]:
        # A pipeline of transformers has transform alone; a classifier has any of the others.
        if output == "transform" and hasattr(model, "predict") or not hasattr(model, output):
            continue
        if output == "decision_function" and VERSION < (0, 22) and not isinstance(model, LogisticRegression):
            continue
        for row in getattr(model, output)(rows):
            lines.append(output + " " + (numbers(np.atleast_1d(row)) if output != "predict" else str(row)))
    (FOLDER / (file + ".txt")).write_bytes(("\n".join(lines) + "\n").encode("utf-8"))


def numbers(row):
    return " ".join(repr(float(value)) for value in row)


if __name__ == "__main__":
    if sys.argv[1:] == ["forms"]:
        forms()
    elif len(sys.argv) > 1:
        explain(Path(sys.argv[1]))
    else:
        main()
