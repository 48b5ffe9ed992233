//! Where a prediction runs: on the thread that has the request when it is short, on the pool's threads otherwise, together with
//! others where that helps.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use weir_proto::{Code, Error, Tensor};

use super::batch::{Batcher, Caller, Rules};
use super::model::ModelOptions;
use crate::metrics::QueueMetrics;
use crate::pool::{Share, Workers};
use crate::{Model, Process, Question, Reply};

/// Work longer than this leaves the thread that moves bytes. To hand a job over costs some ten microseconds itself.
const INLINE: Duration = Duration::from_micros(100);

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

    /// Whether it is the same signature, of one model.
    pub(super) fn is_as(&self, other: &Self) -> bool {
        self.signature == other.signature
    }
}

/// The decision where the predictions of one loaded model are made.
pub(super) struct Dispatch {
    name: String,
    share: Share,
    rules: Option<Rules>,
    process: Process,
    /// Absent until something is not short: the pool may be told after the model is loaded.
    queue: OnceLock<Queue>,
}

/// The model's place in the pool.
struct Queue {
    workers: Arc<Workers>,
    batcher: Option<Arc<Batcher>>,
    metrics: QueueMetrics,
}

impl Dispatch {
    /// Of a loaded model.
    pub(super) fn of(options: &ModelOptions, model: &dyn Model) -> Self {
        let share = Share { limit: options.threads, weight: model.threads(), queue: options.batching.queue };
        Self {
            name: options.name.clone(),
            share,
            rules: Rules::of(&options.batching, &options.name, model),
            process: options.process.clone(),
            queue: OnceLock::new(),
        }
    }

    fn queue(&self) -> &Queue {
        self.queue.get_or_init(|| {
            let workers =
                Arc::new(Workers::new(self.process.pool(), format!("model-{}", self.name), self.share));
            let metrics = self.process.metrics().queue(&self.name);
            let batcher = self
                .rules
                .clone()
                .map(|rules| Batcher::new(rules, self.share.queue, Arc::clone(&workers), metrics.clone()));
            Queue { workers, batcher, metrics }
        })
    }

    /// Predicts: `inputs` and `wanted` as for [`Model::predict`].
    ///
    /// # Errors
    /// The model's, and `Overloaded` when too many wait.
    pub(super) async fn predict(
        &self,
        chosen: &Chosen,
        inputs: Vec<Tensor>,
        wanted: &[usize],
        caller: Caller,
    ) -> Result<Vec<Tensor>, Error> {
        let model = chosen.model();
        let rows = inputs.first().map_or(0, Tensor::rows);
        if !self.rules.as_ref().is_some_and(Rules::hold) && model.cost(rows) <= INLINE {
            return model.predict_until(&inputs, wanted, caller.until);
        }
        let queue = self.queue();
        if let Some(batcher) = &queue.batcher
            && batcher.takes(chosen, &inputs, wanted)
        {
            // Boxed, so that whoever is answered at once has no room for it.
            return Box::pin(batcher.predict(chosen.clone(), inputs, wanted.to_vec(), caller)).await;
        }
        let (chosen, wanted, metrics) = (chosen.clone(), wanted.to_vec(), queue.metrics.clone());
        let job = move |waited| {
            metrics.waited(waited);
            chosen.model().predict_until(&inputs, &wanted, caller.until)
        };
        queue.workers.run(job).await
    }

    /// Puts a question to a model that takes requests whole.
    ///
    /// # Errors
    /// The model's, and `Overloaded` when too many wait.
    pub(super) async fn ask(&self, model: Arc<dyn Model>, question: Question) -> Result<Reply, Error> {
        let queue = self.queue();
        let metrics = queue.metrics.clone();
        let job = move |waited| {
            metrics.waited(waited);
            match model.whole() {
                Some(whole) => whole.answer(question),
                None => Err(Error::new(Code::Inference, "the model no longer takes requests whole")),
            }
        };
        queue.workers.run(job).await
    }
}
