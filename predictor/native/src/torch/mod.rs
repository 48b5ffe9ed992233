//! PyTorch's TorchScript, by way of a shim over libtorch: a model is a file, a prediction is tensors in and tensors out. Memory is
//! lent in both directions.

mod api;

use std::ffi::CString;
use std::path::{Path, PathBuf};
use std::ptr::NonNull;
use std::sync::{Mutex, PoisonError};

use self::api::Api;
use crate::opened::{self, Opened};
use crate::shim::{self, Lent, RawModel, Results, checked, text};
pub use crate::shim::{Input, Output};
use crate::{Search, Wanted};

const LIBTORCH: Wanted = Wanted {
    title: "PyTorch",
    files: &["libtorch_cpu.so"],
    variable: "WEIR_LIBTORCH",
    wheel_folders: &["torch/lib"],
    system_folders: &[],
    install: "pip install torch",
};
const SHIM: Wanted = Wanted {
    title: "the library that joins PyTorch to this predictor",
    files: &["libweir_torch.so"],
    variable: "WEIR_TORCH_SHIM",
    wheel_folders: &["torch/lib"],
    system_folders: &[],
    install: "predictor/native/shim/build.sh torch python3",
};

/// The device that is always there.
pub const CPU: &str = "cpu";
/// The file of the part of libtorch for NVIDIA's GPUs.
pub const CUDA: &str = "libtorch_cuda.so";

/// libtorch, opened.
pub struct Torch {
    api: &'static Api,
    folder: PathBuf,
}

/// A TorchScript module.
pub struct Module {
    api: &'static Api,
    raw: NonNull<RawModel>,
    /// The inputs, in order.
    pub inputs: Vec<Argument>,
    /// The names of the outputs, where the type of the answer tells them.
    pub outputs: Vec<String>,
}

/// An argument of `forward`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Argument {
    /// Its name.
    pub name: String,
    /// Its type, in TorchScript's words, such as `Tensor`.
    pub kind: String,
    /// It may be left out.
    pub optional: bool,
}

// SAFETY: libtorch's modules may be run by several threads at once, and nothing else is asked of one after it is loaded.
unsafe impl Send for Module {}
// SAFETY: as above.
unsafe impl Sync for Module {}

impl Torch {
    /// Opens libtorch where it is found, once for a process.
    ///
    /// # Errors
    /// What is missing, where it was looked for, and how to get it.
    pub fn open(search: &Search) -> Result<Self, String> {
        static OPENED: Opened<Api> = Opened::new();
        let (shim, libtorch) = Self::find(search)?;
        let folder = libtorch.parent().unwrap_or(&libtorch).to_owned();
        let api = OPENED.once(LIBTORCH.title, &libtorch, |_| Api::open(&shim, &folder))?;
        Ok(Self { api, folder })
    }

    /// Returns where the shim and libtorch are, and opens neither.
    ///
    /// # Errors
    /// What is missing, where it was looked for, and how to get it.
    pub fn find(search: &Search) -> Result<(PathBuf, PathBuf), String> {
        shim::find(&SHIM, &LIBTORCH, search)
    }

    /// Sees to it that a device, `cpu` or such as `cuda:0`, is there and computes.
    ///
    /// # Errors
    /// What is missing of it.
    pub fn reach(&self, device: &str) -> Result<(), String> {
        if device == CPU {
            return Ok(());
        }
        self.open_cuda()?;
        let name = CString::new(device).map_err(|_| "a device has a nought in its name".to_owned())?;
        // SAFETY: the name ends with a nought, and the buffer has the room that is said.
        let reached =
            checked(|error, room| unsafe { (self.api.reach)(name.as_ptr(), error, room).then_some(()) });
        reached.map_err(|error| format!("libtorch {} cannot compute on {device}: {error}", self.version()))
    }

