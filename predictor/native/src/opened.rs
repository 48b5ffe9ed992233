//! What every library of a framework needs: to be opened once in a process, names for what is only pointed to, and a form for what
//! goes in.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// A tensor that goes in.
#[derive(Debug, Clone, Copy)]
pub struct Input<'a, E> {
    /// The element type, as the framework numbers them.
    pub datatype: i32,
    /// The sizes, outermost first.
    pub shape: &'a [usize],
    /// The elements.
    pub elements: E,
}

/// The table of functions of the one library of its kind that a process has. It stays open: it cannot be closed once it has
/// threads.
pub(crate) struct Opened<A: 'static>(Mutex<Option<(PathBuf, &'static A)>>);

impl<A> Opened<A> {
    pub(crate) const fn new() -> Self {
        Self(Mutex::new(None))
    }

    /// Opens the library in a file by `open`, unless it is open. A second file is refused, by the library's `title`.
    pub(crate) fn once(
        &self,
        title: &str,
        path: &Path,
        open: impl FnOnce(&Path) -> Result<A, String>,
    ) -> Result<&'static A, String> {
        let mut opened = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((first, api)) = &*opened {
            return if first == path {
                Ok(*api)
            } else {
                Err(format!("a process has one {title}: {} is open already", first.display()))
            };
        }
        let api: &'static A = Box::leak(Box::new(open(path)?));
        *opened = Some((path.to_owned(), api));
        Ok(api)
    }
}

/// Opens the file of a library that the operator has installed and named.
pub(crate) fn open(path: &Path) -> Result<libloading::Library, String> {
    // SAFETY: opening it runs its initializers, which is the trust that a framework gets; that it is the framework's is checked
    // by the functions that are looked up in it.
    unsafe { libloading::Library::new(path) }
        .map_err(|error| format!("cannot open {}: {}", path.display(), chain(&error)))
}

/// An error with its causes: the linker's text is one.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        text = format!("{text}: {next}");
        cause = next.source();
    }
    text
}

/// Declares types of a library's that are only ever pointed to.
macro_rules! opaque {
    ($($name:ident)*) => {
        $(#[repr(C)]
        pub(super) struct $name {
            _private: [u8; 0],
        })*
    };
}
pub(crate) use opaque;
