//! The REST face: paths of V1 and V2 become calls, answers and errors become responses.

mod call;
mod events;
mod metadata;
mod path;
mod repository;
pub(super) mod respond;
mod v1;
mod v2;

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::response::Response;
use axum::routing::{any, get, post};
use bytes::Bytes;
use http::StatusCode;
use weir_proto::{Code, Error};

use super::app::App;
use super::{docs, grpc};
use respond::{json_body, refuse};
pub(super) use v2::EXTENSIONS;

pub use events::Events;

type Shared = State<Arc<App>>;

/// Every path of REST.
pub(super) fn router(app: Arc<App>) -> Router {
    Router::new()
        .route("/", get(|| async { json_body(Bytes::from_static(br#"{"status":"alive"}"#)) }))
        .merge(v1_routes())
        .merge(v2_routes())
        .merge(docs::routes(app.switches.docs))
        .fallback(no_route)
        .method_not_allowed_fallback(no_method)
        .with_state(app)
}

fn v1_routes() -> Router<Arc<App>> {
    let mut routes = Router::new()
        .route("/v1/models", get(v1::list))
        .route("/v1/models/{model}/versions/{version}/labels/{label}", any(v1::version_and_label));
    for model in
        ["/v1/models/{model}", "/v1/models/{model}/versions/{version}", "/v1/models/{model}/labels/{label}"]
    {
        routes = routes
            .route(model, get(v1::status).post(v1::call))
            .route(&format!("{model}/metadata"), get(v1::metadata));
    }
    routes
}

fn v2_routes() -> Router<Arc<App>> {
    let mut routes = Router::new()
        .route("/v2", get(v2::server_metadata))
        .route("/v2/", get(v2::server_metadata))
        .route("/v2/health/live", get(|| async { json_body(Bytes::from_static(br#"{"live":true}"#)) }))
        .route("/v2/health/ready", get(v2::server_ready))
        .route("/v2/models", get(v1::list))
        .route("/v2/repository/index", post(repository::index))
        .route("/v2/repository/models/{model}/load", post(repository::load))
        .route("/v2/repository/models/{model}/unload", post(repository::unload))
        .route("/v2/repository/{repository}/index", post(repository::named))
        .route("/v2/repository/{repository}/models/{model}/{verb}", post(repository::named));
    for model in ["/v2/models/{model}", "/v2/models/{model}/versions/{version}"] {
        routes = routes
            .route(model, get(v2::metadata))
            .route(&format!("{model}/ready"), get(v2::ready))
            // As KFServing called it.
            .route(&format!("{model}/status"), get(v2::ready))
            .route(&format!("{model}/infer"), post(v2::infer))
            .route(&format!("{model}/explain"), post(v2::explain))
            .route(&format!("{model}/{{extension}}"), any(v2::not_offered));
    }
    routes
}

async fn no_route(State(app): Shared, request: Request) -> Response {
    if grpc::is_grpc(request.headers().get(http::header::CONTENT_TYPE)) {
        return grpc::not_offered(&app, request.uri().path());
    }
    refuse(&app, Error::new(Code::NotFound, format!("no route `{}`", request.uri().path())))
}

async fn no_method(State(app): Shared, request: Request) -> Response {
    let message = format!("method {} is not offered on `{}`", request.method(), request.uri().path());
    let mut response = refuse(&app, Error::new(Code::NotFound, message));
    // The one status the table does not have: the route is there, the method is not.
    *response.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
    response
}
