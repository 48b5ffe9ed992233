//! What operators take and give: tensors as everywhere, lent or owned, and the checks before something is made of them.

use std::borrow::Cow;
use std::cell::Cell;

use weir_sdk::{Data, DataType, Tensor};

/// Why an operator cannot compute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Trouble {
    /// Its inputs do not fit: a caller can mend that.
    Input(String),
    /// This build does not know how.
    Unserved(String),
}

impl From<String> for Trouble {
    fn from(text: String) -> Self {
        Self::Input(text)
    }
}

impl From<&str> for Trouble {
    fn from(text: &str) -> Self {
        Self::Input(text.to_owned())
    }
}

impl Trouble {
    pub(super) fn text(&self) -> &str {
        match self {
            Self::Input(text) | Self::Unserved(text) => text,
        }
    }
}

pub(super) type Outcome<T> = Result<T, Trouble>;

/// What computes the outputs of a node out of its inputs.
pub(super) type Run = Box<dyn Fn(&mut Args<'_>) -> Outcome<Vec<Tensor>> + Send + Sync>;

/// The inputs of a node.
pub(super) struct Args<'a> {
    pub(super) values: Vec<Option<Cow<'a, Tensor>>>,
    /// The most elements that a tensor may have.
    pub(super) limit: usize,
    /// How many nodes may still be computed: a loop in a loop would never end.
    pub(super) fuel: &'a Cell<u64>,
}

/// How many nodes a prediction may compute, all rounds of all loops together.
pub(super) const FUEL: u64 = 1 << 26;

impl Args<'_> {
    /// Returns an input.
    pub(super) fn get(&self, at: usize) -> Outcome<&Tensor> {
        self.optional(at).ok_or_else(|| format!("its input {at} is left out").into())
    }

    /// Returns an input that may be left out.
    pub(super) fn optional(&self, at: usize) -> Option<&Tensor> {
        self.values.get(at)?.as_deref()
    }

    /// Takes an input away: without a copy where nobody else needs it.
    pub(super) fn take(&mut self, at: usize) -> Outcome<Tensor> {
        let value = self.values.get_mut(at).and_then(Option::take);
        value.map(Cow::into_owned).ok_or_else(|| format!("its input {at} is left out").into())
    }

    /// Checks that a tensor of that shape may be made, and returns how many elements it has.
    pub(super) fn allow(&self, shape: &[usize]) -> Outcome<usize> {
        allow(shape, self.limit)
    }
}

/// Checks that a tensor of that shape may be made, and returns how many elements it has.
pub(super) fn allow(shape: &[usize], limit: usize) -> Outcome<usize> {
    let count = weir_sdk::proto::tensor::elements(shape).filter(|&it| it <= limit);
    if shape.len() > weir_sdk::proto::tensor::MAX_RANK {
        return Err(format!("a tensor of {} sizes would come of it", shape.len()).into());
    }
    count.ok_or_else(|| {
        format!("a tensor of the shape {shape:?} would come of it, the limit is {limit} elements").into()
    })
}

/// A tensor without a name: those within a graph have none.
pub(super) fn tensor(shape: impl Into<Vec<usize>>, data: Data) -> Tensor {
    Tensor::new(String::new(), shape, data)
}

/// A tensor of singles.
pub(super) fn singles(shape: impl Into<Vec<usize>>, values: Vec<f32>) -> Tensor {
    tensor(shape, Data::Fp32(values.into()))
}

/// A tensor of integers.
pub(super) fn integers(shape: impl Into<Vec<usize>>, values: Vec<i64>) -> Tensor {
    tensor(shape, Data::Int64(values.into()))
}

/// Makes new elements of the same type: the expression sees a slice of them and gives a vector.
macro_rules! same {
    ($data:expr, $values:ident => $made:expr) => {
        match $data {
            Data::Bool($values) => Data::Bool($made.into()),
            Data::Uint8($values) => Data::Uint8($made.into()),
            Data::Uint16($values) => Data::Uint16($made.into()),
            Data::Uint32($values) => Data::Uint32($made.into()),
            Data::Uint64($values) => Data::Uint64($made.into()),
            Data::Int8($values) => Data::Int8($made.into()),
            Data::Int16($values) => Data::Int16($made.into()),
            Data::Int32($values) => Data::Int32($made.into()),
            Data::Int64($values) => Data::Int64($made.into()),
            Data::Fp16($values) => Data::Fp16($made.into()),
            Data::Bf16($values) => Data::Bf16($made.into()),
            Data::Fp32($values) => Data::Fp32($made.into()),
            Data::Fp64($values) => Data::Fp64($made.into()),
            Data::Bytes($values) => Data::Bytes($made),
        }
    };
}
pub(super) use same;

