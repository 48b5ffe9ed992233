//! What the libraries of `predictor/native/shim` have in common: how they are opened, how an error leaves them, and tensors, whose
//! memory is lent in both directions.

use std::ffi::{CStr, c_char, c_void};
use std::path::{Path, PathBuf};
use std::ptr::NonNull;
use std::sync::Arc;

use bytes::Bytes;

use crate::opened::{self, opaque};
use crate::{Search, Wanted};

/// The most of an error's text that is kept.
const ERROR: usize = 8192;
/// The most tensors, and sizes of one, that an answer may have.
const MAX_OUTPUTS: u64 = 16_384;
const MAX_RANK: i32 = 64;
/// Bytes of an element, by the protocol's types; `BYTES` has none.
const SIZES: [usize; 13] = [1, 1, 2, 4, 8, 1, 2, 4, 8, 2, 2, 4, 8];
const BYTES: u8 = 13;

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
    /// Its name, or place, in the answer.
    pub name: String,
    /// The element type, as of [`Input::datatype`].
    pub datatype: u8,
    /// The sizes, outermost first.
    pub shape: Vec<usize>,
    /// The elements, in the framework's own memory.
    pub data: Bytes,
}

opaque! { RawModel RawResult }

/// `WeirTensor`: one tensor, lent.
#[repr(C)]
pub(crate) struct RawTensor {
    name: *const c_char,
    datatype: i32,
    rank: i32,
    shape: *const i64,
    data: *const c_void,
    length: u64,
}

/// Declares the table of a shim's functions, each with its name in the library.
macro_rules! functions {
    ($build:expr; $($field:ident = $name:literal: fn($($argument:ty),*) $(-> $result:ty)?;)*) => {
        pub(super) struct Api {
            $(pub(super) $field: unsafe extern "C" fn($($argument),*) $(-> $result)?,)*
            /// The functions are theirs: none is ever closed.
            _libraries: Vec<libloading::Library>,
        }

        impl Api {
            fn of(library: libloading::Library, before: Vec<libloading::Library>, path: &Path) -> Result<Self, String> {
                $(
                    // SAFETY: the types are those of the shim's own declarations; that it is of this form is checked before.
                    let $field = *unsafe { library.get(concat!($name, "\0").as_bytes()) }
                        .map_err(|_| format!("{} has no function {}; {}", path.display(), $name, $build))?;
                )*
                let mut libraries = before;
                libraries.push(library);
                Ok(Self { $($field,)* _libraries: libraries })
            }
        }
    };
}
pub(crate) use functions;

/// Returns where the shim and the library that it joins are, and opens neither.
///
/// # Errors
/// What is missing, where it was looked for, and how to get it.
pub(crate) fn find(shim: &Wanted, library: &Wanted, search: &Search) -> Result<(PathBuf, PathBuf), String> {
    let library = library.find(search).map_err(|error| {
        let (file, install) = (shim.files.first().copied().unwrap_or_default(), shim.install);
        format!("{error}; beside it this predictor needs {file}, which `{install}` builds")
    })?;
    let shim = shim.find(search).or_else(|error| {
        // Where the library was named by its variable, the shim may lie with it.
        let beside = shim.files.iter().map(|it| library.with_file_name(it)).find(|it| it.is_file());
        beside.ok_or_else(|| error.to_string())
    })?;
    Ok((shim, library))
}

/// Opens a shim and looks whether it is of the form that is known here, which its function `form` tells.
///
/// # Errors
/// What the system's linker says, or the form; `build` says how to get it.
pub(crate) fn open(path: &Path, form: &str, known: u32, build: &str) -> Result<libloading::Library, String> {
    let library = opened::open(path).map_err(|error| format!("{error}; {build}"))?;
    // SAFETY: the function takes nothing and returns a number, in every form of a shim.
    let abi = unsafe { library.get::<unsafe extern "C" fn() -> u32>(form.as_bytes()) };
    let abi = abi.map_err(|_| format!("{} is no shim of ours; {build}", path.display()))?;
    // SAFETY: as above.
    let abi = unsafe { abi() };
    if abi != known {
        return Err(format!("{} is of form {abi}, expected {known}; {build}", path.display()));
    }
    Ok(library)
}

/// Calls a function of a shim that writes the text of its error into a buffer of that many bytes.
pub(crate) fn checked<T>(call: impl FnOnce(*mut c_char, u64) -> Option<T>) -> Result<T, String> {
    let mut error: [c_char; ERROR] = [0; ERROR];
    call(error.as_mut_ptr(), ERROR as u64).ok_or_else(|| {
        // Whatever a shim does, the last byte is a nought.
        error[ERROR - 1] = 0;
        text(error.as_ptr())
    })
}

