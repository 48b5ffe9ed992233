//! What stands between the faces and the component: admission, deadline, panics, counting.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use http::HeaderValue;
use weir_proto::{Code, Error, Face};

use super::{Limits, catch};
use crate::call::REQUEST_ID;
use crate::id::Ids;
use crate::{Call, Handle, Metrics, ModelStatus, Payload, Verb, telemetry};

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
        !self.is_draining() && self.handle.models().await.iter().all(|it| it.ready)
    }

    pub(super) async fn model(&self, name: &str) -> Result<ModelStatus, Error> {
        let found = self.handle.models().await.into_iter().find(|it| it.name == name);
        found.ok_or_else(|| Error::model_not_found(name).or_origin(self.handle.component()))
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

    /// Serves a call from whichever face.
    pub(super) async fn serve(&self, mut call: Call) -> Result<Payload, Error> {
        let started = Instant::now();
        let _in_flight = self.metrics.enter();
        let (verb, face) = (call.verb, call.payload.face);
        let span = telemetry::server_span(self.handle.component().name(), &call);
        call.context.span.clone_from(&span);
        let model = call.model.clone();
        let outcome = self.admitted(call).await.map_err(|error| error.or_origin(self.handle.component()));
        let code = outcome.as_ref().err().map_or("ok", |error| error.code.name());
        self.metrics.observe(&model, verb, face.name(), code, started.elapsed());
        self.log(&model, verb, face, code, started);
        telemetry::finish(span, outcome.as_ref().err());
        outcome
    }

    async fn admitted(&self, call: Call) -> Result<Payload, Error> {
        // Shed before decoding: a refused request must cost nothing but its headers.
        if self.metrics.in_flight() > self.limits.max_in_flight as i64 {
            let message =
                format!("{} requests are in flight, the most this server takes", self.limits.max_in_flight);
            let mut error = Error::new(Code::Overloaded, message);
            error.retry_after = Some(std::time::Duration::from_secs(1));
            return Err(error);
        }
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
