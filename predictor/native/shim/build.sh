#!/usr/bin/env bash
# Builds the libraries that join a framework of C++ to the predictor.
#
#   predictor/native/shim/build.sh torch PYTHON [FOLDER]
#
# libweir_torch.so against the PyTorch of a Python: beside its libraries, where the predictor looks for it, or in a folder. It is for
# the libtorch it was built against: build it again after an update. What it misses in another shows when it is opened, and not in
# the middle of a prediction.
#
#   predictor/native/shim/build.sh tensorrt FOLDER [HEADERS] [CUDA]
#
# libweir_tensorrt.so into a folder, best that of libnvinfer, where the predictor looks for it. HEADERS has NvInfer.h
# (/usr/include/x86_64-linux-gnu); CUDA has include and lib or lib64 with libcudart_static.a (/usr/local/cuda). It is for TensorRT of
# the major version of the headers.
#
# Both need g++ with C++20.
set -euo pipefail

here=$(dirname "${BASH_SOURCE[0]}")

main() {
    case ${1:-} in
    torch) torch "${2:?usage: build.sh torch PYTHON [FOLDER]}" "${3:-}" ;;
    tensorrt)
        tensorrt "${2:?usage: build.sh tensorrt FOLDER [HEADERS] [CUDA]}" \
            "${3:-/usr/include/x86_64-linux-gnu}" "${4:-/usr/local/cuda}"
        ;;
    *) echo "usage: build.sh torch PYTHON [FOLDER], or build.sh tensorrt FOLDER [HEADERS] [CUDA]" >&2 && exit 64 ;;
    esac
}

torch() {
    local python=$1 torch new_strings=0
    # Found without importing it, which may want CUDA.
    torch=$("$python" -c 'import importlib.util as it; print(it.find_spec("torch").submodule_search_locations[0])')
    # Old releases keep the strings of the C++ library's first form; the names of functions that take one tell.
    tr '\0' '\n' <"$torch/lib/libc10.so" | grep -a '^_ZN3c105ErrorC1E.*NSt7__cxx11' >/dev/null && new_strings=1
    # Its headers do not bear warnings.
    compile torch "${2:-$torch/lib}" -w "-D_GLIBCXX_USE_CXX11_ABI=$new_strings" \
        -isystem "$torch/include" -isystem "$torch/include/torch/csrc/api/include" \
        -L"$torch/lib" -Wl,--no-as-needed,--allow-shlib-undefined -ltorch_cpu -lc10 -Wl,-rpath,"$torch/lib"
}

tensorrt() {
    local folder=$1 headers=$2 cuda=$3 runtime=
    for runtime in "$cuda"/lib64 "$cuda"/lib "$cuda"; do
        [ ! -f "$runtime/libcudart_static.a" ] || break
    done
    # The runtime of CUDA goes into it; the driver is found when it is used.
    compile tensorrt "$folder" -Wall -Wextra -isystem "$headers" -isystem "$cuda/include" \
        -Wl,--exclude-libs,ALL "$runtime/libcudart_static.a" -ldl -lpthread -lrt
}

# The options come behind the source: libraries are for what stands before them.
compile() {
    local out=$2/libweir_$1.so source=$here/$1.cpp
    shift 2
    "${CXX:-g++}" -std=c++20 -O2 -fPIC -shared -fvisibility=hidden "$source" "$@" -Wl,-z,defs,-z,now -o "$out.new"
    mv "$out.new" "$out"
    echo "$out"
}

main "$@"
