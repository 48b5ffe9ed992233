//! A loaded model. It runs from any number of threads at once.

use std::ffi::{CStr, CString, c_char};
use std::path::Path;
use std::ptr::{self, NonNull};
use std::sync::Arc;

use super::api::{Allocator, Api, RawSession, SessionOptions as RawOptions, TypeInfo, count};
use super::kind::Kind;
use super::value::{Held, Input, Value};
use super::{Failure, Provider};

/// How a session computes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionOptions {
    /// Threads that one operation may be split over; 1 computes on the caller's thread alone.
    pub intra_op: usize,
    /// The providers asked for, the first one first. Without any the processor computes.
    pub providers: Vec<Provider>,
}

/// An input or output of a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// Its name.
    pub name: String,
    /// What it is.
    pub kind: Kind,
}

/// A loaded model.
pub struct Session {
    api: &'static Api,
    session: NonNull<RawSession>,
    inputs: Vec<Endpoint>,
    outputs: Vec<Endpoint>,
    input_names: Vec<CString>,
    output_names: Vec<CString>,
}

// SAFETY: a session of ONNX Runtime may be run from several threads at once, and is not changed otherwise.
unsafe impl Send for Session {}
// SAFETY: as above.
unsafe impl Sync for Session {}

impl Session {
    pub(super) fn load(
        api: &'static Api,
        file: &Path,
        options: &SessionOptions,
    ) -> Result<Arc<Self>, Failure> {
        let file = CString::new(file.as_os_str().as_encoded_bytes())
            .map_err(|_| Failure::other("a path holds the character of code 0"))?;
        let raw = Options::of(api, options)?;
        let mut session = ptr::null_mut();
        // SAFETY: environment and options are valid, the path is a C string, and the place is valid.
        unsafe {
            api.checked((api.create_session)(api.env(), file.as_ptr(), raw.options, &raw mut session))?;
        }
        let session = NonNull::new(session).ok_or_else(|| Failure::other("ONNX Runtime made no session"))?;
        let mut loaded = Self {
            api,
            session,
            inputs: Vec::new(),
            outputs: Vec::new(),
            input_names: Vec::new(),
            output_names: Vec::new(),
        };
        (loaded.inputs, loaded.input_names) = loaded.ends(api.input_count, api.input_name, api.input_type)?;
        (loaded.outputs, loaded.output_names) =
            loaded.ends(api.output_count, api.output_name, api.output_type)?;
        Ok(Arc::new(loaded))
    }

    /// What it takes, in the model's order.
    #[must_use]
    pub fn inputs(&self) -> &[Endpoint] {
        &self.inputs
    }

    /// What it gives, in the model's order.
    #[must_use]
    pub fn outputs(&self) -> &[Endpoint] {
        &self.outputs
    }

    /// Computes the outputs at these places. `inputs` are as many as the session's, in its order; their memory is lent for the
    /// time of the call. What comes back keeps the session alive.
    ///
    /// # Errors
    /// ONNX Runtime's, and an invalid argument where the inputs are too few or too many or an output is not there.
    pub fn run(self: &Arc<Self>, inputs: &[Input<'_>], wanted: &[usize]) -> Result<Vec<Value>, Failure> {
        if inputs.len() != self.inputs.len() {
            let message = format!("{} inputs, the model takes {}", inputs.len(), self.inputs.len());
            return Err(Failure { code: Failure::INVALID_ARGUMENT, message });
        }
        let missing = || Failure {
            code: Failure::INVALID_ARGUMENT,
            message: "an output is asked for that is not there".to_owned(),
        };
        let names: Vec<_> = self.input_names.iter().map(|it| it.as_ptr()).collect();
        let outputs = wanted.iter().map(|&at| Some(self.output_names.get(at)?.as_ptr()));
        let outputs = outputs.collect::<Option<Vec<*const c_char>>>().ok_or_else(missing)?;
        let held = inputs.iter().map(|it| Held::of(self.api, it)).collect::<Result<Vec<_>, _>>()?;
        let values: Vec<_> = held.iter().map(|it| it.pointer().cast_const()).collect();
        let mut answers = vec![ptr::null_mut(); outputs.len()];
        // SAFETY: the session is valid; names and values are as many as is said and outlive the call, and so does the memory
        // behind the values, which is borrowed; there is room for as many answers. Without options of a run it takes null.
        let outcome = unsafe {
            self.api.checked((self.api.run)(
                self.session.as_ptr(),
                ptr::null(),
                names.as_ptr(),
                values.as_ptr(),
                values.len(),
                outputs.as_ptr(),
                outputs.len(),
                answers.as_mut_ptr(),
            ))
        };
        let answers: Vec<_> = answers.into_iter().map(|it| Held::owned(self, it)).collect();
        outcome?;
        answers
            .into_iter()
            .map(|it| it.ok_or_else(|| Failure::other("ONNX Runtime left out an output"))?.into_value(inputs))
            .collect()
    }

    pub(super) fn api(&self) -> &'static Api {
        self.api
    }

