//! The predictor's flags.

use std::path::PathBuf;
use std::time::Duration;

use weir_sdk::flags::{seconds, switch};
use weir_sdk::host::repository::VersionPolicy;
use weir_sdk::host::{BatchFlags, ListedInputs};
use weir_sdk::storage::StorageFlags;
use weir_sdk::{ServerFlags, Target};

use crate::models::agent::{self, ModelEntry};
use crate::runtime;
use crate::runtime::gpu::GpuFlags;
use crate::tensors;

/// The predictor's flags.
#[derive(Debug, clap::Args)]
pub(crate) struct Flags {
    /// The name the model is served under [default: $MODEL_NAME, or model]
    #[arg(long = "model_name", default_value = "model", hide_default_value = true, help_heading = MODEL)]
    pub(crate) model_name: String,
    /// The folder or file of the model: a path, or a storage URI [default: $STORAGE_URI, or /mnt/models]
    #[arg(long = "model_dir", help_heading = MODEL)]
    pub(crate) model_dir: Option<String>,
    /// The same in TensorFlow Serving's words; V1 `inputs` are then answered as it does
    #[arg(long = "model_base_path", help_heading = MODEL)]
    pub(crate) model_base_path: Option<String>,
    /// The model's format, such as sklearn; without it the file tells, by its ending and how it begins
    #[arg(long = "model_format", alias = "framework", help_heading = MODEL)]
    pub(crate) model_format: Option<String>,
    /// Classifiers answer probabilities where the caller names no output [default: $PREDICT_PROBA]
    #[arg(long = "predict_proba", num_args = 0..=1, default_missing_value = "true", value_parser = switch,
          help_heading = MODEL)]
    pub(crate) predict_proba: Option<bool>,
    /// What a V1 request means by a list of `inputs`: `kserve` rows, `tfserving` the input as a whole, `auto` what the server
    /// of the model's framework means [default: auto]
    #[arg(long = "v1_inputs", value_parser = listed_inputs, help_heading = MODEL)]
    pub(crate) v1_inputs: Option<ListedInputs>,
    /// What stands for versions in a path, such as `stable=1,canary=2`
    #[arg(long = "version_labels", default_value = "", hide_default_value = true, value_parser = Labels::read, help_heading = MODEL)]
    pub(crate) version_labels: Labels,
    /// Which versions of a model are served: `latest`, such as `latest:2`, `all`, or such as `specific:1,3` [default: latest]
    #[arg(long = "model_version_policy", default_value = "latest", hide_default_value = true,
          value_parser = VersionPolicy::read, help_heading = MODEL)]
    pub(crate) policy: VersionPolicy,
    /// Predictions that take longer than microseconds and run side by side [default: one a core]
    #[arg(long = "threads", help_heading = MODEL)]
    pub(crate) threads: Option<usize>,
    /// Keep each thread that computes on one core
    #[arg(long = "pin_threads", default_value = "false", default_missing_value = "true", num_args = 0..=1,
          value_parser = switch, action = clap::ArgAction::Set, hide_default_value = true, help_heading = MODEL)]
    pub(crate) pin_threads: bool,
    #[command(flatten)]
    pub(crate) batch: BatchFlags,
    /// TensorFlow's threads within one operation, in TensorFlow Serving's words; 0 leaves it to the threads there are
    #[arg(long = "tensorflow_intra_op_parallelism", help_heading = MODEL)]
    pub(crate) intra_op: Option<usize>,
    /// TensorFlow's operations side by side within one prediction; 0 leaves it to the threads there are
    #[arg(long = "tensorflow_inter_op_parallelism", help_heading = MODEL)]
    pub(crate) inter_op: Option<usize>,
    /// Both at once, where neither is said
    #[arg(long = "tensorflow_session_parallelism", help_heading = MODEL)]
    pub(crate) session: Option<usize>,
    /// What computes ONNX models: `auto` ONNX Runtime where its library is found, else this build itself; `onnxruntime` or
    /// `embedded` just that
    #[arg(long = "onnx_engine", default_value = "auto", hide_default_value = true, help_heading = MODEL)]
    pub(crate) onnx_engine: runtime::onnx::Engine,
    #[command(flatten)]
    pub(crate) gpu: GpuFlags,
    /// The server that holds the model, such as a Triton: the address of its gRPC port, `host:port`. Nothing is loaded here
    #[arg(long = "upstream", value_parser = upstream, help_heading = MODEL)]
    pub(crate) upstream: Option<Target>,
    /// The model's name there [default: its name here]
    #[arg(long = "upstream_model", requires = "upstream", help_heading = MODEL)]
    pub(crate) upstream_model: Option<String>,
    /// `python`: the model is served by Python processes, which run code out of it; no model gets this unasked
    #[arg(long = "runtime", help_heading = MODEL)]
    pub(crate) runtime: Option<String>,
    /// The Python program [default: $VIRTUAL_ENV, $CONDA_PREFIX, or `python3` of $PATH]
    #[arg(long = "python", help_heading = MODEL)]
    pub(crate) python: Option<String>,
    /// Python processes; each answers one request at a time [default: 1]
    #[arg(long = "workers", help_heading = MODEL)]
    pub(crate) workers: Option<usize>,
    /// The Python class that is the model, or takes its weights, in a `.py` beside them
    #[arg(long = "model_class_name", help_heading = MODEL)]
    pub(crate) model_class_name: Option<String>,
    /// How long a Python process may take over a request whose caller tells no deadline [default: 60]
    #[arg(long = "python_timeout_seconds", value_parser = seconds, help_heading = MODEL)]
    pub(crate) python_timeout: Option<Duration>,
    /// The inputs of a model whose file does not tell them, such as `x:FP32[-1,3,32,32],mask:INT64`
    #[arg(long = "inputs", default_value = "", hide_default_value = true, value_parser = tensors::read, help_heading = MODEL)]
    pub(crate) inputs: tensors::Specs,
    /// Its outputs, in the same form
    #[arg(long = "outputs", default_value = "", hide_default_value = true, value_parser = tensors::read, help_heading = MODEL)]
    pub(crate) outputs: tensors::Specs,
    /// Several models: a configuration of TensorFlow Serving (`model_config_list { ... }`), or a `models.json` of KServe's agent
    #[arg(long = "model_config_file", alias = "models_config", help_heading = MODELS)]
    pub(crate) model_config_file: Option<PathBuf>,
    /// How often to read that again; 0 for never [default: with every look at the models' folders]
    #[arg(long = "model_config_file_poll_wait_seconds", value_parser = wait, help_heading = MODELS)]
    pub(crate) config_poll: Option<Duration>,
    /// The same list as `models.json` has, written out
    #[arg(long = "models", default_value = "", hide_default_value = true, value_parser = Entries::read, help_heading = MODELS)]
    pub(crate) models: Entries,
    /// A folder whose folders are models, each by its name
    #[arg(long = "model_repository", help_heading = MODELS)]
    pub(crate) model_repository: Option<PathBuf>,
    /// How often to look for new versions and changed files; 0 looks once, at the start
    #[arg(long = "file_system_poll_wait_seconds", default_value = "1", value_parser = wait, help_heading = MODELS)]
    pub(crate) file_system_poll: Duration,
    /// Free a model that nobody has asked for so long, until its next request; 0 for never
    #[arg(long = "unload_idle_seconds", default_value = "0", value_parser = wait, help_heading = MODELS)]
    pub(crate) unload_idle: Duration,
    /// The most bytes that all models may hold together; a load beyond that is refused [default: no limit]
    #[arg(long = "memory_limit_bytes", help_heading = MODELS)]
    pub(crate) memory_limit: Option<u64>,
    #[command(flatten)]
    pub(crate) storage: StorageFlags,
    #[command(flatten)]
    pub(crate) server: ServerFlags,
}

