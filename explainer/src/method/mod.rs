//! The methods of explanation. To add one, write a file beside this one and name it in [`EXPLAINERS`].

pub mod kernel_shap;

use std::path::PathBuf;

use weir_proto::document::Node;
use weir_sdk::Explain;

use crate::background::BackgroundError;

/// Every method this build knows.
pub static EXPLAINERS: &[&dyn Method] = &[&kernel_shap::KernelShap];

/// A way to explain: reads its data and options, and is then asked for explanations.
pub trait Method: Sync {
    /// Its name in a manifest, such as `kernel_shap`.
    fn name(&self) -> &'static str;

    /// Other names that other systems have for it.
    fn aliases(&self) -> &[&str];

    /// Reads the data and the options. Asks no predictions.
    ///
    /// # Errors
    /// A [`MethodError`] that names the file or the field, what was met and what to do.
    fn build(&self, spec: &MethodSpec) -> Result<Box<dyn Explain>, MethodError>;
}

/// What a manifest says about an explainer.
#[derive(Debug, Clone, Default)]
pub struct MethodSpec {
    /// The folder its storage was fetched to.
    pub folder: Option<PathBuf>,
    /// The options.
    pub config: Option<Node>,
}

/// Returns the method of a name or an alias.
///
/// # Errors
/// [`MethodError::Unknown`] naming those this build knows.
pub fn find(name: &str) -> Result<&'static dyn Method, MethodError> {
    let named = |method: &&&dyn Method| method.name() == name || method.aliases().contains(&name);
    EXPLAINERS.iter().find(named).copied().ok_or_else(|| {
        let known: Vec<_> = EXPLAINERS.iter().map(|method| method.name()).collect();
        MethodError::Unknown { name: name.to_owned(), known: known.join(", ") }
    })
}

/// Why a method could not be built.
#[derive(Debug, thiserror::Error)]
pub enum MethodError {
    /// There is no such method.
    #[error("unknown explainer `{name}`; this build knows {known}")]
    Unknown {
        /// What the manifest says.
        name: String,
        /// The names of the registry.
        known: String,
    },
    /// The method needs data, and the manifest names none.
    #[error("{method} needs a folder that holds `{file}`; set the explainer's `storageUri`")]
    Folder {
        /// The method.
        method: &'static str,
        /// The file it looks for.
        file: String,
    },
    /// The data cannot be used.
    #[error(transparent)]
    Background(#[from] BackgroundError),
    /// An option is wrong.
    #[error(transparent)]
    Config(#[from] weir_proto::Error),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn methods_are_found_by_name_and_alias_and_unknown_ones_are_told_the_known() {
        for name in ["kernel_shap", "KernelShap", "kernel-shap"] {
            assert_eq!(find(name).map(Method::name).unwrap(), "kernel_shap");
        }
        let text = find("shapley").map(Method::name).unwrap_err().to_string();
        assert_eq!(text, "unknown explainer `shapley`; this build knows kernel_shap");
    }
}
