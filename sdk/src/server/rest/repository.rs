//! The model repository extension: what there is, load, unload.

use axum::extract::{Path, Request, State};
use axum::response::Response;
use weir_proto::Error;
use weir_proto::json::{self, Kind, Reader};

use super::super::app::App;
use super::Shared;
use super::respond::{json_body, refuse};
use crate::{Context, ModelState, RepositoryVerb, VersionStatus};

/// Answers `[{name, version, state, reason}]`, an entry a version, with `memory_bytes` where anybody can tell. A body `{"ready": true}` leaves out models that do not answer.
pub(super) async fn index(State(app): Shared, request: Request) -> Response {
    match only_ready(&app, request).await {
        Ok(only_ready) => {
            let models = app.handle.models().await;
            let mut rows: Vec<_> =
                models.iter().flat_map(|it| it.rows().into_iter().map(|row| (&*it.name, row))).collect();
            rows.retain(|(_, it)| !only_ready || it.state == ModelState::Ready);
            let mut out = Vec::new();
            json::push_list(&mut out, &rows, push_entry);
            json_body(out.into())
        }
        Err(error) => refuse(&app, error),
    }
}

fn push_entry(out: &mut Vec<u8>, (name, status): &(&str, VersionStatus)) {
    out.extend_from_slice(b"{\"name\":");
    json::push_str(out, name);
    out.extend_from_slice(b",\"version\":");
    json::push_str(out, &status.version);
    out.extend_from_slice(b",\"state\":");
    json::push_str(out, status.state.repository_name());
    out.extend_from_slice(b",\"reason\":");
    json::push_str(out, &status.reason);
    if let Some(bytes) = status.memory_bytes {
        out.extend_from_slice(b",\"memory_bytes\":");
        json::push_u64(out, bytes);
    }
    out.push(b'}');
}

async fn only_ready(app: &App, request: Request) -> Result<bool, Error> {
    let body = app.read(request.into_body(), &Context::default()).await?;
    if body.trim_ascii().is_empty() {
        return Ok(false);
    }
    let mut reader = Reader::new(&body);
    let mut ready = false;
    reader.begin_object()?;
    while let Some(key) = reader.next_key()? {
        match (&*key, reader.peek()?) {
            ("ready", Kind::Bool) => ready = reader.boolean()?,
            ("ready", Kind::Null) => reader.null()?,
            ("ready", _) => return Err(Error::invalid("Invalid value for 'ready': expected a boolean")),
            _ => reader.skip()?,
        }
    }
    reader.finish()?;
    Ok(ready)
}

pub(super) async fn load(State(app): Shared, Path(model): Path<String>, request: Request) -> Response {
    change(&app, RepositoryVerb::Load, &model, request).await
}

pub(super) async fn unload(State(app): Shared, Path(model): Path<String>, request: Request) -> Response {
    change(&app, RepositoryVerb::Unload, &model, request).await
}

async fn change(app: &App, verb: RepositoryVerb, model: &str, request: Request) -> Response {
    // Read, though nothing of it has a meaning here, so that the connection is fit for the next request.
    let changed = match app.read(request.into_body(), &Context::default()).await {
        Ok(_) => app.repository(verb, model).await,
        Err(error) => Err(error),
    };
    match changed {
        Ok(()) => {
            let mut out = b"{\"name\":".to_vec();
            json::push_str(&mut out, model);
            let done: &[u8] = match verb {
                RepositoryVerb::Load => b",\"load\":true}",
                RepositoryVerb::Unload => b",\"unload\":true}",
            };
            out.extend_from_slice(done);
            json_body(out.into())
        }
        Err(error) => refuse(app, error),
    }
}

pub(super) async fn named(State(app): Shared) -> Response {
    refuse(&app, Error::invalid("'repository_name' specification is not supported"))
}
