

# What the model is, and the conversation with the predictor.

class Told:
    """What the predictor says of the model."""

    def __init__(self, fields):
        told = {name: value.decode() for name, value in fields}
        self.name, self.path, self.folder = told["name"], told["path"], told["folder"]
        self.class_name, self.format = told.get("class", ""), told.get("format", "")
        self.probabilities, self.threads = told.get("predict_proba") == "true", int(told.get("threads", "1"))
        self.outputs = [value.decode() for name, value in fields if name == "output"]


PICKLES, WEIGHTS = (".joblib", ".pkl", ".pickle"), (".pt", ".pth", ".pt2", ".bin", ".safetensors")


def loaded(told):
    sys.path.insert(0, told.folder)
    kserve_module_if_named(told)
    files = [told.path] if os.path.isfile(told.path) else sorted(
        os.path.join(told.path, it) for it in os.listdir(told.path) if not it.startswith("."))
    ending = lambda *endings: [it for it in files if it.endswith(endings)]
    sources, archives, pickles, weights = ending(".py"), ending(".mar"), ending(*PICKLES), ending(*WEIGHTS)
    if os.path.isfile(told.path):
        sources = sources or [os.path.join(told.folder, it) for it in sorted(os.listdir(told.folder)) if it.endswith(".py")]
    cls = found_class(sources, told, weights)
    if cls is not None:
        if is_module(cls):
            return with_class(cls, only(weights, WEIGHTS, told), told)
        return OwnModel(cls, told)
    if archives:
        return Archive(only(archives, (".mar",), told), told)
    if weights and (not pickles or told.format == "pytorch"):
        return without_class(only(weights, WEIGHTS, told), told)
    return Estimator(only(pickles, PICKLES, told), told)


def only(files, endings, told):
    if len(files) == 1:
        return files[0]
    raise Refusal("not_ready", "%s holds %d files that end in %s; exactly one is needed, or a .py with a subclass of "
                  "`kserve.Model`" % (told.path, len(files), ", ".join(endings)))


def kserve_module_if_named(told):
    """Makes `import kserve` work, whoever says it."""
    if "kserve" not in sys.modules:
        kserve_module()


def found_class(sources, told, weights):
    """The class that is named, or the one subclass of `kserve.Model` that is there."""
    if told.class_name:
        for path in sources:
            cls = getattr(imported(path), told.class_name, None)
            if inspect.isclass(cls):
                return cls
        raise Refusal("not_ready", "no class `%s` in %s; expected it in a .py beside the model" % (
            told.class_name, ", ".join(os.path.basename(it) for it in sources) or "any .py, since there is none"))
    found = []
    for path in sources:
        with open(path, encoding="utf-8", errors="replace") as file:
            text = file.read()
        if "kserve" not in text and "kfserving" not in text:
            continue
        module = imported(path)
        bases = tuple(getattr(sys.modules[name], it) for name, it in (("kserve", "Model"), ("kfserving", "KFModel"))
                      if hasattr(sys.modules.get(name), it))
        found += [it for it in vars(module).values() if inspect.isclass(it) and issubclass(it, bases)
                  and it.__module__ == module.__name__]
    # Of a class and those it derives from, the last is meant.
    last = [it for it in found if not any(it is not other and issubclass(other, it) for other in found)]
    if len(last) > 1:
        raise Refusal("not_ready", "the folder has %d subclasses of `kserve.Model`: %s; name one by `--model_class_name`" % (
            len(last), ", ".join(it.__name__ for it in last)))
    return last[0] if last else None


def imported(path):
    return importlib.import_module(os.path.basename(path)[:-3])


def is_module(cls):
    return "torch" in sys.modules and issubclass(cls, sys.modules["torch"].nn.Module)


def refused(error):
    """The code and text of whatever a model raised."""
    if isinstance(error, Refusal):
        return error.code, error.message
    name = type(error).__name__
    status = getattr(error, "status_code", None)
    code = getattr(error, "weir_code", None) or {
        "InvalidInput": "invalid_input", "ModelNotFound": "not_found", "ModelNotReady": "not_ready",
        "UnsupportedProtocol": "unsupported", "NotImplementedError": "unsupported"}.get(name)
    if code is None and status is not None:
        # An exception of a web framework's, which tells a status.
        code = {400: "invalid_input", 404: "not_found", 413: "too_large", 422: "invalid_input", 429: "overloaded",
                501: "unsupported", 503: "not_ready", 504: "deadline"}.get(int(status), "inference")
        return code, str(getattr(error, "detail", error))
    text = str(error)
    if code is not None:
        return code, text or name
    traceback.print_exception(type(error), error, error.__traceback__)
    return "inference", "%s: %s" % (name, text) if text else name


def answer(model, kind, fields, tensors):
    if kind == PREDICT:
        wanted = [value.decode() for name, value in fields if name == "output"]
        return [], model.predict(tensors, wanted)
    if kind == ASK:
        return model.ask(Question(fields, tensors))
    raise Refusal("unsupported", "a message of kind %d" % kind)


def main():
    # Whoever reads standard input meets its end, and nobody else holds the socket.
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    os.register_at_fork(after_in_child=CONNECTION.close)
    sys.dont_write_bytecode = True
    sys.argv = ["weir-worker"]
    threading.Thread(target=end_with_the_predictor, daemon=True).start()
    model = None
    while True:
        kind, fields, datas = read_message()
        try:
            if kind == LOAD:
                model = loaded(Told(fields))
                said = [("platform", model.platform), ("whole", str(model.whole).lower()),
                        ("explains", str(model.explains).lower())]
                said += model.signature() if hasattr(model, "signature") else []
                made = said, []
            else:
                made = answer(model, kind, fields, [tensor_of(*it) for it in datas])
            write_message(DONE, *made)
        except (Exception, SystemExit) as error:
            # A model that ends its process by `sys.exit` fails at this request; `os._exit` is not to be stopped.
            code, message = refused(error)
            write_message(FAILED, [("code", code), ("message", message)])


main()
