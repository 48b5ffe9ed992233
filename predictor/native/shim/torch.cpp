// libtorch behind functions of C, for a predictor that opens this library where it finds it. libtorch has no C interface to
// TorchScript, and the names of its C++ one change with every release: so this is built against the libtorch it will meet
// (build.sh). No exception leaves a function here; an error is a text in the caller's buffer.

#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include <ATen/ATen.h>
#include <ATen/Context.h>
#include <ATen/Parallel.h>
#include <c10/core/InferenceMode.h>
#include <c10/core/StreamGuard.h>
#include <c10/core/impl/VirtualGuardImpl.h>
#include <torch/csrc/jit/api/module.h>
#include <torch/csrc/jit/ir/alias_analysis.h>
#include <torch/csrc/jit/passes/inliner.h>
#include <torch/csrc/jit/serialization/import.h>
#include <torch/version.h>

#include "shim.h"

namespace {

using torch::jit::Module;

// The types of the Open Inference Protocol, by the predictor's numbers.
constexpr at::ScalarType TYPES[] = {at::kBool, at::kByte,  at::kUInt16, at::kUInt32,   at::kUInt64, at::kChar, at::kShort,
                                    at::kInt,  at::kLong, at::kHalf,   at::kBFloat16, at::kFloat,  at::kDouble};
static_assert(sizeof TYPES / sizeof *TYPES == BYTES);

struct Model {
    Module module;
    // Types of forward's arguments after itself.
    std::vector<c10::Argument> arguments;
    // Its code writes into its inputs: it gets copies, for they are the request's own bytes.
    bool writes_inputs = false;
    int threads = 1;
    at::Device device = at::kCPU;
    std::string schema;
};

struct Output {
    std::string name;
    int32_t type;
    at::Tensor tensor;
    std::string text;
    std::vector<int64_t> shape;
};

struct Result {
    std::vector<Output> outputs;
    std::vector<WeirTensor> views;
};

// Without the frames of libtorch's own stack.
std::string text_of(const std::exception& it) {
    const auto* own = dynamic_cast<const c10::Error*>(&it);
    return own != nullptr ? own->what_without_backtrace() : it.what();
}

std::vector<std::string> texts_of(const WeirTensor& given) {
    std::vector<std::string> texts;
    const auto* at = static_cast<const char*>(given.data);
    const auto* end = at + given.length;
    while (end - at >= 4) {
        uint32_t length;
        std::memcpy(&length, at, sizeof length);
        at += 4;
        if (length > static_cast<size_t>(end - at)) refuse("an element of BYTES runs past its tensor");
        texts.emplace_back(at, length);
        at += length;
    }
    return texts;
}

at::Tensor tensor_of(const WeirTensor& given, bool copy) {
    if (given.type < 0 || given.type >= BYTES) refuse("input `" + std::string(given.name) + "` has a type no tensor of PyTorch has");
    const at::IntArrayRef shape(given.shape, given.rank);
    const auto options = at::TensorOptions().dtype(TYPES[given.type]);
    if (given.length == 0) return at::empty(shape, options);
    auto tensor = at::from_blob(const_cast<void*>(given.data), shape, options);
    return copy ? tensor.clone() : tensor;
}

// A tensor on the device, or what else forward takes in its place: numbers and texts.
c10::IValue value_of(const WeirTensor& given, const c10::Argument& wanted, const Model& model) {
    if (given.type == BYTES) {
        auto texts = texts_of(given);
        if (wanted.type()->kind() == c10::TypeKind::StringType) {
            if (texts.size() != 1) refuse("input `" + wanted.name() + "` is one text");
            return texts[0];
        }
        c10::List<std::string> list;
        for (auto& it : texts) list.push_back(std::move(it));
        return list;
    }
    auto tensor = tensor_of(given, model.writes_inputs && model.device.is_cpu());
    const auto kind = wanted.type()->kind();
    if (kind == c10::TypeKind::IntType || kind == c10::TypeKind::FloatType || kind == c10::TypeKind::BoolType) {
        if (tensor.numel() != 1) refuse("input `" + wanted.name() + "` is one number");
        if (kind == c10::TypeKind::IntType) return tensor.item<int64_t>();
        if (kind == c10::TypeKind::FloatType) return tensor.item<double>();
        return tensor.item<bool>();
    }
    return model.device.is_cpu() ? tensor : tensor.to(model.device);
}

// A stream of the thread's own on a GPU, so that predictions run side by side there too. Answers are waited for when they are
// copied to the processor.
class OwnStream {
public:
    explicit OwnStream(at::Device device) {
        if (device.is_cpu()) return;
        thread_local std::unordered_map<int, c10::Stream> streams;
        auto found = streams.find(device.index());
        if (found == streams.end()) {
            const c10::impl::VirtualGuardImpl devices(device.type());
            found = streams.emplace(device.index(), devices.getStreamFromGlobalPool(device)).first;
        }
        guard_.emplace(found->second);
    }

private:
    std::optional<c10::StreamGuard> guard_;
};

void add_tensor(Result& result, std::string name, at::Tensor tensor) {
    tensor = tensor.detach().to(at::kCPU).resolve_conj().resolve_neg().contiguous();
    if (tensor.is_quantized()) tensor = tensor.dequantize();
    for (int32_t type = 0; type < BYTES; ++type) {
        if (TYPES[type] == tensor.scalar_type()) {
            auto shape = tensor.sizes().vec();
            result.outputs.push_back({std::move(name), type, std::move(tensor), {}, std::move(shape)});
            return;
        }
    }
    refuse("output `" + name + "` is of " + c10::toString(tensor.scalar_type()) + ", which no datatype of the protocol is");
}

// Tensors with names: a place in a tuple or list is its number, a place in a dictionary its key; joined by dots.
void flatten(Result& result, const std::string& name, const c10::IValue& value) {
    const auto at = [&](size_t place) { return name.empty() ? "output-" + std::to_string(place) : name + "." + std::to_string(place); };
    const auto own = [&] { return name.empty() ? std::string("output-0") : name; };
    if (value.isTensor()) {
        add_tensor(result, own(), value.toTensor());
    } else if (value.isTuple()) {
        const auto& elements = value.toTupleRef().elements();
        for (size_t place = 0; place < elements.size(); ++place) flatten(result, at(place), elements[place]);
    } else if (value.isList()) {
        size_t place = 0;
        for (const c10::IValue& it : value.toListRef()) flatten(result, at(place++), it);
    } else if (value.isGenericDict()) {
        for (const auto& it : value.toGenericDict()) {
            const std::string key = it.key().isString() ? it.key().toStringRef() : std::to_string(it.key().toInt());
            flatten(result, name.empty() ? key : name + "." + key, it.value());
        }
    } else if (value.isScalar()) {
        add_tensor(result, own(), at::scalar_tensor(value.toScalar(), value.isDouble() ? at::kDouble : value.isBool() ? at::kBool : at::kLong));
    } else if (value.isString()) {
        const std::string& text = value.toStringRef();
        const auto length = static_cast<uint32_t>(text.size());
        std::string raw(reinterpret_cast<const char*>(&length), sizeof length);
        result.outputs.push_back({own(), BYTES, {}, raw + text, {}});
    } else if (!value.isNone()) {
        refuse("the model answered a " + value.tagKind() + "; expected tensors, or tuples, lists and dictionaries of them");
    }
}

// The names of outputs, where the type of the answer tells them.
bool names_of(const c10::Type& type, const std::string& name, std::vector<std::string>& names) {
    if (type.kind() == c10::TypeKind::TensorType) {
        names.push_back(name.empty() ? "output-0" : name);
        return true;
    }
    if (type.kind() != c10::TypeKind::TupleType) return false;
    size_t place = 0;
    for (const auto& it : type.containedTypes()) {
        const auto own = name.empty() ? "output-" + std::to_string(place) : name + "." + std::to_string(place);
        if (!names_of(*it, own, names)) return false;
        ++place;
    }
    return place > 0;
}

// A memory that the answer shares with the request is copied: the request's is gone before the answer's.
void part(Result& result, const WeirTensor* inputs, uint64_t count) {
    for (auto& it : result.outputs) {
        if (!it.tensor.defined() || it.tensor.numel() == 0) continue;
        const auto* data = static_cast<const char*>(it.tensor.const_data_ptr());
        for (uint64_t at = 0; at < count; ++at) {
            const auto* start = static_cast<const char*>(inputs[at].data);
            if (data >= start && data < start + inputs[at].length) {
                it.tensor = it.tensor.clone();
                break;
            }
        }
    }
}

void describe(Model& model) {
    const auto forward = model.module.get_method("forward");
    const auto& schema = forward.function().getSchema();
    for (size_t at = 1; at < schema.arguments().size(); ++at) {
        const auto& it = schema.arguments()[at];
        model.arguments.push_back(it);
        model.schema += "in\t" + one_line(it.name()) + "\t" + one_line(it.type()->annotation_str()) + "\t" +
                        (it.default_value().has_value() ? "1" : "0") + "\n";
    }
    std::vector<std::string> names;
    if (schema.returns().size() == 1 && names_of(*schema.returns()[0].type(), "", names)) {
        for (const auto& it : names) model.schema += "out\t" + it + "\n";
    }
    auto graph = forward.graph()->copy();
    torch::jit::Inline(*graph);
    const torch::jit::AliasDb aliases(graph);
    for (size_t at = 1; at < graph->inputs().size(); ++at) model.writes_inputs |= aliases.hasWriters(graph->inputs()[at]);
}

}  // namespace

