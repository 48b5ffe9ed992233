"""Golden ONNX models, and what ONNX Runtime itself answers to them, bit for bit.

    python library.py OUT    # writes to the folder OUT, which is called `onnx-VERSION`

Beside a model `NAME.onnx` stands `NAME.answers`, a line a question: a tab, and JSON of `inputs` and `outputs`, each a map from
names to `{"datatype", "shape", "data"}`. Numbers are the hexadecimal digits of their bytes, little-endian, strings those of
each element. A list of maps is a matrix, a column a class in the order of the scores. The file `onnxruntime` says which library
answered. Weights are random: what is held is the arithmetic.
"""

import json
import pathlib
import sys

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto as T
from onnx import helper as h
from onnx import numpy_helper

rng = np.random.RandomState(11)
NAMES = {
    "float32": "FP32", "float64": "FP64", "float16": "FP16", "bool": "BOOL", "object": "BYTES",
    "int8": "INT8", "int16": "INT16", "int32": "INT32", "int64": "INT64",
    "uint8": "UINT8", "uint16": "UINT16", "uint32": "UINT32", "uint64": "UINT64",
}
tensor = h.make_tensor_value_info
node = h.make_node


def floats(*shape):
    return rng.normal(size=shape).astype(np.float32)


class Graph:
    """Nodes with weights, as they are added."""

    def __init__(self):
        self.nodes, self.weights = [], []

    def weight(self, values):
        name = "w{}".format(len(self.weights))
        self.weights.append(numpy_helper.from_array(np.asarray(values), name))
        return name

    def add(self, operator, *inputs, out=None, **attributes):
        out = out or "t{}".format(len(self.nodes))
        self.nodes.append(node(operator, list(inputs), [out], **attributes))
        return out

    def model(self, inputs, outputs, opset=17):
        graph = h.make_graph(self.nodes, "golden", inputs, outputs, self.weights)
        opsets = [h.make_opsetid("", opset), h.make_opsetid("ai.onnx.ml", 3)]
        model = h.make_model(graph, opset_imports=opsets, ir_version=8)
        onnx.checker.check_model(model)
        return model


