//! Why a `storageUri` gives no model. No text here has a secret in it: addresses are shown without queries and passwords.

use std::path::PathBuf;

/// Why a `storageUri` gives no model.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StorageError {
    /// No source knows the scheme.
    #[error(
        "storageUri `{uri}` has the unknown scheme `{scheme}`; this build knows {known}, and plain paths"
    )]
    Scheme {
        /// The URI.
        uri: String,
        /// Its scheme.
        scheme: String,
        /// The schemes there are.
        known: String,
    },
    /// Nothing is there.
    #[error("storageUri `{uri}`: {} does not exist", path.display())]
    Missing {
        /// The URI.
        uri: String,
        /// Where it was looked for.
        path: PathBuf,
    },
    /// The URI makes no sense, or a rule forbids what it or an answer asks for.
    #[error("storageUri `{uri}`: {reason}")]
    Refused {
        /// The URI, or the address it led to.
        uri: String,
        /// Why.
        reason: String,
    },
    /// The store said no, could not be reached, or gave something else than it promised.
    #[error("{address}: {reason}")]
    Store {
        /// The address, without its query.
        address: String,
        /// What was met, and what to do.
        reason: String,
        /// Whether another attempt may end better.
        passing: Passing,
    },
    /// The settings are wrong.
    #[error("{0}")]
    Settings(String),
    /// This machine's disk said no.
    #[error("{}: {reason}", path.display())]
    Disk {
        /// The file or folder.
        path: PathBuf,
        /// The system's words.
        reason: String,
    },
    /// An archive is broken, or holds what is not unpacked.
    #[error("archive `{name}`: {reason}")]
    Archive {
        /// Its name.
        name: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Somebody asked for the end.
    #[error("storageUri `{uri}`: the download was cancelled")]
    Cancelled {
        /// The URI.
        uri: String,
    },
}

/// What another attempt is good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Passing {
    /// Nothing: the answer will be the same.
    No,
    /// It may succeed, after so long a time if the store said one.
    Yes(Option<std::time::Duration>),
    /// The object is another one than was listed: the list has to be read again.
    Changed,
}

impl StorageError {
    /// An answer that stays the same.
    pub(super) fn answer(address: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::Store { address: address.into(), reason: reason.into(), passing: Passing::No }
    }

    /// An answer that may be another one soon.
    pub(super) fn passing(address: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::Store { address: address.into(), reason: reason.into(), passing: Passing::Yes(None) }
    }

    pub(super) fn changed(address: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::Store { address: address.into(), reason: reason.into(), passing: Passing::Changed }
    }

    pub(super) fn refused(uri: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::Refused { uri: uri.into(), reason: reason.into() }
    }

    pub(super) fn disk(path: impl Into<PathBuf>, error: &std::io::Error) -> Self {
        Self::Disk { path: path.into(), reason: error.to_string() }
    }

    pub(super) fn archive(name: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::Archive { name: name.into(), reason: reason.into() }
    }
}
