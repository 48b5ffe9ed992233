//! What a model is: tensors in, tensors out, nothing of HTTP, gRPC or JSON.

use std::time::{Duration, Instant};

use weir_proto::{Error, Face, InferRequest, InferResponse, Signature, Tensor};

use crate::{Call, Context, Verb};

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

    /// Predicts as [`Model::predict`] does, for a caller who waits no longer than `until`. A model whose work can be stopped
    /// from outside stops it then.
    ///
    /// # Errors
    /// As for [`Model::predict`], and `Deadline`.
    fn predict_until(
        &self,
        inputs: &[Tensor],
        wanted: &[usize],
        until: Option<Instant>,
    ) -> Result<Vec<Tensor>, Error> {
        let _ = until;
        self.predict(inputs, wanted)
    }

    /// The model, where it takes requests whole: nothing is checked against its signature then, nor told by it.
    fn whole(&self) -> Option<&dyn Whole> {
        None
    }

    /// Whether it answers now; a model may depend on something that comes and goes.
    ///
    /// # Errors
    /// Why it does not.
    fn health(&self) -> Result<(), String> {
        Ok(())
    }

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

    /// The names of its signatures, where its framework names them: each is one that [`Model::under`] knows.
    fn signature_names(&self) -> Vec<String> {
        Vec::new()
    }

    /// Whether rows of several requests may be predicted together, and whether that is faster.
    fn batching(&self) -> Batching {
        Batching::Even
    }

    /// The most rows that one prediction takes, where there is a most: no more of several requests go together.
    fn most_rows(&self) -> Option<usize> {
        None
    }

    /// About how many bytes of memory it holds; `None` when nobody can tell.
    fn memory(&self) -> Option<u64> {
        None
    }
}

/// A model that reads requests and writes answers itself, as somebody's own code does.
pub trait Whole: Send + Sync {
    /// Answers one request. It may block: it is asked on the model's own threads.
    ///
    /// # Errors
    /// What the model says, and `Deadline`.
    fn answer(&self, question: Question) -> Result<Reply, Error>;

    /// Whether it explains as well.
    fn explains(&self) -> bool {
        false
    }
}

/// A request that a model gets whole.
#[derive(Debug)]
pub struct Question {
    /// [`Verb::Infer`] or [`Verb::Explain`].
    pub verb: Verb,
    /// The model's name.
    pub model: String,
    /// What is asked.
    pub asked: Asked,
    /// The face the answer is wanted in.
    pub want: Face,
    /// What travels with the call: headers, and the deadline.
    pub context: Context,
}

/// What a model is asked.
#[derive(Debug)]
pub enum Asked {
    /// A body of the V1 protocol, as the client wrote it.
    Json(bytes::Bytes),
    /// A request of the Open Inference Protocol in whatever form, or what a transformer made.
    Tensors(InferRequest),
}

/// What a model answers to a request that it got whole.
#[derive(Debug)]
pub enum Reply {
    /// A body of the V1 protocol, as the client gets it.
    Json(bytes::Bytes),
    /// Tensors, to be written in the face that is wanted. Names of model and version need not be told.
    Tensors(InferResponse),
}

impl Question {
    /// Makes a question of a call: what is not V1 is decoded.
    pub(crate) fn of(mut call: Call) -> Result<(Self, weir_proto::Form), Error> {
        let (asked, form) = if call.payload.face == Face::V1 {
            (Asked::Json(std::mem::take(&mut call.payload.body)), std::mem::take(&mut call.payload.form))
        } else {
            let (request, form) = call.take_request()?;
            (Asked::Tensors(request), form)
        };
        let Call { verb, model, want, context, .. } = call;
        Ok((Self { verb, model, asked, want, context }, form))
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
