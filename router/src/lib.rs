//! The front door: ingress and intercepting filter. It finds the service a request is for, passes it through the filters and
//! drives the chain preprocess, predict, postprocess. It moves bodies; it opens none.

mod chain;
pub mod filter;
mod route;
mod router;

use std::sync::Arc;

use weir_proto::document;
use weir_sdk::{BuildError, Launch, Process, ServerFlags, Service};

pub use route::{Revision, Route, Weight};
pub use router::Router;

/// The router's flags.
#[derive(Debug, clap::Args)]
struct Flags {
    /// The routes, as a YAML or JSON list such as `[{name: iris, predictor: "predictor:8080"}]` [default: $ROUTES]
    #[arg(long = "routes", allow_hyphen_values = true)]
    routes: Option<String>,
    /// Without routes: the one model's name
    #[arg(long = "model_name")]
    model_name: Option<String>,
    /// Without routes: where its predictor is
    #[arg(long = "predictor_host")]
    predictor_host: Option<String>,
    /// Without routes: where its transformer is
    #[arg(long = "transformer_host")]
    transformer_host: Option<String>,
    /// Without routes: where its explainer is
    #[arg(long = "explainer_host")]
    explainer_host: Option<String>,
    /// Without routes: how many seconds a request may take when the caller names no deadline
    #[arg(long = "timeout_seconds", default_value_t = 60.0)]
    timeout_seconds: f64,
    #[command(flatten)]
    server: ServerFlags,
}

/// Builds the router. It connects to nobody yet: the services may come later than it.
///
/// # Errors
/// [`BuildError`] when the command line or a route makes no sense.
pub fn build(launch: &Launch) -> Result<Service, BuildError> {
    let mut flags: Flags =
        launch.parse("router", "Routes requests through transformer, predictor and explainer.")?;
    let config = |error: weir_proto::Error| BuildError::Config(error.message);
    let mut routes = match flags.routes.as_deref().or_else(|| launch.env.get("ROUTES")) {
        Some(text) => {
            let node = document::parse_one(text, "--routes").map_err(config)?;
            route::read(&node, flags.server.max_body_bytes).map_err(config)?
        }
        None => vec![one_route(&flags)?],
    };
    route::settle_headers(&mut routes, &mut flags.server);
    Ok(Service {
        handle: Arc::new(Router::new(routes)),
        flags: flags.server,
        background: None,
        process: Process::default(),
    })
}

/// The route that the flags of a single model tell.
fn one_route(flags: &Flags) -> Result<Route, BuildError> {
    let missing =
        |flag: &str| BuildError::Config(format!("`{flag}` is missing, and there are no `--routes`"));
    let name = flags.model_name.clone().ok_or_else(|| missing("--model_name"))?;
    let predictor = flags.predictor_host.as_deref().ok_or_else(|| missing("--predictor_host"))?;
    let hosts = route::Hosts {
        predictor,
        transformer: flags.transformer_host.as_deref(),
        explainer: flags.explainer_host.as_deref(),
    };
    let revision = Revision::of(&hosts, Weight::ALL, flags.server.max_body_bytes)
        .map_err(|error| BuildError::Config(error.message))?;
    Route::new(name, vec![revision], flags.timeout_seconds).map_err(|error| BuildError::Config(error.message))
}
