"""grpc.health.v1, by the client that comes with grpcio-health-checking.

health.py SAMPLES"""

import sys

import grpc
from grpc_health.v1 import health_pb2 as pb
from grpc_health.v1.health_pb2_grpc import HealthStub

from checks import equal, raised

SERVING = pb.HealthCheckResponse.SERVING
UNKNOWN = pb.HealthCheckResponse.SERVICE_UNKNOWN


def main(samples):
    with grpc.insecure_channel(samples.removeprefix("http://")) as channel:
        stub = HealthStub(channel)
        for service in ("", "inference.GRPCInferenceService"):
            answer = stub.Check(pb.HealthCheckRequest(service=service), timeout=20)
            equal(f"check `{service}`", answer.status, SERVING)
        call = lambda: stub.Check(pb.HealthCheckRequest(service="nope"), timeout=20)
        equal(
            "check of a service that is not there",
            raised("check", call, grpc.RpcError).code(),
            grpc.StatusCode.NOT_FOUND,
        )
        for service, status in (("", SERVING), ("nope", UNKNOWN)):
            watch = stub.Watch(pb.HealthCheckRequest(service=service), timeout=20)
            equal(f"watch `{service}`", next(watch).status, status)
            # It stays open; a watch that ends reads as a server that is gone.
            equal(f"watch `{service}` is open", watch.is_active(), True)
            watch.cancel()


if __name__ == "__main__":
    main(*sys.argv[1:])
