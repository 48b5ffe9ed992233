//! Values on their way into a session and out of it. Memory is lent in both directions.

use std::ffi::{c_int, c_void};
use std::ptr::{self, NonNull};
use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use super::api::{Api, RawValue};
use super::kind::shape_of;
use super::{Failure, Session};

/// A tensor that goes in.
pub type Input<'a> = crate::Input<'a, Elements<'a>>;

/// The elements of a tensor that goes in.
#[derive(Debug, Clone, Copy)]
pub enum Elements<'a> {
    /// Numbers as they lie in memory, which is lent.
    Numbers(&'a [u8]),
    /// Strings, which are copied: ONNX Runtime has strings of its own.
    Strings(&'a [Bytes]),
}

/// What came out.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// A tensor of numbers or strings.
    Tensor(Tensor),
    /// A list.
    Sequence(Vec<Value>),
    /// A map: its keys in their order, and the value of each.
    Map(Tensor, Tensor),
    /// An optional value that is not there.
    None,
}

/// A tensor that came out.
#[derive(Debug, Clone, PartialEq)]
pub enum Tensor {
    /// Numbers.
    Numbers {
        /// The element type, as ONNX numbers them.
        datatype: i32,
        /// The sizes, outermost first.
        shape: Vec<usize>,
        /// The numbers as they lie in memory, which is the session's.
        bytes: Bytes,
    },
    /// Strings.
    Strings {
        /// The sizes, outermost first.
        shape: Vec<usize>,
        /// The strings.
        texts: Vec<Bytes>,
    },
}

const STRING: c_int = 8;
const TENSOR: c_int = 1;
const SEQUENCE: c_int = 2;
const MAP: c_int = 3;
const OPTIONAL: c_int = 6;
/// How deep values may lie in one another.
const DEEPEST: usize = 4;

/// A value of ONNX Runtime's that is ours to release.
pub(super) struct Held {
    api: &'static Api,
    value: NonNull<RawValue>,
    /// Memory that came out may be the session's own, such as a constant's.
    _session: Option<Arc<Session>>,
}

// SAFETY: what came out is reference counted across threads by ONNX Runtime, and only read here.
unsafe impl Send for Held {}
// SAFETY: as above.
unsafe impl Sync for Held {}

impl Drop for Held {
    fn drop(&mut self) {
        // SAFETY: the value is valid, owned, and released once.
        unsafe { (self.api.release_value)(self.value.as_ptr()) };
    }
}

impl Held {
    /// Takes a value that a session has given away.
    pub(super) fn owned(session: &Arc<Session>, value: *mut RawValue) -> Option<Self> {
        let _session = Some(Arc::clone(session));
        NonNull::new(value).map(|value| Self { api: session.api(), value, _session })
    }

    pub(super) fn pointer(&self) -> *mut RawValue {
        self.value.as_ptr()
    }

    /// Makes a tensor for a session. It is used no longer than the input's borrow lasts.
    pub(super) fn of(api: &'static Api, input: &Input<'_>) -> Result<Self, Failure> {
        let sizes = input.shape.iter().map(|&it| i64::try_from(it).ok()).collect::<Option<Vec<_>>>();
        let sizes = sizes.ok_or_else(odd)?;
        let elements =
            input.shape.iter().try_fold(1_usize, |all, &it| all.checked_mul(it)).ok_or_else(odd)?;
        match input.elements {
            Elements::Numbers(bytes) => {
                let size = element_size(input.datatype).ok_or_else(odd)?;
                if elements.checked_mul(size) != Some(bytes.len()) {
                    return Err(odd());
                }
                lent(api, input.datatype, &sizes, bytes)
            }
            Elements::Strings(texts) => {
                if input.datatype != STRING || elements != texts.len() {
                    return Err(odd());
                }
                strings(api, &sizes, texts)
            }
        }
    }

