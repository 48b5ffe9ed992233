//! scikit-learn models, saved with joblib or pickle: read by an inert pickle machine, evaluated natively. Runs no code out
//! of a file, whatever the file says.

mod bundle;
mod compressed;
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
    let opened = &*compressed::whole(bytes)?;
    let doc = pickle::read(opened, bytes.len())?;
    let steps = bundle::refuse(doc.root()).and_then(|()| estimator::read(doc.root()));
    doc.afforded()?;
    steps
}

/// A class of scikit-learn that is evaluated here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Covered {
    /// The part of scikit-learn it belongs to, in words.
    pub family: &'static str,
    /// Where users import it from, such as `sklearn.linear_model`.
    pub module: &'static str,
    /// Its name.
    pub class: &'static str,
}

/// Returns every class that is evaluated here, family by family.
pub fn covered() -> impl Iterator<Item = Covered> {
    estimator::registry::FAMILIES.iter().flat_map(|family| {
        family.classes.iter().map(|class| {
            let module = class.modules.first().copied().unwrap_or_default();
            // Users import from the package; its modules are its own affair, and their names begin with an underscore.
            let module = module.split_once("._").map_or(module, |(package, _)| package);
            Covered { family: family.title, module, class: class.name }
        })
    })
}