    fn ends(&self, count: Count, name: Name, kind: Type) -> Result<(Vec<Endpoint>, Vec<CString>), Failure> {
        let (api, session) = (self.api, self.session.as_ptr().cast_const());
        let mut number = 0;
        // SAFETY: the session is valid, and so is the place.
        unsafe { api.checked(count(session, &raw mut number))? };
        let (mut ends, mut names) = (Vec::with_capacity(number), Vec::with_capacity(number));
        for at in 0..number {
            let (mut text, mut info) = (ptr::null_mut(), ptr::null_mut());
            // SAFETY: the session is valid, the place is below the number of them, and what is given out is copied and freed by
            // the allocator it came from, or released.
            let (text, kind) = unsafe {
                api.checked(name(session, at, api.allocator(), &raw mut text))?;
                let copy = CStr::from_ptr(text).to_owned();
                api.checked((api.free)(api.allocator(), text.cast()))?;
                api.checked(kind(session, at, &raw mut info))?;
                (copy, Kind::owned(api, info, 0)?)
            };
            ends.push(Endpoint { name: text.to_string_lossy().into_owned(), kind });
            names.push(text);
        }
        Ok((ends, names))
    }
}

type Count = unsafe extern "C" fn(*const RawSession, *mut usize) -> *mut super::api::Status;
type Name = unsafe extern "C" fn(
    *const RawSession,
    usize,
    *mut Allocator,
    *mut *mut c_char,
) -> *mut super::api::Status;
type Type = unsafe extern "C" fn(*const RawSession, usize, *mut *mut TypeInfo) -> *mut super::api::Status;

impl Drop for Session {
    fn drop(&mut self) {
        // SAFETY: the session is valid, released once, and nobody runs it, since this is its owner.
        unsafe { (self.api.release_session)(self.session.as_ptr()) };
    }
}

/// The options a session is made by.
struct Options {
    api: &'static Api,
    options: *mut RawOptions,
}

impl Options {
    fn of(api: &'static Api, told: &SessionOptions) -> Result<Self, Failure> {
        let mut options = ptr::null_mut();
        // SAFETY: the place is valid.
        unsafe { api.checked((api.create_options)(&raw mut options))? };
        let made = Self { api, options };
        // SAFETY: the options are valid, and the texts are C strings that are copied.
        unsafe {
            if told.intra_op == api.pool() {
                api.checked((api.use_shared_threads)(options))?;
            } else {
                api.checked((api.set_intra_threads)(options, count(told.intra_op)))?;
                // A thread that spins takes a core from other models.
                let (key, off) = (c"session.intra_op.allow_spinning", c"0");
                api.checked((api.add_entry)(options, key.as_ptr(), off.as_ptr()))?;
            }
            api.checked((api.set_inter_threads)(options, 1))?;
            for provider in &told.providers {
                provider.append(api, options)?;
            }
        }
        Ok(made)
    }
}

impl Drop for Options {
    fn drop(&mut self) {
        // SAFETY: the options are valid and released once; sessions have copied them.
        unsafe { (self.api.release_options)(self.options) };
    }
}
