//! The functions of ONNX Runtime's C interface (`OrtApi`) that are used here. The library gives them out as one table, to which
//! each version only appends, so a function is known by its place.

use std::cell::RefCell;
use std::ffi::{CStr, c_char, c_int, c_void};
use std::path::Path;
use std::ptr::{self, NonNull};

use super::Failure;
use crate::opened::{self, opaque};

/// The version of the table that is asked for: that of ONNX Runtime 1.17. Every later library has it.
const VERSION: u32 = 17;

opaque! {
    Allocator Env MapInfo MemoryInfo ProviderOptions RawSession RawValue SequenceInfo SessionOptions ShapeInfo Status
    ThreadingOptions TypeInfo
}

#[repr(C)]
struct ApiBase {
    table: unsafe extern "C" fn(u32) -> *const *const c_void,
    version: unsafe extern "C" fn() -> *const c_char,
}

type Outcome = *mut Status;
/// `OrtLoggingFunction`: parameter, severity, category, id, place in the code, text.
type Logger =
    unsafe extern "C" fn(*mut c_void, c_int, *const c_char, *const c_char, *const c_char, *const c_char);

/// Declares the functions, each with its place in the table.
macro_rules! functions {
    ($($field:ident = $place:literal: fn($($argument:ty),*) $(-> $result:ty)?;)*) => {
        pub(super) struct Api {
            $(pub(super) $field: unsafe extern "C" fn($($argument),*) $(-> $result)?,)*
            env: *mut Env,
            allocator: *mut Allocator,
            memory: *mut MemoryInfo,
            pool: usize,
            version: String,
            /// The functions are its: it is never closed.
            _library: libloading::Library,
        }

        impl Api {
            /// # Safety
            /// The table is one that a library gave out for [`VERSION`], and the library stays open.
            unsafe fn of_table(table: *const *const c_void, version: String, library: libloading::Library) -> Self {
                Self {
                    $($field: {
                        // SAFETY: the table of this version is longer than each place below, and what stands there is a
                        // function of that type by ONNX Runtime's header, which never changes one that was released.
                        unsafe {
                            std::mem::transmute::<*const c_void, unsafe extern "C" fn($($argument),*) $(-> $result)?>(
                                *table.add($place),
                            )
                        }
                    },)*
                    env: ptr::null_mut(),
                    allocator: ptr::null_mut(),
                    memory: ptr::null_mut(),
                    pool: 0,
                    version,
                    _library: library,
                }
            }
        }
    };
}

