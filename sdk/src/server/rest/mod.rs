//! The REST face: paths of V1 and V2 become calls, answers and errors become responses.

mod call;
mod metadata;
mod repository;
mod respond;
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
use super::inference;
use respond::{json_body, refuse};

type Shared = State<Arc<App>>;

/// Every path of a server, REST and gRPC.
pub(super) fn router(app: Arc<App>) -> Router {
    Router::new()
        .route("/", get(|| async { json_body(Bytes::from_static(br#"{"status":"alive"}"#)) }))
        .merge(v1_routes())
        .merge(v2_routes())
        .route_service("/inference.GRPCInferenceService/{method}", inference::Service::new(Arc::clone(&app)))
        .fallback(no_route)
        .method_not_allowed_fallback(no_method)
        .with_state(app)
}

fn v1_routes() -> Router<Arc<App>> {
    Router::new()
        .route("/v1/models", get(v1::list))
        .route("/v1/models/{target}", get(v1::status).post(v1::call))
        .route("/v1/models/{model}/metadata", get(v1::metadata))
        .route("/v1/models/{model}/versions/{target}", get(v1::version_status).post(v1::version_call))
        .route("/v1/models/{model}/versions/{version}/metadata", get(v1::version_metadata))
        .route("/v1/models/{model}/labels/{target}", get(v1::label_status).post(v1::label_call))
        .route("/v1/models/{model}/labels/{label}/metadata", get(v1::label_metadata))
        .route("/v1/models/{model}/versions/{version}/labels/{target}", any(v1::version_and_label))
}

fn v2_routes() -> Router<Arc<App>> {
    Router::new()
        .route("/v2", get(v2::server_metadata))
        .route("/v2/", get(v2::server_metadata))
        .route("/v2/health/live", get(|| async { json_body(Bytes::from_static(br#"{"live":true}"#)) }))
        .route("/v2/health/ready", get(v2::server_ready))
        .route("/v2/models", get(v1::list))
        .route("/v2/models/{model}", get(v2::metadata))
        .route("/v2/models/{model}/ready", get(v2::ready))
        .route("/v2/models/{model}/infer", post(v2::infer))
        .route("/v2/models/{model}/explain", post(v2::explain))
        .route("/v2/models/{model}/{extension}", any(v2::not_offered))
        .route("/v2/models/{model}/versions/{version}", get(v2::version_metadata))
        .route("/v2/models/{model}/versions/{version}/ready", get(v2::version_ready))
        .route("/v2/models/{model}/versions/{version}/infer", post(v2::version_infer))
        .route("/v2/models/{model}/versions/{version}/explain", post(v2::version_explain))
        .route("/v2/models/{model}/versions/{version}/{extension}", any(v2::version_not_offered))
        .route("/v2/repository/index", post(repository::index))
        .route("/v2/repository/models/{model}/load", post(repository::load))
        .route("/v2/repository/models/{model}/unload", post(repository::unload))
        .route("/v2/repository/{repository}/index", post(repository::named))
        .route("/v2/repository/{repository}/models/{model}/{verb}", post(repository::named))
}

async fn no_route(State(app): Shared, request: Request) -> Response {
    refuse(&app, Error::new(Code::NotFound, format!("no route `{}`", request.uri().path())))
}

async fn no_method(State(app): Shared, request: Request) -> Response {
    let message = format!("method {} is not offered on `{}`", request.method(), request.uri().path());
    let mut response = refuse(&app, Error::new(Code::NotFound, message));
    // The one status the table does not have: the route is there, the method is not.
    *response.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
    response
}
