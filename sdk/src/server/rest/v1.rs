//! Paths of the V1 protocol: KServe's, and those that TensorFlow Serving has beyond them.

use axum::extract::{Request, State};
use axum::response::Response;
use http::{HeaderValue, header};
use weir_proto::{Code, Error, Face, Method, json};

use super::call::{Target, serve};
use super::metadata::signature_def;
use super::path::ModelPath;
use super::respond::{json_body, refuse};
use super::{Shared, no_method};
use crate::{ModelState, ModelStatus, Verb};

pub(super) async fn call(state: Shared, path: ModelPath, request: Request) -> Response {
    let Ok((path, verb)) = path.split_verb() else {
        let mut response = no_method(state, request).await;
        response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET,HEAD"));
        return response;
    };
    let State(app) = state;
    let (verb, method) = match &*verb {
        "predict" => (Verb::Infer, Method::Predict),
        "explain" => (Verb::Explain, Method::Predict),
        "classify" => (Verb::Infer, Method::Classify),
        "regress" => (Verb::Infer, Method::Regress),
        other => {
            let message = format!(
                "unknown verb `:{other}`; a model offers `:predict`, `:explain`, `:classify` and `:regress`"
            );
            return refuse(&app, Error::new(Code::NotFound, message));
        }
    };
    let target = Target { verb, face: Face::V1, method, model: path.model, version: path.version };
    serve(&app, target, request).await
}

pub(super) async fn version_and_label(State(app): Shared) -> Response {
    refuse(&app, Error::invalid("a path may name a version or a label of a model, this one names both"))
}

/// Names of the models, but for those that were unloaded.
pub(super) async fn list(State(app): Shared) -> Response {
    let models = app.handle.models().await;
    let mut out = b"{\"models\":".to_vec();
    let names = models.iter().filter(|it| it.state != ModelState::Unloaded);
    json::push_list(&mut out, names, |out, it| json::push_str(out, &it.name));
    out.push(b'}');
    json_body(out.into())
}

pub(super) async fn status(State(app): Shared, path: ModelPath) -> Response {
    match app.ready_model(&path.model, &path.version).await {
        Ok(status) => json_body(status_json(&status).into()),
        Err(error) => refuse(&app, error),
    }
}

/// What KServe's clients read and what TensorFlow Serving's do, in one object.
fn status_json(status: &ModelStatus) -> Vec<u8> {
    let mut out = b"{\"name\":".to_vec();
    json::push_str(&mut out, &status.name);
    out.extend_from_slice(b",\"ready\":true,\"model_version_status\":[{\"version\":");
    json::push_str(&mut out, &status.version);
    out.extend_from_slice(br#","state":"AVAILABLE","status":{"error_code":"OK","error_message":""}}]}"#);
    out
}

pub(super) async fn metadata(State(app): Shared, path: ModelPath) -> Response {
    match app.handle.metadata(&path.model, &path.version).await {
        Ok(metadata) => json_body(signature_def(&metadata).into()),
        Err(error) => refuse(&app, error),
    }
}
