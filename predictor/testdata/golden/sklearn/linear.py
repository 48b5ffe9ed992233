"""Linear models."""

import numpy as np
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression

from case import Case

IRIS = load_iris()


def cases():
    rows = np.vstack([IRIS.data[::4], IRIS.data[:12] * 100 - 300])
    for penalty in [0.1, 1.0, 100.0]:
        model = LogisticRegression(C=penalty, max_iter=1000).fit(IRIS.data, IRIS.target)
        yield Case("logistic_c{}".format(penalty), model, rows)
    named = LogisticRegression(max_iter=1000).fit(IRIS.data, IRIS.target_names[IRIS.target])
    yield Case("logistic_named", named, rows)
