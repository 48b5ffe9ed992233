//! The mesh's own gRPC face: calls between Weir's services.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use http::{HeaderMap, HeaderValue, Request, Response, Version, header};
use hyper::body::Incoming;
use prost::Message;
use weir_proto::generated::mesh as wire;
use weir_proto::{Code, Error, Face, Form, Payload};

use super::app::App;
use super::grpc::{Grpc, not_offered};
use super::stall::in_pieces;
use crate::call::EXPLAINING;
use crate::grpc::status_of;
use crate::wire::{
    Answer, DESCRIBE, GRPC, PATHS, PREFIX, frame, length, path as wire_path, state_to, unframe, version_to,
};
use crate::{BoxFuture, Call, Context, Verb};

/// The service of a connection: gRPC at once, everything else through axum's router.
#[derive(Clone)]
pub(super) struct Front {
    /// Absent where no gRPC is served.
    grpc: Option<Arc<Grpc>>,
    router: axum::Router,
    /// How long an HTTP/2 client may leave an answer; `None` where nobody comes in but our own.
    patience: Option<Duration>,
}

impl Front {
    /// Of a port for REST and gRPC.
    pub(super) fn faces(app: Arc<App>, router: axum::Router) -> Self {
        let patience = Some(app.limits.write_timeout);
        Self { grpc: Some(Grpc::new(app)), router, patience }
    }

    /// The same for peers on this host.
    pub(super) fn local(self) -> Self {
        Self { patience: None, ..self }
    }

    /// Of the admin port.
    pub(super) fn admin(router: axum::Router) -> Self {
        Self { grpc: None, router, patience: None }
    }
}

/// The most headers a request may have. hyper has the same limit for HTTP/1.1, and none for HTTP/2.
const MAX_HEADERS: usize = 100;
/// What a router asks of a predictor in the words of the public protocol.
const ASKED_BY_ROUTERS: [&str; 3] = [
    "/inference.GRPCInferenceService/ModelMetadata",
    "/inference.GRPCInferenceService/RepositoryModelLoad",
    "/inference.GRPCInferenceService/RepositoryModelUnload",
];

impl hyper::service::Service<Request<Incoming>> for Front {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response<Body>, Infallible>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        // A client of HTTP/1.1 that takes nothing stalls its connection, which tells.
        let patience = self.patience.filter(|_| request.version() == Version::HTTP_2);
        if let Some(grpc) = self.grpc.as_ref().filter(|_| request.uri().path().starts_with(PATHS)) {
            let app = Arc::clone(&grpc.app);
            return Box::pin(async move { Ok(in_pieces(app.mesh(request).await, patience)) });
        }
        // Not of calls between services: those have what the client sent, and a few of their own.
        if request.headers().len() > MAX_HEADERS {
            let refused = too_many_headers(request.headers().len());
            return Box::pin(std::future::ready(Ok(refused)));
        }
        if let Some(grpc) = &self.grpc {
            if !grpc.app.switches.grpc && is_clients_grpc(&request) {
                return Box::pin(std::future::ready(Ok(no_grpc(&grpc.app))));
            }
            if Grpc::serves(request.uri().path()) {
                return grpc.serve(request, patience);
            }
        }
        let work = tower::Service::call(&mut self.router.clone(), request.map(Body::new));
        Box::pin(async move { work.await.map(|response| in_pieces(response, patience)) })
    }
}

/// Whether a client calls over gRPC, and not a service of ours.
fn is_clients_grpc(request: &Request<Incoming>) -> bool {
    let content = request.headers().get(header::CONTENT_TYPE);
    content.is_some_and(|it| it.as_bytes().starts_with(b"application/grpc"))
        && !ASKED_BY_ROUTERS.contains(&request.uri().path())
}

fn no_grpc(app: &App) -> Response<Body> {
    let error = Error::new(Code::Unsupported, "gRPC is not offered here: `--enable_grpc` is false");
    status_of(&error.or_origin(app.handle.component())).into_http::<tonic::body::Body>().map(Body::new)
}

fn too_many_headers(met: usize) -> Response<Body> {
    let text = format!("{{\"error\":\"the request has {met} headers, the limit is {MAX_HEADERS}\"}}");
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = http::StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

impl App {
    async fn mesh(&self, request: Request<Incoming>) -> Response<Body> {
        let app = self;
        let (head, body) = request.into_parts();
        let path = head.uri.path();
        let verb = Verb::ALL.into_iter().find(|verb| wire_path(*verb) == path);
        if verb.is_none() && path != DESCRIBE {
            return not_offered(app, path);
        }
        let outcome = match verb {
            Some(verb) => call(app, verb, &head.headers, body).await.map(|message| answer(&message)),
            // Read, though nothing is in it: to answer before the request has ended resets its stream, and the reset may
            // overtake the answer.
            None => match app.read(body, &Context::default()).await {
                Ok(_) => Ok(answer(&describe(app).await)),
                Err(error) => Err(error),
            },
        };
        outcome.unwrap_or_else(|error| {
            status_of(&error.or_origin(app.handle.component()))
                .into_http::<tonic::body::Body>()
                .map(Body::new)
        })
    }
}

fn answer(message: &impl Message) -> Response<Body> {
    let mut response = Response::new(Body::new(Answer::ok(frame(message))));
    response.headers_mut().insert(header::CONTENT_TYPE, GRPC);
    response
}

async fn call(app: &App, verb: Verb, headers: &HeaderMap, body: Incoming) -> Result<wire::Answer, Error> {
    let _admitted = app.admit()?;
    let mut context = Context::of(headers, &app.travellers)?;
    context.explaining = headers.contains_key(&EXPLAINING);
    let message = app.read(body, &context).await?;
    Form::check_call(message.get(PREFIX..).unwrap_or_default())?;
    let it: wire::Call = unframe(message)?;
    let payload = Payload {
        face: Face::try_from(it.face)?,
        body: it.body,
        json_length: it.json_length.map(length).transpose()?,
        form: Form::from_wire(it.form),
    };
    let want = Face::try_from(it.want)?;
    let (model, version) = (it.model, it.version);
    let mut call = Call { verb, model, version, payload, want, context, limits: app.limits.decode };
    app.identify(&mut call.context);
    let answer = app.serve(call).await?;
    Ok(wire::Answer {
        face: wire::Face::from(answer.face).into(),
        body: answer.body,
        json_length: answer.json_length.map(|it| it as u64),
        form: answer.form.to_wire(),
    })
}

async fn describe(app: &App) -> wire::Description {
    let models = app.handle.models().await;
    let ready = app.ready_with(&models);
    let model = |it: crate::ModelStatus| wire::description::Model {
        ready: it.is_ready(),
        state: state_to(it.state).into(),
        name: it.name,
        version: it.version,
        reason: it.reason,
        versions: it.versions.into_iter().map(version_to).collect(),
    };
    wire::Description {
        component: app.handle.component().name().to_owned(),
        verbs: app.handle.verbs().iter().map(|it| it.name().to_owned()).collect(),
        models: models.into_iter().map(model).collect(),
        ready,
    }
}
