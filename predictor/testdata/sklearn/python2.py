# -*- coding: utf-8 -*-
"""Makes the golden files of Python 2 beside it, in the form that `make.py` tells, for the scikit-learn that is installed.

    python2.7 python2.py FOLDER

Files in `python2-0.18`: scikit-learn 0.18.2, numpy 1.13.3; in `python2-0.20`: scikit-learn 0.20.4, numpy 1.13.3.
"""

import os
import pickle
import sys

import numpy as np
from sklearn.datasets import load_iris
from sklearn.ensemble import RandomForestClassifier
from sklearn.externals import joblib
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

IRIS = load_iris()
X, Y = IRIS.data[::3], IRIS.target[::3]
ASK = IRIS.data[[1, 70, 77, 106, 133]]


def main(folder):
    if not os.path.isdir(folder):
        os.makedirs(folder)
    names = np.array([u"setosa", u"versicolor", u"vérginica"], dtype=object)[Y]
    models = {
        "logistic": LogisticRegression().fit(X, IRIS.target_names[Y]),
        "pipeline": Pipeline([("scaler", StandardScaler()), ("clf", SVC(gamma=0.25, probability=True, random_state=0))]).fit(X, Y),
        "forest": RandomForestClassifier(2, max_depth=3, random_state=0).fit(X, names),
    }
    for name, model in models.items():
        for protocol in [0, 1, 2]:
            with open(os.path.join(folder, "{}.p{}.pkl".format(name, protocol)), "wb") as file:
                pickle.dump(model, file, protocol=protocol)
            write(model, os.path.join(folder, "{}.p{}.pkl".format(name, protocol)))
        for method in [None, "zlib", "bz2"]:
            path = os.path.join(folder, "{}.{}.joblib".format(name, method or "plain"))
            joblib.dump(model, path, compress=(method, 3) if method else 0)
            write(model, path)


def write(model, path):
    lines = ["input " + numbers(row) for row in ASK]
    lines += [u"predict {}".format(label).encode("utf-8") for label in model.predict(ASK)]
    lines += ["predict_proba " + numbers(row) for row in model.predict_proba(ASK)]
    if isinstance(model, LogisticRegression):
        lines += ["decision_function " + numbers(row) for row in model.decision_function(ASK)]
    with open(path + ".txt", "wb") as file:
        file.write("\n".join(lines) + "\n")


def numbers(row):
    return " ".join(repr(float(value)) for value in row)


if __name__ == "__main__":
    main(sys.argv[1])
