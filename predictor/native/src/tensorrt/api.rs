//! The functions of our shim over libnvinfer (`predictor/native/shim/tensorrt.cpp`), and the two of libnvinfer's own that are called
//! by their names, looked up once when they are opened.

use std::ffi::{c_char, c_void};
use std::path::Path;
use std::ptr::NonNull;

use crate::opened::{self, opaque};
use crate::shim::{self, RawModel, RawResult, RawTensor, functions};

/// The form of the functions below.
const ABI: u32 = 1;
const BUILD: &str =
    "build the library for this predictor and TensorRT with `predictor/native/shim/build.sh tensorrt`";

opaque! { RawContext }

/// libnvinfer's `createInferRuntime_INTERNAL`, with which everything begins.
type Create = unsafe extern "C" fn(*mut c_void, i32) -> *mut c_void;

functions! { BUILD;
    major = "weir_tensorrt_major": fn() -> i32;
    reach = "weir_tensorrt_reach": fn(i32, *mut c_char, u64) -> bool;
    load = "weir_tensorrt_load":
        fn(Create, *const c_void, u64, i32, *mut c_char, u64) -> Option<NonNull<RawModel>>;
    schema = "weir_tensorrt_schema": fn(NonNull<RawModel>) -> *const c_char;
    context = "weir_tensorrt_context": fn(NonNull<RawModel>, *mut c_char, u64) -> Option<NonNull<RawContext>>;
    run = "weir_tensorrt_run": fn(
        NonNull<RawContext>, i32, *const RawTensor, u64, *const u8, *mut bool, *mut c_char, u64
    ) -> Option<NonNull<RawResult>>;
    outputs = "weir_tensorrt_outputs": fn(NonNull<RawResult>, *mut *const RawTensor) -> u64;
    free_result = "weir_tensorrt_free_result": fn(NonNull<RawResult>);
    free_context = "weir_tensorrt_free_context": fn(NonNull<RawContext>);
    free = "weir_tensorrt_free": fn(NonNull<RawModel>);
}

/// Both libraries.
pub(super) struct Libraries {
    pub(super) shim: Api,
    pub(super) create: Create,
    /// TensorRT's version.
    pub(super) version: Version,
}

/// A version of TensorRT, as its library tells it: a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Version(i32);

impl Version {
    pub(super) const fn major(self) -> i32 {
        if self.0 >= 10_000 { self.0 / 10_000 } else { self.0 / 1000 }
    }
}

impl std::fmt::Display for Version {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let minor = if self.0 >= 10_000 { self.0 / 100 % 100 } else { self.0 / 100 % 10 };
        write!(out, "{}.{minor}.{}", self.major(), self.0 % 100)
    }
}

impl Libraries {
    /// Opens libnvinfer and the shim, which are for each other where their major versions are the same.
    pub(super) fn open(shim: &Path, libnvinfer: &Path) -> Result<Self, String> {
        let library = opened::open(libnvinfer)?;
        let lacks =
            |name: &str| format!("{} has no function {name}: it is no TensorRT", libnvinfer.display());
        // SAFETY: the type is that of the function's declaration in `NvInferRuntime.h`, in every version of TensorRT.
        let create: Create = *unsafe { library.get(b"createInferRuntime_INTERNAL\0") }
            .map_err(|_| lacks("createInferRuntime_INTERNAL"))?;
        // SAFETY: as above.
        let version = unsafe { library.get::<unsafe extern "C" fn() -> i32>(b"getInferLibVersion\0") };
        let version = version.map_err(|_| lacks("getInferLibVersion"))?;
        // SAFETY: it takes nothing and returns a number.
        let version = Version(unsafe { version() });
        let opened = shim::open(shim, "weir_tensorrt_abi\0", ABI, BUILD)?;
        let api = Api::of(opened, vec![library], shim)?;
        // SAFETY: it takes nothing and returns a number.
        let built = unsafe { (api.major)() };
        if built != version.major() {
            return Err(format!(
                "{} is for TensorRT {built}, and {} is TensorRT {version}; {BUILD}",
                shim.display(),
                libnvinfer.display()
            ));
        }
        Ok(Self { shim: api, create, version })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_in_both_forms() {
        let told = |number| (Version(number).to_string(), Version(number).major());
        assert_eq!(told(101_601), ("10.16.1".to_owned(), 10));
        assert_eq!(told(8601), ("8.6.1".to_owned(), 8));
    }
}
