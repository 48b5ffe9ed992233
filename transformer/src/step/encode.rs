//! `encode`: makes one matrix of numbers out of named columns, text by the place of each value among the known ones, as
//! scikit-learn's `OrdinalEncoder` does. A matrix of numbers passes as it is.
//! Options: `columns`, their names in the model's order; `categories`, the known values of each column of text;
//! `unknown`, what becomes of a value that is not known: `error` (the default) or `nan`.

use std::collections::HashMap;

use bytes::Bytes;
use weir_proto::document::Fields;
use weir_proto::{Data, Error, InferRequest, Tensor};

use super::{Stage, Step, StepKind, column, quoted};

const NAME: &str = "encode";

/// The kind.
#[derive(Debug)]
pub struct Kind;

impl StepKind for Kind {
    fn name(&self) -> &'static str {
        NAME
    }

    fn build(&self, fields: &Fields<'_>) -> Option<Box<dyn Step>> {
        let unknown = unknown(fields);
        let names = super::names(fields, "columns");
        let categories = fields.fields("categories");
        let names = names?;
        let read = |name: &String| {
            let field = categories.as_ref().filter(|it| it.has(name))?;
            super::names(field, name).map(Categories::new)
        };
        let columns =
            names.iter().map(|name| Column { name: name.clone(), categories: read(name) }).collect();
        if let Some(categories) = categories {
            // What is left are columns that are not among `columns`.
            categories.finish();
        }
        Some(Box::new(Encode { columns, names, unknown: unknown? }))
    }
}

fn unknown(fields: &Fields<'_>) -> Option<Unknown> {
    match fields.string("unknown") {
        None if fields.has("unknown") => None,
        None | Some("error") => Some(Unknown::Error),
        Some("nan") => Some(Unknown::Nan),
        Some(other) => {
            fields.error("unknown", format!("got `{other}`, expected `error` or `nan`"));
            None
        }
    }
}

/// What becomes of a value that is not among the known ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unknown {
    Error,
    Nan,
}

#[derive(Debug)]
struct Encode {
    columns: Vec<Column>,
    names: Vec<String>,
    unknown: Unknown,
}

#[derive(Debug)]
struct Column {
    name: String,
    categories: Option<Categories>,
}

#[derive(Debug)]
struct Categories {
    known: Vec<String>,
    codes: HashMap<Bytes, f64>,
}

impl Categories {
    fn new(known: Vec<String>) -> Self {
        let codes = known.iter().enumerate().map(|(code, value)| (Bytes::from(value.clone()), code as f64));
        Self { codes: codes.collect(), known }
    }
}

impl Step for Encode {
    fn stage(&self) -> Stage {
        Stage::Pre
    }

    fn preprocess(&self, request: &mut InferRequest) -> Result<(), Error> {
        let width = self.columns.len();
        if column::is_matrix(&request.inputs, &self.names) {
            return self.check_matrix(&request.inputs[0]);
        }
        let rows = request.rows();
        let found = self.columns.iter().map(|it| column::find(&request.inputs, &it.name, NAME));
        let places = found.collect::<Result<Vec<_>, _>>()?;
        let mut codes = Vec::with_capacity(width);
        for (column, place) in self.columns.iter().zip(places) {
            let tensor = &request.inputs[place];
            column::check_rows(tensor, rows)?;
            codes.push(self.codes(column, tensor)?);
        }
        let mut matrix = Vec::with_capacity(rows * width);
        for row in 0..rows {
            matrix.extend(codes.iter().map(|column| column[row]));
        }
        request.inputs = vec![Tensor::fp64("", [rows, width], matrix)];
        Ok(())
    }
}

impl Encode {
    /// Checks a matrix that has numbers already.
    fn check_matrix(&self, tensor: &Tensor) -> Result<(), Error> {
        let (got, want) = (tensor.row_len(), self.columns.len());
        if got != want {
            return Err(Error::invalid(format!(
                "the input has {got} features a row, step `{NAME}` has {want} columns: {}",
                quoted(&self.names)
            )));
        }
        if let Data::Bytes(_) = tensor.data {
            return Err(Error::invalid(format!(
                "the input is a matrix of text, in which step `{NAME}` knows no columns; send each row as an object with its \
                 columns' names: {}",
                quoted(&self.names)
            )));
        }
        Ok(())
    }

    fn codes(&self, column: &Column, tensor: &Tensor) -> Result<Vec<f64>, Error> {
        let name = &column.name;
        match (&tensor.data, &column.categories) {
            (Data::Bytes(texts), Some(categories)) => {
                texts.iter().enumerate().map(|(row, text)| self.code(name, categories, row, text)).collect()
            }
            (Data::Bytes(texts), None) => Err(Error::invalid(format!(
                "column `{name}` is text, such as `{}`, expected a number: step `{NAME}` has no categories for it",
                texts.first().map(|it| String::from_utf8_lossy(it)).unwrap_or_default()
            ))),
            (_, categories) => {
                let values = tensor.data.to_f64().ok_or_else(|| {
                    let datatype = tensor.datatype();
                    Error::invalid(format!(
                        "column `{name}` has datatype {datatype}, step `{NAME}` takes numbers or text"
                    ))
                })?;
                match categories {
                    Some(categories) => self.missing(name, categories, values),
                    None => Ok(values),
                }
            }
        }
    }

    fn code(&self, column: &str, categories: &Categories, row: usize, text: &Bytes) -> Result<f64, Error> {
        match (categories.codes.get(text), self.unknown) {
            (Some(code), _) => Ok(*code),
            (None, Unknown::Nan) => Ok(f64::NAN),
            (None, Unknown::Error) => Err(Error::invalid(format!(
                "row {row} has `{}` in column `{column}`; known are {}",
                String::from_utf8_lossy(text),
                quoted(&categories.known)
            ))),
        }
    }

    /// A column of text of which nothing but nulls came is one of NaN; any other number is no category.
    fn missing(&self, column: &str, categories: &Categories, values: Vec<f64>) -> Result<Vec<f64>, Error> {
        let allowed = |value: f64| value.is_nan() && self.unknown == Unknown::Nan;
        match values.iter().position(|&value| !allowed(value)) {
            None => Ok(values),
            Some(row) => {
                let met = if values[row].is_nan() {
                    "nothing".to_owned()
                } else {
                    format!("the number {}", values[row])
                };
                Err(Error::invalid(format!(
                    "row {row} has {met} in column `{column}`; known are {}",
                    quoted(&categories.known)
                )))
            }
        }
    }
}