functions! {
    error_code = 1: fn(*const Status) -> c_int;
    error_message = 2: fn(*const Status) -> *const c_char;
    create_session = 7: fn(*const Env, *const c_char, *const SessionOptions, *mut *mut RawSession) -> Outcome;
    run = 9: fn(
        *mut RawSession, *const c_void, *const *const c_char, *const *const RawValue, usize, *const *const c_char, usize,
        *mut *mut RawValue
    ) -> Outcome;
    create_options = 10: fn(*mut *mut SessionOptions) -> Outcome;
    set_intra_threads = 24: fn(*mut SessionOptions, c_int) -> Outcome;
    set_inter_threads = 25: fn(*mut SessionOptions, c_int) -> Outcome;
    input_count = 30: fn(*const RawSession, *mut usize) -> Outcome;
    output_count = 31: fn(*const RawSession, *mut usize) -> Outcome;
    input_type = 33: fn(*const RawSession, usize, *mut *mut TypeInfo) -> Outcome;
    output_type = 34: fn(*const RawSession, usize, *mut *mut TypeInfo) -> Outcome;
    input_name = 36: fn(*const RawSession, usize, *mut Allocator, *mut *mut c_char) -> Outcome;
    output_name = 37: fn(*const RawSession, usize, *mut Allocator, *mut *mut c_char) -> Outcome;
    create_tensor = 48: fn(*mut Allocator, *const i64, usize, c_int, *mut *mut RawValue) -> Outcome;
    lend_tensor = 49: fn(
        *const MemoryInfo, *mut c_void, usize, *const i64, usize, c_int, *mut *mut RawValue
    ) -> Outcome;
    tensor_data = 51: fn(*mut RawValue, *mut *mut c_void) -> Outcome;
    strings_length = 53: fn(*const RawValue, *mut usize) -> Outcome;
    strings = 54: fn(*const RawValue, *mut c_void, usize, *mut usize, usize) -> Outcome;
    as_tensor_info = 55: fn(*const TypeInfo, *mut *const ShapeInfo) -> Outcome;
    kind_of_type = 56: fn(*const TypeInfo, *mut c_int) -> Outcome;
    element_type = 60: fn(*const ShapeInfo, *mut c_int) -> Outcome;
    rank = 61: fn(*const ShapeInfo, *mut usize) -> Outcome;
    sizes = 62: fn(*const ShapeInfo, *mut i64, usize) -> Outcome;
    size_names = 63: fn(*const ShapeInfo, *mut *const c_char, usize) -> Outcome;
    shape_of = 65: fn(*const RawValue, *mut *mut ShapeInfo) -> Outcome;
    kind_of_value = 67: fn(*const RawValue, *mut c_int) -> Outcome;
    cpu_memory = 69: fn(c_int, c_int, *mut *mut MemoryInfo) -> Outcome;
    free = 76: fn(*mut Allocator, *mut c_void) -> Outcome;
    default_allocator = 78: fn(*mut *mut Allocator) -> Outcome;
    part = 80: fn(*const RawValue, c_int, *mut Allocator, *mut *mut RawValue) -> Outcome;
    parts = 81: fn(*const RawValue, *mut usize) -> Outcome;
    release_status = 93: fn(*mut Status);
    release_session = 95: fn(*mut RawSession);
    release_value = 96: fn(*mut RawValue);
    release_type = 98: fn(*mut TypeInfo);
    release_shape = 99: fn(*mut ShapeInfo);
    release_options = 100: fn(*mut SessionOptions);
    as_map_info = 103: fn(*const TypeInfo, *mut *const MapInfo) -> Outcome;
    as_sequence_info = 104: fn(*const TypeInfo, *mut *const SequenceInfo) -> Outcome;
    map_key_type = 105: fn(*const MapInfo, *mut c_int) -> Outcome;
    map_value_type = 106: fn(*const MapInfo, *mut *mut TypeInfo) -> Outcome;
    sequence_type = 107: fn(*const SequenceInfo, *mut *mut TypeInfo) -> Outcome;
    use_shared_threads = 120: fn(*mut SessionOptions) -> Outcome;
    create_threading = 121: fn(*mut *mut ThreadingOptions) -> Outcome;
    release_threading = 122: fn(*mut ThreadingOptions);
    add_entry = 130: fn(*mut SessionOptions, *const c_char, *const c_char) -> Outcome;
    shared_intra_threads = 147: fn(*mut ThreadingOptions, c_int) -> Outcome;
    shared_inter_threads = 148: fn(*mut ThreadingOptions, c_int) -> Outcome;
    shared_spinning = 149: fn(*mut ThreadingOptions, c_int) -> Outcome;
    create_env = 151: fn(Logger, *mut c_void, c_int, *const c_char, *const ThreadingOptions, *mut *mut Env) -> Outcome;
    append_tensorrt = 170: fn(*mut SessionOptions, *const ProviderOptions) -> Outcome;
    create_tensorrt = 171: fn(*mut *mut ProviderOptions) -> Outcome;
    update_tensorrt = 172: fn(*mut ProviderOptions, *const *const c_char, *const *const c_char, usize) -> Outcome;
    release_tensorrt = 174: fn(*mut ProviderOptions);
    has_value = 192: fn(*const RawValue, *mut c_int) -> Outcome;
    append_cuda = 204: fn(*mut SessionOptions, *const ProviderOptions) -> Outcome;
    create_cuda = 205: fn(*mut *mut ProviderOptions) -> Outcome;
    update_cuda = 206: fn(*mut ProviderOptions, *const *const c_char, *const *const c_char, usize) -> Outcome;
    release_cuda = 208: fn(*mut ProviderOptions);
    string_room = 252: fn(*mut RawValue, usize, usize, *mut *mut c_char) -> Outcome;
}

// SAFETY: the environment, the default allocator and the description of memory may be used from any thread, and are never
// released: the library stays open.
unsafe impl Send for Api {}
// SAFETY: as above.
unsafe impl Sync for Api {}

impl Api {
    /// Opens the file and makes the one environment there is, whose threads every session of `pool` threads shares.
    pub(super) fn open(path: &Path, pool: usize) -> Result<Self, String> {
        let library = opened::open(path)?;
        // SAFETY: the type is that of the function's declaration in ONNX Runtime's header, the same in every version.
        let base = *unsafe { library.get::<unsafe extern "C" fn() -> *const ApiBase>(b"OrtGetApiBase\0") }
            .map_err(|_| {
                format!("{} has no function OrtGetApiBase: it is no ONNX Runtime", path.display())
            })?;
        // SAFETY: it returns a structure that lives as long as the library, whose two functions are the same in every version;
        // the version is a text that lives as long.
        let (table, version) = unsafe {
            let base = base();
            (((*base).table)(VERSION), CStr::from_ptr(((*base).version)()).to_string_lossy().into_owned())
        };
        if table.is_null() {
            return Err(format!(
                "{} is ONNX Runtime {version}, expected 1.17 or later: `pip install --upgrade onnxruntime`",
                path.display()
            ));
        }
        // SAFETY: the library gave it out for this version, and goes into the value.
        let mut api = unsafe { Self::of_table(table, version, library) };
        api.start(pool).map_err(|failure| format!("cannot start {}: {failure}", path.display()))?;
        Ok(api)
    }

