//! What classifiers do with their scores: the class, and the scores transformed.

use bytes::Bytes;
use weir_sdk::{Data, Tensor};

use super::super::super::super::Fault;
use super::super::attributes::{Setting, unsupported};
use super::super::value::tensor;

/// What is done to scores in the end (`post_transform`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Transform {
    Nothing,
    Softmax,
    Logistic,
    /// A softmax over what is not nought.
    SoftmaxZero,
    Probit,
}

impl Transform {
    pub(super) fn take(setting: &mut Setting) -> Result<Self, Fault> {
        Ok(match setting.text("post_transform")?.as_deref() {
            None | Some("NONE") => Self::Nothing,
            Some("SOFTMAX") => Self::Softmax,
            Some("LOGISTIC") => Self::Logistic,
            Some("SOFTMAX_ZERO") => Self::SoftmaxZero,
            Some("PROBIT") => Self::Probit,
            Some(other) => return Err(unsupported(format!("the transform `{other}`"))),
        })
    }

    /// Of the numbers that `TreeEnsemble` of version 5 has.
    pub(super) fn of_number(number: i64) -> Option<Self> {
        [Self::Nothing, Self::Softmax, Self::Logistic, Self::SoftmaxZero, Self::Probit]
            .get(usize::try_from(number).ok()?)
            .copied()
    }

    /// Transforms a row.
    pub(super) fn apply(self, scores: &mut [f32]) {
        match self {
            Self::Nothing => {}
            Self::Logistic => scores.iter_mut().for_each(|it| *it = logistic(*it)),
            Self::Probit => scores.iter_mut().for_each(|it| *it = probit(*it)),
            Self::Softmax => {
                let most = scores.iter().copied().fold(f32::MIN, f32::max);
                let mut sum = 0.0;
                for it in scores.iter_mut() {
                    *it = (*it - most).exp();
                    sum += *it;
                }
                scores.iter_mut().for_each(|it| *it /= sum);
            }
            Self::SoftmaxZero => {
                let most = scores.iter().copied().fold(f32::MIN, f32::max);
                let scale = (-most).exp();
                let mut sum = 0.0;
                for it in scores.iter_mut() {
                    if it.abs() > 1e-7 {
                        *it = (*it - most).exp();
                        sum += *it;
                    } else {
                        *it *= scale;
                    }
                }
                scores.iter_mut().for_each(|it| *it /= sum);
            }
        }
    }
}

/// The logistic function, symmetric about nought to the last bit.
pub(super) fn logistic(value: f32) -> f32 {
    let positive = 1.0 / (1.0 + (-value.abs()).exp());
    if value < 0.0 { 1.0 - positive } else { positive }
}

/// The quantile of the normal distribution, by Winitzki's approximation, as ONNX Runtime has it.
pub(super) fn probit(value: f32) -> f32 {
    // A pi of six digits is what it has there.
    #[allow(clippy::approx_constant)]
    const PI: f32 = 3.14159;
    let x = 2.0 * value - 1.0;
    let log = ((1.0 - x) * (1.0 + x)).ln();
    let first = 2.0 / (PI * 0.147) + 0.5 * log;
    let root = (first * first - 1.0 / 0.147 * log).sqrt() - first;
    std::f32::consts::SQRT_2 * root.sqrt().copysign(x)
}

/// The classes of a classifier.
pub(super) enum Labels {
    Numbers(Vec<i64>),
    Texts(Vec<Bytes>),
}

impl Labels {
    /// Takes the attributes by which most classifiers name them: the texts first.
    pub(super) fn take(setting: &mut Setting, numbers: &str, texts: &str) -> Result<Self, Fault> {
        let (numbers, texts) = (setting.ints(numbers)?, setting.texts(texts)?);
        Ok(if texts.is_empty() { Self::Numbers(numbers) } else { Self::Texts(texts) })
    }

    pub(super) fn len(&self) -> usize {
        match self {
            Self::Numbers(it) => it.len(),
            Self::Texts(it) => it.len(),
        }
    }

    /// The classes at these places, a row each. Past the last class the place itself is the class, as it is where two classes go
    /// without names.
    pub(super) fn chosen(&self, places: &[usize]) -> Tensor {
        let data = match self {
            Self::Numbers(labels) => {
                let label = |&at: &usize| labels.get(at).copied().unwrap_or(at as i64);
                Data::Int64(places.iter().map(label).collect::<Vec<_>>().into())
            }
            Self::Texts(labels) => {
                let label = |&at: &usize| labels.get(at).cloned().unwrap_or_else(|| at.to_string().into());
                Data::Bytes(places.iter().map(label).collect())
            }
        };
        tensor([places.len()], data)
    }
}

impl Labels {
    /// The places as they are where classes are numbers.
    pub(super) fn places(&self, places: &[usize]) -> Tensor {
        match self {
            Self::Numbers(_) => Self::Numbers(Vec::new()).chosen(places),
            Self::Texts(_) => self.chosen(places),
        }
    }
}

/// The place of the largest score, of equal ones the first.
pub(super) fn largest(scores: &[f32]) -> usize {
    let mut found = 0;
    for (at, &score) in scores.iter().enumerate().skip(1) {
        if score > scores[found] {
            found = at;
        }
    }
    found
}
