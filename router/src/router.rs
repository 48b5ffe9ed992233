//! The router as a component: finds the route, runs the filters, drives the chain.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use tokio::task::JoinSet;
use weir_sdk::{BoxFuture, Call, Code, Context, Error, Handle, Metadata, ModelStatus, Origin, Payload, Verb};

use crate::chain;
use crate::filter::FILTERS;
use crate::route::Route;

/// How long a service may take to say whether it is ready.
const PROBE: Duration = Duration::from_secs(1);

/// The front door.
pub struct Router {
    routes: HashMap<String, Route>,
    /// In the order they were given, for listings.
    names: Vec<String>,
}

impl Router {
    /// Creates a router. Of two routes of one name the last counts.
    pub fn new(routes: Vec<Route>) -> Self {
        let names = routes.iter().map(|it| it.name.clone()).collect();
        Self { routes: routes.into_iter().map(|it| (it.name.clone(), it)).collect(), names }
    }

    fn route(&self, model: &str) -> Result<&Route, Error> {
        self.routes.get(model).ok_or_else(|| Error::model_not_found(model))
    }

    async fn route_call(&self, mut call: Call) -> Result<Payload, Error> {
        let route = self.route(&call.model)?;
        for filter in FILTERS {
            filter.request(&mut call, route)?;
        }
        let revision = route.pick();
        match call.verb {
            Verb::Infer => chain::infer(revision, call).await,
            Verb::Explain => match &revision.explainer {
                Some(explainer) => explainer.call(call).await,
                None => {
                    let message = format!("`{}` has no explainer; its manifest names none", call.model);
                    Err(Error::new(Code::Unsupported, message))
                }
            },
            Verb::Preprocess | Verb::Postprocess => Err(Error::new(
                Code::Unsupported,
                "the router runs the whole chain; call `:predict` or `:explain`",
            )),
        }
    }

    /// Asks every service of every route whether it is ready, all at once.
    async fn probe(&self) -> Vec<ModelStatus> {
        let mut probes = JoinSet::new();
        for name in &self.names {
            for (origin, peer) in self.routes[name].revisions.iter().flat_map(|it| it.peers()) {
                let (name, peer) = (name.clone(), peer.clone());
                probes.spawn(async move {
                    let context = Context { deadline: Some(Instant::now() + PROBE), ..Context::default() };
                    let reason = match peer.describe(&context).await {
                        Ok(told) if told.ready => None,
                        Ok(told) => Some(told.models.into_iter().find(|it| !it.ready).map_or_else(
                            || format!("the {origin} is draining"),
                            |it| format!("the {origin}: {}", it.reason),
                        )),
                        Err(error) => Some(error.message),
                    };
                    (name, reason)
                });
            }
        }
        let mut reasons: HashMap<String, Vec<String>> = HashMap::new();
        while let Some(joined) = probes.join_next().await {
            if let Ok((name, Some(reason))) = joined {
                reasons.entry(name).or_default().push(reason);
            }
        }
        self.names
            .iter()
            .map(|name| {
                let mut reasons = reasons.remove(name).unwrap_or_default();
                reasons.sort();
                ModelStatus { name: name.clone(), ready: reasons.is_empty(), reason: reasons.join("; ") }
            })
            .collect()
    }
}

impl Handle for Router {
    fn component(&self) -> Origin {
        Origin::Router
    }

    fn verbs(&self) -> &[Verb] {
        &[Verb::Infer, Verb::Explain]
    }

    fn call(&self, call: Call) -> BoxFuture<'_, Result<Payload, Error>> {
        Box::pin(self.route_call(call))
    }

    fn models(&self) -> BoxFuture<'_, Vec<ModelStatus>> {
        Box::pin(self.probe())
    }

    fn metadata<'a>(&'a self, model: &'a str, version: &'a str) -> BoxFuture<'a, Result<Metadata, Error>> {
        Box::pin(async move {
            let route = self.route(model)?;
            let context = Context { deadline: Some(Instant::now() + route.timeout), ..Context::default() };
            route.pick().predictor.metadata(model, version, &context).await
        })
    }
}