    fn start(&mut self, pool: usize) -> Result<(), Failure> {
        let count = count(pool);
        // SAFETY: places to write to are valid ones of this function; the threading options are valid until they are released;
        // the logger lives as long as the program and takes no parameter; the name is copied.
        unsafe {
            let (mut threading, mut env) = (ptr::null_mut(), ptr::null_mut());
            let (mut allocator, mut memory) = (ptr::null_mut(), ptr::null_mut());
            self.checked((self.create_threading)(&raw mut threading))?;
            let made = self
                .checked((self.shared_intra_threads)(threading, count))
                .and_then(|()| self.checked((self.shared_inter_threads)(threading, 1)))
                // A thread that spins takes a core from other models.
                .and_then(|()| self.checked((self.shared_spinning)(threading, 0)))
                .and_then(|()| {
                    let name = c"weir".as_ptr();
                    let made =
                        (self.create_env)(log, ptr::null_mut(), WARNING, name, threading, &raw mut env);
                    self.checked(made)
                });
            (self.release_threading)(threading);
            made?;
            self.checked((self.default_allocator)(&raw mut allocator))?;
            self.checked((self.cpu_memory)(ARENA, DEFAULT_MEMORY, &raw mut memory))?;
            (self.env, self.allocator, self.memory) = (env, allocator, memory);
        }
        self.pool = pool;
        Ok(())
    }

    pub(super) fn env(&self) -> *const Env {
        self.env
    }

    pub(super) fn allocator(&self) -> *mut Allocator {
        self.allocator
    }

    /// The processor's memory.
    pub(super) fn memory(&self) -> *const MemoryInfo {
        self.memory
    }

    /// How many threads compute an operation in the pool that sessions share.
    pub(super) fn pool(&self) -> usize {
        self.pool
    }

    pub(super) fn version(&self) -> &str {
        &self.version
    }

    /// Reads what a function of the library returned.
    ///
    /// # Safety
    /// It is what a function of this library returned, and looked at only here.
    pub(super) unsafe fn checked(&self, outcome: Outcome) -> Result<(), Failure> {
        let Some(status) = NonNull::new(outcome) else { return Ok(()) };
        // SAFETY: the status is valid until it is released, once; its text lives as long.
        unsafe {
            let code = (self.error_code)(status.as_ptr());
            let message =
                CStr::from_ptr((self.error_message)(status.as_ptr())).to_string_lossy().into_owned();
            (self.release_status)(status.as_ptr());
            Err(Failure { code, message })
        }
    }
}

pub(super) fn count(threads: usize) -> c_int {
    c_int::try_from(threads.clamp(1, 1 << 12)).unwrap_or(1)
}

/// `OrtArenaAllocator`, `OrtMemTypeDefault`, `ORT_LOGGING_LEVEL_WARNING`.
const ARENA: c_int = 1;
const DEFAULT_MEMORY: c_int = 0;
const WARNING: c_int = 2;

thread_local! {
    /// What the library says on this thread, while somebody listens.
    static SAID: RefCell<Option<Vec<String>>> = const { RefCell::new(None) };
}

/// Does something, and returns what the library said meanwhile, which its errors leave out.
pub(super) fn listening<T>(work: impl FnOnce() -> T) -> (T, Vec<String>) {
    SAID.with_borrow_mut(|it| *it = Some(Vec::new()));
    let outcome = work();
    (outcome, SAID.take().unwrap_or_default())
}

/// Keeps what is said while somebody listens. Otherwise it is dropped: what matters comes as an error as well, and a line on
/// standard error for each bad request is nobody's wish.
unsafe extern "C" fn log(
    _: *mut c_void,
    _severity: c_int,
    _category: *const c_char,
    _id: *const c_char,
    _place: *const c_char,
    text: *const c_char,
) {
    const MOST: usize = 64;
    if text.is_null() {
        return;
    }
    SAID.with(|said| {
        // Called while the list is borrowed it would be of this thread's own making, which never is.
        if let Ok(mut said) = said.try_borrow_mut()
            && let Some(lines) = said.as_mut().filter(|it| it.len() < MOST)
        {
            // SAFETY: the library gives a text that lives as long as this call.
            lines.push(unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned());
        }
    });
}
