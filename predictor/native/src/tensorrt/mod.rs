//! TensorRT's serialized engines, by way of a shim over libnvinfer and CUDA: an engine is a file, a prediction is tensors in and
//! tensors out on a GPU. Several predictions run side by side, each in a context of its own.

mod api;
mod schema;

use std::path::{Path, PathBuf};
use std::ptr::NonNull;
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Instant;

use self::api::{Libraries, RawContext};
pub use self::schema::{Port, Profile};
use crate::opened::Opened;
use crate::shim::{self, Lent, RawModel, Results, checked, text};
pub use crate::shim::{Input, Output};
use crate::{Search, Wanted};

const SYSTEM: &[&str] = &["/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu"];
const WHEELS: &[&str] = &["tensorrt_libs", "tensorrt_lean_libs"];

const LIBNVINFER: Wanted = Wanted {
    title: "TensorRT",
    files: &["libnvinfer.so", "libnvinfer_lean.so"],
    variable: "WEIR_LIBNVINFER",
    wheel_folders: WHEELS,
    system_folders: SYSTEM,
    install: "pip install tensorrt-cu12",
};
const SHIM: Wanted = Wanted {
    title: "the library that joins TensorRT to this predictor",
    files: &["libweir_tensorrt.so"],
    variable: "WEIR_TENSORRT_SHIM",
    wheel_folders: WHEELS,
    system_folders: SYSTEM,
    install: "predictor/native/shim/build.sh tensorrt FOLDER",
};

/// libnvinfer, opened.
#[derive(Clone, Copy)]
pub struct TensorRt {
    libraries: &'static Libraries,
}

/// An engine on a GPU.
pub struct Engine {
    libraries: &'static Libraries,
    raw: NonNull<RawModel>,
    /// The inputs, in order.
    pub inputs: Vec<Port>,
    /// The outputs, in order.
    pub outputs: Vec<Port>,
    /// Those that nobody predicts with.
    idle: Mutex<Vec<Context>>,
    returned: Condvar,
}

/// Why there is no prediction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// Others predicted until the time was up.
    Late,
    /// TensorRT's text of shapes that it does not take.
    Refused(String),
    /// TensorRT's text, or CUDA's.
    Failed(String),
}

/// An execution context: it runs one prediction at a time.
struct Context(NonNull<RawContext>);

// SAFETY: a context may be used by any thread, one at a time; whoever has it out of the list is that one.
unsafe impl Send for Context {}
// SAFETY: an engine is not changed once it is loaded, and its contexts are behind a lock.
unsafe impl Send for Engine {}
// SAFETY: as above.
unsafe impl Sync for Engine {}

impl TensorRt {
    /// Opens libnvinfer and the shim where they are found, once for a process.
    ///
    /// # Errors
    /// What is missing, where it was looked for, and how to get it.
    pub fn open(search: &Search) -> Result<Self, String> {
        static OPENED: Opened<Libraries> = Opened::new();
        let (shim, libnvinfer) = Self::find(search)?;
        let open = |path: &Path| Libraries::open(&shim, path);
        OPENED.once(LIBNVINFER.title, &libnvinfer, open).map(|libraries| Self { libraries })
    }

    /// Returns where the shim and libnvinfer are, and opens neither.
    ///
    /// # Errors
    /// What is missing, where it was looked for, and how to get it.
    pub fn find(search: &Search) -> Result<(PathBuf, PathBuf), String> {
        shim::find(&SHIM, &LIBNVINFER, search)
    }

    /// The version of TensorRT, such as `10.16.1`.
    #[must_use]
    pub fn version(&self) -> String {
        self.libraries.version.to_string()
    }

    /// Sees to it that a GPU is there.
    ///
    /// # Errors
    /// CUDA's text.
    pub fn reach(&self, gpu: u32) -> Result<(), String> {
        // SAFETY: any number will do, and the buffer has the room that is said.
        checked(|error, room| unsafe { (self.libraries.shim.reach)(number(gpu), error, room).then_some(()) })
    }

