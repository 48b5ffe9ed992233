//! Reads manifests from files, folders and standard input.

use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// A manifest's text, and where its relative paths begin.
#[derive(Debug)]
pub(crate) struct Source {
    /// The name shown in problems.
    pub(crate) name: String,
    pub(crate) base: PathBuf,
    pub(crate) text: String,
}

/// Why a manifest cannot be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SourceError {
    /// The file or folder cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The folder holds no manifest.
    #[error("{} holds no .yaml, .yml or .json file", .0.display())]
    Empty(PathBuf),
}

/// Reads every source: a file, a folder's manifests in the order of their names, or `-`.
pub(crate) fn read(names: &[PathBuf]) -> Result<Vec<Source>, SourceError> {
    let mut sources = Vec::new();
    for name in names {
        if name.as_os_str() == "-" {
            let mut text = String::new();
            let read = |source| SourceError::Read { path: "standard input".into(), source };
            io::stdin().read_to_string(&mut text).map_err(read)?;
            sources.push(Source { name: "-".to_owned(), base: PathBuf::from("."), text });
        } else if name.is_dir() {
            for file in manifests_of(name)? {
                sources.push(read_file(&file)?);
            }
        } else {
            sources.push(read_file(name)?);
        }
    }
    Ok(sources)
}

fn read_file(path: &Path) -> Result<Source, SourceError> {
    let read = |source| SourceError::Read { path: path.to_owned(), source };
    let text = std::fs::read_to_string(path).map_err(read)?;
    let base = path.parent().filter(|it| !it.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // Absolute, since a service of its own may run elsewhere.
    let base = base.canonicalize().map_err(read)?;
    Ok(Source { name: path.display().to_string(), base, text })
}

fn manifests_of(folder: &Path) -> Result<Vec<PathBuf>, SourceError> {
    let read = |source| SourceError::Read { path: folder.to_owned(), source };
    let mut files = Vec::new();
    for entry in folder.read_dir().map_err(read)? {
        let path = entry.map_err(read)?.path();
        let ending = path.extension().and_then(|it| it.to_str());
        if path.is_file() && matches!(ending, Some("yaml" | "yml" | "json")) {
            files.push(path);
        }
    }
    if files.is_empty() {
        return Err(SourceError::Empty(folder.to_owned()));
    }
    files.sort();
    Ok(files)
}
