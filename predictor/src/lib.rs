//! Model files in, tensors out: the framework runtimes. A runtime never sees HTTP, gRPC or JSON requests, and no model file
//! runs code, unless its user chose the one runtime that is for that.

mod images;
pub mod runtime;
pub mod tensors;
#[cfg(test)]
mod tests;

use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

use weir_sdk::flags::{seconds, switch};
use weir_sdk::host::{ListedInputs, Loaded, ModelHost, ModelOptions, UpstreamHost};
use weir_sdk::storage::{Storage, StorageFlags};
use weir_sdk::{BuildError, Launch, Model, ServerFlags, Service, Target, Threads};

use runtime::onnx::GpuFlags;
use runtime::python::{self, PythonOptions};
use runtime::{LoadError, LoadOptions, RUNTIMES, Runtime};
use tensors::Tensors;

/// The predictor's flags.
#[derive(Debug, clap::Args)]
struct Flags {
    /// The name the model is served under [default: $MODEL_NAME, or model]
    #[arg(long = "model_name", default_value = "model", hide_default_value = true, help_heading = MODEL)]
    model_name: String,
    /// The folder or file of the model: a path, or a storage URI [default: $STORAGE_URI, or /mnt/models]
    #[arg(long = "model_dir", help_heading = MODEL)]
    model_dir: Option<String>,
    /// The same in TensorFlow Serving's words; V1 `inputs` are then answered as it does
    #[arg(long = "model_base_path", help_heading = MODEL)]
    model_base_path: Option<String>,
    /// The model's format, such as sklearn; without it the file tells, by its ending and how it begins
    #[arg(long = "model_format", alias = "framework", help_heading = MODEL)]
    model_format: Option<String>,
    /// Classifiers answer probabilities where the caller names no output [default: $PREDICT_PROBA]
    #[arg(long = "predict_proba", num_args = 0..=1, default_missing_value = "true", value_parser = switch,
          help_heading = MODEL)]
    predict_proba: Option<bool>,
    /// What a V1 request means by a list of `inputs`: `kserve` rows, `tfserving` the input as a whole, `auto` what the server
    /// of the model's framework means [default: auto]
    #[arg(long = "v1_inputs", value_parser = listed_inputs, help_heading = MODEL)]
    v1_inputs: Option<ListedInputs>,
    /// What stands for versions in a path, such as `stable=1,canary=2`
    #[arg(long = "version_labels", default_value = "", hide_default_value = true, value_parser = Labels::read, help_heading = MODEL)]
    version_labels: Labels,
    /// Threads for predictions that take longer than microseconds [default: one a core]
    #[arg(long = "threads", help_heading = MODEL)]
    threads: Option<usize>,
    /// TensorFlow's threads within one operation, in TensorFlow Serving's words; 0 leaves it to the threads there are
    #[arg(long = "tensorflow_intra_op_parallelism", help_heading = MODEL)]
    intra_op: Option<usize>,
    /// TensorFlow's operations side by side within one prediction; 0 leaves it to the threads there are
    #[arg(long = "tensorflow_inter_op_parallelism", help_heading = MODEL)]
    inter_op: Option<usize>,
    /// Both at once, where neither is said
    #[arg(long = "tensorflow_session_parallelism", help_heading = MODEL)]
    session: Option<usize>,
    /// What computes ONNX models: `auto` ONNX Runtime where its library is found, else this build itself; `onnxruntime` or
    /// `embedded` just that
    #[arg(long = "onnx_engine", default_value = "auto", hide_default_value = true, help_heading = MODEL)]
    onnx_engine: runtime::onnx::Engine,
    #[command(flatten)]
    gpu: GpuFlags,
    /// The server that holds the model, such as a Triton: the address of its gRPC port, `host:port`. Nothing is loaded here
    #[arg(long = "upstream", value_parser = upstream, help_heading = MODEL)]
    upstream: Option<Target>,
    /// The model's name there [default: its name here]
    #[arg(long = "upstream_model", requires = "upstream", help_heading = MODEL)]
    upstream_model: Option<String>,
    /// `python`: the model is served by Python processes, which run code out of it; no model gets this unasked
    #[arg(long = "runtime", help_heading = MODEL)]
    runtime: Option<String>,
    /// The Python program [default: $VIRTUAL_ENV, $CONDA_PREFIX, or `python3` of $PATH]
    #[arg(long = "python", help_heading = MODEL)]
    python: Option<String>,
    /// Python processes; each answers one request at a time [default: 1]
    #[arg(long = "workers", help_heading = MODEL)]
    workers: Option<usize>,
    /// The Python class that is the model, or takes its weights, in a `.py` beside them
    #[arg(long = "model_class_name", help_heading = MODEL)]
    model_class_name: Option<String>,
    /// How long a Python process may take over a request whose caller tells no deadline [default: 60]
    #[arg(long = "python_timeout_seconds", value_parser = seconds, help_heading = MODEL)]
    python_timeout: Option<Duration>,
    /// The inputs of a model whose file does not tell them, such as `x:FP32[-1,3,32,32],mask:INT64`
    #[arg(long = "inputs", default_value = "", hide_default_value = true, value_parser = tensors::read, help_heading = MODEL)]
    inputs: tensors::Specs,
    /// Its outputs, in the same form
    #[arg(long = "outputs", default_value = "", hide_default_value = true, value_parser = tensors::read, help_heading = MODEL)]
    outputs: tensors::Specs,
    #[command(flatten)]
    storage: StorageFlags,
    #[command(flatten)]
    server: ServerFlags,
}

