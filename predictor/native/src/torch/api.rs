//! The functions of our shim over libtorch (`predictor/native/shim/torch.cpp`), looked up once when it is opened.

use std::ffi::c_char;
use std::path::Path;
use std::ptr::NonNull;

use crate::opened;
use crate::shim::{self, RawModel, RawResult, RawTensor, functions};

/// The form of the functions below.
const ABI: u32 = 2;
const BUILD: &str = "build the library for this predictor with `predictor/native/shim/build.sh torch`";

functions! { BUILD;
    version = "weir_torch_version": fn() -> *const c_char;
    inter_op = "weir_torch_inter_op": fn(i32);
    reach = "weir_torch_reach": fn(*const c_char, *mut c_char, u64) -> bool;
    load = "weir_torch_load": fn(*const c_char, *const c_char, i32, *mut c_char, u64) -> Option<NonNull<RawModel>>;
    schema = "weir_torch_schema": fn(NonNull<RawModel>) -> *const c_char;
    run = "weir_torch_run":
        fn(NonNull<RawModel>, *const RawTensor, u64, *mut c_char, u64) -> Option<NonNull<RawResult>>;
    outputs = "weir_torch_outputs": fn(NonNull<RawResult>, *mut *const RawTensor) -> u64;
    free_result = "weir_torch_free_result": fn(NonNull<RawResult>);
    free = "weir_torch_free": fn(NonNull<RawModel>);
}

impl Api {
    /// Opens libtorch's own libraries by their paths, so that the shim finds them wherever they were installed, and the shim.
    pub(super) fn open(shim: &Path, libtorch: &Path) -> Result<Self, String> {
        let mut before = Vec::new();
        for name in ["libc10.so", "libtorch_cpu.so"] {
            before.push(opened::open(&libtorch.join(name))?);
        }
        let build =
            format!("it is for another PyTorch than {}, or another predictor: {BUILD}", libtorch.display());
        let library = shim::open(shim, "weir_torch_abi\0", ABI, &build)?;
        Self::of(library, before, shim)
    }
}
