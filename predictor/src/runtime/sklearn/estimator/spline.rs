//! `SplineTransformer`: each column as the values of B-splines.

use weir_proto::Error;

use super::super::refusal::Refusal;
use super::fitted::Fitted;
use super::registry::{Class, Family};
use super::{Batch, Missing, Steps, Transformer, check_finite};

pub(crate) static FAMILY: Family = Family {
    title: "Splines",
    classes: &[Class { name: "SplineTransformer", modules: &["sklearn.preprocessing._polynomial"], read }],
};

/// Beyond it nobody goes, and the sums are short.
const MAX_DEGREE: usize = 16;

fn read(fitted: &Fitted<'_>, steps: &mut Steps) -> Result<(), Refusal> {
    let beyond = match fitted.text("extrapolation").unwrap_or("constant") {
        "constant" => Beyond::Constant,
        "linear" => Beyond::Linear,
        "continue" => Beyond::Continued,
        "periodic" => Beyond::Periodic,
        "error" => Beyond::Refused,
        other => {
            return Err(
                fitted.unsupported(format!("with extrapolation `{other}`"), "use one of scikit-learn's")
            );
        }
    };
    let missing = match fitted.text("handle_missing").unwrap_or("error") {
        "error" => Missing::Refused,
        "zeros" => Missing::Allowed,
        other => {
            return Err(fitted.unsupported(format!("with handle_missing `{other}`"), "use error or zeros"));
        }
    };
    let list = fitted.need("bsplines_")?.items();
    let list = list.ok_or_else(|| fitted.malformed("has `bsplines_` that are no list"))?;
    let read = |(at, view)| curve(&fitted.part_of(view, &format!("spline {}", at + 1)), beyond);
    let curves: Vec<Curve> = list.enumerate().map(read).collect::<Result<_, _>>()?;
    let Some(first) = curves.first() else { return Err(fitted.malformed("has no splines")) };
    if curves.iter().any(|it| it.splines != first.splines || it.degree != first.degree) {
        return Err(fitted.malformed("has splines of different kinds"));
    }
    if first.degree < 2 && beyond == Beyond::Linear && curves.len() > 1 {
        // There scikit-learn takes other limits for each column after the first.
        return Err(fitted
            .unsupported("of degree 0 or 1 with linear extrapolation of several columns", "use degree 2"));
    }
    let kept = if fitted.flag("include_bias", true)? { first.splines } else { first.splines - 1 };
    if kept == 0 {
        return Err(fitted.malformed("has one spline and leaves it out"));
    }
    steps.add_transformer(fitted, Box::new(Splines { curves, beyond, missing, kept }))
}

fn curve(fitted: &Fitted<'_>, beyond: Beyond) -> Result<Curve, Refusal> {
    // scipy called them otherwise before.
    let new = fitted.optional("_t").is_some();
    let knots = fitted.floats(if new { "_t" } else { "t" })?;
    let (weights, [rows, splines]) = fitted.matrix(if new { "_c" } else { "c" })?;
    let degree = fitted.need("k")?.int().and_then(|it| usize::try_from(it).ok());
    let degree = degree.filter(|it| (1..=MAX_DEGREE).contains(it));
    let degree =
        degree.ok_or_else(|| fitted.unsupported("of that degree", format!("use 1 to {MAX_DEGREE}")))?;
    let wrapped = if beyond == Beyond::Periodic { degree } else { 0 };
    if splines == 0 || rows != splines + wrapped || knots.len() != rows + degree + 1 || rows <= degree {
        return Err(
            fitted.malformed(format!("has {} knots and weights of shape [{rows}, {splines}]", knots.len()))
        );
    }
    let mut places = weights.chunks_exact(splines).enumerate();
    let plain =
        |row: &[f64], at: usize| row.iter().enumerate().all(|(i, &it)| it == f64::from(u8::from(i == at)));
    if !places.all(|(at, row)| plain(row, at % splines)) || !knots.is_sorted() {
        return Err(fitted.malformed("has other weights or knots than scikit-learn makes"));
    }
    Ok(Curve { knots, degree, splines })
}

/// What becomes of values beyond the first and the last knot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Beyond {
    Constant,
    Linear,
    Continued,
    Periodic,
    Refused,
}

/// The splines of one column.
struct Curve {
    /// Ascending; `degree` of them stand below and above the limits.
    knots: Vec<f64>,
    degree: usize,
    /// How many values it gives.
    splines: usize,
}

