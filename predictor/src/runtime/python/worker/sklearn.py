

# scikit-learn: files of joblib and pickle, by the libraries that wrote them.

class Estimator:
    """An estimator of numbers or texts: the file tells what it takes, and a row of noughts what it gives."""

    whole, explains = False, False
    METHODS = ("predict", "predict_proba", "decision_function", "score_samples", "transform")

    def __init__(self, path, told):
        self.estimator = unpickled(path)
        self.platform = "python_" + path.rsplit(".", 1)[-1]
        self.single_thread()
        self.features = getattr(self.estimator, "n_features_in_", None)
        names = getattr(self.estimator, "feature_names_in_", None)
        self.columns = [] if names is None else [str(it) for it in names]
        self.classes = getattr(self.estimator, "classes_", None)
        self.table = bool(self.columns) and self.mixed()
        # Columns of several kinds are told by nobody: then rows are taken as they come.
        self.whole = self.table
        self.takes_text = self.features is None and not self.table
        self.offers = [] if self.whole else self.offered(told)

    def single_thread(self):
        """One request is one thread's work: there are as many workers as requests at once."""
        if hasattr(self.estimator, "n_jobs") and hasattr(self.estimator, "set_params"):
            self.estimator.set_params(n_jobs=1)

    def mixed(self):
        """Whether a step takes columns by their names, so that rows are tables."""
        steps = getattr(self.estimator, "steps", None)
        first = steps[0][1] if steps else self.estimator
        return type(first).__name__ == "ColumnTransformer"

    def offered(self, told):
        np = numpy()
        methods = [it for it in self.METHODS if hasattr(self.estimator, it)]
        if not methods:
            raise Refusal("not_ready", "a %s has none of the methods %s" % (type(self.estimator).__name__,
                                                                            ", ".join(self.METHODS)))
        if "predict" in methods:
            methods = [it for it in methods if it != "transform"]
        if told.probabilities and "predict_proba" in methods:
            methods.sort(key=lambda it: it != "predict_proba")
        offers = []
        sample = np.array(["a"], dtype=object) if self.takes_text else np.zeros((1, self.features))
        for method in methods:
            try:
                array = self.run(method, sample)
                offers.append((method, datatype_of(array), list(array.shape[1:])))
            except Exception:
                # Not every model likes noughts: it is taken at its word that it answers numbers.
                offers.append((method, "FP64", []))
        return offers

    def run(self, method, rows):
        np = numpy()
        if self.columns and not self.table and "pandas" in sys.modules:
            rows = sys.modules["pandas"].DataFrame(rows, columns=self.columns)
        array = getattr(self.estimator, method)(rows)
        if hasattr(array, "toarray"):
            array = array.toarray()
        return np.asarray(array)

    def signature(self):
        fields = []
        if not self.whole:
            datatype, shape = ("BYTES", [-1]) if self.takes_text else ("FP64", [-1, self.features])
            fields.append(("input", spec("input-0", datatype, shape)))
            for method, datatype, rest in self.offers:
                labels = self.labels() if method == "predict_proba" and rest else []
                fields.append(("output", spec(method, datatype, [-1] + rest, labels)))
            fields += [("column", it) for it in self.columns]
            fields.append(("default_outputs", 1))
        return fields

    def labels(self):
        return [] if self.classes is None else [str(it) for it in self.classes]

    def predict(self, tensors, wanted):
        rows = tensors[0].array
        if self.takes_text:
            rows = [decoded(it) for it in rows.reshape(-1)]
        answers = []
        for name in wanted:
            datatype = next(datatype for method, datatype, _ in self.offers if method == name)
            array = self.run(name, rows)
            if datatype != "BYTES" and datatype_of(array) != datatype:
                array = array.astype(NUMPY[datatype])
            answers.append(Named(name, array))
        return answers

    def ask(self, question):
        """Rows of mixed columns: objects, or lists in the order of the columns."""
        pandas = need("pandas")
        if question.json is None:
            frame = self.framed(question.tensors)
        else:
            body = question.parsed()
            rows = body.get("instances", body.get("inputs")) if isinstance(body, dict) else None
            if not isinstance(rows, list) or not rows:
                raise Refusal("invalid_input", "expected a list of rows under `instances`, met none")
            if all(isinstance(row, dict) for row in rows):
                frame = pandas.DataFrame(rows)
                missing = [it for it in self.columns if it not in frame]
                if missing:
                    raise Refusal("invalid_input", "column `%s` is missing; the model takes `%s`" % (
                        missing[0], "`, `".join(self.columns)))
                frame = frame[self.columns]
            elif all(isinstance(row, list) and len(row) == len(self.columns) for row in rows):
                frame = pandas.DataFrame(rows, columns=self.columns)
            else:
                raise Refusal("invalid_input", "expected rows that are objects, or lists of %d values" % len(self.columns))
        methods = question.outputs or ["predict" if hasattr(self.estimator, "predict") else "transform"]
        answers = []
        for method in methods:
            if method not in self.METHODS or not hasattr(self.estimator, method):
                raise Refusal("invalid_input", "Unexpected inference output '%s' for model '%s'" % (method, question.model))
            answers.append(Named(method, self.run(method, frame)))
        if question.want == "v1":
            return [("json", as_json({"predictions": answers[0].array}))], []
        return [], answers

    def framed(self, tensors):
        pandas = need("pandas")
        if len(tensors) == 1 and tensors[0].array.ndim == 2:
            return pandas.DataFrame(tensors[0].array, columns=self.columns)
        by_name = {it.name: it for it in tensors}
        missing = [it for it in self.columns if it not in by_name]
        if missing:
            raise Refusal("invalid_input", "column `%s` is missing; the model takes `%s`" % (missing[0],
                                                                                          "`, `".join(self.columns)))
        flat = {name: by_name[name].array.reshape(-1) for name in self.columns}
        return pandas.DataFrame({name: [decoded(it) for it in column] if column.dtype == object else column
                                 for name, column in flat.items()})


def unpickled(path):
    import pickle
    try:
        joblib = importlib.import_module("joblib")
    except ImportError:
        joblib = None
    try:
        if joblib is not None:
            return joblib.load(path)
        with open(path, "rb") as file:
            return pickle.load(file)
    except ModuleNotFoundError as error:
        install = {"sklearn": "scikit-learn"}.get(error.name.split(".")[0], error.name.split(".")[0])
        version = ".".join(map(str, sys.version_info[:3]))
        raise Refusal("not_ready", "%s needs the package `%s`, which the Python %s (%s) does not have: install it there (`%s "
                      "-m pip install %s`), or name another Python by `--python`" % (
                          os.path.basename(path), error.name, sys.executable, version, sys.executable, install)) from None
    except pickle.UnpicklingError as error:
        if joblib is None:
            raise Refusal("not_ready", "%s is no pickle: %s; a file of joblib needs the package `joblib`" % (
                os.path.basename(path), error)) from None
        raise


def spec(name, datatype, shape, labels=()):
    """A tensor of the signature: lines, since names are a user's."""
    lines = [name, datatype, "any" if shape is None else " ".join(map(str, shape))] + list(labels)
    return "\n".join(it.replace("\n", " ") for it in lines)
