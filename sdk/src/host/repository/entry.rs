//! One model by name: what is served of it now, and how that changes. A change loads the new beside the old, and frees the old
//! once its last request has been answered.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use tokio::sync::Notify;
use weir_proto::Error;

use super::accounts::Holding;
use super::table::{Away, Look, Served, Table};
use super::{Asked, Found, Shared, warmup};
use crate::host::ModelOptions;
use crate::host::model::Live;
use crate::{ModelState, VersionStatus};

/// A model, in whatever state it is.
pub(super) struct Entry {
    name: String,
    table: ArcSwap<Table>,
    /// Told whenever there is another table.
    changed: Notify,
    /// Held by whoever changes something.
    turn: Mutex<Ledger>,
    /// Somebody loads it because a request waits.
    waking: AtomicBool,
    shared: Arc<Shared>,
}

/// Why versions are looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Why {
    /// For the first time.
    Start,
    /// Time has passed, or what is asked for has changed.
    Time,
    /// Somebody wants it loaded, or loaded again.
    Load,
    /// It sleeps, and a request waits for it.
    Wake,
}

/// What is remembered between two looks.
struct Ledger {
    asked: Asked,
    options: Arc<ModelOptions>,
    /// It is not to be loaded before somebody says so.
    unloaded: bool,
    /// What was seen at the last look.
    seen: Vec<Found>,
    failures: Vec<Failure>,
    /// What was last told in the log of the place where it lies.
    complaint: String,
    used: Instant,
}

/// A version that could not be loaded.
struct Failure {
    version: u64,
    stamp: (u64, u64),
    reason: String,
    /// How many bytes it needs, where there was no room for them: once there is, it is worth another attempt.
    needs: Option<u64>,
}

/// Why a version could not be loaded.
struct Refusal {
    reason: String,
    needs: Option<u64>,
}