/// The elements at these places, which the caller has checked.
pub(super) fn at_places<T: Clone>(values: &[T], places: impl Iterator<Item = usize>) -> Vec<T> {
    places.map(|at| values[at].clone()).collect()
}

/// Makes new elements out of those of several tensors of one type. The expression sees a list of slices and gives a vector.
pub(super) fn same_of_all(all: &[&Data], join: &impl Join) -> Outcome<Data> {
    macro_rules! joined {
        ($($variant:ident)*) => {
            match all.first() {
                $(Some(Data::$variant(_)) => {
                    let slices: Option<Vec<_>> = all.iter().map(|it| match it {
                        Data::$variant(values) => Some(&values[..]),
                        _ => None,
                    }).collect();
                    let slices = slices.ok_or("its inputs differ in their element types")?;
                    Ok(Data::$variant(join.join(&slices).into()))
                })*
                None => Err("it has no inputs".into()),
            }
        };
    }
    joined!(Bool Uint8 Uint16 Uint32 Uint64 Int8 Int16 Int32 Int64 Fp16 Bf16 Fp32 Fp64 Bytes)
}

/// What [`same_of_all`] does, whatever the type.
pub(super) trait Join {
    fn join<T: Clone + Default>(&self, slices: &[&[T]]) -> Vec<T>;
}

/// Returns numbers as singles: borrowed where they are. Half floats are widened.
pub(super) fn as_singles(tensor: &Tensor) -> Outcome<Cow<'_, [f32]>> {
    Ok(match &tensor.data {
        Data::Fp32(values) => Cow::Borrowed(&values[..]),
        Data::Int64(values) => Cow::Owned(values.iter().map(|&it| it as f32).collect()),
        Data::Int32(values) => Cow::Owned(values.iter().map(|&it| it as f32).collect()),
        other => {
            let values = other.to_f64().ok_or("it takes numbers, met texts")?;
            Cow::Owned(values.into_iter().map(|it| it as f32).collect())
        }
    })
}

/// Returns numbers as doubles: borrowed where they are.
pub(super) fn as_doubles(tensor: &Tensor) -> Outcome<Cow<'_, [f64]>> {
    Ok(match &tensor.data {
        Data::Fp64(values) => Cow::Borrowed(&values[..]),
        other => Cow::Owned(other.to_f64().ok_or("it takes numbers, met texts")?),
    })
}

/// Returns whole numbers, as shapes, axes and indices are: borrowed where they are.
pub(super) fn as_integers(tensor: &Tensor) -> Outcome<Cow<'_, [i64]>> {
    Ok(match &tensor.data {
        Data::Int64(values) => Cow::Borrowed(&values[..]),
        Data::Int32(values) => Cow::Owned(values.iter().map(|&it| it.into()).collect()),
        Data::Int8(values) => Cow::Owned(values.iter().map(|&it| it.into()).collect()),
        Data::Uint8(values) | Data::Bool(values) => Cow::Owned(values.iter().map(|&it| it.into()).collect()),
        other => return Err(format!("it takes whole numbers there, met {}", other.datatype()).into()),
    })
}

/// Returns the rows and columns of a matrix; a vector is one row, and what has more sizes is taken as rows of all else.
pub(super) fn matrix(tensor: &Tensor) -> (usize, usize) {
    match tensor.shape.as_slice() {
        [] => (1, 1),
        [width] => (1, *width),
        [rows, others @ ..] => (*rows, others.iter().product()),
    }
}

/// Returns the place of an axis that may be counted from the end.
pub(super) fn axis(axis: i64, rank: usize) -> Outcome<usize> {
    let wrapped = if axis < 0 { axis.saturating_add(rank as i64) } else { axis };
    let found = usize::try_from(wrapped).ok().filter(|&it| it < rank.max(1));
    found.ok_or_else(|| format!("its axis is {axis}, the tensor has {rank}").into())
}

pub(super) fn unserved(datatype: DataType) -> Trouble {
    Trouble::Unserved(format!("of {datatype}"))
}
