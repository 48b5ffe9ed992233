"""Encoders, imputers, bins and ranks."""

import numpy as np
from sklearn import preprocessing as pre
from sklearn.datasets import load_iris, load_wine
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from case import Case

IRIS, WINE = load_iris(), load_wine()
RANDOM = np.random.RandomState(0)
PEOPLE = np.array([[job, town, size] for job, town, size in zip(
    RANDOM.choice(["nurse", "clerk", "künstler", "smith"], 120), RANDOM.choice(["york", "bath"], 120), RANDOM.randint(0, 6, 120))],
    dtype=object)


def cases():
    yield from encoders()
    yield from imputers()
    yield from bins()


def encoders():
    numbers = np.floor(WINE.data[:, :4])
    asked = numbers[::4]
    dense = {"sparse_output": False} if "sparse_output" in pre.OneHotEncoder().get_params() else {"sparse": False}
    for at, model in enumerate([
        pre.OneHotEncoder(), pre.OneHotEncoder(**dense), pre.OneHotEncoder(drop="first"), pre.OneHotEncoder(handle_unknown="ignore"),
        pre.OrdinalEncoder(), pre.OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-7),
    ]):
        yield Case("encode_numbers_{}".format(at), model.fit(numbers), asked)
        yield Case("encode_people_{}".format(at), model.__class__(**model.get_params()).fit(PEOPLE), PEOPLE[:50])
    for name, labels in [("texts", PEOPLE[:, 0].astype(str)), ("whole", WINE.target * 7 - 3), ("real", numbers[:, 1] / 4)]:
        yield Case("labels_" + name, pre.LabelEncoder().fit(labels), labels[:50])
    unknown = PEOPLE[:50].copy()
    unknown[::5, 0] = "astronaut"
    for at, model in enumerate([
        pre.OneHotEncoder(handle_unknown="ignore"), pre.OneHotEncoder(handle_unknown="ignore", drop="if_binary"),
        pre.OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=np.nan),
    ]):
        yield Case("encode_unknown_{}".format(at), model.fit(PEOPLE), unknown)
    gaps = numbers.copy()
    gaps[::9, 1] = np.nan
    for at, model in enumerate([pre.OneHotEncoder(), pre.OrdinalEncoder(), pre.OrdinalEncoder(encoded_missing_value=-1)]):
        yield Case("encode_gaps_{}".format(at), model.fit(gaps), gaps[::4])
    target = (PEOPLE[:, 0] == "smith") ^ (PEOPLE[:, 2] > 3).astype(bool)
    model = make_pipeline(pre.OneHotEncoder(handle_unknown="ignore"), LogisticRegression())
    yield Case("encode_pipeline", model.fit(PEOPLE, target), unknown)


def imputers():
    gaps = WINE.data.copy()
    gaps[RANDOM.rand(*gaps.shape) < 0.2] = np.nan
    asked = gaps[::4].copy()
    asked[0] = np.nan
    for at, model in enumerate([
        SimpleImputer(), SimpleImputer(strategy="median"), SimpleImputer(strategy="most_frequent"),
        SimpleImputer(strategy="constant", fill_value=-3), SimpleImputer(add_indicator=True),
    ]):
        yield Case("impute_{}".format(at), model.fit(gaps), asked)
    empty = gaps.copy()
    empty[:, 2] = np.nan
    yield Case("impute_empty", SimpleImputer().fit(empty), asked)
    marked = np.where(np.isnan(gaps), -1.0, gaps)
    yield Case("impute_marked", SimpleImputer(missing_values=-1).fit(marked), np.where(np.isnan(asked), -1.0, asked))
    texts = PEOPLE[:, :2].copy()
    texts[::6, 0] = "?"
    model = SimpleImputer(missing_values="?", strategy="most_frequent").fit(texts)
    yield Case("impute_texts", make_pipeline(model, pre.OrdinalEncoder()).fit(texts), texts[:50])


def bins():
    asked = np.vstack([WINE.data[::4], WINE.data[:3] * 10, WINE.data[:3] * -1])
    for at, model in enumerate([
        pre.KBinsDiscretizer(4, encode="ordinal"), pre.KBinsDiscretizer(3), pre.KBinsDiscretizer(5, encode="onehot-dense", strategy="uniform"),
        pre.KBinsDiscretizer(3, encode="ordinal", strategy="kmeans"),
        pre.QuantileTransformer(n_quantiles=20), pre.QuantileTransformer(n_quantiles=178, output_distribution="normal"),
    ]):
        yield Case("bins_{}".format(at), model.fit(WINE.data), asked, tolerance=1e-11 if at == 5 else 1e-12)
    edges = pre.KBinsDiscretizer(3, encode="ordinal").fit(WINE.data)
    on = np.array([[it[min(at, len(it) - 1)] for it in edges.bin_edges_] for at in range(4)])
    yield Case("bins_edges", edges, on)
    steps = np.floor(WINE.data)
    yield Case("ranks_steps", pre.QuantileTransformer(n_quantiles=50).fit(steps), steps[::4])
