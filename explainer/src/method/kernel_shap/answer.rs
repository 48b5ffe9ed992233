//! Reads predictions out of a model's answer, and the link between them and what is explained.

use weir_proto::{Code, Error, InferResponse, Tensor};

/// The scale on which the values of the features add up to the prediction.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Link {
    /// The model's own.
    #[default]
    Identity,
    /// Log odds of probabilities.
    Logit,
}

impl Link {
    /// Every link with its name.
    pub(super) const ALL: [(&'static str, Self); 2] = [("identity", Self::Identity), ("logit", Self::Logit)];

    /// Returns its name.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Identity => "identity",
            Self::Logit => "logit",
        }
    }

    /// Puts predictions, or means of them, on the scale.
    ///
    /// # Errors
    /// `Inference` when log odds are wanted of what is no probability.
    pub(super) fn apply(self, values: &mut [f64]) -> Result<(), Error> {
        match self {
            Self::Identity => Ok(()),
            Self::Logit => values.iter_mut().try_for_each(|value| {
                *value = logit(*value)?;
                Ok(())
            }),
        }
    }
}

/// Probabilities of 0 and 1, which float outputs and small forests give, count as the nearest that have finite log odds.
fn logit(p: f64) -> Result<f64, Error> {
    // Means of single-precision probabilities can be a little over one.
    if !(-1e-6..=1.0 + 1e-6).contains(&p) {
        return Err(Error::new(
            Code::Inference,
            format!(
                "`link: logit` needs probabilities between 0 and 1, the model answered {p}; name an `output` that holds \
                 probabilities, or use `link: identity`"
            ),
        ));
    }
    let p = p.clamp(f64::EPSILON, 1.0 - f64::EPSILON);
    Ok((p / (1.0 - p)).ln())
}

/// Predictions, `[row, output]`.
#[derive(Debug)]
pub(super) struct Predictions {
    /// How many values a row has.
    pub(super) outputs: usize,
    /// Row by row, all finite.
    pub(super) values: Vec<f64>,
}

/// Reads the predictions of `rows` rows from the output of that name; an empty name means the first.
///
/// # Errors
/// `Inference` that names the output, what was met and what was expected.
pub(super) fn read(answer: &InferResponse, name: &str, rows: usize) -> Result<Predictions, Error> {
    let tensor = find(answer, name)?;
    let wrong = |what: String| Error::new(Code::Inference, format!("output `{}` {what}", tensor.name));
    let values = tensor.data.to_f64().ok_or_else(|| {
        let numeric: Vec<_> = answer.outputs.iter().filter(|it| it.data.to_f64().is_some()).collect();
        let datatype = tensor.datatype();
        wrong(match numeric.as_slice() {
            [] => format!(
                "has datatype {datatype}, only numbers can be explained; set the explainer's `output` to one that holds \
                 numbers, such as `predict_proba`"
            ),
            known => format!(
                "has datatype {datatype}, only numbers can be explained; set the explainer's `output` to {}",
                known.iter().map(|it| format!("`{}`", it.name)).collect::<Vec<_>>().join(" or ")
            ),
        })
    })?;
    let outputs = tensor.row_len();
    if tensor.rows() != rows || tensor.shape.is_empty() || tensor.shape.len() > 2 || outputs == 0 {
        return Err(wrong(format!(
            "has shape {:?}, expected [{rows}] or [{rows}, classes] for the {rows} rows asked",
            tensor.shape
        )));
    }
    if let Some(at) = values.iter().position(|value| !value.is_finite()) {
        return Err(wrong(format!(
            "holds {} in row {}, which cannot be explained",
            values[at],
            at / outputs
        )));
    }
    Ok(Predictions { outputs, values })
}

fn find<'a>(answer: &'a InferResponse, name: &str) -> Result<&'a Tensor, Error> {
    let found = match name {
        "" => answer.outputs.first(),
        _ => answer.outputs.iter().find(|tensor| tensor.name == name),
    };
    found.ok_or_else(|| {
        let known: Vec<_> = answer.outputs.iter().map(|it| format!("`{}`", it.name)).collect();
        let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
        Error::new(
            Code::Inference,
            format!("the model's answer has no output `{name}`; its outputs are {known}"),
        )
    })
}
