"""Makes `operators.txt`: a line a case, of one operator each, with what ONNX Runtime answers.

    pip install onnx==1.23.2 onnxruntime==1.32.0 numpy
    python make.py        # writes operators.txt beside itself

A line is a name, a tab, and JSON: `model` is the file in hexadecimal digits, `inputs` and `outputs` are maps from names to
`{"datatype", "shape", "data"}`, numbers as the hexadecimal digits of their bytes and texts as those of each. Inputs that a model
takes as constants are in the model.
"""

import json
import pathlib

import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper

ort.set_default_logger_severity(4)
rng = np.random.RandomState(3)
ML = "ai.onnx.ml"
NAMES = {
    "float32": "FP32", "float64": "FP64", "float16": "FP16", "bool": "BOOL", "object": "BYTES",
    "int8": "INT8", "int16": "INT16", "int32": "INT32", "int64": "INT64",
    "uint8": "UINT8", "uint16": "UINT16", "uint32": "UINT32", "uint64": "UINT64",
}


def f(*shape):
    return np.round(rng.normal(size=shape) * 2, 3).astype(np.float32)


def d(*shape):
    return rng.normal(size=shape)


def i(*values):
    return np.array(values, dtype=np.int64)


def texts(*values):
    return np.array(values, dtype=object)


def tensor(value):
    value = np.asarray(value)
    if value.dtype.kind in "OSU":
        data = [(it if isinstance(it, bytes) else it.encode()).hex() for it in value.reshape(-1).tolist()]
        return {"datatype": "BYTES", "shape": list(value.shape), "data": data}
    return {"datatype": NAMES[value.dtype.name], "shape": list(value.shape), "data": value.tobytes().hex()}


def kind(array):
    return TensorProto.STRING if array.dtype.kind in "OSU" else helper.np_dtype_to_tensor_dtype(array.dtype)


def proto(array, name):
    if array.dtype.kind in "OSU":
        return helper.make_tensor(name, TensorProto.STRING, array.shape, [it.encode() for it in array.reshape(-1)])
    return numpy_helper.from_array(array, name)


class Case:
    def __init__(self, name, op, inputs, constants=(), outputs=1, domain="", opset=18, ml=3, **attributes):
        self.name, self.inputs = name, [np.asarray(it) for it in inputs]
        inputs = self.inputs
        names = ["x%d" % at for at in range(len(inputs))]
        fixed = ["" if it is None else "c%d" % at for at, it in enumerate(constants)]
        made = ["y%d" % at for at in range(outputs)]
        node = helper.make_node(op, names + fixed, made, name="it", domain=domain, **attributes)
        ports = [helper.make_tensor_value_info(n, kind(a), [None] * a.ndim) for n, a in zip(names, inputs)]
        answers = [onnx.ValueInfoProto(name=it) for it in made]
        held = [proto(a, n) for n, a in zip(fixed, constants) if a is not None]
        graph = helper.make_graph([node], "g", ports, answers, held)
        opsets = [helper.make_opsetid("", opset)]
        if domain:
            opsets.append(helper.make_opsetid(domain, ml if domain == ML else 1))
        self.model = helper.make_model(graph, opset_imports=opsets, ir_version=8)

    def line(self):
        options = ort.SessionOptions()
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
        session = ort.InferenceSession(self.model.SerializeToString(), options, providers=["CPUExecutionProvider"])
        given = {"x%d" % at: it for at, it in enumerate(self.inputs)}
        answers = session.run(None, given)
        # What the outputs are is known now, and said, as every writer says it.
        del self.model.graph.output[:]
        for out, answer in zip(session.get_outputs(), answers):
            if isinstance(answer, list):
                key, label = (TensorProto.STRING, "") if isinstance(next(iter(answer[0])), str) else (TensorProto.INT64, 0)
                value = helper.make_tensor_type_proto(TensorProto.FLOAT, [])
                it = helper.make_value_info(out.name, helper.make_sequence_type_proto(helper.make_map_type_proto(key, value)))
            else:
                answer = np.asarray(answer)
                it = helper.make_tensor_value_info(out.name, kind(answer), [None] * answer.ndim)
            self.model.graph.output.append(it)
        # Maps are sorted by their keys, and told here in the order of the classes.
        classes = next((list(it.strings) or list(it.ints) for it in self.model.graph.node[0].attribute if it.name.startswith("classlabels")), [])
        keys = [it.decode() if isinstance(it, bytes) else it for it in classes]
        flat = [np.array([[row[key] for key in keys] for row in it], dtype=np.float32) if isinstance(it, list) else it for it in answers]
        sides = {
            "model": self.model.SerializeToString().hex(),
            "inputs": {key: tensor(it) for key, it in given.items()},
            "outputs": {"y%d" % at: tensor(it) for at, it in enumerate(flat)},
        }
        return "{}\t{}\n".format(self.name, json.dumps(sides))


