//! What stands between the faces and the component: admission, deadline, panics, counting.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::HeaderValue;
use tokio::sync::watch;
use weir_proto::{Code, Error, Face};

use super::{Events, Limits, Switches, body, catch};
use crate::call::REQUEST_ID;
use crate::flags::ModelControl;
use crate::id::Ids;
use crate::metrics::InFlight;
use crate::{
    Call, Context, Handle, Metrics, ModelState, ModelStatus, Payload, RepositoryVerb, Travellers, Verb,
    telemetry,
};

pub(super) struct App {
    pub(super) handle: Arc<dyn Handle>,
    pub(super) limits: Limits,
    pub(super) switches: Switches,
    pub(super) travellers: Travellers,
    pub(super) metrics: Metrics,
    pub(super) events: Events,
    ids: Ids,
    stage: watch::Sender<Stage>,
}

/// How far a server is on its way out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    Serving,
    /// It says that it is not ready, and serves on.
    Draining,
    /// It takes no connections, and what has no end of its own is ended.
    Stopping,
}

impl App {
    pub(super) fn new(handle: Arc<dyn Handle>, limits: Limits, metrics: Metrics) -> Self {
        Self {
            handle,
            limits,
            switches: Switches::default(),
            travellers: Travellers::default(),
            metrics,
            events: Events::default(),
            ids: Ids::default(),
            stage: watch::Sender::new(Stage::Serving),
        }
    }

    pub(super) fn drain(&self) {
        self.stage.send_replace(Stage::Draining);
    }

    pub(super) fn stop(&self) {
        self.stage.send_replace(Stage::Stopping);
    }

    pub(super) fn is_draining(&self) -> bool {
        *self.stage.borrow() != Stage::Serving
    }

    pub(super) fn stage(&self) -> watch::Receiver<Stage> {
        self.stage.subscribe()
    }

    /// Waits until what has no end of its own is to end.
    pub(super) async fn stopping(&self) {
        // Fails only when the sender is gone, which lives in `self`.
        let _ = self.stage().wait_for(|it| *it == Stage::Stopping).await;
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
        if version.is_empty() || version == status.version {
            return Ok(status);
        }
        match status.versions.iter().find(|it| it.version == version) {
            Some(it) if it.state == ModelState::Ready => {}
            Some(it) => {
                let error = Error::model_not_ready(name, &format!("Version {version}: {}", it.reason));
                return Err(error.or_origin(self.handle.component()));
            }
            // Only whoever serves the model knows its labels and further versions.
            None => drop(self.handle.metadata(name, version).await?),
        }
        Ok(status)
    }

    /// Loads or unloads a model.
    pub(super) async fn repository(&self, verb: RepositoryVerb, model: &str) -> Result<(), Error> {
        let work = match self.switches.model_control {
            ModelControl::Explicit => catch::panics(self.handle.repository(verb, model)).await,
            ModelControl::None => Err(Error::new(
                Code::Forbidden,
                "models are not loaded or unloaded here: `--model_control_mode` is `none`",
            )),
            ModelControl::Poll => Err(Error::new(
                Code::Forbidden,
                "models are not loaded or unloaded here: `--model_control_mode` is `poll`, so what is in the repository is served",
            )),
        };
        work.map_err(|error| error.or_origin(self.handle.component()))
    }

    /// Returns an id that nothing else has, in the shape of a UUID.
    pub(super) fn new_id(&self) -> String {
        self.ids.next()
    }

    /// Gives a call that came without one a request id.
    pub(super) fn identify(&self, context: &mut Context) -> HeaderValue {
        if let Some(id) = context.header(&REQUEST_ID) {
            return id.clone();
        }
        let id = HeaderValue::from_str(&self.ids.next()).expect("hexadecimal digits are a header value");
        context.headers.push((REQUEST_ID, id.clone()));
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
        let longest = self.limits.body_timeout;
        let left = context.remaining()?.map_or(longest, |left| left.min(longest));
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
        let told = self.switches.latency_log.then(|| call.context.header(&REQUEST_ID).cloned());
        let outcome = self.answer(call).await.map_err(|error| error.or_origin(self.handle.component()));
        let code = outcome.as_ref().err().map_or("ok", |error| error.code.name());
        // An explainer's questions are its own doing, thousands to one request of a user.
        if !explaining {
            self.metrics.observe(&model, verb, face.name(), code, started.elapsed());
        }
        if let Some(id) = told {
            log_latency(id.as_ref(), verb, started.elapsed());
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

/// Says how long a request took, in the words of KServe's servers, which log readers know.
fn log_latency(id: Option<&HeaderValue>, verb: Verb, took: Duration) {
    let id = id.and_then(|it| it.to_str().ok()).unwrap_or("N.A.");
    let ms = |of: Verb| if of == verb { took.as_secs_f64() * 1e3 } else { 0.0 };
    tracing::info!(
        "requestId: {id}, preprocess_ms: {:.9}, explain_ms: {:.9}, predict_ms: {:.9}, postprocess_ms: {:.9}",
        ms(Verb::Preprocess),
        ms(Verb::Explain),
        ms(Verb::Infer),
        ms(Verb::Postprocess)
    );
}
