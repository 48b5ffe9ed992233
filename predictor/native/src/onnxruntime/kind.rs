//! What an input or output of a session is, as the library tells it.

use std::ffi::{CStr, c_int};
use std::ptr;

use super::Failure;
use super::api::{Api, ShapeInfo, TypeInfo};

/// A type of ONNX's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// A tensor.
    Tensor {
        /// The element type, as ONNX numbers them.
        datatype: i32,
        /// The sizes, outermost first; -1 for any. None for a scalar, and for a tensor of any number of sizes.
        shape: Vec<i64>,
        /// For each size the name of one that may differ, such as `batch`; empty for those without.
        names: Vec<String>,
    },
    /// A list.
    Sequence(Box<Kind>),
    /// A map from keys of an element type.
    Map(i32, Box<Kind>),
    /// Anything else, such as a sparse tensor, by ONNX Runtime's number.
    Other(i32),
}

const TENSOR: c_int = 1;
const SEQUENCE: c_int = 2;
const MAP: c_int = 3;
/// How deep types may lie in one another. Nobody has a list of lists of maps.
const DEEPEST: usize = 4;

impl Kind {
    /// Reads a type and releases it.
    ///
    /// # Safety
    /// The type is valid, and the caller's to release.
    pub(super) unsafe fn owned(api: &Api, info: *mut TypeInfo, depth: usize) -> Result<Self, Failure> {
        // SAFETY: the caller's promise.
        let kind = unsafe { Self::read(api, info, depth) };
        // SAFETY: it is released once, and not used after.
        unsafe { (api.release_type)(info) };
        kind
    }

    /// # Safety
    /// The type is valid.
    unsafe fn read(api: &Api, info: *const TypeInfo, depth: usize) -> Result<Self, Failure> {
        let mut kind = 0;
        // SAFETY: the type is valid, and so is every place that is written to. What a cast returns lives as long as the type it
        // was cast from; what is released by `owned` was given out to be.
        unsafe {
            api.checked((api.kind_of_type)(info, &raw mut kind))?;
            match kind {
                TENSOR => {
                    let mut shape = ptr::null();
                    api.checked((api.as_tensor_info)(info, &raw mut shape))?;
                    let (datatype, sizes) = shape_of(api, shape)?;
                    let mut names = vec![ptr::null(); sizes.len()];
                    api.checked((api.size_names)(shape, names.as_mut_ptr(), names.len()))?;
                    let name = |it: &*const std::ffi::c_char| match it {
                        it if it.is_null() => String::new(),
                        it => CStr::from_ptr(*it).to_string_lossy().into_owned(),
                    };
                    Ok(Self::Tensor { datatype, shape: sizes, names: names.iter().map(name).collect() })
                }
                SEQUENCE if depth < DEEPEST => {
                    let (mut sequence, mut element) = (ptr::null(), ptr::null_mut());
                    api.checked((api.as_sequence_info)(info, &raw mut sequence))?;
                    api.checked((api.sequence_type)(sequence, &raw mut element))?;
                    Ok(Self::Sequence(Box::new(Self::owned(api, element, depth + 1)?)))
                }
                MAP if depth < DEEPEST => {
                    let (mut map, mut key, mut value) = (ptr::null(), 0, ptr::null_mut());
                    api.checked((api.as_map_info)(info, &raw mut map))?;
                    api.checked((api.map_key_type)(map, &raw mut key))?;
                    api.checked((api.map_value_type)(map, &raw mut value))?;
                    Ok(Self::Map(key, Box::new(Self::owned(api, value, depth + 1)?)))
                }
                other => Ok(Self::Other(other)),
            }
        }
    }
}

/// Reads the element type and the sizes of a tensor.
///
/// # Safety
/// The description is valid.
pub(super) unsafe fn shape_of(api: &Api, info: *const ShapeInfo) -> Result<(i32, Vec<i64>), Failure> {
    let (mut datatype, mut rank) = (0, 0);
    // SAFETY: the description is valid, and so is every place that is written to; there is room for as many sizes as is said.
    unsafe {
        api.checked((api.element_type)(info, &raw mut datatype))?;
        api.checked((api.rank)(info, &raw mut rank))?;
        let mut sizes = vec![0_i64; rank];
        api.checked((api.sizes)(info, sizes.as_mut_ptr(), rank))?;
        Ok((datatype, sizes))
    }
}