def resnet(width=16, size=32, blocks=4, classes=10):
    g = Graph()

    def conv(x, into, out, kernel=3, stride=1, dtype=np.float32):
        weights = floats(out, into, kernel, kernel) / np.float32(np.sqrt(into) * kernel)
        pad = kernel // 2
        return g.add("Conv", x, g.weight(weights.astype(dtype)), g.weight(floats(out).astype(dtype)),
                     pads=[pad] * 4, strides=[stride] * 2)

    x, into = conv("image", 3, width), width
    for block in range(blocks):
        out, stride = width << (block // 2), 1 + (block % 2)
        y = conv(g.add("Relu", conv(x, into, out, stride=stride)), out, out)
        skip = x if stride == 1 and into == out else conv(x, into, out, kernel=1, stride=stride)
        x, into = g.add("Relu", g.add("Add", y, skip)), out
    x = g.add("Flatten", g.add("GlobalAveragePool", x))
    g.add("Softmax", g.add("Gemm", x, g.weight(floats(into, classes)), g.weight(floats(classes))), out="scores", axis=1)
    return g.model([tensor("image", T.FLOAT, ["N", 3, size, size])], [tensor("scores", T.FLOAT, ["N", classes])])


def golden_resnet(path):
    onnx.save(resnet(), path)
    return [{"image": floats(rows, 3, 32, 32)} for rows in (1, 3, 8)]


def transformer(layers=2, width=32, heads=4, tokens=50):
    g = Graph()

    def dense(x, into, out):
        return g.add("Add", g.add("MatMul", x, g.weight(floats(into, out) / np.float32(np.sqrt(into)))), g.weight(floats(out)))

    def norm(x):
        return g.add("LayerNormalization", x, g.weight(np.ones(width, np.float32)), g.weight(np.zeros(width, np.float32)), axis=-1)

    def split(x):
        shape = g.weight(np.array([0, 0, heads, width // heads], np.int64))
        return g.add("Transpose", g.add("Reshape", x, shape), perm=[0, 2, 1, 3])

    x = g.add("Gather", g.weight(floats(tokens, width)), "ids")
    bias = g.add("Mul", g.add("Sub", g.add("Cast", "mask", to=T.FLOAT), g.weight(np.float32(1))), g.weight(np.float32(1e4)))
    bias = g.add("Unsqueeze", bias, g.weight(np.array([1, 2], np.int64)))
    for _ in range(layers):
        q, k, v = (split(dense(x, width, width)) for _ in range(3))
        scores = g.add("MatMul", q, g.add("Transpose", k, perm=[0, 1, 3, 2]))
        scores = g.add("Mul", scores, g.weight(np.float32(1 / np.sqrt(width // heads))))
        y = g.add("MatMul", g.add("Softmax", g.add("Add", scores, bias), axis=-1), v)
        y = g.add("Reshape", g.add("Transpose", y, perm=[0, 2, 1, 3]), g.weight(np.array([0, 0, width], np.int64)))
        x = norm(g.add("Add", x, dense(y, width, width)))
        y = dense(x, width, 4 * width)
        y = g.add("Mul", g.add("Mul", y, g.weight(np.float32(0.5))), g.add("Add", g.weight(np.float32(1)), g.add(
            "Erf", g.add("Mul", y, g.weight(np.float32(np.sqrt(0.5)))))))
        x = norm(g.add("Add", x, dense(y, 4 * width, width)))
    g.add("Identity", x, out="hidden")
    inputs = [tensor("ids", T.INT64, ["N", "S"]), tensor("mask", T.BOOL, ["N", "S"])]
    return g.model(inputs, [tensor("hidden", T.FLOAT, ["N", "S", width])])


def golden_transformer(path):
    onnx.save(transformer(), path)
    questions = []
    for rows, length in ((1, 7), (4, 12)):
        mask = np.arange(length)[None, :] < rng.randint(1, length + 1, size=(rows, 1))
        questions.append({"ids": rng.randint(0, 50, size=(rows, length)).astype(np.int64), "mask": mask})
    return questions


def golden_types(path):
    g, inputs, outputs, values = Graph(), [], [], {}
    types = {"float64": T.DOUBLE, "float16": T.FLOAT16, "float32": T.FLOAT, "int8": T.INT8, "int16": T.INT16,
             "int32": T.INT32, "int64": T.INT64, "uint8": T.UINT8, "uint16": T.UINT16, "uint32": T.UINT32,
             "uint64": T.UINT64, "bool": T.BOOL, "object": T.STRING}
    for name, kind in types.items():
        g.add("Concat", name, name, out="out_" + name, axis=0)
        inputs.append(tensor(name, kind, ["n"]))
        outputs.append(tensor("out_" + name, kind, ["m"]))
        values[name] = np.array([0, 1, 7]).astype(name)
    values["int64"] = np.array([-2**62, 2**62 + 1, 0])
    values["uint64"] = np.array([2**64 - 1, 0, 1], dtype=np.uint64)
    values["object"] = np.array(["größe", "", "x" * 100], dtype=object)
    onnx.save(g.model(inputs, outputs), path)
    return [values]


def zipped(path, **labels):
    g = Graph()
    (key, names), = labels.items()
    ints = key == "classlabels_ints"
    count = len(names)
    g.nodes.append(node("LinearClassifier", ["x"], ["label", "scores"], domain="ai.onnx.ml", multi_class=1,
                        coefficients=rng.normal(size=count * 4).tolist(), intercepts=[0.0] * count, post_transform="SOFTMAX", **labels))
    g.nodes.append(node("ZipMap", ["scores"], ["probabilities"], domain="ai.onnx.ml",
                        **{"classlabels_int64s" if ints else "classlabels_strings": names}))
    of_map = h.make_map_type_proto(T.INT64 if ints else T.STRING, h.make_tensor_type_proto(T.FLOAT, []))
    zipped = h.make_value_info("probabilities", h.make_sequence_type_proto(of_map))
    onnx.save(g.model([tensor("x", T.FLOAT, [None, 4])], [tensor("label", T.INT64 if ints else T.STRING, [None]), zipped]), path)
    LABELS[pathlib.Path(path).stem] = names
    return [{"x": floats(rows, 4)} for rows in (1, 9)]


LABELS = {}


def golden_zipmap_texts(path):
    return zipped(path, classlabels_strings=["setosa", "virginica", "maple"])


def golden_zipmap_numbers(path):
    return zipped(path, classlabels_ints=[7, -3, 10, 2])


def golden_half(path):
    g = Graph()
    x = g.add("Conv", "x", g.weight(floats(4, 2, 3, 3).astype(np.float16)), pads=[1] * 4)
    g.add("Relu", x, out="y")
    onnx.save(g.model([tensor("x", T.FLOAT16, ["N", 2, 8, 8])], [tensor("y", T.FLOAT16, ["N", 4, 8, 8])]), path)
    return [{"x": floats(2, 2, 8, 8).astype(np.float16)}]


def golden_quantized(path):
    g = Graph()
    g.nodes.append(node("DynamicQuantizeLinear", ["x"], ["q", "scale", "zero"]))
    weights = rng.randint(-127, 127, size=(16, 8)).astype(np.int8)
    whole = g.add("MatMulInteger", "q", g.weight(weights), "zero")
    g.add("Mul", g.add("Cast", whole, to=T.FLOAT), "scale", out="y")
    onnx.save(g.model([tensor("x", T.FLOAT, ["N", 16])], [tensor("y", T.FLOAT, ["N", 8])]), path)
    return [{"x": floats(5, 16)}]


def golden_texts(path):
    g = Graph()
    g.add("LabelEncoder", "word", out="id", domain="ai.onnx.ml", keys_strings=["one", "two", "drei"], values_int64s=[1, 2, 3],
          default_int64=-1)
    g.add("LabelEncoder", "id", out="name", domain="ai.onnx.ml", keys_int64s=[1, 2, 3], values_strings=["eins", "zwei", "drei"],
          default_string="keins")
    onnx.save(g.model([tensor("word", T.STRING, ["n"])], [tensor("id", T.INT64, ["n"]), tensor("name", T.STRING, ["n"])]), path)
    return [{"word": np.array(["two", "none", "drei", "one"], dtype=object)}]


def golden_control_flow(path):
    g = Graph()
    branch = lambda operator: h.make_graph([node(operator, ["x"], ["b"])], operator, [], [tensor("b", T.FLOAT, ["n"])])  # noqa: E731
    g.add("Greater", g.add("ReduceSum", "x", keepdims=0), g.weight(np.float32(0)), out="positive")
    g.add("If", "positive", out="y", then_branch=branch("Neg"), else_branch=branch("Exp"))
    onnx.save(g.model([tensor("x", T.FLOAT, ["n"])], [tensor("y", T.FLOAT, ["n"]), tensor("positive", T.BOOL, [])]), path)
    return [{"x": np.array(x, np.float32)} for x in ([1, 2, -0.5], [-3, 0.25])]


def golden_beside(path):
    """Weights in a file of their own."""
    g = Graph()
    g.add("MatMul", "x", g.weight(floats(64, 64)), out="y")
    model = g.model([tensor("x", T.FLOAT, ["N", 64])], [tensor("y", T.FLOAT, ["N", 64])])
    onnx.save(model, path, save_as_external_data=True, location=pathlib.Path(path).stem + ".weights", size_threshold=0)
    return [{"x": floats(3, 64)}]


def golden_any_rank(path):
    g = Graph()
    g.add("Abs", "x", out="y")
    g.add("ReduceSum", "x", out="sum", keepdims=0)
    bare = lambda name: h.make_value_info(name, h.make_tensor_type_proto(T.FLOAT, None))  # noqa: E731
    graph = h.make_graph(g.nodes, "golden", [bare("x")], [bare("y"), tensor("sum", T.FLOAT, [])])
    onnx.save(h.make_model(graph, opset_imports=[h.make_opsetid("", 17)], ir_version=8), path)
    return [{"x": floats(*shape)} for shape in ((3,), (2, 2), (1, 2, 3))]


def told(value):
    value = np.asarray(value)
    if value.dtype.kind in "OUS":
        data = [(it if isinstance(it, bytes) else it.encode()).hex() for it in value.reshape(-1).tolist()]
        return {"datatype": "BYTES", "shape": list(value.shape), "data": data}
    return {"datatype": NAMES[value.dtype.name], "shape": list(value.shape), "data": value.tobytes().hex()}


def matrix(value, labels):
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return np.array([[row[label] for label in labels] for row in value], dtype=np.float32)
    return value


def answers(path, questions):
    options = onnxruntime.SessionOptions()
    # As many as the server gives a prediction.
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    names = [it.name for it in session.get_outputs()]
    for inputs in questions:
        outputs = (matrix(it, LABELS.get(path.stem)) for it in session.run(None, inputs))
        sides = {
            "inputs": {key: told(it) for key, it in inputs.items()},
            "outputs": {key: told(it) for key, it in zip(names, outputs)},
        }
        yield "\t{}\n".format(json.dumps(sides))


def main(out):
    out = pathlib.Path(out)
    out.mkdir(parents=True, exist_ok=True)
    makers = sorted(name for name in globals() if name.startswith("golden_"))
    for name in makers:
        path = out / (name[len("golden_"):] + ".onnx")
        questions = globals()[name](str(path))
        path.with_suffix(".answers").write_text("".join(answers(path, questions)))
    library, = (pathlib.Path(onnxruntime.__file__).parent / "capi").glob("libonnxruntime.so.*")
    (out / "onnxruntime").write_text(str(library))
    print("{} models in {}".format(len(makers), out))


if __name__ == "__main__":
    main(sys.argv[1])
