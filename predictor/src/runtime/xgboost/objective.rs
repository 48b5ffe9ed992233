//! What an objective means when predicting: how the base score becomes a margin, and how margins become an answer.
//!
//! The formulas are XGBoost's own, in single precision and in its order of operations, so that the bits agree.

use super::Fault;

/// An objective's two functions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Rule {
    pub(super) link: Link,
    pub(super) transform: Transform,
}

/// From the base score, which is in the space of the answers, to a margin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Link {
    Identity,
    Log,
    Logit,
}

/// From the margins of a row to its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Transform {
    Identity,
    Exp,
    Sigmoid,
    /// 1 where the margin is above zero, else 0.
    Hinge,
    /// Probabilities, one a class.
    Softmax,
    /// The index of the largest margin, as one number.
    Class,
    /// In ascending order.
    Sorted,
}

/// Returns what an objective means in the version of XGBoost that wrote the file.
pub(super) fn find(name: &str, version: (u32, u32)) -> Result<Rule, Fault> {
    let (link, transform) = match name {
        "reg:squarederror"
        | "reg:linear"
        | "reg:squaredlogerror"
        | "reg:pseudohubererror"
        | "reg:absoluteerror" => (Link::Identity, Transform::Identity),
        // Since 3.4 the quantiles of a row may no longer cross.
        "reg:quantileerror" if version >= (3, 4) => (Link::Identity, Transform::Sorted),
        "reg:quantileerror" => (Link::Identity, Transform::Identity),
        // Its base score was a probability until 1.4.
        "binary:logitraw" if version < (1, 4) => (Link::Logit, Transform::Identity),
        "binary:logitraw" | "rank:pairwise" | "rank:ndcg" | "rank:map" => {
            (Link::Identity, Transform::Identity)
        }
        "reg:logistic" | "binary:logistic" => (Link::Logit, Transform::Sigmoid),
        "binary:hinge" => (Link::Identity, Transform::Hinge),
        "count:poisson" | "reg:gamma" | "reg:tweedie" | "survival:cox" | "survival:aft" => {
            (Link::Log, Transform::Exp)
        }
        "multi:softprob" => (Link::Identity, Transform::Softmax),
        "multi:softmax" => (Link::Identity, Transform::Class),
        _ => {
            return Err(Fault::Unsupported {
                what: format!("the objective `{name}`"),
                advice: "serve the model from Python, or train it with an objective of XGBoost's own such as \
                         `reg:squarederror`",
            });
        }
    };
    Ok(Rule { link, transform })
}

impl Link {
    pub(super) fn margin(self, score: f32) -> f32 {
        match self {
            Self::Identity => score,
            Self::Log => score.ln(),
            // Since 3.2 the ends are cut off; before, they were refused when the model was made.
            Self::Logit => -(1.0 / score.clamp(1e-6, 1.0 - 1e-6) - 1.0).ln(),
        }
    }
}

impl Transform {
    /// Transforms the margins of all rows, `outputs` a row.
    pub(super) fn apply(self, mut margins: Vec<f32>, outputs: usize) -> Vec<f32> {
        match self {
            Self::Identity => {}
            Self::Exp => margins.iter_mut().for_each(|it| *it = it.exp()),
            Self::Sigmoid => margins.iter_mut().for_each(|it| *it = sigmoid(*it)),
            Self::Hinge => margins.iter_mut().for_each(|it| *it = if *it > 0.0 { 1.0 } else { 0.0 }),
            Self::Softmax => margins.chunks_exact_mut(outputs).for_each(softmax),
            Self::Class => return margins.chunks_exact(outputs).map(|row| largest(row) as f32).collect(),
            Self::Sorted => margins.chunks_exact_mut(outputs).for_each(|row| row.sort_by(f32::total_cmp)),
        }
        margins
    }
}

fn sigmoid(margin: f32) -> f32 {
    // The bound keeps the exponential finite; the tiny term is XGBoost's guard against a division by zero.
    let bounded = (-margin).min(88.7);
    1.0 / (bounded.exp() + 1.0 + 1e-16)
}

fn softmax(row: &mut [f32]) {
    let largest = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let mut sum = 0.0_f64;
    for value in row.iter_mut() {
        *value = (*value - largest).exp();
        sum += f64::from(*value);
    }
    row.iter_mut().for_each(|value| *value /= sum as f32);
}

/// Returns the index of the largest, the first of equals.
fn largest(row: &[f32]) -> usize {
    let mut best = 0;
    for (at, value) in row.iter().enumerate() {
        if *value > row[best] {
            best = at;
        }
    }
    best
}
