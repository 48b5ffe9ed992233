//! The framework runtimes: each reads its model files and answers with a [`Model`]. To add one, write a file beside this one
//! and name it in [`RUNTIMES`].

mod fault;
pub mod gpu;
mod lent;
pub mod lightgbm;
pub mod onnx;
mod pace;
pub mod pmml;
mod protobuf;
pub mod python;
pub mod pytorch;
pub mod sklearn;
pub mod tensorflow;
pub mod tensorrt;
mod texts;
pub mod triton;
mod wide;
pub mod xgboost;

use std::path::{Path, PathBuf};

use weir_native::Search;
use weir_sdk::{Env, Model, Threads};

use crate::tensors::Tensors;

pub use self::fault::Fault;

/// More columns than the rows of a request can have as objects: names of more are of no use.
const MAX_COLUMNS: usize = 1 << 16;

/// Every runtime this build knows.
pub static RUNTIMES: &[&dyn Runtime] = &[
    &sklearn::Sklearn,
    &xgboost::Xgboost,
    &lightgbm::Lightgbm,
    &pmml::Pmml,
    &python::Python,
    &tensorflow::Tensorflow,
    &onnx::Onnx,
    &tensorrt::TensorRt,
    &triton::Triton,
    &pytorch::Pytorch,
];

/// A framework: the formats it serves, the files it reads.
pub trait Runtime: Sync {
    /// The model format's name in a manifest, such as `sklearn`.
    fn name(&self) -> &'static str;

    /// The endings of the model files it looks for in a folder, without the dot.
    fn extensions(&self) -> &'static [&'static str];

    /// The endings of this framework's files that cannot be served: it says why, and what to do.
    fn refused_extensions(&self) -> &'static [&'static str] {
        &[]
    }

    /// Returns whether a file that has such an ending begins as this framework's do. Endings are shared: by another framework,
    /// or by files that are no models.
    fn recognizes(&self, _head: &[u8]) -> bool {
        true
    }

    /// Returns whether a folder, as a whole, is a model of this framework's, such as a SavedModel. Its files are not looked at
    /// one by one then.
    fn recognizes_folder(&self, _folder: &Path) -> bool {
        false
    }

    /// Whether a model gets this runtime only where the manifest names it: because it runs code that comes with the model, or
    /// because its files are those of another runtime as well.
    fn only_by_name(&self) -> bool {
        false
    }

    /// What the flags of a model say so that a GPU computes it, where one can and does not unasked.
    fn gpu_flag(&self) -> Option<&'static str> {
        None
    }

    /// Tells what evaluates this framework's models here, such as `this build itself` or a library and where it was found.
    ///
    /// # Errors
    /// What is missing on this machine, and how to get it.
    fn engine(&self, _env: &Env) -> Result<String, String> {
        Ok("this build itself".to_owned())
    }

    /// The same where the flag [`Runtime::gpu_flag`] has that value, which asks for a GPU.
    ///
    /// # Errors
    /// What is missing on this machine, and how to get it.
    fn gpu_engine(&self, env: &Env, _value: &str) -> Result<String, String> {
        self.engine(env)
    }

    /// Reads one model: a file, or a folder that [`Runtime::recognizes_folder`]. Runs no code out of it.
    ///
    /// # Errors
    /// A [`LoadError`] that names the file, what was met and what to do.
    fn load(&self, path: &Path, options: &LoadOptions) -> Result<Box<dyn Model>, LoadError>;
}

/// What a manifest may say about loading a model.
#[derive(Debug, Clone, Default)]
pub struct LoadOptions {
    /// The name the model is served under.
    pub name: String,
    /// Classifiers answer probabilities where the caller names no output (KServe's `PREDICT_PROBA=true`).
    pub predict_proba: bool,
    /// The environment the predictor was started in: where libraries are looked for.
    pub env: Env,
    /// How many threads the model has, and what for.
    pub threads: Threads,
    /// What computes ONNX models.
    pub onnx_engine: onnx::Engine,
    /// What the command line says of GPUs.
    pub gpu: gpu::Gpu,
    /// How Python serves it, where it does.
    pub python: python::PythonOptions,
    /// What the command line tells of its tensors, where its file does not.
    pub tensors: Tensors,
}

impl LoadOptions {
    /// Where the frameworks' own libraries are looked for.
    #[must_use]
    pub fn search(&self) -> Search {
        search(&self.env)
    }
}

/// Where the frameworks' own libraries are looked for in that environment.
pub(crate) fn search(env: &Env) -> Search {
    Search::of_process(env.iter().map(|(name, value)| (name.to_owned(), value.to_owned())))
}

/// Why a model could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The file could not be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The folder holds no model file, or more than one.
    #[error("{} holds {found} model files; exactly one is needed, ending in {wanted}", folder.display())]
    Files {
        /// The folder.
        folder: PathBuf,
        /// How many there are.
        found: usize,
        /// The endings looked for.
        wanted: String,
    },
    /// The bytes are not what the format says.
    #[error("{}: {reason}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What was met, where, and what was expected.
        reason: String,
    },
    /// The file is sound, but holds something this build does not serve.
    #[error("{}: {what} is not supported; {advice}", path.display())]
    Unsupported {
        /// The file.
        path: PathBuf,
        /// What was met, by the framework's own name, and where it stands.
        what: String,
        /// What to do.
        advice: String,
    },
    /// What evaluates such models is not on this machine.
    #[error("{}: {reason}", path.display())]
    Engine {
        /// The file or folder.
        path: PathBuf,
        /// What is missing, where it was looked for, and how to get it.
        reason: String,
    },
    /// Several formats have the file's ending, and none of them is its own.
    #[error("{}: {reasons}", path.display())]
    NoFormat {
        /// The file.
        path: PathBuf,
        /// Why, format by format.
        reasons: String,
    },
}

impl LoadError {
    /// Puts the errors together that all the formats of a file's ending gave, each with the format's name.
    #[must_use]
    pub fn of_all(mut refused: Vec<(&str, Self)>, path: &Path) -> Self {
        if refused.len() < 2
            && let Some((_, error)) = refused.pop()
        {
            return error;
        }
        let prefix = format!("{}: ", path.display());
        let reason = |error: &Self| error.to_string().replacen(&prefix, "", 1);
        let reasons: Vec<_> =
            refused.iter().map(|(name, error)| format!("not {name}: {}", reason(error))).collect();
        Self::NoFormat { path: path.to_owned(), reasons: reasons.join("; ") }
    }
}
