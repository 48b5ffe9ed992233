//! Calls to another service: gRPC over one warm HTTP/2 connection, made anew by itself when it breaks.

mod http_client;
mod link;
mod target;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use bytes::Bytes;
use http::uri::{Authority, PathAndQuery};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri, Version, header};
use prost::Message;
use weir_proto::generated::{inference, mesh};
use weir_proto::{
    Code, DataType, Error, Face, Form, InferRequest, InferResponse, Origin, Payload, Signature, TensorSpec,
    oip,
};

pub use http_client::healthy;
pub use target::Target;

use crate::call::EXPLAINING;
use crate::{Call, Context, Metadata, ModelStatus, RepositoryVerb, Verb, grpc, properties, telemetry, wire};
use link::{Link, LinkError};

/// How long a connection may take to be made: a peer that is up answers within a network's round trip.
const CONNECT: Duration = Duration::from_secs(2);

/// Another service.
pub struct Peer {
    origin: Origin,
    target: Target,
    /// What stands in the `:authority` of its requests.
    authority: Authority,
    link: ArcSwapOption<Warm>,
    connecting: tokio::sync::Mutex<()>,
    /// Whether the last connection could not be made: an outage is told once, not with every request.
    away: AtomicBool,
    max_message: usize,
}

/// A connection, and what was learnt over it.
struct Warm {
    link: Link,
    verbs: tokio::sync::OnceCell<Arc<[Verb]>>,
}

/// What a service tells of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Description {
    /// Whether every model of it answers.
    pub ready: bool,
    /// What it implements.
    pub verbs: Vec<Verb>,
    /// Its models.
    pub models: Vec<ModelStatus>,
}

impl Peer {
    /// Creates a peer. `origin` is what it is; nothing is connected yet.
    pub fn new(origin: Origin, target: Target, max_message: usize) -> Arc<Self> {
        let (authority, link) = (target.authority(), ArcSwapOption::empty());
        Arc::new(Self {
            origin,
            target,
            authority,
            link,
            connecting: tokio::sync::Mutex::new(()),
            away: AtomicBool::new(false),
            max_message,
        })
    }

    /// Where it is.
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// Sends a call and waits for its answer, no longer than the call's deadline.
    ///
    /// # Errors
    /// The peer's own error, unchanged; `NotReady` when it cannot be reached; `Upstream` when the connection breaks.
    pub async fn call(&self, call: Call) -> Result<Payload, Error> {
        let path = wire::path(call.verb);
        let message = mesh::Call {
            face: mesh::Face::from(call.payload.face).into(),
            want: mesh::Face::from(call.want).into(),
            model: call.model,
            version: call.version,
            body: call.payload.body,
            json_length: call.payload.json_length.map(|it| it as u64),
            form: call.payload.form.to_wire(),
        };
        let answer: mesh::Answer = self.unary(path, &message, &call.context).await?;
        let face = Face::try_from(answer.face).map_err(|error| self.nonsense(&error.message))?;
        let json_length = answer.json_length.map(wire::length).transpose();
        let json_length = json_length.map_err(|error| self.nonsense(&error.message))?;
        Ok(Payload { face, body: answer.body, json_length, form: Form::from_wire(answer.form) })
    }

    /// Asks what the peer implements and which of its models are ready.
    ///
    /// # Errors
    /// As for [`Peer::call`].
    pub async fn describe(&self, context: &Context) -> Result<Description, Error> {
        let told: mesh::Description = self.unary(wire::DESCRIBE, &mesh::DescribeRequest {}, context).await?;
        let model = |it: mesh::description::Model| ModelStatus {
            state: wire::state_of(&it),
            name: it.name,
            version: it.version,
            reason: it.reason,
            versions: it.versions.into_iter().map(wire::version_of).collect(),
        };
        Ok(Description {
            ready: told.ready,
            verbs: told.verbs.iter().filter_map(|name| Verb::from_name(name)).collect(),
            models: told.models.into_iter().map(model).collect(),
        })
    }

    /// Returns what the peer implements. It is asked once a connection: a service replaced by another build is asked anew.
    ///
    /// # Errors
    /// As for [`Peer::call`].
    pub async fn verbs(&self, context: &Context) -> Result<Arc<[Verb]>, Error> {
        let link = self.link().await?;
        let asked =
            link.verbs.get_or_try_init(|| async { self.describe(context).await.map(|it| it.verbs.into()) });
        asked.await.cloned()
    }

    /// Asks what a model takes and gives.
    ///
    /// # Errors
    /// As for [`Peer::call`].
    pub async fn metadata(&self, model: &str, version: &str, context: &Context) -> Result<Metadata, Error> {
        let path = "/inference.GRPCInferenceService/ModelMetadata";
        let request = inference::ModelMetadataRequest { name: model.to_owned(), version: version.to_owned() };
        let told: inference::ModelMetadataResponse = self.unary(path, &request, context).await?;
        let spec = |it: inference::model_metadata_response::TensorMetadata| {
            let datatype = DataType::parse(&it.datatype).map_err(|error| self.nonsense(&error.message))?;
            Ok(TensorSpec::new(it.name, datatype, it.shape))
        };
        let mut signature = Signature {
            platform: told.platform,
            inputs: told.inputs.into_iter().map(spec).collect::<Result<_, Error>>()?,
            outputs: told.outputs.into_iter().map(spec).collect::<Result<_, Error>>()?,
            ..Signature::default()
        };
        let properties = properties::from_wire(&mut signature, &told.properties);
        properties.map_err(|error| self.nonsense(&error.message))?;
        let version = told.properties.get(properties::VERSION).cloned().unwrap_or_default();
        Ok(Metadata { name: told.name, version, versions: told.versions, signature, signatures: Vec::new() })
    }

