//! TensorFlow's C library: a SavedModel as a session that is asked by the names of tensors. The library is opened when the first
//! model needs it and stays open: it cannot be closed once it has threads.

mod api;
mod session;
mod tensor;

use std::path::Path;

use crate::opened::Opened;
use crate::{Search, Wanted};

use self::api::Api;
pub use self::session::{Endpoint, Session, SessionOptions};
pub use self::tensor::{Contents, Elements, Input, Tensor};

/// Where the library is looked for: the wheel has one as well as the C package.
pub const WANTED: Wanted = Wanted {
    title: "TensorFlow's library",
    files: &["libtensorflow_cc.so", "libtensorflow.so"],
    variable: "TENSORFLOW_LIBRARY",
    wheel_folders: &["tensorflow"],
    system_folders: &[],
    install: "pip install tensorflow-cpu",
};

/// What TensorFlow refused or failed at.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    /// TensorFlow's code, which is that of gRPC: 3 for an invalid argument.
    pub code: i32,
    /// Its own text.
    pub message: String,
}

impl Failure {
    /// TensorFlow's number for an invalid argument.
    pub const INVALID_ARGUMENT: i32 = 3;
    /// TensorFlow's number for a value beyond what there is.
    pub const OUT_OF_RANGE: i32 = 11;
    const INTERNAL: i32 = 13;

    fn internal(message: impl Into<String>) -> Self {
        Self { code: Self::INTERNAL, message: message.into() }
    }
}

/// The opened library.
#[derive(Clone, Copy)]
pub struct Library {
    api: &'static Api,
}

static OPENED: Opened<Api> = Opened::new();

impl Library {
    /// Finds the library and opens it, unless it is open.
    ///
    /// # Errors
    /// A text that says where it was looked for, or why the file found could not be used.
    pub fn of(search: &Search) -> Result<Self, String> {
        let path = WANTED.find(search).map_err(|error| error.to_string())?;
        Self::open(&path)
    }

    /// Opens the library in a file. A process has one TensorFlow: a second file is refused.
    ///
    /// # Errors
    /// What the system's linker says, or which function the file lacks.
    pub fn open(path: &Path) -> Result<Self, String> {
        OPENED.once("TensorFlow", path, Api::open).map(|api| Self { api })
    }

    /// Returns the version, such as `2.21.0`.
    #[must_use]
    pub fn version(&self) -> String {
        self.api.version()
    }

    /// Loads a SavedModel: the graph that has just those tags.
    ///
    /// # Errors
    /// TensorFlow's.
    pub fn load(&self, folder: &Path, tags: &[String], options: &SessionOptions) -> Result<Session, Failure> {
        Session::load(self.api, folder, tags, options)
    }
}
