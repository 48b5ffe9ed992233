//! The categories of a column, and the place of a value among them.

use weir_proto::Error;

use super::super::numpy::{Array, Elements};
use super::super::refusal::Refusal;
use super::super::view::View;
use super::fitted::Fitted;
use super::{Cell, Column};
use crate::runtime::texts::{Lexicon, Texts};

/// The categories of one column.
pub(super) enum Categories {
    Numbers(Numbers),
    Texts(Lexicon),
}

/// Numbers that are looked up.
pub(super) struct Numbers {
    /// Ascending, the two zeros as one, NaN last.
    values: Vec<f64>,
    /// The place of each, where they were in another order.
    places: Vec<u32>,
}

impl Numbers {
    fn new(mut values: Vec<f64>) -> Self {
        values.iter_mut().for_each(|it| *it = plain(*it));
        if values.is_sorted_by(|a, b| a.total_cmp(b).is_le()) {
            return Self { values, places: Vec::new() };
        }
        let mut places: Vec<u32> = (0..values.len() as u32).collect();
        places.sort_unstable_by(|&a, &b| values[a as usize].total_cmp(&values[b as usize]));
        let values = places.iter().map(|&at| values[at as usize]).collect();
        Self { values, places }
    }

    fn is_distinct(&self) -> bool {
        self.values.windows(2).all(|it| it[0].total_cmp(&it[1]).is_lt())
    }

    fn get(&self, value: f64) -> Option<usize> {
        let value = plain(value);
        let at = self.values.binary_search_by(|it| it.total_cmp(&value)).ok()?;
        Some(self.places.get(at).map_or(at, |it| *it as usize))
    }
}

/// Equal numbers have equal bits: the two zeros are one, and so are all NaNs.
fn plain(value: f64) -> f64 {
    if value.is_nan() { f64::NAN } else { value + 0.0 }
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
        let about = |refusal| fitted.about("categories_", refusal);
        let array = Array::read(view).map_err(about)?;
        let is_missing = |it: &View<'_>| it.is_none() || it.number().is_some_and(f64::is_nan);
        let Some(members) = array.members() else { return Self::read(fitted, view) };
        let members: Vec<View<'_>> = members.collect();
        let missing = members.iter().rev().take_while(|it| is_missing(it)).count();
        drop(members);
        match array.texts_but(missing).map_err(about)?.filter(|it| it.len() > 0) {
            Some(texts) => Self::of_texts(view, texts),
            None => Self::read(fitted, view),
        }
    }

    fn of_texts(view: View<'_>, texts: Texts) -> Result<Self, Refusal> {
        view.charge(Lexicon::cost(texts.len()))?;
        Ok(Self::Texts(Lexicon::new(texts)))
    }

    fn read(fitted: &Fitted<'_>, view: View<'_>) -> Result<Self, Refusal> {
        let array = Array::read(view).map_err(|refusal| fitted.about("categories_", refusal))?;
        let elements = array.elements().map_err(|refusal| fitted.about("categories_", refusal))?;
        let numbers = |values: Vec<f64>| Self::Numbers(Numbers::new(values));
        let categories = match elements {
            Elements::Bools(values) => {
                numbers(values.into_iter().map(|it| f64::from(u8::from(it))).collect())
            }
            Elements::Ints(values) => numbers(values.into_iter().map(|it| it as f64).collect()),
            Elements::Floats(values) => numbers(values),
            Elements::Texts(values) => Self::of_texts(view, values)?,
        };
        let distinct = match &categories {
            Self::Numbers(it) => it.is_distinct(),
            Self::Texts(it) => it.is_distinct(),
        };
        if !distinct {
            return Err(fitted.malformed("has a category twice"));
        }
        Ok(categories)
    }

    pub(super) fn len(&self) -> usize {
        match self {
            Self::Numbers(it) => it.values.len(),
            Self::Texts(it) => it.len(),
        }
    }

    /// Returns what the column holds.
    pub(super) fn cell(&self) -> Cell {
        match self {
            Self::Numbers(_) => Cell::Number,
            Self::Texts(_) => Cell::Text,
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
            (Self::Numbers(numbers), Column::Numbers(values)) => values
                .iter()
                .map(|&value| match numbers.get(value) {
                    Some(place) => Ok(known(place)),
                    None => unknown(&value.to_string()),
                })
                .collect(),
            (Self::Texts(texts), Column::Texts(values)) => values
                .iter()
                .map(|value| match texts.get(value) {
                    Some(place) => Ok(known(place as usize)),
                    None => unknown(&String::from_utf8_lossy(value)),
                })
                .collect(),
            (Self::Numbers(_), Column::Texts(_)) => {
                Err(Error::invalid(format!("column {at} holds strings, the model takes numbers there")))
            }
            (Self::Texts(_), Column::Numbers(_)) => {
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
