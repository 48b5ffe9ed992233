"""TensorFlow Serving's REST API as its documents have it, by requests.

tensorflow_serving.py SAMPLES MODELS: the base URLs of the samples, and of the models `logistic` (scikit-learn),
`regression` (XGBoost) and `penguins` (XGBoost, whose file tells its columns) with nothing in front of them."""

import base64
import struct
import sys

import numpy as np
import requests

from checks import IRIS, IRIS_NAMES, PENGUINS, ROOT, SAMPLES, close, contains, equal, lacks

AVAILABLE = {"version": "1", "state": "AVAILABLE", "status": {"error_code": "OK", "error_message": ""}}
PROBA = SAMPLES["penguins"]["predict_proba"]


def get(url):
    return requests.get(url, timeout=20)


def post(url, body):
    # requests sets no content type of its own for text.
    if isinstance(body, str):
        return requests.post(url, data=body, timeout=20)
    return requests.post(url, json=body, timeout=20)


def answers(what, answer, expected):
    equal(f"{what}: status", answer.status_code, 200)
    equal(what, answer.json(), expected)


def refused(what, answer, status, text):
    equal(f"{what}: status", answer.status_code, status)
    equal(f"{what}: text", answer.json(), {"error": text})


def status(samples):
    models = f"{samples}/v1/models"
    for path in ("/iris", "/iris/versions/1"):
        told = get(models + path).json()
        equal(f"status of {path}", told["model_version_status"], [AVAILABLE])
        # What KServe's clients read of the same answer.
        equal(f"status of {path}, for KServe", (told["name"], told["ready"]), ("iris", True))
    refused("status, unknown model", get(f"{models}/nope"), 404, "Model with name nope does not exist.")
    equal("status, unknown version", get(f"{models}/iris/versions/7").status_code, 404)
    equal("status, unknown label", get(f"{models}/iris/labels/nope").status_code in (400, 404), True)


def metadata(samples, models):
    for path in ("/iris/metadata", "/iris/versions/1/metadata"):
        told = get(f"{samples}/v1/models{path}").json()
        spec = {"name": "iris", "signature_name": "", "version": "1"}
        equal(f"{path}: spec", told["model_spec"], spec)
        signatures = told["metadata"]["signature_def"]["signature_def"]
        serving = signatures["serving_default"]
        equal(f"{path}: method", serving["method_name"], "tensorflow/serving/predict")
        contains(f"{path}: input", serving["inputs"], "input-0")
        tensor = serving["inputs"]["input-0"]
        equal(f"{path}: input's type", tensor["dtype"], "DT_DOUBLE")
        sizes = [it["size"] for it in tensor["tensor_shape"]["dim"]]
        equal(f"{path}: input's shape", sizes, ["-1", "4"])
        equal(f"{path}: rank is known", tensor["tensor_shape"]["unknown_rank"], False)
        equal(f"{path}: first output's type", serving["outputs"]["predict"]["dtype"], "DT_INT64")
    told = get(f"{models}/v1/models/regression/metadata").json()
    tensor = told["metadata"]["signature_def"]["signature_def"]["serving_default"]["inputs"]
    equal("regression: input's type", [it["dtype"] for it in tensor.values()], ["DT_FLOAT"])
    equal("metadata, unknown model", get(f"{models}/v1/models/nope/metadata").status_code, 404)


def predict(samples, models):
    iris = f"{samples}/v1/models/iris"
    rows = {"instances": IRIS.tolist()}
    for verb in (":predict", "/versions/1:predict"):
        answers(f"iris{verb}, rows", post(iris + verb, rows), {"predictions": IRIS_NAMES})
        columns = {"inputs": {"input-0": IRIS.tolist()}}
        answers(f"iris{verb}, the input by name", post(iris + verb, columns), {"outputs": IRIS_NAMES})
    # KServe's habit, unless the server was told otherwise.
    answers(
        "iris, rows under `inputs`", post(f"{iris}:predict", {"inputs": IRIS.tolist()}), {"predictions": IRIS_NAMES}
    )
    named = {"instances": [{"input-0": row} for row in IRIS.tolist()]}
    answers("iris, the input by name in each row", post(f"{iris}:predict", named), {"predictions": IRIS_NAMES})
    # KServe's servers of such models know no signatures, and pass over the name of one.
    for name in ("serving_default", "nope"):
        named = {"signature_name": name, **rows}
        answers(f"iris, signature {name}", post(f"{iris}:predict", named), {"predictions": IRIS_NAMES})
    equal("iris, unknown version", post(f"{iris}/versions/7:predict", rows).status_code, 404)

    penguins = f"{samples}/v1/models/penguins:predict"
    columns = {"inputs": {name: [row[name] for row in PENGUINS] for name in PENGUINS[0]}}
    for body, key in (({"instances": PENGUINS}, "predictions"), (columns, "outputs")):
        answer = post(penguins, body).json()
        equal(f"penguins: {key}", list(answer), [key])
        close(f"penguins: {key}", answer[key], PROBA, 1e-6)
    # Text as base64, as TensorFlow Serving has bytes.
    coded = [
        {
            name: {"b64": base64.b64encode(it.encode()).decode()} if isinstance(it, str) else it
            for name, it in row.items()
        }
        for row in PENGUINS
    ]
    close("penguins, text in base64", post(penguins, {"instances": coded}).json()["predictions"], PROBA, 1e-6)
    broken = [{**PENGUINS[0], "island": {"b64": "=not base64="}}]
    answer = post(penguins, {"instances": broken})
    equal("broken base64: status", answer.status_code, 400)
    contains("broken base64: text", answer.json()["error"], "Unable to base64 decode")

    # Several outputs, a list of objects or an object of lists.
    logistic = f"{models}/v1/models/logistic:predict"
    golden = golden_logistic()
    answers(
        "logistic, default output", post(logistic, {"instances": golden["input"]}), {"predictions": golden["predict"]}
    )


