//! The documentation that a server gives of itself: an OpenAPI document and a page, made of what its component says it offers
//! when it is asked.

mod document;
mod example;
mod facts;
mod html;
mod json;
mod operation;
mod page;
mod schema;
mod shared;

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, State};
use axum::response::Response;
use axum::routing::get;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use weir_proto::Error;

use super::app::App;
use super::rest::respond::{json_body, refuse};
use facts::Facts;

/// The paths of the documentation; none when it is turned off. The longer ones are MLServer's.
pub(super) fn routes(enabled: bool) -> Router<Arc<App>> {
    if !enabled {
        return Router::new();
    }
    Router::new()
        .route("/openapi.json", get(document))
        .route("/v2/docs/dataplane.json", get(document))
        .route("/v2/models/{model}/docs/dataplane.json", get(model_document))
        .route("/docs", get(page))
        .route("/v2/docs", get(page))
        .route("/v2/models/{model}/docs", get(model_page))
}

type Shared = State<Arc<App>>;

async fn document(State(app): Shared) -> Response {
    answer(&app, None, |facts| json_body(document::write(facts).into())).await
}

async fn model_document(State(app): Shared, Path(model): Path<String>) -> Response {
    answer(&app, Some(&model), |facts| json_body(document::write(facts).into())).await
}

async fn page(State(app): Shared, headers: HeaderMap) -> Response {
    answer(&app, None, |facts| html_body(page::write(facts, &page::base(&headers)))).await
}

async fn model_page(State(app): Shared, Path(model): Path<String>, headers: HeaderMap) -> Response {
    answer(&app, Some(&model), |facts| html_body(page::write(facts, &page::base(&headers)))).await
}

/// Asks the component and answers. It counts as a request in flight: behind a router it is a call to every service.
async fn answer(app: &Arc<App>, model: Option<&str>, write: impl FnOnce(&Facts) -> Response) -> Response {
    let _admitted = match app.admit() {
        Ok(guard) => guard,
        Err(error) => return refuse(app, error),
    };
    let facts = Facts::of(app, model).await;
    if let Some(name) = model.filter(|_| facts.models.is_empty() && facts.away.is_empty()) {
        return refuse(app, Error::model_not_found(name));
    }
    let mut response = write(&facts);
    // What is offered changes with the models.
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}

fn html_body(text: String) -> Response {
    let mut response = Response::new(text.into());
    let headers = response.headers_mut();
    let mut set =
        |name: HeaderName, value: &'static str| headers.insert(name, HeaderValue::from_static(value));
    set(header::CONTENT_TYPE, "text/html; charset=utf-8");
    set(header::CONTENT_SECURITY_POLICY, page::POLICY);
    set(header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    set(header::REFERRER_POLICY, "no-referrer");
    response
}
