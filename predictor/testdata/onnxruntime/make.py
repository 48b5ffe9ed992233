"""Writes the small models beside this file. With onnx 1.23.2 (any release writes about the same bytes).

    python make.py

types.onnx       an input and an output of each element type that is served, passed through: answers share the input's memory
classifier.onnx  a linear classifier of two numbers with labels of text, and a ZipMap behind it, as skl2onnx writes them
numbered.onnx    the same with whole numbers as labels
adder.onnx       x + y, of any number of rows, and their sum times a constant; the constant is an output as well
sequence.onnx    a list of tensors beside a tensor
unranked.onnx    an input of any number of sizes
sparse.onnx      an input of an element type that ONNX Runtime refuses
"""

import pathlib

import numpy as np
import onnx
from onnx import TensorProto as T
from onnx import helper as h

here = pathlib.Path(__file__).parent


def write(name, nodes, inputs, outputs, initializers=()):
    graph = h.make_graph(nodes, name, inputs, outputs, list(initializers))
    opsets = [h.make_opsetid("", 17), h.make_opsetid("ai.onnx.ml", 3)]
    model = h.make_model(graph, opset_imports=opsets, ir_version=8, producer_name="weir")
    if name != "unranked":
        onnx.checker.check_model(model)
    onnx.save(model, here / (name + ".onnx"))


tensor = h.make_tensor_value_info

TYPES = {
    "bool": T.BOOL, "uint8": T.UINT8, "uint16": T.UINT16, "uint32": T.UINT32, "uint64": T.UINT64, "int8": T.INT8,
    "int16": T.INT16, "int32": T.INT32, "int64": T.INT64, "fp16": T.FLOAT16, "bf16": T.BFLOAT16, "fp32": T.FLOAT,
    "fp64": T.DOUBLE, "bytes": T.STRING,
}
write(
    "types",
    [h.make_node("Identity", [name], ["out_" + name]) for name in TYPES],
    [tensor(name, type, ["n"]) for name, type in TYPES.items()],
    [tensor("out_" + name, type, ["n"]) for name, type in TYPES.items()],
)


def classifier(name, **labels):
    key = next(iter(labels))
    coefficients = [1.0, -1.0, 0.5, 0.25, -1.0, 2.0]
    ints = key == "classlabels_ints"
    linear = h.make_node(
        "LinearClassifier", ["x"], ["label", "scores"], domain="ai.onnx.ml", coefficients=coefficients,
        intercepts=[0.5, 0.0, -0.25], multi_class=1, post_transform="SOFTMAX", **labels,
    )
    zipped = {"classlabels_int64s" if ints else "classlabels_strings": labels[key]}
    zipmap = h.make_node("ZipMap", ["scores"], ["probabilities"], domain="ai.onnx.ml", **zipped)
    of_map = h.make_map_type_proto(T.INT64 if ints else T.STRING, h.make_tensor_type_proto(T.FLOAT, []))
    out = h.make_value_info("probabilities", h.make_sequence_type_proto(of_map))
    label = tensor("label", T.INT64 if ints else T.STRING, [None])
    write(name, [linear, zipmap], [tensor("x", T.FLOAT, [None, 2])], [label, out])


# Not in the order of their names: a map's keys are.
classifier("classifier", classlabels_strings=["setosa", "virginica", "maple"])
classifier("numbered", classlabels_ints=[7, 3, 10])

two = onnx.numpy_helper.from_array(np.array([2.0], dtype=np.float32), "two")
write(
    "adder",
    [h.make_node("Add", ["x", "y"], ["sum"]), h.make_node("Mul", ["sum", "two"], ["twice"]), h.make_node("Identity", ["two"], ["factor"])],
    [tensor("x", T.FLOAT, ["n", 3]), tensor("y", T.FLOAT, ["n", 3])],
    [tensor("sum", T.FLOAT, ["n", 3]), tensor("twice", T.FLOAT, ["n", 3]), tensor("factor", T.FLOAT, [1])],
    [two],
)
write(
    "sequence",
    [h.make_node("SequenceConstruct", ["x", "x"], ["list"]), h.make_node("Identity", ["x"], ["same"])],
    [tensor("x", T.FLOAT, ["n"])],
    [h.make_tensor_sequence_value_info("list", T.FLOAT, None), tensor("same", T.FLOAT, ["n"])],
)
unranked = h.make_value_info("x", h.make_tensor_type_proto(T.FLOAT, None))
write("unranked", [h.make_node("Abs", ["x"], ["y"])], [unranked], [h.make_value_info("y", h.make_tensor_type_proto(T.FLOAT, None))])
write("sparse", [h.make_node("Identity", ["x"], ["y"])], [tensor("x", T.COMPLEX64, ["n"])], [tensor("y", T.COMPLEX64, ["n"])])
