//! The functions of our shim over libtorch (`predictor/native/shim/torch.cpp`), looked up once when it is opened.

use std::ffi::{c_char, c_void};
use std::path::Path;
use std::ptr::NonNull;

/// Something of the shim's that is only ever pointed to.
#[repr(C)]
pub(super) struct RawModel {
    _private: [u8; 0],
}

/// What a run answered.
#[repr(C)]
pub(super) struct RawResult {
    _private: [u8; 0],
}

/// `WeirTensor`: one tensor, lent.
#[repr(C)]
pub(super) struct RawTensor {
    pub(super) name: *const c_char,
    pub(super) datatype: i32,
    pub(super) rank: i32,
    pub(super) shape: *const i64,
    pub(super) data: *const c_void,
    pub(super) length: u64,
}

/// The form of the functions below.
const ABI: u32 = 1;

/// Declares the table of functions, each with its name in the library.
macro_rules! functions {
    ($($field:ident = $name:literal: fn($($argument:ty),*) $(-> $result:ty)?;)*) => {
        pub(super) struct Api {
            $(pub(super) $field: unsafe extern "C" fn($($argument),*) $(-> $result)?,)*
            /// The functions are theirs: none is ever closed.
            _libraries: Vec<libloading::Library>,
        }

        impl Api {
            fn of(library: libloading::Library, before: Vec<libloading::Library>, path: &Path) -> Result<Self, String> {
                $(
                    // SAFETY: the types are those of the shim's own declarations; that it is of this form is checked before.
                    let $field = *unsafe { library.get(concat!($name, "\0").as_bytes()) }
                        .map_err(|_| format!("{} has no function {}; {BUILD}", path.display(), $name))?;
                )*
                let mut libraries = before;
                libraries.push(library);
                Ok(Self { $($field,)* _libraries: libraries })
            }
        }
    };
}

functions! {
    version = "weir_torch_version": fn() -> *const c_char;
    inter_op = "weir_torch_inter_op": fn(i32);
    load = "weir_torch_load": fn(*const c_char, i32, *mut c_char, u64) -> Option<NonNull<RawModel>>;
    schema = "weir_torch_schema": fn(NonNull<RawModel>) -> *const c_char;
    run = "weir_torch_run":
        fn(NonNull<RawModel>, *const RawTensor, u64, *mut c_char, u64) -> Option<NonNull<RawResult>>;
    outputs = "weir_torch_outputs": fn(NonNull<RawResult>, *mut *const RawTensor) -> u64;
    free_result = "weir_torch_free_result": fn(NonNull<RawResult>);
    free = "weir_torch_free": fn(NonNull<RawModel>);
}

const BUILD: &str = "build the library for this predictor with predictor/native/shim/build.sh";

impl Api {
    /// Opens libtorch's own libraries by their paths, so that the shim finds them wherever they were installed, and the shim.
    pub(super) fn open(shim: &Path, libtorch: &Path) -> Result<Self, String> {
        let mut before = Vec::new();
        for name in ["libc10.so", "libtorch_cpu.so"] {
            before.push(open(&libtorch.join(name))?);
        }
        let library = open(shim).map_err(|error| {
            format!("{error}; it is for another PyTorch than {}: {BUILD}", libtorch.display())
        })?;
        // SAFETY: the function takes nothing and returns a number, in every form of the shim.
        let abi = unsafe { library.get::<unsafe extern "C" fn() -> u32>(b"weir_torch_abi\0") };
        // SAFETY: as above.
        let abi = abi
            .map(|it| unsafe { it() })
            .map_err(|_| format!("{} is no shim of ours; {BUILD}", shim.display()))?;
        if abi != ABI {
            return Err(format!("{} is of form {abi}, expected {ABI}; {BUILD}", shim.display()));
        }
        Self::of(library, before, shim)
    }
}

fn open(path: &Path) -> Result<libloading::Library, String> {
    // SAFETY: opening it runs the initializers of a library that the operator has installed, which is the trust a framework gets.
    let opened = unsafe { libloading::Library::new(path) };
    opened.map_err(|error| {
        let mut text = error.to_string();
        let mut source = std::error::Error::source(&error);
        while let Some(inner) = source {
            text = format!("{text}: {inner}");
            source = inner.source();
        }
        format!("cannot open {}: {text}", path.display())
    })
}
