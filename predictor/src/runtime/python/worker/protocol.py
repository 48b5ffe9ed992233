# The worker's side of the messages that frame.rs describes. The parts of this script are one module, in one order.
import importlib
import inspect
import json
import os
import select
import shutil
import struct
import sys
import threading
import traceback

VERSION, LOAD, PREDICT, ASK, DONE, FAILED = 1, 1, 2, 3, 128, 129
LONGEST = 2 << 30
# By their number on the wire; numpy has no bfloat16, and elements of BYTES differ in length.
DATATYPES = ["BOOL", "UINT8", "UINT16", "UINT32", "UINT64", "INT8", "INT16", "INT32", "INT64", "FP16", "BF16", "FP32",
             "FP64", "BYTES"]
NUMPY = {"BOOL": "?", "UINT8": "u1", "UINT16": "<u2", "UINT32": "<u4", "UINT64": "<u8", "INT8": "i1", "INT16": "<i2",
         "INT32": "<i4", "INT64": "<i8", "FP16": "<f2", "FP32": "<f4", "FP64": "<f8"}


# What is to be removed when this process ends.
FOLDERS = []


def leave():
    """Ends this process at once, whatever its threads are busy with."""
    for folder in FOLDERS:
        shutil.rmtree(folder, True)
    os._exit(0)


class Refusal(Exception):
    """What the predictor answers with that code of its table."""

    def __init__(self, code, message):
        super().__init__(message)
        self.code, self.message = code, message


class Named:
    """A tensor: a name, and an array of numpy's. `datatype` is the protocol's, which BF16 is not numpy's."""

    def __init__(self, name, array, datatype=None):
        self.name, self.array = name, array
        self.datatype = datatype or datatype_of(array)


def numpy():
    return need("numpy")


def need(package, install=None):
    """Imports a package, or says where it is missing and how to get it."""
    try:
        return importlib.import_module(package)
    except ImportError as error:
        # A package that is there and fails to import says best itself why.
        if getattr(error, "name", None) != package.split(".")[0]:
            raise
        version = ".".join(map(str, sys.version_info[:3]))
        raise Refusal("not_ready", "the Python %s (%s) has no package `%s`: install it there (`%s -m pip install %s`), or "
                      "name another Python by `--python`" % (sys.executable, version, package, sys.executable,
                                                             install or package)) from None


def datatype_of(array):
    kind = array.dtype.kind
    if kind in "OSUT":
        return "BYTES"
    if kind == "b":
        return "BOOL"
    if kind in "ui" and array.dtype.itemsize <= 8:
        return ("UINT%d" if kind == "u" else "INT%d") % (8 * array.dtype.itemsize)
    if kind == "f" and array.dtype.itemsize <= 8:
        return "FP%d" % (8 * array.dtype.itemsize)
    raise Refusal("inference", "the model answered an array of %s, which no datatype of the protocol is" % array.dtype)


def receive(count):
    data = bytearray(count)
    view, at = memoryview(data), 0
    while at < count:
        got = CONNECTION.recv_into(view[at:])
        if not got:
            leave()
        at += got
    return data


def read_message():
    version, kind, fields, tensors, length = struct.unpack("<BBHIQ", receive(16))
    if version != VERSION or length > LONGEST:
        raise SystemExit("the predictor speaks version %d, this worker %d" % (version, VERSION))
    rest = receive(length)
    at, told, heads = 0, [], []
    for _ in range(fields):
        name, value = struct.unpack_from("<II", rest, at)
        at += 8
        told.append((rest[at:at + name].decode(), bytes(rest[at + name:at + name + value])))
        at += name + value
    for _ in range(tensors):
        datatype, rank, name, _, size = struct.unpack_from("<BBHIQ", rest, at)
        shape = struct.unpack_from("<%dQ" % rank, rest, at + 16)
        at += 16 + 8 * rank
        heads.append((rest[at:at + name].decode(), DATATYPES[datatype], shape, size))
        at += name
    datas = []
    for name, datatype, shape, size in heads:
        at += -at % 8
        datas.append((name, datatype, shape, memoryview(rest)[at:at + size]))
        at += size
    return kind, told, datas


def tensor_of(name, datatype, shape, raw):
    np = numpy()
    if datatype == "BYTES":
        texts, at = [], 0
        while at < len(raw):
            end = at + 4 + int.from_bytes(raw[at:at + 4], "little")
            texts.append(bytes(raw[at + 4:end]))
            at = end
        array = np.empty(len(texts), dtype=object)
        array[:] = texts
        return Named(name, array.reshape(shape), datatype)
    if datatype == "BF16":
        # Exact: a float of 32 bits has all those of 16.
        array = (np.frombuffer(raw, "<u2").astype("<u4") << 16).view("<f4")
        return Named(name, array.reshape(shape), "FP32")
    return Named(name, np.frombuffer(raw, NUMPY[datatype]).reshape(shape), datatype)


def raw_of(tensor):
    """The bytes of a tensor, which are those of its array where that lies as the protocol wants it."""
    np = numpy()
    if tensor.datatype == "BYTES":
        parts = []
        for element in tensor.array.reshape(-1):
            element = element if isinstance(element, bytes) else str(element).encode()
            parts += [struct.pack("<I", len(element)), element]
        return b"".join(parts)
    if tensor.datatype == "BF16":
        return (np.ascontiguousarray(tensor.array, "<f4").view("<u4") >> 16).astype("<u2").tobytes()
    array = np.ascontiguousarray(tensor.array, NUMPY[tensor.datatype])
    return memoryview(array.reshape(-1)).cast("B") if array.size else b""


def write_message(kind, fields=(), tensors=()):
    head, datas = [], [raw_of(it) for it in tensors]
    for name, value in fields:
        name, value = name.encode(), value if isinstance(value, bytes) else str(value).encode("utf-8", "replace")
        head += [struct.pack("<II", len(name), len(value)), name, value]
    for it, data in zip(tensors, datas):
        name, shape = it.name.encode(), it.array.shape
        head += [struct.pack("<BBHIQ", DATATYPES.index(it.datatype), len(shape), len(name), 0, len(data)),
                 struct.pack("<%dQ" % len(shape), *shape), name]
    head = b"".join(head)
    length = len(head)
    parts = []
    for data in datas:
        pad = -length % 8
        parts += [bytes(pad), data]
        length += pad + len(data)
    if length > LONGEST:
        raise Refusal("inference", "the answer has %d bytes, the most are %d" % (length, LONGEST))
    start = struct.pack("<BBHIQ", VERSION, kind, len(fields), len(tensors), length)
    CONNECTION.sendall(start + head)
    for part in parts:
        if len(part):
            CONNECTION.sendall(part)


def end_with_the_predictor():
    """Ends this process when the other end of the socket is closed, whatever the model is busy with."""
    poll = select.poll()
    poll.register(CONNECTION.fileno(), getattr(select, "POLLRDHUP", select.POLLHUP))
    poll.poll()
    leave()