def plain():
    for op in ["Abs", "Neg", "Sign", "Relu", "Exp", "Floor", "Ceil", "Round", "Sin", "Cos", "Tan", "Atan", "Sinh", "Cosh",
               "Tanh", "Sigmoid", "Softplus", "Softsign", "Erf", "Reciprocal", "Identity", "IsNaN", "IsInf", "LeakyRelu", "Elu"]:
        yield Case(op, op, [f(3, 4) * 3])
    for op in ["Sqrt", "Log"]:
        yield Case(op, op, [np.abs(f(3, 4))])
    for op in ["Acos", "Asin"]:
        yield Case(op, op, [f(3, 4) / 20])
    for op in ["Abs", "Exp", "Sqrt", "Sigmoid", "Erf", "Log", "Floor", "Tanh"]:
        if op not in ("Tanh", "Erf"):
            yield Case(op + "-double", op, [np.abs(d(3, 4))])
    yield Case("Round-ties", "Round", [np.array([0.5, 1.5, 2.5, -0.5, -1.5], dtype=np.float32)])
    yield Case("Abs-int", "Abs", [i(-3, 4, 0)])
    yield Case("IsNaN-some", "IsNaN", [np.array([1, np.nan, np.inf], dtype=np.float32)])
    yield Case("IsInf-negative", "IsInf", [np.array([1, -np.inf, np.inf], dtype=np.float32)], detect_positive=0)
    yield Case("Not", "Not", [np.array([True, False])])
    shapes = [((3, 4), (3, 4)), ((3, 4), (4,)), ((3, 4), ()), ((4,), (3, 4)), ((3, 1), (1, 4)), ((2, 3, 4), (3, 1)), ((2, 1, 4), (1, 3, 1))]
    for op in ["Add", "Sub", "Mul", "Div"]:
        for at, (a, b) in enumerate(shapes):
            yield Case("%s-%d" % (op, at), op, [f(*a), f(*b) + np.float32(0.7)])
        yield Case(op + "-double", op, [d(3, 4), d(4)])
        yield Case(op + "-int", op, [i(7, -7, 8), i(2, 2, -3)])
    yield Case("Pow", "Pow", [np.abs(f(3, 4)), f(4)])
    yield Case("Pow-square", "Pow", [f(3, 4), np.array(2, dtype=np.float32)])
    yield Case("Pow-int", "Pow", [f(3, 4), i(2)])
    yield Case("Mod", "Mod", [i(7, -7, 7, -7), i(3, 3, -3, -3)])
    yield Case("Mod-float", "Mod", [f(5), f(5)], fmod=1)
    for op in ["Max", "Min", "Sum", "Mean"]:
        yield Case(op, op, [f(3, 4), f(4), f(3, 1)])
    yield Case("Max-int", "Max", [i(1, 5), i(3, 2)])
    for op in ["Equal", "Less", "LessOrEqual", "Greater", "GreaterOrEqual"]:
        yield Case(op, op, [np.array([1, 2, 3, np.nan], dtype=np.float32), np.array([1, 3, 2, np.nan], dtype=np.float32)])
        yield Case(op + "-int", op, [i(1, 2, 3), i(1, 3, 2)])
    yield Case("Equal-text", "Equal", [texts("a", "b"), texts("a", "c")], opset=19)
    for op in ["And", "Or", "Xor"]:
        yield Case(op, op, [np.array([[True, False], [True, False]]), np.array([True, True])])
    yield Case("Clip", "Clip", [f(3, 4)], [np.array(-1, dtype=np.float32), np.array(1, dtype=np.float32)])
    yield Case("Clip-low", "Clip", [f(3, 4)], [np.array(-1, dtype=np.float32)])
    yield Case("Clip-old", "Clip", [f(3, 4)], opset=6, min=-1.0, max=1.5)
    yield Case("Clip-int", "Clip", [i(-5, 5, 50)], [np.array(0), np.array(9)], opset=12)
    for to, name in [(TensorProto.INT64, "int"), (TensorProto.INT32, "int32"), (TensorProto.DOUBLE, "double"), (TensorProto.BOOL, "bool")]:
        yield Case("Cast-" + name, "Cast", [np.array([[1.7, -1.7, 0, 3]], dtype=np.float32)], to=to)
    yield Case("Cast-text", "Cast", [np.array([1, 0.1, 1e-5, 1.5e10, -2.25, np.nan, 1 / 3, 123456789.123, 1e7, 1e8, 1e9, 1e-4, -0.0, np.inf], dtype=np.float32)], to=TensorProto.STRING)
    yield Case("Cast-double-text", "Cast", [np.array([1, 0.1, 100.25, 1e-5, 1e15, 1e16, 1e17, 1e21, 1e22, 1 / 3, 123456789.123, -0.0, np.nan, -np.inf])], to=TensorProto.STRING)
    yield Case("Cast-int-text", "Cast", [i(1, -12, 0)], to=TensorProto.STRING)
    yield Case("Cast-of-text", "Cast", [texts("1", "2.5", "-3e2")], to=TensorProto.FLOAT)
    yield Case("Cast-of-text-int", "Cast", [texts("1", "-25")], to=TensorProto.INT64)
    yield Case("Cast-bool-float", "Cast", [np.array([True, False])], to=TensorProto.FLOAT)
    yield Case("CastLike", "CastLike", [f(3), i(1)], opset=19)


