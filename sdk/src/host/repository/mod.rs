//! A host of models by name, each with any number of versions at once: it answers requests with the version they mean, loads,
//! swaps and unloads while it answers, and says who is ready and who holds how much.

mod accounts;
mod entry;
mod keeper;
mod policy;
mod source;
mod table;
#[cfg(test)]
mod tests;
mod warmup;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use arc_swap::ArcSwap;
use weir_proto::{Code, Error, Origin, Payload};

use super::ModelOptions;
use crate::id::Ids;
use crate::{BoxFuture, Call, Handle, MemoryHeld, Metadata, ModelStatus, RepositoryVerb, Verb};
use accounts::Accounts;
use entry::{Entry, Why};
use source::{ByLoader, Single};
use table::{Look, Served};

pub use policy::VersionPolicy;
pub use source::{Asked, Catalog, Found, Loaded, Loader, Source};

/// More models than this are found by a hash of their names, fewer by comparing them.
const FEW: usize = 8;

/// What is done with models beside answering.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Care {
    /// How often to look for new versions and models; `None` looks once, at the start.
    pub poll: Option<Duration>,
    /// A model that nobody has asked for so long is freed until its next request; `None` for never.
    pub idle: Option<Duration>,
    /// The most bytes that all models may hold together.
    pub memory_limit: Option<u64>,
}

/// Models by name, in whatever state they are.
pub struct ModelHost {
    me: Weak<Self>,
    catalog: Box<dyn Catalog>,
    care: Care,
    models: ArcSwap<Models>,
    /// Held by whoever adds or removes models.
    turn: Mutex<Desk>,
    shared: Arc<Shared>,
}

/// What is remembered between two looks at the catalog.
struct Desk {
    /// Where the keeper listens, until it is started.
    inbox: Option<Receiver<()>>,
    /// What was last told in the log of the catalog.
    complaint: String,
}

/// What a host shares with each of its models.
struct Shared {
    ids: Arc<Ids>,
    accounts: Arc<Accounts>,
    /// One of the models explains, or did.
    explains: AtomicBool,
    /// Versions that are in no table and wait for their last request.
    leaving: Mutex<Vec<Arc<Served>>>,
    /// Wakes the keeper.
    bell: Mutex<Sender<()>>,
}

impl Shared {
    /// Takes versions that no request finds any more.
    fn leave(&self, gone: Vec<Arc<Served>>) {
        if gone.is_empty() {
            return;
        }
        self.leaving.lock().unwrap_or_else(PoisonError::into_inner).extend(gone);
        // Fails only when there is no keeper any more, and then the host goes as well.
        let _ = self.bell.lock().unwrap_or_else(PoisonError::into_inner).send(());
    }

    /// Frees those whose last request has been answered. Returns whether others still wait. It may block.
    fn reap(&self) -> bool {
        let mut leaving = self.leaving.lock().unwrap_or_else(PoisonError::into_inner);
        let is_held = |it: &Arc<Served>| Arc::strong_count(it) > 1 || Arc::strong_count(it.live.model()) > 1;
        let (held, free) = std::mem::take(&mut *leaving).into_iter().partition(is_held);
        *leaving = held;
        let some = !leaving.is_empty();
        // To free a large model takes its time, and nobody is to wait for it.
        drop(leaving);
        drop::<Vec<_>>(free);
        some
    }
}

/// Models by name.
#[derive(Default, Clone)]
struct Models {
    /// In the order in which they were asked for.
    all: Vec<Member>,
    /// The places of more than a few.
    places: HashMap<String, usize>,
}

#[derive(Clone)]
struct Member {
    entry: Arc<Entry>,
    /// It is there because somebody loaded it by name, not because the catalog says so.
    by_name: bool,
}

impl Models {
    fn of(all: Vec<Member>) -> Self {
        let place = |(at, it): (usize, &Member)| (it.entry.name().to_owned(), at);
        let places =
            if all.len() > FEW { all.iter().enumerate().map(place).collect() } else { HashMap::new() };
        Self { all, places }
    }

    fn find(&self, name: &str) -> Option<&Arc<Entry>> {
        let found = if self.all.len() > FEW {
            self.places.get(name).and_then(|&at| self.all.get(at))
        } else {
            self.all.iter().find(|it| it.entry.name() == name)
        };
        found.map(|it| &it.entry)
    }
}

