"""Golden neural nets with random weights, in the form that PyTorch exports them in, and what ONNX Runtime answers.

    python nets.py OUT                    # beside what `skl.py` writes, in the same form
    python nets.py resnet18 FILE.onnx     # a net of the size of ResNet-18, for benches
"""

import pathlib
import sys

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import skl  # noqa: E402

rng = np.random.RandomState(11)


class Net:
    """A graph that grows node by node."""

    def __init__(self):
        self.nodes, self.weights, self.count = [], [], 0

    def weight(self, value):
        name = "w%d" % len(self.weights)
        self.weights.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    def random(self, *shape):
        fan = int(np.prod(shape[1:])) if len(shape) > 1 else 4
        return self.weight((rng.normal(size=shape) / np.sqrt(fan)).astype(np.float32))

    def add(self, op, *inputs, outputs=1, **attributes):
        made = ["v%d" % (self.count + at) for at in range(outputs)]
        self.count += outputs
        self.nodes.append(helper.make_node(op, list(inputs), made, name="%s_%d" % (op, self.count), **attributes))
        return made[0] if outputs == 1 else made

    def done(self, inputs, outputs, opset=17):
        renamed = [helper.make_node("Identity", [it], [name]) for it, name, *_ in outputs]
        value = helper.make_tensor_value_info
        graph = helper.make_graph(self.nodes + renamed, "net", [value(*it) for it in inputs],
                                  [value(name, *rest) for _, name, *rest in outputs], self.weights)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
        onnx.checker.check_model(model)
        return model


FLOAT, INT64 = TensorProto.FLOAT, TensorProto.INT64


def cifar(net):
    """The net of PyTorch's tutorial on CIFAR-10."""
    x = "image"
    for channels, filters in [(3, 6), (6, 16)]:
        x = net.add("Conv", x, net.random(filters, channels, 5, 5), net.random(filters), kernel_shape=[5, 5])
        x = net.add("MaxPool", net.add("Relu", x), kernel_shape=[2, 2], strides=[2, 2])
    x = net.add("Flatten", x)
    for wide, narrow in [(400, 120), (120, 84), (84, 10)]:
        x = net.add("Gemm", x, net.random(narrow, wide), net.random(narrow), transB=1)
        x = net.add("Relu", x) if narrow != 10 else x
    return net.done([("image", FLOAT, ["batch", 3, 32, 32])], [(x, "scores", FLOAT, ["batch", 10])]), \
        [{"image": rng.uniform(-1, 1, (rows, 3, 32, 32)).astype(np.float32)} for rows in (1, 4, 9)]


SMALL = [(8, 8, 1), (8, 16, 2), (16, 32, 2)]
EIGHTEEN = [(64, 64, 1), (64, 64, 1), (64, 128, 2), (128, 128, 1), (128, 256, 2), (256, 256, 1), (256, 512, 2), (512, 512, 1)]


def resnet(net, blocks=SMALL, size=64, classes=10):
    """A residual net; of its blocks each has its channels that come in and go out, and its stride."""
    first, last = blocks[0][0], blocks[-1][1]

    def normalized(x, channels):
        ones = (1 + 0.1 * rng.normal(size=channels)).astype(np.float32)
        return net.add("BatchNormalization", x, net.weight(ones), net.random(channels), net.random(channels), net.weight(np.abs(ones)))

    def block(x, given, channels, stride):
        y = net.add("Conv", x, net.random(channels, given, 3, 3), pads=[1] * 4, strides=[stride] * 2, kernel_shape=[3, 3])
        y = net.add("Relu", normalized(y, channels))
        y = normalized(net.add("Conv", y, net.random(channels, channels, 3, 3), pads=[1] * 4, kernel_shape=[3, 3]), channels)
        if stride != 1:
            x = normalized(net.add("Conv", x, net.random(channels, given, 1, 1), strides=[stride] * 2, kernel_shape=[1, 1]), channels)
        return net.add("Relu", net.add("Add", y, x))

    x = net.add("Conv", "image", net.random(first, 3, 7, 7), pads=[3] * 4, strides=[2, 2], kernel_shape=[7, 7])
    x = net.add("MaxPool", net.add("Relu", normalized(x, first)), kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4)
    for given, channels, stride in blocks:
        x = block(x, given, channels, stride)
    x = net.add("Flatten", net.add("GlobalAveragePool", x))
    x = net.add("Softmax", net.add("Gemm", x, net.random(classes, last), net.random(classes), transB=1), axis=1)
    return net.done([("image", FLOAT, ["batch", 3, size, size])], [(x, "classes", FLOAT, ["batch", classes])]), \
        [{"image": rng.uniform(-1, 1, (rows, 3, size, size)).astype(np.float32)} for rows in (1, 3)]


