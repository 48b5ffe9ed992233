//! ONNX models, computed by what this build has itself: an interpreter for classical models, and a library of Rust's for neural
//! nets.

mod constant;
pub mod embedded;
pub mod proto;
mod signature;
#[cfg(test)]
mod tests;

use std::path::Path;

use weir_sdk::{Env, Model};

use super::{LoadError, LoadOptions, Runtime};

/// What computes ONNX models.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Engine {
    /// ONNX Runtime where its library is found, else what this build has itself.
    #[default]
    Auto,
    /// ONNX Runtime.
    Onnxruntime,
    /// What this build has itself.
    Embedded,
}

/// The runtime of ONNX models.
pub struct Onnx;

impl Runtime for Onnx {
    fn name(&self) -> &'static str {
        "onnx"
    }

    fn extensions(&self) -> &'static [&'static str] {
        &["onnx"]
    }

    fn engine(&self, _env: &Env) -> Result<String, String> {
        Ok("this build itself".to_owned())
    }

    fn load(&self, path: &Path, options: &LoadOptions) -> Result<Box<dyn Model>, LoadError> {
        embedded::load(path, options)
    }
}
