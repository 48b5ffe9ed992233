//! Where models come from: what is asked for by name, the versions there are of it, and how one of them is loaded.

use std::sync::Arc;

use weir_proto::Payload;

use super::VersionPolicy;
use crate::Model;
use crate::host::ModelOptions;

/// A model that was loaded, the version it was found as, and what is to be asked of it before anybody else asks.
pub struct Loaded {
    /// The model.
    pub model: Box<dyn Model>,
    /// Its version; models that have none are version 1, as everybody's first is.
    pub version: String,
    /// Requests that it answers before it takes traffic.
    pub warmup: Vec<Payload>,
}

impl Loaded {
    /// Of a model without versions.
    pub fn unversioned(model: Box<dyn Model>) -> Self {
        Self { model, version: "1".to_owned(), warmup: Vec::new() }
    }
}

/// Loads a model, or tells clients why not. It may block.
pub type Loader = Box<dyn Fn() -> Result<Loaded, String> + Send + Sync>;

/// A version that is there.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Found {
    /// Its number.
    pub version: u64,
    /// What changes whenever its files do.
    pub stamp: u64,
    /// How many bytes its files have, where anybody can tell.
    pub bytes: Option<u64>,
}

/// The versions of one model. Both may block.
pub trait Source: Send + Sync + 'static {
    /// Returns those of the versions there are now that are to be served, the highest first. Where nobody `asks` and only time
    /// has passed, what costs something to find out may be told as it was a while ago.
    ///
    /// # Errors
    /// Why nobody can tell, such as a folder that is not there. What is served goes on.
    fn look(&self, policy: &VersionPolicy, asks: bool) -> Result<Vec<Found>, String>;

    /// Loads a version.
    ///
    /// # Errors
    /// Why not, in words for clients.
    fn load(&self, found: &Found) -> Result<Loaded, String>;

    /// Tells where they lie, for the log alone.
    fn place(&self) -> String {
        String::new()
    }
}

/// A model that is to be there.
#[derive(Clone)]
pub struct Asked {
    /// Its name, and how it is served.
    pub options: ModelOptions,
    /// Which of its versions are served.
    pub policy: VersionPolicy,
    /// How much memory somebody declared for it, in bytes.
    pub declared: Option<u64>,
    /// What changes whenever it is to be loaded from elsewhere or otherwise; a label or a policy is no such thing.
    pub mark: u64,
    /// Where its versions come from.
    pub source: Arc<dyn Source>,
}

/// The models of a host. Each may block.
pub trait Catalog: Send + Sync + 'static {
    /// Returns the models that are to be there now. It is asked again at every look.
    ///
    /// # Errors
    /// Why nobody can tell. What is served goes on.
    fn models(&self) -> Result<Vec<Asked>, String>;

    /// Returns a model that is not to be there unasked and may be loaded by its name.
    fn find(&self, name: &str) -> Option<Asked> {
        let _ = name;
        None
    }
}

/// A catalog of one model, which is always the same.
pub(super) struct Single(pub(super) Asked);

impl Catalog for Single {
    fn models(&self) -> Result<Vec<Asked>, String> {
        Ok(vec![self.0.clone()])
    }
}

/// A model that a function loads; it has one version, and nobody can tell when that changes.
pub(super) struct ByLoader(pub(super) Loader);

impl Source for ByLoader {
    fn look(&self, _: &VersionPolicy, _: bool) -> Result<Vec<Found>, String> {
        Ok(vec![Found { version: 1, ..Found::default() }])
    }

    fn load(&self, _: &Found) -> Result<Loaded, String> {
        (self.0)()
    }
}
