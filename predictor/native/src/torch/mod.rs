//! PyTorch's TorchScript, by way of a shim over libtorch: a model is a file, a prediction is tensors in and tensors out. Memory is
//! lent in both directions.

mod api;

use std::ffi::{CStr, CString, c_char};
use std::path::Path;
use std::ptr::NonNull;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use bytes::Bytes;

use self::api::{Api, RawModel, RawResult, RawTensor};
use crate::{Search, Wanted};

/// The most of an error's text that is kept.
const ERROR: usize = 8192;
/// The most tensors, and sizes of one, that an answer may have.
const MAX_OUTPUTS: u64 = 16_384;
const MAX_RANK: i32 = 64;

const LIBTORCH: Wanted = Wanted {
    title: "PyTorch",
    files: &["libtorch_cpu.so"],
    variable: "WEIR_LIBTORCH",
    wheel_folders: &["torch/lib"],
    install: "pip install torch",
};
const SHIM: Wanted = Wanted {
    title: "the library that joins PyTorch to this predictor",
    files: &["libweir_torch.so"],
    variable: "WEIR_TORCH_SHIM",
    wheel_folders: &["torch/lib"],
    install: "predictor/native/shim/build.sh python3",
};

/// libtorch, opened.
#[derive(Clone, Copy)]
pub struct Torch {
    api: &'static Api,
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

/// A tensor that goes in, lent.
#[derive(Debug, Clone, Copy)]
pub struct Input<'a> {
    /// The element type: the place in the protocol's list of them, from `BOOL` (0) to `BYTES` (13).
    pub datatype: u8,
    /// The sizes, outermost first.
    pub shape: &'a [usize],
    /// The elements as they lie in memory; those of `BYTES` each behind its length of 32 bits.
    pub data: &'a [u8],
}

/// A tensor that came out.
#[derive(Debug, Clone)]
pub struct Output {
    /// Its place or key in the answer.
    pub name: String,
    /// The element type, as of [`Input::datatype`].
    pub datatype: u8,
    /// The sizes, outermost first.
    pub shape: Vec<usize>,
    /// The elements, in libtorch's own memory.
    pub data: Bytes,
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
        static OPENED: OnceLock<Api> = OnceLock::new();
        static TURN: Mutex<()> = Mutex::new(());
        let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(api) = OPENED.get() {
            return Ok(Self { api });
        }
        let (shim, libtorch) = Self::find(search)?;
        let opened = Api::open(&shim, libtorch.parent().unwrap_or(&libtorch))?;
        Ok(Self { api: OPENED.get_or_init(|| opened) })
    }

    /// Returns where the shim and libtorch are, and opens neither.
    ///
    /// # Errors
    /// What is missing, where it was looked for, and how to get it.
    pub fn find(search: &Search) -> Result<(std::path::PathBuf, std::path::PathBuf), String> {
        let libtorch = LIBTORCH.find(search).map_err(|error| error.to_string())?;
        let shim = SHIM.find(search).or_else(|error| {
            // Where libtorch was named by its variable, the shim may lie with it.
            let own = libtorch.with_file_name(SHIM.files[0]);
            if own.is_file() { Ok(own) } else { Err(error.to_string()) }
        })?;
        Ok((shim, libtorch))
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

    /// Loads a module, which will use so many threads within one operation.
    ///
    /// # Errors
    /// libtorch's text.
    pub fn load(&self, file: &Path, threads: usize) -> Result<Module, String> {
        let path = CString::new(file.as_os_str().as_encoded_bytes())
            .map_err(|_| format!("{} has a nought in its name", file.display()))?;
        let threads = i32::try_from(threads).unwrap_or(i32::MAX);
        let mut error = [0; ERROR];
        // SAFETY: the path ends with a nought, and the buffer has the room that is said.
        let raw = unsafe { (self.api.load)(path.as_ptr(), threads, error.as_mut_ptr(), ERROR as u64) };
        let raw = raw.ok_or_else(|| text(error.as_ptr()))?;
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
        let name = c"input";
        let shapes: Vec<Vec<i64>> = inputs
            .iter()
            .map(|it| it.shape.iter().map(|&size| i64::try_from(size).unwrap_or(i64::MAX)).collect())
            .collect();
        let raw: Vec<RawTensor> = inputs
            .iter()
            .zip(&shapes)
            .map(|(it, shape)| {
                let size = SIZES.get(usize::from(it.datatype)).copied().unwrap_or(1);
                let count = it.shape.iter().try_fold(size, |product, &size| product.checked_mul(size));
                // What is read of it is what the shape says, so that must be there.
                if it.datatype < BYTES && count != Some(it.data.len()) {
                    return Err(format!("{} bytes are no tensor of shape {:?}", it.data.len(), it.shape));
                }
                Ok(RawTensor {
                    name: name.as_ptr(),
                    datatype: it.datatype.into(),
                    rank: i32::try_from(shape.len()).unwrap_or(i32::MAX),
                    shape: shape.as_ptr(),
                    data: it.data.as_ptr().cast(),
                    length: it.data.len() as u64,
                })
            })
            .collect::<Result<_, _>>()?;
        let mut error: [c_char; ERROR] = [0; ERROR];
        // SAFETY: the tensors are lent for the time of the call, as many as said, each as long as its shape says; the shim
        // gives copies to a module that writes into its inputs, and lets no answer share their memory.
        let result = unsafe {
            (self.api.run)(self.raw, raw.as_ptr(), raw.len() as u64, error.as_mut_ptr(), ERROR as u64)
        };
        let result = result.ok_or_else(|| text(error.as_ptr()))?;
        let result = Arc::new(Held { api: self.api, raw: result });
        let mut outputs = std::ptr::null();
        // SAFETY: the result is there, and so are its views.
        let count = unsafe { (self.api.outputs)(result.raw, &raw mut outputs) };
        if count > MAX_OUTPUTS {
            return Err(format!("the model answered {count} tensors, the most are {MAX_OUTPUTS}"));
        }
        let views = if count == 0 {
            &[]
        } else {
            // SAFETY: the shim says how many there are, from there on, and they stay while the result is held.
            unsafe { std::slice::from_raw_parts(outputs, count as usize) }
        };
        views.iter().map(|view| output(view, &result)).collect()
    }
}