impl ModelHost {
    /// Creates a host of one model with one version, which is not loaded yet: that is what [`ModelHost::load`] does.
    pub fn new(options: ModelOptions, loader: Loader) -> Arc<Self> {
        let source = Arc::new(ByLoader(loader));
        let policy = VersionPolicy::default();
        let asked = Asked { options, policy, declared: None, mark: 0, source };
        let models = vec![asked.clone()];
        Self::with(Box::new(Single(asked)), models, Care::default())
    }

    /// Creates a host of what a catalog asks for. Nothing is loaded yet.
    ///
    /// # Errors
    /// The catalog's.
    pub fn of(catalog: Box<dyn Catalog>, care: Care) -> Result<Arc<Self>, String> {
        let models = catalog.models()?;
        Ok(Self::with(catalog, models, care))
    }

    fn with(catalog: Box<dyn Catalog>, models: Vec<Asked>, care: Care) -> Arc<Self> {
        let (bell, inbox) = channel();
        let shared = Arc::new(Shared {
            ids: Arc::new(Ids::default()),
            accounts: Accounts::new(care.memory_limit),
            explains: AtomicBool::new(false),
            leaving: Mutex::default(),
            bell: Mutex::new(bell),
        });
        let member = |asked| Member { entry: Entry::new(asked, Arc::clone(&shared)), by_name: false };
        let models = Models::of(models.into_iter().map(member).collect());
        Arc::new_cyclic(|me| Self {
            me: Weak::clone(me),
            catalog,
            care,
            models: ArcSwap::from_pointee(models),
            turn: Mutex::new(Desk { inbox: Some(inbox), complaint: String::new() }),
            shared,
        })
    }

    /// Loads every model that is asked for, and begins to look after them. It may block.
    ///
    /// # Errors
    /// `NotReady` with the reason of the first that cannot be loaded.
    pub fn load(&self) -> Result<(), Error> {
        if let Some(inbox) = self.desk().inbox.take() {
            keeper::start(Weak::clone(&self.me), inbox, self.care.poll, self.care.idle);
        }
        let entries: Vec<_> = self.models.load().all.iter().map(|it| Arc::clone(&it.entry)).collect();
        side_by_side(&entries, |entry| entry.look(Why::Start))
    }

    /// Looks what is asked for and which versions there are.
    fn look(&self) {
        let new = self.reconcile();
        let entries: Vec<_> = self.models.load().all.iter().map(|it| Arc::clone(&it.entry)).collect();
        let why = |entry: &Arc<Entry>| {
            if new.iter().any(|it| Arc::ptr_eq(it, entry)) { Why::Start } else { Why::Time }
        };
        // What cannot be loaded is in the log, and in every answer.
        drop(side_by_side(&entries, |entry| entry.look(why(entry))));
    }

    /// Adds models that the catalog asks for now, and unloads those it does not ask for any more. Returns the new ones.
    fn reconcile(&self) -> Vec<Arc<Entry>> {
        let mut desk = self.desk();
        let asked = match self.catalog.models() {
            Ok(asked) => asked,
            Err(reason) => {
                if desk.complaint != reason {
                    tracing::error!(
                        "the models asked for are not known, and those there are go on: {reason}"
                    );
                    desk.complaint = reason;
                }
                return Vec::new();
            }
        };
        desk.complaint.clear();
        let before = self.models.load_full();
        let is_asked = |it: &Member| asked.iter().any(|asked| asked.options.name == it.entry.name());
        // Whatever was loaded by its name stays while it could be loaded again.
        let stays = |it: &&Member| {
            is_asked(it)
                || (it.by_name && (!it.entry.is_unloaded() || self.catalog.find(it.entry.name()).is_some()))
        };
        let mut all: Vec<_> = before.all.iter().filter(stays).cloned().collect();
        for gone in before.all.iter().filter(|it| !stays(it)) {
            tracing::info!(model = gone.entry.name(), "model unloaded: it is asked for no longer");
            gone.entry.unload();
        }
        let mut new = Vec::new();
        for asked in asked {
            match before.find(&asked.options.name) {
                Some(entry) => entry.ask(asked),
                None => new.push(Entry::new(asked, Arc::clone(&self.shared))),
            }
        }
        if all.len() != before.all.len() || !new.is_empty() {
            all.extend(new.iter().map(|entry| Member { entry: Arc::clone(entry), by_name: false }));
            self.models.store(Arc::new(Models::of(all)));
        }
        new
    }

    fn rest(&self, idle: Duration) {
        for it in &self.models.load_full().all {
            it.entry.rest(idle);
        }
    }

    /// Loads a model, one that is only in the catalog as well.
    fn load_one(&self, name: &str) -> Result<(), Error> {
        let entry = self.models.load().find(name).cloned();
        let entry = entry.or_else(|| self.add(name)).ok_or_else(|| Error::model_not_found(name))?;
        entry.look(Why::Load)
    }

