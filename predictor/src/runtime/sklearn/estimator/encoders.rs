//! Encoders of categories, and the filling of missing values: what stands before models of mixed columns.

use std::borrow::Cow;

use bytes::Bytes;
use weir_proto::Error;

use super::super::refusal::Refusal;
use super::super::view::View;
use super::batch::Sparse;
use super::categories::{Categories, unknown};
use super::fitted::Fitted;
use super::registry::{Class, Family};
use super::{Batch, Cell, Column, Steps, Takes, Transformer};

pub(crate) static FAMILY: Family = Family {
    title: "Encoders and imputers",
    classes: &[
        Class {
            name: "OneHotEncoder",
            modules: &["sklearn.preprocessing._encoders", "sklearn.preprocessing.data"],
            read: one_hot,
        },
        Class { name: "OrdinalEncoder", modules: &["sklearn.preprocessing._encoders"], read: ordinal },
        Class { name: "SimpleImputer", modules: &["sklearn.impute._base", "sklearn.impute"], read: imputer },
        Class { name: "Imputer", modules: &["sklearn.preprocessing.imputation"], read: imputer },
    ],
};

/// Returns what columns of those kinds are taken as.
fn takes(cells: Vec<Cell>) -> Takes {
    if cells.iter().all(|it| *it == Cell::Number) { Takes::Numbers } else { Takes::Table(cells) }
}

/// Rare categories that were put together are not told apart by what the file keeps in one place.
fn refuse_infrequent(fitted: &Fitted<'_>) -> Result<(), Refusal> {
    if fitted.flag("_infrequent_enabled", false)? {
        let advice = "fit it without min_frequency and max_categories";
        return Err(fitted.unsupported("with infrequent categories", advice));
    }
    Ok(())
}

/// A column of zeros and ones for each category.
fn one_hot(fitted: &Fitted<'_>, steps: &mut Steps) -> Result<(), Refusal> {
    refuse_infrequent(fitted)?;
    if fitted.optional("categories_").is_none() {
        let advice = "save it with scikit-learn 0.20 or later";
        return Err(fitted.unsupported("that encodes integers by their size", advice));
    }
    let categories = Categories::read_all(fitted)?;
    let refuse = match fitted.text("handle_unknown").unwrap_or("error") {
        "error" => true,
        "ignore" | "infrequent_if_exist" | "warn" => false,
        other => {
            return Err(fitted.unsupported(format!("with handle_unknown `{other}`"), "use error or ignore"));
        }
    };
    let dropped = dropped(fitted, &categories)?;
    let mut from = 0;
    let mut columns = Vec::with_capacity(categories.len());
    for (categories, dropped) in categories.into_iter().zip(dropped) {
        columns.push(OneHotColumn { first: from, dropped, categories });
        from += columns[columns.len() - 1].width();
    }
    // Before 1.2 it was called `sparse`.
    let name = if fitted.optional("sparse_output").is_some() { "sparse_output" } else { "sparse" };
    let sparse = fitted.flag(name, true)?;
    steps.add_transformer(fitted, Box::new(OneHot { columns, width: from, refuse, sparse }))
}

/// Returns which category of each column has no column of its own.
fn dropped(fitted: &Fitted<'_>, categories: &[Categories]) -> Result<Vec<Option<usize>>, Refusal> {
    if fitted.optional("drop_idx_").is_none() {
        return Ok(vec![None; categories.len()]);
    }
    let wrong = || fitted.malformed("has a `drop_idx_` that does not fit its categories");
    let array = fitted.array("drop_idx_")?;
    let items: Vec<Option<i64>> = match array.members() {
        Some(members) => members
            .map(|it| if it.is_none() { Ok(None) } else { it.int().map(Some).ok_or_else(wrong) })
            .collect::<Result<_, _>>()?,
        None => array.ints()?.into_iter().map(Some).collect(),
    };
    if items.len() != categories.len() {
        return Err(wrong());
    }
    items
        .into_iter()
        .zip(categories)
        .map(|(item, categories)| match item {
            None => Ok(None),
            Some(at) => {
                usize::try_from(at).ok().filter(|&at| at < categories.len()).map(Some).ok_or_else(wrong)
            }
        })
        .collect()
}

