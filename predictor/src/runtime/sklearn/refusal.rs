//! Why a model file is refused, said before its path is known.

use std::path::Path;

use crate::runtime::LoadError;
use crate::runtime::fault::shortened;

/// A [`LoadError`] without its path.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// The bytes are not a pickle, or not one that the named class writes.
    Malformed(String),
    /// Sound, but not served.
    Unsupported {
        /// What was met, and where it stands.
        what: String,
        /// What to do.
        advice: String,
    },
}

impl Refusal {
    pub(crate) fn malformed(reason: impl Into<String>) -> Self {
        Self::Malformed(reason.into())
    }

    pub(crate) fn unsupported(what: impl Into<String>, advice: impl Into<String>) -> Self {
        Self::Unsupported { what: what.into(), advice: advice.into() }
    }

    /// Names the file.
    pub(crate) fn of(self, path: &Path) -> LoadError {
        let path = path.to_owned();
        match self {
            Self::Malformed(reason) => LoadError::Malformed { path, reason: shortened(reason) },
            Self::Unsupported { what, advice } => {
                LoadError::Unsupported { path, what: shortened(what), advice }
            }
        }
    }
}