const MODEL: &str = "The model";

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
struct Labels(Vec<(String, String)>);

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

/// Builds the predictor. The model is loaded once it listens; until then it answers 503.
///
/// # Errors
/// [`BuildError`] when the command line makes no sense. A model that cannot be loaded is no such error: the predictor says so
/// in its readiness and in every answer.
pub fn build(launch: &Launch) -> Result<Service, BuildError> {
    let launch = images::as_flags(launch)?;
    let flags: Flags = launch.parse("predictor", "Serves one model over V1, V2 and gRPC.")?;
    if let Some(target) = flags.upstream {
        let there = flags.upstream_model.unwrap_or_else(|| flags.model_name.clone());
        let host = UpstreamHost::new(flags.model_name, there, target, flags.server.max_body_bytes);
        return Ok(Service { handle: host, flags: flags.server, background: None });
    }
    let gpu = flags.gpu.try_into().map_err(BuildError::Config)?;
    let runtime = chosen(flags.runtime.as_deref(), flags.model_format.as_deref())?;
    let predict_proba = match (flags.predict_proba, launch.env.get("PREDICT_PROBA")) {
        (Some(told), _) => told,
        (None, Some(text)) => switch(text)
            .map_err(|wanted| BuildError::Config(format!("variable PREDICT_PROBA is `{text}`, {wanted}")))?,
        (None, None) => false,
    };
    let as_tensorflow_serving = flags.model_base_path.is_some().then_some(ListedInputs::TensorFlowServing);
    let inputs = flags.v1_inputs.or(as_tensorflow_serving).unwrap_or_default();
    let uri = flags.model_dir.or(flags.model_base_path);
    let uri = uri.or_else(|| launch.env.get("STORAGE_URI").map(str::to_owned));
    let storage =
        Storage::new(&flags.storage, &launch.env).map_err(|error| BuildError::Config(error.to_string()))?;
    let threads = Threads::default();
    // TensorFlow Serving heeds the flag of both where neither of the two is said; nought is as if it were not written.
    let said = |it: Option<usize>| it.filter(|&it| it > 0);
    let both = said(flags.session).filter(|_| said(flags.intra_op.max(flags.inter_op)).is_none());
    let threads = Threads {
        workers: flags.threads.unwrap_or(threads.workers),
        intra_op: said(flags.intra_op).or(both).unwrap_or(threads.intra_op),
        inter_op: said(flags.inter_op).or(both).unwrap_or(threads.inter_op),
    };
    let name = flags.model_name.clone();
    let by_python = runtime.is_some_and(|it| it.name() == python::NAME);
    let workers = flags.workers.unwrap_or(1).max(1);
    if workers > 1 && !by_python {
        tracing::info!(
            "flag `--workers={workers}` has no effect: it is for the runtime `{}`, a native model has `--threads`",
            python::NAME
        );
    }
    let options = ModelOptions {
        // Who waits for a process holds a thread.
        threads: if by_python { threads.workers.max(workers) } else { threads.workers },
        labels: flags.version_labels.0,
        inputs,
        ..ModelOptions::new(name)
    };
    let name = flags.model_name;
    let python = PythonOptions {
        program: flags.python,
        workers,
        class_name: flags.model_class_name.filter(|it| !it.is_empty()),
        format: flags.model_format,
        timeout: flags.python_timeout.unwrap_or(PythonOptions::default().timeout),
    };
    let tensors = Tensors { inputs: flags.inputs.0, outputs: flags.outputs.0 };
    let load_options = LoadOptions {
        name: name.clone(),
        predict_proba,
        env: launch.env,
        threads,
        onnx_engine: flags.onnx_engine,
        gpu,
        python,
        tensors,
    };
    let host = ModelHost::new(
        options,
        Box::new(move || load_logged(&name, &storage, uri.as_deref(), runtime, &load_options)),
    );
    let background = Box::new({
        let host = std::sync::Arc::clone(&host);
        // What went wrong is in the log, and in every answer.
        move || drop(host.load())
    });
    Ok(Service { handle: host, flags: flags.server, background: Some(background) })
}