    /// Adds a model that nobody asked for but whoever wants it loaded now.
    fn add(&self, name: &str) -> Option<Arc<Entry>> {
        let _turn = self.desk();
        let before = self.models.load_full();
        if let Some(entry) = before.find(name) {
            return Some(Arc::clone(entry));
        }
        let entry = Entry::new(self.catalog.find(name)?, Arc::clone(&self.shared));
        let mut all = before.all.clone();
        all.push(Member { entry: Arc::clone(&entry), by_name: true });
        self.models.store(Arc::new(Models::of(all)));
        Some(entry)
    }

    fn change(&self, verb: RepositoryVerb, name: &str) -> Result<(), Error> {
        match verb {
            RepositoryVerb::Load => self.load_one(name),
            RepositoryVerb::Unload => {
                let entry = self.entry(name)?;
                entry.unload();
                Ok(())
            }
        }
    }

    fn entry(&self, name: &str) -> Result<Arc<Entry>, Error> {
        self.models.load().find(name).cloned().ok_or_else(|| Error::model_not_found(name))
    }

    fn desk(&self) -> std::sync::MutexGuard<'_, Desk> {
        self.turn.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What a request finds, with one look and nothing allocated.
    fn find(&self, name: &str, version: &str) -> Result<Look, Error> {
        match self.models.load().find(name) {
            Some(entry) => entry.find(version),
            None => Err(Error::model_not_found(name)),
        }
    }

    async fn answer(&self, call: Call) -> Result<Payload, Error> {
        let served = match self.find(&call.model, &call.version)? {
            Look::Served(it) => it,
            // Apart, so that the future of every other request is small.
            Look::Asleep => Box::pin(self.entry(&call.model)?.wake(&call.version)).await?,
        };
        served.live.touch();
        served.live.answer(call).await
    }
}

/// Loads several models on as many threads as there are cores. Returns the first error met.
fn side_by_side(
    entries: &[Arc<Entry>],
    work: impl Fn(&Arc<Entry>) -> Result<(), Error> + Sync,
) -> Result<(), Error> {
    let threads = std::thread::available_parallelism().map_or(1, Into::into).min(entries.len());
    if threads < 2 {
        return entries.iter().map(&work).fold(Ok(()), Result::and);
    }
    let next = AtomicUsize::new(0);
    let first = Mutex::new(Ok(()));
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some(entry) = entries.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if let Err(error) = work(entry) {
                        let mut first = first.lock().unwrap_or_else(PoisonError::into_inner);
                        *first = std::mem::replace(&mut *first, Ok(())).and(Err(error));
                    }
                }
            });
        }
    });
    first.into_inner().unwrap_or_else(PoisonError::into_inner)
}

impl Handle for ModelHost {
    fn component(&self) -> Origin {
        Origin::Predictor
    }

    fn verbs(&self) -> &[Verb] {
        if self.shared.explains.load(Ordering::Relaxed) {
            &[Verb::Infer, Verb::Explain]
        } else {
            &[Verb::Infer]
        }
    }

    fn call(&self, call: Call) -> BoxFuture<'_, Result<Payload, Error>> {
        Box::pin(self.answer(call))
    }

    fn models(&self) -> BoxFuture<'_, Vec<ModelStatus>> {
        let models = self.models.load();
        let told = models.all.iter().map(|it| it.entry.table().status(it.entry.name())).collect();
        Box::pin(std::future::ready(told))
    }

    fn memory(&self) -> Vec<MemoryHeld> {
        self.shared.accounts.held()
    }

    fn metadata<'a>(&'a self, model: &'a str, version: &'a str) -> BoxFuture<'a, Result<Metadata, Error>> {
        let told = self.entry(model).and_then(|it| it.table().metadata(model, version));
        Box::pin(std::future::ready(told))
    }

    fn explains(&self, model: &str) -> bool {
        let found = self.find(model, "");
        matches!(found, Ok(Look::Served(it)) if it.live.model().whole().is_some_and(crate::Whole::explains))
    }

    fn has_repository(&self) -> bool {
        true
    }

    fn repository<'a>(&'a self, verb: RepositoryVerb, model: &'a str) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(async move {
            let host = self.me.upgrade().expect("whoever calls holds the host");
            let model = model.to_owned();
            let work = tokio::task::spawn_blocking(move || host.change(verb, &model));
            work.await.map_err(|_| Error::new(Code::Inference, "loading the model failed unexpectedly"))?
        })
    }
}
