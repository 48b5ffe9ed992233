//! What is wrong with the bytes of a model, said before the file is known that they came out of.

use std::path::Path;

use weir_sdk::Model;
use weir_sdk::proto::json::JsonError;

use super::LoadError;

/// What is wrong with the bytes of a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// They are not what the format says.
    Malformed(String),
    /// They are sound, but hold something that is not served.
    Unsupported {
        /// What it is, by the framework's own name.
        what: String,
        /// What to do.
        advice: &'static str,
    },
}

impl Fault {
    pub(super) fn malformed(reason: impl Into<String>) -> Self {
        Self::Malformed(reason.into())
    }
}

impl From<JsonError> for Fault {
    fn from(error: JsonError) -> Self {
        Self::Malformed(error.to_string())
    }
}

/// Reads the model that is a whole file.
pub(super) fn load<M: Model + 'static>(
    file: &Path,
    read: impl FnOnce(&[u8]) -> Result<M, Fault>,
) -> Result<Box<dyn Model>, LoadError> {
    let path = || file.to_owned();
    let bytes = std::fs::read(file).map_err(|source| LoadError::Read { path: path(), source })?;
    match read(&bytes) {
        Ok(model) => Ok(Box::new(model)),
        Err(Fault::Malformed(reason)) => {
            Err(LoadError::Malformed { path: path(), reason: shortened(reason) })
        }
        Err(Fault::Unsupported { what, advice }) => {
            Err(LoadError::Unsupported { path: path(), what: shortened(what), advice: advice.to_owned() })
        }
    }
}

/// Texts quote the file, which may hold anything.
pub(crate) fn shortened(text: String) -> String {
    const LONGEST: usize = 1000;
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text,
    }
}