/// The runtime that the flags name: `--runtime python` serves a model of any format.
fn chosen(runtime: Option<&str>, format: Option<&str>) -> Result<Option<&'static dyn Runtime>, BuildError> {
    match runtime {
        Some(python::NAME) => find(python::NAME).map(Some),
        Some(other) => {
            tracing::warn!(
                "`--runtime {other}` has no effect: the format names the runtime, or it is `python`"
            );
            format.map(find).transpose()
        }
        None => format.map(find).transpose(),
    }
}

/// Returns the runtime of a model format.
///
/// # Errors
/// [`BuildError::Config`] naming the formats this build knows.
pub fn find(format: &str) -> Result<&'static dyn Runtime, BuildError> {
    RUNTIMES.iter().find(|it| it.name() == format).copied().ok_or_else(|| {
        let known: Vec<_> = RUNTIMES.iter().map(|it| it.name()).collect();
        BuildError::Config(format!("unknown model format `{format}`; this build knows {}", known.join(", ")))
    })
}

fn load_logged(
    name: &str,
    storage: &Storage,
    uri: Option<&str>,
    runtime: Option<&dyn Runtime>,
    options: &LoadOptions,
) -> Result<Loaded, String> {
    let started = std::time::Instant::now();
    let outcome = storage
        .locate_model(uri, Path::new("."))
        .map_err(|error| (error.to_string(), String::new()))
        .and_then(|path| {
            let (path, version) = versioned(path);
            let model = load(&path, runtime, options);
            model
                .map(|model| Loaded { model, version })
                .map_err(|error| (error.to_string(), folder_of(&path)))
        });
    match &outcome {
        Ok(loaded) => {
            let platform = &loaded.model.signature().platform;
            tracing::info!(
                model = name,
                version = loaded.version,
                platform,
                took_us = started.elapsed().as_micros() as u64,
                "model loaded"
            );
        }
        Err((reason, _)) => tracing::error!(model = name, "model not loaded: {reason}"),
    }
    // Clients are told the file's name; where it lies is for the log.
    outcome.map_err(|(reason, folder)| if folder.is_empty() { reason } else { reason.replace(&folder, "") })
}

