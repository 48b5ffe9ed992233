//! Where a prediction runs: on the thread that has the request when it is short, on the model's own threads otherwise.

use std::sync::Arc;
use std::time::{Duration, Instant};

use weir_proto::{Code, Error, Tensor};

use crate::workers::Workers;
use crate::{Model, Question, Reply};

/// Work longer than this leaves the thread that moves bytes. To hand a job over costs some ten microseconds itself.
const INLINE: Duration = Duration::from_micros(100);
/// Jobs that may wait for a model's threads.
const QUEUE: usize = 512;

/// A model under one of its signatures.
#[derive(Clone)]
pub(super) struct Chosen {
    model: Arc<dyn Model>,
    /// The name of a signature that is not the default.
    signature: Option<String>,
}

impl Chosen {
    /// Under a signature by name, which the model has.
    pub(super) fn under(model: Arc<dyn Model>, signature: String) -> Self {
        Self { model, signature: Some(signature) }
    }

    /// The default signature.
    pub(super) fn default_of(model: Arc<dyn Model>) -> Self {
        Self { model, signature: None }
    }

    /// The model to ask.
    pub(super) fn model(&self) -> &dyn Model {
        let named = self.signature.as_ref().and_then(|name| self.model.under(name));
        named.unwrap_or(&*self.model)
    }
}

/// The threads of one model, and the decision who goes there.
pub(super) struct Dispatch {
    workers: Workers,
}

impl Dispatch {
    /// Of a model of that name, with so many threads.
    pub(super) fn new(name: &str, threads: usize) -> Self {
        Self { workers: Workers::new(format!("model-{name}"), threads, QUEUE) }
    }

    /// Predicts: `inputs` and `wanted` as for [`Model::predict`]; `until` is when the caller stops waiting.
    ///
    /// # Errors
    /// The model's, and `Overloaded` when too many wait.
    pub(super) async fn predict(
        &self,
        chosen: &Chosen,
        inputs: Vec<Tensor>,
        wanted: &[usize],
        until: Option<Instant>,
    ) -> Result<Vec<Tensor>, Error> {
        let model = chosen.model();
        let rows = inputs.first().map_or(0, Tensor::rows);
        if model.cost(rows) <= INLINE {
            return model.predict_until(&inputs, wanted, until);
        }
        let (chosen, wanted) = (chosen.clone(), wanted.to_vec());
        self.workers.run(move || chosen.model().predict_until(&inputs, &wanted, until)).await
    }

    /// Puts a question to a model that takes requests whole.
    ///
    /// # Errors
    /// The model's, and `Overloaded` when too many wait.
    pub(super) async fn ask(&self, model: Arc<dyn Model>, question: Question) -> Result<Reply, Error> {
        let job = move || match model.whole() {
            Some(whole) => whole.answer(question),
            None => Err(Error::new(Code::Inference, "the model no longer takes requests whole")),
        };
        self.workers.run(job).await
    }
}
