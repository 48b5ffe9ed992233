//! Writes answers of the V1 protocol.

use bytes::Bytes;

use crate::element::{BytesStyle, Style, element, nested};
use crate::json::{self, NonFinite};
use crate::{Code, Error, Form, InferResponse, Layout, Method, Tensor};

/// Encodes an answer.
///
/// `predictions` of rows: one output gives a list a row; several give an object a row, keyed by output. `outputs` of columns:
/// the one output as a whole, or an object of them. Outputs named `*_bytes`, and bytes that are not text, are written as
/// `{"b64": "..."}`. A classification's `results` are pairs of label and score, a regression's are numbers.
///
/// # Errors
/// `Inference` when outputs differ in rows, or are not those of the method.
pub fn encode_response(response: &InferResponse, form: &Form) -> Result<Bytes, Error> {
    if let Some(odd) = response.outputs.iter().find(|it| it.data.is_empty() && empty_lists(it) > EMPTY_LISTS)
    {
        let message = format!("output `{}` has shape {:?} and no values", odd.name, odd.shape);
        return Err(Error::new(Code::Inference, message));
    }
    let non_finite = if form.tokens { NonFinite::Tokens } else { NonFinite::Null };
    let mut writer = Writer { out: Vec::with_capacity(64), non_finite };
    match (form.method, form.layout) {
        (Method::Predict, Layout::Rows | Layout::Inputs) => writer.predictions(&response.outputs)?,
        (Method::Predict, Layout::Columns) => writer.outputs(&response.outputs)?,
        (Method::Classify, _) => writer.classes(&response.outputs)?,
        (Method::Regress, _) => writer.numbers(&response.outputs)?,
    }
    writer.out.push(b'}');
    Ok(writer.out.into())
}

/// The most lists without a value that are written.
const EMPTY_LISTS: usize = 1 << 16;

/// Returns how many lists a tensor without values is written as: a shape may claim any number of them as long as one of its
/// sizes is nought.
fn empty_lists(tensor: &Tensor) -> usize {
    let mut lists = 1_usize;
    for &size in tensor.shape.iter().take_while(|&&size| size > 0) {
        lists = lists.saturating_mul(size);
    }
    lists
}

struct Writer {
    out: Vec<u8>,
    non_finite: NonFinite,
}

impl Writer {
    fn predictions(&mut self, outputs: &[Tensor]) -> Result<(), Error> {
        self.out.extend_from_slice(b"{\"predictions\":");
        match outputs {
            [only] => self.whole(only),
            several => self.row_objects(several),
        }
    }

    fn outputs(&mut self, outputs: &[Tensor]) -> Result<(), Error> {
        self.out.extend_from_slice(b"{\"outputs\":");
        if let [only] = outputs {
            return self.whole(only);
        }
        self.out.push(b'{');
        for (index, output) in outputs.iter().enumerate() {
            self.key(index, &output.name);
            self.whole(output)?;
        }
        self.out.push(b'}');
        Ok(())
    }

    /// `classes` and `scores`, both `[examples, classes]`.
    fn classes(&mut self, outputs: &[Tensor]) -> Result<(), Error> {
        let [labels, scores] = outputs else { return Err(not_of("classification", outputs)) };
        if labels.shape != scores.shape || labels.shape.len() != 2 {
            return Err(not_of("classification", outputs));
        }
        self.out.extend_from_slice(b"{\"results\":[");
        let (examples, classes) = (labels.shape[0], labels.shape[1]);
        for example in 0..examples {
            self.out.extend_from_slice(if example > 0 { b",[" } else { b"[" });
            for class in 0..classes {
                self.out.extend_from_slice(if class > 0 { b",[" } else { b"[" });
                self.element(labels, example * classes + class)?;
                self.out.push(b',');
                self.element(scores, example * classes + class)?;
                self.out.push(b']');
            }
            self.out.push(b']');
        }
        self.out.push(b']');
        Ok(())
    }

    /// One output of a number an example.
    fn numbers(&mut self, outputs: &[Tensor]) -> Result<(), Error> {
        let [only] = outputs else { return Err(not_of("regression", outputs)) };
        if only.shape.len() != 1 {
            return Err(not_of("regression", outputs));
        }
        self.out.extend_from_slice(b"{\"results\":");
        self.whole(only)
    }

    fn whole(&mut self, tensor: &Tensor) -> Result<(), Error> {
        self.nested(tensor, &tensor.shape, 0).map(|_| ())
    }

    fn nested(&mut self, tensor: &Tensor, shape: &[usize], at: usize) -> Result<usize, Error> {
        let style = self.style(tensor);
        nested(&mut self.out, tensor, shape, at, style)
    }

    fn row_objects(&mut self, outputs: &[Tensor]) -> Result<(), Error> {
        let rows = outputs.first().map_or(0, Tensor::rows);
        if let Some(odd) = outputs.iter().find(|it| it.rows() != rows || it.shape.is_empty()) {
            return Err(Error::new(
                Code::Inference,
                format!("output `{}` has shape {:?}, the first output has {rows} rows", odd.name, odd.shape),
            ));
        }
        self.out.push(b'[');
        for row in 0..rows {
            self.out.extend_from_slice(if row > 0 { b",{" } else { b"{" });
            for (index, output) in outputs.iter().enumerate() {
                self.key(index, &output.name);
                self.nested(output, &output.shape[1..], row * output.row_len())?;
            }
            self.out.push(b'}');
        }
        self.out.push(b']');
        Ok(())
    }

    fn key(&mut self, index: usize, name: &str) {
        if index > 0 {
            self.out.push(b',');
        }
        json::push_str(&mut self.out, name);
        self.out.push(b':');
    }

    fn element(&mut self, tensor: &Tensor, at: usize) -> Result<(), Error> {
        let style = self.style(tensor);
        element(&mut self.out, tensor, at, style)
    }

    fn style(&self, tensor: &Tensor) -> Style {
        let bytes =
            if tensor.name.ends_with("_bytes") { BytesStyle::Base64 } else { BytesStyle::TextOrBase64 };
        Style { non_finite: self.non_finite, bytes }
    }
}

fn not_of(method: &str, outputs: &[Tensor]) -> Error {
    let met: Vec<_> = outputs.iter().map(|it| format!("`{}` {:?}", it.name, it.shape)).collect();
    Error::new(Code::Inference, format!("the outputs {} are not those of a {method}", met.join(", ")))
}
