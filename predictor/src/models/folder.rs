//! A model that lies in a folder or file: the versions there are of it, and whether its files have changed.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Instant, SystemTime};

use weir_sdk::host::repository::{Found, Loaded, Source, VersionPolicy};
use weir_sdk::storage::{self, Storage};

use super::warmup;
use crate::load;
use crate::runtime::{LoadOptions, Runtime};

/// How deep a folder is looked into for files that change.
const MAX_DEPTH: usize = 8;
/// How many files of one are looked at.
const MAX_FILES: usize = 10_000;

/// Where a model is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Place {
    /// A path, or a storage URI.
    Uri(String),
    /// What the flags of storage say, and KServe's folder where they say nothing.
    OfFlags,
}

impl Place {
    fn uri(&self) -> Option<&str> {
        match self {
            Self::Uri(uri) => Some(uri),
            Self::OfFlags => None,
        }
    }
}

/// Where a model's versions lie, and how they are loaded.
pub(super) struct Folder {
    /// The model's name.
    pub(super) name: String,
    /// Where it is.
    pub(super) place: Place,
    /// What fetches it from there.
    pub(super) storage: Arc<Storage>,
    /// Where it was on this machine at the last look.
    pub(super) found: Mutex<Option<PathBuf>>,
    /// A folder in which somebody else may have put it, which goes before.
    pub(super) fetched: Option<PathBuf>,
    /// What reads it, where somebody says so.
    pub(super) runtime: Option<&'static dyn Runtime>,
    /// How it is loaded.
    pub(super) options: LoadOptions,
    /// It had numbered folders once: without any it is no model of version 1 but gone.
    pub(super) numbered: AtomicBool,
}

impl Folder {
    /// Where it is on this machine. Who `asks` has a store asked whether it is another one by now, and fetched then; else it is
    /// where it was, since to list a store costs connections and money.
    fn path(&self, asks: bool) -> Result<PathBuf, String> {
        let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        // What is on this machine costs nothing to look up, and may be a link that leads elsewhere by now.
        let is_known = !asks && found.is_some() && !self.storage.is_here(self.place.uri());
        let known = found.take().filter(|_| is_known);
        let path = match self.fetched.clone().into_iter().chain(known).find(|it| it.exists()) {
            Some(path) => path,
            None => {
                let located = self.storage.locate_model(self.place.uri(), Path::new("."));
                located.map_err(|error| error.to_string())?
            }
        };
        *found = Some(path.clone());
        Ok(path)
    }
}

impl Source for Folder {
    fn look(&self, policy: &VersionPolicy, asks: bool) -> Result<Vec<Found>, String> {
        let path = self.path(asks)?;
        let mut versions = versions(&path);
        if !versions.is_empty() {
            self.numbered.store(true, Ordering::Relaxed);
        } else if !self.numbered.load(Ordering::Relaxed) {
            versions.push((1, path));
        }
        // Only into the folders of those that are served is looked: of the others there may be many.
        let wanted = policy.choose(versions.iter().map(|(version, _)| *version));
        let found = wanted.into_iter().filter_map(|version| {
            let (_, path) = versions.iter().find(|(number, _)| *number == version)?;
            let Seen { stamp, bytes, .. } = Seen::of(path);
            Some(Found { version, stamp, bytes: Some(bytes) })
        });
        Ok(found.collect())
    }

    fn load(&self, wanted: &Found) -> Result<Loaded, String> {
        let started = Instant::now();
        let base = self.path(false)?;
        let numbered = versions(&base).into_iter().find(|(version, _)| *version == wanted.version);
        let path = numbered.map_or_else(|| base.clone(), |(_, path)| path);
        // Clients are told the file's name; where it lies is for the log.
        let told = |reason: String| reason.replace(&folder_of(&path), "");
        let model = load(&path, self.runtime, &self.options).map_err(|error| told(error.to_string()))?;
        let own = if path.is_dir() { Some(&*path) } else { path.parent() };
        let folders: Vec<&Path> = own.into_iter().chain(Some(&*base).filter(|it| it.is_dir())).collect();
        let warmup = warmup::of_folders(&folders).map_err(told)?;
        tracing::info!(
            model = self.name,
            version = wanted.version,
            platform = model.signature().platform,
            took_us = started.elapsed().as_micros() as u64,
            "model loaded"
        );
        Ok(Loaded { model, version: wanted.version.to_string(), warmup })
    }

