"""Support vector machines."""

import numpy as np
from sklearn.datasets import load_diabetes, load_iris, load_wine
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC, SVR, NuSVC, NuSVR, OneClassSVM

from case import Case

IRIS, SUGAR, WINE = load_iris(), load_diabetes(), load_wine()


def cases():
    # Scores near a border are differences of sums a thousand times as large.
    rows = np.vstack([IRIS.data[::4], IRIS.data[:10] + 2])
    names = IRIS.target_names[IRIS.target]
    kernels = [("linear", {}), ("rbf", {}), ("rbf", {"gamma": 0.7}), ("poly", {"degree": 2, "coef0": 1}), ("sigmoid", {"gamma": 0.01})]
    for at, (kernel, more) in enumerate(kernels):
        for probability in [False, True]:
            model = SVC(kernel=kernel, probability=probability, random_state=0, **more)
            yield Case("svc_{}_{}".format(at, probability), model.fit(IRIS.data, names), rows, tolerance=1e-9 if probability else 1e-11)
            two = SVC(kernel=kernel, probability=probability, random_state=0, **more).fit(IRIS.data[50:], IRIS.target[50:])
            yield Case("svc_two_{}_{}".format(at, probability), two, rows, form=5, tolerance=1e-9 if probability else 1e-10)
        yield Case("svc_ovo_{}".format(at), SVC(kernel=kernel, decision_function_shape="ovo", **more).fit(IRIS.data, names), rows, tolerance=1e-10)
        scaled = make_pipeline(StandardScaler(), SVR(kernel=kernel, C=10, **more)).fit(SUGAR.data, SUGAR.target)
        yield Case("svr_{}".format(at), scaled, SUGAR.data[::9], tolerance=1e-11)
        yield Case("nusvr_{}".format(at), NuSVR(kernel=kernel, **more).fit(WINE.data[:, :3], WINE.data[:, 4]), WINE.data[::4, :3], tolerance=1e-10)
        yield Case("one_class_{}".format(at), OneClassSVM(kernel=kernel, nu=0.3, **more).fit(IRIS.data), rows, tolerance=1e-10)
    yield Case("nusvc", NuSVC(nu=0.3).fit(IRIS.data, names), rows, tolerance=1e-11)
    yield Case("nusvc_two", NuSVC(nu=0.3).fit(IRIS.data, names == "setosa"), rows, tolerance=1e-11)
