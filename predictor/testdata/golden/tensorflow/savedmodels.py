"""Golden SavedModels, and what TensorFlow itself answers to each of their signatures, bit for bit.

    python savedmodels.py OUT    # writes to the folder OUT, which is called `tensorflow-VERSION`

Beside a model's folder `NAME` stands `NAME.answers`, a line a question: its signature, a tab, and JSON of `inputs` and
`outputs`, each a map from names to `{"datatype", "shape", "data"}`. Numbers are the hexadecimal digits of their bytes,
little-endian, strings those of each element. `library` says in which folder the TensorFlow lies that answered.
"""

import json
import os
import pathlib
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras  # noqa: E402
import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402

rng = np.random.RandomState(7)
NAMES = {
    "float32": "FP32", "float64": "FP64", "float16": "FP16", "bfloat16": "BF16", "bool": "BOOL", "object": "BYTES",
    "int8": "INT8", "int16": "INT16", "int32": "INT32", "int64": "INT64",
    "uint8": "UINT8", "uint16": "UINT16", "uint32": "UINT32", "uint64": "UINT64",
}


def floats(*shape):
    return rng.normal(size=shape).astype(np.float32)


def strings(*values):
    return np.array(values, dtype=object)


def keras_mlp(folder):
    keras.utils.set_random_seed(3)
    model = keras.Sequential([
        keras.Input((5,)), keras.layers.Dense(16, activation="relu"), keras.layers.BatchNormalization(),
        keras.layers.Dense(3, activation="softmax"),
    ])
    model.export(str(folder / "1"), verbose=False)
    return [("serving_default", [floats(rows, 5)]) for rows in (1, 7, 50)]


def keras_conv(folder):
    keras.utils.set_random_seed(4)
    image = keras.Input((24, 24, 3))
    x = keras.layers.Conv2D(8, 3, padding="same", activation="relu")(image)
    skip = x
    x = keras.layers.Conv2D(8, 3, padding="same")(x)
    x = keras.layers.Activation("relu")(keras.layers.Add()([x, skip]))
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.MaxPooling2D()(x))
    keras.Model(image, keras.layers.Dense(10)(x)).export(str(folder / "1"), verbose=False)
    return [("serving_default", [floats(rows, 24, 24, 3)]) for rows in (1, 4)]


def keras_several(folder):
    keras.utils.set_random_seed(5)
    number, token = keras.Input((4,), name="numbers"), keras.Input((6,), dtype="int32", name="tokens")
    x = keras.layers.Flatten()(keras.layers.Embedding(20, 3)(token))
    x = keras.layers.Concatenate()([number, x])
    outputs = {"score": keras.layers.Dense(1)(x), "kind": keras.layers.Dense(4, activation="softmax")(x)}
    keras.Model({"numbers": number, "tokens": token}, outputs).export(str(folder / "1"), verbose=False)
    inputs = {"numbers": floats(5, 4), "tokens": rng.randint(0, 20, size=(5, 6)).astype(np.int32)}
    return [("serving_default", inputs)]


class Texts(tf.Module):
    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="text")])
    def upper(self, text):
        return {"upper": tf.strings.upper(text), "length": tf.strings.length(text)}

    @tf.function(input_signature=[tf.TensorSpec([None, 2], tf.float32, name="x")])
    def scale(self, x):
        return {"y": x * 2.5 + 1.0}


def module_two_signatures(folder):
    module = Texts()
    tf.saved_model.save(module, str(folder / "1"), signatures={"serving_default": module.scale, "upper": module.upper})
    texts = strings(b"abc", "größe".encode(), b"", b"x" * 100, b"\x00\xff")
    return [("serving_default", {"x": floats(3, 2)}), ("upper", {"text": texts}), ("upper", {"text": texts[:1]})]


class Vocabulary(tf.Module):
    def __init__(self, path):
        super().__init__()
        self.asset = tf.saved_model.Asset(str(path))
        lines = tf.lookup.TextFileInitializer(
            self.asset, tf.string, tf.lookup.TextFileIndex.WHOLE_LINE, tf.int64, tf.lookup.TextFileIndex.LINE_NUMBER)
        self.table = tf.lookup.StaticHashTable(lines, -1)

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="word")])
    def find(self, word):
        return {"id": self.table.lookup(word)}


def module_assets(folder):
    path = folder / "vocabulary.txt"
    path.write_text("one\ntwo\nthree\n")
    module = Vocabulary(path)
    tf.saved_model.save(module, str(folder / "1"), signatures=module.find)
    path.unlink()
    return [("serving_default", {"word": strings(b"two", b"none", b"one", b"three")})]


class Types(tf.Module):
    TYPES = ["float64", "float16", "bfloat16", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64",
             "bool"]

    @tf.function
    def same(self, **inputs):
        return {"out_" + name: tf.concat([it, it], 0) for name, it in inputs.items()}


