// libnvinfer and the runtime of CUDA behind functions of C, for a predictor that opens this library where it finds it. TensorRT's
// interface is one of C++ classes, so this is built against its headers (build.sh); libnvinfer itself is opened by the predictor,
// which hands over the function that everything begins with. No exception leaves a function here; an error is a text in the
// caller's buffer.

#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include <NvInferRuntime.h>
#include <cuda_runtime_api.h>

#include "shim.h"

namespace {

using nvinfer1::DataType;
using nvinfer1::Dims;

std::string text_of(const std::exception& it) {
    return it.what();
}

void check(cudaError_t outcome, const char* what) {
    if (outcome == cudaSuccess) return;
    // The next call is not to be told of this one's.
    cudaGetLastError();
    refuse(std::string(what) + ": " + cudaGetErrorString(outcome));
}

// What TensorRT logs while this thread asks it for something. It has one log for a process.
class Listener {
public:
    Listener() : before_(current_) { current_ = this; }
    ~Listener() { current_ = before_; }
    Listener(const Listener&) = delete;
    Listener& operator=(const Listener&) = delete;

    [[noreturn]] void fail(const std::string& what) const {
        const std::string& said = errors_.empty() ? warnings_ : errors_;
        refuse(what + (said.empty() ? ", and does not say why" : ": " + said));
    }

    bool has_errors() const { return !errors_.empty(); }

    // Errors go to whoever asked; without one, as in a thread of TensorRT's own, there is nobody to tell.
    static void hear(nvinfer1::ILogger::Severity severity, const char* text) {
        using Severity = nvinfer1::ILogger::Severity;
        if (current_ == nullptr || severity > Severity::kWARNING) return;
        std::string& said = severity == Severity::kWARNING ? current_->warnings_ : current_->errors_;
        if (said.size() > MOST) return;
        if (!said.empty()) said += "; ";
        said += one_line(text);
    }

private:
    static constexpr size_t MOST = 4096;
    static thread_local Listener* current_;
    Listener* before_;
    std::string errors_;
    std::string warnings_;
};

thread_local Listener* Listener::current_ = nullptr;

class Logger : public nvinfer1::ILogger {
    void log(Severity severity, const char* text) noexcept override {
        try {
            Listener::hear(severity, text);
        } catch (...) {
            // No memory for a text of an error.
        }
    }
};

// TensorRT keeps the first logger of a process for good.
Logger& logger() {
    static Logger* it = new Logger;
    return *it;
}

// The protocol's number of a type, or -1.
int32_t number(DataType type) {
    switch (type) {
        case DataType::kBOOL: return 0;
        case DataType::kUINT8: return 1;
        case DataType::kINT8: return 5;
        case DataType::kINT32: return 7;
        case DataType::kINT64: return 8;
        case DataType::kHALF: return 9;
        case DataType::kBF16: return 10;
        case DataType::kFLOAT: return 11;
        default: return -1;
    }
}

size_t size_of(int32_t type) {
    constexpr size_t SIZES[] = {1, 1, 2, 4, 8, 1, 2, 4, 8, 2, 2, 4, 8};
    return SIZES[type];
}

// Memory of a GPU, which grows.
class DeviceMemory {
public:
    DeviceMemory() = default;
    DeviceMemory(DeviceMemory&& other) noexcept : at_(std::exchange(other.at_, nullptr)), size_(std::exchange(other.size_, 0)) {}
    DeviceMemory& operator=(DeviceMemory&&) = delete;
    ~DeviceMemory() { cudaFree(at_); }

    // The memory, with room for so many bytes; what was in it is gone if it had to grow.
    void* reserve(size_t wanted) {
        if (wanted > size_ || at_ == nullptr) {
            const size_t size = std::max({wanted, size_ + size_ / 2, size_t{256}});
            cudaFree(std::exchange(at_, nullptr));
            size_ = 0;
            check(cudaMalloc(&at_, size), "the GPU has no memory for a tensor");
            size_ = size;
        }
        return at_;
    }

    void* at() const { return at_; }

private:
    void* at_ = nullptr;
    size_t size_ = 0;
};

// Memory of the processor that the GPU reads and writes itself. To get some takes long, so it is kept for the next time.
class Pinned : public std::enable_shared_from_this<Pinned> {
public:
    class Block {
    public:
        Block(std::shared_ptr<Pinned> from, void* at, size_t size) : from_(std::move(from)), at_(at), size_(size) {}
        Block(Block&& other) noexcept : from_(std::move(other.from_)), at_(std::exchange(other.at_, nullptr)), size_(other.size_) {}
        Block& operator=(Block&&) = delete;
        ~Block() {
            if (at_ != nullptr) from_->keep(at_, size_);
        }
        void* at() const { return at_; }