impl Drop for Module {
    fn drop(&mut self) {
        // SAFETY: it is ours, and nobody runs it: that borrows it.
        unsafe { (self.api.free)(self.raw) }
    }
}

/// Bytes of an element, by the protocol's types; `BYTES` has none.
const SIZES: [usize; 13] = [1, 1, 2, 4, 8, 1, 2, 4, 8, 2, 2, 4, 8];
const BYTES: u8 = 13;

/// What a run answered: the memory of its tensors.
struct Held {
    api: &'static Api,
    raw: NonNull<RawResult>,
}

// SAFETY: nothing writes into it, and any thread may free it.
unsafe impl Send for Held {}
// SAFETY: as above.
unsafe impl Sync for Held {}

impl Drop for Held {
    fn drop(&mut self) {
        // SAFETY: it is ours, and no view of it is left: each holds it.
        unsafe { (self.api.free_result)(self.raw) }
    }
}

/// The bytes of one tensor of an answer, which they keep.
struct View {
    start: *const u8,
    length: usize,
    _held: Arc<Held>,
}

// SAFETY: the bytes are only read, and are there as long as what is held.
unsafe impl Send for View {}
// SAFETY: as above.
unsafe impl Sync for View {}

impl AsRef<[u8]> for View {
    fn as_ref(&self) -> &[u8] {
        // SAFETY: the shim says how many bytes there are from there on, and they stay while the result is held.
        unsafe { std::slice::from_raw_parts(self.start, self.length) }
    }
}

fn output(view: &RawTensor, result: &Arc<Held>) -> Result<Output, String> {
    if !(0..=MAX_RANK).contains(&view.rank) {
        return Err(format!("the model answered a tensor of {} sizes, the most are {MAX_RANK}", view.rank));
    }
    let rank = view.rank as usize;
    let shape = if rank == 0 {
        &[]
    } else {
        // SAFETY: the shim's view has as many sizes as its rank says.
        unsafe { std::slice::from_raw_parts(view.shape, rank) }
    };
    let length = usize::try_from(view.length).map_err(|_| "an answer longer than memory".to_owned())?;
    let data = if length == 0 || view.data.is_null() {
        Bytes::new()
    } else {
        Bytes::from_owner(View { start: view.data.cast(), length, _held: Arc::clone(result) })
    };
    Ok(Output {
        name: text(view.name),
        datatype: u8::try_from(view.datatype).unwrap_or(u8::MAX),
        shape: shape.iter().map(|&size| usize::try_from(size).unwrap_or(0)).collect(),
        data,
    })
}

/// A text of the shim's.
fn text(from: *const c_char) -> String {
    // SAFETY: every text of the shim's, and every buffer it was lent, ends with a nought.
    unsafe { CStr::from_ptr(from) }.to_string_lossy().into_owned()
}