def shapes():
    x = f(2, 3, 4)
    yield Case("Reshape", "Reshape", [x], [i(0, -1)])
    yield Case("Reshape-told", "Reshape", [x], [i(4, 3, 2)])
    yield Case("Flatten", "Flatten", [x])
    yield Case("Flatten-axis", "Flatten", [x], axis=2)
    yield Case("Squeeze", "Squeeze", [f(1, 3, 1)], [i(0)])
    yield Case("Squeeze-all", "Squeeze", [f(1, 3, 1)])
    yield Case("Squeeze-old", "Squeeze", [f(1, 3, 1)], opset=11, axes=[-1])
    yield Case("Unsqueeze", "Unsqueeze", [f(3)], [i(0, 2)])
    yield Case("Unsqueeze-old", "Unsqueeze", [f(3)], opset=11, axes=[1])
    yield Case("Shape", "Shape", [x])
    yield Case("Shape-part", "Shape", [x], start=1)
    yield Case("Size", "Size", [x])
    for perm in ([0, 2, 1], [2, 1, 0], [1, 0, 2]):
        yield Case("Transpose-%d%d%d" % tuple(perm), "Transpose", [x], perm=perm)
    yield Case("Transpose", "Transpose", [f(3, 4)])
    yield Case("Transpose-text", "Transpose", [np.array([["a", "b", "c"], ["d", "e", "f"]], dtype=object)])
    yield Case("Concat", "Concat", [f(2, 3), f(2, 1), f(2, 2)], axis=1)
    yield Case("Concat-rows", "Concat", [f(2, 3), f(1, 3)], axis=-2)
    yield Case("Concat-text", "Concat", [texts("a"), texts("b", "c")], axis=0)
    yield Case("Split", "Split", [f(5, 2)], [i(2, 3)], outputs=2)
    yield Case("Split-even", "Split", [f(2, 6)], outputs=3, axis=1, num_outputs=3)
    yield Case("Split-old", "Split", [f(2, 6)], outputs=2, opset=11, axis=1, split=[2, 4])
    yield Case("Slice", "Slice", [x], [i(0, 1), i(2, 3), i(0, 2)])
    yield Case("Slice-steps", "Slice", [f(5, 6)], [i(4, 0), i(-6, 100), i(0, 1), i(-2, 2)])
    yield Case("Slice-end", "Slice", [f(5)], [i(-2), i(np.iinfo(np.int64).max), i(0)])
    yield Case("Slice-none", "Slice", [f(5)], [i(4), i(2), i(0)])
    yield Case("Slice-old", "Slice", [f(5, 6)], opset=9, starts=[1], ends=[3], axes=[1])
    yield Case("Expand", "Expand", [f(3, 1)], [i(2, 1, 4)])
    yield Case("Tile", "Tile", [f(2, 3)], [i(2, 2)])
    yield Case("ConstantOfShape", "ConstantOfShape", [i(2, 3)])
    yield Case("ConstantOfShape-int", "ConstantOfShape", [i(2)], value=helper.make_tensor("v", TensorProto.INT64, [1], [7]))
    yield Case("EyeLike", "EyeLike", [f(3, 4)], k=1)
    yield Case("EyeLike-double", "EyeLike", [f(3, 3)], dtype=TensorProto.DOUBLE)
    yield Case("Range", "Range", [np.array(1), np.array(9), np.array(3)])
    yield Case("Range-float", "Range", [np.float32(1), np.float32(0), np.float32(-0.25)])
    yield Case("Pad", "Pad", [f(2, 3)], [i(0, 1, 2, 0), np.array(1.5, dtype=np.float32)])
    yield Case("Gather", "Gather", [x], [i(2, 0, -1)], axis=1)
    yield Case("Gather-scalar", "Gather", [x], [np.array(1)], axis=2)
    yield Case("Gather-text", "Gather", [texts("a", "b", "c")], [np.array([[2, 0]])])
    yield Case("GatherElements", "GatherElements", [f(3, 3), np.array([[1, 2, 0], [2, 0, 0]])], axis=0)
    yield Case("GatherElements-columns", "GatherElements", [f(3, 3), np.array([[1], [2], [-1]])], axis=1)
    yield Case("GatherND", "GatherND", [f(2, 3, 2), np.array([[0, 1], [1, 2]])])
    yield Case("GatherND-batch", "GatherND", [f(2, 3, 2), np.array([[1], [0]])], batch_dims=1)
    yield Case("ScatterND", "ScatterND", [f(4, 2), np.array([[2], [0]]), f(2, 2)])
    yield Case("ScatterND-elements", "ScatterND", [f(4, 2), np.array([[2, 1], [0, 0]]), f(2)])
    yield Case("ScatterElements", "ScatterElements", [f(3, 3), np.array([[1, 0, 2], [0, 2, 1]]), f(2, 3)], axis=0)
    yield Case("Where", "Where", [np.array([[True, False], [False, True]]), f(2, 2), f(2, 2)])
    yield Case("Where-spread", "Where", [np.array([[True], [False]]), f(3), np.array(7, dtype=np.float32)])
    yield Case("Where-text", "Where", [np.array([True, False]), texts("a", "b"), texts("c", "d")])
    yield Case("OneHot", "OneHot", [i(1, 3, -1)], [np.array(4), np.array([0, 5], dtype=np.float32)])
    yield Case("OneHot-first", "OneHot", [i(1, 0)], [np.array(3), i(2, 3)], axis=0)
    yield Case("NonZero", "NonZero", [np.array([[1, 0], [0, 2]], dtype=np.float32)])
    yield Case("Compress", "Compress", [f(3, 2), np.array([True, False, True])], axis=0)
    yield Case("Compress-flat", "Compress", [f(3, 2), np.array([False, True, True, False, True])])
    yield Case("Dropout", "Dropout", [f(3)])