    private:
        std::shared_ptr<Pinned> from_;
        void* at_;
        size_t size_;
    };

    Block take(size_t wanted) {
        if (wanted > MOST_AT_ONCE) refuse("a tensor is larger than memory");
        size_t size = 4096;
        while (size < wanted) size *= 2;
        {
            const std::lock_guard<std::mutex> turn(mutex_);
            for (auto it = kept_.begin(); it != kept_.end(); ++it) {
                if (it->size != size) continue;
                const Free found = *it;
                kept_.erase(it);
                bytes_ -= size;
                return Block(shared_from_this(), found.at, size);
            }
        }
        void* at = nullptr;
        check(cudaHostAlloc(&at, size, cudaHostAllocPortable), "no memory that the GPU reads");
        return Block(shared_from_this(), at, size);
    }

    ~Pinned() {
        for (const Free& it : kept_) cudaFreeHost(it.at);
    }

private:
    struct Free {
        void* at;
        size_t size;
    };

    void keep(void* at, size_t size) noexcept {
        {
            const std::lock_guard<std::mutex> turn(mutex_);
            if (bytes_ + size <= MOST && kept_.size() < kept_.capacity()) {
                kept_.push_back({at, size});
                bytes_ += size;
                return;
            }
        }
        cudaFreeHost(at);
    }

    static constexpr size_t MOST = size_t{256} << 20;
    static constexpr size_t MOST_AT_ONCE = size_t{1} << 40;
    std::mutex mutex_;
    // No more than this room: what keeps a block cannot fail.
    std::vector<Free> kept_ = [] {
        std::vector<Free> room;
        room.reserve(256);
        return room;
    }();
    size_t bytes_ = 0;
};

// An input or output of an engine.
struct Port {
    std::string name;
    bool input;
    int32_t type;
    // Its values stay with the processor: they are sizes.
    bool on_host;
};

struct Model {
    std::unique_ptr<nvinfer1::IRuntime> runtime;
    std::unique_ptr<nvinfer1::ICudaEngine> engine;
    std::shared_ptr<Pinned> pinned = std::make_shared<Pinned>();
    int device = 0;
    std::vector<Port> ports;
    std::string schema;
};

// Takes what an output needs whose size is known only when it is computed.
class Growing : public nvinfer1::IOutputAllocator {
public:
    explicit Growing(DeviceMemory& memory) : memory_(memory) {}

    void* reallocateOutputAsync(const char*, void*, uint64_t size, uint64_t, cudaStream_t) override {
        try {
            return memory_.reserve(size);
        } catch (const std::exception&) {
            return nullptr;
        }
    }

    void notifyShape(const char*, const Dims& shape) noexcept override { shape_ = shape; }

    const Dims& shape() const { return shape_; }

private:
    DeviceMemory& memory_;
    Dims shape_{-1, {}};
};

struct Output {
    std::string name;
    int32_t type;
    std::vector<int64_t> shape;
    Pinned::Block block;
    size_t length;
    // Where it is until the GPU is done, for one that stays with the processor.
    const void* host;
};

struct Result {
    std::vector<Output> outputs;
    std::vector<WeirTensor> views;
};

bool known(const Dims& shape) {
    return shape.nbDims >= 0 && std::all_of(shape.d, shape.d + shape.nbDims, [](int64_t it) { return it >= 0; });
}

size_t bytes_of(const Dims& shape, int32_t type) {
    size_t bytes = size_of(type);
    for (int32_t at = 0; at < shape.nbDims; ++at) {
        if (__builtin_mul_overflow(bytes, static_cast<size_t>(shape.d[at]), &bytes)) refuse("a tensor is larger than memory");
    }
    return bytes;
}

// What predicts: one prediction at a time.
class Context {
public:
    explicit Context(Model& model) : model_(model) {
        const Listener listener;
        context_.reset(model.engine->createExecutionContext());
        if (context_ == nullptr) listener.fail("TensorRT makes no execution context");
        check(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking), "no stream");
        // Who waits sleeps: the processor is for other requests.
        check(cudaEventCreateWithFlags(&done_, cudaEventBlockingSync | cudaEventDisableTiming), "no event");
        memory_ = std::vector<DeviceMemory>(model.ports.size());
        growing_.resize(model.ports.size());
        host_.resize(model.ports.size());
    }

