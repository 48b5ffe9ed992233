

# A user's own model: a subclass of `kserve.Model`. Where the package `kserve` is not installed, a module of the same name gives
# what most models use of it.

def stand_in():
    """Makes the modules that `from kserve import ...` finds."""
    import argparse
    import types

    class Model:
        def __init__(self, name, *_, **__):
            self.name, self.ready, self.predictor_host, self.explainer_host = name, False, None, None
            self.timeout, self.protocol = 600, "v1"

        def load(self):
            self.ready = True
            return self.ready

        def start(self):
            pass

        def stop(self):
            pass

        def preprocess(self, payload, headers=None):
            return payload

        def postprocess(self, result, headers=None):
            return result

        def predict(self, payload, headers=None):
            raise NotImplementedError("the model does not say how it predicts")

        def explain(self, payload, headers=None):
            raise NotImplementedError("the model does not say how it explains")

    class Tensor:
        """`kserve.InferInput` and `kserve.InferOutput`, with their data as an array of numpy's."""

        def __init__(self, name, shape, datatype, data=None, parameters=None):
            self.name, self.shape, self.datatype = name, list(shape), datatype
            self.parameters, self._array, self._data = parameters or {}, None, data

        @property
        def data(self):
            if self._data is None and self._array is not None:
                texts = self.datatype == "BYTES"
                flat = self._array.reshape(-1).tolist()
                self._data = [it.decode() if texts and isinstance(it, bytes) else it for it in flat]
            return self._data

        @data.setter
        def data(self, data):
            self._data, self._array = data, None

        def as_numpy(self):
            if self._array is None:
                np = numpy()
                dtype = object if self.datatype == "BYTES" else NUMPY[self.datatype]
                self._array = np.array(self._data, dtype=dtype).reshape(self.shape)
            return self._array

        def as_string(self):
            return [it.decode() if isinstance(it, bytes) else str(it) for it in self.as_numpy().reshape(-1)]

        def set_data_from_numpy(self, array, binary_data=True):
            self._array, self._data = array, None
            self.shape, self.datatype = list(array.shape), datatype_of(array)

    class InferInput(Tensor):
        pass

    class InferOutput(Tensor):
        pass

    class InferRequest:
        def __init__(self, model_name, infer_inputs, request_id=None, raw_inputs=None, from_grpc=False, parameters=None,
                     request_outputs=None, model_version=None):
            self.id, self.model_name, self.inputs = request_id, model_name, infer_inputs
            self.from_grpc, self.parameters = from_grpc, parameters or {}
            self.request_outputs, self.model_version = request_outputs or [], model_version

        def get_input_by_name(self, name):
            return next((it for it in self.inputs if it.name == name), None)

        def as_dataframe(self):
            pandas = need("pandas")
            columns = {it.name: it.as_string() if it.datatype == "BYTES" else it.as_numpy().reshape(-1)
                       for it in self.inputs}
            return pandas.DataFrame(columns)

    class InferResponse:
        def __init__(self, response_id, model_name, infer_outputs, model_version=None, raw_outputs=None, from_grpc=False,
                     parameters=None, **_):
            self.id, self.model_name, self.outputs = response_id, model_name, infer_outputs
            self.model_version, self.from_grpc, self.parameters = model_version, from_grpc, parameters or {}

        def get_output_by_name(self, name):
            return next((it for it in self.outputs if it.name == name), None)

    class ModelServer:
        """A script that starts a server of its own starts none here."""

        def __init__(self, *_, **__):
            pass

        def start(self, models=None, *_, **__):
            pass

    def error(name, code):
        return type(name, (Exception,), {"weir_code": code, "__str__": lambda it: " ".join(map(str, it.args))})

    module = types.ModuleType
    kserve, errors, infer_type, server = (module("kserve"), module("kserve.errors"),
                                          module("kserve.protocol.infer_type"), module("kserve.model_server"))
    for name, code in (("InvalidInput", "invalid_input"), ("InferenceError", "inference"), ("ModelNotFound", "not_found"),
                       ("ModelNotReady", "not_ready"), ("UnsupportedProtocol", "unsupported")):
        setattr(errors, name, error(name, code))
    server.parser = argparse.ArgumentParser(add_help=False)
    server.ModelServer = ModelServer
    types_of_requests = (InferInput, InferOutput, InferRequest, InferResponse)
    for it in types_of_requests:
        setattr(infer_type, it.__name__, it)
    for it in (Model, ModelServer) + types_of_requests:
        setattr(kserve, it.__name__, it)
    model, utils, protocol = module("kserve.model"), module("kserve.utils"), module("kserve.protocol")
    inner = module("kserve.utils.utils")
    inner.generate_uuid = lambda: __import__("uuid").uuid4().hex
    model.Model, utils.utils = Model, inner
    protocol.infer_type = infer_type
    kserve.errors, kserve.model_server, kserve.model, kserve.utils = errors, server, model, utils
    kserve.protocol, kserve.__version__, kserve.weir_stand_in = protocol, "0", True
    kserve.__path__ = protocol.__path__ = utils.__path__ = []
    for it in (kserve, errors, infer_type, server, model, utils, protocol, inner):
        sys.modules[it.__name__] = it
    # KFServing's name for the same, until 0.6.
    kfserving = module("kfserving")
    kfserving.KFModel, kfserving.KFServer, kfserving.kfserver = Model, ModelServer, server
    kfserving.weir_stand_in = True
    sys.modules.setdefault("kfserving", kfserving)
    return kserve


