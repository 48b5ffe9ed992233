"""A data frame whose columns have categories with names, and rows to ask a model that was trained on it, as clients send them."""

import numpy as np
import pandas as pd

CITIES = ["Bonn", "Zug", "Ulm", "New York", "a \"b\"", "Rom"]
SIZES = [10, 20, 35, 1000000]
TEXTS, NUMBERS = ["city", "one"], ["size"]


def table(rows=600, seed=5, cities=CITIES):
    """The frame, and what is to be learned from it."""
    random = np.random.RandomState(seed)
    frame = pd.DataFrame({
        "city": pd.Categorical(random.choice(cities, rows), categories=cities),
        "weight": random.normal(size=rows),
        "size": pd.Categorical(random.choice(SIZES, rows)),
        "one": pd.Categorical(random.choice(["no", "yes"], rows)),
    })
    label = frame["city"].isin(["Ulm", "Zug"]) * 3.0 + (frame["size"].astype(int) == 20) * 2.0
    label = label + frame["weight"] + (frame["one"] == "yes") * (frame["city"] == "Bonn")
    return frame, label.to_numpy() + random.normal(size=rows) * 0.1


def asked(frame, others=True):
    """Fifty rows as objects: of the frame, some with missing values, which an empty text is, and some with others than it has."""
    rows = frame.head(50).astype({name: object for name in TEXTS + NUMBERS}).to_dict(orient="records")
    if others:
        rows[30]["city"], rows[32]["city"], rows[35]["city"], rows[35]["one"] = "Paris", "ulm", "Bonn ", "maybe"
        rows[33]["size"], rows[34]["size"] = 21, -1
    rows[31]["city"], rows[37]["one"] = "", ""
    rows[36]["weight"] = rows[38]["size"] = float("nan")
    return rows


def framed(rows):
    """The rows as a frame again, whose categories are those of the rows alone."""
    frame = pd.DataFrame(rows)
    frame = frame.replace({name: "" for name in TEXTS}, None)
    frame["size"] = pd.Categorical([None if it != it else int(it) for it in frame["size"]])
    return frame.astype({name: "category" for name in TEXTS})
