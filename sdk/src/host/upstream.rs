//! Stands for a model that another server holds, such as a Triton: what is asked here is asked there over V2 gRPC, and what it
//! answers, metadata and readiness among it, is answered here.

use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use weir_proto::{Code, Error, Face, InferRequest, InferResponse, Layout, Method, Origin, Payload};

use super::check_model;
use super::model::raw_body;
use crate::id::Ids;
use crate::{BoxFuture, Call, Context, Handle, Metadata, ModelState, ModelStatus, Peer, Target, Verb};

/// How long a question takes at most where its caller names no deadline.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long the upstream has to say whether it is ready.
const READY: Duration = Duration::from_secs(1);

/// A model by its name here, at another server by its name there.
pub struct UpstreamHost {
    name: String,
    there: String,
    peer: Arc<Peer>,
    /// What the upstream told of the model while it was ready.
    told: ArcSwapOption<Metadata>,
    ids: Ids,
}

impl UpstreamHost {
    /// Creates a host for the model `name`, which is called `there` at `target`. Nothing is connected yet. An answer has at most
    /// `max_message` bytes.
    pub fn new(
        name: impl Into<String>,
        there: impl Into<String>,
        target: Target,
        max_message: usize,
    ) -> Arc<Self> {
        Arc::new(Self {
            name: name.into(),
            there: there.into(),
            peer: Peer::new(Origin::Upstream, target, max_message),
            told: ArcSwapOption::empty(),
            ids: Ids::default(),
        })
    }

    async fn infer(&self, mut call: Call) -> Result<Payload, Error> {
        check_model(&call, &self.name)?;
        let version = std::mem::take(&mut call.version);
        let version = checked(&version)?;
        let _ = call.context.deadline.get_or_insert_with(|| Instant::now() + PATIENCE);
        let (mut request, mut form) = call.take_request()?;
        if form.method != Method::Predict {
            let message = "the model is served by an upstream, which is asked to predict alone; use :predict";
            return Err(Error::new(Code::Unsupported, message));
        }
        if form.layout == Layout::Inputs {
            form.layout = Layout::Rows;
        }
        self.settle(&mut request, form.raw, &call, version).await?;
        let id = request.id.clone();
        let mut response =
            self.peer.infer(&self.there, version, request, &call.context).await.map_err(theirs)?;
        if response.id.is_empty() && call.want != Face::V1 {
            response.id = if id.is_empty() { self.ids.next() } else { id };
        }
        let response = InferResponse { model_name: call.model, ..response };
        Payload::of_response(call.want, response, form)
    }

    /// Gives inputs the names and types of the model's signature, where the protocol gave them none.
    async fn settle(
        &self,
        request: &mut InferRequest,
        raw: bool,
        call: &Call,
        version: &str,
    ) -> Result<(), Error> {
        if !raw && call.payload.face != Face::V1 {
            return Ok(());
        }
        let told = self.metadata_of(version, &call.context).await?;
        request.inputs = if raw {
            told.signature.bind_raw(raw_body(&mut request.inputs))?
        } else {
            told.signature.bind(request)?
        };
        for (input, spec) in request.inputs.iter_mut().zip(&told.signature.inputs) {
            spec.name.clone_into(&mut input.name);
        }
        Ok(())
    }

    async fn metadata_of(&self, version: &str, context: &Context) -> Result<Arc<Metadata>, Error> {
        if let Some(told) = self.told.load_full().filter(|_| version.is_empty()) {
            return Ok(told);
        }
        let told = self.peer.metadata(&self.there, version, context).await.map_err(theirs)?;
        let told = Arc::new(Metadata { name: self.name.clone(), ..told });
        if version.is_empty() {
            self.told.store(Some(Arc::clone(&told)));
        }
        Ok(told)
    }

    async fn status(&self) -> ModelStatus {
        let context = Context { deadline: Some(Instant::now() + READY), ..Context::default() };
        let outcome = match self.peer.model_ready(&self.there, "", &context).await {
            Ok(true) => self.metadata_of("", &context).await.map_err(|error| error.message),
            Ok(false) => Err("the upstream says that it is not ready".to_owned()),
            Err(error) => Err(error.message),
        };
        let (version, state, reason) = match outcome {
            Ok(told) => (told.versions.last().cloned().unwrap_or_default(), ModelState::Ready, String::new()),
            Err(reason) => {
                // It may be another model when it comes back.
                self.told.store(None);
                (String::new(), ModelState::Loading, reason)
            }
        };
        ModelStatus { version, ..ModelStatus::away(self.name.clone(), state, reason) }
    }
}

/// The upstream has no labels of ours.
fn checked(version: &str) -> Result<&str, Error> {
    match version.strip_prefix('@') {
        None => Ok(version),
        Some(label) => Err(Error::invalid(format!(
            "version label {label}: the model is served by an upstream, which knows versions alone; name one"
        ))),
    }
}

/// Whatever service of the upstream said no: from here it is the upstream.
fn theirs(mut error: Error) -> Error {
    error.origin = Some(Origin::Upstream);
    error
}

impl Handle for UpstreamHost {
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
        Box::pin(async { vec![self.status().await] })
    }

    fn metadata<'a>(&'a self, model: &'a str, version: &'a str) -> BoxFuture<'a, Result<Metadata, Error>> {
        Box::pin(async move {
            if model != self.name {
                return Err(Error::model_not_found(model));
            }
            let context = Context { deadline: Some(Instant::now() + PATIENCE), ..Context::default() };
            self.metadata_of(checked(version)?, &context).await.map(|it| (*it).clone())
        })
    }
}
