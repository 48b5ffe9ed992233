//! Fits the instances of a request to the background: feature by feature, with a text that names both where they differ.

use weir_proto::{Data, DataType, Error, InferRequest, Tensor};

use super::frame::{Feature, Form, Header};
use super::number::{doubles, holds, round};
use crate::background::{Background, Column};

/// Puts the instances of a request under the rows of the background.
///
/// # Errors
/// `InvalidInput` when the features differ from the background's in number, name or kind.
pub(super) fn bind(request: &InferRequest, background: &Background) -> Result<(Form, Vec<Feature>), Error> {
    let bound = match request.inputs.as_slice() {
        [] => return Err(Error::invalid("the request has no input to explain")),
        [tensor] if is_matrix(tensor, background) => matrix(tensor, background)?,
        tensors => columns(tensors, background)?,
    };
    if request.rows() == 0 {
        return Err(Error::invalid("the request has no rows to explain; send at least one"));
    }
    Ok(bound)
}

/// One tensor is a matrix unless it is the one column of a background with one feature.
fn is_matrix(tensor: &Tensor, background: &Background) -> bool {
    let one = background.names.len() == 1;
    tensor.shape.len() == 2 && !(one && tensor.name == background.names[0])
        || !one && !background.names.contains(&tensor.name)
}

fn matrix(tensor: &Tensor, background: &Background) -> Result<(Form, Vec<Feature>), Error> {
    let width = background.names.len();
    let &[instances, got] = tensor.shape.as_slice() else {
        let shape = &tensor.shape;
        return Err(Error::invalid(format!("the input has shape {shape:?}, expected [rows, {width}]")));
    };
    if got != width {
        let names = quoted(background.names.iter());
        return Err(Error::invalid(format!(
            "the input has {got} features a row, the background has {width}: {names}"
        )));
    }
    if let Some(at) = background.columns.iter().position(|column| matches!(column, Column::Text(_))) {
        return Err(Error::invalid(format!(
            "feature `{}` is text in the background, but the rows are plain numbers; send each row as an object with its \
             features' names",
            background.names[at]
        )));
    }
    let given = doubles(tensor, "the input")?;
    let column = |at: usize| -> Vec<f64> {
        let Column::Numbers(values) = &background.columns[at] else { return Vec::new() };
        values.iter().copied().chain((0..instances).map(|row| given[row * width + at])).collect()
    };
    let mut columns: Vec<Vec<f64>> = (0..width).map(column).collect();
    let fits = columns.iter().flatten().all(|&value| holds(tensor.datatype(), value));
    let datatype = if fits { tensor.datatype() } else { DataType::Fp64 };
    columns.iter_mut().for_each(|column| round(datatype, column));
    let header = Header { name: String::new(), datatype, inner: Vec::new() };
    let features = columns.into_iter().map(|it| Feature::new(Column::Numbers(it), header.clone())).collect();
    Ok((Form::Matrix { name: tensor.name.clone(), datatype }, features))
}

fn columns(tensors: &[Tensor], background: &Background) -> Result<(Form, Vec<Feature>), Error> {
    let place = |name: &str| match background.names.as_slice() {
        [_] if name.is_empty() => Some(0),
        names => names.iter().position(|known| known == name),
    };
    let order: Option<Vec<usize>> = tensors.iter().map(|tensor| place(&tensor.name)).collect();
    let mut given = vec![None; background.names.len()];
    for (&at, tensor) in order.iter().flatten().zip(tensors) {
        given[at] = Some(tensor);
    }
    let complete: Option<Vec<&Tensor>> = given.into_iter().collect();
    let (Some(order), Some(given)) = (order, complete) else {
        return Err(wrong_columns(tensors, background));
    };
    if order.len() != given.len() {
        return Err(wrong_columns(tensors, background));
    }
    let rows = tensors.first().map_or(0, Tensor::rows);
    let features = given
        .into_iter()
        .zip(&background.columns)
        .zip(&background.names)
        .map(|((tensor, column), name)| feature(tensor, column, name, rows));
    Ok((Form::Columns { order }, features.collect::<Result<_, _>>()?))
}

fn wrong_columns(tensors: &[Tensor], background: &Background) -> Error {
    let got = quoted(tensors.iter().map(|tensor| &tensor.name));
    let want = quoted(background.names.iter());
    Error::invalid(format!("the features of the rows are {got}, those of the background are {want}"))
}

/// Puts one column of the instances under the background's.
fn feature(tensor: &Tensor, column: &Column, name: &str, rows: usize) -> Result<Feature, Error> {
    let inner = tensor.shape.get(1..).unwrap_or_default();
    if tensor.shape.first() != Some(&rows) || inner.iter().any(|&size| size != 1) {
        return Err(Error::invalid(format!(
            "feature `{name}` has shape {:?}, expected one value in each of {rows} rows",
            tensor.shape
        )));
    }
    let header = |datatype| Header { name: tensor.name.clone(), datatype, inner: inner.to_vec() };
    match (column, &tensor.data) {
        (Column::Text(values), Data::Bytes(given)) => {
            let values = values.iter().chain(given).cloned().collect();
            Ok(Feature::new(Column::Text(values), header(DataType::Bytes)))
        }
        (Column::Text(values), _) => Err(Error::invalid(format!(
            "feature `{name}` is text in the background, such as `{}`, but the request has {}",
            values.first().map(|it| String::from_utf8_lossy(it)).unwrap_or_default(),
            tensor.datatype()
        ))),
        (Column::Numbers(_), Data::Bytes(given)) => Err(Error::invalid(format!(
            "feature `{name}` is a number in the background, but the request has text, such as `{}`",
            given.first().map(|it| String::from_utf8_lossy(it)).unwrap_or_default()
        ))),
        (Column::Numbers(values), _) => {
            let given = doubles(tensor, &format!("feature `{name}`"))?;
            let mut values: Vec<f64> = values.iter().copied().chain(given).collect();
            let fits = values.iter().all(|&value| holds(tensor.datatype(), value));
            let datatype = if fits { tensor.datatype() } else { DataType::Fp64 };
            round(datatype, &mut values);
            Ok(Feature::new(Column::Numbers(values), header(datatype)))
        }
    }
}

fn quoted<'a>(names: impl Iterator<Item = &'a String>) -> String {
    let mut names: Vec<_> = names.map(|name| format!("`{name}`")).collect();
    if names.len() > 20 {
        let more = names.len() - 20;
        names.truncate(20);
        names.push(format!("and {more} more"));
    }
    names.join(", ")
}
