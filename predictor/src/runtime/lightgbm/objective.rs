//! What an objective makes of raw scores. The formulas are LightGBM's own, in its order of operations, so that the bits agree.

use super::Fault;

/// From the raw scores of a row to its answer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Transform {
    Identity,
    /// The square, with the sign of the score: models of the square root of their labels.
    Square,
    Exp,
    /// Of each score by itself, after it was multiplied.
    Sigmoid(f64),
    /// Probabilities, one a class.
    Softmax,
    /// The logarithm of one plus the exponential.
    Softplus,
}

/// What the text of an objective means.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Rule {
    pub(super) transform: Transform,
    /// The scores are those of classes: one a class, or the one of the second of two.
    pub(super) classes: bool,
}

/// Reads an objective as files hold it, such as `binary sigmoid:1`. Those whose objective was the caller's own have none.
pub(super) fn find(text: Option<&str>, outputs: usize) -> Result<Rule, Fault> {
    let Some(text) = text else { return Ok(Rule { transform: Transform::Identity, classes: false }) };
    let mut words = text.split(' ').filter(|it| !it.is_empty());
    let name = words.next().unwrap_or_default();
    let options: Vec<_> = words.collect();
    let option = |key: &str| options.iter().find_map(|it| it.strip_prefix(key)?.strip_prefix(':'));
    let squared = if options.contains(&"sqrt") { Transform::Square } else { Transform::Identity };
    let sigmoid = || {
        let scale = option("sigmoid").and_then(decimal).filter(|it| *it > 0.0);
        scale.map(Transform::Sigmoid).ok_or_else(|| {
            Fault::malformed(format!(
                "the objective is `{text}`, expected a `sigmoid:` and a positive number"
            ))
        })
    };
    let classes = matches!(name, "binary" | "multiclass" | "softmax")
        || matches!(name, "multiclassova" | "multiclass_ova" | "ova" | "ovr");
    let transform = match name {
        "regression"
        | "regression_l2"
        | "mean_squared_error"
        | "mse"
        | "l2"
        | "l2_root"
        | "root_mean_squared_error"
        | "rmse"
        | "regression_l1"
        | "mean_absolute_error"
        | "l1"
        | "mae"
        | "fair"
        | "quantile"
        | "mape"
        | "mean_absolute_percentage_error" => squared,
        "huber" | "lambdarank" | "rank_xendcg" | "xendcg" | "xe_ndcg" | "xe_ndcg_mart" | "xendcg_mart" => {
            Transform::Identity
        }
        "poisson" | "gamma" | "tweedie" => Transform::Exp,
        "binary" | "multiclassova" | "multiclass_ova" | "ova" | "ovr" => sigmoid()?,
        "multiclass" | "softmax" => Transform::Softmax,
        "cross_entropy" | "xentropy" => Transform::Sigmoid(1.0),
        "cross_entropy_lambda" | "xentlambda" => Transform::Softplus,
        "custom" | "none" | "null" | "na" => {
            return Ok(Rule { transform: Transform::Identity, classes: false });
        }
        _ => {
            return Err(Fault::Unsupported {
                what: format!("the objective `{text}`"),
                advice: "serve the model from Python, or train it with an objective of LightGBM's own such as \
                         `regression`",
            });
        }
    };
    let many = classes && name != "binary";
    let scored = if many { option("num_class").and_then(|it| it.parse().ok()).unwrap_or(0) } else { 1 };
    if scored != outputs {
        return Err(Fault::malformed(format!(
            "the objective `{text}` is for {scored} scores a row, the model has {outputs}"
        )));
    }
    Ok(Rule { transform, classes })
}

impl Transform {
    /// Transforms the scores of all rows, `outputs` a row.
    pub(super) fn apply(self, scores: &mut [f64], outputs: usize) {
        match self {
            Self::Identity => {}
            Self::Square => scores.iter_mut().for_each(|it| *it = sign(*it) * *it * *it),
            Self::Exp => scores.iter_mut().for_each(|it| *it = it.exp()),
            Self::Sigmoid(scale) => {
                scores.iter_mut().for_each(|it| *it = 1.0 / (1.0 + (-scale * *it).exp()));
            }
            Self::Softmax => scores.chunks_exact_mut(outputs).for_each(softmax),
            Self::Softplus => scores.iter_mut().for_each(|it| *it = it.exp().ln_1p()),
        }
    }
}

fn sign(value: f64) -> f64 {
    f64::from(i8::from(value > 0.0) - i8::from(value < 0.0))
}

fn softmax(row: &mut [f64]) {
    let mut largest = row[0];
    for &score in &row[1..] {
        // Unlike `f64::max` this keeps NaN where LightGBM does.
        largest = if score < largest { largest } else { score };
    }
    let mut sum = 0.0;
    for score in row.iter_mut() {
        *score = (*score - largest).exp();
        sum += *score;
    }
    row.iter_mut().for_each(|score| *score /= sum);
}

/// Reads a decimal as LightGBM reads the options of objectives: digits before and after the point are read by themselves, so
/// the last bit may differ from that of the nearest number.
fn decimal(text: &str) -> Option<f64> {
    let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = |it: &str| it.len() <= 15 && it.bytes().all(|it| it.is_ascii_digit());
    if !digits(whole) || !digits(fraction) || whole.len() + fraction.len() == 0 {
        return None;
    }
    let number = |it: &str| if it.is_empty() { Some(0.0) } else { it.parse::<f64>().ok() };
    // Powers of ten up to this one are exact.
    let power = |exponent: usize| number(&format!("1e{exponent}"));
    let mut value = number(whole)?;
    if !fraction.is_empty() {
        value += number(fraction)? / power(fraction.len())?;
    }
    let exponent: i32 = exponent.parse().ok().filter(|it| (-22..=22).contains(it))?;
    let scale = power(usize::try_from(exponent.unsigned_abs()).ok()?)?;
    Some(if exponent < 0 { value / scale } else { value * scale })
}
