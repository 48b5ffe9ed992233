//! Scalers that shift and stretch each column, and the transformers that look at one value or one row at a time.

use weir_proto::Error;

use super::super::refusal::Refusal;
use super::fitted::Fitted;
use super::registry::{Class, Family};
use super::{Batch, Missing, Steps, Transformer, check_finite};

macro_rules! class {
    ($name:literal, $read:expr) => {
        Class {
            name: $name,
            modules: &["sklearn.preprocessing._data", "sklearn.preprocessing.data"],
            read: $read,
        }
    };
}

pub(crate) static FAMILY: Family = Family {
    title: "Preprocessing",
    classes: &[
        class!("StandardScaler", standard),
        class!("MinMaxScaler", min_max),
        class!("MaxAbsScaler", max_abs),
        class!("RobustScaler", robust),
        class!("Normalizer", normalizer),
        class!("Binarizer", binarizer),
    ],
};

/// (x - mean) / scale.
fn standard(fitted: &Fitted<'_>, steps: &mut Steps) -> Result<(), Refusal> {
    // The attributes stay in the file when their switch is off, and are not used then.
    let mean = switched(fitted, "with_mean", "mean_")?;
    let scale = switched(fitted, "with_std", "scale_")?;
    divided(fitted, mean, scale, steps)
}

/// (x - median) / range of quantiles.
fn robust(fitted: &Fitted<'_>, steps: &mut Steps) -> Result<(), Refusal> {
    let centre = switched(fitted, "with_centering", "center_")?;
    let scale = switched(fitted, "with_scaling", "scale_")?;
    divided(fitted, centre, scale, steps)
}

/// x / the greatest absolute value.
fn max_abs(fitted: &Fitted<'_>, steps: &mut Steps) -> Result<(), Refusal> {
    let scale = fitted.floats("scale_")?;
    divided(fitted, None, Some(scale), steps)
}

fn switched(fitted: &Fitted<'_>, switch: &str, name: &str) -> Result<Option<Vec<f64>>, Refusal> {
    if fitted.flag(switch, true)? { fitted.floats(name).map(Some) } else { Ok(None) }
}

fn divided(
    fitted: &Fitted<'_>,
    shift: Option<Vec<f64>>,
    scale: Option<Vec<f64>>,
    steps: &mut Steps,
) -> Result<(), Refusal> {
    let features = match (&shift, &scale) {
        (Some(shift), Some(scale)) if shift.len() != scale.len() => {
            return Err(fitted.malformed(format!("has {} means and {} scales", shift.len(), scale.len())));
        }
        (Some(column), _) | (None, Some(column)) => column.len(),
        (None, None) => seen_features(fitted)?,
    };
    let shift = shift.unwrap_or_else(|| vec![0.0; features]);
    let scale = scale.unwrap_or_else(|| vec![1.0; features]);
    steps.add_transformer(fitted, Box::new(Divided { shift, scale }))
}

/// A transformer without a number for each column knows of its features only what scikit-learn noted while fitting.
pub(super) fn seen_features(fitted: &Fitted<'_>) -> Result<usize, Refusal> {
    // One row of this many zeros is allocated; a model that takes more columns is none.
    const MAX_FEATURES: f64 = 1e6;
    if fitted.optional("n_features_in_").is_none() {
        let advice = "save it with scikit-learn 0.24 or later, which notes how many columns it was fitted on";
        return Err(fitted.unsupported("that does not tell how many columns it takes", advice));
    }
    let seen = fitted.number("n_features_in_")?;
    if (1.0..=MAX_FEATURES).contains(&seen) {
        return Ok(seen as usize);
    }
    Err(fitted.malformed(format!("was fitted on {seen} features")))
}

/// Shifts of 0 and scales of 1 where the scaler has none: exact, and no slower.
struct Divided {
    shift: Vec<f64>,
    scale: Vec<f64>,
}

impl Transformer for Divided {
    fn features(&self) -> usize {
        self.shift.len()
    }

    fn width(&self) -> usize {
        self.shift.len()
    }

    fn transform<'b>(&self, batch: Batch<'b>) -> Result<Batch<'b>, Error> {
        each_row(batch, self.shift.len(), Missing::Allowed, |row| {
            for ((value, shift), scale) in row.iter_mut().zip(&self.shift).zip(&self.scale) {
                *value = (*value - shift) / scale;
            }
        })
    }

    fn row_ns(&self) -> f64 {
        2.0 * self.shift.len() as f64
    }
}

/// Changes the rows of a matrix in place.
pub(super) fn each_row<'b>(
    batch: Batch<'b>,
    width: usize,
    missing: Missing,
    mut change: impl FnMut(&mut [f64]),
) -> Result<Batch<'b>, Error> {
    let rows = batch.rows();
    let mut matrix = batch.into_numbers()?;
    check_finite(&matrix, width, missing, f64::MAX)?;
    matrix.chunks_exact_mut(width).for_each(&mut change);
    Ok(Batch::dense(matrix, rows, width))
}

