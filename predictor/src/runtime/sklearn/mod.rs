//! scikit-learn models, saved with joblib or pickle: read by an inert pickle machine, evaluated natively. Runs no code out
//! of a file, whatever the file says.

mod estimator;
mod model;
mod numpy;
mod pickle;
mod refusal;
#[cfg(test)]
mod tests;
mod view;

use std::path::Path;

use weir_sdk::Model;

use super::{LoadError, LoadOptions, Runtime};

use self::estimator::Steps;
use self::refusal::Refusal;

/// The scikit-learn runtime.
pub struct Sklearn;

impl Runtime for Sklearn {
    fn name(&self) -> &'static str {
        "sklearn"
    }

    fn extensions(&self) -> &'static [&'static str] {
        &["joblib", "pkl", "pickle"]
    }

    fn load(&self, file: &Path, options: &LoadOptions) -> Result<Box<dyn Model>, LoadError> {
        let bytes =
            std::fs::read(file).map_err(|source| LoadError::Read { path: file.to_owned(), source })?;
        let steps = read(&bytes).map_err(|refusal| refusal.of(file))?;
        let has_probabilities = steps.classifier().is_some_and(|it| it.has_probabilities());
        if options.predict_proba && !has_probabilities {
            tracing::warn!(file = %file.display(), "probabilities are wanted, and the model has none; it answers `predict`");
        }
        let format = if file.extension().is_some_and(|it| it == "joblib") { "joblib" } else { "pickle" };
        Ok(Box::new(model::Estimator::new(steps, format, options.predict_proba)))
    }
}

/// Reads the estimator that a file holds.
fn read(bytes: &[u8]) -> Result<Steps, Refusal> {
    if let Some((_, method)) = COMPRESSIONS.iter().find(|(magic, _)| bytes.starts_with(magic)) {
        let advice = "save the model uncompressed: joblib.dump(model, path, compress=0)";
        return Err(Refusal::unsupported(format!("a file compressed with {method}"), advice));
    }
    let doc = pickle::read(bytes)?;
    estimator::read(doc.root())
}

/// How files begin that joblib compressed as a whole.
static COMPRESSIONS: &[(&[u8], &str)] = &[
    (b"\x78", "zlib"),
    (b"ZF", "zlib"),
    (b"\x1f\x8b", "gzip"),
    (b"BZh", "bz2"),
    (b"\xfd7zXZ\0", "xz"),
    (b"\x5d\0\0", "lzma"),
    (b"\x04\x22\x4d\x18", "lz4"),
];
