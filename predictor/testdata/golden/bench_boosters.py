"""What XGBoost's and LightGBM's models cost: the frameworks' own C libraries and Python beside the runtimes, on the same files
and rows, interleaved, CPU time on one thread.

    python bench_boosters.py [ROUNDS]

Wants xgboost, lightgbm and what bench.py wants. The least of all rounds counts. Every call gets other rows, of 16,000, so that no
processor learns by heart which way they go. Prints how often the runtime's time goes into the other's.
"""

import ctypes as c
import itertools
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"

import lightgbm as lgb  # noqa: E402
import numpy as np  # noqa: E402
import xgboost as xgb  # noqa: E402
from bench import COMMAND, keep, least_ns  # noqa: E402

BATCHES = [1, 32, 1000]
ROWS = 16000
BIG = "500 trees of depth 8"


def main(rounds=3):
    theirs, ours = {}, {}
    with tempfile.TemporaryDirectory() as folder:
        files = {}
        for number, (name, make) in enumerate(models()):
            files[name] = str(Path(folder) / f"{number}.{'ubj' if name.startswith('xgboost') else 'txt'}")
            booster, x = make()
            booster.save_model(files[name])
            x.astype("<f8").tofile(files[name] + ".rows")
        calls = {name: callers(name, file) for name, file in files.items()}
        for _ in range(int(rounds)):
            for name, file in files.items():
                for rows in BATCHES:
                    for way, call in calls[name](rows).items():
                        keep(theirs, (name, rows, way), least_ns(call))
                for line in subprocess.check_output([*COMMAND, file], text=True).splitlines():
                    _, what, ns, *memory = line.split(" ")
                    keep(ours, (name, what), float(ns))
                    if memory:
                        keep(ours, (name, "memory"), float(memory[0]))
                if BIG in name:
                    ns, memory = subprocess.check_output([sys.executable, __file__, "--load", file], text=True).split()
                    keep(theirs, (name, "load"), float(ns))
                    keep(theirs, (name, "memory"), float(memory))
    print(f"xgboost {xgb.__version__}, lightgbm {lgb.__version__}; CPU time of a call in microseconds")
    print("{:<42} {:>5} {:>10}  {}".format("model", "rows", "weir", "how many times as much the others take"))
    for name in files:
        for rows in BATCHES:
            own = ours[name, str(rows)]
            ways = [f"{key[2]} {ns / own:.2f}" for key, ns in theirs.items() if key[:2] == (name, rows)]
            print("{:<42} {:>5} {:>10.2f}  {}".format(name, rows, own / 1e3, ", ".join(ways)))
        if BIG in name:
            for what, unit in (("load", 1e6), ("memory", 1024)):
                a, b = theirs[name, what] / unit, ours[name, what] / unit
                print(f"{name}: {what} {b:.1f} {'ms' if what == 'load' else 'MiB'}, the framework {a:.1f}")


