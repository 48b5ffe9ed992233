"""Cuts SavedModels down to what is read of them here: `python make.py GOLDEN`, the folder `tensorflow-VERSION` that
`predictor/testdata/golden/make.py` has made. Graphs keep one node, and functions and Keras' own objects go.
"""

import pathlib
import sys

from tensorflow.core.protobuf import saved_model_pb2

KEPT = {
    "tf1": "tf1_versions/3",
    "two_signatures": "module_two_signatures/1",
    "types": "module_types/1",
    "unknown_rank": "module_unknown_rank/1",
}

for name, folder in KEPT.items():
    message = saved_model_pb2.SavedModel()
    message.ParseFromString((pathlib.Path(sys.argv[1]) / folder / "saved_model.pb").read_bytes())
    for graph in message.meta_graphs:
        del graph.graph_def.node[1:]
        graph.graph_def.ClearField("library")
        graph.meta_info_def.ClearField("stripped_op_list")
        graph.ClearField("object_graph_def")
        graph.ClearField("collection_def")
    (pathlib.Path(__file__).parent / (name + ".pb")).write_bytes(message.SerializeToString())
