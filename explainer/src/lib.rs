//! Why did the model answer so: methods that ask for predictions and end in an explanation. A method does no I/O.

pub mod background;
pub mod method;

use std::path::Path;
use std::time::Duration;

use weir_proto::document;
use weir_sdk::host::{ExplainHost, ExplainOptions};
use weir_sdk::storage::{Storage, StorageFlags};
use weir_sdk::{BuildError, Launch, Origin, Peer, Process, ServerFlags, Service, Target};

use method::MethodSpec;

/// The explainer's flags.
#[derive(Debug, clap::Args)]
struct Flags {
    /// The name the model is served under
    #[arg(long = "model_name", default_value = "model")]
    model_name: String,
    /// Whom to ask for predictions: the router for the whole chain, or the predictor
    #[arg(long = "predictor_host")]
    predictor_host: Option<String>,
    /// The method, such as kernel_shap
    #[arg(long = "method", default_value = "kernel_shap")]
    method: String,
    /// The folder of the method's data: a path, or a storage URI [default: $STORAGE_URI]
    #[arg(long = "storage_uri")]
    storage_uri: Option<String>,
    #[command(flatten)]
    storage: StorageFlags,
    /// The method's options, as a YAML or JSON object [default: $CONFIG]
    #[arg(long = "config", allow_hyphen_values = true)]
    config: Option<String>,
    /// How long an explanation may take when the caller names no deadline
    #[arg(long = "predictor_request_timeout_seconds", default_value_t = 600.0)]
    timeout_seconds: f64,
    /// Refused: KServe would ask the predictor over TLS
    #[arg(long = "predictor_use_ssl", default_value = "false", default_missing_value = "true", num_args = 0..=1,
          value_parser = weir_sdk::flags::switch, action = clap::ArgAction::Set, hide = true)]
    use_ssl: bool,
    #[command(flatten)]
    server: ServerFlags,
}

/// Builds the explainer: reads its data, asks nothing yet.
///
/// # Errors
/// [`BuildError`] when the command line, an option or the data makes no sense.
pub fn build(launch: &Launch) -> Result<Service, BuildError> {
    let flags: Flags = launch.parse("explainer", "Explains a model's answers.")?;
    let config = |error: &dyn std::error::Error| BuildError::Config(error.to_string());
    if flags.use_ssl {
        // To ask in the clear what was to be asked over TLS would be worse than not to start.
        return Err(BuildError::Config(
            "`--predictor_use_ssl` is true, but services ask each other in the clear; let a proxy or a service mesh encrypt it"
                .to_owned(),
        ));
    }
    let host = flags.predictor_host.as_deref().ok_or_else(|| {
        BuildError::Config(
            "`--predictor_host` is missing: an explainer asks somebody for predictions".to_owned(),
        )
    })?;
    // Whoever it asks, it is not this explainer that failed when they do; the errors carry their own origin.
    let target = Target::parse(host, 80).map_err(|error| config(&error))?;
    let predictor = Peer::new(Origin::Predictor, target, flags.server.max_body_bytes);
    let uri = flags.storage_uri.or_else(|| launch.env.get("STORAGE_URI").map(str::to_owned));
    // It reads its data at once, so that nothing of the cache is in use afterwards.
    let storage = Storage::new(&flags.storage, &launch.env).map_err(|error| config(&error))?;
    let folder =
        uri.map(|uri| storage.locate(&uri, Path::new("."))).transpose().map_err(|error| config(&error))?;
    let options = flags.config.as_deref().or_else(|| launch.env.get("CONFIG"));
    let options =
        options.map(|it| document::parse_one(it, "--config")).transpose().map_err(|error| config(&error))?;
    let method = method::find(&flags.method).map_err(|error| config(&error))?;
    let explain = method.build(&MethodSpec { folder, config: options }).map_err(|error| config(&error))?;
    let timeout = Duration::try_from_secs_f64(flags.timeout_seconds)
        .map_err(|_| BuildError::Config("`--predictor_request_timeout_seconds` is no time".to_owned()))?;
    let handle = ExplainHost::new(flags.model_name, explain, predictor, ExplainOptions { timeout });
    Ok(Service { handle, flags: flags.server, background: None, process: Process::default() })
}
