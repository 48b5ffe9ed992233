//! Paths of the V1 protocol: KServe's, and those that TensorFlow Serving has beyond them.

use axum::extract::{Path, Request, State};
use axum::response::Response;
use weir_proto::{Code, Error, Face, Method, json};

use super::super::app::App;
use super::call::{Target, serve};
use super::metadata::signature_def;
use super::respond::{json_body, refuse};
use super::{Shared, no_method};
use crate::{ModelState, ModelStatus, Verb};

pub(super) async fn call(state: Shared, Path(target): Path<String>, request: Request) -> Response {
    match target.rsplit_once(':') {
        Some((model, verb)) => verb_call(state, verb, model.to_owned(), String::new(), request).await,
        None => no_method(state, request).await,
    }
}

pub(super) async fn version_call(
    state: Shared,
    Path((model, target)): Path<(String, String)>,
    request: Request,
) -> Response {
    match target.rsplit_once(':') {
        Some((version, verb)) => verb_call(state, verb, model, version.to_owned(), request).await,
        None => no_method(state, request).await,
    }
}

pub(super) async fn label_call(
    state: Shared,
    Path((model, target)): Path<(String, String)>,
    request: Request,
) -> Response {
    match target.rsplit_once(':') {
        Some((label, verb)) => verb_call(state, verb, model, format!("@{label}"), request).await,
        None => no_method(state, request).await,
    }
}

pub(super) async fn version_and_label(State(app): Shared) -> Response {
    refuse(&app, Error::invalid("a path may name a version or a label of a model, this one names both"))
}

async fn verb_call(
    State(app): Shared,
    verb: &str,
    model: String,
    version: String,
    request: Request,
) -> Response {
    let (verb, method) = match verb {
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
    serve(&app, Target { verb, face: Face::V1, method, model, version }, request).await
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

pub(super) async fn status(State(app): Shared, Path(model): Path<String>) -> Response {
    answer_status(&app, &model, "").await
}

pub(super) async fn version_status(
    State(app): Shared,
    Path((model, version)): Path<(String, String)>,
) -> Response {
    answer_status(&app, &model, &version).await
}

pub(super) async fn label_status(
    State(app): Shared,
    Path((model, label)): Path<(String, String)>,
) -> Response {
    answer_status(&app, &model, &format!("@{label}")).await
}

async fn answer_status(app: &App, model: &str, version: &str) -> Response {
    match app.ready_model(model, version).await {
        Ok(status) => json_body(status_json(&status).into()),
        Err(error) => refuse(app, error),
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

pub(super) async fn metadata(State(app): Shared, Path(model): Path<String>) -> Response {
    answer_metadata(&app, &model, "").await
}

pub(super) async fn version_metadata(
    State(app): Shared,
    Path((model, version)): Path<(String, String)>,
) -> Response {
    answer_metadata(&app, &model, &version).await
}

pub(super) async fn label_metadata(
    State(app): Shared,
    Path((model, label)): Path<(String, String)>,
) -> Response {
    answer_metadata(&app, &model, &format!("@{label}")).await
}

async fn answer_metadata(app: &App, model: &str, version: &str) -> Response {
    match app.handle.metadata(model, version).await {
        Ok(metadata) => json_body(signature_def(&metadata).into()),
        Err(error) => refuse(app, error),
    }
}
