//! The threads that compute, one pool for all models of a process: as many run as there are cores, and models take turns. Work
//! that takes longer than microseconds runs here, behind a bounded queue for each model.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;
use weir_proto::{Code, Error};

type Job = Box<dyn FnOnce() + Send>;

/// Threads of a number of cores. Clones share them; they end with the last clone.
#[derive(Clone)]
pub struct Pool(Arc<Owner>);

/// Ends the threads when the last clone of a pool is gone.
struct Owner(Arc<Shared>);

struct Shared {
    /// Threads that may compute at once: those of a library count as well as the pool's own.
    cores: usize,
    /// Each thread stays on a core.
    pinned: AtomicBool,
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
    /// Jobs that run and use no core.
    waiting: usize,
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
    /// A thread a core.
    fn default() -> Self {
        Self::new(crate::threads::cores())
    }
}

impl std::fmt::Debug for Pool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pool").field("cores", &self.cores()).finish_non_exhaustive()
    }
}

impl Pool {
    /// Creates a pool for so many cores. Its threads start with the first job: models of microseconds never need them.
    pub fn new(cores: usize) -> Self {
        let shared = Shared {
            cores: cores.max(1),
            pinned: AtomicBool::new(false),
            state: Mutex::new(State::default()),
            wake: Condvar::new(),
        };
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

    /// Lets each thread stay on one core, as far as they have not started yet.
    pub fn pin(&self) {
        self.0.0.pinned.store(true, Ordering::Relaxed);
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
    fn work(self: &Arc<Self>) {
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
            self.call(&mut state);
            drop(state);
            // A panic costs its own request only; its caller sees the reply dropped.
            let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(job));
            state = self.lock();
            state.finished(id, weight);
        }
    }

    /// Calls a thread for the next job, where one may run.
    fn call(self: &Arc<Self>, state: &mut State) {
        if state.turn(self.cores).is_none() {
            return;
        }
        if state.idle > 0 {
            self.wake.notify_one();
        } else if state.threads < self.cores + state.waiting + 1 {
            // One more than compute: a job that uses no core may run beside them all.
            self.start(state);
        }
    }

    fn start(self: &Arc<Self>, state: &mut State) {
        let (shared, at) = (Arc::clone(self), state.threads);
        let body = move || {
            if shared.pinned.load(Ordering::Relaxed) {
                pin(at);
            }
            shared.work();
        };
        match std::thread::Builder::new().name(format!("compute-{at}")).spawn(body) {
            Ok(_) => state.threads += 1,
            Err(error) => tracing::error!(%error, "cannot start a thread that computes"),
        }
    }
}

/// Keeps the thread that asks on one of the cores it may run on.
fn pin(at: usize) {
    use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
    let pinned = sched_getaffinity(None).and_then(|allowed| {
        let cores: Vec<_> = (0..CpuSet::MAX_CPU).filter(|&it| allowed.is_set(it)).collect();
        let mut own = CpuSet::new();
        if let Some(&core) = cores.get(at % cores.len().max(1)) {
            own.set(core);
        }
        sched_setaffinity(None, &own)
    });
    if let Err(error) = pinned {
        tracing::warn!(%error, "a thread that computes cannot be kept on one core");
    }
}

impl State {
    /// Whose job is the next to run, if there are cores for it. One that needs more cores than are free keeps its turn: light
    /// jobs that overtook it for ever would starve it. Only what uses no core goes past.
    fn turn(&mut self, cores: usize) -> Option<usize> {
        while let Some(&id) = self.turns.front() {
            if self.queues.get(&id).is_some_and(Queue::may_run) {
                break;
            }
            self.turns.pop_front();
            if let Some(queue) = self.queues.get_mut(&id) {
                queue.has_turn = false;
            }
        }
        let fits = |at: usize, id: &usize| {
            let queue = self.queues.get(id)?;
            let free = queue.weight == 0 || at == 0 && self.busy + queue.weight.min(cores) <= cores;
            (free && queue.may_run()).then_some(at)
        };
        self.turns.iter().enumerate().find_map(|(at, id)| fits(at, id))
    }

    /// Takes the next job in turn.
    fn take(&mut self, cores: usize) -> Option<(usize, usize, Job)> {
        let at = self.turn(cores)?;
        let id = self.turns.remove(at)?;
        let queue = self.queues.get_mut(&id)?;
        queue.has_turn = false;
        let job = queue.jobs.pop_front()?;
        let weight = queue.weight.min(cores);
        queue.running += 1;
        self.busy += weight;
        self.waiting += usize::from(weight == 0);
        self.give_turn(id);
        Some((id, weight, job))
    }

