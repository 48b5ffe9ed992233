//! The booster `gblinear`: a weight for each feature and output, and a bias for each output.

use super::Fault;

/// The weights, outputs innermost: `[features + 1, outputs]`, the last row being the biases.
pub(super) struct Linear {
    weights: Vec<f32>,
}

impl Linear {
    /// Checks that there are as many weights as a model of that size has.
    pub(super) fn new(weights: Vec<f32>, features: usize, outputs: usize) -> Result<Self, Fault> {
        let wanted = features.checked_add(1).and_then(|rows| rows.checked_mul(outputs));
        if wanted != Some(weights.len()) {
            return Err(Fault::malformed(format!(
                "`weights` holds {} numbers, expected one for each of {outputs} outputs and each of {features} features \
                 and the bias",
                weights.len()
            )));
        }
        Ok(Self { weights })
    }

    /// Adds each row's score to its margins. The sums go through the features in order, as XGBoost's do, for the last bit.
    pub(super) fn add(&self, rows: &[f32], features: usize, margins: &mut [f32], outputs: usize) {
        let (weights, biases) = self.weights.split_at(features * outputs);
        for (row, margins) in rows.chunks_exact(features).zip(margins.chunks_exact_mut(outputs)) {
            for (margin, bias) in margins.iter_mut().zip(biases) {
                *margin += bias;
            }
            for (value, weights) in row.iter().zip(weights.chunks_exact(outputs)) {
                // A missing value is left out of the sum.
                if !value.is_nan() {
                    margins.iter_mut().zip(weights).for_each(|(margin, weight)| *margin += value * weight);
                }
            }
        }
    }
}
