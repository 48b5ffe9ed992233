//! The router as a component: finds the route, runs the filters, drives the chain.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use tokio::task::JoinSet;
use weir_sdk::client::Description;
use weir_sdk::{
    BoxFuture, Call, Code, Context, Error, Handle, Metadata, ModelState, ModelStatus, Origin, Payload,
    RepositoryVerb, Verb,
};

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
        for (place, name) in self.names.iter().enumerate() {
            for (origin, peer) in self.routes[name].revisions.iter().flat_map(|it| it.peers()) {
                let (name, peer) = (name.clone(), peer.clone());
                probes.spawn(async move {
                    let context = Context { deadline: Some(Instant::now() + PROBE), ..Context::default() };
                    (place, status(origin, name, peer.describe(&context).await))
                });
            }
        }
        let mut told: Vec<Vec<ModelStatus>> = self.names.iter().map(|_| Vec::new()).collect();
        while let Some(joined) = probes.join_next().await {
            if let Ok((place, status)) = joined {
                told[place].push(status);
            }
        }
        self.names.iter().zip(told).map(|(name, told)| together(name, told)).collect()
    }

    /// Loads or unloads a model in the predictors of all its revisions.
    async fn change(&self, verb: RepositoryVerb, model: &str) -> Result<(), Error> {
        let route = self.route(model)?;
        // To load may take as long as it takes: whoever asked waits, or has left.
        let context = Context::default();
        for revision in &route.revisions {
            revision.predictor.repository(verb, model, &context).await?;
        }
        Ok(())
    }
}

/// What one service of a route says of its model.
fn status(origin: Origin, name: String, told: Result<Description, Error>) -> ModelStatus {
    let failed = |reason: String| ModelStatus::away(name.clone(), ModelState::Failed, reason);
    let told = match told {
        Ok(told) => told,
        Err(error) => return failed(error.message),
    };
    let mut models = told.models;
    // A predictor may have others beside this one, and a service that was named by hand may call it otherwise.
    let at = models
        .iter()
        .position(|it| it.name == name)
        .or_else(|| models.iter().position(ModelStatus::is_missing));
    match at.map(|at| models.swap_remove(at)) {
        Some(model) if model.is_missing() => {
            let reason = format!("the {origin}: {}", model.reason);
            ModelStatus { reason, ..model }
        }
        Some(model) if told.ready || model.state == ModelState::Unloaded => model,
        None if told.ready => ModelStatus::ready(name, ""),
        Some(_) | None => failed(format!("the {origin} is draining")),
    }
}

/// What a route's services say of its model, taken together: it is as far as the one that is least far.
fn together(name: &str, mut told: Vec<ModelStatus>) -> ModelStatus {
    let has = |state| told.iter().any(|it: &ModelStatus| it.state == state);
    let state = [ModelState::Failed, ModelState::Loading, ModelState::Unloaded]
        .into_iter()
        .find(|&state| has(state))
        .unwrap_or(ModelState::Ready);
    // Of several revisions a version is as far as where it is least far.
    let mut versions: Vec<_> = told.iter().flat_map(|it| it.versions.iter().cloned()).collect();
    versions.sort_by_cached_key(|it| {
        (it.version.parse::<u64>().unwrap_or(0), it.version.clone(), it.state == ModelState::Ready)
    });
    versions.dedup_by(|next, before| next.version == before.version);
    // Predictors have versions; of several revisions the lowest is told.
    let version = told.iter().map(|it| it.version.clone()).filter(|it| !it.is_empty()).min();
    told.retain(|it| it.state == state && !it.reason.is_empty());
    let mut reasons: Vec<_> = told.into_iter().map(|it| it.reason).collect();
    reasons.sort();
    reasons.dedup();
    ModelStatus {
        name: name.to_owned(),
        version: version.unwrap_or_default(),
        state,
        reason: reasons.join("; "),
        versions,
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

    fn explains(&self, model: &str) -> bool {
        self.routes.get(model).is_some_and(|it| it.revisions.iter().any(|it| it.explainer.is_some()))
    }

    fn reshapes(&self, model: &str) -> bool {
        self.routes.get(model).is_some_and(|it| it.revisions.iter().any(|it| it.transformer.is_some()))
    }

    fn has_repository(&self) -> bool {
        true
    }

    fn repository<'a>(&'a self, verb: RepositoryVerb, model: &'a str) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(self.change(verb, model))
    }
}
