//! `scale`: subtracts a mean from each column and divides by a scale, as scikit-learn's `StandardScaler` does.
//! Options: `mean` and `scale`, a number a column (either may be left out); `columns`, their names, where the rows are objects.

use weir_proto::document::Fields;
use weir_proto::{Buffer, Data, Error, InferRequest, Tensor, text_in_row};

use super::{Stage, Step, StepKind, column, quoted};

const NAME: &str = "scale";

/// The kind.
#[derive(Debug)]
pub struct Kind;

impl StepKind for Kind {
    fn name(&self) -> &'static str {
        NAME
    }

    fn build(&self, fields: &Fields<'_>) -> Option<Box<dyn Step>> {
        let (mean, scale) = (fields.numbers("mean"), fields.numbers("scale"));
        let columns = if fields.has("columns") { super::names(fields, "columns")? } else { Vec::new() };
        let Some(count) = mean.as_ref().or(scale.as_ref()).map(Vec::len) else {
            if !fields.has("mean") && !fields.has("scale") {
                fields.error("mean", "is missing, and `scale` also; at least one of them is needed");
            }
            return None;
        };
        let before = mean.as_ref().map_or("scale", |_| "mean");
        let (mean, scale) =
            (mean.unwrap_or_else(|| vec![0.0; count]), scale.unwrap_or_else(|| vec![1.0; count]));
        for (name, length) in [("scale", scale.len()), ("columns", columns.len())] {
            if length != count && (name == "scale" || length > 0) {
                fields.error(name, format!("has {length} values, `{before}` has {count}"));
                return None;
            }
        }
        if let Some(at) = mean.iter().position(|value| !value.is_finite()) {
            fields.error("mean", format!("value {at} is {}, expected a finite number", mean[at]));
            return None;
        }
        if let Some(at) = scale.iter().position(|value| !value.is_finite() || *value == 0.0) {
            fields.error(
                "scale",
                format!("value {at} is {}, expected a finite number other than 0", scale[at]),
            );
            return None;
        }
        Some(Box::new(Scale { mean, scale, columns }))
    }
}

#[derive(Debug)]
struct Scale {
    mean: Vec<f64>,
    scale: Vec<f64>,
    /// Empty when only a matrix is taken.
    columns: Vec<String>,
}

impl Step for Scale {
    fn stage(&self) -> Stage {
        Stage::Pre
    }

    fn preprocess(&self, request: &mut InferRequest) -> Result<(), Error> {
        if self.columns.is_empty() || column::is_matrix(&request.inputs, &self.columns) {
            return self.matrix(&mut request.inputs);
        }
        for (name, (mean, scale)) in self.columns.iter().zip(self.mean.iter().zip(&self.scale)) {
            let at = column::find(&request.inputs, name, NAME)?;
            let tensor = &mut request.inputs[at];
            let mut values = take(tensor, name)?;
            values.iter_mut().for_each(|value| *value = (*value - mean) / scale);
            tensor.data = Data::Fp64(Buffer::from(values));
        }
        Ok(())
    }
}

impl Scale {
    fn matrix(&self, inputs: &mut [Tensor]) -> Result<(), Error> {
        let [tensor] = inputs else {
            if let Some(error) = text_in_row(inputs) {
                return Err(error);
            }
            let got = quoted(inputs.iter().map(|it| &it.name));
            return Err(Error::invalid(format!(
                "step `{NAME}` takes one matrix of numbers, the request has the columns {got}; give the step their names in \
                 `columns`, or put `encode` before it"
            )));
        };
        let width = self.mean.len();
        match *tensor.shape.as_slice() {
            [_, got] if got == width => {}
            [_, got] => {
                return Err(Error::invalid(format!(
                    "the input has {got} features a row, step `{NAME}` has {width}"
                )));
            }
            _ => {
                let shape = &tensor.shape;
                return Err(Error::invalid(format!(
                    "the input has shape {shape:?}, step `{NAME}` takes [rows, {width}]"
                )));
            }
        }
        let mut values = take(tensor, "")?;
        for row in values.chunks_exact_mut(width) {
            let columns = row.iter_mut().zip(self.mean.iter().zip(&self.scale));
            columns.for_each(|(value, (mean, scale))| *value = (*value - mean) / scale);
        }
        tensor.data = Data::Fp64(Buffer::from(values));
        Ok(())
    }
}

fn take(tensor: &mut Tensor, column: &str) -> Result<Vec<f64>, Error> {
    column::take_doubles(tensor).ok_or_else(|| {
        let what = if column.is_empty() { "the input".to_owned() } else { format!("column `{column}`") };
        Error::invalid(format!("{what} has datatype {}, step `{NAME}` takes numbers", tensor.datatype()))
    })
}
