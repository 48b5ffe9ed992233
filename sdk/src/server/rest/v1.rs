//! Paths of the V1 protocol: KServe's, and those that TensorFlow Serving has beyond them.

use axum::extract::{Request, State};
use axum::response::Response;
use http::{HeaderValue, header};
use weir_proto::{Code, Error, Face, Method, json};

use super::super::app::App;
use super::call::{Target, serve};
use super::metadata::signature_def;
use super::path::ModelPath;
use super::respond::{json_body, refuse};
use super::{Shared, no_method};
use crate::{ModelState, Verb, VersionStatus};

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
    match versions_of(&app, &path).await {
        Ok((name, versions)) => json_body(status_json(&name, &versions).into()),
        Err(error) => refuse(&app, error),
    }
}

/// The name of a model that answers, and what there is to tell of its versions, or of the one that the path names. As with
/// TensorFlow Serving, a version that does not answer is told of, and only one that is not known is an error.
async fn versions_of(app: &App, path: &ModelPath) -> Result<(String, Vec<VersionStatus>), Error> {
    let status = app.ready_model(&path.model, "").await?;
    let mut versions = status.rows();
    if !path.version.is_empty() {
        if !versions.iter().any(|it| it.version == path.version) {
            // Only whoever serves the model knows its labels.
            let told = app.handle.metadata(&path.model, &path.version).await?;
            versions.retain(|it| it.version == told.version || told.version.is_empty());
        } else {
            versions.retain(|it| it.version == path.version);
        }
    }
    Ok((status.name, versions))
}

/// What KServe's clients read and what TensorFlow Serving's do, in one object.
fn status_json(name: &str, versions: &[VersionStatus]) -> Vec<u8> {
    let mut out = b"{\"name\":".to_vec();
    json::push_str(&mut out, name);
    out.extend_from_slice(b",\"ready\":");
    json::push_bool(&mut out, versions.iter().any(|it| it.state == ModelState::Ready));
    out.extend_from_slice(b",\"model_version_status\":");
    json::push_list(&mut out, versions, push_version);
    out.push(b'}');
    out
}

fn push_version(out: &mut Vec<u8>, it: &VersionStatus) {
    let (state, code) = match it.state {
        ModelState::Loading => ("LOADING", "OK"),
        ModelState::Ready => ("AVAILABLE", "OK"),
        ModelState::Failed => ("END", "UNKNOWN"),
        ModelState::Unloaded => ("END", "OK"),
    };
    out.extend_from_slice(b"{\"version\":");
    json::push_str(out, &it.version);
    out.extend_from_slice(b",\"state\":");
    json::push_str(out, state);
    out.extend_from_slice(b",\"status\":{\"error_code\":");
    json::push_str(out, code);
    out.extend_from_slice(b",\"error_message\":");
    json::push_str(out, if code == "OK" { "" } else { &it.reason });
    out.extend_from_slice(b"}}");
}

pub(super) async fn metadata(State(app): Shared, path: ModelPath) -> Response {
    match app.handle.metadata(&path.model, &path.version).await {
        Ok(metadata) => json_body(signature_def(&metadata).into()),
        Err(error) => refuse(&app, error),
    }
}
