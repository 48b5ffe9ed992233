//! Which models a predictor serves: the one of its flags, those of a configuration, those of a repository's folders.

pub mod agent;
mod folder;
pub mod serving;
pub mod warmup;

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use weir_sdk::host::repository::{Asked, Catalog, Found, Loaded, Source, VersionPolicy};
use weir_sdk::host::{ListedInputs, ModelOptions};
use weir_sdk::storage::Storage;

use crate::runtime::{LoadOptions, RUNTIMES, Runtime, python};
use agent::ModelEntry;
use folder::Folder;
pub(crate) use folder::Place;

pub use warmup::FILE as WARMUP;

/// How every model is loaded and served, but for what is its own.
pub(crate) struct Usual {
    pub(crate) options: ModelOptions,
    pub(crate) load: LoadOptions,
    pub(crate) policy: VersionPolicy,
    /// What reads models whose format nobody names.
    pub(crate) runtime: Option<&'static dyn Runtime>,
    /// What fetches models that are elsewhere.
    pub(crate) storage: Arc<Storage>,
    /// What a list of `inputs` means for models of TensorFlow Serving's configuration.
    pub(crate) served_inputs: ListedInputs,
}

/// Where models are asked for.
#[derive(Default)]
pub(crate) struct Shelf {
    /// Where the model of the flags lies.
    pub(crate) own: Option<Place>,
    /// Models that are written on the command line.
    pub(crate) entries: Vec<ModelEntry>,
    /// A configuration, and how often it is read again: `None` with every look, nought never.
    pub(crate) config: Option<(PathBuf, Option<Duration>)>,
    /// A folder of models' folders.
    pub(crate) repository: Option<PathBuf>,
    /// What comes into that folder later is loaded as well.
    pub(crate) watch: bool,
}

/// All models of a predictor.
pub(crate) struct Models {
    usual: Usual,
    shelf: Shelf,
    memory: Mutex<Memory>,
}

/// What was read before.
#[derive(Default)]
struct Memory {
    config: Option<(Instant, Config)>,
    /// The names of the repository's folders at the start.
    names: Option<Vec<String>>,
    /// What was asked for, and of what it was made.
    asked: Option<(Option<Config>, Vec<String>, Vec<Asked>)>,
}

/// What a configuration says.
#[derive(Clone, PartialEq)]
enum Config {
    Served(Vec<serving::ServedModel>),
    Entries(Vec<ModelEntry>),
}

impl Models {
    pub(crate) fn new(usual: Usual, shelf: Shelf) -> Self {
        Self { usual, shelf, memory: Mutex::default() }
    }

    fn config(&self, memory: &mut Memory) -> Result<Option<Config>, String> {
        let Some((path, again)) = &self.shelf.config else { return Ok(None) };
        if let Some((at, config)) = &memory.config
            && again.is_some_and(|it| it.is_zero() || at.elapsed() < it)
        {
            return Ok(Some(config.clone()));
        }
        let wrong = |reason: String| format!("{}: {reason}", path.display());
        let bytes = std::fs::read(path).map_err(|error| wrong(format!("cannot be read: {error}")))?;
        let config = read_config(&bytes).map_err(wrong)?;
        memory.config = Some((Instant::now(), config.clone()));
        Ok(Some(config))
    }

    /// The names of a repository's folders: of those there are, or of those there were at the start.
    fn names(&self, memory: &mut Memory) -> Result<Vec<String>, String> {
        let Some(repository) = &self.shelf.repository else { return Ok(Vec::new()) };
        if let Some(names) = memory.names.as_ref().filter(|_| !self.shelf.watch) {
            return Ok(names.clone());
        }
        let entries = repository.read_dir().map_err(|error| {
            format!("the model repository {} cannot be read: {error}", repository.display())
        })?;
        let name = |entry: std::fs::DirEntry| {
            let name = entry.file_name().into_string().ok()?;
            (!name.starts_with('.') && entry.path().is_dir()).then_some(name)
        };
        let mut names: Vec<_> = entries.flatten().filter_map(name).collect();
        names.sort();
        memory.names = Some(names.clone());
        Ok(names)
    }

    /// Every model that is asked for, with what is said of it.
    fn all(&self, config: Option<Config>, names: &[String]) -> Vec<Asked> {
        let mut all: Vec<_> = self.shelf.own.iter().map(|it| self.own(it)).collect();
        all.extend(self.shelf.entries.iter().cloned().map(|it| self.entry(it)));
        match config {
            Some(Config::Served(models)) => all.extend(models.into_iter().map(|it| self.served(it))),
            Some(Config::Entries(models)) => all.extend(models.into_iter().map(|it| self.entry(it))),
            None => {}
        }
        if let Some(repository) = &self.shelf.repository {
            all.extend(names.iter().map(|name| self.of_repository(repository, name)));
        }
        // Who is asked for by name and lies in the repository as well is one model.
        let mut names = std::collections::HashSet::new();
        all.retain(|it| names.insert(it.options.name.clone()));
        all
    }

