//! The Open Inference Protocol's gRPC face. An inference request is passed on as the bytes it came in: whoever needs its
//! numbers decodes them.

use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::{Buf, BufMut, Bytes};
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::server::{Grpc, UnaryService};
use tonic::{Request, Response, Status};
use tonic_prost::ProstCodec;
use weir_proto::generated::inference as wire;
use weir_proto::oip::{self, Contents};
use weir_proto::{Code, Error, Face};

use super::app::App;
use crate::grpc::status_of;
use crate::{BoxFuture, Call, Payload, TensorSpec, Verb};

/// A tower service of `inference.GRPCInferenceService`.
#[derive(Clone)]
pub(super) struct Service {
    app: Arc<App>,
}

impl Service {
    pub(super) fn new(app: Arc<App>) -> Self {
        Self { app }
    }

    async fn route(self, request: http::Request<axum::body::Body>) -> http::Response<tonic::body::Body> {
        let app = self.app;
        let limit = app.limits.max_body_bytes;
        macro_rules! unary {
            ($message:ty, $method:expr) => {{
                let method =
                    Unary(move |request: Request<$message>| $method(Arc::clone(&app), request.into_inner()));
                serve_unary(method, ProstCodec::default(), limit, request).await
            }};
        }
        match request.uri().path().rsplit('/').next().unwrap_or_default() {
            "ModelInfer" => {
                let method = Unary(move |request: Request<Bytes>| infer(Arc::clone(&app), request));
                serve_unary(method, RawCodec, limit, request).await
            }
            "ServerLive" => unary!(wire::ServerLiveRequest, server_live),
            "ServerReady" => unary!(wire::ServerReadyRequest, server_ready),
            "ModelReady" => unary!(wire::ModelReadyRequest, model_ready),
            "ServerMetadata" => unary!(wire::ServerMetadataRequest, server_metadata),
            "ModelMetadata" => unary!(wire::ModelMetadataRequest, model_metadata),
            _ => not_offered(&app, request.uri().path()),
        }
    }
}

async fn infer(app: Arc<App>, request: Request<Bytes>) -> Result<Bytes, Status> {
    let refuse = |error: Error| status_of(&error.or_origin(app.handle.component()));
    let _admitted = app.admit().map_err(refuse)?;
    let (metadata, _, body) = request.into_parts();
    let context = crate::Context::of(metadata.as_ref()).map_err(refuse)?;
    let envelope = oip::envelope(&body).map_err(refuse)?;
    // Whoever sends typed contents reads typed contents.
    let face = match envelope.contents {
        Contents::Raw => Face::Tensors,
        Contents::Typed => Face::TypedTensors,
    };
    let payload = Payload::new(face, body);
    let (model, version) = (envelope.model, envelope.version);
    let mut call =
        Call { verb: Verb::Infer, model, version, payload, want: face, context, limits: app.limits.decode };
    app.identify(&mut call);
    app.serve(call).await.map(|answer| answer.body).map_err(|error| status_of(&error))
}

async fn server_live(_: Arc<App>, _: wire::ServerLiveRequest) -> Result<wire::ServerLiveResponse, Status> {
    Ok(wire::ServerLiveResponse { live: true })
}

async fn server_ready(
    app: Arc<App>,
    _: wire::ServerReadyRequest,
) -> Result<wire::ServerReadyResponse, Status> {
    Ok(wire::ServerReadyResponse { ready: app.ready().await })
}

async fn model_ready(
    app: Arc<App>,
    request: wire::ModelReadyRequest,
) -> Result<wire::ModelReadyResponse, Status> {
    let status = app.model(&request.name).await.map_err(|error| status_of(&error))?;
    Ok(wire::ModelReadyResponse { ready: status.is_ready() && !app.is_draining() })
}

async fn server_metadata(
    _: Arc<App>,
    _: wire::ServerMetadataRequest,
) -> Result<wire::ServerMetadataResponse, Status> {
    let version = env!("CARGO_PKG_VERSION").to_owned();
    Ok(wire::ServerMetadataResponse { name: "weir".to_owned(), version, extensions: Vec::new() })
}

async fn model_metadata(
    app: Arc<App>,
    request: wire::ModelMetadataRequest,
) -> Result<wire::ModelMetadataResponse, Status> {
    let refuse = |error: Error| status_of(&error.or_origin(app.handle.component()));
    let it = app.handle.metadata(&request.name, &request.version).await.map_err(refuse)?;
    let spec = |it: TensorSpec| wire::model_metadata_response::TensorMetadata {
        name: it.name,
        datatype: it.datatype.name().to_owned(),
        shape: it.shape,
    };
    Ok(wire::ModelMetadataResponse {
        name: it.name,
        versions: it.versions,
        platform: it.signature.platform,
        inputs: it.signature.inputs.into_iter().map(spec).collect(),
        outputs: it.signature.outputs.into_iter().map(spec).collect(),
        properties: std::collections::HashMap::new(),
    })
}

/// A closure as a unary method.
pub(super) struct Unary<F>(pub(super) F);

impl<F, Q, A, W> UnaryService<Q> for Unary<F>
where
    F: FnMut(Request<Q>) -> W,
    W: Future<Output = Result<A, Status>> + Send + 'static,
{
    type Response = A;
    type Future = BoxFuture<'static, Result<Response<A>, Status>>;

    fn call(&mut self, request: Request<Q>) -> Self::Future {
        let work = (self.0)(request);
        Box::pin(async move { work.await.map(Response::new) })
    }
}

/// Serves one unary call with that codec, its messages no larger than `limit`.
pub(super) async fn serve_unary<S, C, Q, A>(
    service: S,
    codec: C,
    limit: usize,
    request: http::Request<axum::body::Body>,
) -> http::Response<tonic::body::Body>
where
    S: UnaryService<Q, Response = A>,
    C: Codec<Encode = A, Decode = Q>,
{
    let mut grpc = Grpc::new(codec).max_decoding_message_size(limit).max_encoding_message_size(limit);
    grpc.unary(service, request).await
}

pub(super) fn not_offered(app: &App, path: &str) -> http::Response<tonic::body::Body> {
    let error = Error::new(Code::Unsupported, format!("gRPC method `{path}` is not offered"));
    status_of(&error.or_origin(app.handle.component())).into_http()
}

/// Messages as the bytes they are encoded in.
#[derive(Debug, Clone, Copy, Default)]
struct RawCodec;

impl Codec for RawCodec {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        *self
    }

    fn decoder(&mut self) -> Self {
        *self
    }
}

impl Encoder for RawCodec {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, item: Bytes, out: &mut EncodeBuf<'_>) -> Result<(), Status> {
        out.put(item);
        Ok(())
    }
}

impl Decoder for RawCodec {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, input: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(input.copy_to_bytes(input.remaining())))
    }
}

impl tower::Service<http::Request<axum::body::Body>> for Service {
    type Response = http::Response<tonic::body::Body>;
    type Error = std::convert::Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<axum::body::Body>) -> Self::Future {
        let service = self.clone();
        Box::pin(async move { Ok(service.route(request).await) })
    }
}
