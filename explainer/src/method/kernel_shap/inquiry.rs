//! The state machine of an explanation: asks for the predictions of rows in batches that do not care where one instance ends
//! and the next begins, and solves each instance as soon as its last row is answered.

use std::collections::VecDeque;
use std::sync::Arc;

use weir_proto::{Code, Error, InferRequest, InferResponse, Parameters, RequestedOutput};
use weir_sdk::{Inquiry, Next};

use super::answer;
use super::coalition::Plan;
use super::frame::Frame;
use super::given::Given;
use super::options::{MAX_SAMPLED_FEATURES, Options};
use super::report::{self, Report};
use super::solve::{Game, Worth, solve};
use super::work::Work;
use crate::background::Background;

/// An instance explained.
#[derive(Debug)]
pub(super) struct Explained {
    /// The features that differ from the background; the worth is theirs, all others have none.
    pub(super) players: Vec<usize>,
    /// What they are worth.
    pub(super) worth: Worth,
    /// The prediction, on the scale of the link.
    pub(super) full: Vec<f64>,
    /// Whether every coalition was asked.
    pub(super) exact: bool,
    /// How many were.
    pub(super) coalitions: usize,
}

/// What the calls amounted to.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Effort {
    /// Rows asked.
    pub(super) rows: usize,
    /// Calls made.
    pub(super) calls: usize,
}

/// One request on its way to an explanation.
#[derive(Debug)]
pub(super) struct Explaining {
    frame: Frame,
    background: Arc<Background>,
    options: Arc<Options>,
    given: Given,
    /// The instances that are asked about now; those before them are explained, those after them are not planned yet.
    works: VecDeque<Work>,
    explained: Vec<Explained>,
    pending: Vec<Range>,
    effort: Effort,
}

/// Rows of a batch that belong together.
#[derive(Debug, Clone, Copy)]
struct Range {
    of: Rows,
    first: usize,
    count: usize,
}

#[derive(Debug, Clone, Copy)]
enum Rows {
    /// The frame's own: the background, then the instances.
    Given,
    /// Mixed rows of an instance.
    Mixed(usize),
}

impl Explaining {
    pub(super) fn new(frame: Frame, background: Arc<Background>, options: Arc<Options>) -> Self {
        Self {
            given: Given::new(frame.background, frame.instances),
            frame,
            background,
            options,
            works: VecDeque::new(),
            explained: Vec::new(),
            pending: Vec::new(),
            effort: Effort::default(),
        }
    }

    /// Gives each row of the pending batch its prediction.
    fn take(&mut self, answer: &InferResponse) -> Result<(), Error> {
        let pending = std::mem::take(&mut self.pending);
        let rows = pending.iter().map(|range| range.count).sum();
        if rows == 0 {
            return Err(Error::new(Code::Inference, "kernel_shap was given an answer it did not ask for"));
        }
        let predictions = answer::read(answer, &self.options.output, rows)?;
        self.given.expect(predictions.outputs, self.options.classes.as_deref())?;
        let mut values = predictions.values.as_slice();
        for range in pending {
            let (these, rest) = values.split_at(range.count * predictions.outputs);
            values = rest;
            match range.of {
                Rows::Given => {
                    self.given.answer(these);
                    let first = self.explained.len();
                    for (at, work) in self.works.iter_mut().enumerate() {
                        begin(work, &self.given, first + at);
                    }
                }
                Rows::Mixed(instance) => {
                    let work = &mut self.works[instance - self.explained.len()];
                    these.chunks_exact(predictions.outputs).for_each(|prediction| work.answer(prediction));
                }
            }
        }
        Ok(())
    }

    /// Solves the instances whose rows are all answered.
    fn settle(&mut self) -> Result<(), Error> {
        let Some(known) = self.given.known() else { return Ok(()) };
        let link = self.options.link;
        while self.works.front().is_some_and(Work::is_answered) {
            let Some(mut work) = self.works.pop_front() else { break };
            let mut full = known.instance(self.explained.len()).to_vec();
            let mut empty = known.mean();
            let mut values = work.means(self.frame.background);
            [&mut full, &mut empty, &mut values].into_iter().try_for_each(|it| link.apply(it))?;
            let worth = solve(&work.plan, &Game { values: &values, empty: &empty, full: &full });
            self.explained.push(Explained {
                worth,
                full,
                exact: matches!(work.plan, Plan::Exact(_)),
                coalitions: work.plan.coalitions().len(),
                players: work.players,
            });
        }
        Ok(())
    }