def module_types(folder):
    module = Types()
    specs = {name: tf.TensorSpec([None], name, name=name) for name in Types.TYPES}
    signature = module.same.get_concrete_function(**specs)
    tf.saved_model.save(module, str(folder / "1"), signatures=signature)
    values = {name: tf.cast(tf.constant([0.0, 1.0, 7.0]), name).numpy() for name in Types.TYPES}
    values["int64"] = np.array([-2**62, 2**62 + 1], dtype=np.int64)
    values["uint64"] = np.array([2**64 - 1], dtype=np.uint64)
    return [("serving_default", values)]


class Shapes(tf.Module):
    @tf.function(input_signature=[tf.TensorSpec(None, tf.float32, name="x")])
    def total(self, x):
        return {"sum": tf.reduce_sum(x), "twice": x + x}


def module_unknown_rank(folder):
    module = Shapes()
    tf.saved_model.save(module, str(folder / "1"), signatures=module.total)
    return [("serving_default", {"x": floats(*shape)}) for shape in [(3,), (2, 2), (1, 2, 1, 3), ()]]


class Counter(tf.Module):
    def __init__(self):
        super().__init__()
        self.weight = tf.Variable(floats(4, 4))

    @tf.function(input_signature=[tf.TensorSpec([None, 4], tf.float32, name="x")])
    def loops(self, x):
        for _ in tf.range(5):
            x = tf.tanh(tf.matmul(x, self.weight))
        if tf.reduce_sum(x) > 0:
            x = -x
        return {"y": x, "weight": self.weight.read_value()}


def module_control_flow(folder):
    module = Counter()
    tf.saved_model.save(module, str(folder / "1"), signatures=module.loops)
    return [("serving_default", {"x": floats(rows, 4)}) for rows in (1, 6)]


def tf1_versions(folder):
    """Built the way of TensorFlow 1: reference variables, two signatures, in a folder of versions."""
    v1 = tf.compat.v1
    with tf.Graph().as_default(), v1.Session() as session:
        x = v1.placeholder(tf.float32, [None, 3], name="x")
        weight = v1.get_variable("w", initializer=floats(3, 2), use_resource=False)
        product = tf.matmul(x, weight)
        signature = v1.saved_model.signature_def_utils.predict_signature_def
        signatures = {
            "serving_default": signature({"x": x}, {"product": product}),
            "row": signature({"x": x}, {"sum": tf.reduce_sum(product, 1), "product": product}),
            "weights": signature({"x": x}, {"weight": tf.identity(weight)}),
        }
        session.run(v1.global_variables_initializer())
        builder = v1.saved_model.Builder(str(folder / "3"))
        builder.add_meta_graph_and_variables(session, ["serve"], signatures)
        builder.save()
    return [(name, {"x": floats(4, 3)}) for name in sorted(signatures)]


def tensor(value):
    value = np.asarray(value)
    if value.dtype.kind in "OS":
        data = [(it if isinstance(it, bytes) else it.encode()).hex() for it in value.reshape(-1).tolist()]
        return {"datatype": "BYTES", "shape": list(value.shape), "data": data}
    return {"datatype": NAMES[value.dtype.name], "shape": list(value.shape), "data": value.tobytes().hex()}


def answers(folder, questions):
    version = sorted(folder.iterdir())[-1]
    loaded = tf.saved_model.load(str(version))
    for name, inputs in questions:
        signature = loaded.signatures[name]
        if isinstance(inputs, list):
            inputs = dict(zip(signature.structured_input_signature[1], inputs))
        outputs = signature(**{key: tf.constant(it) for key, it in inputs.items()})
        sides = {
            "inputs": {key: tensor(it) for key, it in inputs.items()},
            "outputs": {key: tensor(it.numpy()) for key, it in outputs.items()},
        }
        yield "{}\t{}\n".format(name, json.dumps(sides))


def main(out):
    out = pathlib.Path(out)
    out.mkdir(parents=True, exist_ok=True)
    makers = [keras_mlp, keras_conv, keras_several, module_two_signatures, module_assets, module_types,
              module_unknown_rank, module_control_flow, tf1_versions]
    for make in makers:
        folder = out / make.__name__
        folder.mkdir()
        questions = make(folder)
        (out / (make.__name__ + ".answers")).write_text("".join(answers(folder, questions)))
    keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)]).save(str(out / "refused.keras"))
    tf.train.Checkpoint(step=tf.Variable(1)).save(str(out / "checkpoint" / "ckpt"))
    (out / "library").write_text(str(pathlib.Path(tf.__file__).parent))
    print("{} models in {}".format(len(makers), out))


if __name__ == "__main__":
    main(sys.argv[1])
