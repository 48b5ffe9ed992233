"""KServe's own clients: InferenceRESTClient over V1 and V2, InferenceGRPCClient.

kserve_client.py SAMPLES ECHO: the base URLs of the samples and of an echo of every data type that KServe has."""

import asyncio
import logging
import sys

import grpc
import httpx
import numpy as np
from kserve import InferenceRESTClient, InferInput, InferRequest, RESTConfig
from kserve.inference_client import InferenceGRPCClient
from kserve.protocol.grpc import grpc_predict_v2_pb2 as pb
from kserve.protocol.grpc.grpc_predict_v2_pb2_grpc import GRPCInferenceServiceStub
from kserve.protocol.infer_type import RequestedOutput

from checks import (
    IRIS,
    IRIS_NAMES,
    PENGUINS,
    SAMPLES,
    close,
    contains,
    equal,
    finite,
    lacks,
    same,
    tensors,
    wrong,
)

PROBA = SAMPLES["iris"]["predict_proba"]
LENGTH = "inference-header-content-length"
# The client logs each error with its traceback before it raises it.
logging.getLogger("kserve").setLevel(logging.CRITICAL)


async def fails(what, call, kind):
    try:
        answer = await call
    except kind as error:
        return error
    return wrong(what, answer, f"a {kind.__name__}")


async def refused(what, call, status, text):
    """A REST error of that status whose text the client finds where it looks for it."""
    error = await fails(what, call, httpx.HTTPStatusError)
    equal(f"{what}: status", error.response.status_code, status)
    equal(f"{what}: text", str(error).split(f", '{status} ")[0], text)


def input_of(name, array, binary):
    tensor = InferInput(name, list(array.shape), name.upper())
    tensor.set_data_from_numpy(array, binary_data=binary)
    return tensor


def iris_input(binary):
    tensor = InferInput("input-0", [4, 4], "FP64")
    tensor.set_data_from_numpy(IRIS, binary_data=binary)
    return tensor


async def v1(samples):
    client = InferenceRESTClient(RESTConfig(protocol="v1", timeout=20))
    equal("v1 live", await client.is_server_live(samples), True)
    equal("v1 model ready", await client.is_model_ready(samples, "iris"), True)
    missing = "Model with name nope does not exist."
    await refused("v1 model ready, unknown", client.is_model_ready(samples, "nope"), 404, missing)

    headers = {}
    body = {"instances": IRIS.tolist()}
    answer = await client.infer(samples, body, model_name="iris", response_headers=headers)
    equal("v1 iris", answer, {"predictions": IRIS_NAMES})
    equal("v1 iris content type", headers["content-type"], "application/json")
    answer = await client.infer(samples, {"instances": PENGUINS}, model_name="penguins")
    equal("v1 penguins keys", list(answer), ["predictions"])
    close("v1 penguins", answer["predictions"], SAMPLES["penguins"]["predict_proba"], 1e-6)

    data = (await client.explain(samples, "iris", {"instances": IRIS[:1].tolist()}))["data"]
    sums = np.sum(np.array(data["shap_values"])[:, 0, :], axis=1) + np.array(data["expected_value"])
    close("v1 explain adds up to what scikit-learn answers", sums, PROBA[0], 1e-6)

    await refused("v1 unknown model", client.infer(samples, body, model_name="nope"), 404, missing)
    short = client.infer(samples, {"instances": [[1, 2, 3]]}, model_name="iris")
    await refused("v1 wrong width", short, 400, "the input has 3 features a row, step `scale` has 4")
    scalar = client.infer(samples, {"instances": 1}, model_name="iris")
    await refused("v1 no list", scalar, 400, 'Expected "instances" to be a list')
    unexplained = client.explain(samples, "nope", body)
    await refused("v1 explain, unknown model", unexplained, 404, missing)
    await client.close()


