//! `grpc.health.v1.Health`: the server as a whole under the empty name and that of the inference service, each model under its
//! own.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Body;
use http::{Request, Response};
use hyper::body::Incoming;
use tokio::sync::Mutex;
use weir_proto::generated::health::health_check_response::ServingStatus;
use weir_proto::generated::health::{
    HealthCheckRequest, HealthCheckResponse, HealthListRequest, HealthListResponse,
};
use weir_proto::{Code, Error};

use super::stream::going_away;
use super::{Grpc, QUIET_STREAMS, place, respond, within};
use crate::server::app::{App, Stage};
use crate::{ModelState, ModelStatus, wire};

const SERVICE: &str = "inference.GRPCInferenceService";
/// How often a watcher looks.
const PERIOD: Duration = Duration::from_secs(1);
/// How old may be what it sees: somewhat less, so that a watcher that is alone sees something new each time.
const FRESH: Duration = Duration::from_millis(900);

/// What was last heard of the models. A router asks every service for it, so the watchers share one answer.
#[derive(Default)]
pub(super) struct Seen(Mutex<Option<(Instant, Arc<[ModelStatus]>)>>);

impl Seen {
    async fn models(&self, app: &App) -> Arc<[ModelStatus]> {
        let mut last = self.0.lock().await;
        if let Some((_, models)) = last.as_ref().filter(|(at, _)| at.elapsed() < FRESH) {
            return Arc::clone(models);
        }
        let models: Arc<[ModelStatus]> = app.handle.models().await.into();
        *last = Some((Instant::now(), Arc::clone(&models)));
        models
    }
}

pub(super) async fn check(grpc: Arc<Grpc>, request: Request<Incoming>) -> Response<Body> {
    let app = &grpc.app;
    let check = async |it: HealthCheckRequest| match status(app, &app.handle.models().await, &it.service) {
        Some(status) => Ok(response(status)),
        None => {
            let message = format!(
                "no service `{}`; there are `` and `{SERVICE}` for the server, and the names of its models",
                it.service
            );
            Err(Error::new(Code::NotFound, message))
        }
    };
    grpc.control(request, check).await
}

pub(super) async fn list(grpc: Arc<Grpc>, request: Request<Incoming>) -> Response<Body> {
    let app = &grpc.app;
    let list = async |_: HealthListRequest| {
        let models = app.handle.models().await;
        let names = models.iter().map(|it| it.name.as_str()).chain(["", SERVICE]);
        let statuses: HashMap<_, _> =
            names.filter_map(|name| Some((name.to_owned(), response(status(app, &models, name)?)))).collect();
        Ok(HealthListResponse { statuses })
    };
    grpc.control(request, list).await
}

/// Tells a status at once, and again whenever it is another.
pub(super) async fn watch(grpc: Arc<Grpc>, request: Request<Incoming>) -> Response<Body> {
    let asked = grpc.question::<HealthCheckRequest>(request).await;
    let asked =
        asked.and_then(|it| Ok((it, place(&grpc.quiet, "watching or asking streams", QUIET_STREAMS)?)));
    let ((context, question), place) = match asked {
        Ok(asked) => asked,
        Err(error) => return respond::refuse(&grpc.app, error),
    };
    let origin = grpc.app.handle.component();
    respond::stream(place, origin, |out| async move {
        within(&context, follow(&grpc, &question.service, &out)).await
    })
}

async fn follow(grpc: &Grpc, service: &str, out: &respond::Out) -> Result<(), Error> {
    let mut stage = grpc.app.stage();
    let mut told = None;
    loop {
        let now = *stage.borrow_and_update();
        let models = grpc.seen.models(&grpc.app).await;
        // A service that is not known may come to be: this is a status here, and no error.
        let status = status(&grpc.app, &models, service).unwrap_or(ServingStatus::ServiceUnknown);
        if told != Some(status) {
            out.send(wire::frame(&response(status))).await?;
            told = Some(status);
        }
        if now == Stage::Stopping {
            return Err(going_away());
        }
        // Whoever drains is told of it at once. Fails only when the server is gone.
        let _ = tokio::time::timeout(PERIOD, stage.changed()).await;
    }
}

fn response(status: ServingStatus) -> HealthCheckResponse {
    HealthCheckResponse { status: status.into() }
}

/// The status of a service; nothing for one that is not known.
fn status(app: &App, models: &[ModelStatus], service: &str) -> Option<ServingStatus> {
    let serving = |it: bool| if it { ServingStatus::Serving } else { ServingStatus::NotServing };
    if service.is_empty() || service == SERVICE {
        return Some(serving(app.ready_with(models)));
    }
    let model = models.iter().find(|it| it.name == service)?;
    Some(serving(model.state == ModelState::Ready && !app.is_draining()))
}
