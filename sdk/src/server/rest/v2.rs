//! Paths of the V2 protocol, the Open Inference Protocol.

use axum::extract::{Request, State};
use axum::response::Response;
use bytes::Bytes;
use weir_proto::{Code, Error, Face, Method, json};

use super::Shared;
use super::call::{Target, serve};
use super::metadata::model_json;
use super::path::ModelPath;
use super::respond::{json_body, refuse};
use crate::Verb;

/// The extensions of the protocol that are served.
pub(crate) const EXTENSIONS: [&str; 4] =
    ["model_repository", "model_repository_extension", "binary_tensor_data", "classification"];

pub(super) async fn infer(State(app): Shared, path: ModelPath, request: Request) -> Response {
    serve(&app, target(Verb::Infer, path), request).await
}

pub(super) async fn explain(State(app): Shared, path: ModelPath, request: Request) -> Response {
    serve(&app, target(Verb::Explain, path), request).await
}

fn target(verb: Verb, path: ModelPath) -> Target {
    Target { verb, face: Face::V2, method: Method::Predict, model: path.model, version: path.version }
}

pub(super) async fn not_offered(State(app): Shared, path: ModelPath, request: Request) -> Response {
    refuse(&app, not_offered_error(&path.extension, request.uri().path()))
}

/// Why a path that other servers have is not here.
fn not_offered_error(extension: &str, path: &str) -> Error {
    let message = match extension {
        "generate" | "generate_stream" | "infer_stream" => format!(
            "`{extension}` is not offered: models here answer once, with tensors; use `infer`, or ModelStreamInfer over gRPC"
        ),
        "config" | "stats" | "trace" => format!(
            "`{extension}` is not offered: it tells of Triton's own internals; a model's signature is its metadata, counts \
             and timings are at /metrics of the admin port"
        ),
        _ => return Error::new(Code::NotFound, format!("no route `{path}`")),
    };
    Error::new(Code::Unsupported, message)
}

pub(super) async fn server_ready(State(app): Shared) -> Response {
    // Asked once: behind a router each asking is a call to every service.
    let models = app.handle.models().await;
    if app.ready_with(&models) {
        return json_body(Bytes::from_static(br#"{"ready":true}"#));
    }
    let mut message = "Server is not ready.".to_owned();
    if app.is_draining() {
        message.push_str(" It is draining.");
    }
    for model in models.iter().filter(|it| it.is_missing()) {
        message.push_str(&format!(" {}: {}.", model.name, model.reason));
    }
    refuse(&app, Error::new(Code::NotReady, message))
}

pub(super) async fn server_metadata() -> Response {
    let mut out = br#"{"name":"weir","version":""#.to_vec();
    out.extend_from_slice(env!("CARGO_PKG_VERSION").as_bytes());
    out.extend_from_slice(br#"","extensions":"#);
    json::push_list(&mut out, EXTENSIONS, json::push_str);
    out.push(b'}');
    json_body(out.into())
}

pub(super) async fn ready(State(app): Shared, path: ModelPath) -> Response {
    match app.ready_model(&path.model, &path.version).await {
        Ok(status) => {
            let mut out = b"{\"name\":".to_vec();
            json::push_str(&mut out, &status.name);
            out.extend_from_slice(b",\"ready\":true}");
            json_body(out.into())
        }
        Err(error) => refuse(&app, error),
    }
}

pub(super) async fn metadata(State(app): Shared, path: ModelPath) -> Response {
    match app.handle.metadata(&path.model, &path.version).await {
        Ok(metadata) => json_body(model_json(&metadata).into()),
        Err(error) => refuse(&app, error),
    }
}
