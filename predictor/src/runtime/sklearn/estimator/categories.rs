//! The categories of a column, and the place of a value among them.

use std::collections::HashMap;

use bytes::Bytes;
use weir_proto::Error;

use super::super::numpy::{Array, Elements};
use super::super::refusal::Refusal;
use super::super::view::View;
use super::fitted::Fitted;
use super::{Cell, Column};

/// The categories of one column.
pub(super) enum Categories {
    Numbers { places: HashMap<u64, usize>, count: usize },
    Texts { places: HashMap<Bytes, usize>, count: usize },
}

/// Equal numbers have equal bits: the two zeros are one, and so are all NaNs.
fn bits(value: f64) -> u64 {
    if value.is_nan() { f64::NAN.to_bits() } else { (value + 0.0).to_bits() }
}

impl Categories {
    /// Reads `categories_`: an array for each column.
    pub(super) fn read_all(fitted: &Fitted<'_>) -> Result<Vec<Self>, Refusal> {
        let list = fitted.need("categories_")?;
        let items =
            list.items().ok_or_else(|| fitted.malformed(format!("has {} for `categories_`", list.kind())))?;
        items.map(|it| Self::read(fitted, it)).collect()
    }

    /// Reads the categories of one column, but for those that stand for missing values, which come last.
    pub(super) fn read_present(fitted: &Fitted<'_>, view: View<'_>) -> Result<Self, Refusal> {
        let array = Array::read(view).map_err(|refusal| fitted.about("categories_", refusal))?;
        let Some(members) = array.members() else { return Self::read(fitted, view) };
        let mut members: Vec<View<'_>> = members.collect();
        while members.last().is_some_and(|it| it.is_none() || it.number().is_some_and(f64::is_nan)) {
            members.pop();
        }
        let text = |it: &View<'_>| it.string().map(|it| Bytes::from(it.into_owned().into_bytes()));
        let texts: Option<Vec<Bytes>> = members.iter().map(text).collect();
        match texts {
            Some(texts) if !texts.is_empty() => {
                let count = texts.len();
                let places = texts.into_iter().enumerate().map(|(at, text)| (text, at)).collect();
                Ok(Self::Texts { places, count })
            }
            Some(_) | None => Self::read(fitted, view),
        }
    }

    fn read(fitted: &Fitted<'_>, view: View<'_>) -> Result<Self, Refusal> {
        let array = Array::read(view).map_err(|refusal| fitted.about("categories_", refusal))?;
        let elements = array.elements().map_err(|refusal| fitted.about("categories_", refusal))?;
        let numbers = |values: Vec<f64>| Self::Numbers {
            count: values.len(),
            places: values.iter().enumerate().map(|(at, &value)| (bits(value), at)).collect(),
        };
        let categories = match elements {
            Elements::Bools(values) => {
                numbers(values.into_iter().map(|it| f64::from(u8::from(it))).collect())
            }
            Elements::Ints(values) => numbers(values.into_iter().map(|it| it as f64).collect()),
            Elements::Floats(values) => numbers(values),
            Elements::Texts(values) => Self::Texts {
                count: values.len(),
                places: values.into_iter().enumerate().map(|(at, value)| (Bytes::from(value), at)).collect(),
            },
        };
        if categories.places() != categories.len() {
            return Err(fitted.malformed("has a category twice"));
        }
        Ok(categories)
    }

    fn places(&self) -> usize {
        match self {
            Self::Numbers { places, .. } => places.len(),
            Self::Texts { places, .. } => places.len(),
        }
    }

    pub(super) fn len(&self) -> usize {
        match self {
            Self::Numbers { count, .. } | Self::Texts { count, .. } => *count,
        }
    }

    /// Returns what the column holds.
    pub(super) fn cell(&self) -> Cell {
        match self {
            Self::Numbers { .. } => Cell::Number,
            Self::Texts { .. } => Cell::Text,
        }
    }

    /// Returns the place of each value of a column; `unknown` says what a value that is none of them becomes. `at` is the
    /// column's own place, for messages.
    ///
    /// # Errors
    /// `InvalidInput` for a column of the other kind, or by `unknown`.
    pub(super) fn find<T>(
        &self,
        column: &Column<'_>,
        at: usize,
        known: impl Fn(usize) -> T,
        unknown: impl Fn(&str) -> Result<T, Error>,
    ) -> Result<Vec<T>, Error> {
        match (self, column) {
            (Self::Numbers { places, .. }, Column::Numbers(values)) => values
                .iter()
                .map(|&value| match places.get(&bits(value)) {
                    Some(&place) => Ok(known(place)),
                    None => unknown(&value.to_string()),
                })
                .collect(),
            (Self::Texts { places, .. }, Column::Texts(values)) => values
                .iter()
                .map(|value| match places.get(value) {
                    Some(&place) => Ok(known(place)),
                    None => unknown(&String::from_utf8_lossy(value)),
                })
                .collect(),
            (Self::Numbers { .. }, Column::Texts(_)) => {
                Err(Error::invalid(format!("column {at} holds strings, the model takes numbers there")))
            }
            (Self::Texts { .. }, Column::Numbers(_)) => {
                Err(Error::invalid(format!("column {at} holds numbers, the model takes strings there")))
            }
        }
    }
}

/// The error of a value that is no category.
pub(super) fn unknown(value: &str, at: usize) -> Error {
    let shown: String = value.chars().take(60).collect();
    Error::invalid(format!(
        "column {at} holds `{shown}`, which is none of the categories the model was fitted on"
    ))
}