// Which form of these functions this is.
EXPORT uint32_t weir_torch_abi() {
    return 2;
}

// The version of PyTorch that this was built against.
EXPORT const char* weir_torch_version() {
    return TORCH_VERSION;
}

// How many operations of one prediction may run side by side; only the first call counts.
EXPORT void weir_torch_inter_op(int32_t threads) {
    char none[1];
    guarded(none, sizeof none, [&] { at::set_num_interop_threads(threads); });
}

// Whether a device, such as `cuda:0`, is there and takes a number: a module without weights would be loaded onto any.
EXPORT bool weir_torch_reach(const char* device, char* error, uint64_t room) {
    return guarded(error, room, [&] {
        const at::Device wanted(device);
        if (wanted.is_cuda() && !at::globalContext().hasCUDA()) {
            refuse("CUDA finds no GPU and driver that this PyTorch computes on");
        }
        at::ones({1}, at::TensorOptions().device(wanted)).to(at::kCPU);
    });
}

EXPORT Model* weir_torch_load(const char* path, const char* device, int32_t threads, char* error, uint64_t room) {
    std::unique_ptr<Model> model;
    const bool loaded = guarded(error, room, [&] {
        model = std::make_unique<Model>();
        model->threads = threads;
        model->device = at::Device(device);
        model->module = torch::jit::load(path, model->device);
        model->module.eval();
        describe(*model);
        // What was loaded is there before another thread's stream asks for it.
        if (!model->device.is_cpu()) c10::impl::VirtualGuardImpl(model->device.type()).getStream(model->device).synchronize();
    });
    return loaded ? model.release() : nullptr;
}

