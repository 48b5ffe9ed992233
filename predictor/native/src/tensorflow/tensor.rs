//! Tensors on their way into TensorFlow and out of it. Memory is lent in both directions where it can be.

use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::ffi::{c_int, c_void};
use std::ptr::NonNull;

use bytes::{Bytes, BytesMut};

use super::Failure;
use super::api::{Api, RawTensor, STRING, STRING_SIZE, TString};

/// What TensorFlow aligns its tensors to; what lies otherwise it copies.
const ALIGNMENT: usize = 64;

/// A tensor that goes in.
pub type Input<'a> = crate::Input<'a, Elements<'a>>;

/// The elements of a tensor that goes in.
#[derive(Debug, Clone, Copy)]
pub enum Elements<'a> {
    /// Numbers as they lie in memory; they are copied.
    Numbers(&'a [u8]),
    /// Numbers as they lie in memory, which TensorFlow may keep: they are copied only where they lie badly.
    Lent(&'a Bytes),
    /// Strings.
    Strings(&'a [Bytes]),
}

/// A tensor that came out.
#[derive(Debug, Clone, PartialEq)]
pub struct Tensor {
    /// The element type, as TensorFlow numbers them.
    pub datatype: i32,
    /// The sizes, outermost first.
    pub shape: Vec<usize>,
    /// The elements.
    pub contents: Contents,
}

/// The elements of a tensor that came out.
#[derive(Debug, Clone, PartialEq)]
pub enum Contents {
    /// Numbers as they lie in memory.
    Numbers(Bytes),
    /// Strings.
    Strings(Vec<Bytes>),
}

/// A tensor of TensorFlow's that is ours to delete.
pub(super) struct Held {
    api: &'static Api,
    tensor: NonNull<RawTensor>,
}

// SAFETY: a tensor is reference counted across threads by TensorFlow, and only read here.
unsafe impl Send for Held {}
// SAFETY: as above.
unsafe impl Sync for Held {}

impl Drop for Held {
    fn drop(&mut self) {
        // SAFETY: the tensor is valid, owned, and deleted once.
        unsafe { (self.api.delete_tensor)(self.tensor.as_ptr()) };
    }
}

impl Held {
    /// Takes a tensor that TensorFlow has given away.
    pub(super) fn owned(api: &'static Api, tensor: *mut RawTensor) -> Option<Self> {
        NonNull::new(tensor).map(|tensor| Self { api, tensor })
    }

    pub(super) fn pointer(&self) -> *mut RawTensor {
        self.tensor.as_ptr()
    }

    /// Makes a tensor for TensorFlow.
    pub(super) fn of(api: &'static Api, input: &Input<'_>) -> Result<Self, Failure> {
        let sizes: Vec<i64> = input.shape.iter().map(|&it| i64::try_from(it).unwrap_or(i64::MAX)).collect();
        let elements = input.shape.iter().try_fold(1_usize, |all, &it| all.checked_mul(it));
        if sizes.len() > MAX_RANK {
            return Err(odd());
        }
        if let Elements::Numbers(bytes) = input.elements {
            plain(input.datatype, elements, bytes.len())?;
        }
        if let Elements::Lent(bytes) = input.elements {
            plain(input.datatype, elements, bytes.len())?;
        }
        let made = match input.elements {
            Elements::Strings(texts) => {
                if elements != Some(texts.len()) || input.datatype != STRING {
                    return Err(odd());
                }
                strings(api, &sizes, texts)
            }
            Elements::Lent(bytes) if bytes.as_ptr().align_offset(ALIGNMENT) == 0 && !bytes.is_empty() => {
                lent(api, input.datatype, &sizes, bytes)
            }
            Elements::Lent(bytes) => copied(api, input.datatype, &sizes, bytes),
            Elements::Numbers(bytes) => copied(api, input.datatype, &sizes, bytes),
        };
        made.ok_or_else(odd)
    }

    /// Reads what came out. Its memory is lent where nobody changes it.
    pub(super) fn into_tensor(self, steady: bool) -> Result<Tensor, Failure> {
        let pointer = self.pointer();
        // SAFETY: the tensor is valid, and an index below the number of its sizes is one of them.
        let (datatype, shape) = unsafe {
            let rank = (self.api.dimensions)(pointer);
            let sizes = (0..rank).map(|at| usize::try_from((self.api.dimension)(pointer, at)).unwrap_or(0));
            ((self.api.tensor_type)(pointer), sizes.collect::<Vec<_>>())
        };
        let contents = if datatype == STRING {
            let count = shape.iter().try_fold(1_usize, |all, &it| all.checked_mul(it)).ok_or_else(odd)?;
            Contents::Strings(self.strings(count)?)
        } else if steady {
            Contents::Numbers(Bytes::from_owner(self))
        } else {
            Contents::Numbers(Bytes::copy_from_slice(self.as_ref()))
        };
        Ok(Tensor { datatype, shape, contents })
    }

    /// All strings in one piece of memory, of which each is a part.
    fn strings(&self, count: usize) -> Result<Vec<Bytes>, Failure> {
        let bytes: &[u8] = self.as_ref();
        if count.checked_mul(STRING_SIZE) != Some(bytes.len()) {
            return Err(Failure::internal("strings are laid out as by TensorFlow before 2.4"));
        }
        let first = bytes.as_ptr().cast::<TString>();
        let text = |at: usize| -> &[u8] {
            // SAFETY: there are `count` strings of that size one after another, `at` is below, and each is a valid one that
            // lives as long as the tensor.
            unsafe {
                let string = first.byte_add(at * STRING_SIZE);
                let data = (self.api.string_data)(string).cast::<u8>();
                let size = (self.api.string_size)(string);
                if data.is_null() || size == 0 { &[] } else { std::slice::from_raw_parts(data, size) }
            }
        };
        let mut all = BytesMut::with_capacity((0..count).map(|at| text(at).len()).sum());
        let mut ends = Vec::with_capacity(count);
        for at in 0..count {
            all.extend_from_slice(text(at));
            ends.push(all.len());
        }
        let all = all.freeze();
        let mut start = 0;
        Ok(ends.into_iter().map(|end| all.slice(std::mem::replace(&mut start, end)..end)).collect())
    }
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        // SAFETY: the tensor is valid; its data is null or as many bytes as it says, which live as long as it does. TensorFlow
        // writes to no memory that somebody else has a reference to, but for reference variables, which callers copy.
        unsafe {
            let data = (self.api.tensor_data)(self.pointer()).cast::<u8>();
            let length = (self.api.tensor_bytes)(self.pointer());
            if data.is_null() || length == 0 { &[] } else { std::slice::from_raw_parts(data, length) }
        }
    }
}

/// The most sizes a tensor of TensorFlow's has: of more it ends the process.
const MAX_RANK: usize = 254;

/// Sees to it that the elements are numbers, and as many as there are bytes for: TensorFlow reads of other types what bytes from
/// outside must never be, such as addresses.
fn plain(datatype: i32, elements: Option<usize>, bytes: usize) -> Result<(), Failure> {
    let size = match datatype {
        4 | 6 | 10 => 1,
        5 | 14 | 17 | 19 => 2,
        1 | 3 | 22 => 4,
        2 | 9 | 23 => 8,
        _ => return Err(odd()),
    };
    if elements.and_then(|it| it.checked_mul(size)) == Some(bytes) { Ok(()) } else { Err(odd()) }
}

fn odd() -> Failure {
    let message = "a tensor's elements are not as many as its shape says, or not of its type".to_owned();
    Failure { code: Failure::INVALID_ARGUMENT, message }
}

fn copied(api: &'static Api, datatype: i32, sizes: &[i64], bytes: &[u8]) -> Option<Held> {
    // SAFETY: the sizes are as many as is said; null is looked at.
    let raw = unsafe { (api.allocate_tensor)(datatype, sizes.as_ptr(), rank(sizes), bytes.len()) };
    let held = Held::owned(api, raw)?;
    // SAFETY: the tensor is valid and nobody else's yet.
    let (data, room) = unsafe { ((api.tensor_data)(raw), (api.tensor_bytes)(raw)) };
    if room != bytes.len() || (data.is_null() && room > 0) {
        return None;
    }
    if room > 0 {
        // SAFETY: there is room for as many bytes, and new memory does not overlap with ours.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), data.cast::<u8>(), room) };
    }
    Some(held)
}

/// Gives TensorFlow a share in the bytes, which it leaves unchanged and drops when it needs them no more.
fn lent(api: &'static Api, datatype: i32, sizes: &[i64], bytes: &Bytes) -> Option<Held> {
    unsafe extern "C" fn release(_data: *mut c_void, _length: usize, share: *mut c_void) {
        // SAFETY: the share is the box that was given away below, and this is called once.
        drop(unsafe { Box::from_raw(share.cast::<Bytes>()) });
    }
    let data = bytes.as_ptr().cast_mut().cast();
    let share = Box::into_raw(Box::new(bytes.clone())).cast();
    // SAFETY: the data is as long as is said and lives until `release` drops the share, which it does also where no tensor
    // is made; a tensor over foreign memory is not written to.
    let raw =
        unsafe { (api.new_tensor)(datatype, sizes.as_ptr(), rank(sizes), data, bytes.len(), release, share) };
    Held::owned(api, raw)
}

/// Memory of strings, which ends with the last tensor over it.
struct Strings {
    api: &'static Api,
    count: usize,
    layout: Layout,
}

fn strings(api: &'static Api, sizes: &[i64], texts: &[Bytes]) -> Option<Held> {
    unsafe extern "C" fn release(data: *mut c_void, _length: usize, strings: *mut c_void) {
        // SAFETY: it is the box that was given away below, and this is called once.
        let strings = unsafe { Box::from_raw(strings.cast::<Strings>()) };
        for at in 0..strings.count {
            // SAFETY: there are `count` valid strings of that size one after another.
            unsafe { (strings.api.string_free)(data.byte_add(at * STRING_SIZE).cast()) };
        }
        // SAFETY: it was allocated below by this layout, and nothing uses it any more.
        unsafe { dealloc(data.cast(), strings.layout) };
    }
    if texts.is_empty() {
        return copied(api, STRING, sizes, &[]);
    }
    let length = texts.len().checked_mul(STRING_SIZE)?;
    let layout = Layout::from_size_align(length, ALIGNMENT).ok()?;
    // SAFETY: the layout is not empty, since there is a string.
    let data = unsafe { alloc(layout) };
    if data.is_null() {
        handle_alloc_error(layout);
    }
    for (at, text) in texts.iter().enumerate() {
        // SAFETY: there is room for `texts.len()` strings of that size; each is made valid before it is copied to.
        unsafe {
            let string = data.byte_add(at * STRING_SIZE).cast::<TString>();
            (api.string_init)(string);
            (api.string_copy)(string, text.as_ptr().cast(), text.len());
        }
    }
    let owner = Box::into_raw(Box::new(Strings { api, count: texts.len(), layout })).cast();
    // SAFETY: the strings are as many as the sizes say (the caller has looked), and live until `release`, which is called
    // also where no tensor is made.
    let raw =
        unsafe { (api.new_tensor)(STRING, sizes.as_ptr(), rank(sizes), data.cast(), length, release, owner) };
    Held::owned(api, raw)
}

fn rank(sizes: &[i64]) -> c_int {
    sizes.len().try_into().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_numbers_of_a_type_that_has_no_addresses_in_it() {
        assert!(
            plain(1, Some(3), 12).is_ok() && plain(10, Some(0), 0).is_ok() && plain(23, Some(2), 16).is_ok()
        );
        // Strings, resources, variants, references.
        assert!([STRING, 20, 21, 101].iter().all(|&it| plain(it, Some(1), STRING_SIZE).is_err()));
        assert!(plain(1, Some(3), 11).is_err() && plain(2, None, 0).is_err());
        assert!(plain(2, Some(usize::MAX), usize::MAX).is_err());
    }
}