async def v2(samples):
    client = InferenceRESTClient(RESTConfig(protocol="v2", timeout=20))
    equal("v2 live", await client.is_server_live(samples), True)
    equal("v2 ready", await client.is_server_ready(samples), True)
    equal("v2 model ready", await client.is_model_ready(samples, "iris"), True)
    equal("v2 model ready, unknown", await client.is_model_ready(samples, "nope"), False)

    headers = {}
    request = InferRequest("iris", [iris_input(False)], request_id="7")
    answer = await client.infer(samples, request, model_name="iris", response_headers=headers)
    equal("v2 iris id, model", (answer.id, answer.model_name), ("7", "iris"))
    equal("v2 iris outputs", [it.name for it in answer.outputs], ["predict"])
    output = answer.outputs[0]
    equal("v2 iris output", (output.datatype, output.shape, output.data), ("BYTES", [4], IRIS_NAMES))
    equal("v2 iris in JSON", headers["content-type"], "application/json")
    lacks("v2 iris has no binary part", headers, LENGTH)

    # One output in JSON, one in bytes, in the order asked for.
    headers = {}
    outputs = [RequestedOutput("predict_proba", {"binary_data": True}), RequestedOutput("predict")]
    request = InferRequest("iris", [iris_input(True)], request_outputs=outputs)
    answer = await client.infer(samples, request, model_name="iris", response_headers=headers)
    equal("v2 iris, two outputs", [it.name for it in answer.outputs], ["predict_proba", "predict"])
    close("v2 iris probabilities", answer.outputs[0].as_numpy(), PROBA, 1e-9)
    equal("v2 iris names", answer.outputs[1].data, IRIS_NAMES)
    equal("v2 iris in bytes", headers["content-type"], "application/octet-stream")
    contains("v2 iris has a binary part", headers, LENGTH)

    nope = InferRequest("iris", [iris_input(False)], request_outputs=[RequestedOutput("nope")])
    text = "Unexpected inference output 'nope' for model 'iris'; it has `predict`, `predict_proba`, `decision_function`"
    await refused("v2 unknown output", client.infer(samples, nope, model_name="iris"), 400, text)
    call = client.infer(samples, {"inputs": [{"name": "x"}]}, model_name="iris")
    error = await fails("v2 half an input", call, httpx.HTTPStatusError)
    equal("v2 half an input: status", error.response.status_code, 400)
    call = client.infer(samples, InferRequest("nope", [iris_input(False)]), model_name="nope")
    await refused("v2 unknown model", call, 404, "Model with name nope does not exist.")
    await client.close()


async def v2_echo(echo):
    client = InferenceRESTClient(RESTConfig(protocol="v2", timeout=20))
    arrays = tensors()
    for parameters in ({"binary_data_output": True}, None):
        headers = {}
        # Without FP16 and NaN, when the answer is to be JSON.
        sent = arrays if parameters else finite()
        every = InferRequest("echo", [input_of(*it, True) for it in sent.items()], parameters=parameters)
        # A filter of none would be all; the tensors not sent have to be there all the same.
        if not parameters:
            every.inputs += [input_of("fp16", arrays["fp16"], True)]
            every.request_outputs = [RequestedOutput(name) for name in sent]
        answer = await client.infer(echo, every, model_name="echo", response_headers=headers)
        kind = "bytes" if parameters else "JSON"
        equal(f"v2 echo in {kind}: names", [it.name for it in answer.outputs], list(sent))
        for output in answer.outputs:
            expected = sent[output.name]
            if output.name == "bytes":
                # The client makes text of bytes.
                equal(f"v2 echo in {kind}: bytes", output.data, [it.decode() for it in expected.flat])
            else:
                same(f"v2 echo in {kind}: {output.name}", output.as_numpy(), expected)
        if parameters:
            contains("v2 echo in bytes: header", headers, LENGTH)
        else:
            lacks("v2 echo in JSON: header", headers, LENGTH)
    # Some inputs in JSON, some in bytes.
    sent = finite()
    mixed = [input_of(name, array, at % 2 == 0) for at, (name, array) in enumerate(sent.items())]
    mixed.append(input_of("fp16", arrays["fp16"], True))
    request = InferRequest("echo", mixed, request_outputs=[RequestedOutput(name) for name in sent])
    answer = await client.infer(echo, request, model_name="echo")
    for output in answer.outputs:
        if output.name != "bytes":
            same(f"v2 mixed: {output.name}", output.as_numpy(), sent[output.name])

    # The client writes a tensor of no bytes as `"data": null` with `binary_data_size` 0.
    empty = [input_of(name, array[:0], True) for name, array in arrays.items()]
    call = client.infer(echo, InferRequest("echo", empty), model_name="echo")
    await refused("v2 no rows", call, 400, "input `bool` is empty: at least one row is needed")

    half = {"name": "fp16", "shape": [1, 1], "datatype": "FP16", "data": [1.5]}
    rest = [dict(input_of(*it, False).to_dict(), parameters={}) for it in finite().items()]
    call = client.infer(echo, {"inputs": [*rest, half]}, model_name="echo")
    text = "Sending FP16 data via JSON is not supported. Please use the binary data format for input fp16"
    await refused("v2 FP16 in JSON", call, 400, text)
    await client.close()


