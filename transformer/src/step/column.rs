//! The numbers of a request: one matrix, or a tensor a column.

use weir_proto::{Buffer, Data, DataType, Error, Tensor};

/// Whether the inputs are one matrix `[rows, columns]`, and not one column that is known by its name.
pub(super) fn is_matrix(inputs: &[Tensor], columns: &[String]) -> bool {
    matches!(inputs, [one] if one.shape.len() == 2 && !columns.contains(&one.name))
}

/// Takes a tensor's numbers as doubles, without copying those that are doubles already and owned. What is left in the
/// tensor is to be replaced. `None`, and nothing taken, for text and half floats.
pub(super) fn take_doubles(tensor: &mut Tensor) -> Option<Vec<f64>> {
    if tensor.datatype() != DataType::Fp64 {
        return tensor.data.to_f64();
    }
    match std::mem::replace(&mut tensor.data, Data::Fp64(Buffer::from(Vec::new()))) {
        Data::Fp64(values) => Some(values.into_vec()),
        _ => None,
    }
}

/// Finds the tensor of a column.
///
/// # Errors
/// `InvalidInput` naming the step, the column, and those that came.
pub(super) fn find(inputs: &[Tensor], column: &str, step: &str) -> Result<usize, Error> {
    inputs.iter().position(|it| it.name == column).ok_or_else(|| {
        let got = super::quoted(inputs.iter().map(|it| &it.name));
        Error::invalid(format!(
            "column `{column}` is missing, which step `{step}` needs; the request has {got}"
        ))
    })
}

/// Checks that a column has one value in each row.
///
/// # Errors
/// `InvalidInput` naming the column's shape and the rows.
pub(super) fn check_rows(column: &Tensor, rows: usize) -> Result<(), Error> {
    let inner = column.shape.get(1..).unwrap_or_default();
    if column.shape.first() == Some(&rows) && inner.iter().all(|&size| size == 1) && column.data.len() == rows
    {
        return Ok(());
    }
    Err(Error::invalid(format!(
        "column `{}` has shape {:?}, expected one value in each of {rows} rows",
        column.name, column.shape
    )))
}