    /// Asks a model of a server of the Open Inference Protocol, Weir's or not.
    ///
    /// # Errors
    /// As for [`Peer::call`].
    pub async fn infer(
        &self,
        model: &str,
        version: &str,
        request: InferRequest,
        context: &Context,
    ) -> Result<InferResponse, Error> {
        let path = "/inference.GRPCInferenceService/ModelInfer";
        let message = wire::frame(&oip::request_message(model, version, request));
        self.exchange(path, message, context, oip::decode_response).await
    }

    /// Asks whether a model answers, of a server of the same protocol.
    ///
    /// # Errors
    /// As for [`Peer::call`].
    pub async fn model_ready(&self, model: &str, version: &str, context: &Context) -> Result<bool, Error> {
        let path = "/inference.GRPCInferenceService/ModelReady";
        let request = inference::ModelReadyRequest { name: model.to_owned(), version: version.to_owned() };
        let told: inference::ModelReadyResponse = self.unary(path, &request, context).await?;
        Ok(told.ready)
    }

    /// Loads or unloads a model of the peer.
    ///
    /// # Errors
    /// As for [`Peer::call`].
    pub async fn repository(
        &self,
        verb: RepositoryVerb,
        model: &str,
        context: &Context,
    ) -> Result<(), Error> {
        let model_name = model.to_owned();
        match verb {
            RepositoryVerb::Load => {
                let request = inference::RepositoryModelLoadRequest { model_name, ..Default::default() };
                let path = "/inference.GRPCInferenceService/RepositoryModelLoad";
                let _: inference::RepositoryModelLoadResponse = self.unary(path, &request, context).await?;
            }
            RepositoryVerb::Unload => {
                let request = inference::RepositoryModelUnloadRequest { model_name, ..Default::default() };
                let path = "/inference.GRPCInferenceService/RepositoryModelUnload";
                let _: inference::RepositoryModelUnloadResponse = self.unary(path, &request, context).await?;
            }
        }
        Ok(())
    }

    async fn unary<A: Message + Default>(
        &self,
        path: &'static str,
        message: &impl Message,
        context: &Context,
    ) -> Result<A, Error> {
        let decode = |message| A::decode(message).map_err(|error| Error::invalid(error.to_string()));
        self.exchange(path, wire::frame(message), context, decode).await
    }

    /// Sends a message with its prefix, and reads the message that comes back.
    async fn exchange<A>(
        &self,
        path: &'static str,
        message: Bytes,
        context: &Context,
        read: impl FnOnce(Bytes) -> Result<A, Error>,
    ) -> Result<A, Error> {
        let left = context.remaining().map_err(|error| error.or_origin(self.origin))?;
        let span = telemetry::client_span(path, context);
        let mut headers = HeaderMap::with_capacity(8);
        write_headers(&mut headers, context, left, span.as_ref());
        let work = self.attempt(path, message, headers);
        let outcome = match left {
            Some(left) => tokio::time::timeout(left, work).await.unwrap_or_else(|_| Err(self.too_late())),
            None => work.await,
        };
        let outcome =
            outcome.and_then(|message| read(message).map_err(|error| self.nonsense(&error.message)));
        telemetry::finish(span, outcome.as_ref().err());
        outcome
    }

    /// Sends once; once more only when the connection was found closed before the request had left.
    async fn attempt(&self, path: &'static str, message: Bytes, headers: HeaderMap) -> Result<Bytes, Error> {
        let mut retried = false;
        loop {
            let warm = self.link().await?;
            let mut request = Request::new(());
            *request.method_mut() = Method::POST;
            *request.version_mut() = Version::HTTP_2;
            *request.uri_mut() = self.uri(path);
            request.headers_mut().clone_from(&headers);
            match warm.link.unary(request, message.clone(), self.max_message).await {
                Ok(answer) => return self.read(answer),
                Err(LinkError::NotSent(_)) if !retried => {
                    self.forget(&warm);
                    retried = true;
                }
                Err(error) => {
                    if matches!(error, LinkError::NotSent(_) | LinkError::Broken(_)) {
                        self.forget(&warm);
                    }
                    return Err(self.broken(&error));
                }
            }
        }
    }

    fn uri(&self, path: &'static str) -> Uri {
        let mut parts = http::uri::Parts::default();
        parts.scheme = Some(http::uri::Scheme::HTTP);
        parts.authority = Some(self.authority.clone());
        parts.path_and_query = Some(PathAndQuery::from_static(path));
        Uri::from_parts(parts).expect("scheme, authority and path make a URI")
    }