def numbers():
    x = f(2, 3, 4)
    for op in ["ReduceSum", "ReduceMean", "ReduceMax", "ReduceMin", "ReduceProd", "ReduceL1", "ReduceL2", "ReduceSumSquare", "ReduceLogSumExp"]:
        yield Case(op, op, [x], [i(1)])
        yield Case(op + "-all", op, [x], keepdims=0)
        yield Case(op + "-two", op, [x], [i(0, -1)], keepdims=0)
        if op != "ReduceSum":
            yield Case(op + "-old", op, [x], opset=11, axes=[2])
    yield Case("ReduceSum-old", "ReduceSum", [x], opset=11, axes=[0])
    yield Case("ReduceSum-nothing", "ReduceSum", [x], noop_with_empty_axes=1)
    yield Case("ReduceSum-int", "ReduceSum", [np.array([[1, 2], [3, 4]])], [i(1)])
    yield Case("ReduceSum-double", "ReduceSum", [d(3, 4)], [i(1)])
    yield Case("ReduceLogSum", "ReduceLogSum", [np.abs(x)], [i(1)])
    ties = np.array([[1, 3, 3], [2, 2, 1]], dtype=np.float32)
    for op in ["ArgMax", "ArgMin"]:
        yield Case(op, op, [x], axis=1, keepdims=0)
        yield Case(op + "-ties", op, [ties], axis=1)
        yield Case(op + "-last", op, [ties], axis=1, select_last_index=1)
        yield Case(op + "-int", op, [np.array([[3, 1], [2, 9]])], axis=0)
    yield Case("TopK", "TopK", [f(3, 6)], [i(3)], outputs=2)
    yield Case("TopK-least", "TopK", [f(6, 3)], [i(2)], outputs=2, axis=0, largest=0)
    yield Case("TopK-ties", "TopK", [ties], [i(2)], outputs=2)
    yield Case("TopK-int", "TopK", [np.array([[5, 2, 9]])], [i(3)], outputs=2)
    yield Case("CumSum", "CumSum", [f(3, 4)], [np.array(1)])
    yield Case("CumSum-back", "CumSum", [f(3, 4)], [np.array(0)], exclusive=1, reverse=1)
    yield Case("Unique", "Unique", [np.array([3, 1, 3, 2, 1], dtype=np.float32)], outputs=4)
    yield Case("Unique-as-met", "Unique", [i(3, 1, 3, 2)], outputs=4, sorted=0)
    for op in ["Softmax", "LogSoftmax"]:
        yield Case(op, op, [f(3, 4)])
        yield Case(op + "-axis", op, [x], axis=1)
        yield Case(op + "-old", op, [x], opset=11, axis=1)
    for p in (1, 2):
        yield Case("LpNormalization-%d" % p, "LpNormalization", [np.vstack([f(3, 4), np.zeros((1, 4), dtype=np.float32)])], axis=1, p=p)
    yield Case("MatMul", "MatMul", [f(3, 4), f(4, 2)])
    yield Case("MatMul-large", "MatMul", [f(20, 30), f(30, 25)])
    yield Case("MatMul-vector", "MatMul", [f(3, 4), f(4)])
    yield Case("MatMul-row", "MatMul", [f(4), f(4, 3)])
    yield Case("MatMul-batch", "MatMul", [f(2, 3, 4), f(2, 4, 5)])
    yield Case("MatMul-spread", "MatMul", [f(2, 1, 3, 4), f(3, 4, 2)])
    yield Case("MatMul-shared", "MatMul", [f(2, 3, 4), f(4, 5)])
    yield Case("MatMul-double", "MatMul", [d(3, 4), d(4, 2)])
    yield Case("MatMul-int", "MatMul", [np.array([[1, 2], [3, 4]]), np.array([[5], [6]])])
    yield Case("Gemm", "Gemm", [f(3, 4), f(4, 2), f(2)])
    yield Case("Gemm-turned", "Gemm", [f(4, 3), f(2, 4), f(3, 1)], transA=1, transB=1, alpha=0.5, beta=2.0)
    yield Case("Gemm-large", "Gemm", [f(30, 40), f(20, 40)], transB=1)
    yield Case("Gemm-double", "Gemm", [d(3, 4), d(4, 2), d(1, 2)])
    yield Case("Einsum", "Einsum", [f(3, 4), f(4, 5)], equation="ij,jk->ik")
    yield Case("Einsum-batch", "Einsum", [f(2, 3, 4), f(2, 5, 4)], equation="bij, bkj -> bik")
    yield Case("Einsum-sum", "Einsum", [f(3, 4)], equation="ij->i")
    for metric in ["euclidean", "sqeuclidean"]:
        yield Case("CDist-" + metric, "CDist", [f(3, 4), f(5, 4)], domain="com.microsoft", metric=metric)


