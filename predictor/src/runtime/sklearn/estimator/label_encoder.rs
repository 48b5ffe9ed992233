//! `LabelEncoder` as a model of its own: the place of each label among the sorted classes.

use bytes::Bytes;
use weir_proto::{Data, DataType, Error};

use super::super::numpy::Elements;
use super::super::refusal::Refusal;
use super::fitted::Fitted;
use super::registry::{Class, Family};
use crate::runtime::texts::Lexicon;

use super::{Batch, Cell, Column, Labels, Method, Offer, Predictor, Steps, Takes};

pub(crate) static FAMILY: Family = Family {
    title: "Labels",
    classes: &[Class {
        name: "LabelEncoder",
        modules: &["sklearn.preprocessing._label", "sklearn.preprocessing.label"],
        read,
    }],
};

/// Beyond this whole numbers are not told apart as floats.
const LARGEST: i64 = 1 << 53;

fn read(fitted: &Fitted<'_>, steps: &mut Steps) -> Result<(), Refusal> {
    let texts = fitted.array("classes_")?;
    if texts.shape.len() == 1
        && let Elements::Texts(texts) = texts.elements()?
    {
        fitted.itself().charge(Lexicon::cost(texts.len()))?;
        let classes = Classes::Texts(Lexicon::new(texts));
        return steps.add_predictor(fitted, Box::new(LabelEncoder { classes }));
    }
    let classes = match Labels::read(fitted)? {
        Labels::Ints(ints) if ints.iter().any(|it| !(-LARGEST..=LARGEST).contains(it)) => {
            return Err(fitted.unsupported("of whole numbers beyond 2^53", "encode them as texts"));
        }
        numbers => Classes::Numbers(numbers.numbers().unwrap_or_default()),
    };
    steps.add_predictor(fitted, Box::new(LabelEncoder { classes }))
}

enum Classes {
    Texts(Lexicon),
    /// Sorted.
    Numbers(Vec<f64>),
}

struct LabelEncoder {
    classes: Classes,
}

impl LabelEncoder {
    fn place_of_number(classes: &[f64], label: f64) -> Result<i64, Error> {
        // numpy sorts NaN behind all others.
        let place = match label.is_nan() {
            true => classes.last().filter(|it| it.is_nan()).map(|_| classes.len() - 1),
            false => {
                Some(classes.partition_point(|it| *it < label)).filter(|&at| classes.get(at) == Some(&label))
            }
        };
        place.map(|at| at as i64).ok_or_else(|| unseen(&label.to_string()))
    }
}

fn unseen(label: &str) -> Error {
    let label: String = label.chars().take(60).collect();
    Error::invalid(format!(
        "y contains previously unseen labels: `{label}`; expected one that the model was fitted on"
    ))
}

impl Predictor for LabelEncoder {
    fn features(&self) -> usize {
        1
    }

    fn takes(&self) -> Takes {
        match self.classes {
            Classes::Texts(_) => Takes::Text,
            Classes::Numbers(_) => Takes::Table(vec![Cell::Number]),
        }
    }

    fn offers(&self) -> Vec<Offer> {
        vec![Offer { method: Method::Transform, datatype: DataType::Int64, width: None, labels: Vec::new() }]
    }

    fn predict(&self, batch: &Batch<'_>, wanted: &[Method]) -> Result<Vec<Data>, Error> {
        let columns = batch.columns()?;
        let places: Vec<i64> = match (&self.classes, columns.first()) {
            (Classes::Texts(classes), Some(Column::Texts(labels))) => {
                let place = |label: &Bytes| classes.get(label).map(i64::from);
                let found =
                    labels.iter().map(|it| place(it).ok_or_else(|| unseen(&String::from_utf8_lossy(it))));
                found.collect::<Result<_, _>>()?
            }
            (Classes::Numbers(classes), Some(Column::Numbers(labels))) => {
                labels.iter().map(|&it| Self::place_of_number(classes, it)).collect::<Result<_, _>>()?
            }
            _ => return Err(Error::invalid("the labels are of another kind than the model was fitted on")),
        };
        Ok(wanted.iter().map(|_| Data::Int64(places.clone().into())).collect())
    }

    fn row_ns(&self) -> f64 {
        30.0
    }
}

#[cfg(test)]
mod tests {
    use super::LabelEncoder;

    #[test]
    fn numbers_are_found_and_others_named() {
        let classes = [-1.0, 0.0, 2.5, f64::NAN];
        let found = |label| LabelEncoder::place_of_number(&classes, label);
        assert_eq!([found(-1.0), found(2.5), found(f64::NAN)].map(Result::unwrap), [0, 2, 3]);
        assert!(found(1.0).unwrap_err().message.contains("previously unseen labels: `1`"));
        assert!(LabelEncoder::place_of_number(&classes[..3], f64::NAN).is_err());
        assert!(LabelEncoder::place_of_number(&classes[..3], 3.0).is_err());
    }
}
