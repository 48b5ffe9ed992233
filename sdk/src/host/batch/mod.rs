//! Puts requests together: those of one signature, one set of outputs and one shape of row become one prediction, and each gets
//! its own rows of the answer, or its own error.
//!
//! A request that comes while a thread is free is predicted at once, unless somebody asked for waiting. What comes while all are
//! busy waits, and whichever is free next takes all of it that goes together.

mod gain;
mod options;
mod parameters;
mod request;

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;
use weir_proto::{Error, Tensor, batch};

pub use options::{BatchFlags, BatchOptions};
pub use parameters::Parameters as BatchParameters;

use gain::Gain;
pub(super) use options::Rules;
pub(super) use request::Caller;
use request::Request;

use super::dispatch::Chosen;
use crate::metrics::QueueMetrics;
use crate::pool::Workers;
use crate::telemetry;

/// Bytes beyond which nothing is put beside a request: what is so large gains nothing from company, and is copied for it.
const MOST_BYTES: usize = 16 << 20;

/// The requests of one model that wait to be put together.
pub(super) struct Batcher {
    me: Weak<Self>,
    rules: Rules,
    bound: usize,
    workers: Arc<Workers>,
    metrics: QueueMetrics,
    state: Mutex<State>,
    /// The model once answered other rows than it was asked for: it gets every request by itself.
    apart: AtomicBool,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Request>,
    /// A thread was called and has not come yet.
    called: bool,
    /// Heeded where nobody asked for batches.
    gain: Gain,
}

impl Batcher {
    /// Of a model whose predictions those workers make; so many requests may wait.
    pub(super) fn new(rules: Rules, bound: usize, workers: Arc<Workers>, metrics: QueueMetrics) -> Arc<Self> {
        Arc::new_cyclic(|me| Self {
            me: Weak::clone(me),
            rules,
            bound,
            workers,
            metrics,
            state: Mutex::default(),
            apart: AtomicBool::new(false),
        })
    }

    /// Whether such a request can be put beside others.
    pub(super) fn takes(&self, chosen: &Chosen, inputs: &[Tensor], wanted: &[usize]) -> bool {
        let signature = chosen.model().signature();
        let rows = inputs.first().map_or(0, Tensor::rows);
        let whole = |(tensor, spec): (&Tensor, &weir_proto::TensorSpec)| {
            tensor.shape.len() == spec.shape.len() && tensor.rows() == rows
        };
        rows > 0
            && !self.apart.load(Ordering::Relaxed)
            && options::has_rows(signature, wanted)
            && inputs.iter().zip(&signature.inputs).all(whole)
    }

    /// Predicts, together with whoever else waits.
    ///
    /// # Errors
    /// The model's for this very request, and `Overloaded` when too many wait.
    pub(super) async fn predict(
        &self,
        chosen: Chosen,
        inputs: Vec<Tensor>,
        wanted: Vec<usize>,
        caller: Caller,
    ) -> Result<Vec<Tensor>, Error> {
        let (reply, mut answer) = oneshot::channel();
        let request = Request::new(chosen, inputs, wanted, caller, reply);
        let due = request.since + self.rules.latency;
        self.push(request)?;
        // Everybody looks to their own time: it counts only while they wait.
        if !self.rules.latency.is_zero() {
            match tokio::time::timeout_at(due.into(), &mut answer).await {
                Ok(answered) => return answered.unwrap_or_else(|_| Err(self.workers.panicked())),
                Err(_) => self.settle(self.lock()),
            }
        }
        answer.await.unwrap_or_else(|_| Err(self.workers.panicked()))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, request: Request) -> Result<(), Error> {
        let mut state = self.lock();
        if state.waiting.len() >= self.bound {
            state.waiting.retain(|it| !it.has_left());
        }
        if state.waiting.len() >= self.bound {
            return Err(self.workers.full(self.bound));
        }
        state.waiting.push_back(request);
        let last = state.waiting.len() - 1;
        state.see_whether_full(last, &self.rules);
        self.settle(state);
        Ok(())
    }

