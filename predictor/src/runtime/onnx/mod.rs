//! ONNX models, computed by ONNX Runtime where its library is installed.

mod element;
pub mod graph;
mod ort;
mod providers;

use std::path::Path;

use weir_native::onnxruntime::WANTED;
use weir_sdk::{Env, Model};

use super::{LoadError, LoadOptions, Runtime, search};

pub(super) use self::ort::load_with;
pub use self::providers::{Gpu, GpuFlags};

/// The runtime of ONNX models.
pub struct Onnx;

impl Runtime for Onnx {
    fn name(&self) -> &'static str {
        "onnx"
    }

    fn extensions(&self) -> &'static [&'static str] {
        &["onnx"]
    }

    fn engine(&self, env: &Env) -> Result<String, String> {
        let found = WANTED.find(&search(env)).map_err(|error| error.to_string())?;
        Ok(format!("ONNX Runtime at {}", found.display()))
    }

    fn load(&self, path: &Path, options: &LoadOptions) -> Result<Box<dyn Model>, LoadError> {
        load_with(path, options, &options.gpu.providers())
    }
}
