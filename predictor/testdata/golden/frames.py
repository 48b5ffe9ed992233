"""A data frame whose columns have categories with names, and rows to ask a model that was trained on it, as clients send them."""

import numpy as np
import pandas as pd

CITIES = ["Bonn", "K\u00f6ln", "Ulm", "S\u00e3o Paulo", "a \"b\"", "Zug"]
SIZES = [10, 20, 35, 1000000]
TEXTS, NUMBERS = ["city", "one"], ["size"]


def table(rows=600, seed=5):
    """The frame, and what is to be learned from it."""
    random = np.random.RandomState(seed)
    frame = pd.DataFrame({
        "city": pd.Categorical(random.choice(CITIES, rows), categories=CITIES),
        "weight": random.normal(size=rows),
        "size": pd.Categorical(random.choice(SIZES, rows)),
        "one": pd.Categorical(random.choice(["no", "yes"], rows)),
    })
    label = frame["city"].isin(["Ulm", "Zug"]) * 3.0 + (frame["size"].astype(int) == 20) * 2.0
    label = label + frame["weight"] + (frame["one"] == "yes") * (frame["city"] == "Bonn")
    return frame, label.to_numpy() + random.normal(size=rows) * 0.1


def asked(frame):
    """Fifty rows as objects: of the frame, and with names and numbers that it does not have, which count as missing."""
    rows = frame.head(50).astype({name: object for name in TEXTS + NUMBERS}).to_dict(orient="records")
    rows[30]["city"], rows[31]["city"], rows[32]["city"] = "Paris", "", "ulm"
    rows[33]["size"], rows[34]["size"] = 21, -1
    rows[35]["one"], rows[35]["city"] = "maybe", "Bonn "
    rows[36]["weight"] = float("nan")
    return rows


def framed(rows):
    """The rows as a frame again, whose categories are those of the rows alone."""
    frame = pd.DataFrame(rows)
    return frame.astype({name: "category" for name in TEXTS + NUMBERS})