    /// The message of an answer, or the error it tells in its trailers or, without a body, in its headers.
    fn read(&self, answer: link::Answer) -> Result<Bytes, Error> {
        let told =
            if answer.trailers.contains_key(wire::GRPC_STATUS) { &answer.trailers } else { &answer.headers };
        if told.get(wire::GRPC_STATUS).is_some_and(|status| status == "0") {
            return wire::message_of(answer.data).map_err(|error| self.nonsense(&error.message));
        }
        match tonic::Status::from_header_map(told) {
            Some(status) => Err(grpc::error_of(&status, self.origin)),
            None => Err(self.nonsense("no gRPC status")),
        }
    }

    /// Returns the warm connection, or makes one. Only one caller makes it; the others wait for that one.
    async fn link(&self) -> Result<Arc<Warm>, Error> {
        if let Some(link) = self.link.load_full().filter(|it| !it.link.is_closed()) {
            return Ok(link);
        }
        let _turn = self.connecting.lock().await;
        if let Some(link) = self.link.load_full().filter(|it| !it.link.is_closed()) {
            return Ok(link);
        }
        let made = tokio::time::timeout(CONNECT, Link::connect(&self.target)).await;
        match made {
            Ok(Ok(link)) => {
                let link = Arc::new(Warm { link, verbs: tokio::sync::OnceCell::new() });
                self.link.store(Some(Arc::clone(&link)));
                if self.away.swap(false, Ordering::Relaxed) {
                    tracing::info!(target = %self.target, "the {} is reached again", self.origin);
                }
                Ok(link)
            }
            Ok(Err(error)) => Err(self.unreachable(&error.to_string())),
            Err(_) => Err(self.unreachable("no answer to the connection")),
        }
    }

    fn forget(&self, link: &Arc<Warm>) {
        let current = self.link.load();
        if current.as_ref().is_some_and(|it| Arc::ptr_eq(it, link)) {
            self.link.store(None);
        }
    }

    fn unreachable(&self, why: &str) -> Error {
        // The address goes to the log: a client has no use for it.
        if !self.away.swap(true, Ordering::Relaxed) {
            tracing::warn!(target = %self.target, why, "cannot reach the {}", self.origin);
        }
        Error::new(Code::NotReady, format!("the {} cannot be reached", self.origin)).or_origin(self.origin)
    }

    fn broken(&self, error: &LinkError) -> Error {
        tracing::warn!(target = %self.target, %error, "a call to the {} failed", self.origin);
        let message = match error {
            LinkError::NotSent(_) | LinkError::Broken(_) => {
                format!("the {} broke the connection", self.origin)
            }
            LinkError::TooLarge(_) | LinkError::Status(_) => {
                format!("the {} gave no good answer: {error}", self.origin)
            }
        };
        Error::new(error.code(), message).or_origin(self.origin)
    }

    fn nonsense(&self, why: &str) -> Error {
        Error::new(Code::Upstream, format!("the {} answered nonsense: {why}", self.origin))
            .or_origin(self.origin)
    }

    fn too_late(&self) -> Error {
        let message = format!("the deadline passed while waiting for the {}", self.origin);
        Error::new(Code::Deadline, message).or_origin(self.origin)
    }
}

const GRPC_TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");

fn write_headers(
    headers: &mut HeaderMap,
    context: &Context,
    left: Option<Duration>,
    span: Option<&tracing::Span>,
) {
    headers.insert(header::CONTENT_TYPE, wire::GRPC);
    headers.insert(header::TE, HeaderValue::from_static("trailers"));
    for (name, value) in &context.headers {
        headers.append(name.clone(), once(value.clone()));
    }
    if let Some(left) = left {
        // Microseconds fit eight digits up to 99 seconds; beyond that milliseconds are fine enough.
        let micros = left.as_micros();
        let text = if micros < 100_000_000 {
            format!("{micros}u")
        } else {
            format!("{}m", left.as_millis().min(99_999_999))
        };
        if let Ok(value) = HeaderValue::from_str(&text) {
            headers.insert(GRPC_TIMEOUT, once(value));
        }
    }
    if context.explaining {
        headers.insert(EXPLAINING, HeaderValue::from_static("1"));
    }
    if let Some(span) = span {
        telemetry::inject(span, headers);
    }
}

/// Marks a value that is another one in every request: to put it into the connection's table of headers would only push out
/// those that are worth keeping.
fn once(mut value: HeaderValue) -> HeaderValue {
    value.set_sensitive(true);
    value
}

/// Waits until the peer tells that it is ready.
///
/// # Errors
/// The last error met, when `within` has passed.
pub async fn wait_ready(peer: &Peer, within: Duration) -> Result<(), Error> {
    let until = Instant::now() + within;
    loop {
        let context =
            Context { deadline: Some(Instant::now() + Duration::from_secs(1)), ..Context::default() };
        let error = match peer.describe(&context).await {
            Ok(told) if told.ready => return Ok(()),
            Ok(_) => Error::new(Code::NotReady, format!("the {} is not ready", peer.origin)),
            Err(error) => error,
        };
        if Instant::now() >= until {
            return Err(error);
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