    /// Gathers the next batch; `None` when there is nothing left to ask.
    fn ask(&mut self) -> Result<Option<InferRequest>, Error> {
        let mut room = self.options.rows_per_call;
        let (first, count) = self.given.take(room);
        room -= count;
        self.pend(Rows::Given, first, count);
        while room > 0 {
            if self.works.back().is_none_or(Work::is_asked) && !self.plan_next()? {
                break;
            }
            let instance = self.explained.len() + self.works.len() - 1;
            let Some(work) = self.works.back_mut() else { break };
            let (first, count) = work.take(room);
            room -= count;
            self.pend(Rows::Mixed(instance), first, count);
        }
        Ok((!self.pending.is_empty()).then(|| self.request()))
    }

    fn pend(&mut self, of: Rows, first: usize, count: usize) {
        if count > 0 {
            self.pending.push(Range { of, first, count });
        }
    }

    /// Plans the next instance; tells whether there was one.
    fn plan_next(&mut self) -> Result<bool, Error> {
        let instance = self.explained.len() + self.works.len();
        if instance == self.frame.instances {
            return Ok(false);
        }
        let players = self.frame.varying(instance);
        if players.len() > MAX_SAMPLED_FEATURES {
            return Err(Error::invalid(format!(
                "instance {instance} differs from the background in {} features, kernel_shap explains at most \
                 {MAX_SAMPLED_FEATURES}",
                players.len()
            )));
        }
        let mut work = Work::new(&self.frame, instance, players, &self.options.budget);
        begin(&mut work, &self.given, instance);
        self.works.push_back(work);
        Ok(true)
    }

    fn request(&mut self) -> InferRequest {
        let spread = |range: &Range| {
            let of = range.of;
            (range.first..range.first + range.count).map(move |at| (of, at))
        };
        let rows: Vec<(Rows, usize)> = self.pending.iter().flat_map(spread).collect();
        self.effort.rows += rows.len();
        self.effort.calls += 1;
        let source = |row: usize, feature: usize| match rows[row] {
            (Rows::Given, at) => at,
            (Rows::Mixed(instance), at) => self.works[instance - self.explained.len()].source(at, feature),
        };
        let name = &self.options.output;
        let output = || RequestedOutput { name: name.clone(), parameters: Parameters::default() };
        let outputs = if name.is_empty() { Vec::new() } else { vec![output()] };
        InferRequest { outputs, ..InferRequest::of(self.frame.batch(rows.len(), source)) }
    }

    fn report(&self) -> Result<Next, Error> {
        let mut base = self.given.known().map(|known| known.mean()).unwrap_or_default();
        self.options.link.apply(&mut base)?;
        Ok(Next::Done(report::write(&Report {
            names: &self.background.names,
            options: &self.options,
            frame: &self.frame,
            base: &base,
            explained: &self.explained,
            effort: self.effort,
        })))
    }
}

/// Gives an instance the predictions that are known already, once they are.
fn begin(work: &mut Work, given: &Given, instance: usize) {
    if let Some(known) = given.known() {
        work.begin(known.background, known.instance(instance));
    }
}

impl Inquiry for Explaining {
    fn next(&mut self, answer: Option<InferResponse>) -> Result<Next, Error> {
        match answer {
            Some(answer) => self.take(&answer)?,
            None if self.effort.calls == 0 => {}
            None => {
                return Err(Error::new(Code::Inference, "kernel_shap was not given the answer it asked for"));
            }
        }
        self.settle()?;
        if let Some(request) = self.ask()? {
            return Ok(Next::Ask(request));
        }
        // Instances with nothing to ask about were planned just now.
        self.settle()?;
        self.report()
    }
}
