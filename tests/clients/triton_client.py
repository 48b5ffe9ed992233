"""Triton's own clients: tritonclient.http, its asyncio twin, and tritonclient.grpc with its stream.

triton_client.py SAMPLES ECHO: the base URLs of the samples and of an echo of every data type."""

import asyncio
import gzip
import json
import queue
import sys
import zlib

import ml_dtypes
import numpy as np
import requests
import tritonclient.grpc as triton_grpc
import tritonclient.http as triton_http
import tritonclient.http.aio as triton_aio
from tritonclient.utils import InferenceServerException

from checks import (
    IRIS,
    IRIS_NAMES,
    SAMPLES,
    close,
    contains,
    equal,
    finite,
    lacks,
    raised,
    same,
    tensors,
    wrong,
)

PROBA = SAMPLES["iris"]["predict_proba"]
MISSING = "Model with name nope does not exist."
LENGTH = "inference-header-content-length"
NAMES = [it.encode() for it in IRIS_NAMES]


def arrays():
    """Every data type, and bytes that are no text."""
    every = tensors()
    every["bf16"] = np.array([[1.5, -0.0, np.inf], [3e38, 1e-40, np.nan]]).astype(ml_dtypes.bfloat16)
    every["bytes"][1, 0] = b"\xff\xfe\0"
    return every


def input_of(library, name, array, **how):
    tensor = library.InferInput(name, list(array.shape), name.upper())
    return tensor.set_data_from_numpy(array, **how)


def iris_input(library, **how):
    return library.InferInput("input-0", [4, 4], "FP64").set_data_from_numpy(IRIS, **how)


def refused(what, call, status, text):
    error = raised(what, call, InferenceServerException)
    equal(f"{what}: status", error.status(), status)
    equal(f"{what}: text", error.message(), text)


def told(what, tensors_told):
    """What the samples' metadata says of tensors, the same over REST and gRPC."""
    equal(what, tensors_told, [("input-0", "FP64", [-1, 4])])