    ~Context() {
        cudaSetDevice(model_.device);
        if (stream_ != nullptr) cudaStreamSynchronize(stream_);
        context_.reset();
        if (done_ != nullptr) cudaEventDestroy(done_);
        if (stream_ != nullptr) cudaStreamDestroy(stream_);
    }

    Context(const Context&) = delete;
    Context& operator=(const Context&) = delete;

    // Sets `refused` where the shapes are what is wrong.
    std::unique_ptr<Result> run(int32_t profile, const WeirTensor* inputs, uint64_t count, const uint8_t* wanted, bool& refused) {
        const Listener listener;
        check(cudaSetDevice(model_.device), "the GPU is gone");
        choose(profile, listener);
        std::vector<Pinned::Block> staged;
        auto result = std::make_unique<Result>();
        // Ends before the two above, whatever happens: what the GPU reads and writes stays until it has nothing left to do.
        const Settled settled(stream_);
        uint64_t next = 0;
        for (size_t at = 0; at < model_.ports.size(); ++at) {
            const Port& port = model_.ports[at];
            if (!port.input) {
                // What it would write sizes to was the last prediction's.
                if (port.on_host) context_->setTensorAddress(port.name.c_str(), nullptr);
                continue;
            }
            if (next >= count) refuse("fewer inputs than the engine has");
            staged.push_back(feed(at, inputs[next++], listener, refused));
        }
        if (next != count) refuse("more inputs than the engine has");
        const char* missing = nullptr;
        if (context_->inferShapes(1, &missing) != 0) {
            refused = true;
            listener.fail(missing == nullptr ? "TensorRT refuses these shapes" : "TensorRT lacks the input `" + std::string(missing) + "`");
        }
        std::vector<Dims> shapes(model_.ports.size());
        for (size_t at = 0; at < model_.ports.size(); ++at) {
            if (!model_.ports[at].input) shapes[at] = prepare(at, staged, listener);
        }
        if (!context_->enqueueV3(stream_)) listener.fail("TensorRT failed");
        for (size_t at = 0; at < shapes.size(); ++at) {
            if (!model_.ports[at].input && growing_[at] != nullptr) shapes[at] = growing_[at]->shape();
        }
        fetch(*result, shapes, wanted);
        check(cudaEventRecord(done_, stream_), "the GPU takes no work");
        check(cudaEventSynchronize(done_), "the GPU failed");
        for (Output& it : result->outputs) {
            if (it.host != nullptr) std::memcpy(it.block.at(), it.host, it.length);
        }
        return result;
    }

private:
    struct Settled {
        explicit Settled(cudaStream_t stream) : stream_(stream) {}
        ~Settled() { cudaStreamSynchronize(stream_); }
        Settled(const Settled&) = delete;
        Settled& operator=(const Settled&) = delete;
        cudaStream_t stream_;
    };

    void choose(int32_t profile, const Listener& listener) {
        if (profile == profile_) return;
        if (!context_->setOptimizationProfileAsync(profile, stream_)) listener.fail("TensorRT does not take the profile");
        check(cudaStreamSynchronize(stream_), "the profile is not changed");
        profile_ = profile;
    }

    // Sends an input to the GPU, by way of memory that it reads itself.
    Pinned::Block feed(size_t at, const WeirTensor& given, const Listener& listener, bool& refused) {
        const Port& port = model_.ports[at];
        const char* name = port.name.c_str();
        Dims shape{};
        if (given.type != port.type) refuse("input `" + port.name + "` is of another type");
        if (given.rank < 0 || given.rank > Dims::MAX_DIMS) refuse("input `" + port.name + "` has too many sizes");
        shape.nbDims = given.rank;
        for (int32_t dim = 0; dim < given.rank; ++dim) shape.d[dim] = given.shape[dim];
        if (bytes_of(shape, port.type) != given.length) refuse("input `" + port.name + "` has not as many bytes as its shape says");
        if (!context_->setInputShape(name, shape)) {
            refused = true;
            listener.fail("input `" + port.name + "`: TensorRT refuses the shape");
        }
        auto block = model_.pinned->take(given.length);
        std::memcpy(block.at(), given.data, given.length);
        void* address = block.at();
        if (!port.on_host) {
            address = memory_[at].reserve(given.length);
            check(cudaMemcpyAsync(address, block.at(), given.length, cudaMemcpyHostToDevice, stream_), "an input does not reach the GPU");
        }
        if (!context_->setTensorAddress(name, address)) listener.fail("input `" + port.name + "`: TensorRT refuses its memory");
        return block;
    }

