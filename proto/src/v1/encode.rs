//! Writes answers of the V1 protocol.

use bytes::Bytes;

use crate::element::element;
use crate::{Code, Error, InferResponse, Tensor, json};

/// Encodes an answer: one output gives a list a row; several give an object a row, keyed by output.
///
/// # Errors
/// `Inference` when outputs differ in rows, or hold bytes that are not text.
pub fn encode_response(response: &InferResponse) -> Result<Bytes, Error> {
    // A shape may claim any number of rows as long as one of its other sizes is nought; each would be written as `[]`.
    if let Some(odd) = response.outputs.iter().find(|it| it.data.is_empty() && it.rows() > EMPTY_ROWS) {
        let message = format!("output `{}` has shape {:?} and no values", odd.name, odd.shape);
        return Err(Error::new(Code::Inference, message));
    }
    let mut out = Vec::with_capacity(64);
    out.extend_from_slice(b"{\"predictions\":");
    match response.outputs.as_slice() {
        [only] => {
            nested(&mut out, only, &only.shape, 0)?;
        }
        several => row_objects(&mut out, several)?,
    }
    out.push(b'}');
    Ok(out.into())
}

/// The most rows without a value that are written.
const EMPTY_ROWS: usize = 1 << 16;

/// Writes the elements from `at` on as lists nested by `shape`; returns the element after the last.
fn nested(out: &mut Vec<u8>, tensor: &Tensor, shape: &[usize], at: usize) -> Result<usize, Error> {
    let Some((&size, inner)) = shape.split_first() else {
        element(out, tensor, at)?;
        return Ok(at + 1);
    };
    out.push(b'[');
    let mut at = at;
    for index in 0..size {
        if index > 0 {
            out.push(b',');
        }
        at = nested(out, tensor, inner, at)?;
    }
    out.push(b']');
    Ok(at)
}

fn row_objects(out: &mut Vec<u8>, outputs: &[Tensor]) -> Result<(), Error> {
    let rows = outputs.first().map_or(0, Tensor::rows);
    if let Some(odd) = outputs.iter().find(|it| it.rows() != rows || it.shape.is_empty()) {
        return Err(Error::new(
            Code::Inference,
            format!("output `{}` has shape {:?}, the first output has {rows} rows", odd.name, odd.shape),
        ));
    }
    out.push(b'[');
    for row in 0..rows {
        out.extend_from_slice(if row > 0 { b",{" } else { b"{" });
        for (index, output) in outputs.iter().enumerate() {
            if index > 0 {
                out.push(b',');
            }
            json::push_str(out, &output.name);
            out.push(b':');
            nested(out, output, &output.shape[1..], row * output.row_len())?;
        }
        out.push(b'}');
    }
    out.push(b']');
    Ok(())
}