async def rpc_refused(what, call, code, text):
    error = await fails(what, call, grpc.RpcError)
    equal(f"{what}: code", error.code(), code)
    equal(f"{what}: text", error.details(), text)
    return dict(error.trailing_metadata())


async def grpc_v2(samples):
    # No retries: what is refused is refused at once.
    client = InferenceGRPCClient(samples.removeprefix("http://"), timeout=20, retries=0)
    equal("grpc live", await client.is_server_live(), True)
    equal("grpc ready", await client.is_server_ready(), True)
    equal("grpc model ready", await client.is_model_ready("iris"), True)
    missing = (grpc.StatusCode.NOT_FOUND, "Model with name nope does not exist.")
    await rpc_refused("grpc model ready, unknown", client.is_model_ready("nope"), *missing)

    raw = InferInput("input-0", [4, 4], "FP64", data=IRIS)
    typed = InferInput("input-0", [4, 4], "FP64", data=IRIS.flatten().tolist())
    for kind, tensor in (("raw", raw), ("typed", typed)):
        request = InferRequest("iris", [tensor], request_id="7")
        answer = await client.infer(request, headers=[("x-request-id", "abc")])
        equal(f"grpc {kind}: id, model", (answer.id, answer.model_name), ("7", "iris"))
        equal(f"grpc {kind}: outputs", [(it.name, it.shape) for it in answer.outputs], [("predict", [4])])
        names = answer.outputs[0].as_numpy().tolist()
        equal(f"grpc {kind}: names", [it.decode() for it in names], IRIS_NAMES)
    asked = [RequestedOutput("predict_proba"), RequestedOutput("predict")]
    answer = await client.infer(InferRequest("iris", [typed], request_outputs=asked))
    equal("grpc outputs in the order asked", [it.name for it in answer.outputs], ["predict_proba", "predict"])
    close("grpc probabilities", answer.outputs[0].as_numpy(), PROBA, 1e-9)

    trailers = await rpc_refused("grpc unknown model", client.infer(InferRequest("nope", [typed])), *missing)
    equal("grpc unknown model: origin", trailers["x-error-origin"], "router")
    narrow = InferInput("input-0", [1, 3], "FP64", data=[1.0, 2.0, 3.0])
    text = "the input has 3 features a row, step `scale` has 4"
    call = client.infer(InferRequest("iris", [narrow]))
    trailers = await rpc_refused("grpc wrong width", call, grpc.StatusCode.INVALID_ARGUMENT, text)
    equal("grpc wrong width: origin", trailers["x-error-origin"], "transformer")
    await client.close()


async def grpc_echo(echo):
    client = InferenceGRPCClient(echo.removeprefix("http://"), timeout=20, retries=0)
    arrays = tensors()
    every = [InferInput(name, [2, 3], name.upper(), data=array) for name, array in arrays.items()]
    answer = await client.infer(InferRequest("echo", every, request_id="e"))
    equal("grpc echo raw: names", [it.name for it in answer.outputs], list(arrays))
    for output in answer.outputs:
        same(f"grpc echo raw: {output.name}", output.as_numpy(), arrays[output.name])
    for version in ("1", ""):
        request = InferRequest("echo", every, model_version=version)
        equal(f"grpc version `{version}`", len((await client.infer(request)).outputs), len(arrays))
    call = client.infer(InferRequest("echo", every, model_version="7"))
    error = await fails("grpc version 7", call, grpc.RpcError)
    equal("grpc version 7: code", error.code(), grpc.StatusCode.NOT_FOUND)

    # What the client makes when some inputs are arrays and some are lists.
    one, two = (InferInput(name, [2, 3], name.upper(), data=arrays[name]) for name in ("bool", "fp16"))
    lists = [
        InferInput(name, [2, 3], name.upper(), data=array.flatten().tolist())
        for name, array in finite().items()
        if name != "bool"
    ]
    text = (
        f"the number of inputs ({len(arrays)}) does not match the expected number of "
        "raw input contents (2) for model 'echo'."
    )
    call = client.infer(InferRequest("echo", [one, two, *lists]))
    await rpc_refused("grpc some inputs raw", call, grpc.StatusCode.INVALID_ARGUMENT, text)
    await client.close()


