//! Rows on their way through a model: a matrix of numbers, a sparse one, or columns of numbers and texts.

use std::borrow::Cow;

use bytes::Bytes;
use weir_proto::Error;

/// Rows on their way through a model.
#[derive(Debug, Clone)]
pub(crate) enum Batch<'b> {
    /// Numbers, row-major.
    Dense(Dense<'b>),
    /// Numbers of which most are zero, as text vectorizers and one-hot encoders make them.
    Sparse(Sparse),
    /// Columns of either kind, all as long.
    Table(Vec<Column<'b>>),
}

/// A row-major matrix. `width` may be 0 only where there are no values.
#[derive(Debug, Clone)]
pub(crate) struct Dense<'b> {
    pub(crate) values: Cow<'b, [f64]>,
    pub(crate) rows: usize,
    pub(crate) width: usize,
}

/// Compressed sparse rows. The columns of a row are in ascending order and each there once.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sparse {
    pub(crate) width: usize,
    /// Where each row begins in the other two, and where the last one ends.
    pub(crate) starts: Vec<usize>,
    pub(crate) columns: Vec<u32>,
    pub(crate) values: Vec<f64>,
}

/// One column.
#[derive(Debug, Clone)]
pub(crate) enum Column<'b> {
    /// A missing value is NaN.
    Numbers(Cow<'b, [f64]>),
    /// UTF-8.
    Texts(Cow<'b, [Bytes]>),
}

impl Column<'_> {
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Numbers(it) => it.len(),
            Self::Texts(it) => it.len(),
        }
    }
}

impl Sparse {
    pub(crate) fn rows(&self) -> usize {
        self.starts.len().saturating_sub(1)
    }

    /// Returns the columns and values of a row.
    pub(crate) fn row(&self, at: usize) -> (&[u32], &[f64]) {
        let range = self.starts[at]..self.starts[at + 1];
        (&self.columns[range.clone()], &self.values[range])
    }
}

impl<'b> Batch<'b> {
    /// Of a matrix that is owned.
    pub(crate) fn dense(values: Vec<f64>, rows: usize, width: usize) -> Self {
        debug_assert_eq!(values.len(), rows * width);
        Self::Dense(Dense { values: Cow::Owned(values), rows, width })
    }

    /// Of a matrix that is lent.
    pub(crate) fn lent(values: &'b [f64], rows: usize, width: usize) -> Self {
        debug_assert_eq!(values.len(), rows * width);
        Self::Dense(Dense { values: Cow::Borrowed(values), rows, width })
    }