struct OneHotColumn {
    /// Its first column of the answer.
    first: usize,
    dropped: Option<usize>,
    categories: Categories,
}

impl OneHotColumn {
    fn width(&self) -> usize {
        self.categories.len() - usize::from(self.dropped.is_some())
    }

    /// Returns the column of the answer that is 1 for a category; none for the dropped one.
    fn place(&self, category: usize) -> Option<u32> {
        match self.dropped {
            Some(dropped) if dropped == category => None,
            Some(dropped) if dropped < category => Some((self.first + category - 1) as u32),
            Some(_) | None => Some((self.first + category) as u32),
        }
    }
}

struct OneHot {
    columns: Vec<OneHotColumn>,
    width: usize,
    /// A value that is no category is refused; otherwise it has no 1.
    refuse: bool,
    sparse: bool,
}

impl Transformer for OneHot {
    fn features(&self) -> usize {
        self.columns.len()
    }

    fn width(&self) -> usize {
        self.width
    }

    fn takes(&self) -> Takes {
        takes(self.columns.iter().map(|it| it.categories.cell()).collect())
    }

    fn transform<'b>(&self, batch: Batch<'b>) -> Result<Batch<'b>, Error> {
        let rows = batch.rows();
        let places: Vec<Vec<Option<u32>>> = self
            .columns
            .iter()
            .zip(batch.columns()?)
            .enumerate()
            .map(|(at, (column, values))| {
                let refuse = |value: &str| if self.refuse { Err(unknown(value, at)) } else { Ok(None) };
                column.categories.find(&values, at, |category| column.place(category), refuse)
            })
            .collect::<Result<_, _>>()?;
        if !self.sparse {
            let mut out = vec![0.0; rows * self.width];
            for column in &places {
                for (row, place) in column.iter().enumerate() {
                    if let Some(place) = place {
                        out[row * self.width + *place as usize] = 1.0;
                    }
                }
            }
            return Ok(Batch::dense(out, rows, self.width));
        }
        let mut out = Sparse { width: self.width, starts: vec![0], ..Sparse::default() };
        for row in 0..rows {
            out.columns.extend(places.iter().filter_map(|column| column[row]));
            out.starts.push(out.columns.len());
        }
        out.values = vec![1.0; out.columns.len()];
        Ok(Batch::Sparse(out))
    }

    fn row_ns(&self) -> f64 {
        30.0 * self.columns.len() as f64 + if self.sparse { 0.0 } else { self.width as f64 }
    }
}

/// The place of each category.
fn ordinal(fitted: &Fitted<'_>, steps: &mut Steps) -> Result<(), Refusal> {
    refuse_infrequent(fitted)?;
    let columns = Categories::read_all(fitted)?;
    let unknown = match fitted.text("handle_unknown").unwrap_or("error") {
        "error" => None,
        "use_encoded_value" => Some(fitted.number("unknown_value")?),
        other => return Err(fitted.unsupported(format!("with handle_unknown `{other}`"), "use error")),
    };
    let mut missing = vec![None; columns.len()];
    if let Some(indices) = fitted.optional("_missing_indices").filter(|it| !it.is_empty_dict()) {
        let value = fitted.number("encoded_missing_value")?;
        let pairs =
            indices.pairs().ok_or_else(|| fitted.malformed("has `_missing_indices` that are no dict"))?;
        for (column, category) in pairs {
            let at = column.int().and_then(|it| usize::try_from(it).ok());
            let category = category.int().and_then(|it| usize::try_from(it).ok());
            match at.and_then(|at| missing.get_mut(at)).zip(category) {
                Some((slot, category)) => *slot = Some((category, value)),
                None => return Err(fitted.malformed("has `_missing_indices` beyond its columns")),
            }
        }
    }
    steps.add_transformer(fitted, Box::new(Ordinal { columns, unknown, missing }))
}

