"""One golden model: how it is saved, what it is asked, what it answers."""

import pickle

METHODS = ["predict", "predict_proba", "decision_function", "score_samples", "transform"]


class Case:
    """A fitted model of scikit-learn.

    `rows`: a 2-d array, a list of texts, or a pandas data frame. `methods`: those to ask; by default all that it has, but
    `transform` only where it has no `predict`. `form`: `joblib`, `joblib+zlib`..., or the number of a pickle protocol.
    """

    def __init__(self, name, model, rows, methods=None, tolerance=1e-12, form="joblib"):
        self.name, self.model, self.rows, self.tolerance, self.form = name, model, rows, tolerance, form
        self.methods = methods

    @property
    def file(self):
        return self.name + (".joblib" if isinstance(self.form, str) else ".pkl")

    def save(self, out):
        path = out / self.file
        if isinstance(self.form, str):
            import joblib

            method = self.form.partition("+")[2]
            joblib.dump(self.model, str(path), compress=(method, 3) if method else 0)
        else:
            path.write_bytes(pickle.dumps(self.model, protocol=self.form))

    def answer(self, method):
        if self.methods is not None and method not in self.methods:
            return None
        if method == "transform" and self.methods is None and hasattr(self.model, "predict"):
            return None
        if not hasattr(self.model, method):
            return None
        return getattr(self.model, method)(self.rows)

    def rows_json(self):
        if hasattr(self.rows, "to_dict"):
            return self.rows.to_dict(orient="records")
        return self.rows.tolist() if hasattr(self.rows, "tolist") else list(self.rows)
