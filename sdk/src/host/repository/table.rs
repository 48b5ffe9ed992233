//! What is served of one model at a moment: which versions answer, and why others do not. A request looks here once, and a change
//! puts another table in the place.

use std::sync::Arc;

use weir_proto::{Code, Error};

use crate::host::model::Live;
use crate::{Metadata, ModelState, ModelStatus, VersionStatus};

/// What is served of one model.
#[derive(Clone)]
pub(super) struct Table {
    /// The versions that answer, the lowest first; a request that names none gets the last.
    pub(super) live: Vec<Arc<Served>>,
    /// Why none does, where none does.
    pub(super) away: Away,
    /// The versions that are wanted and do not answer, and why.
    pub(super) others: Vec<VersionStatus>,
    /// What stands for versions in a path: pairs of label and version.
    pub(super) labels: Arc<[(String, String)]>,
}

/// A version that answers, and what is known of it beyond that.
pub(super) struct Served {
    /// The version itself, which requests hold.
    pub(super) live: Live,
    /// Its number, by which versions are in order.
    pub(super) number: u64,
    /// What its files looked like, and where it was loaded from.
    pub(super) stamp: (u64, u64),
    /// What it holds. The last field: what is held is given back after it was freed.
    pub(super) holding: Option<super::accounts::Holding>,
}

/// Why nothing of a model answers.
#[derive(Clone)]
pub(super) enum Away {
    Loading,
    Failed(String),
    /// It was unloaded by request.
    Unloaded,
    /// Nobody has asked for it for long. What it takes and gives is still known, version by version.
    Idle(Arc<[Metadata]>),
}

/// What a request finds.
pub(super) enum Look {
    Served(Arc<Served>),
    /// It has to be loaded first.
    Asleep,
}

impl Table {
    /// Finds the version that a request names: a number, `@` and a label, or none.
    ///
    /// # Errors
    /// `NotFound`, `NotReady` or `InvalidInput`, for clients.
    pub(super) fn find(&self, name: &str, version: &str) -> Result<Look, Error> {
        let Some(newest) = self.live.last() else { return self.absent(name) };
        if version.is_empty() {
            return Ok(Look::Served(Arc::clone(newest)));
        }
        let wanted = match version.strip_prefix('@') {
            Some(label) => self.version_of(label)?,
            None => version,
        };
        let found = self.live.iter().find(|it| it.live.version() == wanted);
        found.map(|it| Look::Served(Arc::clone(it))).ok_or_else(|| self.without(name, wanted))
    }

    fn absent(&self, name: &str) -> Result<Look, Error> {
        match &self.away {
            Away::Loading => Err(Error::model_not_ready(name, "It is loading.")),
            Away::Failed(reason) => Err(Error::model_not_ready(name, reason)),
            Away::Unloaded => Err(Error::model_not_found(name)),
            Away::Idle(_) => Ok(Look::Asleep),
        }
    }

    fn without(&self, name: &str, version: &str) -> Error {
        if let Some(other) = self.others.iter().find(|it| it.version == version) {
            let why = format!("Version {version}: {}", other.reason);
            return Error::model_not_ready(name, &why);
        }
        let versions: Vec<_> = self.live.iter().map(|it| it.live.version()).collect();
        let word = if versions.len() == 1 { "version" } else { "versions" };
        let message = format!(
            "Could not find version {version} of model {name}; it has {word} {}",
            versions.join(", ")
        );
        Error::new(Code::NotFound, message)
    }

    fn version_of(&self, label: &str) -> Result<&str, Error> {
        let found = self.labels.iter().find(|(name, _)| name == label);
        found.map(|(_, version)| version.as_str()).ok_or_else(|| {
            let known: Vec<_> = self.labels.iter().map(|(name, _)| name.as_str()).collect();
            let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
            Error::invalid(format!("Unrecognized servable version label: {label}; known are: {known}"))
        })
    }

    /// Tells of the model and each of its versions.
    pub(super) fn status(&self, name: &str) -> ModelStatus {
        let mut versions: Vec<_> = self.live.iter().map(|it| it.status()).collect();
        versions.extend(self.others.iter().cloned());
        versions.sort_by_cached_key(|it| (it.version.parse::<u64>().unwrap_or(0), it.version.clone()));
        let newest = self.live.last().map(|it| it.status());
        let told = match (newest, &self.away) {
            (Some(it), _) => {
                ModelStatus { version: it.version, ..ModelStatus::away(name, it.state, it.reason) }
            }
            (None, Away::Loading) => ModelStatus::away(name, ModelState::Loading, "it is loading"),
            (None, Away::Failed(reason)) => ModelStatus::away(name, ModelState::Failed, reason.clone()),
            (None, Away::Unloaded) => ModelStatus::away(name, ModelState::Unloaded, "unloaded"),
            // Whoever asks gets an answer: it is ready, and only its memory is not taken.
            (None, Away::Idle(told)) => {
                let version = told.last().map_or("", |it| it.version.as_str());
                versions = told.iter().map(asleep).chain(versions).collect();
                ModelStatus::ready(name, version)
            }
        };
        ModelStatus { versions, ..told }
    }

    /// Tells what a version takes and gives.
    ///
    /// # Errors
    /// As for [`Table::find`].
    pub(super) fn metadata(&self, name: &str, version: &str) -> Result<Metadata, Error> {
        if let (Away::Idle(told), None) = (&self.away, self.live.last()) {
            let versions = told.iter().map(|it| it.version.clone()).collect();
            let wanted = match version.strip_prefix('@') {
                Some(label) => self.version_of(label)?,
                None => version,
            };
            let found = told.iter().rfind(|it| wanted.is_empty() || it.version == wanted);
            let found = found.ok_or_else(|| self.without(name, wanted))?;
            return Ok(Metadata { versions, ..found.clone() });
        }
        match self.find(name, version)? {
            Look::Served(it) => {
                let versions = self.live.iter().map(|it| it.live.version().to_owned()).collect();
                Ok(Metadata { versions, ..it.live.metadata() })
            }
            Look::Asleep => Err(Error::model_not_ready(name, "It is loading.")),
        }
    }
}

/// The status of a version that sleeps.
fn asleep(told: &Metadata) -> VersionStatus {
    let reason = "idle: its next request loads it".to_owned();
    VersionStatus { version: told.version.clone(), state: ModelState::Ready, reason, memory_bytes: None }
}

impl Served {
    fn status(&self) -> VersionStatus {
        let (state, reason) = match self.live.model().health() {
            Ok(()) => (ModelState::Ready, String::new()),
            Err(reason) => (ModelState::Failed, reason),
        };
        let memory_bytes = self.holding.as_ref().map(super::accounts::Holding::bytes);
        VersionStatus { version: self.live.version().to_owned(), state, reason, memory_bytes }
    }

    /// Whether it is loaded from there and its files still look like that.
    pub(super) fn is(&self, number: u64, stamp: (u64, u64)) -> bool {
        self.number == number && self.stamp == stamp
    }
}