struct Ordinal {
    columns: Vec<Categories>,
    /// What a value that is no category becomes; without one it is refused.
    unknown: Option<f64>,
    /// For each column the category that stands for a missing value, and what it becomes.
    missing: Vec<Option<(usize, f64)>>,
}

impl Transformer for Ordinal {
    fn features(&self) -> usize {
        self.columns.len()
    }

    fn width(&self) -> usize {
        self.columns.len()
    }

    fn takes(&self) -> Takes {
        takes(self.columns.iter().map(Categories::cell).collect())
    }

    fn transform<'b>(&self, batch: Batch<'b>) -> Result<Batch<'b>, Error> {
        let (rows, width) = (batch.rows(), self.columns.len());
        let mut out = vec![0.0; rows * width];
        for (at, (categories, values)) in self.columns.iter().zip(batch.columns()?).enumerate() {
            let code = |category: usize| match self.missing[at] {
                Some((missing, value)) if missing == category => value,
                Some(_) | None => category as f64,
            };
            let other = |value: &str| self.unknown.ok_or_else(|| unknown(value, at));
            let codes = categories.find(&values, at, code, other)?;
            for (row, code) in codes.into_iter().enumerate() {
                out[row * width + at] = code;
            }
        }
        Ok(Batch::dense(out, rows, width))
    }

    fn row_ns(&self) -> f64 {
        30.0 * self.columns.len() as f64
    }
}

/// Puts a value in the place of each missing one. Columns without any value while fitting are left out.
fn imputer(fitted: &Fitted<'_>, steps: &mut Steps) -> Result<(), Refusal> {
    if fitted.optional("axis").and_then(View::int).is_some_and(|axis| axis != 0) {
        return Err(fitted.unsupported("along rows", "use scikit-learn's SimpleImputer"));
    }
    let missing = match fitted.optional("missing_values") {
        None => Gap::NotANumber,
        Some(view) => match (view.text(), view.number()) {
            (Some("NaN"), _) => Gap::NotANumber,
            (Some(text), _) => Gap::Text(Bytes::copy_from_slice(text.as_bytes())),
            (None, Some(number)) if number.is_nan() => Gap::NotANumber,
            (None, Some(number)) => Gap::Number(number),
            // pandas.NA and the like come as NaN.
            (None, None) => Gap::NotANumber,
        },
    };
    let array = fitted.array("statistics_")?;
    let fillings: Vec<Option<Filling>> = match array.members() {
        Some(members) => members
            .map(|it| match (it.string(), it.number()) {
                (Some(text), _) => Ok(Some(Filling::Text(Bytes::from(text.into_owned())))),
                (None, Some(number)) => Ok(Some(Filling::Number(number))),
                (None, None) if it.is_none() => Ok(None),
                (None, None) => Err(fitted.malformed(format!("fills a column with {}", it.kind()))),
            })
            .collect::<Result<_, _>>()?,
        None => match array.floats() {
            Ok(numbers) => numbers.into_iter().map(|it| Some(Filling::Number(it))).collect(),
            Err(_) => {
                return Err(fitted.unsupported("of strings of one length", "fit it on strings as objects"));
            }
        },
    };
    let keep_empty = fitted.flag("keep_empty_features", false)?;
    let constant = fitted.text("strategy") == Some("constant");
    let kept = (0..fillings.len())
        .filter(|&at| match &fillings[at] {
            Some(Filling::Number(value)) => !value.is_nan() || keep_empty || constant,
            Some(Filling::Text(_)) => true,
            None => false,
        })
        .collect();
    let indicated = indicated(fitted, fillings.len())?;
    steps.add_transformer(fitted, Box::new(Imputer { missing, fillings, kept, indicated }))
}