    /// Reads what came out. Its memory is lent, unless it is that of an input, which is only borrowed.
    pub(super) fn into_value(self, inputs: &[Input<'_>]) -> Result<Value, Failure> {
        self.into_value_at(inputs, 0)
    }

    fn into_value_at(self, inputs: &[Input<'_>], depth: usize) -> Result<Value, Failure> {
        let mut kind = 0;
        // SAFETY: the value is valid, and so is the place.
        unsafe { self.api.checked((self.api.kind_of_value)(self.pointer(), &raw mut kind))? };
        match kind {
            TENSOR => self.into_tensor(inputs).map(Value::Tensor),
            SEQUENCE if depth < DEEPEST => {
                let mut number = 0;
                // SAFETY: as above.
                unsafe { self.api.checked((self.api.parts)(self.pointer(), &raw mut number))? };
                let parts = (0..number).map(|at| self.part(at)?.into_value_at(inputs, depth + 1));
                parts.collect::<Result<_, _>>().map(Value::Sequence)
            }
            MAP if depth < DEEPEST => {
                let (keys, values) = (self.part(0)?, self.part(1)?);
                Ok(Value::Map(keys.into_tensor(inputs)?, values.into_tensor(inputs)?))
            }
            OPTIONAL if !self.has_value()? => Ok(Value::None),
            other => Err(Failure::other(format!(
                "an output is of ONNX Runtime's kind {other}, which is not served"
            ))),
        }
    }

    fn has_value(&self) -> Result<bool, Failure> {
        let mut there = 0;
        // SAFETY: the value is valid, and so is the place.
        unsafe { self.api.checked((self.api.has_value)(self.pointer(), &raw mut there))? };
        Ok(there != 0)
    }

    /// An element of a list, or the keys or the values of a map: a copy of its own.
    fn part(&self, at: usize) -> Result<Self, Failure> {
        let mut part = ptr::null_mut();
        let place = c_int::try_from(at).map_err(|_| Failure::other("an output has too many elements"))?;
        // SAFETY: the value is a list with that many elements or a map, which has two parts; the place is valid.
        unsafe {
            self.api.checked((self.api.part)(self.pointer(), place, self.api.allocator(), &raw mut part))?;
        }
        let value = NonNull::new(part).ok_or_else(|| Failure::other("ONNX Runtime left out an element"))?;
        Ok(Self { api: self.api, value, _session: self._session.clone() })
    }

    fn into_tensor(self, inputs: &[Input<'_>]) -> Result<Tensor, Failure> {
        let mut info = ptr::null_mut();
        // SAFETY: the value is a tensor, the place is valid, and the description is released once.
        let described = unsafe {
            self.api.checked((self.api.shape_of)(self.pointer(), &raw mut info))?;
            let described = shape_of(self.api, info);
            (self.api.release_shape)(info);
            described?
        };
        let (datatype, sizes) = described;
        let shape = sizes.iter().map(|&it| usize::try_from(it).ok()).collect::<Option<Vec<_>>>();
        let shape = shape.ok_or_else(|| Failure::other("an output has a size below nought"))?;
        let elements = shape.iter().try_fold(1_usize, |all, &it| all.checked_mul(it));
        let elements = elements.ok_or_else(|| Failure::other("an output's shape is too large"))?;
        if datatype == STRING {
            return Ok(Tensor::Strings { texts: self.texts(elements)?, shape });
        }
        let size = element_size(datatype).ok_or_else(|| {
            Failure::other(format!("an output is of ONNX's element type {datatype}, which is not served"))
        })?;
        let length = elements.checked_mul(size);
        let length = length.ok_or_else(|| Failure::other("an output's shape is too large"))?;
        let mut data = ptr::null_mut();
        // SAFETY: the value is a tensor of numbers in the processor's memory, and the place is valid.
        unsafe { self.api.checked((self.api.tensor_data)(self.pointer(), &raw mut data))? };
        let memory = Memory { data: data.cast_const().cast(), length, _owner: self };
        let borrowed = inputs.iter().any(|it| match it.elements {
            Elements::Numbers(bytes) => !bytes.is_empty() && bytes.as_ptr_range().contains(&memory.data),
            Elements::Strings(_) => false,
        });
        let bytes =
            if borrowed { Bytes::copy_from_slice(memory.as_ref()) } else { Bytes::from_owner(memory) };
        Ok(Tensor::Numbers { datatype, shape, bytes })
    }

    /// All strings in one piece of memory, of which each is a part.
    fn texts(&self, number: usize) -> Result<Vec<Bytes>, Failure> {
        if number == 0 {
            return Ok(Vec::new());
        }
        let mut length = 0;
        // SAFETY: the value is a tensor of strings, and the place is valid.
        unsafe { self.api.checked((self.api.strings_length)(self.pointer(), &raw mut length))? };
        let (mut all, mut starts) = (BytesMut::zeroed(length), vec![0_usize; number]);
        // SAFETY: there is room for as many bytes as it said, and for a start of each string.
        unsafe {
            let (to, places) = (all.as_mut_ptr().cast::<c_void>(), starts.as_mut_ptr());
            self.api.checked((self.api.strings)(self.pointer(), to, length, places, number))?;
        }
        let all = all.freeze();
        let ends = starts.iter().skip(1).copied().chain([length]);
        let texts = starts.iter().zip(ends).map(|(&start, end)| {
            if start <= end && end <= length { Some(all.slice(start..end)) } else { None }
        });
        texts.collect::<Option<_>>().ok_or_else(|| Failure::other("an output's strings overlap"))
    }
}

/// The numbers of a tensor that came out.
struct Memory {
    data: *const u8,
    length: usize,
    _owner: Held,
}

// SAFETY: the memory belongs to the value beside it, which may be sent, and is only read.
unsafe impl Send for Memory {}
// SAFETY: as above.
unsafe impl Sync for Memory {}

impl AsRef<[u8]> for Memory {
    fn as_ref(&self) -> &[u8] {
        if self.data.is_null() || self.length == 0 {
            return &[];
        }
        // SAFETY: the tensor has that many bytes there, as its element type and sizes say, for as long as the value lives, and
        // nobody writes to what a run has given out.
        unsafe { std::slice::from_raw_parts(self.data, self.length) }
    }
}

/// The bytes of an element; none for strings, and for types that are not served: complex, of less than a byte, of eight bits.
const fn element_size(datatype: i32) -> Option<usize> {
    match datatype {
        2 | 3 | 9 => Some(1),
        4 | 5 | 10 | 16 => Some(2),
        1 | 6 | 12 => Some(4),
        7 | 11 | 13 => Some(8),
        _ => None,
    }
}

fn odd() -> Failure {
    let message = "a tensor's elements are not as many as its shape says, or not of its type".to_owned();
    Failure { code: Failure::INVALID_ARGUMENT, message }
}

fn lent(api: &'static Api, datatype: c_int, sizes: &[i64], bytes: &[u8]) -> Result<Held, Failure> {
    let (data, mut value) = (bytes.as_ptr().cast_mut().cast::<c_void>(), ptr::null_mut());
    // SAFETY: the memory is as long as is said, and so are the sizes. A session does not write to what goes in, and the value
    // is released before the borrow ends; what came out and shares the memory is copied.
    unsafe {
        api.checked((api.lend_tensor)(
            api.memory(),
            data,
            bytes.len(),
            sizes.as_ptr(),
            sizes.len(),
            datatype,
            &raw mut value,
        ))?;
    }
    held(api, value)
}

fn strings(api: &'static Api, sizes: &[i64], texts: &[Bytes]) -> Result<Held, Failure> {
    let mut value = ptr::null_mut();
    // SAFETY: the sizes are as many as is said, and the place is valid.
    unsafe {
        api.checked((api.create_tensor)(
            api.allocator(),
            sizes.as_ptr(),
            sizes.len(),
            STRING,
            &raw mut value,
        ))?;
    }
    let held = held(api, value)?;
    for (at, text) in texts.iter().enumerate() {
        let mut room = ptr::null_mut();
        // SAFETY: the place is below the number of strings; where it succeeds there is room for as many bytes, which are
        // nobody else's. Unlike a C string's these may hold the character of code 0.
        unsafe {
            api.checked((api.string_room)(held.pointer(), at, text.len(), &raw mut room))?;
            ptr::copy_nonoverlapping(text.as_ptr(), room.cast::<u8>(), text.len());
        }
    }
    Ok(held)
}

fn held(api: &'static Api, value: *mut RawValue) -> Result<Held, Failure> {
    let value = NonNull::new(value).ok_or_else(|| Failure::other("ONNX Runtime has no memory left"))?;
    Ok(Held { api, value, _session: None })
}
