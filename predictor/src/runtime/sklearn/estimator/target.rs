//! `TransformedTargetRegressor`: a regressor of targets that were transformed, and how its answers are transformed back.

use weir_proto::Error;

use super::super::refusal::Refusal;
use super::bins::Ranks;
use super::features::{PowerRule, known};
use super::fitted::Fitted;
use super::registry::{Class, Family};
use super::{Batch, Missing, Regressor, Steps, Takes, check_finite};

pub(crate) static FAMILY: Family = Family {
    title: "Transformed targets",
    classes: &[Class { name: "TransformedTargetRegressor", modules: &["sklearn.compose._target"], read }],
};

fn read(fitted: &Fitted<'_>, steps: &mut Steps) -> Result<(), Refusal> {
    let inner = fitted.model(fitted.need("regressor_")?, "the regressor")?;
    let Some(regressor) = inner.regressor() else {
        return Err(fitted.malformed("holds a regressor that is none"));
    };
    let given = regressor.targets();
    let width = given.unwrap_or(1);
    let undo = Undo::read(&fitted.part("transformer_")?, width)?;
    // One target that was fitted in a list of its own is answered in one, whatever the regressor does.
    let alone = width == 1 && fitted.number("_training_dim")? == 1.0;
    let targets = (!alone).then_some(width);
    if inner.features().is_none() {
        return Err(fitted.malformed("holds a regressor without features"));
    }
    steps.add_regressor(fitted, Box::new(Transformed { inner, undo, width, targets }))
}

struct Transformed {
    inner: Steps,
    undo: Vec<Undo>,
    width: usize,
    targets: Option<usize>,
}

impl Regressor for Transformed {
    fn features(&self) -> usize {
        self.inner.features().unwrap_or(0)
    }

    fn takes(&self) -> Takes {
        self.inner.takes()
    }

    fn targets(&self) -> Option<usize> {
        self.targets
    }

    fn regress(&self, batch: &Batch<'_>) -> Result<Vec<f64>, Error> {
        let mut values = self.inner.regress(batch.lend())?;
        for undo in &self.undo {
            undo.apply(&mut values, self.width)?;
        }
        Ok(values)
    }

    fn row_ns(&self) -> f64 {
        self.inner.row_ns() + 30.0 * (self.undo.len() * self.width) as f64
    }
}

/// The inverse of a transformer.
enum Undo {
    /// x * scale + shift, of each target.
    Stretch {
        scale: Vec<f64>,
        shift: Vec<f64>,
    },
    /// (x - shift) / scale, of each target.
    Shrink {
        scale: Vec<f64>,
        shift: Vec<f64>,
    },
    /// A power for each target.
    Power {
        lambdas: Vec<f64>,
        rule: PowerRule,
    },
    /// From ranks to the quantiles of each target.
    Ranks(Ranks),
    Function {
        apply: fn(f64) -> f64,
        checked: bool,
    },
}

impl Undo {
    /// Reads how to undo a transformer of so many columns.
    fn read(fitted: &Fitted<'_>, width: usize) -> Result<Vec<Self>, Refusal> {
        let name = fitted.class.rsplit('.').next().unwrap_or_default();
        if !fitted.class.starts_with("sklearn.preprocessing.") {
            return Err(unknown(fitted));
        }
        Ok(match name {
            "StandardScaler" => {
                vec![Self::stretch(fitted, ["with_mean", "mean_"], ["with_std", "scale_"], width)?]
            }
            "RobustScaler" => {
                vec![Self::stretch(fitted, ["with_centering", "center_"], ["with_scaling", "scale_"], width)?]
            }
            "MaxAbsScaler" => {
                vec![Self::Stretch { scale: column(fitted, "scale_", width)?, shift: vec![0.0; width] }]
            }
            "MinMaxScaler" => vec![Self::Shrink {
                scale: column(fitted, "scale_", width)?,
                shift: column(fitted, "min_", width)?,
            }],
            "PowerTransformer" => {
                let power = Self::Power {
                    lambdas: column(fitted, "lambdas_", width)?,
                    rule: PowerRule::read(fitted)?,
                };
                if fitted.flag("standardize", true)? {
                    let scaler = fitted.part("_scaler")?;
                    let first =
                        Self::stretch(&scaler, ["with_mean", "mean_"], ["with_std", "scale_"], width)?;
                    vec![first, power]
                } else {
                    vec![power]
                }
            }
            "QuantileTransformer" => vec![Self::ranks(fitted, width)?],
            "FunctionTransformer" => vec![Self::Function {
                apply: known(fitted, "inverse_func", "inv_kw_args")?,
                checked: fitted.flag("validate", false)?,
            }],
            _ => return Err(unknown(fitted)),
        })
    }

    fn stretch(
        fitted: &Fitted<'_>,
        [centred, mean]: [&str; 2],
        [scaled, scale]: [&str; 2],
        width: usize,
    ) -> Result<Self, Refusal> {
        let shift = if fitted.flag(centred, true)? { column(fitted, mean, width)? } else { vec![0.0; width] };
        let scale = if fitted.flag(scaled, true)? { column(fitted, scale, width)? } else { vec![1.0; width] };
        Ok(Self::Stretch { scale, shift })
    }

    fn ranks(fitted: &Fitted<'_>, width: usize) -> Result<Self, Refusal> {
        let ranks = Ranks::read(fitted)?;
        let (count, features) = (ranks.references.len(), ranks.columns.len());
        if features != width || !ranks.references.is_sorted() {
            return Err(fitted.malformed(format!("has {count} quantiles of {features} targets for {width}")));
        }
        Ok(Self::Ranks(ranks))
    }

