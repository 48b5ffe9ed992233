//! Leaves that are linear in some features (`linear_tree`), of all trees of a model.

use super::Fault;
use super::columns::{Columns, Kind, Lanes};

/// A constant and some terms for each leaf.
#[derive(Default)]
pub(super) struct Linear {
    leaves: Vec<Leaf>,
    /// Of each term, the column it looks at. While trees are planted, the key of the column to be.
    columns: Vec<u32>,
    coefficients: Vec<f64>,
    /// The most terms of a leaf.
    longest: usize,
}

#[derive(Clone, Copy)]
struct Leaf {
    constant: f64,
    /// Where its terms begin and end.
    start: u32,
    end: u32,
}

impl Linear {
    /// Returns the keys of the columns of all terms.
    pub(super) fn columns(&self) -> &[u32] {
        &self.columns
    }

    /// Puts the columns in the place of their keys.
    pub(super) fn settle(&mut self, columns: &Columns) {
        self.columns.iter_mut().for_each(|it| *it = columns.index(*it));
        self.columns.shrink_to_fit();
        self.coefficients.shrink_to_fit();
    }

    /// Makes room for that many terms.
    pub(super) fn reserve(&mut self, terms: usize) {
        self.columns.reserve_exact(terms);
        self.coefficients.reserve_exact(terms);
    }

    /// Returns the most terms that a leaf has.
    pub(super) fn longest(&self) -> usize {
        self.longest
    }

    /// Makes leaves of those that have a value and no terms, as far as there are values.
    pub(super) fn fill(&mut self, values: &[f64]) {
        let end = self.end();
        let rest = values.get(self.leaves.len()..).unwrap_or_default();
        self.leaves.extend(rest.iter().map(|&constant| Leaf { constant, start: end, end }));
    }

    /// Returns where the terms of the last leaf end.
    fn end(&self) -> u32 {
        self.leaves.last().map_or(0, |it| it.end)
    }

    /// Adds a term to the leaf that comes next.
    ///
    /// # Errors
    /// When no model has so many features.
    pub(super) fn term(&mut self, feature: u32) -> Result<(), Fault> {
        let key = Columns::key(feature, Kind::NanLeft);
        self.columns.push(key.ok_or_else(|| Fault::malformed(format!("a leaf looks at feature {feature}")))?);
        Ok(())
    }

    /// Gives the next term that has none its coefficient.
    pub(super) fn coefficient(&mut self, coefficient: f64) {
        self.coefficients.push(coefficient);
    }

    /// Ends a leaf, which has that many terms more than the one before.
    ///
    /// # Errors
    /// When the terms of all leaves are too many to count.
    pub(super) fn leaf(&mut self, constant: f64, terms: usize) -> Result<(), Fault> {
        let start = self.end();
        let end = u32::try_from(terms).ok().and_then(|it| start.checked_add(it));
        let end = end.ok_or_else(|| Fault::malformed("there are more than 2^32 terms in linear leaves"))?;
        self.longest = self.longest.max(terms);
        self.leaves.push(Leaf { constant, start, end });
        Ok(())
    }

    /// Returns whether every term has a leaf and a coefficient.
    pub(super) fn is_whole(&self) -> bool {
        let ended = self.end() as usize;
        ended == self.columns.len() && ended == self.coefficients.len()
    }

    /// Returns what a leaf adds, or `None` where a feature is missing.
    pub(super) fn value(&self, leaf: usize, group: &[Lanes], lane: usize) -> Option<f64> {
        let Leaf { constant, start, end } = self.leaves[leaf];
        let terms = start as usize..end as usize;
        let mut sum = constant;
        for (&column, coefficient) in self.columns[terms.clone()].iter().zip(&self.coefficients[terms]) {
            let value = group[column as usize][lane];
            if value.is_nan() {
                return None;
            }
            sum += coefficient * value;
        }
        Some(sum)
    }
}