def words():
    names = texts("Hello", "the", "World", "THE", "Straße")
    yield Case("StringNormalizer", "StringNormalizer", [names], case_change_action="LOWER", is_case_sensitive=0, locale="C.UTF-8", stopwords=["the"])
    yield Case("StringNormalizer-upper", "StringNormalizer", [names], case_change_action="UPPER", is_case_sensitive=1, locale="C.UTF-8", stopwords=["the"])
    yield Case("StringNormalizer-all", "StringNormalizer", [texts("the")], is_case_sensitive=1, stopwords=["the"])
    yield Case("StringConcat", "StringConcat", [texts("a", "b"), texts("c")], opset=20)
    pool = dict(min_gram_length=1, max_gram_length=2, max_skip_count=0, ngram_counts=[0, 3], ngram_indexes=[1, 0, 2, 4, 3],
                pool_strings=["a", "b", "c", "a", "b", "b", "c"])
    given = np.array([["a", "b", "c", "a"], ["b", "b", "c", "d"]], dtype=object)
    for mode in ["TF", "IDF", "TFIDF"]:
        yield Case("TfIdfVectorizer-" + mode, "TfIdfVectorizer", [given], mode=mode, weights=[0.5, 2.0, 3.0, 4.0, 5.0], **pool)
    yield Case("TfIdfVectorizer-list", "TfIdfVectorizer", [given[0]], mode="TF", **pool)
    skipped = dict(pool, max_skip_count=2)
    yield Case("TfIdfVectorizer-skips", "TfIdfVectorizer", [given], mode="TF", **skipped)
    yield Case("TfIdfVectorizer-pairs", "TfIdfVectorizer", [given], mode="TF", **dict(skipped, min_gram_length=2))
    numbers = dict(pool, pool_int64s=[1, 2, 3, 1, 2, 2, 3])
    del numbers["pool_strings"]
    yield Case("TfIdfVectorizer-int", "TfIdfVectorizer", [np.array([[1, 2, 3, 1], [2, 2, 3, 9]])], mode="TF", **numbers)
    lines = texts("one two  three", "", "four")
    for name, more in [("words", dict(tokenexp="[a-zA-Z0-9_]+")), ("blanks", dict(separators=[" "])), ("letters", dict(separators=[""]))]:
        yield Case("Tokenizer-" + name, "Tokenizer", [lines], domain="com.microsoft", mark=0, mincharnum=1, pad_value="#", **more)
    yield Case("Tokenizer-marks", "Tokenizer", [lines], domain="com.microsoft", mark=1, mincharnum=2, pad_value="#", separators=[" "])


def prepared():
    x = f(4, 3)
    gaps = np.array([[1, np.nan, 3], [np.nan, 5, 6]], dtype=np.float32)
    yield Case("Scaler", "Scaler", [x], domain=ML, offset=[1.0, 2.0, 3.0], scale=[0.5, 2.0, -1.0])
    yield Case("Scaler-one", "Scaler", [x], domain=ML, offset=[1.0], scale=[0.5])
    yield Case("Scaler-int", "Scaler", [np.array([[1, 2], [3, 4]])], domain=ML, offset=[1.0, 0.0], scale=[0.5, 2.0])
    yield Case("Scaler-double", "Scaler", [d(3, 2)], domain=ML, offset=[1.0, 0.0], scale=[0.5, 2.0])
    for norm in ["MAX", "L1", "L2"]:
        yield Case("Normalizer-" + norm, "Normalizer", [np.vstack([x, np.zeros((1, 3), dtype=np.float32)])], domain=ML, norm=norm)
    yield Case("Imputer", "Imputer", [gaps], domain=ML, imputed_value_floats=[7.0, 8.0, 9.0], replaced_value_float=float("nan"))
    yield Case("Imputer-one", "Imputer", [gaps], domain=ML, imputed_value_floats=[7.0], replaced_value_float=3.0)
    yield Case("Imputer-int", "Imputer", [np.array([[1, -1], [-1, 4]])], domain=ML, imputed_value_int64s=[7, 8], replaced_value_int64=-1)
    yield Case("Binarizer", "Binarizer", [x], domain=ML, threshold=0.25)
    yield Case("ArrayFeatureExtractor", "ArrayFeatureExtractor", [x, i(2, 0)], domain=ML)
    yield Case("ArrayFeatureExtractor-text", "ArrayFeatureExtractor", [texts("a", "b", "c"), i(2, 0)], domain=ML)
    yield Case("FeatureVectorizer", "FeatureVectorizer", [f(2, 3), f(2, 1)], domain=ML, inputdimensions=[3, 1])
    yield Case("CategoryMapper", "CategoryMapper", [texts("a", "z")], domain=ML, cats_strings=["a", "b"], cats_int64s=[3, 4], default_int64=9)
    yield Case("CategoryMapper-back", "CategoryMapper", [i(4, 8)], domain=ML, cats_strings=["a", "b"], cats_int64s=[3, 4], default_string="?")
    keyed = [("text-int", texts("a", "z"), dict(keys_strings=["a", "b"], values_int64s=[3, 4], default_int64=9)),
             ("int-text", i(3, 8), dict(keys_int64s=[3, 4], values_strings=["a", "b"], default_string="?")),
             ("int-float", i(3, 8), dict(keys_int64s=[3, 4], values_floats=[1.5, 2.5], default_float=0.5)),
             ("float-text", np.array([1.5, np.nan, 0], dtype=np.float32), dict(keys_floats=[1.5, float("nan")], values_strings=["a", "b"])),
             ("text-float", texts("a", "q"), dict(keys_strings=["a"], values_floats=[1.5])),
             ("float-int", np.array([1.5, 2], dtype=np.float32), dict(keys_floats=[1.5], values_int64s=[4])),
             ("text-text", texts("a", "q"), dict(keys_strings=["a"], values_strings=["b"])),
             ("int-int", i(3, 8), dict(keys_int64s=[3], values_int64s=[5])),
             ("float-float", np.array([1.5, 2], dtype=np.float32), dict(keys_floats=[1.5], values_floats=[4.0]))]
    for name, given, more in keyed:
        yield Case("LabelEncoder-" + name, "LabelEncoder", [given], domain=ML, ml=2, **more)
        yield Case("LabelEncoder-%s-4" % name, "LabelEncoder", [given], domain=ML, ml=4, **more)
    yield Case("LabelEncoder-first", "LabelEncoder", [texts("b", "z")], domain=ML, ml=1, classes_strings=["a", "b"], default_int64=7)
    yield Case("LabelEncoder-tensors", "LabelEncoder", [np.array([1.5, 2.5, 9])], domain=ML, ml=4,
               keys_tensor=helper.make_tensor("k", TensorProto.DOUBLE, [2], [1.5, 2.5]),
               values_tensor=helper.make_tensor("v", TensorProto.DOUBLE, [2], [0.1, 0.2]),
               default_tensor=helper.make_tensor("d", TensorProto.DOUBLE, [1], [-1]))
    yield Case("OneHotEncoder", "OneHotEncoder", [texts("a", "z", "b")], domain=ML, cats_strings=["a", "b"])
    yield Case("OneHotEncoder-int", "OneHotEncoder", [np.array([[3], [4]])], domain=ML, cats_int64s=[3, 4, 5])
    yield Case("OneHotEncoder-float", "OneHotEncoder", [np.array([3, 9], dtype=np.float32)], domain=ML, cats_int64s=[3, 4])
    yield Case("ZipMap", "ZipMap", [f(2, 3)], domain=ML, classlabels_strings=["a", "b", "c"])
    yield Case("ZipMap-int", "ZipMap", [f(2, 2)], domain=ML, classlabels_int64s=[7, 3])


