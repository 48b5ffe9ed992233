//! The threads that compute, one pool for all models of a process: as many run as there are cores, and models take turns. Work
//! that takes longer than microseconds runs here, behind a bounded queue for each model.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;
use weir_proto::{Code, Error};

type Job = Box<dyn FnOnce() + Send>;

/// Threads of a number of cores. Clones share them; they end with the last clone.
#[derive(Clone)]
pub struct Pool(Arc<Owner>);

/// A pool that is told later, before the first job at the latest: a service is built before it learns which process it is in.
#[derive(Clone, Default)]
pub struct LatePool(Arc<OnceLock<Pool>>);

impl LatePool {
    /// Tells the pool. Whoever was first counts.
    pub fn tell(&self, pool: &Pool) {
        let _ = self.0.set(pool.clone());
    }

    /// Returns the pool; one of its own where none was told.
    pub fn get(&self) -> &Pool {
        self.0.get_or_init(Pool::default)
    }
}

impl std::fmt::Debug for LatePool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LatePool").finish_non_exhaustive()
    }
}

/// Ends the threads when the last clone of a pool is gone.
struct Owner(Arc<Shared>);

struct Shared {
    /// Threads that may compute at once: those of a library count as well as the pool's own.
    cores: usize,
    /// The cores to pin threads to; empty for none.
    pins: Vec<core_affinity::CoreId>,
    state: Mutex<State>,
    /// Somebody may take a job, or has to end.
    wake: Condvar,
}

#[derive(Default)]
struct State {
    queues: BTreeMap<usize, Queue>,
    /// Queues with a job that may run, in the order of their turns.
    turns: VecDeque<usize>,
    /// Cores in use.
    busy: usize,
    threads: usize,
    idle: usize,
    next: usize,
    ends: bool,
}

struct Queue {
    jobs: VecDeque<Job>,
    /// Cores that one job takes.
    weight: usize,
    /// Jobs that may run at once.
    limit: usize,
    running: usize,
    has_turn: bool,
}

impl Queue {
    fn may_run(&self) -> bool {
        !self.jobs.is_empty() && self.running < self.limit
    }
}

impl Default for Pool {
    /// A thread a core, not pinned.
    fn default() -> Self {
        Self::new(std::thread::available_parallelism().map_or(1, Into::into), false)
    }
}

impl Pool {
    /// Creates a pool for so many cores. Its threads start with the first job: models of microseconds never need them.
    pub fn new(cores: usize, pinned: bool) -> Self {
        let pins = if pinned { core_affinity::get_core_ids().unwrap_or_default() } else { Vec::new() };
        if pinned && pins.is_empty() {
            tracing::warn!("the threads of models cannot be pinned on this system");
        }
        let shared =
            Shared { cores: cores.max(1), pins, state: Mutex::new(State::default()), wake: Condvar::new() };
        Self(Arc::new(Owner(Arc::new(shared))))
    }

    /// Returns how many cores it computes on.
    pub fn cores(&self) -> usize {
        self.0.0.cores
    }

    /// Returns how many cores compute at this moment.
    pub fn busy(&self) -> usize {
        self.0.0.lock().busy
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        self.0.lock().ends = true;
        self.0.wake.notify_all();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What a thread of the pool does until it ends.
    fn work(&self) {
        let mut state = self.lock();
        loop {
            if state.ends {
                return;
            }
            let Some((id, weight, job)) = state.take(self.cores) else {
                state.idle += 1;
                state = self.wake.wait(state).unwrap_or_else(PoisonError::into_inner);
                state.idle -= 1;
                continue;
            };
            // Whoever has taken one job lets the next thread look for another.
            if !state.turns.is_empty() && state.idle > 0 {
                self.wake.notify_one();
            }
            drop(state);
            // A panic costs its own request only; its caller sees the reply dropped.
            let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(job));
            state = self.lock();
            state.finished(id, weight);
        }
    }
}

impl State {
    /// The next job in turn, if there are cores for it. One that needs more cores than are free keeps its turn: light jobs
    /// that overtook it for ever would starve it.
    fn take(&mut self, cores: usize) -> Option<(usize, usize, Job)> {
        loop {
            let id = *self.turns.front()?;
            let Some(queue) = self.queues.get_mut(&id).filter(|it| it.may_run()) else {
                self.turns.pop_front();
                if let Some(queue) = self.queues.get_mut(&id) {
                    queue.has_turn = false;
                }
                continue;
            };
            let weight = queue.weight.min(cores);
            if self.busy + weight > cores {
                return None;
            }
            let job = queue.jobs.pop_front()?;
            queue.running += 1;
            self.busy += weight;
            self.turns.pop_front();
            queue.has_turn = queue.may_run();
            if queue.has_turn {
                self.turns.push_back(id);
            }
            return Some((id, weight, job));
        }
    }

