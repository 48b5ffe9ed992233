//! `IsotonicRegression`: straight lines between the points of a curve that never turns.

use weir_proto::Error;

use super::super::refusal::Refusal;
use super::fitted::Fitted;
use super::registry::{Class, Family};
use super::target::interpolate;
use super::{Batch, Missing, Regressor, Steps, check_finite};

pub(crate) static FAMILY: Family = Family {
    title: "Isotonic regression",
    classes: &[Class { name: "IsotonicRegression", modules: &["sklearn.isotonic"], read }],
};

fn read(fitted: &Fitted<'_>, steps: &mut Steps) -> Result<(), Refusal> {
    // Before 0.24 the points had other names, and those of before 0.18 kept too many of them.
    let recent = fitted.optional("X_thresholds_").is_some();
    let [x, y] = if recent { ["X_thresholds_", "y_thresholds_"] } else { ["_necessary_X_", "_necessary_y_"] };
    let beyond = match fitted.text("out_of_bounds").unwrap_or("nan") {
        "nan" => Beyond::Missing,
        "clip" => Beyond::Flat,
        "raise" => Beyond::Refused,
        other => {
            return Err(fitted.unsupported(format!("with out_of_bounds `{other}`"), "use nan, clip or raise"));
        }
    };
    if fitted.array(x)?.is_single() {
        let advice = "fit it on 64-bit floats";
        return Err(fitted.unsupported("fitted on 32-bit floats, which it rounds its answers to,", advice));
    }
    let (xs, ys) = (fitted.floats(x)?, fitted.floats(y)?);
    let ascending = xs.windows(2).all(|pair| pair[0] < pair[1]);
    if xs.len() != ys.len() || xs.is_empty() || !ascending {
        return Err(fitted.malformed(format!("has {} thresholds and {} values", xs.len(), ys.len())));
    }
    steps.add_regressor(fitted, Box::new(Curve { xs, ys, beyond }))
}

/// What is answered beyond the first and the last point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Beyond {
    Missing,
    Flat,
    Refused,
}

struct Curve {
    /// Ascending.
    xs: Vec<f64>,
    ys: Vec<f64>,
    beyond: Beyond,
}

impl Curve {
    fn at(&self, row: usize, x: f64) -> Result<f64, Error> {
        let (least, greatest) = (self.xs[0], self.xs[self.xs.len() - 1]);
        // A curve of one point is that everywhere.
        if self.xs.len() > 1 && (x < least || x > greatest) {
            match self.beyond {
                Beyond::Missing => return Ok(f64::NAN),
                Beyond::Flat => {}
                Beyond::Refused => {
                    let message = format!(
                        "row {row} holds {x}, the model was fitted on {least} to {greatest} and knows nothing beyond"
                    );
                    return Err(Error::invalid(message));
                }
            }
        }
        Ok(interpolate(x, &self.xs, &self.ys))
    }
}

impl Regressor for Curve {
    fn features(&self) -> usize {
        1
    }

    fn regress(&self, batch: &Batch<'_>) -> Result<Vec<f64>, Error> {
        let matrix = batch.numbers()?;
        check_finite(&matrix, 1, Missing::Refused, f64::MAX)?;
        matrix.iter().enumerate().map(|(row, &x)| self.at(row, x)).collect()
    }

    fn row_ns(&self) -> f64 {
        20.0
    }
}