    /// Returns where the part of libtorch for NVIDIA's GPUs is, in libtorch's folder, and does not open it.
    ///
    /// # Errors
    /// How to get it.
    pub fn cuda(folder: &Path) -> Result<PathBuf, String> {
        let path = folder.join(CUDA);
        if path.is_file() {
            return Ok(path);
        }
        Err(format!(
            "a GPU is asked for, and PyTorch at {} is for processors: {CUDA} is not beside it; install a PyTorch for CUDA and \
             build the shim for it, or leave out --pytorch_device",
            folder.display()
        ))
    }

    /// Opens the part of libtorch that computes on NVIDIA's GPUs, which is beside the other: it tells the other of itself.
    fn open_cuda(&self) -> Result<(), String> {
        static OPENED: Mutex<Option<libloading::Library>> = Mutex::new(None);
        let mut opened = OPENED.lock().unwrap_or_else(PoisonError::into_inner);
        if opened.is_none() {
            let path = Self::cuda(&self.folder)?;
            *opened = Some(opened::open(&path).map_err(|error| format!("a GPU is asked for: {error}"))?);
        }
        Ok(())
    }

    /// The version of PyTorch.
    #[must_use]
    pub fn version(&self) -> String {
        // SAFETY: the shim answers a text that is there as long as it is.
        text(unsafe { (self.api.version)() })
    }

    /// Says how many operations of one prediction may run side by side; only the first call of a process counts.
    pub fn inter_op(&self, threads: usize) {
        // SAFETY: any number will do.
        unsafe { (self.api.inter_op)(i32::try_from(threads).unwrap_or(i32::MAX)) }
    }

    /// Loads a module onto a device that was [reached](Self::reach); it will use so many threads within one operation.
    ///
    /// # Errors
    /// libtorch's text.
    pub fn load(&self, file: &Path, device: &str, threads: usize) -> Result<Module, String> {
        let path = CString::new(file.as_os_str().as_encoded_bytes())
            .map_err(|_| format!("{} has a nought in its name", file.display()))?;
        let device = CString::new(device).map_err(|_| "a device has a nought in its name".to_owned())?;
        let threads = i32::try_from(threads).unwrap_or(i32::MAX);
        // SAFETY: the path and the device end with a nought, and the buffer has the room that is said.
        let raw = checked(|error, room| unsafe {
            (self.api.load)(path.as_ptr(), device.as_ptr(), threads, error, room)
        })?;
        let mut module = Module { api: self.api, raw, inputs: Vec::new(), outputs: Vec::new() };
        // SAFETY: the model is there, and so is the text of its schema.
        let schema = text(unsafe { (self.api.schema)(raw) });
        for line in schema.lines() {
            match line.split('\t').collect::<Vec<_>>().as_slice() {
                ["in", name, kind, default] => module.inputs.push(Argument {
                    name: (*name).to_owned(),
                    kind: (*kind).to_owned(),
                    optional: *default == "1",
                }),
                ["out", name] => module.outputs.push((*name).to_owned()),
                _ => return Err(format!("the shim says `{line}` of a model")),
            }
        }
        Ok(module)
    }
}

impl Module {
    /// Runs `forward`, without gradients. It blocks.
    ///
    /// # Errors
    /// libtorch's text.
    pub fn run(&self, inputs: &[Input<'_>]) -> Result<Vec<Output>, String> {
        let lent = Lent::of(inputs)?;
        let (raw, count) = (lent.raw.as_ptr(), lent.raw.len() as u64);
        // SAFETY: the tensors are lent for the time of the call, as many as said, each as long as its shape says; the shim
        // gives copies to a module that writes into its inputs, and lets no answer share their memory.
        let result = checked(|error, room| unsafe { (self.api.run)(self.raw, raw, count, error, room) })?;
        let results = Results { outputs: self.api.outputs, free: self.api.free_result };
        // SAFETY: the result is this shim's, and nobody else has it.
        unsafe { results.take(result) }
    }
}

impl Drop for Module {
    fn drop(&mut self) {
        // SAFETY: it is ours, and nobody runs it: that borrows it.
        unsafe { (self.api.free)(self.raw) }
    }
}
