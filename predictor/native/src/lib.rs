//! The frameworks' own libraries, opened at run time where they are found: nothing here is linked, so a predictor starts without
//! any of them. This is the one crate with `unsafe` code, and its public items are safe to call.
#![allow(unsafe_code)]
#![warn(clippy::undocumented_unsafe_blocks, unsafe_op_in_unsafe_fn)]

pub mod library;
pub mod onnxruntime;
pub mod tensorflow;
pub mod torch;

pub use library::{NotFound, Search, Wanted};

/// An error with its causes: the linker's text is one.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        text = format!("{text}: {next}");
        cause = next.source();
    }
    text
}
