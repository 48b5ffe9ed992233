//! The model repository, in the dialects of Triton and MLServer on the one side, of KServe on the other.
//!
//! Both have a message of the same name for loading: the model's name is field 2 of the one, field 1 of the other. Field 1 of
//! the former names a repository, and servers have only the one that has no name; so what fields are set tells the dialects
//! apart. The answer has KServe's fields, which the other dialect's clients pass over.

use std::sync::Arc;

use axum::body::Body;
use http::{Request, Response};
use hyper::body::Incoming;
use weir_proto::Error;
use weir_proto::generated::inference as wire;

use super::Grpc;
use crate::server::app::App;
use crate::{ModelState, RepositoryVerb};

/// A method of this file.
#[derive(Debug, Clone, Copy)]
pub(super) enum Method {
    Index,
    Load,
    Unload,
}

pub(super) fn find(path: &str) -> Option<Method> {
    Some(match path.rsplit('/').next()? {
        "RepositoryIndex" => Method::Index,
        "RepositoryModelLoad" => Method::Load,
        "RepositoryModelUnload" => Method::Unload,
        _ => return None,
    })
}

pub(super) async fn serve(grpc: Arc<Grpc>, method: Method, request: Request<Incoming>) -> Response<Body> {
    let app = &grpc.app;
    match method {
        Method::Index => grpc.control(request, |it| index(app, it)).await,
        Method::Load => {
            let load = async |it: wire::RepositoryModelLoadRequest| {
                let model_name = model(it.repository_name, it.model_name)?;
                app.repository(RepositoryVerb::Load, &model_name).await?;
                Ok(wire::RepositoryModelLoadResponse { model_name, is_loaded: true })
            };
            grpc.control(request, load).await
        }
        Method::Unload => {
            let unload = async |it: wire::RepositoryModelUnloadRequest| {
                let model_name = model(it.repository_name, it.model_name)?;
                app.repository(RepositoryVerb::Unload, &model_name).await?;
                Ok(wire::RepositoryModelUnloadResponse { model_name, is_unloaded: true })
            };
            grpc.control(request, unload).await
        }
    }
}

async fn index(app: &App, it: wire::RepositoryIndexRequest) -> Result<wire::RepositoryIndexResponse, Error> {
    if !it.repository_name.is_empty() {
        return Err(named());
    }
    let mut models = Vec::new();
    for model in app.handle.models().await {
        let rows = model.rows().into_iter().filter(|row| !it.ready || row.state == ModelState::Ready);
        models.extend(rows.map(|row| wire::repository_index_response::ModelIndex {
            name: model.name.clone(),
            version: row.version,
            state: row.state.repository_name().to_owned(),
            reason: row.reason,
        }));
    }
    Ok(wire::RepositoryIndexResponse { models })
}

/// The model's name, out of field 1 and field 2.
fn model(first: String, second: String) -> Result<String, Error> {
    match (first.is_empty(), second.is_empty()) {
        (true, true) => Err(Error::invalid("the message names no model; set `model_name`")),
        (true, false) => Ok(second),
        (false, true) => Ok(first),
        (false, false) => Err(named()),
    }
}

fn named() -> Error {
    Error::invalid("'repository_name' specification is not supported")
}
