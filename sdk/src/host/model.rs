//! Serves a model: decodes, checks against its signature, predicts where the work belongs, encodes.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::Bytes;
use weir_proto::{Code, Error, Face, InferResponse, Origin};

use super::check_model;
use crate::id::Ids;
use crate::workers::Workers;
use crate::{BoxFuture, Call, Handle, Metadata, Model, ModelStatus, Payload, Verb};

/// Work longer than this leaves the thread that moves bytes. To hand a job over costs some ten microseconds itself.
const INLINE: Duration = Duration::from_micros(100);
/// Jobs that may wait for a model's threads.
const QUEUE: usize = 512;

/// A model by name, in whatever state it is.
pub struct ModelHost {
    name: String,
    state: ArcSwap<State>,
    workers: Workers,
    ids: Ids,
}

enum State {
    Loading,
    Ready(Arc<dyn Model>),
    Failed(String),
}

impl ModelHost {
    /// Creates a host whose model is still loading.
    pub fn loading(name: impl Into<String>, threads: usize) -> Arc<Self> {
        let name = name.into();
        let workers = Workers::new(format!("model-{name}"), threads, QUEUE);
        let state = ArcSwap::from_pointee(State::Loading);
        Arc::new(Self { name, state, workers, ids: Ids::default() })
    }

    /// Puts the model in place, or the reason why there is none.
    pub fn loaded(&self, outcome: Result<Box<dyn Model>, String>) {
        self.state.store(Arc::new(match outcome {
            Ok(model) => State::Ready(model.into()),
            Err(reason) => State::Failed(reason),
        }));
    }

    fn model(&self) -> Result<Arc<dyn Model>, Error> {
        match &**self.state.load() {
            State::Ready(model) => Ok(Arc::clone(model)),
            State::Loading => Err(Error::model_not_ready(&self.name, "It is loading.")),
            State::Failed(reason) => Err(Error::model_not_ready(&self.name, reason)),
        }
    }

    fn check_version(&self, version: &str) -> Result<(), Error> {
        if version.is_empty() {
            return Ok(());
        }
        let message =
            format!("Model with name {} has no version {version}; it has none but the latest.", self.name);
        Err(Error::new(Code::NotFound, message))
    }

    async fn infer(&self, call: Call) -> Result<Payload, Error> {
        check_model(&call, &self.name)?;
        self.check_version(&call.version)?;
        let model = self.model()?;
        let mut request = call.payload.face.decode_request(call.payload.body)?;
        let wanted = model.signature().wanted(&request)?;
        let inputs = model.signature().bind(&mut request)?;
        let rows = inputs.first().map_or(0, weir_proto::Tensor::rows);
        let outputs = if model.cost(rows) <= INLINE {
            model.predict(&inputs, &wanted)?
        } else {
            self.workers.run(move || model.predict(&inputs, &wanted)).await?
        };
        self.encode(call.want, request.id, outputs)
    }

    fn encode(&self, want: Face, id: String, outputs: Vec<weir_proto::Tensor>) -> Result<Payload, Error> {
        // V1 has no place for an id; to make one would be work for nobody.
        let id = if id.is_empty() && want != Face::V1 { self.ids.next() } else { id };
        let response =
            InferResponse { model_name: self.name.clone(), id, outputs, ..InferResponse::default() };
        let body: Bytes = want.encode_response(response)?;
        Ok(Payload { face: want, body })
    }
}

impl Handle for ModelHost {
    fn component(&self) -> Origin {
        Origin::Predictor
    }

    fn verbs(&self) -> &[Verb] {
        &[Verb::Infer]
    }

    fn call(&self, call: Call) -> BoxFuture<'_, Result<Payload, Error>> {
        Box::pin(self.infer(call))
    }

    fn models(&self) -> BoxFuture<'_, Vec<ModelStatus>> {
        let (ready, reason) = match &**self.state.load() {
            State::Ready(_) => (true, String::new()),
            State::Loading => (false, "it is loading".to_owned()),
            State::Failed(reason) => (false, reason.clone()),
        };
        let status = ModelStatus { name: self.name.clone(), ready, reason };
        Box::pin(std::future::ready(vec![status]))
    }

    fn metadata<'a>(&'a self, model: &'a str, version: &'a str) -> BoxFuture<'a, Result<Metadata, Error>> {
        let told = || {
            if model != self.name {
                return Err(Error::model_not_found(model));
            }
            self.check_version(version)?;
            let signature = self.model()?.signature().clone();
            Ok(Metadata { name: self.name.clone(), versions: Vec::new(), signature })
        };
        Box::pin(std::future::ready(told()))
    }
}
