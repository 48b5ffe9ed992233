//! A request that waits to be put together with others, and who asked.

use std::time::Instant;

use tokio::sync::oneshot;
use tracing::Span;
use weir_proto::{Code, Error, Tensor};

use super::Chosen;
use crate::Context;

/// Who asks.
#[derive(Debug, Clone, Default)]
pub(in super::super) struct Caller {
    /// When the caller stops waiting.
    pub(in super::super) until: Option<Instant>,
    /// The span the call is served in.
    pub(in super::super) span: Option<Span>,
}

impl From<&Context> for Caller {
    fn from(context: &Context) -> Self {
        Self { until: context.deadline, span: context.span.clone() }
    }
}

/// A request that waits.
pub(super) struct Request {
    pub(super) chosen: Chosen,
    pub(super) inputs: Vec<Tensor>,
    pub(super) wanted: Vec<usize>,
    pub(super) rows: usize,
    /// About how many bytes its inputs have.
    pub(super) bytes: usize,
    pub(super) caller: Caller,
    /// When it came.
    pub(super) since: Instant,
    /// Those that go with it, and are not before it, fill a batch.
    pub(super) leads: bool,
    reply: oneshot::Sender<Result<Vec<Tensor>, Error>>,
}

impl Request {
    pub(super) fn new(
        chosen: Chosen,
        inputs: Vec<Tensor>,
        wanted: Vec<usize>,
        caller: Caller,
        reply: oneshot::Sender<Result<Vec<Tensor>, Error>>,
    ) -> Self {
        let rows = inputs.first().map_or(0, Tensor::rows);
        let size = |it: &Tensor| match &it.data {
            weir_proto::Data::Bytes(texts) => texts.iter().map(|it| it.len() + size_of_val(it)).sum(),
            numbers => numbers.len() * numbers.datatype().size().unwrap_or(1),
        };
        let bytes = inputs.iter().map(size).sum();
        Self { chosen, inputs, wanted, rows, bytes, caller, since: Instant::now(), leads: false, reply }
    }

    /// Whether the rows of both can be one prediction's.
    pub(super) fn goes_with(&self, other: &Self) -> bool {
        let alike = |(a, b): (&Tensor, &Tensor)| a.datatype() == b.datatype() && a.shape[1..] == b.shape[1..];
        self.wanted == other.wanted
            && self.inputs.len() == other.inputs.len()
            && self.inputs.iter().zip(&other.inputs).all(alike)
            && self.chosen.is_as(&other.chosen)
    }

    /// Whether the caller has left.
    pub(super) fn has_left(&self) -> bool {
        self.reply.is_closed()
    }

    /// Whether the caller's time is over.
    pub(super) fn is_late(&self) -> bool {
        self.caller.until.is_some_and(|until| until <= Instant::now())
    }

    /// Whether nobody waits for it any more.
    pub(super) fn is_given_up(&self) -> bool {
        self.has_left() || self.is_late()
    }

    /// Answers. The caller may leave meanwhile; then nobody wants the answer.
    pub(super) fn answer(self, outcome: Result<Vec<Tensor>, Error>) {
        let _ = self.reply.send(outcome);
    }

    /// Answers one whose time is over.
    pub(super) fn refuse(self) {
        self.answer(Err(Error::new(
            Code::Deadline,
            "the deadline passed while the request waited for the model",
        )));
    }
}
