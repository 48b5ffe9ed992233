//! Calls that tell of the server and its models.

use std::sync::Arc;

use axum::body::Body;
use http::{Request, Response};
use hyper::body::Incoming;
use weir_proto::generated::inference as wire;
use weir_proto::{Code, Error};

use super::Grpc;
use crate::TensorSpec;
use crate::server::app::App;
use crate::server::rest::EXTENSIONS;

/// A method of this file.
#[derive(Debug, Clone, Copy)]
pub(super) enum Method {
    ServerLive,
    ServerReady,
    ServerMetadata,
    ModelReady,
    ModelMetadata,
}

pub(super) fn find(method: &str) -> Option<Method> {
    Some(match method {
        "ServerLive" => Method::ServerLive,
        "ServerReady" => Method::ServerReady,
        "ServerMetadata" => Method::ServerMetadata,
        "ModelReady" => Method::ModelReady,
        "ModelMetadata" => Method::ModelMetadata,
        _ => return None,
    })
}

pub(super) async fn serve(grpc: Arc<Grpc>, method: Method, request: Request<Incoming>) -> Response<Body> {
    let app = &grpc.app;
    match method {
        Method::ServerLive => {
            let live = async |_: wire::ServerLiveRequest| Ok(wire::ServerLiveResponse { live: true });
            grpc.control(request, live).await
        }
        Method::ServerReady => {
            let ready = async |_: wire::ServerReadyRequest| {
                Ok(wire::ServerReadyResponse { ready: app.ready().await })
            };
            grpc.control(request, ready).await
        }
        Method::ServerMetadata => {
            let metadata = async |_: wire::ServerMetadataRequest| Ok(server_metadata());
            grpc.control(request, metadata).await
        }
        Method::ModelReady => grpc.control(request, |it| model_ready(app, it)).await,
        Method::ModelMetadata => grpc.control(request, |it| model_metadata(app, it)).await,
    }
}

fn server_metadata() -> wire::ServerMetadataResponse {
    wire::ServerMetadataResponse {
        name: "weir".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        extensions: EXTENSIONS.map(str::to_owned).to_vec(),
    }
}

async fn model_ready(app: &App, it: wire::ModelReadyRequest) -> Result<wire::ModelReadyResponse, Error> {
    match app.ready_model(&it.name, &it.version).await {
        Ok(_) => Ok(wire::ModelReadyResponse { ready: true }),
        // That is an answer here and no error: the message has a field for it.
        Err(error) if error.code == Code::NotReady => Ok(wire::ModelReadyResponse { ready: false }),
        Err(error) => Err(error),
    }
}

async fn model_metadata(
    app: &App,
    it: wire::ModelMetadataRequest,
) -> Result<wire::ModelMetadataResponse, Error> {
    let asked = it.version;
    let it = app.handle.metadata(&it.name, &asked).await?;
    let mut properties = crate::properties::to_wire(&it.signature);
    if !asked.is_empty() && !it.version.is_empty() {
        properties.insert(crate::properties::VERSION.to_owned(), it.version);
    }
    let spec = |it: TensorSpec| wire::model_metadata_response::TensorMetadata {
        name: it.name,
        datatype: it.datatype.name().to_owned(),
        shape: it.shape,
    };
    Ok(wire::ModelMetadataResponse {
        name: it.name,
        versions: it.versions,
        platform: it.signature.platform,
        inputs: it.signature.inputs.into_iter().map(spec).collect(),
        outputs: it.signature.outputs.into_iter().map(spec).collect(),
        properties,
    })
}