def data(features, categories=0, rows=ROWS):
    random = np.random.default_rng(3)
    x = random.normal(size=(rows, features)).astype(np.float32)
    x[:, 1 : 1 + categories] = random.integers(0, 40, (rows, categories))
    y = x[:, 0] * 2 - x[:, features // 2] * x[:, 6] + np.sin(3 * x[:, 7]) + x[:, -1] * (x[:, 5] > 0)
    if categories:
        y += np.sin(x[:, 1] * 7) * 2
    return x, y + random.normal(size=rows) * 0.3


def models():
    def xgboost(rounds, features=30, categories=0, **params):
        x, y = data(features, categories)
        types = ["q"] + ["c"] * categories + ["q"] * (features - 1 - categories)
        y = target(params, y)
        table = xgb.DMatrix(x, y, feature_types=types, enable_categorical=True)
        return xgb.train({"nthread": 1, **params}, table, rounds), x

    def lightgbm(rounds, features=28, categories=0, **params):
        x, y = data(features, categories)
        table = lgb.Dataset(x, target(params, y), categorical_feature=list(range(1, 1 + categories)))
        return lgb.train({"verbose": -1, "num_threads": 1, **params}, table, rounds), x

    logistic, binary = {"objective": "binary:logistic"}, {"objective": "binary"}
    yield "xgboost 100 trees of depth 6", lambda: xgboost(100, max_depth=6, **logistic)
    yield "xgboost 3 x 50 trees of depth 6", lambda: xgboost(50, objective="multi:softprob", num_class=3)
    yield f"xgboost {BIG}", lambda: xgboost(500, max_depth=8, eta=0.1)
    yield "xgboost 200 features", lambda: xgboost(100, 200, **logistic)
    lossguide = {"max_depth": 0, "max_leaves": 63, "grow_policy": "lossguide"}
    yield "xgboost lossguide, 63 leaves", lambda: xgboost(100, **lossguide, **logistic)
    yield "xgboost sets of categories", lambda: xgboost(100, categories=1, max_cat_to_onehot=1, **logistic)
    yield "lightgbm 100 trees of 31 leaves", lambda: lightgbm(100, **binary)
    yield "lightgbm 3 x 50 trees of 31 leaves", lambda: lightgbm(50, objective="multiclass", num_class=3)
    yield f"lightgbm {BIG}", lambda: lightgbm(500, max_depth=8, num_leaves=255, min_data_in_leaf=5)
    yield "lightgbm 200 features", lambda: lightgbm(100, 200, **binary)
    yield "lightgbm categories", lambda: lightgbm(100, categories=3, **binary)
    yield "lightgbm linear trees", lambda: lightgbm(100, objective="regression", linear_tree=True)
    yield "lightgbm 10 trees", lambda: lightgbm(10, **binary)


def target(params, y):
    classes = params.get("num_class", 2 if "binary" in params.get("objective", "") else 0)
    return np.digitize(y, np.quantile(y, np.linspace(0, 1, classes + 1)[1:-1])) if classes else y


def callers(name, file):
    return (xgboost_callers if name.startswith("xgboost") else lightgbm_callers)(file)


def xgboost_callers(file):
    library = c.CDLL(next(str(it) for it in Path(xgb.__file__).parent.glob("lib/libxgboost.*")))
    booster = xgb.Booster({"nthread": 1}, model_file=file)
    booster.set_param({"nthread": 1})
    config = {"type": 0, "training": False, "iteration_begin": 0, "iteration_end": 0, "strict_shape": False}
    config = json.dumps({**config, "missing": float("nan"), "cache_id": 0}).encode()
    table = np.fromfile(file + ".rows").reshape(ROWS, -1).astype(np.float32)
    shape, size, answer = c.POINTER(c.c_uint64)(), c.c_uint64(), c.POINTER(c.c_float)()

    def ways(rows):
        tables = batches(table, rows)
        arrays = [{"data": [x.ctypes.data, True], "shape": x.shape, "typestr": "<f4", "version": 3} for x in tables]
        arrays = itertools.cycle([json.dumps(array).encode() for array in arrays])
        rest = (config, None, c.byref(shape), c.byref(size), c.byref(answer))
        again = itertools.cycle(tables)

        def from_c():
            # The tables are held here, too: the library reads their memory.
            assert tables and library.XGBoosterPredictFromDense(booster.handle, next(arrays), *rest) == 0

        return {"C": from_c, "inplace_predict": lambda: booster.inplace_predict(next(again))}

    return ways


def lightgbm_callers(file):
    library = lgb.basic._LIB
    booster = lgb.Booster(model_file=file, params={"num_threads": 1})
    handle = getattr(booster, "_handle", None) or booster.handle
    table = np.fromfile(file + ".rows").reshape(ROWS, -1)
    width, length = table.shape[1], c.c_int64()
    doubles, normal, every, single = 1, 0, -1, c.c_void_p()
    answer = np.zeros(1000 * booster.num_model_per_iteration())
    to = answer.ctypes.data_as(c.POINTER(c.c_double))
    settings = (handle, normal, 0, every, doubles, width, b"num_threads=1", c.byref(single))
    assert library.LGBM_BoosterPredictForMatSingleRowFastInit(*settings) == 0

    def ways(rows):
        tables = batches(table, rows)
        places = itertools.cycle([x.ctypes.data_as(c.c_void_p) for x in tables])
        again, row_major = itertools.cycle(tables), 1
        rest = (doubles, rows, width, row_major, normal, 0, every, b"num_threads=1", c.byref(length), to)

        def from_c():
            assert tables and library.LGBM_BoosterPredictForMat(handle, next(places), *rest) == 0

        def fast():
            assert tables and library.LGBM_BoosterPredictForMatSingleRowFast(single, next(places), c.byref(length), to) == 0

        python = {"C": from_c, "Python": lambda: booster.predict(next(again), num_threads=1)}
        return {**python, "C SingleRowFast": fast} if rows == 1 else python

    return ways


def batches(table, rows):
    return [np.ascontiguousarray(table[at : at + rows]) for at in range(0, ROWS - rows + 1, rows)]


def load(file):
    """Prints the CPU time of loading in nanoseconds, and by how many KiB the most memory grew."""
    kind = xgb.Booster if file.endswith("ubj") else lgb.Booster
    before = peak()
    booster = kind(model_file=file)
    memory = peak() - before
    print(least_ns(lambda: kind(model_file=file)), memory)
    del booster


def peak():
    return next(int(it.split()[1]) for it in open("/proc/self/status") if it.startswith("VmHWM:"))


if __name__ == "__main__":
    load(sys.argv[2]) if sys.argv[1:2] == ["--load"] else main(*sys.argv[1:])
