//! Where models come from: a `storageUri` becomes a folder on this machine. To add a scheme, write a file beside this one and
//! name it in [`SOURCES`]; the rest (rules, transfer, archives, cache) is the same for all.
//!
//! Whoever fetches blocks: it happens on threads of its own, wherever it is asked for.

pub mod archive;
mod azure;
mod cache;
mod client;
pub mod command;
mod connect;
mod error;
mod file;
mod gs;
mod hf;
mod https;
mod journal;
mod list;
mod oci;
mod patterns;
mod place;
mod policy;
mod progress;
mod pvc;
mod s3;
mod settings;
mod sigv4;
mod spec;
mod tls;
mod token;
mod transfer;
mod webhdfs;
pub mod xml;

use std::collections::HashMap;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

pub use error::{Passing, StorageError};
pub use list::Listing;
pub use place::Place;
pub use progress::{Report, Snapshot};
pub use settings::{Limits, Settings, StorageFlags, Transfer};
pub use spec::{Places, Spec, is_variable, places_to_json};

use crate::run::Signals;
use crate::{BoxFuture, Env};

/// Every kind of source this build knows. The first that takes a place has it.
pub static SOURCES: &[&dyn Source] = &[
    &file::File,
    &pvc::Pvc,
    &s3::S3,
    &gs::Gs,
    &azure::Azure,
    &hf::Hf,
    &oci::Oci,
    &webhdfs::WebHdfs,
    &https::Https,
];

/// A kind of storage.
pub trait Source: Sync {
    /// The schemes it serves, such as `file`.
    fn schemes(&self) -> &'static [&'static str];

    /// Whether it has the place; by its scheme, if it does not say otherwise.
    fn takes(&self, place: &Place) -> bool {
        self.schemes().contains(&place.scheme.as_str())
    }

    /// The folder or file that is used in place, of a source that has everything on this machine. `base` is where relative
    /// paths begin.
    fn local(&self, _: &Place, _: &Path, _: &Settings) -> Option<Result<PathBuf, StorageError>> {
        None
    }

    /// The hosts that the user named for credentials: they may be anywhere, since somebody wants them to be asked.
    fn named(&self, _: &Settings) -> Vec<String> {
        Vec::new()
    }

    /// Lists the files of the model.
    fn list<'a>(
        &'a self,
        place: &'a Place,
        settings: &'a Settings,
    ) -> BoxFuture<'a, Result<Listing, StorageError>>;
}

/// The source of a place.
///
/// # Errors
/// [`StorageError::Scheme`] with the schemes there are.
pub(crate) fn source_of(place: &Place) -> Result<&'static dyn Source, StorageError> {
    SOURCES.iter().copied().find(|it| it.takes(place)).ok_or_else(|| {
        let known: Vec<_> =
            SOURCES.iter().flat_map(|it| it.schemes()).map(|it| format!("`{it}://`")).collect();
        StorageError::Scheme { uri: place.shown(), scheme: place.scheme.clone(), known: known.join(", ") }
    })
}

/// Says where a URI leads without fetching anything: a place on this machine becomes its absolute path, another one stays as it
/// is. A plain path may be relative to `base`, the manifest's folder.
///
/// # Errors
/// [`StorageError`] when there is no such scheme, or nothing there.
pub fn resolve(uri: &str, base: &Path) -> Result<String, StorageError> {
    let place = Place::read(uri)?;
    let source = source_of(&place)?;
    // Claims are mapped where the model is loaded, which has the flags for it.
    let local = (place.scheme == "file").then(|| {
        let settings = Settings::of(&StorageFlags::default(), &Env::default())?;
        source.local(&place, base, &settings).transpose()
    });
    match local.transpose()?.flatten() {
        Some(path) => Ok(path.display().to_string()),
        None => Ok(uri.to_owned()),
    }
}

/// A URI without what may be secret in it: passwords, and its query.
pub fn redacted(uri: &str) -> String {
    place::shown(uri)
}

/// Fetches models. What it has given out of its cache stays there as long as it lives.
#[derive(Debug)]
pub struct Storage {
    settings: Settings,
    spec: Option<Spec>,
    places: Option<Places>,
    report: Report,
    held: Mutex<HashMap<PathBuf, cache::Held>>,
}

impl Storage {
    /// Reads flags and environment.
    ///
    /// # Errors
    /// [`StorageError::Settings`].
    pub fn new(flags: &StorageFlags, env: &Env) -> Result<Self, StorageError> {
        let settings = Settings::of(flags, env)?;
        let spec = flags.spec.as_deref().map(Spec::read).transpose()?;
        let spec = spec.or_else(|| Spec::of_environment(env));
        Ok(Self {
            settings,
            spec,
            places: flags.uris.clone(),
            report: Report::default(),
            held: Mutex::default(),
        })
    }

    /// Tells how far downloads are in another way than by the log.
    #[must_use]
    pub fn reporting(mut self, report: Report) -> Self {
        self.report = report;
        self
    }

    /// Changes how models are read.
    #[must_use]
    pub fn at_pace(mut self, transfer: Transfer) -> Self {
        self.settings.transfer = transfer;
        self
    }

    /// Whether the flags say where a model is.
    pub fn names_a_place(&self) -> bool {
        self.places.is_some() || self.spec.as_ref().is_some_and(Spec::has_path)
    }

