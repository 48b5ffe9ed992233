//! TensorRT: serialized engines (`.plan`) by libnvinfer; ONNX models, and those that hold an engine in an EPContext, by ONNX
//! Runtime's TensorRT provider. Whichever of the two is missing is told with what else serves the model.

mod plan;
mod profile;

use std::path::Path;

use weir_native::tensorrt;
use weir_sdk::{Env, Model};

use super::onnx::{load_with, provider};
use super::{LoadError, LoadOptions, Runtime, search};

/// The runtime of models for TensorRT.
pub struct TensorRt;

impl Runtime for TensorRt {
    fn name(&self) -> &'static str {
        "tensorrt"
    }

    fn extensions(&self) -> &'static [&'static str] {
        &["plan", "engine", "trt", "onnx"]
    }

    fn only_by_name(&self) -> bool {
        // An ONNX file goes to a GPU where the manifest says so.
        true
    }

    fn engine(&self, env: &Env) -> Result<String, String> {
        match (libnvinfer(env), provider(env, PROVIDER)) {
            (Ok(engines), Ok(models)) => Ok(format!("{engines} for engines, {models} for ONNX models")),
            (Ok(engines), Err(missing)) => {
                Ok(format!("{engines} for engines, and nothing for ONNX models: {missing}"))
            }
            (Err(missing), Ok(models)) => {
                Ok(format!("{models} for ONNX models, and nothing for engines: {missing}"))
            }
            (Err(engines), Err(models)) => {
                Err(format!("for engines, {engines}; for ONNX models, {models}; {UPSTREAM}"))
            }
        }
    }

    fn load(&self, path: &Path, options: &LoadOptions) -> Result<Box<dyn Model>, LoadError> {
        let missing = |reason| LoadError::Engine { path: path.to_owned(), reason };
        if path.extension().is_some_and(|it| it == "onnx") {
            provider(&options.env, PROVIDER).map_err(|reason| missing(format!("{reason}; {UPSTREAM}")))?;
            return load_with(path, options, &options.gpu.for_tensorrt());
        }
        plan::load(path, options)
    }
}

const UPSTREAM: &str = "or name a server that has it by --upstream=HOST:PORT";
/// ONNX Runtime's name of the provider.
const PROVIDER: &str = "tensorrt";

/// What serves engines.
fn libnvinfer(env: &Env) -> Result<String, String> {
    let (_, library) = tensorrt::TensorRt::find(&search(env))?;
    Ok(format!("TensorRT at {}", library.display()))
}
