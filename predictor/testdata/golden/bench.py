"""What a prediction costs: scikit-learn's own `predict` beside the runtime, on the same files, interleaved, CPU time.

    python bench.py [ROUNDS]

Wants scikit-learn, joblib, threadpoolctl and cargo. Each asks on one thread; the least of all rounds counts.
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import joblib
import numpy as np
import sklearn
from sklearn.datasets import load_breast_cancer, load_iris, make_classification
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.svm import SVC
from threadpoolctl import threadpool_limits

BATCHES = [1, 1000]
# What was built before may be named instead.
COMMAND = os.environ.get("BENCH", "cargo bench --quiet -p weir-tests --bench predict --").split()


def main(rounds=5):
    x, y = make_classification(2000, 20, n_informative=10, n_classes=3, random_state=0)
    models = {
        "LogisticRegression": LogisticRegression(max_iter=1000).fit(x, y),
        "SVC rbf": SVC().fit(x, y),
        "SVC rbf, iris": SVC().fit(*load_iris(return_X_y=True)),
        "SVC rbf, cancer": SVC().fit(*load_breast_cancer(return_X_y=True)),
        "SVC linear, iris": SVC(kernel="linear").fit(*load_iris(return_X_y=True)),
        "RandomForest 100": RandomForestClassifier(100, random_state=0).fit(x, y),
    }
    theirs, ours = {}, {}
    with tempfile.TemporaryDirectory() as folder, threadpool_limits(1):
        files = {name: str(Path(folder) / (name.replace(" ", "_") + ".joblib")) for name in models}
        for name, file in files.items():
            joblib.dump(models[name], file)
        for _ in range(int(rounds)):
            for name, model in models.items():
                for rows in BATCHES:
                    keep(theirs, (files[name], rows), call_ns(model, rows))
            for line in subprocess.check_output([*COMMAND, *files.values()], text=True).splitlines():
                file, what, ns = line.split(" ")[:3]
                keep(ours, (file, what), float(ns))
    print("scikit-learn {}, numpy {}; CPU time of a call in microseconds".format(sklearn.__version__, np.__version__))
    print("{:<20} {:>6} {:>14} {:>10} {:>8}".format("model", "rows", "scikit-learn", "weir", "ratio"))
    for name, file in files.items():
        for rows in BATCHES:
            a, b = theirs[file, rows] / 1e3, ours[file, str(rows)] / 1e3
            print("{:<20} {:>6} {:>14.1f} {:>10.2f} {:>7.0f}x".format(name, rows, a, b, a / b))


def keep(least, key, value):
    least[key] = min(value, least.get(key, value))


def call_ns(model, rows):
    # The numbers of tests/benches/predict.rs.
    features = model.n_features_in_
    x = (np.arange(rows * features) * 7919 % 1000 / 250.0 - 2.0).reshape(rows, features)
    return least_ns(lambda: model.predict(x))


def least_ns(call):
    calls, best = 1, float("inf")
    for _ in range(5):
        while True:
            before = time.process_time_ns()
            for _ in range(calls):
                call()
            took = time.process_time_ns() - before
            if took > 20e6:
                best = min(best, took / calls)
                break
            calls *= 2
    return best


if __name__ == "__main__":
    main(*sys.argv[1:])
