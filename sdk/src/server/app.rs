//! What stands between the faces and the component: admission, deadline, panics, counting.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::HeaderValue;
use weir_proto::{Code, Error, Face};

use super::{Limits, body, catch};
use crate::call::REQUEST_ID;
use crate::id::Ids;
use crate::metrics::InFlight;
use crate::{
    Call, Context, Handle, Metrics, ModelState, ModelStatus, Payload, RepositoryVerb, Verb, telemetry,
};

/// The longest a body may take to arrive when the caller names no deadline: a slow sender must not hold its place for ever.
const BODY: Duration = Duration::from_secs(60);

pub(super) struct App {
    pub(super) handle: Arc<dyn Handle>,
    pub(super) limits: Limits,
    pub(super) metrics: Metrics,
    ids: Ids,
    draining: AtomicBool,
}

impl App {
    pub(super) fn new(handle: Arc<dyn Handle>, limits: Limits, metrics: Metrics) -> Self {
        Self { handle, limits, metrics, ids: Ids::default(), draining: AtomicBool::new(false) }
    }

    pub(super) fn drain(&self) {
        self.draining.store(true, Ordering::Release);
    }

    pub(super) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Acquire)
    }

    /// Whether every model answers, and the server is not on its way out.
    pub(super) async fn ready(&self) -> bool {
        self.ready_with(&self.handle.models().await)
    }

    /// The same, of models that were asked already.
    pub(super) fn ready_with(&self, models: &[ModelStatus]) -> bool {
        !self.is_draining() && !models.iter().any(ModelStatus::is_missing)
    }

    /// A model that was not unloaded.
    pub(super) async fn model(&self, name: &str) -> Result<ModelStatus, Error> {
        let there = |it: &ModelStatus| it.name == name && it.state != ModelState::Unloaded;
        let found = self.handle.models().await.into_iter().find(there);
        found.ok_or_else(|| Error::model_not_found(name).or_origin(self.handle.component()))
    }

    /// A model that answers, in that version where one is named.
    pub(super) async fn ready_model(&self, name: &str, version: &str) -> Result<ModelStatus, Error> {
        let status = self.model(name).await?;
        if !status.is_ready() || self.is_draining() {
            let error = Error::model_not_ready(&status.name, &status.reason);
            return Err(error.or_origin(self.handle.component()));
        }
        if !version.is_empty() && version != status.version {
            // Only whoever serves the model knows its labels and further versions.
            self.handle.metadata(name, version).await?;
        }
        Ok(status)
    }

    /// Loads or unloads a model.
    pub(super) async fn repository(&self, verb: RepositoryVerb, model: &str) -> Result<(), Error> {
        let work = catch::panics(self.handle.repository(verb, model));
        work.await.map_err(|error| error.or_origin(self.handle.component()))
    }

    /// Gives a call that came without one a request id.
    pub(super) fn identify(&self, call: &mut Call) -> HeaderValue {
        if let Some(id) = call.context.header(&REQUEST_ID) {
            return id.clone();
        }
        let id = HeaderValue::from_str(&self.ids.next()).expect("hexadecimal digits are a header value");
        call.context.headers.push((REQUEST_ID, id.clone()));
        id
    }

    /// Lets a request in, before its body is read: a refused one must cost nothing but its headers. The guard's drop lets the
    /// next one in.
    pub(super) fn admit(&self) -> Result<InFlight, Error> {
        let guard = self.metrics.enter();
        if self.metrics.in_flight() <= self.limits.max_in_flight as i64 {
            return Ok(guard);
        }
        let message =
            format!("{} requests are in flight, the most this server takes", self.limits.max_in_flight);
        let error = Error::new(Code::Overloaded, message).retry_after(Duration::from_secs(1));
        Err(error.or_origin(self.handle.component()))
    }

    /// Reads a request's body within its limit, and within the caller's deadline or the longest a body may take.
    pub(super) async fn read<B>(&self, body: B, context: &Context) -> Result<Bytes, Error>
    where
        B: http_body::Body<Data = Bytes>,
        B::Error: std::fmt::Display,
    {
        let left = context.remaining()?.map_or(BODY, |left| left.min(BODY));
        let read = body::read(body, self.limits.max_body_bytes);
        tokio::time::timeout(left, read).await.unwrap_or_else(|_| {
            Err(Error::new(Code::Deadline, format!("the body did not arrive whole within {left:?}")))
        })
    }

    /// Serves a call from whichever face, which has admitted it.
    pub(super) async fn serve(&self, mut call: Call) -> Result<Payload, Error> {
        let started = Instant::now();
        let explaining = call.context.explaining;
        let (verb, face) = (call.verb, call.payload.face);
        let span = telemetry::server_span(self.handle.component().name(), &call);
        call.context.span.clone_from(&span);
        let model = call.model.clone();
        let outcome = self.answer(call).await.map_err(|error| error.or_origin(self.handle.component()));
        let code = outcome.as_ref().err().map_or("ok", |error| error.code.name());
        // An explainer's questions are its own doing, thousands to one request of a user.
        if !explaining {
            self.metrics.observe(&model, verb, face.name(), code, started.elapsed());
        }
        self.log(&model, verb, face, code, started);
        telemetry::finish(span, outcome.as_ref().err());
        outcome
    }

    async fn answer(&self, call: Call) -> Result<Payload, Error> {
        if !self.handle.verbs().contains(&call.verb) {
            return Err(self.unsupported(call.verb));
        }
        let left = call.context.remaining()?;
        let work = catch::panics(self.handle.call(call));
        match left {
            Some(left) => tokio::time::timeout(left, work).await.unwrap_or_else(|_| {
                Err(Error::new(Code::Deadline, "the deadline passed while the request was served"))
            }),
            None => work.await,
        }
    }

    fn unsupported(&self, verb: Verb) -> Error {
        let offered: Vec<_> = self.handle.verbs().iter().map(|it| it.name()).collect();
        let component = self.handle.component();
        let message = format!("this {component} does not {}; it offers {}", verb.name(), offered.join(", "));
        Error::new(Code::Unsupported, message)
    }

    fn log(&self, model: &str, verb: Verb, face: Face, code: &str, started: Instant) {
        tracing::debug!(
            component = self.handle.component().name(),
            model,
            verb = verb.name(),
            protocol = face.name(),
            code,
            took_us = started.elapsed().as_micros() as u64,
            "request"
        );
    }
}