def encoder(net, width=32, heads=4, layers=2, words=50):
    """A transformer's encoder over the numbers of words, with a mask of those that are there."""
    def linear(x, wide, narrow):
        return net.add("Add", net.add("MatMul", x, net.random(wide, narrow)), net.random(narrow))

    def split(x, order):
        x = net.add("Reshape", x, net.weight(np.array([0, -1, heads, width // heads])))
        return net.add("Transpose", x, perm=order)

    def normalized(x):
        return net.add("LayerNormalization", x, net.weight(np.ones(width, dtype=np.float32)), net.random(width), axis=-1, epsilon=1e-5)

    x = net.add("Gather", net.random(words, width), "tokens")
    length = net.add("Gather", net.add("Shape", "tokens"), net.weight(np.array([1])))
    places = net.add("Slice", net.random(64, width), net.weight(np.array([0])), length, net.weight(np.array([0])))
    x = net.add("Add", x, places)
    mask = net.add("Unsqueeze", net.add("Cast", "mask", to=FLOAT), net.weight(np.array([1, 2])))
    mask = net.add("Mul", net.add("Sub", net.weight(np.float32(1)), mask), net.weight(np.float32(-1e4)))
    for _ in range(layers):
        q, k, v = (linear(x, width, width) for _ in range(3))
        q, k, v = split(q, [0, 2, 1, 3]), split(k, [0, 2, 3, 1]), split(v, [0, 2, 1, 3])
        scores = net.add("Div", net.add("MatMul", q, k), net.weight(np.float32(np.sqrt(width // heads))))
        y = net.add("MatMul", net.add("Softmax", net.add("Add", scores, mask), axis=-1), v)
        y = net.add("Reshape", net.add("Transpose", y, perm=[0, 2, 1, 3]), net.weight(np.array([0, -1, width])))
        x = normalized(net.add("Add", x, linear(y, width, width)))
        y = linear(x, width, 64)
        gate = net.add("Add", net.add("Erf", net.add("Div", y, net.weight(np.float32(np.sqrt(2))))), net.weight(np.float32(1)))
        y = net.add("Mul", net.add("Mul", y, gate), net.weight(np.float32(0.5)))
        x = normalized(net.add("Add", x, linear(y, 64, width)))
    pooled = net.add("ReduceMean", x, axes=[1], keepdims=0)
    ports = [("tokens", INT64, ["batch", "length"]), ("mask", INT64, ["batch", "length"])]
    model = net.done(ports, [(x, "states", FLOAT, ["batch", "length", width]), (pooled, "pooled", FLOAT, ["batch", width])])
    asked = []
    for rows, length in [(1, 7), (3, 12)]:
        mask = np.ones((rows, length), dtype=np.int64)
        mask[-1, length // 2:] = 0
        asked.append({"tokens": rng.randint(0, words, (rows, length)), "mask": mask})
    return model, asked


def recurrent(net):
    x = net.add("Transpose", "series", perm=[1, 0, 2])
    _, hidden, _ = net.add("LSTM", x, net.random(1, 32, 5), net.random(1, 32, 8), net.random(1, 64), outputs=3, hidden_size=8)
    x = net.add("Squeeze", hidden, net.weight(np.array([0])))
    x = net.add("Gemm", x, net.random(3, 8), net.random(3), transB=1)
    best = net.add("ArgMax", x, axis=1, keepdims=0)
    return net.done([("series", FLOAT, ["batch", "time", 5])], [(x, "scores", FLOAT, ["batch", 3]), (best, "best", INT64, ["batch"])]), \
        [{"series": rng.normal(size=shape).astype(np.float32)} for shape in [(1, 4, 5), (6, 9, 5)]]


def perceptron(net):
    """Wide enough that the interpreter leaves it to the engine of nets."""
    x = "x"
    for wide, narrow in [(64, 256), (256, 256), (256, 10)]:
        x = net.add("Gemm", x, net.random(narrow, wide), net.random(narrow), transB=1)
        x = net.add("Relu", x) if narrow != 10 else net.add("Softmax", x, axis=1)
    return net.done([("x", FLOAT, ["batch", 64])], [(x, "y", FLOAT, ["batch", 10])]), \
        [{"x": rng.normal(size=(rows, 64)).astype(np.float32)} for rows in (1, 8, 32)]


def truths(net):
    """Truths and bytes at the ends of a net that has a convolution."""
    x = net.add("Cast", "pixels", to=FLOAT)
    x = net.add("Conv", x, net.random(2, 1, 3, 3), kernel_shape=[3, 3])
    x = net.add("ReduceMax", x, axes=[1, 2, 3], keepdims=0)
    return net.done([("pixels", TensorProto.UINT8, ["batch", 1, 8, 8])],
                    [(net.add("Greater", x, net.weight(np.float32(50))), "bright", TensorProto.BOOL, ["batch"])]), \
        [{"pixels": rng.randint(0, 255, (rows, 1, 8, 8)).astype(np.uint8)} for rows in (1, 5)]


def main(out):
    out = pathlib.Path(out)
    out.mkdir(parents=True, exist_ok=True)
    makers = [cifar, resnet, encoder, recurrent, perceptron, truths]
    for make in makers:
        model, questions = make(Net())
        skl.write(out, "net-" + make.__name__, model, questions)
    print("{} nets in {}".format(len(makers), out))


if __name__ == "__main__":
    if sys.argv[1] == "resnet18":
        onnx.save(resnet(Net(), EIGHTEEN, size=224, classes=1000)[0], sys.argv[2])
    else:
        main(sys.argv[1])
