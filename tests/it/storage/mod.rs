//! Models from where they are: each kind of store by a server that speaks its protocol, what they may do wrong, and what is refused.

mod archives;
mod emulators;
mod faults;
mod fetch;
mod registries;
mod server;
mod stores;
mod web;

use std::path::{Path, PathBuf};
use std::time::Duration;

use weir_sdk::Env;
use weir_sdk::storage::{Storage, StorageError, StorageFlags, Transfer};

/// Storage that keeps what it fetches in that folder, and does not wait long.
fn storage(cache: &Path, env: &[(&str, &str)]) -> Storage {
    let cache = cache.to_str().unwrap();
    let all: Env = env.iter().copied().chain([("WEIR_STORAGE_CACHE", cache)]).collect();
    Storage::new(&StorageFlags::default(), &all).unwrap().at_pace(hasty())
}

/// Small parts and short waits: what takes long elsewhere takes its turns here too.
fn hasty() -> Transfer {
    Transfer {
        chunk: 1 << 20,
        connections: 4,
        attempts: 4,
        first_wait: Duration::from_millis(5),
        longest_wait: Duration::from_millis(50),
        silence: Duration::from_secs(10),
        ..Transfer::default()
    }
}

/// Fetches into a new cache. Like every caller within a runtime it does so on a thread that may block.
async fn locate(uri: &str, env: &[(&str, &str)]) -> (tempfile::TempDir, Result<PathBuf, StorageError>) {
    let folder = tempfile::tempdir().unwrap();
    let found = locate_in(folder.path(), uri, env).await;
    (folder, found)
}

async fn locate_in(cache: &Path, uri: &str, env: &[(&str, &str)]) -> Result<PathBuf, StorageError> {
    let (storage, uri) = (storage(cache, env), uri.to_owned());
    tokio::task::spawn_blocking(move || storage.locate(&uri, Path::new("."))).await.unwrap()
}

/// Nothing but locks is left of a download.
#[track_caller]
fn nothing_left(cache: &Path) {
    let left: Vec<_> = server::tree(cache).into_keys().filter(|it| !it.ends_with(".lock")).collect();
    assert!(left.is_empty(), "{left:?}");
}
