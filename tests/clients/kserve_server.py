"""KServe's own Python server with one model: an upstream for a predictor. It says the port of its gRPC server, and ends with its
standard input.

    python kserve_server.py

The model `scale` takes `x` (FP32, any rows of 2) and `words` (BYTES), and answers `y = 2 x + 1` and the words in upper case. It
refuses rows that hold 13.
"""

import os
import socket
import sys
import threading

import numpy as np
from kserve import InferOutput, InferResponse, Model, ModelServer
from kserve.errors import InvalidInput


class Scale(Model):
    def __init__(self):
        super().__init__("scale")
        self.ready = True

    def predict(self, request, headers=None, response_headers=None):
        inputs = {it.name: it.as_numpy() for it in request.inputs}
        if (inputs["x"] == 13).any():
            raise InvalidInput("thirteen is not scaled")
        y = InferOutput("y", list(inputs["x"].shape), "FP32")
        y.set_data_from_numpy((inputs["x"] * 2 + 1).astype(np.float32), binary_data=False)
        words = InferOutput("upper", list(inputs["words"].shape), "BYTES")
        words.set_data_from_numpy(np.array([it.upper() for it in inputs["words"].reshape(-1)], dtype=object).reshape(
            inputs["words"].shape), binary_data=False)
        return InferResponse(request.id, "scale", [y, words])

    def get_input_types(self):
        return [{"name": "x", "datatype": "FP32", "shape": [-1, 2]}, {"name": "words", "datatype": "BYTES", "shape": [-1]}]

    def get_output_types(self):
        return [{"name": "y", "datatype": "FP32", "shape": [-1, 2]}, {"name": "upper", "datatype": "BYTES", "shape": [-1]}]


def reserved():
    """A port that nobody else is given: the server shares it, as gRPC's sockets do, with one that never listens."""
    it = socket.socket(socket.AF_INET6)
    it.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    it.bind(("::", 0))
    return it


if __name__ == "__main__":
    place = reserved()
    threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()
    print(place.getsockname()[1], flush=True)
    ModelServer(http_port=0, grpc_port=place.getsockname()[1], workers=1).start([Scale()])
