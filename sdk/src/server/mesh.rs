//! The mesh's own gRPC face: calls between Weir's services.

use std::convert::Infallible;
use std::sync::Arc;

use axum::body::Body;
use http::{HeaderMap, Request, Response, header};
use hyper::body::Incoming;
use prost::Message;
use weir_proto::generated::mesh as wire;
use weir_proto::{Error, Face, Form, Payload};

use super::app::App;
use super::inference::not_offered;
use crate::grpc::status_of;
use crate::wire::{Answer, DESCRIBE, GRPC, PATHS, frame, length, path as wire_path, state_to, unframe};
use crate::{BoxFuture, Call, Context, Verb};

/// The service of a connection: mesh calls at once, everything else through axum's router.
#[derive(Clone)]
pub(super) struct Front {
    /// Absent where no mesh calls are served.
    mesh: Option<Arc<App>>,
    router: axum::Router,
}

impl Front {
    /// Of a port for REST and gRPC.
    pub(super) fn faces(app: Arc<App>, router: axum::Router) -> Self {
        Self { mesh: Some(app), router }
    }

    /// Of the admin port.
    pub(super) fn admin(router: axum::Router) -> Self {
        Self { mesh: None, router }
    }
}

impl hyper::service::Service<Request<Incoming>> for Front {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response<Body>, Infallible>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        match &self.mesh {
            Some(app) if request.uri().path().starts_with(PATHS) => {
                let app = Arc::clone(app);
                return Box::pin(async move { Ok(app.mesh(request).await) });
            }
            Some(_) | None => {}
        }
        Box::pin(tower::Service::call(&mut self.router.clone(), request.map(Body::new)))
    }
}

impl App {
    async fn mesh(&self, request: Request<Incoming>) -> Response<Body> {
        let app = self;
        let (head, body) = request.into_parts();
        let path = head.uri.path();
        let verb = Verb::ALL.into_iter().find(|verb| wire_path(*verb) == path);
        if verb.is_none() && path != DESCRIBE {
            return not_offered(app, path).map(Body::new);
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
    let context = Context::of(headers)?;
    let it: wire::Call = unframe(app.read(body, &context).await?)?;
    let payload = Payload {
        face: Face::try_from(it.face)?,
        body: it.body,
        json_length: it.json_length.map(length).transpose()?,
        form: Form::from_wire(it.form),
    };
    let want = Face::try_from(it.want)?;
    let (model, version) = (it.model, it.version);
    let mut call = Call { verb, model, version, payload, want, context, limits: app.limits.decode };
    app.identify(&mut call);
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
    };
    wire::Description {
        component: app.handle.component().name().to_owned(),
        verbs: app.handle.verbs().iter().map(|it| it.name().to_owned()).collect(),
        models: models.into_iter().map(model).collect(),
        ready,
    }
}