/// A folder of folders that are numbers holds versions of a model, as TensorFlow Serving and Triton lay them out: the highest
/// is served. A model without is version 1.
fn versioned(path: PathBuf) -> (PathBuf, String) {
    let number = |entry: &std::fs::DirEntry| -> Option<u64> {
        let name = entry.file_name().into_string().ok()?;
        (entry.path().is_dir() && name.bytes().all(|it| it.is_ascii_digit())).then(|| name.parse().ok())?
    };
    let entries = path.read_dir().into_iter().flatten().flatten();
    match entries.filter_map(|entry| Some((number(&entry)?, entry.path()))).max() {
        Some((version, folder)) => (folder, version.to_string()),
        None => (path, "1".to_owned()),
    }
}

/// The folder of a model, with the separator after it.
fn folder_of(path: &Path) -> String {
    let folder = if path.is_dir() { Some(path) } else { path.parent() };
    folder.map(|it| format!("{}{}", it.display(), std::path::MAIN_SEPARATOR)).unwrap_or_default()
}

/// Loads a folder that is a model as a whole, the one model file of a folder, or a file itself. Without a runtime the file tells
/// which one reads it: by its ending,
/// and where several have that ending, by how it begins.
///
/// # Errors
/// [`LoadError`].
pub fn load(
    path: &Path,
    runtime: Option<&dyn Runtime>,
    options: &LoadOptions,
) -> Result<Box<dyn Model>, LoadError> {
    let unasked = || RUNTIMES.iter().copied().filter(|it| !it.only_by_name()).collect();
    let candidates: Vec<&dyn Runtime> = runtime.map_or_else(unasked, |it| vec![it]);
    if path.is_dir()
        && let Some(runtime) = candidates.iter().find(|it| it.recognizes_folder(path))
    {
        return runtime.load(path, options);
    }
    let files = if path.is_dir() { files_of(path)? } else { vec![path.to_owned()] };
    let mut fitting = Vec::new();
    let mut recognized = Vec::new();
    for file in &files {
        let ending = file.extension().and_then(|it| it.to_str()).unwrap_or_default();
        let takes = |it: &&dyn Runtime| {
            it.extensions().contains(&ending) || it.refused_extensions().contains(&ending)
        };
        let fits: Vec<_> = candidates.iter().copied().filter(takes).collect();
        if fits.is_empty() {
            continue;
        }
        let head = head_of(file)?;
        recognized.extend(fits.iter().filter(|it| it.recognizes(&head)).map(|it| (file, *it)));
        fitting.push((file, fits));
    }
    match (recognized.as_slice(), fitting.as_slice()) {
        ([(file, runtime)], _) => runtime.load(file, options),
        // Each of them says best what it misses.
        ([], [(file, fits)]) => {
            let mut refused = Vec::new();
            for runtime in fits {
                match runtime.load(file, options) {
                    Ok(model) => return Ok(model),
                    Err(error) => refused.push((runtime.name(), error)),
                }
            }
            Err(LoadError::of_all(refused, file))
        }
        (several, fitting) => {
            let mut wanted = Vec::new();
            for ending in candidates.iter().flat_map(|it| it.extensions()).map(|it| format!(".{it}")) {
                if !wanted.contains(&ending) {
                    wanted.push(ending);
                }
            }
            let folder = path.to_owned();
            let found = if several.is_empty() { fitting.len() } else { several.len() };
            Err(LoadError::Files { folder, found, wanted: wanted.join(", ") })
        }
    }
}

/// The first bytes of a file, which tell its format.
fn head_of(file: &Path) -> Result<Vec<u8>, LoadError> {
    let mut head = Vec::new();
    let opened = std::fs::File::open(file).and_then(|it| it.take(4096).read_to_end(&mut head));
    opened.map(|_| head).map_err(|source| LoadError::Read { path: file.to_owned(), source })
}

fn files_of(folder: &Path) -> Result<Vec<PathBuf>, LoadError> {
    let read = |source| LoadError::Read { path: folder.to_owned(), source };
    let mut files = Vec::new();
    for entry in folder.read_dir().map_err(read)? {
        let path = entry.map_err(read)?.path();
        if path.is_file() {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}