def mistakes(samples):
    url = f"{samples}/v1/models/iris:predict"
    both = {"instances": [[1, 2, 3, 4]], "inputs": [[1, 2, 3, 4]]}
    expected = {
        "neither": ({"rows": []}, "Missing 'inputs' or 'instances' key"),
        "both": (both, "Not formatted correctly expecting only one of 'inputs' or 'instances' keys to exist"),
        "no list": ({"instances": 1}, 'Expected "instances" to be a list'),
        "empty list": ({"instances": []}, "No values in 'instances' array"),
        "signature that is no text": ({"signature_name": 1, "instances": [[1, 2, 3, 4]]}, "signature_name"),
        "rows of two kinds": ({"instances": [[1, 2, 3, 4], {"input-0": [1, 2, 3, 4]}]}, "row"),
        "ragged rows": ({"instances": [[1, 2, 3, 4], [1, 2, 3]]}, ""),
        "nothing": ("", ""),
        "no JSON": ("{", ""),
    }
    for what, (body, part) in expected.items():
        answer = post(url, body)
        equal(f"{what}: status", answer.status_code, 400)
        contains(f"{what}: text", answer.json()["error"], part)
        equal(f"{what}: nothing but the text", list(answer.json()), ["error"])


def golden_logistic():
    """Inputs and answers of scikit-learn for the model that is served as `logistic`."""
    told = {"input": [], "predict": [], "predict_proba": []}
    for line in (ROOT / "predictor/testdata/sklearn/1.9/logistic.joblib.txt").read_text().splitlines():
        name, *values = line.split()
        if name in told:
            told[name].append([int(it) if name == "predict" else float(it) for it in values])
    told["predict"] = [it for (it,) in told["predict"]]
    return told


def golden_regression():
    """Inputs and answers of XGBoost for the model that is served as `regression`, but for rows that lack a value."""

    def floats(text):
        return [struct.unpack(">f", bytes.fromhex(it))[0] for it in text.split()]

    text = (ROOT / "predictor/testdata/xgboost/3.2.0/squarederror.txt").read_text()
    rows = [[floats(part) for part in line.split(";")] for line in text.splitlines()]
    rows = [it for it in rows if not np.isnan(it[0]).any()]
    return [it[0] for it in rows], [it[2][0] for it in rows]


def classify(models):
    golden = golden_logistic()
    for verb in (":classify", "/versions/1:classify"):
        examples = {"examples": [{"input-0": row} for row in golden["input"]]}
        answer = post(f"{models}/v1/models/logistic{verb}", examples)
        equal(f"{verb}: status", answer.status_code, 200)
        results = answer.json()["results"]
        labels = [[label for label, _ in example] for example in results]
        equal(f"{verb}: labels", labels, [["0", "1", "2"]] * len(golden["input"]))
        close(
            f"{verb}: scores", [[score for _, score in example] for example in results], golden["predict_proba"], 1e-9
        )
    # Features a column, and what all examples share apart.
    rows = [dict(zip(SAMPLES["penguins"]["columns"], row, strict=True)) for row in SAMPLES["penguins"]["coded"]]
    shared = {"body_mass_g": 4500.0}
    examples = [{name: it for name, it in row.items() if name != "body_mass_g"} for row in rows[1:2]]
    answer = post(f"{models}/v1/models/penguins:classify", {"context": shared, "examples": examples})
    equal("penguins, with a context: status", answer.status_code, 200)
    close("penguins, with a context", [score for _, score in answer.json()["results"][0]], PROBA[1], 1e-6)
    for what, body in {
        "no examples": {"examples": []},
        "examples are missing": {},
        "nested feature": {"examples": [{"input-0": [[1, 2, 3, 4]]}]},
    }.items():
        answer = post(f"{models}/v1/models/logistic:classify", body)
        equal(f"classify, {what}: status", answer.status_code, 400)
        contains(f"classify, {what}: text", list(answer.json()), "error")
    answer = post(f"{models}/v1/models/regression:classify", {"examples": [{"input-0": [1.0] * 5}]})
    equal("classify by a regression: status", answer.status_code, 400)


def regress(models):
    inputs, expected = golden_regression()
    answer = post(f"{models}/v1/models/regression:regress", {"examples": [{"input-0": row} for row in inputs]})
    equal("regress: status", answer.status_code, 200)
    close("regress", answer.json()["results"], expected, 1e-6)
    answer = post(f"{models}/v1/models/logistic:regress", {"examples": [{"input-0": [1.0] * 4}]})
    equal("regress by a classifier: status", answer.status_code, 400)
    lacks("regress by a classifier has no results", answer.json(), "results")


def main(samples, models):
    status(samples)
    metadata(samples, models)
    predict(samples, models)
    mistakes(samples)
    classify(models)
    regress(models)


if __name__ == "__main__":
    main(*sys.argv[1:])
