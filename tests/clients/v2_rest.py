"""V2 over REST as the documents of KServe, Triton and MLServer write it, by requests.

v2_rest.py SAMPLES ECHO: the base URLs of the samples and of an echo of every data type."""

import base64
import json
import sys

import numpy as np
import requests

from checks import IRIS, IRIS_NAMES, PENGUINS, SAMPLES, close, contains, equal, finite, lacks, same


def infer(url, body, **headers):
    headers = {name.replace("_", "-"): it for name, it in headers.items()}
    body = body if isinstance(body, (str, bytes)) else json.dumps(body)
    return requests.post(url, data=body, headers=headers, timeout=20)


def main(samples, echo):
    iris = f"{samples}/v2/models/iris/infer"
    flat = {"name": "input-0", "shape": [4, 4], "datatype": "FP64", "data": IRIS.flatten().tolist()}
    nested = {**flat, "data": IRIS.tolist()}
    output = {"name": "predict", "datatype": "BYTES", "shape": [4], "data": IRIS_NAMES}

    # However the body is labelled, and however the data is nested.
    for kind in (
        "application/json",
        "application/json; charset=utf-8",
        "application/x-www-form-urlencoded",
        "text/plain",
        None,
    ):
        for tensor in (flat, nested):
            answer = infer(iris, {"id": "42", "inputs": [tensor]}, **({"content_type": kind} if kind else {}))
            equal(f"{kind}: status", answer.status_code, 200)
            equal(f"{kind}: content type", answer.headers["content-type"], "application/json")
            told = answer.json()
            equal(f"{kind}: id, model", (told["id"], told["model_name"]), ("42", "iris"))
            equal(f"{kind}: outputs", told["outputs"], [output])
    ids = [infer(iris, {"inputs": [flat]}).json()["id"] for _ in range(2)]
    equal("an id of its own", all(ids) and ids[0] != ids[1], True)
    for body in (
        {"inputs": [flat], "outputs": []},
        {"inputs": [flat], "outputs": None, "parameters": None, "id": None},
        {"inputs": [{**flat, "datatype": "fp64"}]},
        {"model_name": "iris", "inputs": [{**flat, "parameters": {"content_type": "np"}}], "unknown": [{}]},
    ):
        equal(f"{sorted(body)}", infer(iris, body).json()["outputs"], [output])
    both = {"inputs": [flat], "outputs": [{"name": "predict_proba"}, {"name": "predict"}]}
    told = infer(iris, both).json()["outputs"]
    equal(
        "two outputs",
        [(it["name"], it["datatype"], it["shape"]) for it in told],
        [("predict_proba", "FP64", [4, 3]), ("predict", "BYTES", [4])],
    )
    close("two outputs: flat", told[0]["data"], [it for row in SAMPLES["iris"]["predict_proba"] for it in row], 1e-9)
    by_version = infer(f"{samples}/v2/models/iris/versions/1/infer", {"inputs": [flat]})
    equal("by version", by_version.json()["outputs"], [output])
    equal(
        "unknown version: status",
        infer(f"{samples}/v2/models/iris/versions/7/infer", {"inputs": [flat]}).status_code,
        404,
    )

    # MLServer's pandas form: a tensor a column, strings for text.
    columns = [
        {
            "name": name,
            "shape": [len(PENGUINS), 1] if name == "sex" else [len(PENGUINS)],
            "datatype": "BYTES" if isinstance(PENGUINS[0][name], str) else "FP64",
            "parameters": {"content_type": "str"} if isinstance(PENGUINS[0][name], str) else {},
            "data": [row[name] for row in PENGUINS],
        }
        for name in PENGUINS[0]
    ]
    answer = infer(f"{samples}/v2/models/penguins/infer", {"parameters": {"content_type": "pd"}, "inputs": columns})
    equal("a tensor a column: status", answer.status_code, 200)
    told = answer.json()["outputs"][0]
    equal("a tensor a column: shape", (told["datatype"], told["shape"]), ("FP32", [3, 3]))
    close("a tensor a column", told["data"], [it for row in SAMPLES["penguins"]["predict_proba"] for it in row], 1e-6)

    # Every data type that JSON has, exactly, up to the last digit of the largest integers.
    arrays = finite()
    tensors = [
        {
            "name": name,
            "shape": [2, 3],
            "datatype": name.upper(),
            "data": [it.decode() if isinstance(it, bytes) else it for it in array.flatten().tolist()],
        }
        for name, array in arrays.items()
    ]
    answer = infer(f"{echo}/v2/models/typed/infer", {"inputs": tensors})
    equal("every data type: status", answer.status_code, 200)
    for sent, told in zip(tensors, answer.json()["outputs"], strict=True):
        if sent["name"] == "fp32":
            # Written as the shortest text that is that number of 32 bits.
            same("every data type: fp32", np.array(told["data"], dtype=np.float32), arrays["fp32"].flatten())
            continue
        equal(f"every data type: {sent['name']}", told["data"], sent["data"])
        equal(f"every data type: {sent['name']}, shape", told["shape"], sent["shape"])
    # MLServer's parameter for bytes as base64.
    coded = {
        "data": [base64.b64encode(it).decode() for it in arrays["bytes"].flatten()],
        "parameters": {"content_type": "base64"},
    }
    body = {
        "inputs": [{**it, **coded} if it["name"] == "bytes" else it for it in tensors],
        "outputs": [{"name": "bytes"}],
    }
    told = infer(f"{echo}/v2/models/typed/infer", body).json()["outputs"][0]["data"]
    equal("bytes in base64", told, [it.decode() for it in arrays["bytes"].flatten()])
    # A value more than the type has room for.
    for name, value in (
        ("uint8", 256),
        ("int8", -129),
        ("uint64", 2**64),
        ("int64", -(2**63) - 1),
        ("int32", 1.5),
        ("bool", 2),
    ):
        bad = [{**it, "data": [value, *it["data"][1:]]} if it["name"] == name else it for it in tensors]
        answer = infer(f"{echo}/v2/models/typed/infer", {"inputs": bad})
        equal(f"{value} as {name}: status", answer.status_code, 400)
        contains(f"{value} as {name}: text", answer.json()["error"], name)

    for what, body, part in (
        ("no inputs", {}, "inputs"),
        ("inputs are no list", {"inputs": {}}, "inputs"),
        (
            "no data",
            {"inputs": [{"name": "a", "shape": [1], "datatype": "FP64"}]},
            "'data' field is missing for input 'a'",
        ),
        ("no shape", {"inputs": [{"name": "a", "datatype": "FP64", "data": [1]}]}, "shape"),
        ("unknown datatype", {"inputs": [{**flat, "datatype": "FP63"}]}, "FP63"),
        ("negative size", {"inputs": [{**flat, "shape": [-1, 4]}]}, "shape"),
        ("too few values", {"inputs": [{**flat, "shape": [5, 4]}]}, "input-0"),
        ("huge shape", {"inputs": [{**flat, "shape": [2**62, 4]}]}, "input-0"),
        ("no JSON", "{", ""),
        ("nothing", "", ""),
    ):
        answer = infer(iris, body)
        equal(f"{what}: status", answer.status_code in (400, 413), True)
        contains(f"{what}: text", answer.json()["error"], part)
        equal(f"{what}: nothing but the text", list(answer.json()), ["error"])

    told = requests.get(f"{samples}/v2/models/iris", timeout=20).json()
    equal("metadata", (told["name"], told["versions"], told["platform"]), ("iris", ["1"], "sklearn_joblib"))
    equal("metadata: inputs", told["inputs"], [{"name": "input-0", "datatype": "FP64", "shape": [-1, 4]}])
    for path in ("", "/versions/1"):
        ready = requests.get(f"{samples}/v2/models/iris{path}/ready", timeout=20)
        equal(f"ready{path}", (ready.status_code, ready.json()), (200, {"name": "iris", "ready": True}))
    for path in ("/v2", "/v2/"):
        told = requests.get(samples + path, timeout=20).json()
        equal(f"{path}: name", told["name"], "weir")
        lacks(f"{path} is no error", told, "error")


if __name__ == "__main__":
    main(*sys.argv[1:])
