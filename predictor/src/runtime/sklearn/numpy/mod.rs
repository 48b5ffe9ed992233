//! numpy's part of a pickle: the description of elements, arrays, scalars.

mod array;
mod dtype;

pub(crate) use array::{Array, Elements, scalar};
pub(crate) use dtype::{Dtype, Kind};
