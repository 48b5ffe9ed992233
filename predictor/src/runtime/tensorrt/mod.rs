//! TensorRT: ONNX models, and those that hold an engine in an EPContext, by ONNX Runtime's TensorRT provider. Engines of their own
//! (`.plan`) are refused with what serves them.

use std::path::Path;

use weir_native::onnxruntime::WANTED;
use weir_sdk::{Env, Model};

use super::onnx::load_with;
use super::{LoadError, LoadOptions, Runtime, search};

/// The runtime of models for TensorRT.
pub struct TensorRt;

impl Runtime for TensorRt {
    fn name(&self) -> &'static str {
        "tensorrt"
    }

    fn extensions(&self) -> &'static [&'static str] {
        &["onnx"]
    }

    fn refused_extensions(&self) -> &'static [&'static str] {
        ENGINES
    }

    fn only_by_name(&self) -> bool {
        // An ONNX file goes to a GPU where the manifest says so.
        true
    }

    fn engine(&self, env: &Env) -> Result<String, String> {
        let found = WANTED.find(&search(env));
        let found = found.map_err(|error| format!("{error}; the package for GPUs is onnxruntime-gpu"))?;
        let provider = found.with_file_name(PROVIDER);
        if provider.is_file() {
            return Ok(format!("ONNX Runtime's TensorRT provider at {}", provider.display()));
        }
        Err(format!(
            "ONNX Runtime at {} is for processors: {PROVIDER} is not beside it; get it by `pip install onnxruntime-gpu`, or \
             name a server that has it by --upstream",
            found.display()
        ))
    }

    fn load(&self, path: &Path, options: &LoadOptions) -> Result<Box<dyn Model>, LoadError> {
        if path.extension().and_then(|it| it.to_str()).is_some_and(|it| ENGINES.contains(&it)) {
            return Err(LoadError::Unsupported {
                path: path.to_owned(),
                what: "a serialized TensorRT engine".to_owned(),
                advice: "name a Triton that serves it by --upstream=HOST:PORT, or serve the ONNX model it was built from, of \
                         which the TensorRT provider builds and keeps the engine (--tensorrt_engine_cache)"
                    .to_owned(),
            });
        }
        self.engine(&options.env).map_err(|reason| LoadError::Engine { path: path.to_owned(), reason })?;
        load_with(path, options, &options.gpu.for_tensorrt())
    }
}

const ENGINES: &[&str] = &["plan", "engine", "trt"];
/// The provider's file, beside ONNX Runtime's own.
const PROVIDER: &str = "libonnxruntime_providers_tensorrt.so";