    // Gives an output memory; returns its shape, with sizes below nought where only the prediction tells it.
    Dims prepare(size_t at, std::vector<Pinned::Block>& staged, const Listener& listener) {
        const Port& port = model_.ports[at];
        const char* name = port.name.c_str();
        const Dims shape = context_->getTensorShape(name);
        void* address = memory_[at].at();
        if (port.on_host) {
            if (!known(shape)) refuse("output `" + port.name + "` has sizes that nobody knows");
            staged.push_back(model_.pinned->take(bytes_of(shape, port.type)));
            address = host_[at] = staged.back().at();
        } else if (known(shape)) {
            address = memory_[at].reserve(bytes_of(shape, port.type));
        } else if (growing_[at] == nullptr) {
            growing_[at] = std::make_unique<Growing>(memory_[at]);
            if (!context_->setOutputAllocator(name, growing_[at].get())) {
                listener.fail("output `" + port.name + "`: TensorRT refuses to ask for memory");
            }
        }
        if (!context_->setTensorAddress(name, address)) listener.fail("output `" + port.name + "`: TensorRT refuses its memory");
        return shape;
    }

    // Brings the outputs that are wanted back from the GPU, as soon as it has them.
    void fetch(Result& result, const std::vector<Dims>& shapes, const uint8_t* wanted) {
        size_t output = 0;
        for (size_t at = 0; at < model_.ports.size(); ++at) {
            const Port& port = model_.ports[at];
            if (port.input || wanted[output++] == 0) continue;
            const Dims& shape = shapes[at];
            if (!known(shape)) refuse("TensorRT did not tell the shape of output `" + port.name + "`");
            const size_t length = bytes_of(shape, port.type);
            std::vector<int64_t> sizes(shape.d, shape.d + shape.nbDims);
            result.outputs.push_back({port.name, port.type, std::move(sizes), model_.pinned->take(length), length, nullptr});
            Output& it = result.outputs.back();
            if (port.on_host) {
                it.host = host_[at];
            } else {
                check(cudaMemcpyAsync(it.block.at(), memory_[at].at(), length, cudaMemcpyDeviceToHost, stream_),
                      "an output does not come back");
            }
        }
    }

    Model& model_;
    std::unique_ptr<nvinfer1::IExecutionContext> context_;
    cudaStream_t stream_ = nullptr;
    cudaEvent_t done_ = nullptr;
    int32_t profile_ = 0;
    // Of each port, what it needs.
    std::vector<DeviceMemory> memory_;
    std::vector<std::unique_ptr<Growing>> growing_;
    std::vector<void*> host_;
};

std::string joined(const Dims& shape) {
    std::string text;
    for (int32_t at = 0; at < shape.nbDims; ++at) text += (at == 0 ? "" : ",") + std::to_string(shape.d[at]);
    return text;
}

// Reads what the engine says of itself. What is not served is a line of its own: the predictor says it.
void describe(Model& model) {
    const auto& engine = *model.engine;
    const int32_t profiles = engine.getNbOptimizationProfiles();
    for (int32_t at = 0; at < engine.getNbIOTensors(); ++at) {
        const char* name = engine.getIOTensorName(at);
        const bool input = engine.getTensorIOMode(name) == nvinfer1::TensorIOMode::kINPUT;
        const int32_t type = number(engine.getTensorDataType(name));
        const bool on_host = engine.getTensorLocation(name) == nvinfer1::TensorLocation::kHOST;
        std::string refused;
        if (type < 0) refused = "has TensorRT's element type " + std::to_string(static_cast<int>(engine.getTensorDataType(name)));
        for (int32_t profile = 0; profile < profiles && refused.empty(); ++profile) {
            if (engine.getTensorFormat(name, profile) != nvinfer1::TensorFormat::kLINEAR) {
                refused = std::string("is laid out as ") + engine.getTensorFormatDesc(name, profile);
            }
        }
        model.ports.push_back({name, input, type, on_host});
        model.schema += (input ? "in\t" : "out\t") + one_line(name) + "\t" + std::to_string(type) + "\t" +
                        joined(engine.getTensorShape(name)) + "\t" + one_line(refused) + "\n";
        using nvinfer1::OptProfileSelector;
        for (int32_t profile = 0; input && profile < profiles; ++profile) {
            const auto part = [&](OptProfileSelector which) { return "\t" + joined(engine.getProfileShape(name, profile, which)); };
            model.schema += "profile\t" + std::to_string(profile) + part(OptProfileSelector::kMIN) + part(OptProfileSelector::kOPT) +
                            part(OptProfileSelector::kMAX) + "\n";
        }
    }
}

}  // namespace

