//! What trees look at: of each row the features that are tested, in the way that tests ask for.
//!
//! Tests compare integers in the order of the singles that they stand for, which takes less time. A missing value is the least or
//! the greatest of all, as its column says, so a test asks nothing but `>=`. A category is a number that is in a set or not.

use std::collections::HashMap;

/// Rows of a group, which go side by side.
pub(super) const ABREAST: usize = 16;
/// Cells that the bytes can tell apart: so many are there to be looked at, used or not, that no step has to check it.
pub(super) const NARROW: usize = 256;
/// A missing value where it goes left, and where it goes right.
pub(super) const MISSING: [i32; 2] = [i32::MIN, i32::MAX - 1];
/// The first integer that is not a category: from here on a single is no longer exact.
pub(super) const CATEGORY_LIMIT: u32 = 1 << 24;
/// Keys up to here have their place in a table.
const NEAR: usize = 1 << 16;
const NONE: u32 = u32::MAX;

/// A column of a group of rows.
pub(super) type Lanes = [i32; ABREAST];

/// A feature in one of the ways it is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Column {
    pub(super) feature: u32,
    /// A missing value passes.
    pub(super) missing_right: bool,
    pub(super) category: bool,
}

impl Column {
    fn key(self) -> u64 {
        u64::from(self.feature) << 2 | u64::from(self.category) << 1 | u64::from(self.missing_right)
    }
}

/// The columns, each once.
#[derive(Default)]
pub(super) struct Columns {
    list: Vec<Column>,
    near: Vec<u32>,
    far: HashMap<u64, u32>,
    /// The first number that no set holds. The next one is a missing value that goes right, which every set holds.
    limit: u32,
    /// Behind a column of categories as many more: in each a bit for 32 of them.
    words: usize,
}

impl Columns {
    /// Returns the index of a column.
    pub(super) fn index(&mut self, column: Column) -> u32 {
        // There are no more columns than nodes, which are counted with 32 bits.
        let fresh = self.list.len() as u32;
        let key = column.key();
        let place = match usize::try_from(key) {
            Ok(near) if near < NEAR => {
                if self.near.len() <= near {
                    self.near.resize((near + 1).next_power_of_two(), NONE);
                }
                &mut self.near[near]
            }
            _ => self.far.entry(key).or_insert(NONE),
        };
        if *place == NONE {
            *place = fresh;
            self.list.push(column);
        }
        *place
    }

    /// Ends the naming of columns. Categories below the limit are told apart; each of their columns gets so many more behind it.
    /// Returns the new index of each column.
    pub(super) fn settle(&mut self, limit: u32, words: usize) -> Vec<u32> {
        (self.near, self.far) = Default::default();
        self.list.shrink_to_fit();
        (self.limit, self.words) = (limit, words);
        // In the order of the features, so that rows are read from their first number to their last.
        let mut order: Vec<_> = (0..self.list.len()).collect();
        order.sort_unstable_by_key(|&at| self.list[at].key());
        let mut places = vec![0; order.len()];
        let mut next = 0;
        for &at in &order {
            places[at] = next;
            next += if self.list[at].category { 1 + words as u32 } else { 1 };
        }
        self.list = order.into_iter().map(|at| self.list[at]).collect();
        places
    }

    /// Returns how many cells a row has.
    pub(super) fn cells(&self) -> usize {
        let categories = if self.words == 0 { 0 } else { self.list.iter().filter(|it| it.category).count() };
        // Leaves look at the first one, whatever it is.
        (self.list.len() + categories * self.words).max(1)
    }

    /// Fills the cells of so many rows, all of a group or one.
    #[inline(always)]
    pub(super) fn fill<const ROWS: usize>(&self, rows: &[f32], width: usize, cells: &mut [[i32; ROWS]]) {
        // First all numbers, one by one; then all cells, many at once: what was just written piece by piece cannot be read as a whole
        // without a wait.
        let step = |column: &Column| if column.category { 1 + self.words } else { 1 };
        let mut at = 0;
        if self.words == 0 {
            for (lane, row) in rows.chunks_exact(width).enumerate().take(ROWS) {
                for (cell, column) in cells.iter_mut().zip(&self.list) {
                    cell[lane] = row[column.feature as usize].to_bits().cast_signed();
                }
            }
        } else {
            for column in &self.list {
                for (cell, row) in cells[at].iter_mut().zip(rows.chunks_exact(width)) {
                    *cell = row[column.feature as usize].to_bits().cast_signed();
                }
                at += step(column);
            }
        }
        at = 0;
        for column in &self.list {
            let values = cells[at].map(|bits| f32::from_bits(bits.cast_unsigned()));
            if column.category {
                let categories = values.map(|value| self.category(value, column.missing_right));
                cells[at] = categories;
                for (first, bits) in (0..).step_by(32).zip(&mut cells[at + 1..at + 1 + self.words]) {
                    *bits = categories.map(|it| bit(it.cast_unsigned().wrapping_sub(first)));
                }
            } else {
                let missing = MISSING[usize::from(column.missing_right)];
                cells[at] = values.map(|value| ordered(value, missing));
            }
            at += step(column);
        }
    }

    #[inline(always)]
    fn category(&self, value: f32, missing_right: bool) -> i32 {
        let category = if (0.0..self.limit as f32).contains(&value) { value as u32 } else { self.limit };
        // Neither is beyond 2^24.
        (category + u32::from(value.is_nan() && missing_right)).cast_signed()
    }
}

/// Returns a word with that bit; no bit when it does not have it.
#[inline(always)]
fn bit(at: u32) -> i32 {
    1_u32.checked_shl(at).unwrap_or(0).cast_signed()
}

/// Returns the key of a number, or of a missing one that.
#[inline(always)]
fn ordered(value: f32, missing: i32) -> i32 {
    // Without a branch, and without a comparison of floats, so that it is done for many values at once.
    let is_missing = -i32::from((value.to_bits() & i32::MAX.cast_unsigned()) > f32::INFINITY.to_bits());
    (key(value) & !is_missing) | (missing & is_missing)
}

/// Returns an integer that compares to others as the number, which is not NaN, does to theirs.
#[inline(always)]
pub(super) fn key(value: f32) -> i32 {
    // Of the two zeros, which are equal, this makes the positive one.
    let bits = (value + 0.0).to_bits().cast_signed();
    bits ^ ((bits >> 31) & i32::MAX)
}
