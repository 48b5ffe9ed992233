//! `file://` and plain paths: used in place. Into a folder that somebody else names they are copied.

use std::path::{Path, PathBuf};

use super::list::Listing;
use super::place::{Place, unescaped};
use super::settings::Settings;
use super::{Source, StorageError};
use crate::BoxFuture;

/// Folders and files of this machine.
pub(super) struct File;

impl Source for File {
    fn schemes(&self) -> &'static [&'static str] {
        &["file"]
    }

    fn local(&self, place: &Place, base: &Path, _: &Settings) -> Option<Result<PathBuf, StorageError>> {
        let path = base.join(place.rest());
        let found = path.canonicalize().or_else(|error| {
            // As a URI it may have escapes.
            let read = unescaped(place.rest());
            if read == place.rest() { Err(error) } else { base.join(read).canonicalize() }
        });
        Some(found.map_err(|_| StorageError::Missing { uri: place.shown(), path }))
    }

    fn list<'a>(&'a self, place: &'a Place, _: &'a Settings) -> BoxFuture<'a, Result<Listing, StorageError>> {
        Box::pin(std::future::ready(Err(place.refused("it is a place on this machine, which is not listed"))))
    }
}
