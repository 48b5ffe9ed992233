//! Model files in, tensors out: the framework runtimes. A runtime never sees HTTP, gRPC or JSON requests, and no model file
//! runs code, unless its user chose the one runtime that is for that.

mod flags;
mod images;
pub mod models;
pub mod runtime;
pub mod tensors;
#[cfg(test)]
mod tests;

use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use weir_sdk::flags::{ModelControl, switch};
use weir_sdk::host::repository::Care;
use weir_sdk::host::{BatchFlags, ListedInputs, ModelHost, ModelOptions, UpstreamHost};
use weir_sdk::storage::Storage;
use weir_sdk::{BuildError, Launch, Model, Process, Service, Threads};

use flags::Flags;
use models::{Models, Place, Shelf, Usual};
use runtime::python::{self, PythonOptions};
use runtime::{LoadError, LoadOptions, RUNTIMES, Runtime};
use tensors::Tensors;

/// Builds the predictor. Its models are loaded once it listens; until then they answer 503.
///
/// # Errors
/// [`BuildError`] when the command line, or a configuration that it names, makes no sense. A model that cannot be loaded is no such error: the predictor says so
/// in its readiness and in every answer.
pub fn build(launch: &Launch) -> Result<Service, BuildError> {
    let launch = images::as_flags(launch)?;
    let flags: Flags = launch.parse("predictor", "Serves models over V1, V2 and gRPC.")?;
    if let Some(target) = flags.upstream {
        let there = flags.upstream_model.unwrap_or_else(|| flags.model_name.clone());
        if flags.batch != BatchFlags::default() {
            tracing::warn!(
                "flags of batches have no effect here: the server that holds the model is the one to tell"
            );
        }
        let host = UpstreamHost::new(flags.model_name, there, target, flags.server.max_body_bytes);
        return Ok(Service {
            handle: host,
            flags: flags.server,
            background: None,
            process: Process::default(),
        });
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
    let several =
        flags.model_config_file.is_some() || flags.model_repository.is_some() || !flags.models.0.is_empty();
    // TensorFlow Serving's image names a folder also where a configuration takes its place.
    let base_path = flags.model_base_path.filter(|_| flags.model_config_file.is_none());
    let uri = flags.model_dir.or(base_path);
    let uri = uri.or_else(|| launch.env.get("STORAGE_URI").map(str::to_owned));
    let storage =
        Storage::new(&flags.storage, &launch.env).map_err(|error| BuildError::Config(error.to_string()))?;
    // Without a word of where it is the model is in KServe's folder.
    let own = match uri {
        Some(uri) => Some(Place::Uri(uri)),
        None => (!several || storage.names_a_place()).then_some(Place::OfFlags),
    };
    let batching = flags.batch.options().map_err(BuildError::Config)?;
    let threads = Threads::default();
    // TensorFlow Serving heeds the flag of both where neither of the two is said; nought is as if it were not written.
    let said = |it: Option<usize>| it.filter(|&it| it > 0);
    let both = said(flags.session).filter(|_| said(flags.intra_op.max(flags.inter_op)).is_none());
    let threads = Threads {
        workers: flags.threads.or(batching.threads).unwrap_or(threads.workers),
        intra_op: said(flags.intra_op).or(both).unwrap_or(threads.intra_op),
        inter_op: said(flags.inter_op).or(both).unwrap_or(threads.inter_op),
    };
    let process = Process::pinned(flags.pin_threads);
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
        batching,
        process: process.clone(),
        ..ModelOptions::new(&flags.model_name)
    };
    let python = PythonOptions {
        program: flags.python,
        workers,
        class_name: flags.model_class_name.filter(|it| !it.is_empty()),
        format: flags.model_format,
        timeout: flags.python_timeout.unwrap_or(PythonOptions::default().timeout),
    };
    let tensors = Tensors { inputs: flags.inputs.0, outputs: flags.outputs.0 };
    let load_options = LoadOptions {
        name: flags.model_name,
        predict_proba,
        env: launch.env,
        threads,
        onnx_engine: flags.onnx_engine,
        gpu,
        python,
        tensors,
    };
    let served_inputs = flags.v1_inputs.unwrap_or(ListedInputs::TensorFlowServing);
    let usual = Usual {
        options,
        load: load_options,
        policy: flags.policy,
        runtime,
        served_inputs,
        storage: Arc::new(storage),
    };
    let shelf = Shelf {
        own,
        entries: flags.models.0,
        config: flags.model_config_file.map(|it| (it, flags.config_poll)),
        repository: flags.model_repository,
        watch: flags.server.model_control_mode == ModelControl::Poll,
    };
    let some = |it: std::time::Duration| Some(it).filter(|it| !it.is_zero());
    let care = Care {
        poll: some(flags.file_system_poll),
        idle: some(flags.unload_idle),
        memory_limit: flags.memory_limit,
    };
    let host = ModelHost::of(Box::new(Models::new(usual, shelf)), care).map_err(BuildError::Config)?;
    let background = Box::new({
        let host = std::sync::Arc::clone(&host);
        // What went wrong is in the log, and in every answer.
        move || drop(host.load())
    });
    Ok(Service { handle: host, flags: flags.server, background: Some(background), process })
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
        // That file is beside a model and none itself.
        if path.is_file() && path.file_name() != Some(models::WARMUP.as_ref()) {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}