    fn place(&self) -> String {
        self.path(false).map_or_else(
            |_| self.place.uri().map_or_else(|| "the storage flags".to_owned(), storage::redacted),
            |it| it.display().to_string(),
        )
    }
}

/// The folders of a folder that are numbers: versions of a model, as TensorFlow Serving and Triton lay them out.
fn versions(path: &Path) -> Vec<(u64, PathBuf)> {
    let number = |entry: &std::fs::DirEntry| -> Option<u64> {
        let name = entry.file_name().into_string().ok()?;
        (name.bytes().all(|it| it.is_ascii_digit()) && entry.path().is_dir()).then(|| name.parse().ok())?
    };
    let entries = path.read_dir().into_iter().flatten().flatten();
    entries.filter_map(|entry| Some((number(&entry)?, entry.path()))).collect()
}

/// The folder of a model, with the separator after it.
fn folder_of(path: &Path) -> String {
    let folder = if path.is_dir() { Some(path) } else { path.parent() };
    folder.map(|it| format!("{}{}", it.display(), std::path::MAIN_SEPARATOR)).unwrap_or_default()
}

/// Whether a name is that of what others leave beside a model while it is used, such as Python's compiled code: a change of it is
/// no other model.
fn is_passing(name: &std::ffi::OsStr) -> bool {
    name == "__pycache__" || name.as_encoded_bytes().starts_with(b".")
}

/// What can be seen of files without reading them.
#[derive(Debug, Default, PartialEq, Eq)]
struct Seen {
    /// Changes with any file's name, size and time of change, and when another file is in its place; in whatever order they are
    /// met.
    stamp: u64,
    bytes: u64,
    files: usize,
}

impl Seen {
    fn of(path: &Path) -> Self {
        let mut seen = Self::default();
        seen.add(path, Path::new(""), 0);
        if path.is_file()
            && let Some(folder) = path.parent()
        {
            seen.add(&folder.join(warmup::FILE), Path::new(warmup::FILE), 0);
        }
        seen
    }

    fn add(&mut self, path: &Path, within: &Path, depth: usize) {
        let Ok(met) = path.metadata() else { return };
        if met.is_dir() {
            let entries = path.read_dir().into_iter().flatten().flatten();
            for entry in entries.filter(|it| depth < MAX_DEPTH && !is_passing(&it.file_name())) {
                self.add(&entry.path(), &within.join(entry.file_name()), depth + 1);
            }
        } else if self.files < MAX_FILES {
            let changed = met.modified().ok().and_then(|it| it.duration_since(SystemTime::UNIX_EPOCH).ok());
            let mut hash = DefaultHasher::new();
            (within, met.len(), changed, met.dev(), met.ino()).hash(&mut hash);
            self.stamp = self.stamp.wrapping_add(hash.finish());
            self.bytes = self.bytes.saturating_add(met.len());
            self.files += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_seen_by_size_time_and_name() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
        std::fs::create_dir(folder.path().join("sub")).unwrap();
        write("a", "1");
        write("sub/b", "22");
        let first = Seen::of(folder.path());
        assert_eq!((first.bytes, first.files), (3, 2));
        assert_eq!(Seen::of(folder.path()), first);
        std::fs::create_dir(folder.path().join("__pycache__")).unwrap();
        write("__pycache__/a.pyc", "1");
        write(".lock", "1");
        assert_eq!(Seen::of(folder.path()), first);
        write("sub/b", "333");
        let second = Seen::of(folder.path());
        assert_ne!(second.stamp, first.stamp);
        std::fs::rename(folder.path().join("a"), folder.path().join("c")).unwrap();
        assert_ne!(Seen::of(folder.path()).stamp, second.stamp);
    }
}