    /// Lends the rows; only sparse ones are copied.
    pub(crate) fn lend(&self) -> Batch<'_> {
        match self {
            Self::Dense(it) => Batch::lent(&it.values, it.rows, it.width),
            Self::Sparse(it) => Batch::Sparse(it.clone()),
            Self::Table(columns) => Batch::Table(columns.iter().map(Column::lend).collect()),
        }
    }

    /// Copies what is lent.
    pub(crate) fn into_static(self) -> Batch<'static> {
        match self {
            Self::Dense(it) => Batch::dense(it.values.into_owned(), it.rows, it.width),
            Self::Sparse(it) => Batch::Sparse(it),
            Self::Table(columns) => Batch::Table(columns.into_iter().map(Column::into_static).collect()),
        }
    }

    pub(crate) fn rows(&self) -> usize {
        match self {
            Self::Dense(it) => it.rows,
            Self::Sparse(it) => it.rows(),
            Self::Table(columns) => columns.first().map_or(0, Column::len),
        }
    }

    pub(crate) fn width(&self) -> usize {
        match self {
            Self::Dense(it) => it.width,
            Self::Sparse(it) => it.width,
            Self::Table(columns) => columns.len(),
        }
    }

    /// Returns the rows as a row-major matrix; one that is dense already is not copied.
    ///
    /// # Errors
    /// `InvalidInput` naming a column of texts.
    pub(crate) fn numbers(&self) -> Result<Cow<'_, [f64]>, Error> {
        Ok(match self {
            Self::Dense(it) => Cow::Borrowed(&*it.values),
            Self::Sparse(it) => Cow::Owned(filled(it)?),
            Self::Table(columns) => Cow::Owned(stacked(columns)?),
        })
    }

    /// The same, of rows that are no longer needed.
    ///
    /// # Errors
    /// As for [`Batch::numbers`].
    pub(crate) fn into_numbers(self) -> Result<Vec<f64>, Error> {
        match self {
            Self::Dense(it) => Ok(it.values.into_owned()),
            other => other.numbers().map(Cow::into_owned),
        }
    }

    /// Returns the rows as columns; those of a table are lent.
    ///
    /// # Errors
    /// None today: every batch has columns.
    pub(crate) fn columns(&self) -> Result<Vec<Column<'_>>, Error> {
        if let Self::Table(columns) = self {
            return Ok(columns.iter().map(Column::lend).collect());
        }
        let (numbers, width) = (self.numbers()?, self.width());
        let column = |at: usize| Column::Numbers(numbers.iter().skip(at).step_by(width).copied().collect());
        Ok((0..width).map(column).collect())
    }

    /// Returns the rows as sparse ones.
    ///
    /// # Errors
    /// `InvalidInput` naming a column of texts.
    pub(crate) fn into_sparse(self) -> Result<Sparse, Error> {
        if let Self::Sparse(it) = self {
            return Ok(it);
        }
        let rows = self.rows();
        joined(&[self], rows)
    }

    /// Returns those columns, in that order; each index below [`Batch::width`].
    pub(crate) fn select(&self, wanted: &[usize]) -> Batch<'_> {
        match self {
            Self::Dense(it) => {
                let mut values = Vec::with_capacity(it.rows * wanted.len());
                if it.width > 0 {
                    for row in it.values.chunks_exact(it.width) {
                        values.extend(wanted.iter().map(|&at| row[at]));
                    }
                }
                Batch::dense(values, it.rows, wanted.len())
            }
            Self::Sparse(it) => Batch::Sparse(picked(it, wanted)),
            Self::Table(columns) => Batch::Table(wanted.iter().map(|&at| columns[at].lend()).collect()),
        }
    }

    /// Puts batches of the same rows side by side. They stay sparse when one of them is.
    ///
    /// # Errors
    /// `InvalidInput` naming a column of texts.
    pub(crate) fn side_by_side(parts: &[Batch<'_>], rows: usize) -> Result<Batch<'static>, Error> {
        if parts.iter().any(|it| matches!(it, Batch::Sparse(_))) {
            return joined(parts, rows).map(Batch::Sparse);
        }
        let width = parts.iter().map(Batch::width).sum();
        let mut values = vec![0.0; rows * width];
        let mut from = 0;
        for part in parts {
            let (numbers, narrow) = (part.numbers()?, part.width());
            for row in 0..rows {
                values[row * width + from..][..narrow].copy_from_slice(&numbers[row * narrow..][..narrow]);
            }
            from += narrow;
        }
        Ok(Batch::dense(values, rows, width))
    }
}

impl Column<'_> {
    fn into_static(self) -> Column<'static> {
        match self {
            Self::Numbers(it) => Column::Numbers(Cow::Owned(it.into_owned())),
            Self::Texts(it) => Column::Texts(Cow::Owned(it.into_owned())),
        }
    }

    fn lend(&self) -> Column<'_> {
        match self {
            Self::Numbers(it) => Column::Numbers(Cow::Borrowed(it)),
            Self::Texts(it) => Column::Texts(Cow::Borrowed(it)),
        }
    }
}

/// The most values that sparse rows may be filled up to: a request of a few words must not become a matrix of a million columns
/// a thousand times.
const FILLED: usize = 1 << 26;

fn filled(sparse: &Sparse) -> Result<Vec<f64>, Error> {
    let count = sparse.rows().saturating_mul(sparse.width);
    if count > FILLED {
        let (rows, width) = (sparse.rows(), sparse.width);
        let message =
            format!("{rows} rows of {width} columns are more than {FILLED} values; send fewer rows at once");
        return Err(Error::new(weir_proto::Code::TooLarge, message));
    }
    let mut values = vec![0.0; count];
    for at in 0..sparse.rows() {
        let (columns, row) = sparse.row(at);
        for (&column, &value) in columns.iter().zip(row) {
            values[at * sparse.width + column as usize] = value;
        }
    }
    Ok(values)
}

