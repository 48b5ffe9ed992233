//! The public gRPC face: inference, repository, health and reflection, on the ports that serve REST as well.
//!
//! Messages are framed here and not by a server's library: a message over its limit is refused before it is kept and with the
//! table's status, a body has a deadline, and a prediction costs one buffer each way.

mod compress;
mod describe;
mod health;
mod infer;
mod message;
mod reflection;
mod repository;
mod respond;
mod stream;

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use http::{HeaderValue, Request, Response};
use hyper::body::Incoming;
use prost::Message;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use weir_proto::{Code, Error};

use super::app::App;
use crate::{BoxFuture, Context};
use message::Messages;

/// The methods of inference that are served, for the documentation; each has its place in [`Grpc::serve`].
pub(super) const METHODS: [&str; 10] = [
    "ServerLive",
    "ServerReady",
    "ServerMetadata",
    "ModelReady",
    "ModelMetadata",
    "ModelInfer",
    "ModelStreamInfer",
    "RepositoryIndex",
    "RepositoryModelLoad",
    "RepositoryModelUnload",
];

/// The most streams that watch health or ask reflection.
const QUIET_STREAMS: usize = 256;
/// The most bytes of a message that holds names and no tensors.
const CONTROL: usize = 1 << 20;

/// The gRPC face of a server.
pub(super) struct Grpc {
    pub(super) app: Arc<App>,
    /// Places for streams of inference requests: each holds at most one message, so that is what bounds their memory.
    streams: Arc<Semaphore>,
    /// Places for streams that hold next to nothing.
    quiet: Arc<Semaphore>,
    seen: health::Seen,
}

/// What a path's future gives to the connection.
type Answer = BoxFuture<'static, Result<Response<Body>, Infallible>>;

impl Grpc {
    pub(super) fn new(app: Arc<App>) -> Arc<Self> {
        let streams = Arc::new(Semaphore::new(app.limits.max_in_flight.min(Semaphore::MAX_PERMITS)));
        let quiet = Arc::new(Semaphore::new(QUIET_STREAMS));
        Arc::new(Self { app, streams, quiet, seen: health::Seen::default() })
    }

    /// Whether a path belongs here. Other paths of gRPC are told apart by their content type, where no route takes them.
    pub(super) fn serves(path: &str) -> bool {
        path.starts_with("/inference.") || path.starts_with("/grpc.")
    }

    /// Serves a request; its client may leave a large answer for `patience`. Each method is a future of its own, so that none is as large as the largest.
    pub(super) fn serve(self: &Arc<Self>, request: Request<Incoming>, patience: Option<Duration>) -> Answer {
        let grpc = Arc::clone(self);
        macro_rules! answer {
            ($work:expr) => {
                Box::pin(async move { Ok($work.await) })
            };
        }
        let path = request.uri().path();
        let (service, method) = path.get(1..).and_then(|it| it.split_once('/')).unwrap_or_default();
        match (service, method) {
            ("inference.GRPCInferenceService", "ModelInfer") => {
                answer!(infer::infer(grpc, request, patience))
            }
            ("inference.GRPCInferenceService", "ModelStreamInfer") => {
                answer!(async move { stream::infer(&grpc, request) })
            }
            ("inference.GRPCInferenceService", _) => match describe::find(method) {
                Some(method) => answer!(describe::serve(grpc, method, request)),
                None => repository_or_nothing(grpc, request),
            },
            // MLServer offers the repository under this name as well.
            ("inference.model_repository.ModelRepositoryService", _) => repository_or_nothing(grpc, request),
            ("grpc.health.v1.Health", "Check") => answer!(health::check(grpc, request)),
            ("grpc.health.v1.Health", "List") => answer!(health::list(grpc, request)),
            ("grpc.health.v1.Health", "Watch") => answer!(health::watch(grpc, request)),
            (
                "grpc.reflection.v1.ServerReflection" | "grpc.reflection.v1alpha.ServerReflection",
                "ServerReflectionInfo",
            ) => answer!(async move { reflection::serve(&grpc, request) }),
            _ => {
                let response = not_offered(&grpc.app, path);
                Box::pin(std::future::ready(Ok(response)))
            }
        }
    }

    /// Serves a call that has one small message each way.
    async fn control<Q, A, W>(&self, request: Request<Incoming>, work: impl FnOnce(Q) -> W) -> Response<Body>
    where
        Q: Message + Default,
        A: Message,
        W: Future<Output = Result<A, Error>>,
    {
        let answer = async {
            let (context, question) = self.question(request).await?;
            within(&context, work(question)).await
        };
        match answer.await {
            Ok(answer) => respond::ok(crate::wire::frame(&answer)),
            Err(error) => respond::refuse(&self.app, error),
        }
    }

    /// Reads a call's one small message.
    async fn question<Q: Message + Default>(
        &self,
        request: Request<Incoming>,
    ) -> Result<(Context, Q), Error> {
        let (head, body) = request.into_parts();
        let context = Context::of(&head.headers, &self.app.travellers)?;
        let messages = Messages::new(body, self.control_limit(), self.app.limits.body_timeout);
        let message = messages.only(&head.headers, &context).await?;
        Ok((context, decode(message)?))
    }

    fn control_limit(&self) -> usize {
        self.app.limits.max_receive_message.min(CONTROL)
    }
}

fn repository_or_nothing(grpc: Arc<Grpc>, request: Request<Incoming>) -> Answer {
    match repository::find(request.uri().path()) {
        Some(method) => Box::pin(async move { Ok(repository::serve(grpc, method, request).await) }),
        None => Box::pin(std::future::ready(Ok(not_offered(&grpc.app, request.uri().path())))),
    }
}

/// The answer for a method that is not there.
pub(super) fn not_offered(app: &App, path: &str) -> Response<Body> {
    let message = if path.starts_with("/tensorflow.serving.") {
        format!(
            "gRPC method `{path}` is not offered: of TensorFlow Serving's API the REST paths are served; over gRPC use \
             `inference.GRPCInferenceService`"
        )
    } else {
        format!("gRPC method `{path}` is not offered; server reflection lists those that are")
    };
    respond::refuse(app, Error::new(Code::Unsupported, message))
}

/// Whether a request's content type is one of gRPC's.
pub(super) fn is_grpc(content_type: Option<&HeaderValue>) -> bool {
    content_type.is_some_and(|it| it.as_bytes().starts_with(b"application/grpc"))
}

/// Runs work no longer than its caller waits.
async fn within<T>(context: &Context, work: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    match context.remaining()? {
        Some(left) => tokio::time::timeout(left, work).await.unwrap_or_else(|_| {
            Err(Error::new(Code::Deadline, "the deadline passed while the request was served"))
        }),
        None => work.await,
    }
}

fn decode<M: Message + Default>(message: bytes::Bytes) -> Result<M, Error> {
    M::decode(message).map_err(|error| Error::invalid(format!("not a message of this method: {error}")))
}

/// Takes a place for a stream.
fn place(places: &Arc<Semaphore>, what: &str, limit: usize) -> Result<OwnedSemaphorePermit, Error> {
    Arc::clone(places).try_acquire_owned().map_err(|_| {
        let message = format!("{limit} {what} are open, the most this server has");
        Error::new(Code::Overloaded, message).retry_after(Duration::from_secs(1))
    })
}