/// x * scale + min, cut off at the range where that is wanted.
fn min_max(fitted: &Fitted<'_>, steps: &mut Steps) -> Result<(), Refusal> {
    let (scale, shift) = (fitted.floats("scale_")?, fitted.floats("min_")?);
    if scale.len() != shift.len() {
        return Err(fitted.malformed(format!("has {} scales and {} minima", scale.len(), shift.len())));
    }
    let clip = if fitted.flag("clip", false)? {
        let range = fitted.need("feature_range")?;
        let ends = range.item(0).and_then(|it| it.number()).zip(range.item(1).and_then(|it| it.number()));
        Some(ends.ok_or_else(|| fitted.malformed("has a `feature_range` that is no two numbers"))?)
    } else {
        None
    };
    steps.add_transformer(fitted, Box::new(MinMax { scale, shift, clip }))
}

struct MinMax {
    scale: Vec<f64>,
    shift: Vec<f64>,
    clip: Option<(f64, f64)>,
}

impl Transformer for MinMax {
    fn features(&self) -> usize {
        self.scale.len()
    }

    fn width(&self) -> usize {
        self.scale.len()
    }

    fn transform<'b>(&self, batch: Batch<'b>) -> Result<Batch<'b>, Error> {
        each_row(batch, self.scale.len(), Missing::Allowed, |row| {
            for ((value, scale), shift) in row.iter_mut().zip(&self.scale).zip(&self.shift) {
                *value = *value * scale + shift;
                // A missing value stays missing.
                if let Some((least, greatest)) = self.clip {
                    *value = if *value < least {
                        least
                    } else if *value > greatest {
                        greatest
                    } else {
                        *value
                    };
                }
            }
        })
    }

    fn row_ns(&self) -> f64 {
        2.0 * self.scale.len() as f64
    }
}

/// x / the norm of the row.
fn normalizer(fitted: &Fitted<'_>, steps: &mut Steps) -> Result<(), Refusal> {
    let norm = match fitted.text("norm").unwrap_or("l2") {
        "l1" => Norm::Sum,
        "l2" => Norm::Length,
        "max" => Norm::Greatest,
        other => return Err(fitted.unsupported(format!("with norm `{other}`"), "use l1, l2 or max")),
    };
    steps.add_open(fitted, Box::new(move |features| Box::new(Normalizer { features, norm })))
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Norm {
    Sum,
    Length,
    Greatest,
}

impl Norm {
    /// Divides by the norm; a row of zeros stays.
    pub(super) fn divide(self, row: &mut [f64]) {
        let norm = match self {
            Self::Sum => row.iter().map(|it| it.abs()).sum(),
            Self::Length => row.iter().map(|it| it * it).sum::<f64>().sqrt(),
            Self::Greatest => row.iter().map(|it| it.abs()).fold(0.0, f64::max),
        };
        if norm != 0.0 {
            row.iter_mut().for_each(|it| *it /= norm);
        }
    }
}

struct Normalizer {
    features: usize,
    norm: Norm,
}

impl Transformer for Normalizer {
    fn features(&self) -> usize {
        self.features
    }

    fn width(&self) -> usize {
        self.features
    }

    fn transform<'b>(&self, batch: Batch<'b>) -> Result<Batch<'b>, Error> {
        if let Batch::Sparse(mut sparse) = batch {
            check_finite(&sparse.values, sparse.width, Missing::Refused, f64::MAX)?;
            for at in 0..sparse.rows() {
                let range = sparse.starts[at]..sparse.starts[at + 1];
                self.norm.divide(&mut sparse.values[range]);
            }
            return Ok(Batch::Sparse(sparse));
        }
        each_row(batch, self.features, Missing::Refused, |row| self.norm.divide(row))
    }

    fn row_ns(&self) -> f64 {
        2.0 * self.features as f64
    }
}

/// 1 above the threshold, else 0.
fn binarizer(fitted: &Fitted<'_>, steps: &mut Steps) -> Result<(), Refusal> {
    let threshold = if fitted.optional("threshold").is_some() { fitted.number("threshold")? } else { 0.0 };
    steps.add_open(fitted, Box::new(move |features| Box::new(Binarizer { features, threshold })))
}

struct Binarizer {
    features: usize,
    threshold: f64,
}

impl Transformer for Binarizer {
    fn features(&self) -> usize {
        self.features
    }

    fn width(&self) -> usize {
        self.features
    }

    fn transform<'b>(&self, batch: Batch<'b>) -> Result<Batch<'b>, Error> {
        each_row(batch, self.features, Missing::Refused, |row| {
            row.iter_mut().for_each(|it| *it = f64::from(u8::from(*it > self.threshold)));
        })
    }

    fn row_ns(&self) -> f64 {
        self.features as f64
    }
}
