//! numpy's part of a pickle: the description of elements, arrays, scalars.

mod array;
mod dtype;
mod texts;

pub(crate) use array::{Array, Elements, scalar, scalar_text};
pub(crate) use dtype::{Dtype, Kind};
pub(crate) use texts::texts_of;
