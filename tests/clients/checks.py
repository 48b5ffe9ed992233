"""What every script here shares: a check prints a line, and the first that fails ends the script."""

import json
import pathlib
import sys

import numpy as np

ROOT = pathlib.Path(__file__).resolve().parents[2]

#: What scikit-learn and XGBoost themselves answer for the samples.
SAMPLES = json.loads((ROOT / "deploy/samples/models/expected.json").read_text())
IRIS = np.array(SAMPLES["iris"]["instances"])
IRIS_NAMES = [SAMPLES["iris"]["classes"][at] for at in SAMPLES["iris"]["predict"]]
PENGUINS = [dict(zip(SAMPLES["penguins"]["columns"], row, strict=True)) for row in SAMPLES["penguins"]["instances"]]


def said(what):
    print(f"ok   {what}", flush=True)


def wrong(what, met, expected):
    sys.exit(f"FAIL {what}\n  met      {met!r}\n  expected {expected!r}")


def equal(what, met, expected):
    """Equal, and of one type: in Python `True == 1` and `1 == 1.0`, in a protocol they differ."""
    if type(met) is not type(expected) or met != expected:
        wrong(what, met, expected)
    said(what)


def contains(what, met, part):
    if part not in met:
        wrong(what, met, f"... {part} ...")
    said(what)


def lacks(what, met, part):
    if part in met:
        wrong(what, met, f"no {part}")
    said(what)


def close(what, met, expected, within):
    """Numbers of one shape, each within that distance."""
    met, expected = np.asarray(met, dtype=np.float64), np.asarray(expected, dtype=np.float64)
    if met.shape != expected.shape or not np.all(np.abs(met - expected) <= within):
        wrong(what, met, f"{expected!r} within {within}")
    said(what)


def same(what, met, expected):
    """Arrays of one data type, one shape and the very same bits: NaN is NaN, and -0.0 is not 0.0."""
    alike = met.dtype == expected.dtype and met.shape == expected.shape
    if alike and expected.dtype == np.object_:
        alike = met.tolist() == expected.tolist()
    elif alike:
        alike = met.tobytes() == expected.tobytes()
    if not alike:
        wrong(what, (met, met.dtype, met.shape), (expected, expected.dtype, expected.shape))
    said(what)


def raised(what, call, kind):
    """The exception of that kind that the call has to raise."""
    try:
        answer = call()
    except kind as error:
        return error
    return wrong(what, answer, f"a {kind.__name__}")


def tensors():
    """A [2, 3] array for every data type that numpy has, by the name the echo gives its tensor; the values are those at
    which codecs break."""
    nan, inf = np.nan, np.inf
    integers = {
        name: np.array([[np.iinfo(dtype).min, np.iinfo(dtype).max, 0], [1, 2, 3]], dtype=dtype)
        for name, dtype in [
            ("uint8", np.uint8),
            ("uint16", np.uint16),
            ("uint32", np.uint32),
            ("uint64", np.uint64),
            ("int8", np.int8),
            ("int16", np.int16),
            ("int32", np.int32),
            ("int64", np.int64),
        ]
    }
    floats = {
        "fp16": np.array([[nan, inf, -inf], [-0.0, 6e-8, 65504]], dtype=np.float16),
        "fp32": np.array([[nan, inf, -inf], [-0.0, 1e-45, 3.4028235e38]], dtype=np.float32),
        "fp64": np.array([[nan, inf, -inf], [-0.0, 5e-324, 0.1]], dtype=np.float64),
    }
    strings = np.array([["", "a", "ä€😀"], ["\0", "line\nbreak", "x" * 300]], dtype=np.object_)
    return {
        "bool": np.array([[True, False, True], [False, False, True]]),
        **integers,
        **floats,
        "bytes": np.vectorize(lambda it: it.encode(), otypes=[np.object_])(strings),
    }


def finite():
    """Of those arrays what JSON can say: no NaN, no infinity, and no FP16, which this protocol has only as bytes."""
    arrays = tensors()
    del arrays["fp16"]
    for name in ("fp32", "fp64"):
        arrays[name] = np.where(np.isfinite(arrays[name]), arrays[name], 1.5).astype(arrays[name].dtype)
    return arrays