impl Curve {
    /// The limits between which the splines add up to one.
    fn limits(&self) -> (f64, f64) {
        (self.knots[self.degree], self.knots[self.knots.len() - 1 - self.degree])
    }

    /// Adds the values of the splines at the place: de Boor (1972), in scipy's order. With `slope` it is their derivatives.
    fn add(&self, x: f64, slope: bool, values: &mut [f64]) {
        let (k, t) = (self.degree, &self.knots);
        let last = t.len() - 1 - k;
        let cell = k + t[k..=last].partition_point(|it| *it <= x).clamp(1, last - k) - 1;
        let mut now = [0.0; MAX_DEGREE + 1];
        let mut before = now;
        now[0] = 1.0;
        for j in 1..=k {
            let derived = slope && j == k;
            before[..j].copy_from_slice(&now[..j]);
            now[0] = 0.0;
            for n in 1..=j {
                let (above, below) = (t[cell + n], t[cell + n - j]);
                if above == below {
                    now[n] = 0.0;
                } else if derived {
                    let weight = j as f64 * before[n - 1] / (above - below);
                    now[n - 1] -= weight;
                    now[n] = weight;
                } else {
                    let weight = before[n - 1] / (above - below);
                    now[n - 1] += weight * (above - x);
                    now[n] = weight * (x - below);
                }
            }
        }
        for (at, value) in now[..=k].iter().enumerate() {
            // The last splines of a circle are the first ones.
            values[(cell - k + at) % self.splines] += value;
        }
    }

    /// Fills the values at the place, which is finite or missing.
    fn fill(&self, x: f64, beyond: Beyond, values: &mut [f64]) -> bool {
        values.fill(0.0);
        if x.is_nan() {
            return true;
        }
        let (least, greatest) = self.limits();
        match beyond {
            Beyond::Continued => self.add(x, false, values),
            Beyond::Periodic => {
                let period = greatest - least;
                let x = if period > 0.0 { least + rest(x - least, period) } else { 0.0 };
                self.add(x, false, values);
            }
            _ if x >= least && x <= greatest => self.add(x, false, values),
            Beyond::Refused => return false,
            Beyond::Constant => {
                self.add(x.clamp(least, greatest), false, values);
                // All but so many are nothing there, but for rounding.
                let zeros = if x < least { self.degree..self.splines } else { 0..self.splines - self.degree };
                values[zeros].fill(0.0);
            }
            Beyond::Linear => {
                let end = x.clamp(least, greatest);
                let mut slopes = vec![0.0; self.splines];
                self.add(end, false, values);
                self.add(end, true, &mut slopes);
                for (value, slope) in values.iter_mut().zip(slopes) {
                    *value += (x - end) * slope;
                }
                let count = self.degree.max(2).min(self.splines);
                let zeros = if x < least { count..self.splines } else { 0..self.splines - count };
                values[zeros].fill(0.0);
            }
        }
        true
    }
}

/// Python's remainder, which has the sign of the divisor.
fn rest(x: f64, by: f64) -> f64 {
    let rest = x % by;
    if rest < 0.0 { rest + by } else { rest }
}

struct Splines {
    curves: Vec<Curve>,
    beyond: Beyond,
    missing: Missing,
    /// How many values of each column are given.
    kept: usize,
}

impl Transformer for Splines {
    fn features(&self) -> usize {
        self.curves.len()
    }

    fn width(&self) -> usize {
        self.curves.len() * self.kept
    }

    fn transform<'b>(&self, batch: Batch<'b>) -> Result<Batch<'b>, Error> {
        let matrix = batch.numbers()?;
        check_finite(&matrix, self.curves.len(), self.missing, f64::MAX)?;
        let mut values = vec![0.0; self.curves[0].splines];
        let mut out = Vec::with_capacity(batch.rows() * self.width());
        for (row, xs) in matrix.chunks_exact(self.curves.len()).enumerate() {
            for (column, (&x, curve)) in xs.iter().zip(&self.curves).enumerate() {
                if !curve.fill(x, self.beyond, &mut values) {
                    return Err(Error::invalid(format!(
                        "input contains {x} in row {row}, column {column}, beyond the limits of the model's splines"
                    )));
                }
                out.extend_from_slice(&values[..self.kept]);
            }
        }
        Ok(Batch::dense(out, batch.rows(), self.width()))
    }

    fn row_ns(&self) -> f64 {
        self.curves.iter().map(|it| 20.0 + 4.0 * (it.degree * it.degree + it.splines) as f64).sum()
    }
}
