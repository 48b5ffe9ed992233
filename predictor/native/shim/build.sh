#!/usr/bin/env bash
# Builds libweir_torch.so against an installed PyTorch: beside its libraries, where the predictor looks for it, or in a folder.
#
#   predictor/native/shim/build.sh PYTHON [FOLDER]
#
# Needs g++ with C++20. The library is for the libtorch it was built against: build it again after an update.
set -euo pipefail

python=${1:?usage: build.sh PYTHON [FOLDER]}
# Found without importing it, which may want CUDA.
torch=$("$python" -c 'import importlib.util as it; print(it.find_spec("torch").submodule_search_locations[0])')
out=${2:-$torch/lib}/libweir_torch.so
source=$(dirname "${BASH_SOURCE[0]}")/torch.cpp

# Old releases keep the strings of the C++ library's first form.
old=0
grep -aq _ZN3c105ErrorC1E.*NSt7__cxx11 "$torch/lib/libc10.so" && old=1
"${CXX:-g++}" -std=c++20 -O2 -fPIC -shared -fvisibility=hidden -w "-D_GLIBCXX_USE_CXX11_ABI=$old" \
    -isystem "$torch/include" -isystem "$torch/include/torch/csrc/api/include" "$source" -o "$out.new" \
    -L"$torch/lib" -Wl,--no-as-needed,--allow-shlib-undefined -ltorch_cpu -lc10 -Wl,-rpath,"$torch/lib"
mv "$out.new" "$out"
echo "$out"