const MODEL: &str = "The model";
const MODELS: &str = "Several models, several versions";

/// Reads seconds, of which 0 and what TensorFlow Serving takes below it stand for never.
fn wait(text: &str) -> Result<Duration, String> {
    let read: Option<f64> = text.parse().ok();
    let read = read.and_then(|it| Duration::try_from_secs_f64(it.max(0.0)).ok());
    read.ok_or_else(|| "expected seconds, such as 1 or 0.5, or 0".to_owned())
}

/// Models that are written out.
#[derive(Debug, Clone, Default)]
pub(crate) struct Entries(pub(crate) Vec<ModelEntry>);

impl Entries {
    fn read(text: &str) -> Result<Self, String> {
        if text.trim().is_empty() { Ok(Self::default()) } else { agent::read(text.as_bytes()).map(Self) }
    }
}

/// Reads an address. Triton's gRPC port is 8001.
fn upstream(text: &str) -> Result<Target, String> {
    let address = text.strip_prefix("grpc://").unwrap_or(text);
    Target::parse(address, 8001).map_err(|error| error.message)
}

fn listed_inputs(text: &str) -> Result<ListedInputs, String> {
    match text {
        "auto" => Ok(ListedInputs::AsFramework),
        "kserve" => Ok(ListedInputs::KServe),
        "tfserving" => Ok(ListedInputs::TensorFlowServing),
        _ => Err("expected `auto`, `kserve` or `tfserving`".to_owned()),
    }
}

/// Pairs of label and version.
#[derive(Debug, Clone, Default)]
pub(crate) struct Labels(pub(crate) Vec<(String, String)>);

impl Labels {
    fn read(text: &str) -> Result<Self, String> {
        let pairs = text.split(',').map(str::trim).filter(|it| !it.is_empty());
        let pair = |it: &str| match it.split_once('=').map(|(label, version)| (label.trim(), version.trim()))
        {
            Some((label, version)) if !label.is_empty() && !version.is_empty() => {
                Ok((label.to_owned(), version.to_owned()))
            }
            Some(_) | None => Err(format!("`{it}` is no label and version, expected such as `stable=1`")),
        };
        pairs.map(pair).collect::<Result<_, _>>().map(Self)
    }
}