def http(samples, echo):
    client = triton_http.InferenceServerClient(samples.removeprefix("http://"), concurrency=4)
    equal("http live", client.is_server_live(), True)
    equal("http ready", client.is_server_ready(), True)
    equal("http model ready", client.is_model_ready("iris"), True)
    equal("http model ready, version", client.is_model_ready("iris", "1"), True)
    equal("http model ready, unknown", client.is_model_ready("nope"), False)
    equal("http model ready, unknown version", client.is_model_ready("iris", "7"), False)
    server = client.get_server_metadata()
    equal("http server", server["name"], "weir")
    for extension in ("binary_tensor_data", "model_repository"):
        contains(f"http server says {extension}", server["extensions"], extension)
    for version in ("", "1"):
        model = client.get_model_metadata("iris", version)
        equal("http metadata", (model["name"], model["versions"]), ("iris", ["1"]))
        told("http inputs", [(it["name"], it["datatype"], it["shape"]) for it in model["inputs"]])
    refused("http metadata, unknown", lambda: client.get_model_metadata("nope"), "404", MISSING)
    refused("http infer, unknown", lambda: client.infer("nope", [iris_input(triton_http)]), "404", MISSING)

    # Without outputs the client asks for all of them in bytes.
    answer = client.infer("iris", [iris_input(triton_http)], request_id="7")
    equal("http id, model", (answer.get_response()["id"], answer.get_response()["model_name"]), ("7", "iris"))
    same("http iris", answer.as_numpy("predict"), np.array(NAMES, dtype=np.object_))
    equal("http iris size", answer.get_output("predict")["parameters"], {"binary_data_size": 51})
    asked = [
        triton_http.InferRequestedOutput("predict_proba", binary_data=True),
        triton_http.InferRequestedOutput("predict", binary_data=False),
    ]
    for version in ("", "1"):
        answer = client.infer(
            "iris", [iris_input(triton_http, binary_data=False)], model_version=version, outputs=asked
        )
        close("http one output in bytes", answer.as_numpy("predict_proba"), PROBA, 1e-9)
        equal("http the other in JSON", answer.get_output("predict")["data"], IRIS_NAMES)
        lacks("http output in JSON has no size", answer.get_output("predict").get("parameters", {}), "binary_data_size")
    version = raised(
        "http version 7", lambda: client.infer("iris", [iris_input(triton_http)], "7"), InferenceServerException
    )
    equal("http version 7: status", version.status(), "404")
    unknown = [triton_http.InferRequestedOutput("nope")]
    text = "Unexpected inference output 'nope' for model 'iris'; it has `predict`, `predict_proba`, `decision_function`"
    call = lambda: client.infer("iris", [iris_input(triton_http)], outputs=unknown)
    refused("http unknown output", call, "400", text)
    narrow = triton_http.InferInput("input-0", [1, 3], "FP64").set_data_from_numpy(IRIS[:1, :3])
    text = "the input has 3 features a row, step `scale` has 4"
    for how in (None, "gzip", "deflate"):
        # An error is never compressed: the client does not undo it there.
        call = lambda: client.infer("iris", [narrow], response_compression_algorithm=how)
        refused(f"http wrong width, {how} wanted", call, "400", text)
    # The classes with the highest scores, as `score:class`.
    top = [triton_http.InferRequestedOutput("predict_proba", class_count=2)]
    answer = client.infer("iris", [iris_input(triton_http)], outputs=top)
    ranked = [[it.decode().split(":") for it in row] for row in answer.as_numpy("predict_proba")]
    order = np.argsort(PROBA, axis=1)[:, ::-1][:, :2]
    equal("http classification", [[it[1] for it in row] for row in ranked], [[str(at) for at in row] for row in order])
    scores = [[float(it[0]) for it in row] for row in ranked]
    close("http classification: scores", scores, np.take_along_axis(np.array(PROBA), order, axis=1), 1e-6)
    pending = [client.async_infer("iris", [iris_input(triton_http)], request_id=str(at)) for at in range(8)]
    for at, answer in enumerate(it.get_result() for it in pending):
        equal("http async id", answer.get_response()["id"], str(at))
        same("http async", answer.as_numpy("predict"), np.array(NAMES, dtype=np.object_))
    client.close()

    client = triton_http.InferenceServerClient(echo.removeprefix("http://"))
    every = arrays()
    for up in (None, "gzip", "deflate"):
        for down in (None, "gzip", "deflate"):
            answer = client.infer(
                "echo",
                [input_of(triton_http, *it) for it in every.items()],
                request_compression_algorithm=up,
                response_compression_algorithm=down,
            )
            for name, array in every.items():
                same(f"http echo, {up} up, {down} down: {name}", answer.as_numpy(name), array)
    sent = {**every, **finite()}
    mixed = [
        input_of(triton_http, name, array, binary_data=at % 2 == 0 or name in ("fp16", "bf16"))
        for at, (name, array) in enumerate(sent.items())
    ]
    outputs = [
        triton_http.InferRequestedOutput(name, binary_data=at % 2 == 1 or name in ("fp16", "bf16"))
        for at, name in enumerate(sent)
    ]
    answer = client.infer("echo", mixed, outputs=outputs[::-1])
    equal("http mixed, order", [it["name"] for it in answer.get_response()["outputs"]], list(sent)[::-1])
    for name, array in sent.items():
        met = answer.as_numpy(name)
        if name == "bytes" and met.dtype == np.object_ and isinstance(met.flat[0], str):
            # The client leaves JSON's text as text.
            met = np.vectorize(str.encode, otypes=[np.object_])(met)
        same(f"http mixed: {name}", met, array)
    for name in ("fp16", "bf16"):
        json_out = [triton_http.InferRequestedOutput(name, binary_data=False)]
        call = lambda: client.infer("echo", [input_of(triton_http, *it) for it in every.items()], outputs=json_out)
        text = f"sending {name.upper()} data via JSON is not supported. "
        text += f"Please use the binary data format for output {name}"
        refused(f"http {name} in JSON", call, "400", text)
    client.close()