    /// Calls a thread for those who wait, when one of them has waited long enough or they fill a batch.
    fn settle(&self, mut state: MutexGuard<'_, State>) {
        while state.waiting.front().is_some_and(Request::has_left) {
            state.waiting.pop_front();
        }
        if state.called || state.next(self.rules.latency).is_none() {
            return;
        }
        state.called = true;
        drop(state);
        let me = Weak::clone(&self.me);
        self.workers.call(move || {
            if let Some(me) = me.upgrade() {
                me.come();
            }
        });
    }

    /// What the thread does that was called: it takes a batch, sees to the rest, and predicts.
    fn come(&self) {
        let mut state = self.lock();
        state.called = false;
        let batch = state.take(&self.rules);
        self.settle(state);
        if batch.is_empty() {
            return;
        }
        let rows = batch.iter().map(|it| it.rows).sum();
        for request in &batch {
            self.metrics.waited(request.since.elapsed());
        }
        self.metrics.gathered(batch.len(), rows);
        let started = Instant::now();
        let span =
            telemetry::batch_span(batch.iter().filter_map(|it| it.caller.span.as_ref()), batch.len(), rows);
        let answered = match span {
            Some(span) => span.in_scope(|| self.answer(batch, rows)),
            None => self.answer(batch, rows),
        };
        if answered && self.rules.learns {
            self.lock().gain.learn(rows, started.elapsed());
        }
    }

    /// Predicts a batch, or where that fails each of its requests by itself: so each gets its own error, or answer. Returns
    /// whether it did not fail.
    fn answer(&self, batch: Vec<Request>, rows: usize) -> bool {
        let outcome = self.together(&batch, rows);
        let answered = outcome.is_ok();
        match outcome {
            Ok(outputs) => batch.into_iter().zip(outputs).for_each(|(request, it)| request.answer(Ok(it))),
            Err(Failure::Model(error)) if batch.len() == 1 => {
                batch.into_iter().for_each(|it| it.answer(Err(error.clone())));
            }
            Err(Failure::Rows(met)) => {
                if !self.apart.swap(true, Ordering::Relaxed) {
                    tracing::warn!(
                        met,
                        "the model does not answer a row for a row: from now on requests are not put together"
                    );
                }
                for request in batch.into_iter().filter(|it| !it.is_given_up()) {
                    let outcome = self.predicted(&request, &request.inputs, request.caller.until);
                    request.answer(outcome);
                }
            }
            Err(Failure::Model(error)) => {
                tracing::debug!(%error, "a batch failed; its requests are predicted one by one");
                self.one_by_one(batch);
            }
        }
        answered
    }

    fn one_by_one(&self, batch: Vec<Request>) {
        for request in batch.into_iter().filter(|it| !it.is_given_up()) {
            let rows = request.rows;
            self.answer(vec![request], rows);
        }
    }

    /// Each request's outputs, out of one prediction.
    fn together(&self, batch: &[Request], rows: usize) -> Result<Vec<Vec<Tensor>>, Failure> {
        let Some(first) = batch.first() else { return Ok(Vec::new()) };
        let size = self.rules.padded(rows);
        let until = batch.iter().map(|it| it.caller.until).reduce(|a, b| Some(a?.max(b?))).flatten();
        if batch.len() == 1 && size == rows {
            let outputs = self.predicted(first, &first.inputs, until).map_err(Failure::Model)?;
            return Ok(vec![outputs]);
        }
        let stacked = (0..first.inputs.len()).map(|at| {
            let parts: Vec<_> = batch.iter().map(|it| &it.inputs[at]).collect();
            batch::stack(&parts, size - rows)
        });
        let stacked = stacked.collect::<Option<Vec<_>>>().ok_or(Failure::Rows(0))?;
        let outputs = self.predicted(first, &stacked, until).map_err(Failure::Model)?;
        drop(stacked);
        let counts: Vec<_> = batch.iter().map(|it| it.rows).collect();
        let mut answers: Vec<_> = batch.iter().map(|_| Vec::with_capacity(outputs.len())).collect();
        for output in outputs {
            let met = if output.shape.is_empty() { 0 } else { output.rows() };
            let pieces = Some(output).filter(|_| met == size).and_then(|it| batch::cut(it, &counts));
            let pieces = pieces.ok_or(Failure::Rows(met))?;
            answers.iter_mut().zip(pieces).for_each(|(answer, piece)| answer.push(piece));
        }
        Ok(answers)
    }