    /// Loads an engine onto a GPU, for so many predictions side by side. Libraries that a plan may carry are not loaded: it is
    /// refused then.
    ///
    /// # Errors
    /// What TensorRT logs, or CUDA's text.
    pub fn load(&self, plan: &[u8], gpu: u32, contexts: usize) -> Result<Engine, String> {
        let Libraries { shim: api, create, .. } = self.libraries;
        let (bytes, length) = (plan.as_ptr().cast(), plan.len() as u64);
        // SAFETY: the plan has the bytes that are said, and is not kept; the buffer has the room that is said; the function is
        // that of the library the shim is for.
        let raw =
            checked(|error, room| unsafe { (api.load)(*create, bytes, length, number(gpu), error, room) })?;
        let mut engine = Engine {
            libraries: self.libraries,
            raw,
            inputs: Vec::new(),
            outputs: Vec::new(),
            idle: Mutex::default(),
            returned: Condvar::new(),
        };
        // SAFETY: the engine is there, and so is the text of its schema.
        let schema = text(unsafe { (api.schema)(raw) });
        (engine.inputs, engine.outputs) = schema::read(&schema)?;
        for _ in 0..contexts.max(1) {
            // SAFETY: the engine is there, and the buffer has the room that is said.
            let context = checked(|error, room| unsafe { (api.context)(raw, error, room) })?;
            engine.idle.get_mut().unwrap_or_else(PoisonError::into_inner).push(Context(context));
        }
        Ok(engine)
    }
}

impl Engine {
    /// Predicts by the profile of that number: the outputs that are wanted, in the engine's order. It blocks, and waits until a
    /// context is free, at most `until` then.
    ///
    /// # Errors
    /// [`Failure`].
    pub fn run(
        &self,
        profile: usize,
        inputs: &[Input<'_>],
        wanted: &[usize],
        until: Option<Instant>,
    ) -> Result<Vec<Output>, Failure> {
        let lent = Lent::of(inputs).map_err(Failure::Failed)?;
        let asked: Vec<u8> = (0..self.outputs.len()).map(|at| u8::from(wanted.contains(&at))).collect();
        let profile = i32::try_from(profile).unwrap_or(i32::MAX);
        let api = &self.libraries.shim;
        let context = self.take(until)?;
        let mut refused = false;
        // SAFETY: nobody else has the context; tensors are lent for the time of the call, as many as said, each as long as its
        // shape says; there is a byte for each output; the flag and the buffer are there, with the room that is said.
        let outcome = checked(|error, room| unsafe {
            let (inputs, count) = (lent.raw.as_ptr(), lent.raw.len() as u64);
            (api.run)(context.0, profile, inputs, count, asked.as_ptr(), &raw mut refused, error, room)
        });
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(context);
        self.returned.notify_one();
        let results = Results { outputs: api.outputs, free: api.free_result };
        let outcome =
            outcome.map_err(|text| if refused { Failure::Refused(text) } else { Failure::Failed(text) })?;
        // SAFETY: the result is this shim's, and nobody else has it.
        unsafe { results.take(outcome) }.map_err(Failure::Failed)
    }

    /// Takes a context that nobody has.
    fn take(&self, until: Option<Instant>) -> Result<Context, Failure> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some(context) = idle.pop() {
                return Ok(context);
            }
            idle = match until.map(|it| it.saturating_duration_since(Instant::now())) {
                None => self.returned.wait(idle).unwrap_or_else(PoisonError::into_inner),
                Some(left) if left.is_zero() => return Err(Failure::Late),
                Some(left) => {
                    self.returned.wait_timeout(idle, left).unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        let api = &self.libraries.shim;
        for context in self.idle.get_mut().unwrap_or_else(PoisonError::into_inner).drain(..) {
            // SAFETY: it is ours, and nobody predicts: that borrows the engine.
            unsafe { (api.free_context)(context.0) }
        }
        // SAFETY: it is ours, and goes after its contexts.
        unsafe { (api.free)(self.raw) }
    }
}

fn number(gpu: u32) -> i32 {
    i32::try_from(gpu).unwrap_or(i32::MAX)
}
