"""Server reflection, as grpcurl uses it: list, describe, and a call out of nothing but what was described.

reflection.py SAMPLES"""

import sys

import grpc
from google.protobuf import descriptor_pb2
from google.protobuf.descriptor_database import DescriptorDatabase
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass
from grpc_reflection.v1alpha import reflection_pb2 as pb
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

from checks import IRIS, IRIS_NAMES, contains, equal, raised

SERVICE = "inference.GRPCInferenceService"


def call(channel, pool, method, fields):
    """One unary call whose messages are made from what the server described."""
    method = pool.FindServiceByName(SERVICE).methods_by_name[method]
    question = GetMessageClass(method.input_type)
    answer = GetMessageClass(method.output_type)
    return channel.unary_unary(f"/{SERVICE}/{method.name}", question.SerializeToString, answer.FromString)(
        question(**fields), timeout=20
    )


def predicts(what, channel, pool):
    answer = call(channel, pool, "ServerMetadata", {})
    equal(f"{what}: server", answer.name, "weir")
    tensor = {"name": "input-0", "datatype": "FP64", "shape": [4, 4], "contents": {"fp64_contents": IRIS.flatten()}}
    answer = call(channel, pool, "ModelInfer", {"model_name": "iris", "inputs": [tensor]})
    names = [it.decode() for it in answer.outputs[0].contents.bytes_contents]
    equal(f"{what}: a call from what was described", names, IRIS_NAMES)


def alpha(channel):
    """By grpcio-reflection's client, which speaks v1alpha."""
    database = ProtoReflectionDescriptorDatabase(channel)
    services = database.get_services()
    for service in (SERVICE, "grpc.health.v1.Health", "grpc.reflection.v1alpha.ServerReflection"):
        contains(f"v1alpha lists {service}", services, service)
    pool = DescriptorPool(database)
    for service in services:
        equal(f"v1alpha describes {service}", pool.FindServiceByName(service).full_name, service)
    methods = [it.name for it in pool.FindServiceByName(SERVICE).methods]
    for method in ("ModelInfer", "ModelStreamInfer", "RepositoryIndex", "RepositoryModelLoad"):
        contains(f"v1alpha describes {method}", methods, method)
    message = pool.FindMessageTypeByName("inference.ModelInferRequest.InferInputTensor")
    equal("v1alpha describes a message inside of a message", message.fields_by_name["datatype"].number, 2)
    raised("v1alpha, unknown symbol", lambda: database.FindFileContainingSymbol("no.such.Symbol"), KeyError)
    predicts("v1alpha", channel, pool)


def v1(channel):
    """v1 has v1alpha's messages under another name, and no client of its own here: several questions in one stream, as
    grpcurl asks them."""
    ask = channel.stream_stream(
        "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
        pb.ServerReflectionRequest.SerializeToString,
        pb.ServerReflectionResponse.FromString,
    )
    questions = [
        pb.ServerReflectionRequest(list_services=""),
        pb.ServerReflectionRequest(file_containing_symbol=SERVICE),
        pb.ServerReflectionRequest(file_containing_symbol=f"{SERVICE}.ModelInfer"),
        pb.ServerReflectionRequest(file_containing_symbol="inference.ModelInferRequest"),
        pb.ServerReflectionRequest(file_containing_symbol="no.such.Symbol"),
        pb.ServerReflectionRequest(file_by_filename="no/such.proto"),
        pb.ServerReflectionRequest(all_extension_numbers_of_type="no.such.Message"),
    ]
    answers = list(ask(iter(questions), timeout=20))
    equal("v1 answers each question", [it.original_request for it in answers], questions)
    services = [it.name for it in answers[0].list_services_response.service]
    for service in (SERVICE, "grpc.reflection.v1.ServerReflection"):
        contains(f"v1 lists {service}", services, service)
    for at in (4, 5, 6):
        code = answers[at].error_response.error_code
        equal(f"v1 unknown {questions[at].WhichOneof('message_request')}", code, grpc.StatusCode.NOT_FOUND.value[0])
    # The file, and what it imports, together: nothing is left to ask for.
    database = DescriptorDatabase()
    for text in answers[1].file_descriptor_response.file_descriptor_proto:
        database.Add(descriptor_pb2.FileDescriptorProto.FromString(text))
    pool = DescriptorPool(database)
    files = [it.file_descriptor_response.file_descriptor_proto[0] for it in answers[1:4]]
    equal("v1 the file by service, by method, by message", files, files[:1] * 3)
    predicts("v1", channel, pool)
    name = descriptor_pb2.FileDescriptorProto.FromString(files[0]).name
    (by_name,) = ask(iter([pb.ServerReflectionRequest(file_by_filename=name)]), timeout=20)
    equal("v1 the file by its name", by_name.file_descriptor_response.file_descriptor_proto[0], files[0])


def main(samples):
    with grpc.insecure_channel(samples.removeprefix("http://")) as channel:
        alpha(channel)
        v1(channel)


if __name__ == "__main__":
    main(*sys.argv[1:])
