//! ONNX models, computed by ONNX Runtime where its library is installed. This build has no engine of its own for them.

mod element;
pub mod graph;
mod ort;
pub mod proto;
mod providers;

use std::path::Path;

use weir_native::onnxruntime::WANTED;
use weir_sdk::{Env, Model};

use super::{LoadError, LoadOptions, Runtime, search};

pub(super) use self::ort::load_with;
pub use self::providers::{Gpu, GpuFlags};

/// What computes ONNX models.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Engine {
    /// ONNX Runtime, and what this build has itself where its library is not found: nothing yet.
    #[default]
    Auto,
    /// ONNX Runtime.
    Onnxruntime,
    /// What this build has itself: nothing yet, so every model is refused.
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

    fn engine(&self, env: &Env) -> Result<String, String> {
        let found = WANTED.find(&search(env)).map_err(|missing| missing.to_string())?;
        Ok(format!("ONNX Runtime at {}", found.display()))
    }

    fn load(&self, path: &Path, options: &LoadOptions) -> Result<Box<dyn Model>, LoadError> {
        if options.onnx_engine == Engine::Embedded {
            let advice = "leave out --onnx_engine=embedded, so that ONNX Runtime computes it";
            return Err(LoadError::Unsupported {
                path: path.to_owned(),
                what: "an ONNX model by this build itself".to_owned(),
                advice: advice.to_owned(),
            });
        }
        load_with(path, options, &options.gpu.providers())
    }
}
