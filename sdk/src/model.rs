//! What a model is: tensors in, tensors out, nothing of HTTP, gRPC or JSON.

use std::time::Duration;

use weir_proto::{Error, Signature, Tensor};

/// A loaded model. It is shared by every request, so prediction takes `&self`.
pub trait Model: Send + Sync + 'static {
    /// What the model takes and gives.
    fn signature(&self) -> &Signature;

    /// Predicts. `inputs` fit the signature: as many, in its order, shapes and data types checked. `wanted` are indices into
    /// the signature's outputs; the answer holds just those, in that order.
    ///
    /// # Errors
    /// `InvalidInput` for values the model cannot take, `Inference` when the model itself fails.
    fn predict(&self, inputs: &[Tensor], wanted: &[usize]) -> Result<Vec<Tensor>, Error>;

    /// About how long a prediction of that many rows takes. Short work runs where it is; longer work goes to the model's
    /// own threads, so that it never holds up the thread that moves other callers' bytes.
    fn cost(&self, rows: usize) -> Duration {
        let _ = rows;
        Duration::ZERO
    }

    /// How many threads compute during one prediction; 1 but for libraries that split their work. 0 for a model that computes
    /// elsewhere and waits: it holds up no core.
    fn threads(&self) -> usize {
        1
    }

    /// The same model under another of its signatures, as TensorFlow's have several; `None` when it has none of that name.
    fn under(&self, signature_name: &str) -> Option<&dyn Model> {
        let _ = signature_name;
        None
    }

    /// Whether rows of several requests may be predicted together, and whether that is faster.
    fn batching(&self) -> Batching {
        Batching::Even
    }

    /// About how many bytes of memory it holds; `None` when nobody can tell.
    fn memory(&self) -> Option<u64> {
        None
    }
}

/// What it means to a model that rows of several requests come together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Batching {
    /// Rows are not independent, or the first dimension is no batch: never put requests together.
    Never,
    /// A row costs the same in company: put together only where the manifest asks for it.
    Even,
    /// Rows are cheaper in company: put together what waits anyway.
    Gains,
}
