//! ONNX models, computed by ONNX Runtime where its library is installed, and else by what this build has itself: an interpreter for
//! classical models, and a library of Rust's for neural nets.

mod constant;
mod element;
pub mod embedded;
pub mod graph;
mod ort;
pub mod proto;
mod rows;
mod signature;
#[cfg(test)]
mod tests;

use std::path::Path;

use weir_native::onnxruntime::WANTED;
use weir_sdk::{Env, Model};

use super::{LoadError, LoadOptions, Runtime, search};

pub(super) use self::ort::load_with;

/// The provider of that name for GPUs, which is a file beside ONNX Runtime's own.
///
/// # Errors
/// What is missing, and how to get it.
pub(super) fn provider(env: &Env, name: &str) -> Result<String, String> {
    let file = format!("libonnxruntime_providers_{name}.so");
    let found = WANTED.find(&search(env));
    let found = found.map_err(|error| format!("{error}; {file} comes with onnxruntime-gpu"))?;
    let provider = found.with_file_name(&file);
    if provider.is_file() {
        return Ok(format!("ONNX Runtime's provider at {}", provider.display()));
    }
    Err(format!(
        "ONNX Runtime at {} is for processors: {file} is not beside it; get it by `pip install onnxruntime-gpu`",
        found.display()
    ))
}

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

    fn gpu_flag(&self) -> Option<&'static str> {
        Some("--onnx_providers=cuda")
    }

    fn engine(&self, env: &Env) -> Result<String, String> {
        Ok(match WANTED.find(&search(env)) {
            Ok(found) => format!("ONNX Runtime at {}", found.display()),
            Err(missing) => format!("this build itself, in place of ONNX Runtime: {missing}"),
        })
    }

    fn gpu_engine(&self, env: &Env, value: &str) -> Result<String, String> {
        let first = value.split(',').find(|it| *it != "cpu");
        first.map_or_else(|| self.engine(env), |it| provider(env, it))
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