// Lines: `in`, name, type, whether there is a default; `out`, name.
EXPORT const char* weir_torch_schema(const Model* model) {
    return model->schema.c_str();
}

EXPORT Result* weir_torch_run(Model* model, const WeirTensor* inputs, uint64_t count, char* error, uint64_t room) {
    std::unique_ptr<Result> result;
    const bool ran = guarded(error, room, [&] {
        // OpenMP keeps the number for each thread that asks.
        thread_local int threads = 0;
        if (threads != model->threads) {
            threads = model->threads;
            at::set_num_threads(threads);
        }
        const c10::InferenceMode without_gradients;
        if (count > model->arguments.size()) refuse("more inputs than forward has arguments");
        std::vector<c10::IValue> values;
        const OwnStream stream(model->device);
        for (uint64_t at = 0; at < count; ++at) values.push_back(value_of(inputs[at], model->arguments[at], *model));
        result = std::make_unique<Result>();
        flatten(*result, "", model->module.forward(std::move(values)));
        part(*result, inputs, count);
        for (const auto& it : result->outputs) {
            const bool text = it.type == BYTES;
            result->views.push_back({it.name.c_str(), it.type, static_cast<int32_t>(it.shape.size()), it.shape.data(),
                                     text ? it.text.data() : it.tensor.const_data_ptr(), text ? it.text.size() : it.tensor.nbytes()});
        }
    });
    return ran ? result.release() : nullptr;
}

EXPORT uint64_t weir_torch_outputs(const Result* result, const WeirTensor** outputs) {
    *outputs = result->views.data();
    return result->views.size();
}

EXPORT void weir_torch_free_result(Result* result) {
    delete result;
}

EXPORT void weir_torch_free(Model* model) {
    delete model;
}