    fn entry(&self, it: ModelEntry) -> Asked {
        let mut asked = self.asked(it.name, it.storage_uri, &it.framework);
        asked.declared = it.memory;
        asked
    }

    fn served(&self, it: serving::ServedModel) -> Asked {
        let mut asked = self.asked(it.name, it.base_path, &it.platform);
        asked.options.labels = it.labels;
        asked.options.inputs = self.usual.served_inputs;
        asked.policy = it.policy;
        asked
    }

    /// A model of a format, which is empty where its files tell.
    fn asked(&self, name: String, uri: String, format: &str) -> Asked {
        let usual = &self.usual;
        let options = ModelOptions { name: name.clone(), labels: Vec::new(), ..usual.options.clone() };
        let mark = mark(&(&uri, format));
        let by_python = usual.runtime.is_some_and(|it| it.name() == python::NAME);
        let named = RUNTIMES.iter().find(|it| it.name() == format).copied();
        let source: Arc<dyn Source> = if format.is_empty() || named.is_some() || by_python {
            let mut load = LoadOptions { name: name.clone(), ..usual.load.clone() };
            if !format.is_empty() {
                load.python.format = Some(format.to_owned());
            }
            let runtime = if by_python { usual.runtime } else { named.or(usual.runtime) };
            let fetched = self.shelf.repository.as_ref().filter(|_| is_plain(&name)).map(|it| it.join(&name));
            let numbered = AtomicBool::new(false);
            let place = Place::Uri(uri);
            let storage = Arc::clone(&usual.storage);
            Arc::new(Folder {
                name,
                place,
                storage,
                fetched,
                runtime,
                options: load,
                numbered,
                found: Mutex::default(),
            })
        } else {
            let known: Vec<_> = RUNTIMES.iter().map(|it| it.name()).collect();
            Arc::new(Unknown(format!(
                "unknown model format `{format}`; this build knows {}",
                known.join(", ")
            )))
        };
        Asked { options, policy: usual.policy.clone(), declared: None, mark, source }
    }

    /// The model of the flags.
    fn own(&self, place: &Place) -> Asked {
        let options = self.usual.options.clone();
        let folder = Folder {
            name: options.name.clone(),
            place: place.clone(),
            storage: Arc::clone(&self.usual.storage),
            found: Mutex::default(),
            fetched: None,
            runtime: self.usual.runtime,
            options: self.usual.load.clone(),
            numbered: AtomicBool::new(false),
        };
        let policy = self.usual.policy.clone();
        Asked { options, policy, declared: None, mark: mark(place), source: Arc::new(folder) }
    }

    fn of_repository(&self, repository: &Path, name: &str) -> Asked {
        self.asked(name.to_owned(), repository.join(name).display().to_string(), "")
    }
}

impl Catalog for Models {
    fn models(&self) -> Result<Vec<Asked>, String> {
        let mut memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        let config = self.config(&mut memory)?;
        let names = self.names(&mut memory)?;
        if let Some((of_config, of_names, asked)) = &memory.asked
            && (of_config, of_names) == (&config, &names)
        {
            return Ok(asked.clone());
        }
        let asked = self.all(config.clone(), &names);
        memory.asked = Some((config, names, asked.clone()));
        Ok(asked)
    }

    fn find(&self, name: &str) -> Option<Asked> {
        let repository = self.shelf.repository.as_ref()?;
        let is_there = is_plain(name) && repository.join(name).is_dir();
        is_there.then(|| self.of_repository(repository, name))
    }
}

/// Reads TensorFlow Serving's configuration, or the list of KServe's agent: the one begins with a word, the other is JSON.
fn read_config(bytes: &[u8]) -> Result<Config, String> {
    let text = bytes.trim_ascii();
    if text.starts_with(b"[") || text.starts_with(b"{") || text == b"null" {
        return agent::read(text).map(Config::Entries);
    }
    let text = std::str::from_utf8(text).map_err(|_| "it is not UTF-8".to_owned())?;
    serving::read(text).map(Config::Served)
}

/// Whether a name is that of a folder, and leads nowhere else.
fn is_plain(name: &str) -> bool {
    !name.starts_with('.') && !name.is_empty() && !name.contains(['/', '\\', '\0'])
}

fn mark(what: &(impl Hash + ?Sized)) -> u64 {
    let mut hash = DefaultHasher::new();
    what.hash(&mut hash);
    hash.finish()
}

/// A model of a format that nobody here knows.
struct Unknown(String);

impl Source for Unknown {
    fn look(&self, _: &VersionPolicy, _: bool) -> Result<Vec<Found>, String> {
        Err(self.0.clone())
    }

    fn load(&self, _: &Found) -> Result<Loaded, String> {
        Err(self.0.clone())
    }
}
