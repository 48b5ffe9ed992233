//! `StandardScaler`: (x - mean) / scale.

use weir_proto::Error;

use super::super::refusal::Refusal;
use super::fitted::Fitted;
use super::registry::{Class, Family};
use super::{Batch, Missing, Steps, Transformer, check_finite};

pub(crate) static FAMILY: Family = Family {
    title: "Preprocessing",
    classes: &[Class {
        name: "StandardScaler",
        modules: &["sklearn.preprocessing._data", "sklearn.preprocessing.data"],
        read,
    }],
};

/// Reads the scaler.
fn read(fitted: &Fitted<'_>, steps: &mut Steps) -> Result<(), Refusal> {
    // The attributes stay in the file when their switch is off, and are not used then.
    let part = |switch: &str, name: &str| {
        if fitted.flag(switch, true)? { fitted.floats(name).map(Some) } else { Ok(None) }
    };
    let mean = part("with_mean", "mean_")?;
    let scale = part("with_std", "scale_")?;
    let features = match (&mean, &scale) {
        (Some(mean), Some(scale)) if mean.len() != scale.len() => {
            return Err(fitted.malformed(format!("has {} means and {} scales", mean.len(), scale.len())));
        }
        (Some(column), _) | (None, Some(column)) => column.len(),
        (None, None) => seen_features(fitted)?,
    };
    let mean = mean.unwrap_or_else(|| vec![0.0; features]);
    let scale = scale.unwrap_or_else(|| vec![1.0; features]);
    steps.add_transformer(fitted, Box::new(Scaler { mean, scale }))
}

/// A scaler that does nothing knows of its features only what scikit-learn noted while fitting.
fn seen_features(fitted: &Fitted<'_>) -> Result<usize, Refusal> {
    // One row of this many zeros is allocated; a model that takes more columns is none.
    const MAX_FEATURES: f64 = 1e6;
    let seen = fitted.number("n_features_in_")?;
    if (1.0..=MAX_FEATURES).contains(&seen) {
        return Ok(seen as usize);
    }
    Err(fitted.malformed(format!("was fitted on {seen} features")))
}

/// Means of 0 and scales of 1 where the scaler has none: exact, and no slower.
struct Scaler {
    mean: Vec<f64>,
    scale: Vec<f64>,
}

impl Transformer for Scaler {
    fn features(&self) -> usize {
        self.mean.len()
    }

    fn width(&self) -> usize {
        self.mean.len()
    }

    fn transform<'b>(&self, batch: Batch<'b>) -> Result<Batch<'b>, Error> {
        let rows = batch.rows();
        let mut matrix = batch.into_numbers()?;
        check_finite(&matrix, self.mean.len(), Missing::Allowed, f64::MAX)?;
        for row in matrix.chunks_exact_mut(self.mean.len()) {
            for ((value, mean), scale) in row.iter_mut().zip(&self.mean).zip(&self.scale) {
                *value = (*value - mean) / scale;
            }
        }
        Ok(Batch::dense(matrix, rows, self.mean.len()))
    }

    fn row_ns(&self) -> f64 {
        2.0 * self.mean.len() as f64
    }
}