TRANSFORMS = ["NONE", "SOFTMAX", "LOGISTIC", "SOFTMAX_ZERO", "PROBIT"]


def models():
    x = f(6, 3)
    w = [0.5, -1.0, 0.25, 1.0, 0.3, -0.6, -0.2, 0.9, 0.1]
    for transform in TRANSFORMS:
        more = dict(domain=ML, post_transform=transform)
        scale = 20 if transform == "PROBIT" else 1
        yield Case("LinearRegressor-" + transform, "LinearRegressor", [x / scale], coefficients=w[:6], intercepts=[0.5, 0.25], targets=2, **more)
        yield Case("LinearClassifier-" + transform, "LinearClassifier", [x / scale], outputs=2, coefficients=w,
                   intercepts=[0.3, 0.2, 0.4], classlabels_strings=["a", "b", "c"], **more)
        yield Case("LinearClassifier-two-" + transform, "LinearClassifier", [x / scale], outputs=2, coefficients=w[:6],
                   intercepts=[0.3, 0.4], classlabels_ints=[5, 7], **more)
        if transform in ("NONE", "LOGISTIC"):
            yield Case("LinearClassifier-one-" + transform, "LinearClassifier", [x], outputs=2, coefficients=w[:3],
                       intercepts=[0.3], classlabels_ints=[5, 7], **more)
    yield Case("LinearRegressor-int", "LinearRegressor", [np.array([[1.0, 2.0, 3.0]], dtype=np.float32)], domain=ML, coefficients=w[:3], intercepts=[0.5])
    yield Case("LinearClassifier-double", "LinearClassifier", [d(3, 3)], outputs=2, domain=ML, coefficients=w, intercepts=[0.0, 0.1, 0.2],
               classlabels_ints=[0, 1, 2])
    for kernel, parameters in [("LINEAR", [0.0, 0.0, 0.0]), ("POLY", [0.5, 1.0, 3.0]), ("RBF", [0.4, 0.0, 0.0]), ("SIGMOID", [0.1, 0.2, 0.0])]:
        more = dict(domain=ML, kernel_type=kernel, kernel_params=parameters)
        vectors = f(4, 3).reshape(-1).tolist()
        yield Case("SVMRegressor-" + kernel, "SVMRegressor", [x], n_supports=4, support_vectors=vectors,
                   coefficients=[0.5, -1.0, 0.7, 0.2], rho=[0.3], **more)
        yield Case("SVMClassifier-" + kernel, "SVMClassifier", [x], outputs=2, support_vectors=vectors, vectors_per_class=[1, 1, 2],
                   coefficients=[0.5, -1.0, 0.7, 0.2, 0.1, -0.4, 0.9, -0.8], rho=[0.3, -0.1, 0.2], classlabels_strings=["a", "b", "c"], **more)
        two = dict(support_vectors=vectors, vectors_per_class=[2, 2], coefficients=[0.5, 1.0, -0.7, -0.8], rho=[0.3])
        yield Case("SVMClassifier-two-" + kernel, "SVMClassifier", [x], outputs=2, classlabels_ints=[3, 4], **two, **more)
    rbf = dict(domain=ML, kernel_type="RBF", kernel_params=[0.4, 0.0, 0.0], support_vectors=vectors)
    yield Case("SVMClassifier-probabilities", "SVMClassifier", [x], outputs=2, vectors_per_class=[1, 1, 2], prob_a=[-1.0, -2.0, -1.5],
               prob_b=[0.1, 0.2, -0.1], coefficients=[0.5, -1.0, 0.7, 0.2, 0.1, -0.4, 0.9, -0.8], rho=[0.3, -0.1, 0.2], classlabels_ints=[0, 1, 2], **rbf)
    for transform in ["NONE", "LOGISTIC", "SOFTMAX"]:
        yield Case("SVMClassifier-two-%s" % transform, "SVMClassifier", [x], outputs=2, classlabels_ints=[3, 4], vectors_per_class=[2, 2],
                   coefficients=[0.5, 1.0, -0.7, -0.8], rho=[0.3], post_transform=transform, **rbf)
    yield Case("SVMClassifier-two-probabilities", "SVMClassifier", [x], outputs=2, vectors_per_class=[2, 2], prob_a=[-1.0], prob_b=[0.1],
               coefficients=[0.5, 1.0, -0.7, -0.8], rho=[0.3], classlabels_ints=[0, 1], **rbf)
    yield Case("SVMClassifier-linear", "SVMClassifier", [x], outputs=2, domain=ML, coefficients=w, rho=[0.25], classlabels_ints=[0, 1, 2], kernel_params=[0.0, 0.0, 0.0])
    yield Case("SVMRegressor-linear", "SVMRegressor", [x], domain=ML, n_supports=0, coefficients=w[:3], rho=[0.25], kernel_params=[0.0, 0.0, 0.0])
    yield Case("SVMRegressor-one-class", "SVMRegressor", [x], n_supports=4, coefficients=[0.5, 1.0, 0.7, 0.2], rho=[-1.0], one_class=1, **rbf)


