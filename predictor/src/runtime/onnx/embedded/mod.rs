//! ONNX models without any library of somebody else's on the machine.

use std::path::Path;

use weir_sdk::Model;

use super::super::{LoadError, LoadOptions};

/// Loads a model file, and what it keeps in files beside it.
///
/// # Errors
/// [`LoadError`], which names an operator that is not served, and its node.
pub fn load(path: &Path, _options: &LoadOptions) -> Result<Box<dyn Model>, LoadError> {
    Err(LoadError::Unsupported { path: path.to_owned(), what: "ONNX".to_owned(), advice: "wait".to_owned() })
}