impl Entry {
    pub(super) fn new(asked: Asked, shared: Arc<Shared>) -> Arc<Self> {
        let table = Table {
            live: Vec::new(),
            away: Away::Loading,
            others: Vec::new(),
            labels: asked.options.labels.as_slice().into(),
        };
        Arc::new(Self {
            name: asked.options.name.clone(),
            table: ArcSwap::from_pointee(table),
            changed: Notify::new(),
            turn: Mutex::new(Ledger::of(asked)),
            waking: AtomicBool::new(false),
            shared,
        })
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// What is served now.
    pub(super) fn table(&self) -> arc_swap::Guard<Arc<Table>> {
        self.table.load()
    }

    /// Finds the version that a request names.
    ///
    /// # Errors
    /// As for [`Table::find`].
    pub(super) fn find(&self, version: &str) -> Result<Look, Error> {
        self.table.load().find(&self.name, version)
    }

    /// Has a model that sleeps loaded, and waits until it answers or cannot. One load serves all who wait.
    ///
    /// # Errors
    /// As for [`Table::find`].
    pub(super) async fn wake(self: Arc<Self>, version: &str) -> Result<Arc<Served>, Error> {
        loop {
            let mut changed = std::pin::pin!(self.changed.notified());
            // From here on no change is missed.
            changed.as_mut().enable();
            if let Look::Served(it) = self.find(version)? {
                return Ok(it);
            }
            if !self.waking.swap(true, Ordering::AcqRel) {
                let entry = Arc::clone(&self);
                // It goes on when the request that began it has left: others wait as well.
                drop(tokio::task::spawn_blocking(move || {
                    // Why it cannot be loaded is in the table.
                    drop(entry.look(Why::Wake));
                    entry.waking.store(false, Ordering::Release);
                    entry.changed.notify_waiters();
                }));
            }
            changed.await;
        }
    }

    /// Says what is asked for from now on; the next look heeds it.
    pub(super) fn ask(&self, mut asked: Asked) {
        let mut ledger = self.ledger();
        if asked.mark == ledger.asked.mark {
            // It knows what it has seen.
            asked.source = Arc::clone(&ledger.asked.source);
        }
        let labels: Arc<[_]> = asked.options.labels.as_slice().into();
        ledger.options = Arc::new(asked.options.clone());
        ledger.asked = asked;
        if labels != self.table().labels {
            self.publish(|table| table.labels = labels);
        }
    }

    /// Unloads it. Requests that have it already are answered.
    pub(super) fn unload(&self) {
        let mut ledger = self.ledger();
        ledger.unloaded = true;
        ledger.failures.clear();
        self.publish(|table| {
            table.live.clear();
            table.others.clear();
            table.away = Away::Unloaded;
        });
        self.shared.reap();
    }

    /// Whether it was unloaded by request.
    pub(super) fn is_unloaded(&self) -> bool {
        self.ledger().unloaded
    }

    /// Frees it when nobody has asked for it for so long. It may block.
    pub(super) fn rest(&self, idle: Duration) {
        let mut ledger = self.ledger();
        let live = self.table.load().live.clone();
        // The table has one of each, and here is another.
        let busy = live.iter().any(|it| it.live.was_touched() | (Arc::strong_count(it) > 2));
        if busy || live.is_empty() {
            ledger.used = Instant::now();
        } else if ledger.used.elapsed() >= idle {
            tracing::info!(model = self.name, "model unloaded: nobody has asked for it for {idle:?}");
            let told = live.iter().map(|it| it.live.metadata()).collect();
            drop(live);
            self.publish(|table| {
                table.live.clear();
                table.away = Away::Idle(told);
            });
            self.shared.reap();
        }
    }

    /// Looks which versions there are, loads those that are wanted, and frees those that are not. It may block.
    ///
    /// # Errors
    /// `NotReady` with the reason, when the highest of those that are wanted cannot be loaded. What answered goes on.
    pub(super) fn look(&self, why: Why) -> Result<(), Error> {
        let mut ledger = self.ledger();
        let asleep = self.table().live.is_empty() && matches!(self.table().away, Away::Idle(_));
        if why == Why::Time && (ledger.unloaded || asleep) {
            return Ok(());
        }
        let asks = matches!(why, Why::Start | Why::Load);
        let wanted = match guarded(|| ledger.asked.source.look(&ledger.asked.policy, asks)) {
            Ok(wanted) => wanted,
            Err(reason) => return Err(self.lost(&mut ledger, reason)),
        };
        ledger.unloaded = false;
        if wanted.is_empty() {
            return Err(self.nothing(&mut ledger));
        }
        ledger.complaint.clear();
        let outcome = self.bring(&mut ledger, &wanted, why);
        self.retire(&mut ledger, &wanted);
        if why != Why::Time {
            ledger.used = Instant::now();
        }
        ledger.seen = wanted;
        self.shared.reap();
        outcome.map_err(|reason| Error::model_not_ready(&self.name, &reason))
    }

    /// Loads what is wanted and not there, the highest first. Tells why the highest could not be loaded.
    fn bring(&self, ledger: &mut Ledger, wanted: &[Found], why: Why) -> Result<(), String> {
        let mut outcome = Ok(());
        for (at, found) in wanted.iter().enumerate() {
            let stamp = (ledger.asked.mark, found.stamp);
            let is_there = self.table().live.iter().any(|it| it.is(found.version, stamp));
            let is_due = || ledger.is_due(found, why, |bytes| self.shared.accounts.fits(bytes));
            if why != Why::Load && (is_there || !is_due()) {
                continue;
            }
            self.tell(found.version, ModelState::Loading, "it is loading");
            let outcome_of_it = self.load(ledger, found);
            ledger.failures.retain(|it| it.version != found.version);
            match outcome_of_it {
                Ok(served) => self.put(served),
                Err(Refusal { reason, needs }) => {
                    let place = ledger.asked.source.place();
                    tracing::error!(
                        model = self.name,
                        version = found.version,
                        place,
                        "model not loaded: {reason}"
                    );
                    self.tell(found.version, ModelState::Failed, &reason);
                    if at == 0 {
                        outcome = Err(reason.clone());
                    }
                    ledger.failures.push(Failure { version: found.version, stamp, reason, needs });
                }
            }
            // Others may need the room at once.
            self.shared.reap();
        }
        outcome
    }

    /// Takes versions that are no longer wanted out of the table, once one that is wanted answers; and says why none does.
    fn retire(&self, ledger: &mut Ledger, wanted: &[Found]) {
        let is_wanted = |number: u64| wanted.iter().any(|it| it.version == number);
        ledger.failures.retain(|it| is_wanted(it.version));
        let failed = ledger.failures.iter().max_by_key(|it| it.version).map(|it| it.reason.clone());
        let table = self.table();
        let surplus = table.live.iter().any(|it| !is_wanted(it.number))
            && table.live.iter().any(|it| is_wanted(it.number));
        let stale = table.others.iter().any(|it| !it.version.parse().is_ok_and(is_wanted));
        let failed = failed.filter(|_| table.live.is_empty());
        drop(table);
        if surplus || stale || failed.is_some() {
            self.publish(|table| {
                if surplus {
                    table.live.retain(|it| is_wanted(it.number));
                }
                table.others.retain(|it| it.version.parse().is_ok_and(is_wanted));
                table.away = failed.map_or_else(|| table.away.clone(), Away::Failed);
            });
        }
    }

    /// Loads one version, asks it its first questions, and enters what it holds.
    fn load(&self, ledger: &Ledger, found: &Found) -> Result<Served, Refusal> {
        let (options, asked) = (&ledger.options, &ledger.asked);
        let version = found.version.to_string();
        let failed = |reason| Refusal { reason, needs: None };
        let over = |bytes| move |reason| Refusal { reason, needs: Some(bytes) };
        let enter = |bytes| self.shared.accounts.enter(&self.name, &version, bytes).map_err(over(bytes));
        let mut holding: Option<Holding> = asked.declared.or(found.bytes).map(enter).transpose()?;
        let loaded = guarded(|| asked.source.load(found)).map_err(failed)?;
        if let Some(bytes) = loaded.model.memory() {
            match &holding {
                Some(it) => it.settle(bytes).map_err(over(bytes))?,
                None => holding = Some(enter(bytes)?),
            }
        }
        if loaded.model.whole().is_some_and(crate::Whole::explains) {
            self.shared.explains.store(true, Ordering::Relaxed);
        }
        let ids = Arc::clone(&self.shared.ids);
        let live = Live::new(Arc::clone(options), loaded.model.into(), loaded.version, ids);
        guarded(|| warmup::ask(&live, &self.name, &loaded.warmup)).map_err(failed)?;
        let stamp = (asked.mark, found.stamp);
        Ok(Served { live, number: found.version, stamp, holding })
    }

    /// Puts a version into the table, in the place of the one of its number.
    fn put(&self, served: Served) {
        let served = Arc::new(served);
        self.publish(|table| {
            table.others.retain(|it| it.version != served.number.to_string());
            table.live.retain(|it| it.number != served.number);
            let at = table.live.partition_point(|it| it.number < served.number);
            table.live.insert(at, served);
        });
    }

    /// Tells of a version that is wanted and does not answer.
    fn tell(&self, version: u64, state: ModelState, reason: &str) {
        let (version, reason) = (version.to_string(), reason.to_owned());
        self.publish(|table| {
            table.others.retain(|it| it.version != version);
            if !table.live.iter().any(|it| it.live.version() == version) {
                table.others.push(VersionStatus { version, state, reason, memory_bytes: None });
            }
            if table.live.is_empty() && !matches!(table.away, Away::Idle(_)) {
                table.away = Away::Loading;
            }
        });
    }

    /// Nobody can tell which versions there are: what answers goes on.
    fn lost(&self, ledger: &mut Ledger, reason: String) -> Error {
        if ledger.complaint != reason {
            tracing::error!(model = self.name, "model not loaded: {reason}");
            ledger.complaint.clone_from(&reason);
        }
        let error = Error::model_not_ready(&self.name, &reason);
        if self.table().live.is_empty() {
            self.publish(|table| table.away = Away::Failed(reason));
        }
        error
    }

    /// There are no versions, or none that is wanted: what was removed is served no longer.
    fn nothing(&self, ledger: &mut Ledger) -> Error {
        let reason = "no version that is wanted is there".to_owned();
        ledger.failures.clear();
        ledger.seen.clear();
        if ledger.complaint != reason {
            tracing::error!(model = self.name, "model not loaded: {reason}");
            ledger.complaint.clone_from(&reason);
        }
        let error = Error::model_not_ready(&self.name, &reason);
        self.publish(|table| {
            table.live.clear();
            table.others.clear();
            table.away = Away::Failed(reason);
        });
        error
    }

    /// Puts another table in the place of this one, and lets those go that are no longer in it.
    fn publish(&self, change: impl FnOnce(&mut Table)) {
        let before = self.table.load_full();
        let mut table = Table::clone(&before);
        change(&mut table);
        let is_kept = |it: &Arc<Served>| table.live.iter().any(|kept| Arc::ptr_eq(it, kept));
        let gone: Vec<_> = before.live.iter().filter(|it| !is_kept(it)).cloned().collect();
        self.table.store(Arc::new(table));
        drop(before);
        self.changed.notify_waiters();
        self.shared.leave(gone);
    }

    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.turn.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ledger {
    fn of(asked: Asked) -> Self {
        Self {
            options: Arc::new(asked.options.clone()),
            asked,
            unloaded: false,
            seen: Vec::new(),
            failures: Vec::new(),
            complaint: String::new(),
            used: Instant::now(),
        }
    }

    /// Whether a version is to be loaded now: not while its files still change, and not again as it failed.
    fn is_due(&self, found: &Found, why: Why, fits: impl Fn(u64) -> bool) -> bool {
        let stamp = (self.asked.mark, found.stamp);
        let failed = self.failures.iter().find(|it| (it.version, it.stamp) == (found.version, stamp));
        let settled = why != Why::Time || self.seen.contains(found);
        settled && failed.is_none_or(|it| it.needs.is_some_and(fits))
    }
}

/// Runs what others wrote; a panic of theirs is a reason like any other.
fn guarded<T>(work: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
    outcome.unwrap_or_else(|_| Err("loading the model failed unexpectedly".to_owned()))
}
