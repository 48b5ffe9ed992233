"""XGBoost and LightGBM as scikit-learn's estimators, where they are installed."""

import numpy as np
import pandas as pd
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris
from sklearn.ensemble import VotingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from case import Case

try:
    import xgboost
except ImportError:
    xgboost = None
try:
    import lightgbm
except ImportError:
    lightgbm = None

IRIS, CANCER, SUGAR = load_iris(), load_breast_cancer(), load_diabetes()
FLOAT32 = 1e-6
# What every version of LightGBM has; since 4.7 there is also a `decision_function`.
ANSWERS = ["predict", "predict_proba"]


def cases():
    if xgboost is not None:
        yield from xgboosts()
    if lightgbm is not None:
        yield from lightgbms()


def holes(rows):
    rows = rows.copy()
    rows[::3, 1] = np.nan
    rows[1::5, 0] = np.nan
    return rows


def xgboosts():
    few = {"n_estimators": 12, "max_depth": 3, "random_state": 0}
    iris, cancer, sugar = holes(IRIS.data[::3]), holes(CANCER.data[::12]), holes(SUGAR.data[::9])
    two = CANCER.target
    for form in ["joblib", 2, 4, 5]:
        yield Case("xgb_three_{}".format(form), xgboost.XGBClassifier(**few).fit(IRIS.data, IRIS.target), iris, tolerance=FLOAT32, form=form)
    yield Case("xgb_two", xgboost.XGBClassifier(**few).fit(CANCER.data, two), cancer, tolerance=FLOAT32)
    yield Case("xgb_rf_two", xgboost.XGBRFClassifier(**few).fit(CANCER.data, two), cancer, tolerance=FLOAT32)
    yield Case("xgb_rf_number", xgboost.XGBRFRegressor(**few).fit(SUGAR.data, SUGAR.target), sugar, tolerance=FLOAT32)
    zeros = np.where(np.isnan(cancer), 0.0, cancer)
    yield Case("xgb_missing_zero", xgboost.XGBClassifier(missing=0.0, **few).fit(np.where(CANCER.data > 12, CANCER.data, 0.0), two), zeros, tolerance=FLOAT32)
    for booster in ["dart", "gblinear"]:
        model = xgboost.XGBRegressor(booster=booster, n_estimators=8).fit(SUGAR.data, SUGAR.target)
        yield Case("xgb_" + booster, model, SUGAR.data[::9], tolerance=FLOAT32)
    for objective in ["count:poisson", "reg:gamma", "reg:tweedie", "reg:squaredlogerror"]:
        yield Case("xgb_" + objective.replace(":", "_"), xgboost.XGBRegressor(objective=objective, **few).fit(SUGAR.data, SUGAR.target), sugar, tolerance=FLOAT32)
    both = np.c_[SUGAR.target, -SUGAR.target]
    yield Case("xgb_targets", xgboost.XGBRegressor(**few).fit(SUGAR.data, both), sugar, tolerance=FLOAT32)
    stopped = xgboost.XGBClassifier(n_estimators=200, learning_rate=0.9, early_stopping_rounds=3, random_state=0)
    stopped.fit(CANCER.data[::2], two[::2], eval_set=[(CANCER.data[1::2], two[1::2])], verbose=False)
    assert stopped.best_iteration < stopped.get_booster().num_boosted_rounds() - 1
    yield Case("xgb_stopped", stopped, cancer, tolerance=FLOAT32)
    ranker = xgboost.XGBRanker(n_estimators=8).fit(SUGAR.data, (SUGAR.target > 150).astype(int), group=[100, 200, 142])
    yield Case("xgb_ranker", ranker, sugar, tolerance=FLOAT32)
    frame = pd.DataFrame(SUGAR.data, columns=SUGAR.feature_names)
    yield Case("xgb_named", xgboost.XGBRegressor(**few).fit(frame, SUGAR.target), frame[::9], tolerance=FLOAT32)
    yield Case("xgb_scaled", make_pipeline(StandardScaler(), xgboost.XGBClassifier(**few)).fit(IRIS.data, IRIS.target), iris, tolerance=FLOAT32)
    words = np.array([["red", "s"], ["green", "m"], ["blue", "l"], ["red", "l"]] * 20, dtype=object)
    encoded = make_pipeline(OneHotEncoder(handle_unknown="ignore"), xgboost.XGBClassifier(n_estimators=5)).fit(words, np.arange(80) % 4 % 2)
    yield Case("xgb_sparse", encoded, words[:50], tolerance=FLOAT32)


def lightgbms():
    few = {"n_estimators": 12, "num_leaves": 7, "random_state": 0, "n_jobs": 1, "verbose": -1}
    iris, cancer, sugar = holes(IRIS.data[::3]), holes(CANCER.data[::12]), holes(SUGAR.data[::9])
    names = IRIS.target_names[IRIS.target]
    for form in ["joblib", 2, 4, 5]:
        yield Case("lgbm_three_{}".format(form), lightgbm.LGBMClassifier(**few).fit(IRIS.data, names), iris, ANSWERS, form=form)
    yield Case("lgbm_two", lightgbm.LGBMClassifier(**few).fit(CANCER.data, CANCER.target_names[CANCER.target]), cancer, ANSWERS)
    yield Case("lgbm_flags", lightgbm.LGBMClassifier(**few).fit(CANCER.data, CANCER.target == 1), cancer, ANSWERS)
    yield Case("lgbm_ova", lightgbm.LGBMClassifier(objective="multiclassova", **few).fit(IRIS.data, IRIS.target), iris, ANSWERS)
    for boosting in ["dart", "rf"]:
        bagging = {"subsample": 0.7, "subsample_freq": 1} if boosting == "rf" else {}
        yield Case("lgbm_" + boosting, lightgbm.LGBMRegressor(boosting_type=boosting, **bagging, **few).fit(SUGAR.data, SUGAR.target), sugar, ANSWERS)
    for objective in ["poisson", "gamma", "tweedie", "mae", "quantile", "huber"]:
        yield Case("lgbm_" + objective, lightgbm.LGBMRegressor(objective=objective, **few).fit(SUGAR.data, SUGAR.target), sugar, ANSWERS)
    stopped = lightgbm.LGBMClassifier(**dict(few, n_estimators=300, learning_rate=0.5))
    halves = (CANCER.data[1::2], CANCER.target[1::2])
    stopped.fit(CANCER.data[::2], CANCER.target[::2], eval_set=[halves], callbacks=[lightgbm.early_stopping(5, verbose=False)])
    assert 0 < stopped.best_iteration_ < 300
    yield Case("lgbm_stopped", stopped, cancer, ANSWERS)
    yield Case("lgbm_ranker", lightgbm.LGBMRanker(**few).fit(SUGAR.data, (SUGAR.target > 150).astype(int), group=[100, 200, 142]), sugar, ANSWERS)
    frame = pd.DataFrame(SUGAR.data, columns=SUGAR.feature_names)
    yield Case("lgbm_named", lightgbm.LGBMRegressor(**few).fit(frame, SUGAR.target), frame[::9], ANSWERS)
    yield Case("lgbm_scaled", make_pipeline(StandardScaler(), lightgbm.LGBMClassifier(**few)).fit(IRIS.data, IRIS.target), iris, ANSWERS)
    votes = VotingClassifier([("trees", lightgbm.LGBMClassifier(**few)), ("line", LogisticRegression(max_iter=5000))], voting="soft")
    yield Case("lgbm_votes", votes.fit(IRIS.data, names), IRIS.data[::3], ANSWERS)
