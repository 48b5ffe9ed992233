"""Text."""

import numpy as np
from sklearn.feature_extraction.text import CountVectorizer, HashingVectorizer, TfidfTransformer, TfidfVectorizer
from sklearn.linear_model import LogisticRegression, SGDClassifier
from sklearn.naive_bayes import ComplementNB, MultinomialNB
from sklearn.pipeline import FeatureUnion, make_pipeline
from sklearn.svm import LinearSVC

from case import Case

WORDS = ("the cat sat on a mat while Dogs bark at ÉLAN vital and straße_42 don't stop-me now I'm 3.14 naïve ΣΊΣΥΦΟΣ 東京 москва "
         "re-use e-mail x y z great awful film plot actor boring brilliant music score 100% of it was it's café नमस्ते").split()
RANDOM = np.random.RandomState(0)
TEXTS = [" ".join(RANDOM.choice(WORDS, RANDOM.randint(1, 30))) + RANDOM.choice(["", ".", "!\t ok", "\n\n--", "  "]) for _ in range(160)]
TARGET = np.array(["great" in it or "brilliant" in it for it in TEXTS])
ASKED = TEXTS[:46] + ["", "nothing known qqq", "CAT cat Cat", "a"]


def cases():
    # `transform` of a thousand columns is long: only a few answer with it.
    for at, model in enumerate([
        CountVectorizer(), CountVectorizer(binary=True, min_df=3), CountVectorizer(lowercase=False, max_features=30),
        CountVectorizer(ngram_range=(1, 2), max_features=80), CountVectorizer(analyzer="char", ngram_range=(1, 3), max_features=120),
        CountVectorizer(analyzer="char_wb", ngram_range=(2, 5), max_features=120), CountVectorizer(token_pattern=r"(?u)\b\w+\b"),
        CountVectorizer(stop_words=["the", "cat", "it"], ngram_range=(1, 3), max_features=60), CountVectorizer(stop_words="english"),
        CountVectorizer(vocabulary=["cat", "dogs", "élan"]),
        TfidfVectorizer(), TfidfVectorizer(sublinear_tf=True, norm="l1"), TfidfVectorizer(use_idf=False), TfidfVectorizer(norm=None, smooth_idf=False),
        HashingVectorizer(n_features=64), HashingVectorizer(n_features=32, alternate_sign=False, norm=None), HashingVectorizer(n_features=50, binary=True, norm="l1"),
    ]):
        yield Case("words_{}".format(at), model.fit(TEXTS), ASKED)
    for at, steps in enumerate([
        [CountVectorizer(), MultinomialNB()], [TfidfVectorizer(ngram_range=(1, 2)), LogisticRegression()],
        [CountVectorizer(), TfidfTransformer(), ComplementNB()], [HashingVectorizer(), SGDClassifier(random_state=0)],
        [TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 4)), LinearSVC()],
        [FeatureUnion([("words", TfidfVectorizer()), ("chars", CountVectorizer(analyzer="char"))]), LogisticRegression(max_iter=2000)],
    ]):
        # The hash of a million columns is kept small by the model's own weights alone.
        if at == 3:
            steps[0] = HashingVectorizer(n_features=4096)
        yield Case("words_model_{}".format(at), make_pipeline(*steps).fit(TEXTS, TARGET), ASKED)