async def stub(samples, typed_echo):
    """What the client cannot be made to send, by the stub it is built on."""
    async with grpc.aio.insecure_channel(samples.removeprefix("http://")) as channel:
        stub = GRPCInferenceServiceStub(channel)
        metadata = await stub.ModelMetadata(pb.ModelMetadataRequest(name="iris"))
        equal("stub metadata", (metadata.name, metadata.platform), ("iris", "sklearn_joblib"))
        told = [(it.name, it.datatype, list(it.shape)) for it in metadata.inputs]
        equal("stub metadata inputs", told, [("input-0", "FP64", [-1, 4])])
        equal("stub server", (await stub.ServerMetadata(pb.ServerMetadataRequest())).name, "weir")
        tensor = pb.ModelInferRequest.InferInputTensor(
            name="input-0", datatype="FP64", shape=[4, 4], contents={"fp64_contents": IRIS.flatten()}
        )
        both = pb.ModelInferRequest(model_name="iris", inputs=[tensor], raw_input_contents=[IRIS.tobytes()])
        text = "contents field must not be specified when using raw_input_contents for input 'input-0' for model 'iris'"
        await rpc_refused("stub raw and typed at once", stub.ModelInfer(both), grpc.StatusCode.INVALID_ARGUMENT, text)
        # KServe's messages of load and unload have the name where Triton's have that of a repository.
        gone = await stub.RepositoryModelUnload(pb.RepositoryModelUnloadRequest(model_name="penguins"))
        equal("stub unload", (gone.model_name, gone.isUnloaded), ("penguins", True))
        ready = InferenceRESTClient(RESTConfig(protocol="v2", timeout=20))
        equal("stub unload: not ready", await ready.is_model_ready(samples, "penguins"), False)
        back = await stub.RepositoryModelLoad(pb.RepositoryModelLoadRequest(model_name="penguins"))
        equal("stub load", (back.model_name, back.isLoaded), ("penguins", True))
        equal("stub load: ready", await ready.is_model_ready(samples, "penguins"), True)
        await ready.close()
        load = stub.RepositoryModelLoad(pb.RepositoryModelLoadRequest(model_name="nope"))
        await rpc_refused("stub load, unknown", load, grpc.StatusCode.NOT_FOUND, "Model with name nope does not exist.")

    # All that has typed contents, in typed contents both ways.
    async with grpc.aio.insecure_channel(typed_echo.removeprefix("http://")) as channel:
        stub = GRPCInferenceServiceStub(channel)
        sent = {**tensors(), **finite()}
        sent.pop("fp16")
        tensors_of = [
            InferInput(name, [2, 3], name.upper(), data=array.flatten().tolist()) for name, array in sent.items()
        ]
        answer = await stub.ModelInfer(InferRequest("typed", tensors_of).to_grpc())
        equal("stub typed in, typed out", len(answer.raw_output_contents), 0)
        for output in answer.outputs:
            field = {
                "BOOL": "bool",
                **dict.fromkeys(("INT8", "INT16", "INT32"), "int"),
                **dict.fromkeys(("UINT8", "UINT16", "UINT32"), "uint"),
            }.get(output.datatype, output.datatype.lower())
            values = list(getattr(output.contents, f"{field}_contents"))
            equal(f"stub typed {output.name}", values, sent[output.name].flatten().tolist())


async def main(samples, echo):
    await v1(samples)
    await v1(samples + "/")
    await v2(samples)
    await v2_echo(echo)
    await grpc_v2(samples)
    await grpc_echo(echo)
    await stub(samples, echo)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