// Which form of these functions this is.
EXPORT uint32_t weir_tensorrt_abi() {
    return 1;
}

// The major version of TensorRT that this was built against: libraries of no other are compatible.
EXPORT int32_t weir_tensorrt_major() {
    return NV_TENSORRT_MAJOR;
}

// Whether a GPU is there.
EXPORT bool weir_tensorrt_reach(int32_t device, char* error, uint64_t room) {
    return guarded(error, room, [&] {
        check(cudaSetDevice(device), ("CUDA cannot use GPU " + std::to_string(device)).c_str());
        // The first call that does something is where what is wrong is told.
        check(cudaFree(nullptr), ("CUDA cannot use GPU " + std::to_string(device)).c_str());
    });
}

// Deserializes an engine. `create` is libnvinfer's `createInferRuntime_INTERNAL`.
EXPORT Model* weir_tensorrt_load(void* (*create)(void*, int32_t), const void* plan, uint64_t length, int32_t device, char* error,
                                 uint64_t room) {
    std::unique_ptr<Model> model;
    const bool loaded = guarded(error, room, [&] {
        check(cudaSetDevice(device), "the GPU is gone");
        const Listener listener;
        model = std::make_unique<Model>();
        model->device = device;
        auto* runtime = static_cast<nvinfer1::IRuntime*>(create(static_cast<nvinfer1::ILogger*>(&logger()), NV_TENSORRT_VERSION));
        // What failed may come as a pointer that is not null and points nowhere (seen with 10.16): its log tells.
        if (runtime == nullptr || listener.has_errors()) listener.fail("TensorRT does not start");
        model->runtime.reset(runtime);
        // A plan may carry libraries: plugins, or a runtime of its own. They would run as the predictor.
        model->runtime->setEngineHostCodeAllowed(false);
        model->engine.reset(model->runtime->deserializeCudaEngine(plan, length));
        if (model->engine == nullptr) listener.fail("TensorRT does not take the engine");
        describe(*model);
    });
    return loaded ? model.release() : nullptr;
}

// Lines: `in` or `out`, name, type, sizes, and why it is not served; after each input `profile`, its number, and the least, best and
// largest sizes in it.
EXPORT const char* weir_tensorrt_schema(const Model* model) {
    return model->schema.c_str();
}

// A context uses its model, which goes after it.
EXPORT Context* weir_tensorrt_context(Model* model, char* error, uint64_t room) {
    std::unique_ptr<Context> context;
    const bool made = guarded(error, room, [&] {
        check(cudaSetDevice(model->device), "the GPU is gone");
        context = std::make_unique<Context>(*model);
    });
    return made ? context.release() : nullptr;
}

// Predicts: one call at a time for a context. Inputs are the engine's, in its order; `wanted` has a byte for each of its outputs;
// `refused` is set where shapes are wrong, which is for the caller to mend.
EXPORT Result* weir_tensorrt_run(Context* context, int32_t profile, const WeirTensor* inputs, uint64_t count, const uint8_t* wanted,
                                 bool* refused, char* error, uint64_t room) {
    std::unique_ptr<Result> result;
    const bool ran = guarded(error, room, [&] {
        result = context->run(profile, inputs, count, wanted, *refused);
        for (const auto& it : result->outputs) {
            const auto rank = static_cast<int32_t>(it.shape.size());
            result->views.push_back({it.name.c_str(), it.type, rank, it.shape.data(), it.block.at(), it.length});
        }
    });
    return ran ? result.release() : nullptr;
}

EXPORT uint64_t weir_tensorrt_outputs(const Result* result, const WeirTensor** outputs) {
    *outputs = result->views.data();
    return result->views.size();
}

EXPORT void weir_tensorrt_free_result(Result* result) {
    delete result;
}

EXPORT void weir_tensorrt_free_context(Context* context) {
    delete context;
}

EXPORT void weir_tensorrt_free(Model* model) {
    cudaSetDevice(model->device);
    delete model;
}
