//! The Python worker: models that only Python can serve run in processes of their own, at the user's word alone, since that runs
//! code which comes with the model. The predictor is what clients and manifests see; a worker that dies takes one request with it.

pub mod frame;
mod interpreter;
mod model;
mod pool;
mod process;

use std::path::Path;
use std::time::Duration;

use weir_sdk::{Env, Model, Threads};

use self::frame::{Frame, Kind};
use self::model::Served;
use self::pool::Pool;
use self::process::Recipe;
use super::{LoadError, LoadOptions, Runtime};

/// The name of this runtime in manifests and flags.
pub const NAME: &str = "python";
/// What everybody is told who starts it.
pub const WARNING: &str = "runs code that comes with the model, with all the rights of the predictor: serve no model that you \
                           would not run as a program";
/// How long a model may take to load.
const PATIENCE: Duration = Duration::from_secs(600);
/// What many libraries are told their number of threads by.
const THREADS: [&str; 3] = ["OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"];

/// How Python serves a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PythonOptions {
    /// The program; without it an activated environment's, or the first `python3` on the path.
    pub program: Option<String>,
    /// How many processes, each of which answers one request at a time.
    pub workers: usize,
    /// The class that is the model, or takes its weights.
    pub class_name: Option<String>,
    /// The model's format, where the manifest names one beside the runtime.
    pub format: Option<String>,
    /// How long a request may take whose caller names no deadline.
    pub timeout: Duration,
}

impl Default for PythonOptions {
    fn default() -> Self {
        let timeout = Duration::from_secs(60);
        Self { program: None, workers: 1, class_name: None, format: None, timeout }
    }
}

/// Models in Python's own hands.
pub struct Python;

impl Runtime for Python {
    fn name(&self) -> &'static str {
        NAME
    }

    fn extensions(&self) -> &'static [&'static str] {
        &["py", "joblib", "pkl", "pickle", "pt", "pth", "pt2", "bin", "safetensors", "mar"]
    }

    fn recognizes_folder(&self, _folder: &Path) -> bool {
        // Which of its files is the model is for the worker to say: it may be several.
        true
    }

    fn only_by_name(&self) -> bool {
        true
    }

    fn engine(&self, env: &Env) -> Result<String, String> {
        engine(None, env)
    }

    fn load(&self, path: &Path, options: &LoadOptions) -> Result<Box<dyn Model>, LoadError> {
        tracing::warn!(model = options.name, "runtime `{NAME}` {WARNING}");
        let failed = |reason| LoadError::Engine { path: path.to_owned(), reason };
        let absolute =
            path.canonicalize().map_err(|source| LoadError::Read { path: path.to_owned(), source })?;
        let recipe = recipe(&absolute, options).map_err(failed)?;
        let (pool, said) = Pool::start(recipe, options.python.workers).map_err(failed)?;
        Ok(Box::new(Served::new(pool, &said, options).map_err(failed)?))
    }
}

/// Tells which Python would serve, in the words of [`Runtime::engine`].
///
/// # Errors
/// Where it was looked for, and what to do.
pub fn engine(program: Option<&str>, env: &Env) -> Result<String, String> {
    let (python, why) = interpreter::find(program, env)?;
    Ok(format!("processes of {} ({why})", python.display()))
}

fn recipe(path: &Path, options: &LoadOptions) -> Result<Recipe, String> {
    let PythonOptions { program, workers, class_name, format, .. } = &options.python;
    let (python, why) = interpreter::find(program.as_deref(), &options.env)?;
    tracing::info!(model = options.name, "Python is {}: {why}", python.display());
    let threads = Threads::share(weir_sdk::threads::cores(), *workers).workers.to_string();
    let folder = if path.is_dir() { path } else { path.parent().unwrap_or(path) };
    let mut env: Vec<(String, String)> =
        options.env.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    for name in THREADS {
        if options.env.get(name).is_none() {
            env.push((name.to_owned(), threads.clone()));
        }
    }
    let mut load = Frame::new(Kind::Load)
        .with("name", options.name.clone())
        .with("path", path.display().to_string())
        .with("folder", folder.display().to_string())
        .with("class", class_name.clone().unwrap_or_default())
        .with("format", format.clone().unwrap_or_default())
        .with("predict_proba", options.predict_proba.to_string())
        .with("threads", threads);
    for output in &options.tensors.outputs {
        load = load.with("output", output.name.clone());
    }
    Ok(Recipe { python, env: env.into_iter().collect(), folder: folder.to_owned(), load, patience: PATIENCE })
}