/// Returns the columns of which it is told whether a value was missing.
fn indicated(fitted: &Fitted<'_>, features: usize) -> Result<Vec<usize>, Refusal> {
    if !fitted.flag("add_indicator", false)? {
        return Ok(Vec::new());
    }
    let indicator = fitted.part("indicator_")?;
    let columns = indicator.array("features_")?.ints()?;
    let place = |at: i64| usize::try_from(at).ok().filter(|&at| at < features);
    let places: Option<Vec<usize>> = columns.into_iter().map(place).collect();
    places.ok_or_else(|| indicator.malformed("tells of columns that are not there"))
}

/// What stands for a missing value.
enum Gap {
    NotANumber,
    Number(f64),
    Text(Bytes),
}

enum Filling {
    Number(f64),
    Text(Bytes),
}

struct Imputer {
    missing: Gap,
    /// For each column what its missing values become; none where nothing is known.
    fillings: Vec<Option<Filling>>,
    /// The columns that are kept.
    kept: Vec<usize>,
    /// The columns of which it is told behind the others whether a value was missing.
    indicated: Vec<usize>,
}

impl Imputer {
    fn is_missing(&self, value: f64) -> bool {
        match self.missing {
            Gap::NotANumber => value.is_nan(),
            Gap::Number(gap) => value == gap,
            Gap::Text(_) => false,
        }
    }

    fn filled<'c>(&self, at: usize, column: Column<'c>) -> Result<Column<'c>, Error> {
        match (column, &self.fillings[at]) {
            (Column::Numbers(values), Some(Filling::Number(filling))) => {
                let fill = |&value: &f64| if self.is_missing(value) { *filling } else { value };
                Ok(Column::Numbers(values.iter().map(fill).collect()))
            }
            (Column::Texts(values), Some(Filling::Text(filling))) => match &self.missing {
                Gap::Text(gap) => {
                    let fill = |value: &Bytes| if value == gap { filling.clone() } else { value.clone() };
                    Ok(Column::Texts(values.iter().map(fill).collect()))
                }
                Gap::NotANumber | Gap::Number(_) => Ok(Column::Texts(values)),
            },
            (Column::Numbers(_), Some(Filling::Text(_)) | None) => {
                Err(Error::invalid(format!("column {at} holds numbers, the model takes strings there")))
            }
            (Column::Texts(_), Some(Filling::Number(_)) | None) => {
                Err(Error::invalid(format!("column {at} holds strings, the model takes numbers there")))
            }
        }
    }

    fn gaps(&self, column: &Column<'_>) -> Vec<f64> {
        let truth = |it: bool| f64::from(u8::from(it));
        match (column, &self.missing) {
            (Column::Numbers(values), _) => values.iter().map(|&it| truth(self.is_missing(it))).collect(),
            (Column::Texts(values), Gap::Text(gap)) => values.iter().map(|it| truth(it == gap)).collect(),
            (Column::Texts(values), Gap::NotANumber | Gap::Number(_)) => vec![0.0; values.len()],
        }
    }
}

impl Transformer for Imputer {
    fn features(&self) -> usize {
        self.fillings.len()
    }

    fn width(&self) -> usize {
        self.kept.len() + self.indicated.len()
    }

    fn takes(&self) -> Takes {
        let cell = |it: &Option<Filling>| {
            if matches!(it, Some(Filling::Text(_))) { Cell::Text } else { Cell::Number }
        };
        takes(self.fillings.iter().map(cell).collect())
    }

    fn transform<'b>(&self, batch: Batch<'b>) -> Result<Batch<'b>, Error> {
        let rows = batch.rows();
        let columns = batch.columns()?;
        let mut out = Vec::with_capacity(self.width());
        for &at in &self.kept {
            out.push(self.filled(at, columns[at].clone())?);
        }
        out.extend(self.indicated.iter().map(|&at| Column::Numbers(Cow::Owned(self.gaps(&columns[at])))));
        let table = Batch::Table(out);
        // Numbers alone go on as a matrix, which is what most of what follows wants.
        match table.numbers() {
            Ok(matrix) => Ok(Batch::dense(matrix.into_owned(), rows, self.width())),
            Err(_) => Ok(table.into_static()),
        }
    }

    fn row_ns(&self) -> f64 {
        4.0 * self.fillings.len() as f64
    }
}
