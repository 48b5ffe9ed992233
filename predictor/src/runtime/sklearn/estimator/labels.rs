//! The classes of a classifier, as the labels it was fitted on.

use bytes::Bytes;
use weir_proto::{Data, DataType};

use super::super::numpy::{Array, Elements};
use super::super::refusal::Refusal;
use super::super::view::View;
use super::fitted::Fitted;
use crate::runtime::texts::Texts;

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
        match fitted.need("classes_")? {
            // A list of arrays: one for each of several targets.
            list if list.items().is_some() => {
                Err(fitted.unsupported("with several outputs", "save one model for each output"))
            }
            list => Self::read_from(fitted, list),
        }
    }

    /// Reads the `classes_` of one output.
    pub(super) fn read_from(fitted: &Fitted<'_>, view: View<'_>) -> Result<Self, Refusal> {
        let array = Array::read(view).map_err(|refusal| fitted.about("classes_", refusal))?;
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
            Elements::Texts(values) => {
                view.charge(values.len() * size_of::<Bytes>())?;
                Self::Texts(shared(values))
            }
        })
    }

    /// Returns the one label that stands there by itself, or alone in a list.
    pub(super) fn of(view: View<'_>) -> Option<Self> {
        if let Some(one) = Self::of_scalar(view) {
            return Some(one);
        }
        match view.items() {
            Some(mut items) if items.len() == 1 => Self::of_scalar(items.next()?),
            Some(_) => None,
            None => match Array::read(view).ok()?.elements().ok()? {
                Elements::Bools(it) => Some(Self::Bools(it.into_iter().map(u8::from).collect())),
                Elements::Ints(it) => Some(Self::Ints(it)),
                Elements::Floats(it) => Some(Self::Floats(it)),
                Elements::Texts(it) => Some(Self::Texts(shared(it))),
            },
        }
    }

    fn of_scalar(view: View<'_>) -> Option<Self> {
        let text =
            |it: std::borrow::Cow<'_, str>| Self::Texts(vec![Bytes::from(it.into_owned().into_bytes())]);
        view.string().map(text).or_else(|| view.number().map(|it| Self::Floats(vec![it])))
    }

    /// Returns the place of each of `other`'s labels among these; `None` where one is not there.
    pub(super) fn places(&self, other: &Self) -> Option<Vec<u32>> {
        let place = |at: Option<usize>| at.and_then(|at| u32::try_from(at).ok());
        if let (Self::Texts(these), Self::Texts(those)) = (self, other) {
            return those.iter().map(|label| place(these.iter().position(|it| it == label))).collect();
        }
        let (these, those) = (self.numbers()?, other.numbers()?);
        those.iter().map(|label| place(these.iter().position(|it| it == label))).collect()
    }

    /// Returns labels that are places among `count` classes, as those of a model fitted on encoded classes.
    pub(super) fn as_places(&self, count: usize) -> Option<Vec<u32>> {
        let place = |it: f64| (it.fract() == 0.0 && it >= 0.0 && it < count as f64).then_some(it as u32);
        self.numbers()?.into_iter().map(place).collect()
    }

    /// Returns the labels as numbers, where they are.
    pub(super) fn numbers(&self) -> Option<Vec<f64>> {
        match self {
            Self::Bools(it) => Some(it.iter().map(|&it| it.into()).collect()),
            Self::Ints(it) => Some(it.iter().map(|&it| it as f64).collect()),
            Self::Floats(it) => Some(it.clone()),
            Self::Texts(_) => None,
        }
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

/// Returns texts as parts of one allocation.
fn shared(texts: Texts) -> Vec<Bytes> {
    let (bytes, ends) = texts.into_parts();
    let mut rest = Bytes::from(bytes);
    let mut start = 0;
    let part = |end: u32| {
        let part = rest.split_to((end - start) as usize);
        start = end;
        part
    };
    ends.into_iter().map(part).collect()
}

/// Puts columns of one kind side by side, row-major.
pub(super) fn interleave(columns: &[Data], rows: usize) -> Data {
    macro_rules! mixed {
        ($variant:ident) => {{
            let mut all = Vec::with_capacity(rows * columns.len());
            for row in 0..rows {
                for column in columns {
                    if let Data::$variant(values) = column {
                        all.push(values[row].clone());
                    }
                }
            }
            all
        }};
    }
    match columns.first() {
        Some(Data::Bool(_)) => Data::Bool(mixed!(Bool).into()),
        Some(Data::Int64(_)) => Data::Int64(mixed!(Int64).into()),
        Some(Data::Bytes(_)) => Data::Bytes(mixed!(Bytes)),
        _ => Data::Fp64(mixed!(Fp64).into()),
    }
}
