//! Models of a Triton repository: they are served by a Triton elsewhere, which the predictor asks.

use std::path::Path;

use weir_sdk::{Env, Model};

use super::{LoadError, LoadOptions, Runtime};

/// The runtime of manifests that name Triton.
pub struct Triton;

const MISSING: &str = "no Triton runs here: name one that serves the model by --upstream=HOST:PORT, or the model's own format in the manifest";

impl Runtime for Triton {
    fn name(&self) -> &'static str {
        "triton"
    }

    fn extensions(&self) -> &'static [&'static str] {
        &[]
    }

    fn recognizes_folder(&self, _folder: &Path) -> bool {
        // A repository of any kind: what is in it is Triton's to say.
        true
    }

    fn only_by_name(&self) -> bool {
        true
    }

    fn engine(&self, _env: &Env) -> Result<String, String> {
        Err(MISSING.to_owned())
    }

    fn load(&self, path: &Path, _options: &LoadOptions) -> Result<Box<dyn Model>, LoadError> {
        Err(LoadError::Engine { path: path.to_owned(), reason: MISSING.to_owned() })
    }
}