def wire(samples, echo):
    """What stands in the headers, and what the clients cannot be made to send."""
    body, length = triton_http.InferenceServerClient.generate_request_body([iris_input(triton_http)], request_id="7")
    url = f"{samples}/v2/models/iris/infer"

    def post(body, headers, url=url):
        return requests.post(url, data=body, headers=headers, timeout=20)

    def mistaken(what, body, headers, text, url=url):
        answer = post(body, headers, url)
        equal(f"wire {what}: status", answer.status_code, 400)
        equal(f"wire {what}: text", answer.json(), {"error": text})

    headers = {"Inference-Header-Content-Length": str(length), "Accept-Encoding": "identity"}
    answer = post(body, headers)
    equal("wire content type", answer.headers["content-type"], "application/octet-stream")
    size = int(answer.headers[LENGTH])
    equal("wire JSON, then bytes", answer.content[size : size + 14], b"\x0a\0\0\0versicolor")
    lacks("wire not compressed unasked", answer.headers, "content-encoding")
    parsed = triton_http.InferenceServerClient.parse_response_body(answer.content, header_length=size)
    same("wire parsed", parsed.as_numpy("predict"), np.array(NAMES, dtype=np.object_))
    # Answers of infer that are long enough are compressed, and nothing else is: the clients would not undo it.
    raw = f"{echo}/v2/models/raw/infer"
    many = np.arange(16384, dtype=np.float32).reshape(-1, 2)
    long, size_of_json = triton_http.InferenceServerClient.generate_request_body([input_of(triton_http, "fp32", many)])
    for encoding, undo in (("gzip", gzip.decompress), ("deflate", zlib.decompress)):
        asked = {"Inference-Header-Content-Length": str(size_of_json), "Accept-Encoding": encoding}
        with requests.post(raw, data=long, headers=asked, stream=True, timeout=20) as answer:
            equal(f"wire {encoding}", answer.headers["content-encoding"], encoding)
            undone = undo(answer.raw.read(decode_content=False))
        # The length is of the JSON as it was.
        equal(f"wire {encoding}: bytes", undone[int(answer.headers[LENGTH]) :], many.tobytes())
        for path in ("/v2/models/iris", "/openapi.json"):
            answer = requests.get(samples + path, headers={"Accept-Encoding": encoding}, timeout=20)
            equal(f"wire {path}, {encoding} wanted: status", answer.status_code, 200)
            lacks(f"wire {path}, {encoding} wanted", answer.headers, "content-encoding")

    name = "Inference-Header-Content-Length"
    total = len(body)
    mistaken("length is no number", body, {name: "abc"}, f"Unable to parse {name}, got: abc")
    big = f"Unable to parse {name}, value is out of range [ -2147483648, 2147483647 ], got: 99999999999"
    mistaken("length is too big", body, {name: "99999999999"}, big)
    for bad in (total + 1, -1):
        text = f"inference header size should be in range (0, {total}), got: {bad}"
        mistaken(f"length {bad}", body, {name: str(bad)}, text)
    text = "unexpected size for input 'input-0', expecting 4 additional bytes for model 'iris'"
    mistaken("bytes are missing", body[:-4], {name: str(length)}, text)
    text = "unexpected additional input data for model 'iris'"
    mistaken("bytes are left", body + b"more", {name: str(length)}, text)
    answer = post(body, {name: str(length), "Content-Encoding": "br"})
    equal("wire unknown encoding: status", answer.status_code, 501)
    contains("wire unknown encoding: text", answer.json()["error"], "Unsupported compression type")
    equal("wire unknown encoding: known ones", answer.headers["accept-encoding"], "gzip, deflate")
    answer = post(b"no gzip", {"Content-Encoding": "gzip"})
    equal("wire broken gzip: status", answer.status_code, 400)

    # The whole body is the one input; all outputs are bytes. A transformer has no signature to tell its shape.
    answer = post(IRIS.tobytes(), {name: "0"})
    equal("wire raw before a transformer: status", answer.status_code, 400)
    row = np.array([[1.5, -2.5]], dtype=np.float32)
    answer = post(row.tobytes(), {name: "0"}, raw)
    size = int(answer.headers[LENGTH])
    equal("wire raw FP32", answer.content[size:], row.tobytes())
    told = json.loads(answer.content[:size])["outputs"]
    expected = {"name": "fp32", "datatype": "FP32", "shape": [1, 2], "parameters": {"binary_data_size": 8}}
    equal("wire raw FP32, told", told, [expected])
    answer = post(b"\xff any bytes", {name: "0"}, f"{echo}/v2/models/blob/infer")
    size = int(answer.headers[LENGTH])
    equal("wire raw BYTES", answer.content[size:], b"\x0b\0\0\0\xff any bytes")
    answer = post(row.tobytes()[:-1], {name: "0"}, raw)
    equal("wire raw of a wrong size: status", answer.status_code, 400)
    answer = post(row.tobytes(), {name: "0"}, f"{echo}/v2/models/echo/infer")
    equal("wire raw to several inputs: status", answer.status_code, 400)


