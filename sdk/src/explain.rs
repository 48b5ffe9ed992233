//! What an explainer is: a method that asks for predictions and ends in an explanation. It does no I/O itself.

use bytes::Bytes;
use weir_proto::{Error, InferRequest, InferResponse};

/// A method of explanation, with its data and options loaded.
pub trait Explain: Send + Sync + 'static {
    /// Begins to explain the instances of a request.
    ///
    /// # Errors
    /// `InvalidInput` when the instances do not fit the data the method was given.
    fn begin(&self, request: &InferRequest) -> Result<Box<dyn Inquiry>, Error>;
}

/// One explanation in the making: a state machine that is fed predictions.
pub trait Inquiry: Send {
    /// Goes on. `answer` is `None` at first, and then the answer to the last [`Next::Ask`].
    ///
    /// # Errors
    /// `Inference` or `Upstream` when the answer is not what the method was told to expect.
    fn next(&mut self, answer: Option<InferResponse>) -> Result<Next, Error>;
}

/// What an inquiry wants next.
pub enum Next {
    /// Predict these rows.
    Ask(InferRequest),
    /// This is the explanation.
    Done(Explanation),
}

/// A finished explanation: a JSON object, in the form Alibi's clients know (`meta` and `data`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    /// The JSON text.
    pub json: Bytes,
}
