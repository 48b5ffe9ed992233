//! Reshapes a request before, and an answer after, the predictor. A step sees tensors, never HTTP or JSON.

pub mod step;

use weir_proto::document;
use weir_sdk::host::TransformHost;
use weir_sdk::{BuildError, Launch, Process, ServerFlags, Service};

/// The transformer's flags.
#[derive(Debug, clap::Args)]
struct Flags {
    /// The name the model is served under
    #[arg(long = "model_name", default_value = "model")]
    model_name: String,
    /// The steps, as a YAML or JSON list such as `[{scale: {mean: [0], scale: [1]}}]` [default: $STEPS]
    #[arg(long = "steps", allow_hyphen_values = true)]
    steps: Option<String>,
    #[command(flatten)]
    server: ServerFlags,
}

/// Builds the transformer.
///
/// # Errors
/// [`BuildError`] when the command line or a step makes no sense.
pub fn build(launch: &Launch) -> Result<Service, BuildError> {
    let flags: Flags =
        launch.parse("transformer", "Reshapes requests before, and answers after, a model.")?;
    let steps = flags.steps.as_deref().or_else(|| launch.env.get("STEPS"));
    let steps = steps
        .ok_or_else(|| BuildError::Config("`--steps` is missing: a list of steps is needed".to_owned()))?;
    let config = |error: weir_proto::Error| BuildError::Config(error.message);
    let node = document::parse_one(steps, "--steps").map_err(config)?;
    let steps = step::Steps::build(&node, "--steps").map_err(config)?;
    Ok(Service {
        handle: TransformHost::new(flags.model_name, Box::new(steps)),
        flags: flags.server,
        background: None,
        process: Process::default(),
    })
}