async def aio(samples, echo):
    async with triton_aio.InferenceServerClient(samples.removeprefix("http://")) as client:
        equal("aio ready", await client.is_server_ready(), True)
        # aiohttp asks for compression of everything, the client undoes that of infer's answers only.
        equal("aio server", (await client.get_server_metadata())["name"], "weir")
        equal("aio metadata", (await client.get_model_metadata("iris"))["versions"], ["1"])
        index = await client.get_model_repository_index()
        equal("aio index", sorted(it["name"] for it in index), ["iris", "penguins"])
        for up in (None, "gzip", "deflate"):
            for down in (None, "gzip", "deflate"):
                answer = await client.infer(
                    "iris",
                    [iris_input(triton_http)],
                    request_compression_algorithm=up,
                    response_compression_algorithm=down,
                )
                same(f"aio, {up} up, {down} down", answer.as_numpy("predict"), np.array(NAMES, dtype=np.object_))
        try:
            answer = await client.infer("nope", [iris_input(triton_http)])
        except InferenceServerException as error:
            equal("aio unknown model", (error.status(), error.message()), ("404", MISSING))
        else:
            wrong("aio unknown model", answer, MISSING)


def rpc(samples, echo):
    client = triton_grpc.InferenceServerClient(samples.removeprefix("http://"))
    equal("grpc live", client.is_server_live(), True)
    equal("grpc ready", client.is_server_ready(), True)
    equal("grpc model ready", client.is_model_ready("iris", "1"), True)
    equal("grpc server", client.get_server_metadata().name, "weir")
    for version in ("", "1"):
        model = client.get_model_metadata("iris", version)
        equal("grpc metadata", (model.name, list(model.versions)), ("iris", ["1"]))
        told("grpc inputs", [(it.name, it.datatype, list(it.shape)) for it in model.inputs])
    not_found = "StatusCode.NOT_FOUND"
    refused("grpc metadata, unknown", lambda: client.get_model_metadata("nope"), not_found, MISSING)
    refused("grpc infer, unknown", lambda: client.infer("nope", [iris_input(triton_grpc)]), not_found, MISSING)

    asked = [triton_grpc.InferRequestedOutput(name) for name in ("predict_proba", "predict")]
    for how in (None, "gzip", "deflate"):
        answer = client.infer(
            "iris",
            [iris_input(triton_grpc)],
            request_id="7",
            outputs=asked,
            compression_algorithm=how,
            # Kinds of parameter that only Triton's messages have.
            priority=2**63,
            parameters={"a": 0.5, "b": "text", "c": True, "d": 1},
        )
        equal(f"grpc {how}: id", answer.get_response().id, "7")
        equal(f"grpc {how}: outputs", [it.name for it in answer.get_response().outputs], ["predict_proba", "predict"])
        close(f"grpc {how}: probabilities", answer.as_numpy("predict_proba"), PROBA, 1e-9)
        same(f"grpc {how}: names", answer.as_numpy("predict"), np.array(NAMES, dtype=np.object_))
    answers = queue.Queue()
    for at in range(8):
        client.async_infer(
            "iris",
            [iris_input(triton_grpc)],
            callback=lambda result, error: answers.put((result, error)),
            request_id=str(at),
        )
    got = [answers.get(timeout=20) for _ in range(8)]
    equal("grpc async errors", [error for _, error in got], [None] * 8)
    equal("grpc async ids", sorted(result.get_response().id for result, _ in got), [str(at) for at in range(8)])
    client.close()

    client = triton_grpc.InferenceServerClient(echo.removeprefix("http://"))
    every = arrays()
    answer = client.infer("echo", [input_of(triton_grpc, *it) for it in every.items()])
    for name, array in every.items():
        same(f"grpc echo: {name}", answer.as_numpy(name), array)
    client.close()


