//! The mesh's own gRPC face: calls between Weir's services.

use std::sync::Arc;

use tonic::Status;
use tonic_prost::ProstCodec;
use weir_proto::generated::mesh as wire;
use weir_proto::{Error, Face};

use super::app::App;
use super::inference::{Unary, not_offered, serve_unary};
use crate::grpc::status_of;
use crate::{Call, Context, Payload, Verb};

/// A tower service of every mesh call.
#[derive(Clone)]
pub(super) struct Service {
    app: Arc<App>,
}

impl Service {
    pub(super) fn new(app: Arc<App>) -> Self {
        Self { app }
    }

    async fn route(self, request: http::Request<axum::body::Body>) -> http::Response<tonic::body::Body> {
        let limit = self.app.limits.max_body_bytes;
        let verb = match request.uri().path() {
            "/weir.mesh.v1.Transformer/Preprocess" => Verb::Preprocess,
            "/weir.mesh.v1.Transformer/Postprocess" => Verb::Postprocess,
            "/weir.mesh.v1.Predictor/Infer" => Verb::Infer,
            "/weir.mesh.v1.Explainer/Explain" => Verb::Explain,
            "/weir.mesh.v1.Component/Describe" => {
                let describe = Unary(move |_: tonic::Request<wire::DescribeRequest>| describe(Arc::clone(&self.app)));
                return serve_unary(describe, ProstCodec::default(), limit, request).await;
            }
            path => return not_offered(path),
        };
        let call = Unary(move |request: tonic::Request<wire::Call>| call(Arc::clone(&self.app), verb, request));
        serve_unary(call, ProstCodec::default(), limit, request).await
    }
}

async fn call(app: Arc<App>, verb: Verb, request: tonic::Request<wire::Call>) -> Result<wire::Answer, Status> {
    let refuse = |error: Error| status_of(&error.or_origin(app.handle.component()));
    let (metadata, _, it) = request.into_parts();
    let context = Context::of(metadata.as_ref()).map_err(refuse)?;
    let face = Face::try_from(it.face).map_err(refuse)?;
    let want = Face::try_from(it.want).map_err(refuse)?;
    let payload = Payload { face, body: it.body };
    let mut call = Call { verb, model: it.model, version: it.version, payload, want, context };
    app.identify(&mut call);
    let answer = app.serve(call).await.map_err(|error| status_of(&error))?;
    Ok(wire::Answer { face: wire::Face::from(answer.face).into(), body: answer.body })
}

async fn describe(app: Arc<App>) -> Result<wire::Description, Status> {
    let models = app.handle.models().await;
    let ready = !app.is_draining() && models.iter().all(|it| it.ready);
    let model = |it: crate::ModelStatus| wire::description::Model { name: it.name, ready: it.ready, reason: it.reason };
    Ok(wire::Description {
        component: app.handle.component().name().to_owned(),
        verbs: app.handle.verbs().iter().map(|it| it.name().to_owned()).collect(),
        models: models.into_iter().map(model).collect(),
        ready,
    })
}

super::inference::impl_grpc_service!(Service);
