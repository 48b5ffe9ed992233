"""Trains the sample models and writes them, with what goes beside them, under `models/` next to this file.

    pip install scikit-learn==1.5.2 numpy==2.4.6 joblib==1.6.0 xgboost-cpu==3.0.5 palmerpenguins==0.1.6 pandas==3.1.1
    python train.py

Data: iris, from scikit-learn (Fisher 1936, UCI Machine Learning Repository, CC BY 4.0);
penguins, from the package palmerpenguins (Horst, Hill and Gorman 2020, CC0).

iris: the transformer standardises, so the model is trained on standardised rows and the manifest holds the numbers of
`iris-scaler.json`. penguins: the transformer turns names into codes, in the order given in `CODES`; a missing number and
a missing sex are NaN, which the model routes by itself. Classes are in alphabetical order in both.
"""

import csv
import json
from pathlib import Path

import joblib
import numpy as np
import xgboost
from palmerpenguins import load_penguins
from sklearn.datasets import load_iris
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

MODELS = Path(__file__).parent / "models"

IRIS_COLUMNS = ["sepal_length", "sepal_width", "petal_length", "petal_width"]
IRIS_ROWS = [[6.8, 2.8, 4.8, 1.4], [6.0, 3.4, 4.5, 1.6], [5.1, 3.5, 1.4, 0.2], [7.7, 3.0, 6.1, 2.3]]

PENGUIN_COLUMNS = ["island", "bill_length_mm", "bill_depth_mm", "flipper_length_mm", "body_mass_g", "sex"]
CODES = {"island": ["Biscoe", "Dream", "Torgersen"], "sex": ["female", "male"]}
SPECIES = ["Adelie", "Chinstrap", "Gentoo"]
PENGUIN_ROWS = [
    ["Torgersen", 39.1, 18.7, 181.0, 3750.0, "male"],
    ["Biscoe", 46.1, 13.2, 211.0, 4500.0, "female"],
    ["Dream", 46.5, 17.9, 192.0, 3500.0, "female"],
]


def main():
    (MODELS / "iris").mkdir(parents=True, exist_ok=True)
    expected = {"iris": train_iris(), "penguins": train_penguins()}
    write_json(MODELS / "expected.json", expected)


def train_iris():
    """Writes the iris model; returns what scikit-learn answers to raw rows."""
    iris = load_iris()
    scaler = StandardScaler().fit(iris.data)
    model = SVC(probability=True, random_state=0).fit(scaler.transform(iris.data), iris.target)
    joblib.dump(model, MODELS / "iris" / "model.joblib")
    numbers = {"columns": IRIS_COLUMNS, "mean": scaler.mean_.tolist(), "scale": scaler.scale_.tolist()}
    write_json(MODELS / "iris-scaler.json", numbers)
    print("mean ", numbers["mean"])
    print("scale", numbers["scale"])
    write_csv(MODELS / "iris-explainer" / "background.csv", IRIS_COLUMNS, sample(iris.data.tolist(), iris.target))
    rows = scaler.transform(np.array(IRIS_ROWS))
    return {
        "instances": IRIS_ROWS,
        "classes": iris.target_names.tolist(),
        "standardised": rows.tolist(),
        "predict": model.predict(rows).tolist(),
        "predict_proba": model.predict_proba(rows).tolist(),
        "decision_function": model.decision_function(rows).tolist(),
    }


def train_penguins():
    """Writes the penguins model; returns what XGBoost answers to rows with names."""
    table = load_penguins()
    named = table[PENGUIN_COLUMNS].astype(object).where(table[PENGUIN_COLUMNS].notna(), None).values.tolist()
    labels = [SPECIES.index(name) for name in table["species"]]
    data = xgboost.DMatrix(coded(named), labels, feature_names=PENGUIN_COLUMNS)
    parameters = {"objective": "multi:softprob", "num_class": 3, "max_depth": 3, "eta": 0.3, "seed": 0, "nthread": 1}
    model = xgboost.train(parameters, data, num_boost_round=20)
    (MODELS / "penguins").mkdir(exist_ok=True)
    model.save_model(MODELS / "penguins" / "model.json")
    whole = [(row, label) for row, label in zip(named, labels) if None not in row]
    background = sample([row for row, _ in whole], np.array([label for _, label in whole]))
    write_csv(MODELS / "penguins-explainer" / "background.csv", PENGUIN_COLUMNS, background)
    rows = coded(PENGUIN_ROWS)
    probabilities = model.predict(xgboost.DMatrix(rows, feature_names=PENGUIN_COLUMNS))
    return {
        "columns": PENGUIN_COLUMNS,
        "codes": CODES,
        "instances": PENGUIN_ROWS,
        "coded": rows.tolist(),
        "classes": SPECIES,
        "predict": probabilities.argmax(axis=1).tolist(),
        "predict_proba": probabilities.tolist(),
    }


def coded(rows):
    """Returns the matrix the penguins model takes: names as their code, what is missing as NaN."""

    def number(column, value):
        if value is None:
            return np.nan
        return CODES[column].index(value) if column in CODES else float(value)

    return np.array([[number(column, value) for column, value in zip(PENGUIN_COLUMNS, row)] for row in rows])


def sample(rows, labels):
    """Returns 30 rows, ten of each class, in a fixed random order."""
    draw = np.random.default_rng(0)
    chosen = [draw.choice(np.flatnonzero(labels == label), 10, replace=False) for label in range(3)]
    return [rows[at] for at in draw.permutation(np.concatenate(chosen))]


def write_csv(path, columns, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([columns, *rows])


def write_json(path, value):
    path.write_text(json.dumps(value, indent=2) + "\n")


if __name__ == "__main__":
    main()