def kserve_module():
    if "kserve" not in sys.modules:
        try:
            return importlib.import_module("kserve")
        except ImportError as error:
            if error.name != "kserve":
                raise
            return stand_in()
    return sys.modules["kserve"]


class OwnModel:
    """A model that takes requests whole: what its class says, in the order of KServe's own server."""

    platform, whole = "python_kserve", True

    def __init__(self, cls, told):
        self.model = made(cls, told)
        if not getattr(self.model, "ready", False) and hasattr(self.model, "load"):
            settle(self.model.load())
        if not getattr(self.model, "ready", True):
            raise Refusal("not_ready", "`%s.load` returned and left `ready` false" % cls.__name__)
        base = kserve_module().Model
        self.explains = getattr(cls, "explain", None) not in (None, getattr(base, "explain", None))

    def ask(self, question):
        payload = question.payload_for_own_model()
        verb = "explain" if question.verb == "explain" else "predict"
        payload = self.step("preprocess", payload, question.headers)
        result = self.step(verb, payload, question.headers)
        return question.answered(self.step("postprocess", result, question.headers))

    def step(self, name, value, headers):
        method = getattr(self.model, name, None)
        if method is None:
            return value
        given = {}
        parameters = inspect.signature(method).parameters
        if "response_headers" in parameters:
            given["response_headers"] = {}
        everything = any(it.kind == it.VAR_KEYWORD for it in parameters.values())
        if "headers" in parameters or everything:
            given["headers"] = headers
        return settle(method(value, **given))


def made(cls, told):
    """An object of a user's class: its arguments are known by their names."""
    known = {"name": told.name, "model_name": told.name, "model_dir": told.folder, "model_path": told.path,
             "storage_uri": told.folder, "path": told.path}
    args, kwargs = [], {}
    for it in list(inspect.signature(cls).parameters.values()):
        if it.kind in (it.VAR_POSITIONAL, it.VAR_KEYWORD):
            continue
        if it.name in known:
            kwargs[it.name] = known[it.name]
        elif it.default is it.empty and not args and not kwargs:
            # Whatever it is called, the first is the name.
            args.append(told.name)
        elif it.default is it.empty:
            raise Refusal("not_ready", "`%s` wants an argument `%s`; known are %s" % (cls.__name__, it.name,
                                                                                    ", ".join(sorted(known))))
    return cls(*args, **kwargs)


LOOP = None


def settle(value):
    """What a method returned, once that is there."""
    global LOOP
    if not inspect.isawaitable(value):
        return value
    import asyncio
    if LOOP is None:
        LOOP = asyncio.new_event_loop()
        asyncio.set_event_loop(LOOP)

    async def wait():
        return await value
    return LOOP.run_until_complete(wait())


