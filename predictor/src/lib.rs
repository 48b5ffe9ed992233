//! Model files in, tensors out: the framework runtimes. A runtime never sees HTTP, gRPC or JSON requests, and no model file
//! runs code.

pub mod runtime;

use std::path::{Path, PathBuf};

use weir_sdk::flags::truth;
use weir_sdk::host::{Loaded, ModelHost, ModelOptions};
use weir_sdk::{BuildError, Launch, Model, ServerFlags, Service, storage};

use runtime::{LoadError, LoadOptions, RUNTIMES, Runtime};

/// The predictor's flags.
#[derive(Debug, clap::Args)]
struct Flags {
    /// The name the model is served under
    #[arg(long = "model_name", default_value = "model")]
    model_name: String,
    /// The folder or file of the model: a path, or a storage URI [default: $STORAGE_URI, or /mnt/models]
    #[arg(long = "model_dir")]
    model_dir: Option<String>,
    /// The model's format, such as sklearn; without it the file's ending tells
    #[arg(long = "model_format")]
    model_format: Option<String>,
    /// Classifiers answer probabilities where the caller names no output [default: $PREDICT_PROBA]
    #[arg(long = "predict_proba")]
    predict_proba: Option<String>,
    /// Threads for predictions that take longer than microseconds [default: one a core]
    #[arg(long = "threads")]
    threads: Option<usize>,
    #[command(flatten)]
    server: ServerFlags,
}

/// Builds the predictor. The model is loaded once it listens; until then it answers 503.
///
/// # Errors
/// [`BuildError`] when the command line makes no sense. A model that cannot be loaded is no such error: the predictor says so
/// in its readiness and in every answer.
pub fn build(launch: &Launch) -> Result<Service, BuildError> {
    let flags: Flags = launch.parse("predictor", "Serves one model over V1, V2 and gRPC.")?;
    let runtime = flags.model_format.as_deref().map(find).transpose()?;
    let predict_proba = match flags.predict_proba.as_deref().or_else(|| launch.env.get("PREDICT_PROBA")) {
        Some(text) => truth(text).ok_or_else(|| {
            BuildError::Config(format!("`--predict_proba` is `{text}`, expected true or false"))
        })?,
        None => false,
    };
    let uri = flags.model_dir.or_else(|| launch.env.get("STORAGE_URI").map(str::to_owned));
    let uri = uri.unwrap_or_else(|| "/mnt/models".to_owned());
    let threads =
        flags.threads.or_else(|| std::thread::available_parallelism().ok().map(Into::into)).unwrap_or(1);
    let options = ModelOptions { threads, ..ModelOptions::new(flags.model_name.clone()) };
    let name = flags.model_name;
    let host = ModelHost::new(
        options,
        Box::new(move || load_logged(&name, &uri, runtime, &LoadOptions { predict_proba })),
    );
    let background = Box::new({
        let host = std::sync::Arc::clone(&host);
        // What went wrong is in the log, and in every answer.
        move || drop(host.load())
    });
    Ok(Service { handle: host, flags: flags.server, background: Some(background) })
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
    uri: &str,
    runtime: Option<&dyn Runtime>,
    options: &LoadOptions,
) -> Result<Loaded, String> {
    let started = std::time::Instant::now();
    let outcome = storage::locate(uri, Path::new("."))
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

/// Loads the one model file of a folder, or a file itself. Without a runtime the file's ending tells which one reads it.
///
/// # Errors
/// [`LoadError`].
pub fn load(
    path: &Path,
    runtime: Option<&dyn Runtime>,
    options: &LoadOptions,
) -> Result<Box<dyn Model>, LoadError> {
    let candidates: Vec<&dyn Runtime> = runtime.map_or_else(|| RUNTIMES.to_vec(), |it| vec![it]);
    let files = if path.is_dir() { files_of(path)? } else { vec![path.to_owned()] };
    let fits = |file: &Path, runtime: &dyn Runtime| {
        let extension = file.extension().and_then(|it| it.to_str()).unwrap_or_default();
        runtime.extensions().contains(&extension)
    };
    let mut found = Vec::new();
    for file in &files {
        if let Some(runtime) = candidates.iter().find(|it| fits(file, **it)) {
            found.push((file, *runtime));
        }
    }
    match found.as_slice() {
        [(file, runtime)] => runtime.load(file, options),
        several => {
            let wanted: Vec<_> =
                candidates.iter().flat_map(|it| it.extensions()).map(|it| format!(".{it}")).collect();
            let folder = path.to_owned();
            Err(LoadError::Files { folder, found: several.len(), wanted: wanted.join(", ") })
        }
    }
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
