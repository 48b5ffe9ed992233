//! What a transformer is: it reshapes a request before the model, and an answer after it.

use weir_proto::{Error, InferRequest, InferResponse};

/// Which of the two a transformer implements; the router skips the hop for the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Implements {
    /// Requests are reshaped.
    pub preprocess: bool,
    /// Answers are reshaped.
    pub postprocess: bool,
}

/// A transformer.
pub trait Transform: Send + Sync + 'static {
    /// Which of the two it does.
    fn implements(&self) -> Implements;

    /// Reshapes a request, in place.
    ///
    /// # Errors
    /// `InvalidInput` naming what was met and what was expected.
    fn preprocess(&self, request: &mut InferRequest) -> Result<(), Error> {
        let _ = request;
        Ok(())
    }

    /// Reshapes an answer, in place.
    ///
    /// # Errors
    /// `Inference` when the answer is not what the transformer was told to expect.
    fn postprocess(&self, response: &mut InferResponse) -> Result<(), Error> {
        let _ = response;
        Ok(())
    }
}