/// A text of a shim's.
pub(crate) fn text(from: *const c_char) -> String {
    // SAFETY: every text of a shim's, and every buffer it was lent, ends with a nought.
    unsafe { CStr::from_ptr(from) }.to_string_lossy().into_owned()
}

/// Tensors in the form that a shim reads; they borrow what they are made of.
pub(crate) struct Lent<'a> {
    pub(crate) raw: Vec<RawTensor>,
    _shapes: Vec<Vec<i64>>,
    _inputs: std::marker::PhantomData<&'a [u8]>,
}

impl<'a> Lent<'a> {
    /// # Errors
    /// The tensor whose bytes are not as many as its shape says: what a shim reads of it is what the shape says.
    pub(crate) fn of(inputs: &[Input<'a>]) -> Result<Self, String> {
        let shapes: Vec<Vec<i64>> = inputs
            .iter()
            .map(|it| it.shape.iter().map(|&size| i64::try_from(size).unwrap_or(i64::MAX)).collect())
            .collect();
        let raw = inputs.iter().zip(&shapes).map(|(it, shape)| {
            let size = SIZES.get(usize::from(it.datatype)).copied().unwrap_or(1);
            let count = it.shape.iter().try_fold(size, |product, &size| product.checked_mul(size));
            if it.datatype < BYTES && count != Some(it.data.len()) {
                return Err(format!("{} bytes are no tensor of shape {:?}", it.data.len(), it.shape));
            }
            Ok(RawTensor {
                name: c"input".as_ptr(),
                datatype: it.datatype.into(),
                rank: i32::try_from(shape.len()).unwrap_or(i32::MAX),
                shape: shape.as_ptr(),
                data: it.data.as_ptr().cast(),
                length: it.data.len() as u64,
            })
        });
        let raw = raw.collect::<Result<_, _>>()?;
        Ok(Self { raw, _shapes: shapes, _inputs: std::marker::PhantomData })
    }
}

/// How the results of a shim are looked at, and given back.
#[derive(Clone, Copy)]
pub(crate) struct Results {
    pub(crate) outputs: unsafe extern "C" fn(NonNull<RawResult>, *mut *const RawTensor) -> u64,
    pub(crate) free: unsafe extern "C" fn(NonNull<RawResult>),
}

impl Results {
    /// Takes the tensors out of a result, which their bytes keep.
    ///
    /// # Errors
    /// What of them is out of all bounds.
    ///
    /// # Safety
    /// The result is one of that shim's, which nobody else frees.
    pub(crate) unsafe fn take(self, result: NonNull<RawResult>) -> Result<Vec<Output>, String> {
        let result = Arc::new(Held { free: self.free, raw: result });
        let mut outputs = std::ptr::null();
        // SAFETY: the result is there, and so are its views.
        let count = unsafe { (self.outputs)(result.raw, &raw mut outputs) };
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

/// What a run answered: the memory of its tensors.
struct Held {
    free: unsafe extern "C" fn(NonNull<RawResult>),
    raw: NonNull<RawResult>,
}

// SAFETY: nothing writes into it, and any thread may free it.
unsafe impl Send for Held {}
// SAFETY: as above.
unsafe impl Sync for Held {}

impl Drop for Held {
    fn drop(&mut self) {
        // SAFETY: it is ours, and no view of it is left: each holds it.
        unsafe { (self.free)(self.raw) }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_that_are_no_tensor_of_their_shape_are_not_lent() {
        let input =
            |datatype, shape, data| Lent::of(&[Input { datatype, shape, data }]).map(|it| it.raw.len());
        assert_eq!(input(11, &[2], &[0; 8]), Ok(1));
        assert_eq!(input(BYTES, &[2], &[0; 9]), Ok(1));
        assert!(input(11, &[2], &[0; 7]).unwrap_err().contains("no tensor of shape [2]"));
        assert!(input(11, &[usize::MAX, 8], &[]).is_err());
    }

    #[test]
    fn an_error_is_the_text_in_the_buffer_however_it_ends() {
        let fill = |at: *mut c_char, room: u64| -> Option<()> {
            for place in 0..room as usize {
                // SAFETY: the buffer has the room that is said.
                unsafe { at.add(place).write(b'x' as c_char) };
            }
            None
        };
        assert_eq!(checked(fill).unwrap_err().len(), ERROR - 1);
        assert_eq!(checked(|_, _| Some(3)), Ok(3));
    }
}