def nodes(mode="BRANCH_LEQ", trees=3, missing=False):
    """Small trees of three tests and four leaves each."""
    made = {key: [] for key in ["treeids", "nodeids", "featureids", "values", "modes", "truenodeids", "falsenodeids"]}
    tracks = []
    for tree in range(trees):
        for node in range(7):
            leaf = node > 2
            made["treeids"].append(tree)
            made["nodeids"].append(node)
            made["featureids"].append(0 if leaf else (node + tree) % 3)
            made["values"].append(0.0 if leaf else float(np.float32([0.25, -0.5, 1.0][(node + tree) % 3])))
            made["modes"].append("LEAF" if leaf else mode)
            made["truenodeids"].append(0 if leaf else 2 * node + 1)
            made["falsenodeids"].append(0 if leaf else 2 * node + 2)
            tracks.append(int(missing and not leaf and node != 1))
    attributes = {"nodes_" + key: value for key, value in made.items()}
    if missing:
        attributes["nodes_missing_value_tracks_true"] = tracks
    return attributes


def leaves(kind, ids, trees=3, positive=False):
    made = {kind + "_" + key: [] for key in ["treeids", "nodeids", "ids", "weights"]}
    for tree in range(trees):
        for node in range(3, 7):
            for it in ids:
                made[kind + "_treeids"].append(tree)
                made[kind + "_nodeids"].append(node)
                made[kind + "_ids"].append(it)
                weight = float(np.round(rng.normal(), 3))
                made[kind + "_weights"].append(abs(weight) / 4 if positive else weight)
    return made


def trees():
    x = np.vstack([f(6, 3), [[0.25, -0.5, 1.0], [np.nan, np.nan, np.nan], [0.25, np.nan, -0.5]], f(10, 3)]).astype(np.float32)
    for mode in ["BRANCH_LEQ", "BRANCH_LT", "BRANCH_GTE", "BRANCH_GT", "BRANCH_EQ", "BRANCH_NEQ"]:
        for missing in (False, True):
            name = "TreeEnsembleRegressor-%s%s" % (mode, "-missing" if missing else "")
            yield Case(name, "TreeEnsembleRegressor", [x], domain=ML, n_targets=1, **nodes(mode, missing=missing), **leaves("target", [0]))
    for aggregate in ["SUM", "AVERAGE", "MIN", "MAX"]:
        for targets in (1, 2):
            yield Case("TreeEnsembleRegressor-%s-%d" % (aggregate, targets), "TreeEnsembleRegressor", [x], domain=ML, n_targets=targets,
                       aggregate_function=aggregate, base_values=[0.5, 0.25][:targets], **nodes(), **leaves("target", list(range(targets))))
    for transform in TRANSFORMS[:4]:
        yield Case("TreeEnsembleRegressor-" + transform, "TreeEnsembleRegressor", [x], domain=ML, n_targets=2, post_transform=transform,
                   **nodes(), **leaves("target", [0, 1]))
    for ids, labels in [([0], 2), ([1], 2), ([0, 1], 2), ([0, 1, 2], 3), ([0, 2], 3)]:
        for positive in (False, True):
            for transform in TRANSFORMS[:4]:
                for base in ([], [0.3], [0.3] * labels):
                    if len(base) == 1 and labels > 2:
                        continue
                    name = "TreeEnsembleClassifier-%s-%d-%s-%s-%d" % ("".join(map(str, ids)), labels, positive, transform, len(base))
                    more = dict(base_values=base) if base else {}
                    yield Case(name, "TreeEnsembleClassifier", [x[:6]], outputs=2, domain=ML, classlabels_int64s=[4, 7, 9][:labels],
                               post_transform=transform, **more, **nodes(trees=1), **leaves("class", ids, 1, positive))
    yield Case("TreeEnsembleClassifier-text", "TreeEnsembleClassifier", [x], outputs=2, domain=ML, classlabels_strings=["a", "b", "c"],
               **nodes(), **leaves("class", [0, 1, 2]))
    yield Case("TreeEnsembleClassifier-text-two", "TreeEnsembleClassifier", [x], outputs=2, domain=ML, classlabels_strings=["a", "b"],
               **nodes(), **leaves("class", [0], positive=True))
    doubles = nodes()
    values = doubles.pop("nodes_values")
    weights = leaves("target", [0])
    told = weights.pop("target_weights")
    yield Case("TreeEnsembleRegressor-double", "TreeEnsembleRegressor", [d(9, 3)], domain=ML, n_targets=1, **doubles, **weights,
               nodes_values_as_tensor=helper.make_tensor("v", TensorProto.DOUBLE, [len(values)], [it + 0.1 for it in values]),
               target_weights_as_tensor=helper.make_tensor("w", TensorProto.DOUBLE, [len(told)], told))
    splits = helper.make_tensor("s", TensorProto.FLOAT, [3], [0.25, 1.0, 2.0])
    fifth = dict(domain=ML, ml=5, tree_roots=[0], nodes_featureids=[0, 1, 2], nodes_truenodeids=[1, 0, 2], nodes_trueleafs=[0, 1, 1],
                 nodes_falsenodeids=[2, 1, 3], nodes_falseleafs=[0, 1, 1], leaf_targetids=[0, 1, 0, 1],
                 leaf_weights=helper.make_tensor("w", TensorProto.FLOAT, [4], [0.5, -1.0, 2.0, 4.0]), n_targets=2)
    yield Case("TreeEnsemble", "TreeEnsemble", [x], nodes_splits=splits, nodes_modes=helper.make_tensor("m", TensorProto.UINT8, [3], [0, 3, 2]), **fifth)
    yield Case("TreeEnsemble-members", "TreeEnsemble", [np.array([[0, 1, 2], [3, 2, 2], [0, 5, 1], [7, 7, 7]], dtype=np.float32)], nodes_splits=splits,
               nodes_modes=helper.make_tensor("m", TensorProto.UINT8, [3], [0, 6, 0]),
               membership_values=helper.make_tensor("p", TensorProto.FLOAT, [4], [1.0, 5.0, 7.0, float("nan")]), **fifth)