    fn predicted(
        &self,
        request: &Request,
        inputs: &[Tensor],
        until: Option<Instant>,
    ) -> Result<Vec<Tensor>, Error> {
        let predict = || request.chosen.model().predict_until(inputs, &request.wanted, until);
        // What panics over somebody's row must not cost the others theirs.
        catch_unwind(AssertUnwindSafe(predict)).unwrap_or_else(|_| Err(self.workers.panicked()))
    }
}

/// Why a batch has no answers.
enum Failure {
    Model(Error),
    /// An output has so many rows, which are not those of the batch.
    Rows(usize),
}

impl State {
    /// Marks the first of those that go with the one at that place, where they fill a batch. Without a latency nobody needs to
    /// know: whoever waits is due.
    fn see_whether_full(&mut self, at: usize, rules: &Rules) {
        if rules.latency.is_zero() {
            return;
        }
        let Some(one) = self.waiting.get(at) else { return };
        let with = |it: &Request| !it.has_left() && one.goes_with(it);
        let rows: usize = self.waiting.iter().filter(|it| with(it)).map(|it| it.rows).sum();
        if rows >= rules.most_rows
            && let Some(first) = self.waiting.iter().position(with)
        {
            self.waiting[first].leads = true;
        }
    }

    /// The place of the one whose batch is full, or else the first, if it has waited long enough.
    fn next(&self, latency: Duration) -> Option<usize> {
        let full = || self.waiting.iter().position(|it| it.leads);
        let due = || self.waiting.front().filter(|it| it.since + latency <= Instant::now()).map(|_| 0);
        if latency.is_zero() { due() } else { full().or_else(due) }
    }

    /// Takes the next, and all that go together with it and fit, in their order. Whoever has left or is late is dropped.
    fn take(&mut self, rules: &Rules) -> Vec<Request> {
        let (late, there) =
            self.waiting.drain(..).filter(|it| !it.has_left()).partition::<Vec<_>, _>(Request::is_late);
        self.waiting = there.into();
        late.into_iter().for_each(Request::refuse);
        let Some(lead) = self.next(rules.latency).and_then(|it| self.waiting.remove(it)) else {
            return Vec::new();
        };
        let most_rows = if rules.learns {
            let with = self.waiting.iter().filter(|it| lead.goes_with(it));
            let there = lead.rows + with.map(|it| it.rows).sum::<usize>();
            self.gain.most(there.min(rules.most_rows))
        } else {
            rules.most_rows
        };
        let (mut rows, mut bytes, mut left_out) = (lead.rows, lead.bytes, None);
        let (mut taken, mut rest) = (vec![lead], VecDeque::new());
        for request in self.waiting.drain(..) {
            let with = taken[0].goes_with(&request);
            let fits = rows + request.rows <= most_rows && bytes + request.bytes <= MOST_BYTES;
            // Nobody overtakes one of the same kind.
            if with && fits && left_out.is_none() {
                rows += request.rows;
                bytes += request.bytes;
                taken.push(request);
            } else {
                left_out = left_out.or(with.then_some(rest.len()));
                rest.push_back(request);
            }
        }
        self.waiting = rest;
        if let Some(at) = left_out {
            self.see_whether_full(at, rules);
        }
        taken
    }
}

#[cfg(test)]
mod tests;