    /// Whether a service's model is on this machine, so that no store is asked for it.
    pub fn is_here(&self, uri: Option<&str>) -> bool {
        let is_here = |uri: &str| {
            let (settings, place) = self.read(uri)?;
            Ok::<_, StorageError>(source_of(&place)?.local(&place, Path::new("."), &settings).is_some())
        };
        match (&self.places, uri, &self.spec) {
            (Some(places), _, _) => places.0.iter().all(|(uri, _)| is_here(uri).unwrap_or(false)),
            (None, Some(uri), _) => is_here(uri).unwrap_or(false),
            (None, None, spec) => !spec.as_ref().is_some_and(Spec::has_path),
        }
    }

    /// Makes a service's model available: at the places that its flags name, the URI, or what its storage spec says; in KServe's
    /// folder where nothing says more. Blocks until it is.
    ///
    /// # Errors
    /// [`StorageError`].
    pub fn locate_model(&self, uri: Option<&str>, base: &Path) -> Result<PathBuf, StorageError> {
        match (&self.places, uri, &self.spec) {
            (Some(places), _, _) => self.locate_all(&places.0, base),
            (None, Some(uri), _) => self.locate(uri, base),
            (None, None, Some(spec)) if spec.has_path() => self.locate(&spec.uri(&self.settings.env)?, base),
            (None, None, _) => self.locate("/mnt/models", base),
        }
    }

    /// Makes what the URI names available on this machine: in place where it is here, else in the cache. Blocks until it is.
    ///
    /// # Errors
    /// [`StorageError`].
    pub fn locate(&self, uri: &str, base: &Path) -> Result<PathBuf, StorageError> {
        let (settings, place) = self.read(uri)?;
        if let Some(local) = source_of(&place)?.local(&place, base, &settings) {
            return local;
        }
        let (settings, place) = (&settings, &place);
        let (path, held) = on_own_threads(&place.shown(), |stop| async move {
            cache::Fetching { settings, report: &self.report, stop }.cached(place).await
        })?;
        if let Ok(mut list) = self.held.lock() {
            list.extend(held.map(|it| (path.clone(), it)));
        }
        Ok(path)
    }

    /// Makes several URIs available as one folder: each below a folder of its own, or where that is empty in the folder itself.
    ///
    /// # Errors
    /// [`StorageError`].
    pub fn locate_all(&self, uris: &[(String, String)], base: &Path) -> Result<PathBuf, StorageError> {
        let mut parts = Vec::with_capacity(uris.len());
        for (uri, below) in uris {
            parts.push((self.locate(uri, base)?, below.clone()));
        }
        cache::join(&self.settings.cache, &parts)
    }

    /// Fetches what the URI names into a folder: as a whole, or not at all. Blocks until it is there. What is on this machine
    /// already is linked.
    ///
    /// # Errors
    /// [`StorageError`].
    pub fn fetch_into(&self, uri: &str, folder: &Path) -> Result<(), StorageError> {
        let (settings, place) = self.read(uri)?;
        if let Some(local) = source_of(&place)?.local(&place, Path::new("."), &settings) {
            return cache::link_entries(&local?, folder);
        }
        let (settings, place) = (&settings, &place);
        on_own_threads(&place.shown(), |stop| async move {
            cache::Fetching { settings, report: &self.report, stop }.fill(place, folder).await
        })
    }

    /// The place of a URI, and the settings that a storage spec completes.
    fn read(&self, uri: &str) -> Result<(Settings, Place), StorageError> {
        let mut settings = self.settings.clone();
        let mut uri = uri.to_owned();
        if let Some(spec) = &self.spec {
            uri = spec.completed(&uri, &settings.env)?;
            settings.env = spec.environment(&settings.env)?;
        }
        let place = Place::read(&uri)?;
        let source = source_of(&place)?;
        settings.policy.scheme(&place.shown(), &place.scheme)?;
        settings.policy.named = source.named(&settings);
        Ok((settings, place))
    }
}

/// Runs on threads of its own until it is done or a signal says that the process is to end: whoever waits may be in any runtime
/// or in none.
fn on_own_threads<T, F, R>(uri: &str, run: R) -> Result<T, StorageError>
where
    T: Send,
    F: Future<Output = Result<T, StorageError>>,
    R: FnOnce(Arc<AtomicBool>) -> F + Send,
{
    // What runs on a blocking thread of the runtime looks at it.
    let stop = Arc::new(AtomicBool::new(false));
    let work = move || {
        let failed =
            |error: std::io::Error| StorageError::Settings(format!("no thread to fetch by: {error}"));
        let cores = std::thread::available_parallelism().map_or(2, |it| it.get().min(4));
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(cores).enable_all().build();
        let runtime = runtime.map_err(failed)?;
        let outcome = runtime.block_on(async {
            let mut signals = Signals::listen().map_err(failed)?;
            tokio::select! {
                outcome = run(Arc::clone(&stop)) => outcome,
                () = signals.next() => Err(StorageError::Cancelled { uri: uri.to_owned() }),
            }
        });
        stop.store(true, Ordering::Relaxed);
        // Connections are closed, and blocking work sees that it is to end; a name that is looked up is not waited for.
        runtime.shutdown_timeout(std::time::Duration::from_secs(10));
        outcome
    };
    std::thread::scope(|scope| {
        let ended = scope.spawn(work).join();
        ended.unwrap_or_else(|_| {
            Err(StorageError::Settings("the thread that fetches ended by a panic".to_owned()))
        })
    })
}
