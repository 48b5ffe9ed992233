

# PyTorch, eager: a whole module, or its weights and the class that takes them.

# What has no `eval`: it was traced in one state.
COMPILED = ("python_torch_export", "python_aotinductor")


class Torch:
    """A module: tensors in the order of `forward`, outputs flattened."""

    whole, explains = False, False

    def __init__(self, module, platform, told):
        torch = need("torch")
        torch.set_grad_enabled(False)
        torch.set_num_threads(max(1, told.threads))
        self.module, self.platform, self.told = module, platform, told
        if platform not in COMPILED:
            module.eval()

    def signature(self):
        # What the command line says of inputs and outputs is the predictor's; else `forward` tells the names.
        fields = []
        for name in self.inputs():
            fields.append(("input", spec(name, "FP32", None)))
        return fields

    def inputs(self):
        try:
            parameters = list(inspect.signature(self.module.forward).parameters.values())
        except (AttributeError, TypeError, ValueError):
            return ["input-0"]
        plain = [it.name for it in parameters
                 if it.kind in (it.POSITIONAL_ONLY, it.POSITIONAL_OR_KEYWORD) and it.default is it.empty]
        return plain or ["input-0"]

    def predict(self, tensors, wanted):
        torch = need("torch")
        given = [torch.from_numpy(it.array) if it.datatype != "BYTES" else [decoded(one) for one in it.array.reshape(-1)]
                 for it in tensors]
        with torch.inference_mode():
            found = list(flattened(self.module(*given)))
        if self.told.outputs and len(self.told.outputs) == len(found):
            for it, name in zip(found, self.told.outputs):
                it.name = name
        if not wanted:
            return found
        by_name = {it.name: it for it in found}
        missing = [it for it in wanted if it not in by_name]
        if missing:
            raise Refusal("inference", "the model answered %s, and not `%s`" % (
                ", ".join("`%s`" % it for it in by_name), missing[0]))
        return [by_name[it] for it in wanted]


def flattened(value, name=""):
    """Tensors with names: a place in a tuple or list is its number, a place in a dictionary its key; joined by dots."""
    torch = need("torch")
    if isinstance(value, torch.Tensor):
        value = value.detach().cpu().resolve_conj().resolve_neg()
        name = name or "output-0"
        if value.dtype == torch.bfloat16:
            yield Named(name, value.float().numpy(), "BF16")
        else:
            yield Named(name, value.contiguous().numpy())
        return
    if isinstance(value, dict):
        for key, it in value.items():
            yield from flattened(it, "%s.%s" % (name, key) if name else str(key))
        return
    if isinstance(value, (tuple, list)):
        for at, it in enumerate(value):
            yield from flattened(it, "%s.%d" % (name, at) if name else "output-%d" % at)
        return
    if isinstance(value, (bool, int, float, str)):
        np = numpy()
        yield Named(name or "output-0", np.asarray(value, dtype=object if isinstance(value, str) else None))
        return
    if value is not None:
        raise Refusal("inference", "the model answered a %s; expected tensors, or tuples, lists and dictionaries of them" % (
            type(value).__name__))


def state_of(path):
    """The weights of a file."""
    if path.endswith(".safetensors"):
        return need("safetensors.torch", "safetensors").load_file(path)
    torch = need("torch")
    try:
        loaded = torch.load(path, map_location="cpu", weights_only=True)
    except Exception:
        # More than weights: the user has said that code of the model's may run.
        loaded = torch.load(path, map_location="cpu", weights_only=False)
    if isinstance(loaded, dict) and isinstance(loaded.get("state_dict"), dict):
        return loaded["state_dict"]
    return loaded


def with_class(cls, path, told):
    torch = need("torch")
    module = made(cls, told) if inspect.signature(cls).parameters else cls()
    state = state_of(path)
    if isinstance(state, torch.nn.Module):
        return Torch(state, "python_pytorch_module", told)
    if not isinstance(state, dict):
        raise Refusal("not_ready", "%s holds a %s; expected the weights of a `%s`" % (
            os.path.basename(path), type(state).__name__, cls.__name__))
    module.load_state_dict(state)
    return Torch(module, "python_pytorch_state_dict", told)


def exported(path):
    """What kind of an exported program a file is, by its list of files; None where it is none."""
    import zipfile
    if not zipfile.is_zipfile(path):
        return None
    with zipfile.ZipFile(path) as archive:
        names = [it.partition("/")[2] for it in archive.namelist()]
    if any(it.startswith("data/aotinductor/") for it in names):
        return "python_aotinductor"
    return "python_torch_export" if "models/model.json" in names else None


def without_class(path, told):
    torch = need("torch")
    kind = exported(path)
    if kind == "python_torch_export":
        return Torch(torch.export.load(path).module(), kind, told)
    if kind == "python_aotinductor":
        return Torch(need("torch._inductor", "torch").aoti_load_package(path), kind, told)
    try:
        return Torch(torch.jit.load(path, map_location="cpu"), "python_torchscript", told)
    except RuntimeError:
        loaded = torch.load(path, map_location="cpu", weights_only=False)
    if isinstance(loaded, torch.nn.Module):
        return Torch(loaded, "python_pytorch_module", told)
    raise Refusal("not_ready", "%s holds a %s: weights alone, and not the model they belong to; put the .py with the class beside "
                  "it and name the class by `modelClassName` (`--model_class_name`)" % (os.path.basename(path),
                                                                                   type(loaded).__name__))
