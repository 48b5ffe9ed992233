//! `file://` and plain paths: used in place.

use std::path::{Path, PathBuf};

use super::{Source, StorageError};

/// Folders and files of this machine.
pub(super) struct File;

impl Source for File {
    fn schemes(&self) -> &'static [&'static str] {
        &["file"]
    }

    fn locate(&self, uri: &str, base: &Path) -> Result<PathBuf, StorageError> {
        let path = base.join(uri.strip_prefix("file://").unwrap_or(uri));
        path.canonicalize().map_err(|_| StorageError::Missing { uri: uri.to_owned(), path })
    }
}
