//! The workers of one model: who is free takes the next request, who died is started again, each time later than before.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use weir_sdk::{Code, Error, Tensor};

use super::frame::{Frame, Kind};
use super::process::{Broken, Recipe, Worker};

/// How long to wait before a worker is started again: doubled with each that dies before it has answered.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// How often those that wait are looked after.
const ROUND: Duration = Duration::from_millis(500);
/// With so many failures one after another nobody waits for a worker any more.
const HOPELESS: u32 = 3;

/// Processes that have loaded one model.
pub(super) struct Pool {
    shared: Arc<Shared>,
}

struct Shared {
    recipe: Recipe,
    size: usize,
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    idle: Vec<Worker>,
    busy: usize,
    closing: bool,
    /// Workers that died, or could not be started, since one last answered.
    failures: u32,
    /// How the last of them died.
    reason: String,
}

impl Pool {
    /// Starts one worker, and in the background the others; returns what the model is.
    ///
    /// # Errors
    /// Why the model cannot be loaded.
    pub(super) fn start(recipe: Recipe, size: usize) -> Result<(Self, Frame), String> {
        let (worker, said) = Worker::start(&recipe)?;
        let state = State { idle: vec![worker], busy: 0, closing: false, failures: 0, reason: String::new() };
        let size = size.max(1);
        let shared = Arc::new(Shared { recipe, size, state: Mutex::new(state), changed: Condvar::new() });
        let keeper = Arc::clone(&shared);
        let thread = std::thread::Builder::new().name("python-keeper".to_owned());
        let spawned = thread.spawn(move || keeper.keep());
        spawned.map_err(|error| format!("cannot start a thread to look after workers: {error}"))?;
        Ok((Self { shared }, said))
    }

    /// Puts a message to a free worker.
    ///
    /// # Errors
    /// What the model says; `Inference` when its worker died; `Deadline` when it did not answer until then, or none was free.
    pub(super) fn ask(
        &self,
        kind: Kind,
        fields: &[(String, Bytes)],
        tensors: &[Tensor],
        until: Instant,
    ) -> Result<Frame, Error> {
        loop {
            let mut worker = self.shared.take(until)?;
            match worker.ask(kind, fields, tensors, until) {
                Ok(frame) => {
                    self.shared.put_back(worker);
                    return Ok(frame);
                }
                Err(Broken::Said(error)) => {
                    self.shared.put_back(worker);
                    return Err(error);
                }
                Err(Broken::Gone(error)) => {
                    tracing::error!(worker = worker.pid(), "{}", error.message);
                    self.shared.lost(&error.message);
                    return Err(error);
                }
                Err(Broken::Unsent(reason)) => self.shared.lost(&reason),
            }
        }
    }

    /// Whether a worker is there.
    ///
    /// # Errors
    /// How the last one died.
    pub(super) fn health(&self) -> Result<(), String> {
        let state = self.shared.lock();
        if state.idle.is_empty() && state.busy == 0 {
            return Err(format!("no worker process is there: {}", state.reason));
        }
        Ok(())
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.closing = true;
        state.idle.drain(..).for_each(Worker::dismiss);
        self.shared.changed.notify_all();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self, until: Instant) -> Result<Worker, Error> {
        let mut state = self.lock();
        loop {
            while let Some(mut worker) = state.idle.pop() {
                if worker.lives() {
                    state.busy += 1;
                    return Ok(worker);
                }
                state.died(worker);
                self.changed.notify_all();
            }
            if state.busy == 0 && state.failures >= HOPELESS {
                let message = format!("no worker process is there: {}", state.reason);
                return Err(Error::new(Code::NotReady, message));
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                let message = format!("no worker process was free in time; there are {}", self.size);
                return Err(Error::new(Code::Deadline, message));
            }
            let waited = self.changed.wait_timeout(state, left.min(ROUND));
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn put_back(&self, worker: Worker) {
        let mut state = self.lock();
        state.busy -= 1;
        state.failures = 0;
        if state.closing {
            worker.dismiss();
        } else {
            state.idle.push(worker);
        }
        self.changed.notify_all();
    }

    /// A busy worker is no more.
    fn lost(&self, reason: &str) {
        let mut state = self.lock();
        state.busy -= 1;
        state.failures = state.failures.saturating_add(1);
        reason.clone_into(&mut state.reason);
        self.changed.notify_all();
    }

    /// Starts what is missing until the pool is dropped.
    fn keep(&self) {
        let mut tried = Instant::now();
        loop {
            let mut state = self.lock();
            if state.closing {
                return;
            }
            state.bury();
            let missing = state.idle.len() + state.busy < self.size;
            let pause = pause(state.failures).saturating_sub(tried.elapsed());
            if !missing || !pause.is_zero() {
                let wait = if missing { pause.min(ROUND) } else { ROUND };
                drop(self.changed.wait_timeout(state, wait));
                continue;
            }
            drop(state);
            let started = Worker::start(&self.recipe);
            tried = Instant::now();
            let mut state = self.lock();
            match started {
                Ok((worker, _)) if state.closing => worker.dismiss(),
                Ok((worker, _)) => {
                    tracing::info!(worker = worker.pid(), "a worker process has loaded the model");
                    state.idle.push(worker);
                }
                Err(reason) => {
                    tracing::error!("cannot start a worker process: {reason}");
                    state.failures = state.failures.saturating_add(1);
                    state.reason = reason;
                }
            }
            self.changed.notify_all();
        }
    }
}

impl State {
    /// Removes those that died while they waited.
    fn bury(&mut self) {
        let (idle, dead): (Vec<_>, Vec<_>) =
            self.idle.drain(..).fold((Vec::new(), Vec::new()), |(mut idle, mut dead), mut worker| {
                if worker.lives() {
                    idle.push(worker)
                } else {
                    dead.push(worker)
                }
                (idle, dead)
            });
        self.idle = idle;
        dead.into_iter().for_each(|worker| self.died(worker));
    }

    fn died(&mut self, worker: Worker) {
        self.reason = format!("the worker process {} ended while it waited for a request", worker.pid());
        tracing::error!(worker = worker.pid(), "{}", self.reason);
        self.failures = self.failures.saturating_add(1);
        worker.dismiss();
    }
}

/// How long to wait after so many failures.
fn pause(failures: u32) -> Duration {
    match failures {
        0 => Duration::ZERO,
        more => FIRST_PAUSE.saturating_mul(1 << (more - 1).min(16)).min(LONGEST_PAUSE),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_and_end() {
        let pauses: Vec<_> = [0, 1, 2, 3, 11, u32::MAX].map(|it| pause(it).as_millis()).into();
        assert_eq!(pauses, [0, 50, 100, 200, 30_000, 30_000]);
    }
}
