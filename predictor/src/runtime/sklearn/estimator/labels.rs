//! The classes of a classifier, as the labels it was fitted on.

use bytes::Bytes;
use weir_proto::{Data, DataType};

use super::super::numpy::Elements;
use super::super::refusal::Refusal;
use super::fitted::Fitted;

/// The labels, in the order of `classes_`, in the type that numpy would answer with.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Labels {
    Bools(Vec<u8>),
    Ints(Vec<i64>),
    Floats(Vec<f64>),
    Texts(Vec<Bytes>),
}

impl Labels {
    /// Reads `classes_`.
    pub(super) fn read(fitted: &Fitted<'_>) -> Result<Self, Refusal> {
        let array = match fitted.need("classes_")? {
            // A list of arrays: one for each of several targets.
            list if list.items().is_some() => {
                return Err(fitted.unsupported("with several outputs", "save one model for each output"));
            }
            _ => fitted.array("classes_")?,
        };
        if array.shape.len() != 1 || array.len() == 0 {
            return Err(fitted.malformed(format!(
                "has a `classes_` of shape {:?}, a list of classes is expected",
                array.shape
            )));
        }
        Ok(match array.elements()? {
            Elements::Bools(values) => Self::Bools(values.into_iter().map(u8::from).collect()),
            Elements::Ints(values) => Self::Ints(values),
            Elements::Floats(values) => Self::Floats(values),
            Elements::Texts(values) => Self::Texts(values.into_iter().map(Bytes::from).collect()),
        })
    }

    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Bools(it) => it.len(),
            Self::Ints(it) => it.len(),
            Self::Floats(it) => it.len(),
            Self::Texts(it) => it.len(),
        }
    }

    /// Returns the labels as texts.
    pub(crate) fn texts(&self) -> Vec<String> {
        match self {
            Self::Bools(it) => it.iter().map(|&it| (it != 0).to_string()).collect(),
            Self::Ints(it) => it.iter().map(ToString::to_string).collect(),
            Self::Floats(it) => it.iter().map(ToString::to_string).collect(),
            Self::Texts(it) => it.iter().map(|it| String::from_utf8_lossy(it).into_owned()).collect(),
        }
    }

    pub(crate) fn datatype(&self) -> DataType {
        match self {
            Self::Bools(_) => DataType::Bool,
            Self::Ints(_) => DataType::Int64,
            Self::Floats(_) => DataType::Fp64,
            Self::Texts(_) => DataType::Bytes,
        }
    }

    /// Returns the labels of those indices, each below [`Labels::len`].
    pub(crate) fn take(&self, indices: &[u32]) -> Data {
        let at = |index: &u32| *index as usize;
        match self {
            Self::Bools(it) => Data::Bool(indices.iter().map(|i| it[at(i)]).collect::<Vec<_>>().into()),
            Self::Ints(it) => Data::Int64(indices.iter().map(|i| it[at(i)]).collect::<Vec<_>>().into()),
            Self::Floats(it) => Data::Fp64(indices.iter().map(|i| it[at(i)]).collect::<Vec<_>>().into()),
            Self::Texts(it) => Data::Bytes(indices.iter().map(|i| it[at(i)].clone()).collect()),
        }
    }
}
