//! ONNX models, computed by ONNX Runtime where its library is installed, and else by what this build has itself: an interpreter for
//! classical models, and a library of Rust's for neural nets.

mod constant;
mod element;
pub mod embedded;
pub mod graph;
mod ort;
pub mod proto;
mod providers;
mod signature;
#[cfg(test)]
mod tests;

use std::path::Path;

use weir_native::onnxruntime::WANTED;
use weir_sdk::{Env, Model};

use super::{LoadError, LoadOptions, Runtime, search};

pub(super) use self::ort::load_with;
pub use self::providers::{Gpu, GpuFlags};

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

    fn engine(&self, env: &Env) -> Result<String, String> {
        Ok(match WANTED.find(&search(env)) {
            Ok(found) => format!("ONNX Runtime at {}", found.display()),
            Err(missing) => format!("this build itself, in place of ONNX Runtime: {missing}"),
        })
    }

    fn load(&self, path: &Path, options: &LoadOptions) -> Result<Box<dyn Model>, LoadError> {
        let providers = options.gpu.providers();
        let missing = match options.onnx_engine {
            Engine::Embedded if providers.is_empty() => Some("leave out --onnx_engine=embedded".to_owned()),
            Engine::Embedded => {
                let reason = "a GPU is asked for, which only ONNX Runtime computes on; leave out --onnx_engine=embedded";
                return Err(LoadError::Engine { path: path.to_owned(), reason: reason.to_owned() });
            }
            Engine::Auto if providers.is_empty() => {
                WANTED.find(&options.search()).err().map(|missing| missing.to_string())
            }
            Engine::Auto | Engine::Onnxruntime => None,
        };
        let Some(missing) = missing else { return load_with(path, options, &providers) };
        embedded::load(path, options).map_err(|error| match error {
            // ONNX Runtime would take it.
            LoadError::Unsupported { path, what, advice } => LoadError::Unsupported {
                path,
                what,
                advice: format!("{advice}, or let ONNX Runtime compute it: {missing}"),
            },
            other => other,
        })
    }
}