    /// Changes the values, of which a row has `width`, in place.
    fn apply(&self, values: &mut [f64], width: usize) -> Result<(), Error> {
        match self {
            Self::Function { checked: false, .. } => {}
            Self::Function { checked: true, .. } => check_finite(values, width, Missing::Refused, f64::MAX)?,
            _ => check_finite(values, width, Missing::Allowed, f64::MAX)?,
        }
        for row in values.chunks_exact_mut(width) {
            for (at, value) in row.iter_mut().enumerate() {
                *value = match self {
                    Self::Stretch { scale, shift } => *value * scale[at] + shift[at],
                    Self::Shrink { scale, shift } => (*value - shift[at]) / scale[at],
                    Self::Power { lambdas, rule } => unpowered(*value, lambdas[at], *rule),
                    Self::Ranks(it) => quantile(*value, &it.references, &it.columns[at], it.normal),
                    Self::Function { apply, .. } => apply(*value),
                };
            }
        }
        Ok(())
    }
}

fn column(fitted: &Fitted<'_>, name: &str, width: usize) -> Result<Vec<f64>, Refusal> {
    let values = fitted.floats(name)?;
    if values.len() != width {
        return Err(fitted.malformed(format!("has {} values of `{name}` for {width} targets", values.len())));
    }
    Ok(values)
}

fn unknown(fitted: &Fitted<'_>) -> Refusal {
    let advice = "use a scaler, PowerTransformer, QuantileTransformer or functions of numpy's";
    fitted.unsupported("as a transformer of targets", advice)
}

/// The inverse of Yeo and Johnson (2000), and of Box and Cox (1964).
fn unpowered(x: f64, lambda: f64, rule: PowerRule) -> f64 {
    match rule {
        PowerRule::BoxCox if lambda == 0.0 => x.exp(),
        PowerRule::BoxCox => ((x * lambda).ln_1p() / lambda).exp(),
        PowerRule::YeoJohnson if x.is_nan() => x,
        PowerRule::YeoJohnson if x >= 0.0 && lambda.abs() < f64::EPSILON => x.exp() - 1.0,
        PowerRule::YeoJohnson if x >= 0.0 => (x * lambda + 1.0).powf(1.0 / lambda) - 1.0,
        PowerRule::YeoJohnson if (lambda - 2.0).abs() > f64::EPSILON => {
            1.0 - (-(2.0 - lambda) * x + 1.0).powf(1.0 / (2.0 - lambda))
        }
        PowerRule::YeoJohnson => 1.0 - (-x).exp(),
    }
}

/// The quantile of that rank. So near to an end that scikit-learn takes it for the end, it is the end.
fn quantile(value: f64, references: &[f64], quantiles: &[f64], normal: bool) -> f64 {
    const NEAR: f64 = 1e-7;
    let rank = if normal { normal_rank(value) } else { value };
    let (below, above) =
        if normal { (rank - NEAR < 0.0, rank + NEAR > 1.0) } else { (rank == 0.0, rank == 1.0) };
    match (below, above) {
        _ if rank.is_nan() => rank,
        (true, _) => quantiles[0],
        (false, true) => quantiles[quantiles.len() - 1],
        (false, false) => interpolate(rank, references, quantiles),
    }
}

/// numpy's `interp`: a straight line between the last point that is not above the value and the next, flat beyond.
pub(super) fn interpolate(x: f64, xs: &[f64], ys: &[f64]) -> f64 {
    let above = xs.partition_point(|it| *it <= x);
    if above == 0 {
        return ys[0];
    }
    let at = above - 1;
    if above == xs.len() || xs[at] == x {
        return ys[at];
    }
    (ys[above] - ys[at]) / (xs[above] - xs[at]) * (x - xs[at]) + ys[at]
}

/// How much of the standard normal distribution is below.
fn normal_rank(x: f64) -> f64 {
    let z = x.abs() / std::f64::consts::SQRT_2;
    let tail = 0.5 * complement(z);
    if x < 0.0 { tail } else { 1.0 - tail }
}

/// The complementary error function of a number that is not negative: Abramowitz and Stegun (1964), 7.1.6 where that sum has
/// few terms, else the continued fraction 7.1.14.
fn complement(z: f64) -> f64 {
    if z < 2.0 {
        let (mut term, mut sum, mut n) = (z, z, 1.0);
        while term > sum * 1e-17 {
            term *= 2.0 * z * z / (2.0 * n + 1.0);
            sum += term;
            n += 1.0;
        }
        return 1.0 - std::f64::consts::FRAC_2_SQRT_PI * (-z * z).exp() * sum;
    }
    let fraction = (1..=120).rev().fold(z, |rest, n| z + 0.5 * f64::from(n) / rest);
    (-z * z).exp() * 0.5 * std::f64::consts::FRAC_2_SQRT_PI / fraction
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_of_the_normal_distribution_are_known() {
        for (x, p) in [
            (0.0, 0.5),
            (-1.0, 0.158_655_253_931_457_05),
            (1.0, 0.841_344_746_068_542_9),
            (-2.7, 0.003_466_973_803_040_672),
            (-3.0, 0.001_349_898_031_630_094_6),
            (5.0, 0.999_999_713_348_428_1),
            (-8.0, 6.220_960_574_271_785e-16),
        ] {
            let got = normal_rank(x);
            assert!((got - p).abs() <= 1e-13 * p, "{x}: {got} is not {p}");
        }
    }
}