    fn finished(&mut self, id: usize, weight: usize) {
        self.busy -= weight;
        if let Some(queue) = self.queues.get_mut(&id) {
            queue.running -= 1;
            self.give_turn(id);
        }
    }

    fn give_turn(&mut self, id: usize) {
        if let Some(queue) = self.queues.get_mut(&id)
            && queue.may_run()
            && !queue.has_turn
        {
            queue.has_turn = true;
            self.turns.push_back(id);
        }
    }
}

/// One model's place in the pool: a bounded queue. Its drop drops the jobs that still wait.
pub struct Workers {
    name: String,
    pool: Pool,
    id: usize,
    bound: usize,
}

/// How a model computes.
#[derive(Debug, Clone, Copy)]
pub struct Share {
    /// Jobs that may run at once.
    pub limit: usize,
    /// Cores that one job takes: more than one where a library splits its work.
    pub weight: usize,
    /// Jobs that may wait.
    pub queue: usize,
}

impl Workers {
    /// Takes a place in a pool.
    pub fn new(pool: &Pool, name: impl Into<String>, share: Share) -> Self {
        let mut state = pool.0.0.lock();
        let id = state.next;
        state.next += 1;
        let queue = Queue {
            jobs: VecDeque::new(),
            weight: share.weight.max(1),
            limit: share.limit.max(1),
            running: 0,
            has_turn: false,
        };
        state.queues.insert(id, queue);
        drop(state);
        Self { name: name.into(), pool: pool.clone(), id, bound: share.queue }
    }

