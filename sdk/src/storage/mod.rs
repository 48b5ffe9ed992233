//! Where models come from: a `storageUri` becomes a folder on this machine. To add a scheme, write a file beside this one and
//! name it in [`SOURCES`].

mod file;

use std::path::{Path, PathBuf};

/// Every kind of source this build knows.
pub static SOURCES: &[&dyn Source] = &[&file::File];

/// A kind of storage.
pub trait Source: Sync {
    /// The schemes it serves, such as `file`.
    fn schemes(&self) -> &'static [&'static str];

    /// Makes what the URI names available as a folder or file on this machine.
    ///
    /// # Errors
    /// A [`StorageError`] that names the URI and what to do.
    fn locate(&self, uri: &str, base: &Path) -> Result<PathBuf, StorageError>;
}

/// Why a `storageUri` gives no model.
#[derive(Debug, thiserror::Error)]
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
}

/// Makes what the URI names available on this machine. A plain path may be relative to `base`, the manifest's folder.
///
/// # Errors
/// [`StorageError`].
pub fn locate(uri: &str, base: &Path) -> Result<PathBuf, StorageError> {
    let scheme = uri.split_once("://").map_or("file", |(scheme, _)| scheme);
    let source = SOURCES.iter().find(|it| it.schemes().contains(&scheme)).ok_or_else(|| {
        let known: Vec<_> =
            SOURCES.iter().flat_map(|it| it.schemes()).map(|it| format!("`{it}://`")).collect();
        StorageError::Scheme { uri: uri.to_owned(), scheme: scheme.to_owned(), known: known.join(", ") }
    })?;
    source.locate(uri, base)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_scheme_names_the_known_ones() {
        let text = locate("gs://bucket/model", Path::new(".")).unwrap_err().to_string();
        assert_eq!(
            text,
            "storageUri `gs://bucket/model` has the unknown scheme `gs`; this build knows `file://`, and plain paths"
        );
    }

    #[test]
    fn plain_paths_are_relative_to_the_base() {
        let base = Path::new(env!("CARGO_MANIFEST_DIR"));
        assert_eq!(locate("src/storage", base).unwrap(), base.join("src/storage").canonicalize().unwrap());
        let uri = format!("file://{}", base.join("src").display());
        assert_eq!(locate(&uri, Path::new("/")).unwrap(), base.join("src").canonicalize().unwrap());
        assert!(locate("nowhere", base).unwrap_err().to_string().ends_with("nowhere does not exist"));
    }
}