def stream(samples):
    """Errors come in the stream, each with the id of its request, and the stream goes on."""
    client = triton_grpc.InferenceServerClient(samples.removeprefix("http://"))
    answers = queue.Queue()
    client.start_stream(callback=lambda result, error: answers.put((result, error)))
    for at in range(20):
        model = "nope" if at == 7 else "iris"
        client.async_stream_infer(model, [iris_input(triton_grpc)], request_id=str(at))
    got = [answers.get(timeout=20) for _ in range(20)]
    # Waits for the server to end the stream.
    client.stop_stream()
    equal("stream has ended", answers.empty(), True)
    errors = [error.message() for _, error in got if error]
    equal("stream errors", errors, [MISSING])
    ids = [result.get_response().id for result, _ in got if result]
    equal("stream ids, in order", ids, [str(at) for at in range(20) if at != 7])
    for result, _ in got:
        if result and result.get_response().id in ("0", "19"):
            same("stream answer", result.as_numpy("predict"), np.array(NAMES, dtype=np.object_))
    client.start_stream(callback=lambda result, error: answers.put((result, error)))
    client.async_stream_infer("iris", [iris_input(triton_grpc)], request_id="again")
    equal("stream after a stream", answers.get(timeout=20)[0].get_response().id, "again")
    client.stop_stream(cancel_requests=True)
    client.close()


def repository(samples):
    """The repository over REST and gRPC: what is unloaded is gone, and comes back."""
    rest = triton_http.InferenceServerClient(samples.removeprefix("http://"))
    rpc = triton_grpc.InferenceServerClient(samples.removeprefix("http://"))

    def listed():
        """What both protocols say, once they agree."""
        told = [(it["name"], it["version"], it["state"]) for it in rest.get_model_repository_index()]
        equal(
            "index over gRPC",
            [(it.name, it.version, it.state) for it in rpc.get_model_repository_index().models],
            told,
        )
        return sorted(told)

    both = [("iris", "1", "READY"), ("penguins", "1", "READY")]
    equal("index", listed(), both)
    for library, client in ((triton_http, rest), (triton_grpc, rpc)):
        kind = library.__name__
        client.unload_model("iris")
        # Which version the unloaded one has is not for a client to ask.
        told = [(name, state) for name, _, state in listed()]
        equal(f"{kind}: unloaded", told, [("iris", "UNAVAILABLE"), ("penguins", "READY")])
        ready = requests.post(f"{samples}/v2/repository/index", json={"ready": True}, timeout=20).json()
        equal(f"{kind}: unloaded is not among the ready", [it["name"] for it in ready], ["penguins"])
        equal(f"{kind}: unloaded is not ready", rest.is_model_ready("iris"), False)
        equal(f"{kind}: the other is", rest.is_model_ready("penguins"), True)
        error = raised(f"{kind}: infer", lambda: client.infer("iris", [iris_input(library)]), InferenceServerException)
        status = "404" if library is triton_http else "StatusCode.NOT_FOUND"
        equal(f"{kind}: unloaded: status", error.status(), status)
        client.load_model("iris")
        equal(f"{kind}: loaded again", listed(), both)
        answer = client.infer("iris", [iris_input(library)])
        same(f"{kind}: answers again", answer.as_numpy("predict"), np.array(NAMES, dtype=np.object_))
        # A load of what is loaded reloads it.
        client.load_model("iris")
        equal(f"{kind}: reloaded", rest.is_model_ready("iris"), True)
        for verb in (client.load_model, client.unload_model):
            refused(f"{kind}: {verb.__name__} of an unknown model", lambda: verb("nope"), status, MISSING)
    answer = requests.post(f"{samples}/v2/repository/models/iris/load", timeout=20)
    equal("load as KServe has it", (answer.status_code, answer.json()), (200, {"name": "iris", "load": True}))
    rest.close()
    rpc.close()


def main(samples, echo):
    http(samples, echo)
    wire(samples, echo)
    asyncio.run(aio(samples, echo))
    rpc(samples, echo)
    stream(samples)
    repository(samples)


if __name__ == "__main__":
    main(*sys.argv[1:])