    /// Runs a job. A caller who has left by the time its turn comes is skipped, not computed.
    ///
    /// # Errors
    /// `Overloaded` when the queue is full; `Inference` when the job panicked.
    pub async fn run<T: Send + 'static>(
        &self,
        job: impl FnOnce() -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let (reply, answer) = oneshot::channel();
        let span = tracing::Span::current();
        self.submit(move || {
            if !reply.is_closed() {
                // The receiver may leave while the job runs; then nobody wants the answer.
                let _ = reply.send(span.in_scope(job));
            }
        })?;
        answer.await.unwrap_or_else(|_| Err(self.panicked()))
    }

    /// Puts a job into the queue.
    ///
    /// # Errors
    /// `Overloaded` when the queue is full.
    pub fn submit(&self, job: impl FnOnce() + Send + 'static) -> Result<(), Error> {
        let shared = &self.pool.0.0;
        let mut state = shared.lock();
        let queue = state.queues.get_mut(&self.id).expect("the queue is there as long as its workers are");
        if queue.jobs.len() >= self.bound {
            return Err(self.full());
        }
        queue.jobs.push_back(Box::new(job));
        state.give_turn(self.id);
        if state.idle > 0 {
            shared.wake.notify_one();
        } else if state.threads < shared.cores {
            self.start(&mut state);
        }
        Ok(())
    }

    /// The error that too many wait.
    pub(crate) fn full(&self) -> Error {
        let message = format!("the queue of `{}` is full ({} requests wait)", self.name, self.bound);
        Error::new(Code::Overloaded, message).retry_after(Duration::from_secs(1))
    }

    /// The error of a job that panicked.
    pub(crate) fn panicked(&self) -> Error {
        Error::new(Code::Inference, format!("the model `{}` failed unexpectedly", self.name))
    }

    fn start(&self, state: &mut State) {
        let shared = Arc::clone(&self.pool.0.0);
        let pin = shared.pins.get(state.threads % shared.pins.len().max(1)).copied();
        let thread = std::thread::Builder::new().name(format!("compute-{}", state.threads));
        let body = move || {
            if let Some(core) = pin {
                core_affinity::set_for_current(core);
            }
            shared.work();
        };
        match thread.spawn(body) {
            Ok(_) => state.threads += 1,
            Err(error) => tracing::error!(%error, "cannot start a thread that computes"),
        }
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        let gone = self.pool.0.0.lock().queues.remove(&self.id);
        // Jobs are dropped outside of the lock: what they hold may be large.
        drop(gone);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn workers(pool: &Pool, queue: usize, weight: usize) -> Workers {
        Workers::new(pool, "m", Share { limit: 8, weight, queue })
    }

    #[tokio::test]
    async fn a_panic_costs_its_own_request_only() {
        let workers = workers(&Pool::new(1, false), 4, 1);
        let error = workers.run::<()>(|| panic!("on purpose")).await.unwrap_err();
        assert_eq!(error.code, Code::Inference);
        assert_eq!(workers.run(|| Ok(5)).await, Ok(5));
    }

    /// A job that says when it has started, and ends when it is let go.
    fn held(
        started: tokio::sync::mpsc::UnboundedSender<&'static str>,
        name: &'static str,
    ) -> (std::sync::mpsc::Sender<()>, impl FnOnce() + Send + 'static) {
        let (hold, held) = std::sync::mpsc::channel::<()>();
        let job = move || {
            let _ = started.send(name);
            let _ = held.recv();
        };
        (hold, job)
    }

    #[tokio::test]
    async fn a_full_queue_refuses_and_a_caller_who_left_is_skipped() {
        let workers = Arc::new(workers(&Pool::new(1, false), 1, 1));
        let (started, mut has_started) = tokio::sync::mpsc::unbounded_channel();
        let (hold, job) = held(started, "busy");
        workers.submit(job).unwrap();
        has_started.recv().await.unwrap();
        let (ran, mut has_run) = tokio::sync::mpsc::unbounded_channel();
        let mut leaver = Box::pin(workers.run(move || {
            let _ = ran.send(());
            Ok(())
        }));
        // One poll puts it into the queue.
        assert!(
            std::future::poll_fn(|cx| std::task::Poll::Ready(leaver.as_mut().poll(cx).is_pending())).await
        );
        assert_eq!(workers.run(|| Ok(())).await.unwrap_err().code, Code::Overloaded);
        drop(leaver);
        hold.send(()).unwrap();
        // The job nobody waits for is still in the queue until the thread has passed it over.
        while workers.run(|| Ok(())).await.is_err() {
            tokio::task::yield_now().await;
        }
        assert!(has_run.try_recv().is_err());
    }

    #[tokio::test]
    async fn models_take_turns_whatever_one_of_them_has_waiting() {
        let pool = Pool::new(1, false);
        let (busy, other) = (workers(&pool, 64, 1), workers(&pool, 64, 1));
        let (started, mut order) = tokio::sync::mpsc::unbounded_channel();
        let (hold, job) = held(started.clone(), "first");
        busy.submit(job).unwrap();
        order.recv().await.unwrap();
        for (workers, name, count) in [(&busy, "busy", 20), (&other, "other", 2)] {
            for _ in 0..count {
                let started = started.clone();
                workers.submit(move || drop(started.send(name))).unwrap();
            }
        }
        hold.send(()).unwrap();
        let mut met = Vec::new();
        for _ in 0..22 {
            met.push(order.recv().await.unwrap());
        }
        assert_eq!(met[..4], ["busy", "other", "busy", "other"]);
    }

    #[tokio::test]
    async fn a_job_that_takes_every_core_runs_alone_and_is_not_starved() {
        let pool = Pool::new(2, false);
        let (light, heavy) = (workers(&pool, 64, 1), workers(&pool, 64, 2));
        let (started, mut order) = tokio::sync::mpsc::unbounded_channel();
        let (first, job) = held(started.clone(), "light");
        light.submit(job).unwrap();
        order.recv().await.unwrap();
        let (second, job) = held(started.clone(), "heavy");
        heavy.submit(job).unwrap();
        let (third, job) = held(started, "late");
        light.submit(job).unwrap();
        // There is a core for the late one, but it is not its turn.
        assert_eq!(pool.busy(), 1);
        first.send(()).unwrap();
        assert_eq!(order.recv().await, Some("heavy"));
        assert_eq!(pool.busy(), 2);
        second.send(()).unwrap();
        assert_eq!(order.recv().await, Some("late"));
        third.send(()).unwrap();
    }

    #[test]
    fn threads_end_with_the_last_clone() {
        let pool = Pool::new(1, false);
        let workers = workers(&pool, 4, 1);
        let (sender, receiver) = std::sync::mpsc::channel();
        workers.submit(move || drop(sender.send(()))).unwrap();
        receiver.recv().unwrap();
        let shared = Arc::downgrade(&pool.0.0);
        drop((pool, workers));
        while shared.strong_count() > 0 {
            std::thread::yield_now();
        }
    }
}
