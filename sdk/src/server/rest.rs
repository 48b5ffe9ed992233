//! The REST face: V1 and V2 paths become calls, answers and errors become responses.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use weir_proto::{Code, Error, Face, json};

use super::app::App;
use super::inference;
use crate::call::REQUEST_ID;
use crate::grpc::ERROR_ORIGIN;
use crate::{Call, Context, Metadata, ModelStatus, Payload, TensorSpec, Verb};

type Shared = State<Arc<App>>;

/// Every path of a server, REST and gRPC.
pub(super) fn router(app: Arc<App>) -> Router {
    Router::new()
        .route("/", get(|| async { json_body(Bytes::from_static(br#"{"status":"alive"}"#)) }))
        .route("/v1/models", get(v1_list))
        .route("/v1/models/{model}", get(model_status).post(v1_call))
        .route("/v2", get(server_metadata))
        .route("/v2/", get(server_metadata))
        .route("/v2/health/live", get(|| async { json_body(Bytes::from_static(br#"{"live":true}"#)) }))
        .route("/v2/health/ready", get(server_ready))
        .route("/v2/models", get(v1_list))
        .route("/v2/models/{model}", get(model_metadata))
        .route("/v2/models/{model}/ready", get(model_status))
        .route("/v2/models/{model}/infer", post(v2_infer))
        .route("/v2/models/{model}/explain", post(v2_explain))
        .route("/v2/models/{model}/versions/{version}", get(version_metadata))
        .route("/v2/models/{model}/versions/{version}/infer", post(v2_version_infer))
        .route("/v2/models/{model}/versions/{version}/explain", post(v2_version_explain))
        .route_service("/inference.GRPCInferenceService/{method}", inference::Service::new(Arc::clone(&app)))
        .fallback(no_route)
        .method_not_allowed_fallback(no_method)
        .with_state(app)
}

async fn v1_call(State(app): Shared, Path(target): Path<String>, request: Request) -> Response {
    let (model, verb) = match target.rsplit_once(':') {
        Some((model, "predict")) => (model, Verb::Infer),
        Some((model, "explain")) => (model, Verb::Explain),
        Some((_, other)) => {
            let message = format!("unknown verb `:{other}`; a model offers `:predict` and `:explain`");
            return refuse(&app, Error::new(Code::NotFound, message));
        }
        None => return no_method(State(app), request).await,
    };
    call(&app, verb, Face::V1, (model.to_owned(), String::new()), request).await
}

async fn v2_infer(State(app): Shared, Path(model): Path<String>, request: Request) -> Response {
    call(&app, Verb::Infer, Face::V2, (model, String::new()), request).await
}

async fn v2_explain(State(app): Shared, Path(model): Path<String>, request: Request) -> Response {
    call(&app, Verb::Explain, Face::V2, (model, String::new()), request).await
}

async fn v2_version_infer(
    State(app): Shared,
    Path(target): Path<(String, String)>,
    request: Request,
) -> Response {
    call(&app, Verb::Infer, Face::V2, target, request).await
}

async fn v2_version_explain(
    State(app): Shared,
    Path(target): Path<(String, String)>,
    request: Request,
) -> Response {
    call(&app, Verb::Explain, Face::V2, target, request).await
}

/// Serves one call of a REST client: `target` is the model and its version.
async fn call(app: &App, verb: Verb, face: Face, target: (String, String), request: Request) -> Response {
    let _admitted = match app.admit() {
        Ok(guard) => guard,
        Err(error) => return refuse(app, error),
    };
    let (parts, body) = request.into_parts();
    let mut call = match read_call(app, verb, face, target, &parts.headers, body).await {
        Ok(call) => call,
        Err(error) => return refuse(app, error),
    };
    let id = app.identify(&mut call);
    let mut response = match app.serve(call).await {
        Ok(answer) => json_body(answer.body),
        Err(error) => error_response(&error),
    };
    response.headers_mut().insert(REQUEST_ID, id);
    response
}

async fn read_call(
    app: &App,
    verb: Verb,
    face: Face,
    (model, version): (String, String),
    headers: &HeaderMap,
    body: Body,
) -> Result<Call, Error> {
    if headers.contains_key("inference-header-content-length") {
        let message =
            "the binary tensor extension is not offered over REST; send JSON, or raw tensors over gRPC";
        return Err(Error::new(Code::Unsupported, message));
    }
    let context = Context::of(headers)?;
    let payload = Payload { face, body: app.read(body, &context).await? };
    Ok(Call { verb, model, version, payload, want: face, context })
}

async fn v1_list(State(app): Shared) -> Response {
    let mut out = b"{\"models\":[".to_vec();
    for (index, model) in app.handle.models().await.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        json::push_str(&mut out, &model.name);
    }
    out.extend_from_slice(b"]}");
    json_body(out.into())
}

async fn model_status(State(app): Shared, Path(model): Path<String>) -> Response {
    match app.model(&model).await {
        Ok(ModelStatus { ready: true, name, .. }) if !app.is_draining() => {
            let mut out = b"{\"name\":".to_vec();
            json::push_str(&mut out, &name);
            out.extend_from_slice(b",\"ready\":true}");
            json_body(out.into())
        }
        Ok(status) => refuse(&app, Error::model_not_ready(&status.name, &status.reason)),
        Err(error) => error_response(&error),
    }
}

async fn server_ready(State(app): Shared) -> Response {
    // Asked once: behind a router each asking is a call to every service.
    let models = app.handle.models().await;
    if app.ready_with(&models) {
        return json_body(Bytes::from_static(br#"{"ready":true}"#));
    }
    let mut message = "Server is not ready.".to_owned();
    if app.is_draining() {
        message.push_str(" It is draining.");
    }
    for model in models.iter().filter(|it| !it.ready) {
        message.push_str(&format!(" {}: {}.", model.name, model.reason));
    }
    refuse(&app, Error::new(Code::NotReady, message))
}

async fn server_metadata() -> Response {
    let text = concat!(r#"{"name":"weir","version":""#, env!("CARGO_PKG_VERSION"), r#"","extensions":[]}"#);
    json_body(Bytes::from_static(text.as_bytes()))
}

async fn model_metadata(State(app): Shared, Path(model): Path<String>) -> Response {
    answer_metadata(&app, &model, "").await
}

async fn version_metadata(State(app): Shared, Path((model, version)): Path<(String, String)>) -> Response {
    answer_metadata(&app, &model, &version).await
}

async fn answer_metadata(app: &App, model: &str, version: &str) -> Response {
    match app.handle.metadata(model, version).await {
        Ok(metadata) => json_body(metadata_json(&metadata)),
        Err(error) => refuse(app, error),
    }
}

fn metadata_json(metadata: &Metadata) -> Bytes {
    let mut out = b"{\"name\":".to_vec();
    json::push_str(&mut out, &metadata.name);
    out.extend_from_slice(b",\"versions\":[");
    for (index, version) in metadata.versions.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        json::push_str(&mut out, version);
    }
    out.extend_from_slice(b"],\"platform\":");
    json::push_str(&mut out, &metadata.signature.platform);
    out.extend_from_slice(b",\"inputs\":");
    push_specs(&mut out, &metadata.signature.inputs);
    out.extend_from_slice(b",\"outputs\":");
    push_specs(&mut out, &metadata.signature.outputs);
    out.push(b'}');
    out.into()
}

fn push_specs(out: &mut Vec<u8>, specs: &[TensorSpec]) {
    out.push(b'[');
    for (index, spec) in specs.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        out.extend_from_slice(b"{\"name\":");
        json::push_str(out, &spec.name);
        out.extend_from_slice(b",\"datatype\":");
        json::push_str(out, spec.datatype.name());
        out.extend_from_slice(b",\"shape\":[");
        for (index, &size) in spec.shape.iter().enumerate() {
            if index > 0 {
                out.push(b',');
            }
            json::push_i64(out, size);
        }
        out.extend_from_slice(b"]}");
    }
    out.push(b']');
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

fn json_body(body: Bytes) -> Response {
    let mut response = Response::new(Body::from(body));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

fn refuse(app: &App, error: Error) -> Response {
    error_response(&error.or_origin(app.handle.component()))
}

fn error_response(error: &Error) -> Response {
    let mut out = b"{\"error\":".to_vec();
    json::push_str(&mut out, &error.message);
    out.push(b'}');
    let mut response = json_body(out.into());
    *response.status_mut() = StatusCode::from_u16(error.code.http())
        .expect("the table holds HTTP statuses only, pinned by its test");
    if let Some(origin) = error.origin {
        let name = HeaderName::from_static(ERROR_ORIGIN);
        response.headers_mut().insert(name, HeaderValue::from_static(origin.name()));
    }
    if let Some(after) = error.retry_after {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(after.as_secs().max(1)));
    }
    response.into_response()
}
