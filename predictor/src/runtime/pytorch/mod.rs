//! PyTorch: TorchScript, alone or in an archive of TorchServe's, by libtorch where it is found. What else PyTorch writes is told
//! apart by its list of files, each with what to do.

mod archive;
mod model;

use std::path::Path;

use weir_native::torch::{CUDA, Torch};
use weir_sdk::{Env, Model};

use self::archive::What;
pub use self::archive::{Manifest, Refused, manifest};
use self::model::Script;
use super::{LoadError, LoadOptions, Runtime, search};
pub use weir_sdk::zip::{Archive, Entry, Source};

/// How what PyTorch wrote until 1.5, and writes when asked to, begins: a pickle of its magic number.
const LEGACY: &[u8] = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.";
const BY_PYTHON: &str = "serve it with `runtime: python`, which runs its code";

/// PyTorch models.
pub struct Pytorch;

impl Runtime for Pytorch {
    fn name(&self) -> &'static str {
        "pytorch"
    }

    fn extensions(&self) -> &'static [&'static str] {
        &["pt", "pth", "pt2", "mar"]
    }

    fn recognizes(&self, head: &[u8]) -> bool {
        weir_sdk::zip::begins(head) || head.starts_with(LEGACY)
    }

    fn gpu_flag(&self) -> Option<&'static str> {
        Some("--pytorch_device=cuda")
    }

    fn engine(&self, env: &Env) -> Result<String, String> {
        let (_, libtorch) = Torch::find(&search(env))?;
        Ok(format!("libtorch at {}", libtorch.display()))
    }

    fn gpu_engine(&self, env: &Env, _value: &str) -> Result<String, String> {
        let (_, libtorch) =
            Torch::find(&search(env)).map_err(|error| format!("{error}; {CUDA} comes with it"))?;
        Torch::cuda(libtorch.parent().unwrap_or(&libtorch))
            .map(|it| format!("libtorch for CUDA at {}", it.display()))
    }

    fn load(&self, path: &Path, options: &LoadOptions) -> Result<Box<dyn Model>, LoadError> {
        let malformed = |reason| LoadError::Malformed { path: path.to_owned(), reason };
        let unsupported = |what: &str, advice: String| LoadError::Unsupported {
            path: path.to_owned(),
            what: what.to_owned(),
            advice,
        };
        let mut head = [0; LEGACY.len()];
        let file = std::fs::File::open(path).and_then(|mut it| std::io::Read::read(&mut it, &mut head));
        file.map_err(|source| LoadError::Read { path: path.to_owned(), source })?;
        if head == LEGACY {
            return Err(unsupported(PICKLE, pickle_advice()));
        }
        let archive = Archive::open(path).map_err(malformed)?;
        match archive::what(archive.entries()) {
            What::TorchScript => script(path, path, Vec::new(), options),
            What::ModelArchive => match archive::unpack(archive) {
                Ok(packed) => script(path, packed.file.path(), packed.labels, options),
                Err(Refused::Malformed(reason)) => Err(malformed(reason)),
                Err(Refused::Unsupported(what)) => Err(unsupported(&what, BY_PYTHON.to_owned())),
            },
            What::Pickle => Err(unsupported(PICKLE, pickle_advice())),
            What::Exported => Err(unsupported(
                "a program of `torch.export`, which libtorch does not run,",
                format!("export it as ONNX (`torch.onnx.export`) or TorchScript, or {BY_PYTHON}"),
            )),
            What::Compiled => Err(unsupported(
                "a package of AOTInductor, which is machine code and would run as the predictor,",
                format!("export it as ONNX or TorchScript, or {BY_PYTHON}"),
            )),
            What::Unknown => Err(malformed(
                "a zip that PyTorch did not write: it has neither `constants.pkl` and `code/`, nor `models/model.json`, nor \
                 `data.pkl`"
                    .to_owned(),
            )),
        }
    }
}

const PICKLE: &str = "a pickle, weights or a whole module, whose class is Python code,";

fn pickle_advice() -> String {
    format!(
        "save it as TorchScript (`torch.jit.script(model).save(\"model.pt\")`), or put the .py with its class beside it, name the \
         class by `modelClassName`, and {BY_PYTHON}"
    )
}

/// Loads TorchScript; `named` is the file the user knows.
fn script(
    named: &Path,
    file: &Path,
    labels: Vec<String>,
    options: &LoadOptions,
) -> Result<Box<dyn Model>, LoadError> {
    let missing = |reason| LoadError::Engine { path: named.to_owned(), reason };
    let torch = Torch::open(&options.search()).map_err(missing)?;
    torch.inter_op(options.threads.inter_op);
    let device = options.gpu.pytorch();
    torch.reach(&device).map_err(|error| missing(brief(&error).to_owned()))?;
    let malformed = |reason| LoadError::Malformed { path: named.to_owned(), reason };
    let module = torch.load(file, &device, options.threads.intra_op).map_err(|error| {
        malformed(format!("libtorch {} does not load it: {}", torch.version(), brief(&error)))
    })?;
    tracing::info!(model = options.name, "libtorch {} runs it on {device}", torch.version());
    let bytes = file.metadata().map(|it| it.len()).unwrap_or(0);
    let script = Script::new(module, labels, bytes, options).map_err(malformed)?;
    Ok(Box::new(script))
}

/// An error of libtorch's, without what only its makers read.
fn brief(text: &str) -> &str {
    text.split("\nException raised from").next().unwrap_or(text).trim_end()
}