class Question:
    """A request that the model gets whole."""

    def __init__(self, fields, tensors):
        told = dict(fields)
        self.verb, self.model = told["verb"].decode(), told["model"].decode()
        self.json, self.id, self.want = told.get("json"), told.get("id", b"").decode(), told["want"].decode()
        self.tensors = tensors
        self.outputs = [value.decode() for name, value in fields if name == "output"]
        self.parameters = {name[10:]: json.loads(value) for name, value in fields if name.startswith("parameter:")}
        self.headers = {}
        for name, value in fields:
            if name.startswith("header:"):
                name, value = name[7:], value.decode("latin-1")
                self.headers[name] = self.headers[name] + "," + value if name in self.headers else value

    def payload_for_own_model(self):
        if self.json is not None:
            return self.parsed()
        if self.want == "v1":
            # The client wrote V1, and what stood before made tensors of it.
            return {"instances": self.rows()}
        kserve = kserve_module()
        inputs = []
        for it in self.tensors:
            made = kserve.InferInput(it.name, list(it.array.shape), it.datatype)
            array = it.array
            if it.datatype == "BYTES":
                np = numpy()
                flat = [decoded(element) for element in array.reshape(-1)]
                array = np.array(flat, dtype=object).reshape(array.shape)
            made.set_data_from_numpy(array, binary_data=it.datatype != "BYTES")
            inputs.append(made)
        wanted = {"model_name": self.model, "infer_inputs": inputs, "request_id": self.id or None,
                  "parameters": self.parameters}
        return kserve.InferRequest(**wanted)

    def parsed(self):
        try:
            return json.loads(self.json)
        except ValueError as error:
            raise Refusal("invalid_input", "the body is no JSON: %s" % error) from None

    def rows(self):
        """Rows of the tensors: of one tensor its elements, of several an object each."""
        np = numpy()
        lists = [np.vectorize(decoded, otypes=[object])(it.array).tolist() if it.datatype == "BYTES" and it.array.size
                 else it.array.tolist() for it in self.tensors]
        if len(lists) == 1:
            return lists[0]
        names = [it.name for it in self.tensors]
        return [dict(zip(names, row)) for row in zip(*lists)]

    def answered(self, result):
        """What a model returned, as JSON where that is wanted, else as tensors."""
        if isinstance(result, tuple) and len(result) == 2 and isinstance(result[1], dict) and hasattr(result[0], "outputs"):
            result = result[0]
        if hasattr(result, "__aiter__") or inspect.isgenerator(result):
            raise Refusal("unsupported", "the model answers piece by piece, and an answer here is one body; return it whole")
        if self.want == "v1" or self.verb == "explain":
            if hasattr(result, "outputs"):
                tensors = tensors_of(result)
                result = {"predictions": tensors[0].tolist()} if len(tensors) == 1 else {
                    "predictions": [dict(zip([it.name for it in tensors], row))
                                    for row in zip(*(it.array.tolist() for it in tensors))]}
            return [("json", as_json(result))], []
        tensors = tensors_of(result)
        if self.outputs:
            by_name = {it.name: it for it in tensors}
            missing = [it for it in self.outputs if it not in by_name]
            if missing:
                raise Refusal("invalid_input", "Unexpected inference output '%s' for model '%s'; it has %s" % (
                    missing[0], self.model, ", ".join("`%s`" % it for it in by_name)))
            tensors = [by_name[it] for it in self.outputs]
        return [], tensors


def decoded(element):
    """A text where the bytes are one."""
    try:
        return element.decode()
    except (AttributeError, UnicodeDecodeError):
        return element


def tensors_of(result):
    np = numpy()
    if hasattr(result, "outputs"):
        return [named(it.name, it.as_numpy(), it.datatype) for it in result.outputs]
    if isinstance(result, dict) and isinstance(result.get("outputs"), list):
        return [named(it["name"], np.array(it["data"], dtype=object if it["datatype"] == "BYTES" else
                                           NUMPY[it["datatype"]]).reshape(it["shape"]), it["datatype"])
                for it in result["outputs"]]
    if isinstance(result, dict) and "predictions" in result:
        result = result["predictions"]
    if isinstance(result, dict):
        return [named(name, np.asarray(value)) for name, value in result.items()]
    return [named("output-0", np.asarray(result))]


def named(name, array, datatype=None):
    np = numpy()
    array = np.asarray(array)
    told = datatype if datatype in NUMPY else None
    return Named(name, array.astype(NUMPY[told], copy=False) if told else array, told)


def as_json(result):
    if isinstance(result, (bytes, bytearray)):
        return bytes(result)
    if isinstance(result, str):
        return result.encode()
    try:
        return json.dumps(result, default=plain, allow_nan=False, separators=(",", ":"), ensure_ascii=False).encode()
    except ValueError:
        # As KServe writes them: numbers that are not finite are null.
        return json.dumps(finite(result), default=plain, separators=(",", ":"), ensure_ascii=False).encode()


def plain(value):
    if hasattr(value, "tolist"):
        return finite(value.tolist())
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if hasattr(value, "to_dict"):
        return value.to_dict()
    raise TypeError("the model answered a %s, which JSON has no place for" % type(value).__name__)


def finite(value):
    if isinstance(value, float):
        return value if value == value and abs(value) != float("inf") else None
    if isinstance(value, dict):
        return {key: finite(it) for key, it in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite(it) for it in value]
    return value