    fn finished(&mut self, id: usize, weight: usize) {
        self.busy -= weight;
        self.waiting -= usize::from(weight == 0);
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
    /// Cores that one job takes: more than one where a library splits its work, none where it waits for somebody else's.
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
            weight: share.weight,
            limit: share.limit.max(1),
            running: 0,
            has_turn: false,
        };
        state.queues.insert(id, queue);
        drop(state);
        Self { name: name.into(), pool: pool.clone(), id, bound: share.queue }
    }

    /// Runs a job, which is told how long it waited. A caller who has left by the time its turn comes is skipped, not computed.
    ///
    /// # Errors
    /// `Overloaded` when the queue is full; `Inference` when the job panicked.
    pub async fn run<T: Send + 'static>(
        &self,
        job: impl FnOnce(Duration) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let (reply, answer) = oneshot::channel();
        let (span, since) = (tracing::Span::current(), Instant::now());
        self.submit(move || {
            if !reply.is_closed() {
                // The receiver may leave while the job runs; then nobody wants the answer.
                let _ = reply.send(span.in_scope(|| job(since.elapsed())));
            }
        })?;
        answer.await.unwrap_or_else(|_| Err(self.panicked()))
    }

    /// Puts a job into the queue.
    ///
    /// # Errors
    /// `Overloaded` when the queue is full.
    pub fn submit(&self, job: impl FnOnce() + Send + 'static) -> Result<(), Error> {
        if self.push(self.bound, Box::new(job)) { Ok(()) } else { Err(self.full(self.bound)) }
    }

    /// Puts a job into the queue, full or not: for whoever has a bounded queue of its own, and calls a thread for it.
    pub(crate) fn call(&self, job: impl FnOnce() + Send + 'static) {
        self.push(usize::MAX, Box::new(job));
    }

    fn push(&self, bound: usize, job: Job) -> bool {
        let shared = &self.pool.0.0;
        let mut state = shared.lock();
        let Some(queue) = state.queues.get_mut(&self.id).filter(|it| it.jobs.len() < bound) else {
            return false;
        };
        queue.jobs.push_back(job);
        state.give_turn(self.id);
        shared.call(&mut state);
        true
    }

    /// The error that so many wait, and no more may.
    pub(crate) fn full(&self, bound: usize) -> Error {
        let message = format!("the queue of `{}` is full ({bound} requests wait)", self.name);
        Error::new(Code::Overloaded, message).retry_after(Duration::from_secs(1))
    }

    /// The error of a job that panicked.
    pub(crate) fn panicked(&self) -> Error {
        Error::new(Code::Inference, format!("the model `{}` failed unexpectedly", self.name))
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
        let workers = workers(&Pool::new(1), 4, 1);
        let error = workers.run::<()>(|_| panic!("on purpose")).await.unwrap_err();
        assert_eq!(error.code, Code::Inference);
        assert_eq!(workers.run(|_| Ok(5)).await, Ok(5));
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
        let workers = Arc::new(workers(&Pool::new(1), 1, 1));
        let (started, mut has_started) = tokio::sync::mpsc::unbounded_channel();
        let (hold, job) = held(started, "busy");
        workers.submit(job).unwrap();
        has_started.recv().await.unwrap();
        let (ran, mut has_run) = tokio::sync::mpsc::unbounded_channel();
        let mut leaver = Box::pin(workers.run(move |_| {
            let _ = ran.send(());
            Ok(())
        }));
        // One poll puts it into the queue.
        assert!(
            std::future::poll_fn(|cx| std::task::Poll::Ready(leaver.as_mut().poll(cx).is_pending())).await
        );
        assert_eq!(workers.run(|_| Ok(())).await.unwrap_err().code, Code::Overloaded);
        drop(leaver);
        hold.send(()).unwrap();
        // The job nobody waits for is still in the queue until the thread has passed it over.
        while workers.run(|_| Ok(())).await.is_err() {
            tokio::task::yield_now().await;
        }
        assert!(has_run.try_recv().is_err());
    }

    #[tokio::test]
    async fn models_take_turns_whatever_one_of_them_has_waiting() {
        let pool = Pool::new(1);
        let (busy, other) = (workers(&pool, 64, 1), workers(&pool, 64, 1));
        let (started, mut order) = tokio::sync::mpsc::unbounded_channel();
        let (hold, job) = held(started.clone(), "first");
        busy.submit(job).unwrap();
        order.recv().await.unwrap();
        for (workers, name, count) in [(&busy, "busy", 20), (&other, "other", 2)] {
            for _ in 0..count {
                let started = started.clone();
                workers.submit(move || started.send(name).unwrap()).unwrap();
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
        let pool = Pool::new(2);
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

    #[tokio::test]
    async fn every_core_is_used_and_who_waits_for_another_process_holds_up_none() {
        let pool = Pool::new(2);
        let (light, waits) = (workers(&pool, 64, 1), workers(&pool, 64, 0));
        let (started, mut order) = tokio::sync::mpsc::unbounded_channel();
        let mut held_up = Vec::new();
        for (workers, name) in [(&waits, "waits"), (&waits, "waits"), (&light, "light"), (&light, "light")] {
            let (hold, job) = held(started.clone(), name);
            workers.submit(job).unwrap();
            held_up.push(hold);
        }
        // All four run at once.
        for _ in 0..4 {
            order.recv().await.unwrap();
        }
        assert_eq!(pool.busy(), 2);
        // Both cores are busy: who needs none goes past who needs one.
        let (late, job) = held(started.clone(), "late");
        light.submit(job).unwrap();
        let (more, job) = held(started, "more");
        waits.submit(job).unwrap();
        assert_eq!(order.recv().await, Some("more"));
        held_up.remove(3).send(()).unwrap();
        assert_eq!(order.recv().await, Some("late"));
        held_up.into_iter().chain([late, more]).for_each(|it| it.send(()).unwrap());
    }

    #[test]
    fn threads_end_with_the_last_clone() {
        let pool = Pool::new(1);
        let workers = workers(&pool, 4, 1);
        let (sender, receiver) = std::sync::mpsc::channel();
        workers.submit(move || sender.send(()).unwrap()).unwrap();
        receiver.recv().unwrap();
        let shared = Arc::downgrade(&pool.0.0);
        drop((pool, workers));
        while shared.strong_count() > 0 {
            std::thread::yield_now();
        }
    }
}