def graphs():
    """Graphs in graphs."""
    value = helper.make_tensor_value_info
    body = helper.make_graph(
        [helper.make_node("Sub", ["next", "row"], ["difference"]), helper.make_node("ReduceSumSquare", ["difference"], ["sum"], keepdims=0, axes=[1]),
         helper.make_node("Identity", ["next"], ["next_out"])],
        "body", [value("next", TensorProto.FLOAT, None), value("row", TensorProto.FLOAT, None)],
        [value("next_out", TensorProto.FLOAT, None), value("sum", TensorProto.FLOAT, None)])
    yield Case("Scan", "Scan", [f(5, 3), f(4, 3)], outputs=2, opset=11, body=body, num_scan_inputs=1)
    yes = helper.make_graph([helper.make_node("Constant", [], ["a"], value_float=1.5)], "yes", [], [value("a", TensorProto.FLOAT, [])])
    no = helper.make_graph([helper.make_node("ReduceSum", ["x1"], ["b"], keepdims=0)], "no", [], [value("b", TensorProto.FLOAT, [])])
    for truth in (True, False):
        case = Case("If-%s" % truth, "If", [np.array(truth), f(3)], then_branch=yes, else_branch=no)
        del case.model.graph.node[0].input[1]
        yield case
    body = helper.make_graph(
        [helper.make_node("Add", ["sum", "x2"], ["sum_out"]), helper.make_node("Identity", ["going"], ["going_out"]),
         helper.make_node("Mul", ["sum_out", "sum_out"], ["square"])],
        "body", [value("round", TensorProto.INT64, []), value("going", TensorProto.BOOL, []), value("sum", TensorProto.FLOAT, [1])],
        [value("going_out", TensorProto.BOOL, []), value("sum_out", TensorProto.FLOAT, [1]), value("square", TensorProto.FLOAT, [1])])
    case = Case("Loop", "Loop", [np.array(3), f(1), f(1)], outputs=2, body=body)
    del case.model.graph.node[0].input[:]
    case.model.graph.node[0].input.extend(["x0", "", "x1"])
    yield case


class Map:
    """A map goes in elsewhere; here it comes as the row of its values."""

    def __init__(self):
        words = ["b", "a", "c"]
        node = helper.make_node("DictVectorizer", ["x0"], ["y0"], name="it", domain=ML, string_vocabulary=words)
        value = helper.make_tensor_type_proto(TensorProto.FLOAT, [])
        given = helper.make_value_info("x0", helper.make_map_type_proto(TensorProto.STRING, value))
        made = helper.make_tensor_value_info("y0", TensorProto.FLOAT, [None, 3])
        opsets = [helper.make_opsetid("", 18), helper.make_opsetid(ML, 3)]
        self.name = "DictVectorizer"
        self.model = helper.make_model(helper.make_graph([node], "g", [given], [made]), opset_imports=opsets, ir_version=8)

    def line(self):
        session = ort.InferenceSession(self.model.SerializeToString(), providers=["CPUExecutionProvider"])
        answer, = session.run(None, {"x0": {"a": 1.5, "c": -2.0}})
        row = np.array([[0.0, 1.5, -2.0]], dtype=np.float32)
        sides = {"model": self.model.SerializeToString().hex(), "inputs": {"x0": tensor(row)}, "outputs": {"y0": tensor(answer.reshape(1, -1))}}
        return "{}\t{}\n".format(self.name, json.dumps(sides))


def maps():
    yield Map()


def main():
    lines = []
    for family in (plain, shapes, numbers, words, prepared, models, trees, graphs, maps):
        for case in family():
            try:
                lines.append(case.line())
            except Exception as error:  # what ONNX Runtime itself has not
                print("left out", case.name, str(error).splitlines()[0][:150])
    pathlib.Path(__file__).with_name("operators.txt").write_text("".join(lines))
    print(len(lines), "cases")


if __name__ == "__main__":
    main()
