//! Serves an explainer: drives its state machine and puts its questions to the chain.

use std::sync::Arc;
use std::time::{Duration, Instant};

use weir_proto::{Code, Error, Face, Form, InferRequest, InferResponse, Origin, Tensor, oip};

use super::check_model;
use crate::id::Ids;
use crate::{
    BoxFuture, Call, Context, Explain, Explanation, Handle, Inquiry, Metadata, ModelStatus, Next, Payload,
    Peer, Verb,
};

/// How an explainer asks.
#[derive(Debug, Clone, Copy)]
pub struct ExplainOptions {
    /// How long an explanation may take when the caller names no deadline.
    pub timeout: Duration,
}

/// An explainer, for one model by name.
pub struct ExplainHost {
    name: String,
    explain: Box<dyn Explain>,
    /// Whom it asks for predictions: the router for the whole chain, or the predictor.
    predictor: Arc<Peer>,
    options: ExplainOptions,
    ids: Ids,
}

impl ExplainHost {
    /// Creates a host.
    pub fn new(
        name: impl Into<String>,
        explain: Box<dyn Explain>,
        predictor: Arc<Peer>,
        options: ExplainOptions,
    ) -> Arc<Self> {
        Arc::new(Self { name: name.into(), explain, predictor, options, ids: Ids::default() })
    }

    async fn explain(&self, mut call: Call) -> Result<Payload, Error> {
        check_model(&call, &self.name)?;
        let mut context = call.context.clone();
        context.explaining = true;
        context.deadline.get_or_insert_with(|| Instant::now() + self.options.timeout);
        let (request, form) = call.take_request()?;
        let mut inquiry = self.explain.begin(&request)?;
        let mut answer = None;
        loop {
            context.remaining()?;
            let (went, next) = step(inquiry, answer).await?;
            match next? {
                Next::Ask(question) => answer = Some(self.ask(question, &call, &context).await?),
                Next::Done(explanation) => return self.encode(call.want, request.id, form, explanation),
            }
            inquiry = went;
        }
    }

    async fn ask(
        &self,
        question: InferRequest,
        asked: &Call,
        context: &Context,
    ) -> Result<InferResponse, Error> {
        let call = Call {
            verb: Verb::Infer,
            model: self.name.clone(),
            version: asked.version.clone(),
            payload: Payload::new(Face::Tensors, oip::encode_request(&self.name, &asked.version, question)),
            want: Face::Tensors,
            context: context.clone(),
            limits: asked.limits,
        };
        self.predictor.call(call).await?.into_response().map(|(response, _)| response)
    }

    fn encode(&self, want: Face, id: String, form: Form, explanation: Explanation) -> Result<Payload, Error> {
        if want == Face::V1 {
            return Ok(Payload::new(want, explanation.json));
        }
        // As MLServer does: one string element that holds the JSON.
        let response = InferResponse {
            model_name: self.name.clone(),
            id: if id.is_empty() { self.ids.next() } else { id },
            outputs: vec![Tensor::strings("explanation", [1, 1], vec![explanation.json])],
            ..InferResponse::default()
        };
        Payload::of_response(want, response, form)
    }
}

/// One step of an inquiry, on a thread where it may take its time.
async fn step(
    mut inquiry: Box<dyn Inquiry>,
    answer: Option<InferResponse>,
) -> Result<(Box<dyn Inquiry>, Result<Next, Error>), Error> {
    let work = tokio::task::spawn_blocking(move || {
        let next = inquiry.next(answer);
        (inquiry, next)
    });
    work.await.map_err(|_| Error::new(Code::Inference, "the explanation failed unexpectedly"))
}

impl Handle for ExplainHost {
    fn component(&self) -> Origin {
        Origin::Explainer
    }

    fn verbs(&self) -> &[Verb] {
        &[Verb::Explain]
    }

    fn call(&self, call: Call) -> BoxFuture<'_, Result<Payload, Error>> {
        Box::pin(self.explain(call))
    }

    fn models(&self) -> BoxFuture<'_, Vec<ModelStatus>> {
        Box::pin(std::future::ready(vec![ModelStatus::ready(self.name.clone(), "")]))
    }

    fn metadata<'a>(&'a self, model: &'a str, _: &'a str) -> BoxFuture<'a, Result<Metadata, Error>> {
        let message = format!("the explainer of `{model}` has no signature; ask the router or the predictor");
        Box::pin(std::future::ready(Err(Error::new(Code::Unsupported, message))))
    }
}
