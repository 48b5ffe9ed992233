

# Archives of TorchServe with handlers of their own.

class Archive:
    """A `.mar`: its handler gets the rows of a request, and answers as many."""

    platform, whole, explains = "python_mar", True, False

    def __init__(self, path, told):
        self.folder = unpacked(path)
        with open(os.path.join(self.folder, "MAR-INF", "MANIFEST.json")) as file:
            self.manifest = json.load(file)
        model = self.manifest.get("model", {})
        handler = model.get("handler", "")
        self.context = Context(self.manifest, self.folder, told)
        sys.path.insert(0, self.folder)
        torch_serve_module()
        file, _, function = handler.partition(":")
        if not os.path.exists(os.path.join(self.folder, file)) or not file.endswith(".py"):
            self.handle = standard(handler, model, self.context)
            return
        module = importlib.import_module(file[:-3].replace("/", "."))
        if function or hasattr(module, "handle"):
            self.handle = getattr(module, function or "handle")
            # The first call without data lets such a handler load its model.
            self.handle(None, self.context)
            return
        classes = [it for it in vars(module).values() if inspect.isclass(it) and it.__module__ == module.__name__
                   and hasattr(it, "handle") and hasattr(it, "initialize")]
        if len(classes) != 1:
            raise Refusal("not_ready", "the handler `%s` has neither a function `handle` nor one class with `initialize` and "
                          "`handle`, but %d" % (file, len(classes)))
        one = classes[0]()
        one.initialize(self.context)
        self.handle = one.handle

    def signature(self):
        return []

    def ask(self, question):
        if question.json is not None:
            body = question.parsed()
            rows = body.get("instances", body.get("inputs")) if isinstance(body, dict) else None
            if not isinstance(rows, list):
                raise Refusal("invalid_input", "expected a list of rows under `instances`, met none")
        else:
            rows = [{"data": row} for row in question.rows()]
        self.context.headers = question.headers
        result = self.handle(rows, self.context)
        if not isinstance(result, list) or len(result) != len(rows):
            raise Refusal("inference", "the handler answered %s to %d rows; expected a list of as many" % (
                "%d" % len(result) if isinstance(result, list) else "a %s" % type(result).__name__, len(rows)))
        return question.answered({"predictions": result})


class Context:
    """What TorchServe tells a handler."""

    def __init__(self, manifest, folder, told):
        self.manifest, self.headers, self.model_yaml_config = manifest, {}, {}
        self.model_name = told.name
        self.system_properties = {"model_dir": folder, "gpu_id": None, "batch_size": 1, "server_name": "weir",
                                  "server_version": "0", "limit_max_image_pixels": True}
        self.metrics = Silence()

    def get_request_header(self, _, name):
        return self.headers.get(name.lower())

    def get_all_request_header(self, _):
        return self.headers

    def set_response_content_type(self, *_):
        pass

    def set_response_header(self, *_):
        pass

    def set_response_status(self, *_, **__):
        pass


class Silence:
    """Metrics of handlers are not counted."""

    def __getattr__(self, _):
        return lambda *_, **__: self


def torch_serve_module():
    """The class that most handlers derive from, where TorchServe is not installed."""
    import types
    try:
        importlib.import_module("ts.torch_handler.base_handler")
        return
    except ImportError:
        pass

    class BaseHandler:
        def __init__(self):
            self.model, self.device, self.initialized, self.context, self.manifest = None, None, False, None, None
            self.map_location, self.mapping = "cpu", None

        def initialize(self, context):
            torch = need("torch")
            self.context, self.manifest = context, context.manifest
            self.device = torch.device("cpu")
            folder, model = context.system_properties["model_dir"], context.manifest["model"]
            weights = os.path.join(folder, model["serializedFile"]) if model.get("serializedFile") else None
            if model.get("modelFile"):
                module = importlib.import_module(model["modelFile"].rsplit(".", 1)[0])
                classes = [it for it in vars(module).values() if inspect.isclass(it) and issubclass(it, torch.nn.Module)
                           and it.__module__ == module.__name__]
                if len(classes) != 1:
                    raise Refusal("not_ready", "%s holds %d modules, expected one" % (model["modelFile"], len(classes)))
                self.model = classes[0]()
                if weights:
                    self.model.load_state_dict(state_of(weights))
            else:
                self.model = torch.jit.load(weights, map_location="cpu")
            self.model.eval()
            names = os.path.join(folder, "index_to_name.json")
            if os.path.exists(names):
                with open(names) as file:
                    self.mapping = json.load(file)
            self.initialized = True

        def preprocess(self, data):
            return need("torch").as_tensor([row.get("data") or row.get("body") if isinstance(row, dict) else row
                                            for row in data], device=self.device)

        def inference(self, data, *args, **kwargs):
            torch = need("torch")
            with torch.inference_mode():
                return self.model(data.to(self.device), *args, **kwargs)

        def postprocess(self, data):
            return data.tolist()

        def handle(self, data, context):
            self.context = context
            return self.postprocess(self.inference(self.preprocess(data)))

    names = ("ts", "ts.torch_handler", "ts.torch_handler.base_handler")
    for name in names:
        sys.modules.setdefault(name, types.ModuleType(name))
        sys.modules[name].__path__ = []
    sys.modules[names[2]].BaseHandler = BaseHandler


def standard(handler, model, context):
    """TorchServe's own handlers, by its package."""
    try:
        module = importlib.import_module("ts.torch_handler." + handler)
        cls = next(it for it in vars(module).values() if inspect.isclass(it) and it.__module__ == module.__name__
                   and hasattr(it, "handle"))
    except (ImportError, StopIteration):
        if handler != "base_handler":
            raise Refusal("not_ready", "the handler `%s` is TorchServe's own, and the package `torchserve` is not installed in %s"
                          % (handler, sys.executable)) from None
        cls = sys.modules["ts.torch_handler.base_handler"].BaseHandler
    one = cls()
    one.initialize(context)
    return one.handle


def unpacked(path):
    """The files of an archive, in a folder that goes with this process. Names that lead out of it are refused."""
    import tempfile
    import zipfile
    folder = tempfile.mkdtemp(prefix="weir-mar-")
    FOLDERS.append(folder)
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
        if len(members) > 10000 or sum(it.file_size for it in members) > 32 << 30:
            raise Refusal("not_ready", "%s holds %d files, more than an archive may" % (os.path.basename(path), len(members)))
        for it in members:
            parts = it.filename.replace("\\", "/").split("/")
            if it.filename.startswith(("/", "\\")) or ".." in parts or ":" in parts[0] or (it.external_attr >> 28) == 0xA:
                raise Refusal("not_ready", "%s holds a file `%s`, which leads out of it" % (os.path.basename(path), it.filename))
        archive.extractall(folder)
    return folder