fn stacked(columns: &[Column<'_>]) -> Result<Vec<f64>, Error> {
    let rows = columns.first().map_or(0, Column::len);
    let mut values = vec![0.0; rows * columns.len()];
    for (at, column) in columns.iter().enumerate() {
        let Column::Numbers(numbers) = column else {
            return Err(Error::invalid(format!("column {at} holds strings, the model takes numbers there")));
        };
        for (row, &value) in numbers.iter().enumerate() {
            values[row * columns.len() + at] = value;
        }
    }
    Ok(values)
}

fn picked(sparse: &Sparse, wanted: &[usize]) -> Sparse {
    let mut places = vec![Vec::new(); sparse.width];
    for (place, &at) in wanted.iter().enumerate() {
        places[at].push(place as u32);
    }
    let mut picked = Sparse { width: wanted.len(), starts: vec![0], ..Sparse::default() };
    let mut cells: Vec<(u32, f64)> = Vec::new();
    for at in 0..sparse.rows() {
        let (columns, values) = sparse.row(at);
        cells.clear();
        for (&column, &value) in columns.iter().zip(values) {
            cells.extend(places[column as usize].iter().map(|&place| (place, value)));
        }
        cells.sort_unstable_by_key(|(place, _)| *place);
        picked.columns.extend(cells.iter().map(|(place, _)| *place));
        picked.values.extend(cells.iter().map(|(_, value)| *value));
        picked.starts.push(picked.columns.len());
    }
    picked
}

fn joined(parts: &[Batch<'_>], rows: usize) -> Result<Sparse, Error> {
    let width = parts.iter().map(Batch::width).sum();
    let dense: Vec<Option<Cow<'_, [f64]>>> = parts
        .iter()
        .map(|part| if matches!(part, Batch::Sparse(_)) { Ok(None) } else { part.numbers().map(Some) })
        .collect::<Result<_, _>>()?;
    let mut all = Sparse { width, starts: vec![0], ..Sparse::default() };
    for row in 0..rows {
        let mut from = 0;
        for (part, numbers) in parts.iter().zip(&dense) {
            match (part, numbers) {
                (Batch::Sparse(it), _) => {
                    let (columns, values) = it.row(row);
                    all.columns.extend(columns.iter().map(|column| column + from));
                    all.values.extend_from_slice(values);
                }
                (_, Some(numbers)) => {
                    let narrow = part.width();
                    for (at, &value) in numbers[row * narrow..][..narrow].iter().enumerate() {
                        // A NaN is no zero.
                        if value != 0.0 {
                            all.columns.push(from + at as u32);
                            all.values.push(value);
                        }
                    }
                }
                (_, None) => {}
            }
            from += part.width() as u32;
        }
        all.starts.push(all.columns.len());
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sparse() -> Batch<'static> {
        // [[0, 5, 0], [7, 0, 9]]
        Batch::Sparse(Sparse {
            width: 3,
            starts: vec![0, 1, 3],
            columns: vec![1, 0, 2],
            values: vec![5.0, 7.0, 9.0],
        })
    }

    #[test]
    fn sparse_rows_are_what_they_stand_for() {
        assert_eq!(*sparse().numbers().unwrap(), [0.0, 5.0, 0.0, 7.0, 0.0, 9.0]);
        assert_eq!(*sparse().select(&[2, 1, 2]).numbers().unwrap(), [0.0, 5.0, 0.0, 9.0, 0.0, 9.0]);
    }

    #[test]
    fn parts_stand_side_by_side() {
        let dense = || Batch::dense(vec![1.0, 0.0], 2, 1);
        let both = Batch::side_by_side(&[dense(), sparse()], 2).unwrap();
        assert!(matches!(both, Batch::Sparse(_)));
        assert_eq!(*both.numbers().unwrap(), [1.0, 0.0, 5.0, 0.0, 0.0, 7.0, 0.0, 9.0]);
        let table = Batch::Table(vec![Column::Numbers(vec![3.0, 4.0].into())]);
        let both = Batch::side_by_side(&[dense(), table], 2).unwrap();
        assert_eq!(*both.numbers().unwrap(), [1.0, 3.0, 0.0, 4.0]);
    }
}
