//! The frameworks' own libraries, opened at run time where they are found: nothing here is linked, so a predictor starts without
//! any of them. This is the one crate with `unsafe` code, and its public items are safe to call.
#![allow(unsafe_code)]
#![warn(clippy::undocumented_unsafe_blocks, unsafe_op_in_unsafe_fn)]

pub mod library;
pub mod onnxruntime;
mod opened;
mod shim;
pub mod tensorflow;
pub mod tensorrt;
pub mod torch;

pub use library::{NotFound, Search, Wanted};
pub use opened::Input;
