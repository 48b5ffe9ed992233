//! Linear scores: rows of weights times a row's values, plus intercepts. What every linear model begins with.

use weir_proto::Error;

use super::super::refusal::Refusal;
use super::fitted::Fitted;
use super::{Batch, Missing, check_finite, dot};

/// Weights and intercepts, one row of them for each score.
pub(super) struct Weights {
    pub(super) features: usize,
    /// Row-major, `features` for each score.
    weights: Vec<f64>,
    intercepts: Vec<f64>,
    /// Whether the file holds one row of weights that is not in a list of rows.
    pub(super) flat: bool,
}

impl Weights {
    /// Reads `coef_` and `intercept_`. An intercept of one number is that of every score.
    pub(super) fn read(fitted: &Fitted<'_>) -> Result<Self, Refusal> {
        let coefficients = fitted.array("coef_")?;
        let (scores, features, flat) = match *coefficients.shape.as_slice() {
            [features] => (1, features, true),
            [scores, features] => (scores, features, false),
            _ => {
                let shape = &coefficients.shape;
                return Err(fitted
                    .malformed(format!("has a `coef_` of shape {shape:?}, rows of weights are expected")));
            }
        };
        let weights = coefficients.floats()?;
        let intercepts = match fitted.need("intercept_")?.number() {
            Some(one) => vec![one; scores],
            None => match fitted.floats("intercept_")? {
                one if one.len() == 1 => vec![one[0]; scores],
                many => many,
            },
        };
        if intercepts.len() != scores || scores == 0 || features == 0 {
            return Err(fitted.malformed(format!(
                "has a `coef_` of shape {:?} and {} intercepts",
                coefficients.shape,
                intercepts.len()
            )));
        }
        Ok(Self { features, weights, intercepts, flat })
    }

    /// Returns how many scores a row has.
    pub(super) fn scores(&self) -> usize {
        self.intercepts.len()
    }

    /// Scores whole rows, row after row.
    ///
    /// # Errors
    /// `InvalidInput` for values that are not finite.
    pub(super) fn apply(&self, batch: &Batch<'_>) -> Result<Vec<f64>, Error> {
        let scores = self.scores();
        let mut all = vec![0.0; batch.rows() * scores];
        let rows = all.chunks_exact_mut(scores).enumerate();
        if let Batch::Sparse(sparse) = batch {
            check_finite(&sparse.values, sparse.width, Missing::Refused, f64::MAX)?;
            for (at, row) in rows {
                let (columns, values) = sparse.row(at);
                for ((score, weights), intercept) in
                    row.iter_mut().zip(self.weights.chunks_exact(self.features)).zip(&self.intercepts)
                {
                    let products =
                        columns.iter().zip(values).map(|(&at, value)| weights[at as usize] * value);
                    *score = products.sum::<f64>() + intercept;
                }
            }
            return Ok(all);
        }
        let matrix = batch.numbers()?;
        check_finite(&matrix, self.features, Missing::Refused, f64::MAX)?;
        for ((_, scores), row) in rows.zip(matrix.chunks_exact(self.features)) {
            for ((score, weights), intercept) in
                scores.iter_mut().zip(self.weights.chunks_exact(self.features)).zip(&self.intercepts)
            {
                *score = dot(row, weights) + intercept;
            }
        }
        Ok(all)
    }

    /// About how many nanoseconds a row takes.
    pub(super) fn row_ns(&self) -> f64 {
        0.3 * self.weights.len() as f64 + 3.0 * self.scores() as f64
    }
}

/// 1 / (1 + exp(-x)).
pub(super) fn logistic(score: f64) -> f64 {
    1.0 / (1.0 + (-score).exp())
}

/// Makes scores into probabilities. The greatest is subtracted first, so that nothing overflows.
pub(super) fn softmax(values: &mut [f64]) {
    let greatest = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let mut sum = 0.0;
    for value in values.iter_mut() {
        *value = (*value - greatest).exp();
        sum += *value;
    }
    values.iter_mut().for_each(|value| *value /= sum);
}

/// Divides by the sum. Where every class is impossible, all are as likely.
pub(super) fn normalise(values: &mut [f64]) {
    let sum: f64 = values.iter().sum();
    let count = values.len() as f64;
    values.iter_mut().for_each(|value| *value = if sum == 0.0 { 1.0 / count } else { *value / sum });
}
