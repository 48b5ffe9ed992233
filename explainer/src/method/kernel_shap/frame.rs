//! The instances of a request and the background they are compared with, in one table, and batches of rows mixed from it in
//! the very form the client's request had.

use std::collections::HashMap;

use bytes::Bytes;
use weir_proto::{Data, DataType, Error, InferRequest, Tensor};

use super::bind::bind;
use super::number::{canonical, is_integer, numbers};
use super::random::Key;
use crate::background::{Background, Column};

/// A table whose first rows are the background and whose other rows are the instances.
#[derive(Debug)]
pub(super) struct Frame {
    /// How many rows are background.
    pub(super) background: usize,
    /// How many rows are instances; at least one.
    pub(super) instances: usize,
    form: Form,
    /// In the background's order of features.
    features: Vec<Feature>,
}

/// How the client sent its rows.
#[derive(Debug)]
pub(super) enum Form {
    /// One tensor `[rows, features]`.
    Matrix { name: String, datatype: DataType },
    /// A tensor a feature, `[rows]` or `[rows, 1]`; in which order.
    Columns { order: Vec<usize> },
}

/// One column of the table.
#[derive(Debug)]
pub(super) struct Feature {
    values: Column,
    /// Equal for equal values, different for different ones.
    codes: Vec<u32>,
    /// Of the tensor, where each feature has its own.
    tensor: Header,
}

/// What a tensor is beside its rows.
#[derive(Debug, Clone)]
pub(super) struct Header {
    /// Its name.
    pub(super) name: String,
    /// Its element type.
    pub(super) datatype: DataType,
    /// Its sizes after the first.
    pub(super) inner: Vec<usize>,
}

impl Frame {
    /// Puts the instances of a request under the background.
    ///
    /// # Errors
    /// `InvalidInput` when the features differ from the background's in number, name or kind.
    pub(super) fn new(request: &InferRequest, background: &Background) -> Result<Self, Error> {
        let (form, features) = bind(request, background)?;
        Ok(Self { background: background.rows(), instances: request.rows(), form, features })
    }

    /// Returns how many features there are.
    pub(super) fn features(&self) -> usize {
        self.features.len()
    }

    /// Returns the codes of a feature's values, row by row.
    pub(super) fn codes(&self, feature: usize) -> &[u32] {
        &self.features[feature].codes
    }

    /// Returns the row of an instance.
    pub(super) fn row_of(&self, instance: usize) -> usize {
        self.background + instance
    }

    /// Returns the features of an instance that differ from the background in some row.
    pub(super) fn varying(&self, instance: usize) -> Vec<usize> {
        let row = self.row_of(instance);
        let varies = |codes: &[u32]| codes[..self.background].iter().any(|&code| code != codes[row]);
        (0..self.features()).filter(|&feature| varies(self.codes(feature))).collect()
    }

    /// Returns a key made of the values of an instance.
    pub(super) fn key(&self, seed: u64, instance: usize) -> Key {
        let row = self.row_of(instance);
        self.features.iter().fold(Key::new(seed), |key, feature| match &feature.values {
            Column::Numbers(values) => key.with(canonical(values[row])),
            Column::Text(values) => key.with_text(&values[row]),
        })
    }

    /// Returns a value of an instance, for the explanation.
    pub(super) fn value(&self, feature: usize, instance: usize) -> Value<'_> {
        let row = self.row_of(instance);
        match &self.features[feature].values {
            Column::Text(values) => Value::Text(&values[row]),
            Column::Numbers(values) if is_integer(self.datatype(feature)) => {
                Value::Integer(values[row] as i64)
            }
            Column::Numbers(values) => Value::Number(values[row]),
        }
    }

    fn datatype(&self, feature: usize) -> DataType {
        match &self.form {
            Form::Matrix { datatype, .. } => *datatype,
            Form::Columns { .. } => self.features[feature].tensor.datatype,
        }
    }

    /// Makes a batch of `rows` rows; `source` tells for a row and a feature from which row of the table its value comes.
    pub(super) fn batch(&self, rows: usize, source: impl Fn(usize, usize) -> usize) -> Vec<Tensor> {
        match &self.form {
            Form::Matrix { name, datatype } => {
                let width = self.features.len();
                let mut matrix = vec![0.0; rows * width];
                for (at, feature) in self.features.iter().enumerate() {
                    let Column::Numbers(values) = &feature.values else { continue };
                    let cells = matrix.iter_mut().skip(at).step_by(width).enumerate();
                    cells.for_each(|(row, cell)| *cell = values[source(row, at)]);
                }
                vec![Tensor::new(name.as_str(), [rows, width], numbers(*datatype, matrix))]
            }
            Form::Columns { order } => {
                order.iter().map(|&at| self.features[at].tensor(rows, |row| source(row, at))).collect()
            }
        }
    }
}

impl Feature {
    /// Takes the background's values, then the instances'.
    pub(super) fn new(values: Column, tensor: Header) -> Self {
        Self { codes: codes(&values), values, tensor }
    }

    fn tensor(&self, rows: usize, source: impl Fn(usize) -> usize) -> Tensor {
        let data = match &self.values {
            Column::Numbers(values) => {
                numbers(self.tensor.datatype, (0..rows).map(|row| values[source(row)]).collect())
            }
            Column::Text(values) => Data::Bytes((0..rows).map(|row| values[source(row)].clone()).collect()),
        };
        let shape: Vec<usize> = std::iter::once(rows).chain(self.tensor.inner.iter().copied()).collect();
        Tensor::new(self.tensor.name.as_str(), shape, data)
    }
}

/// A value of an instance, as the explanation shows it.
#[derive(Debug, Clone, Copy)]
pub(super) enum Value<'a> {
    /// Of an integer feature.
    Integer(i64),
    /// Of any other feature of numbers.
    Number(f64),
    /// Of a category.
    Text(&'a Bytes),
}

fn codes(values: &Column) -> Vec<u32> {
    fn number<K: Eq + std::hash::Hash>(keys: impl Iterator<Item = K>) -> Vec<u32> {
        let mut seen = HashMap::new();
        keys.map(|key| {
            let next = seen.len() as u32;
            *seen.entry(key).or_insert(next)
        })
        .collect()
    }
    match values {
        Column::Numbers(values) => number(values.iter().map(|&value| canonical(value))),
        Column::Text(values) => number(values.iter()),
    }
}
