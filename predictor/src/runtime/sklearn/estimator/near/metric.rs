//! Distances, and the same "reduced": cheaper to work out, and in the same order.

use super::super::super::refusal::Refusal;
use super::super::super::view::View;
use super::super::fitted::Fitted;
use super::points::LANES;

/// How far two rows are from each other.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Metric {
    Euclidean,
    Manhattan,
    Chebyshev,
    /// The power, which is positive and finite.
    Minkowski(f64),
}

impl Metric {
    /// Reads the metric that scikit-learn settled on when it fitted the model.
    pub(super) fn read(fitted: &Fitted<'_>) -> Result<Self, Refusal> {
        let name =
            if fitted.optional("effective_metric_").is_some() { "effective_metric_" } else { "metric" };
        let Some(text) = fitted.text(name) else {
            return Err(fitted.unsupported("with a metric that is a function or an object", ADVICE));
        };
        let power = || fitted.optional("effective_metric_params_").and_then(|it| it.get("p")?.number());
        match text {
            "euclidean" | "l2" => Ok(Self::Euclidean),
            "manhattan" | "l1" | "cityblock" => Ok(Self::Manhattan),
            "chebyshev" | "infinity" => Ok(Self::Chebyshev),
            "minkowski" | "p" => {
                let power =
                    power().ok_or_else(|| fitted.malformed("has a Minkowski metric without its power"))?;
                Self::of_power(fitted, power)
            }
            other => Err(fitted.unsupported(format!("with metric `{other:.40}`"), ADVICE)),
        }
    }

    /// Refuses what changes a distance and is not looked at here.
    pub(super) fn check_parameters(fitted: &Fitted<'_>) -> Result<(), Refusal> {
        let pairs = fitted.optional("effective_metric_params_").and_then(View::pairs);
        for (key, value) in pairs.into_iter().flatten() {
            if key.text() != Some("p") && !value.is_none() {
                let name = key.text().unwrap_or("other").to_owned();
                let what = format!("with the metric's parameter `{name:.40}`");
                return Err(fitted.unsupported(what, "scale the columns before instead"));
            }
        }
        Ok(())
    }

    /// Reads the metric object that a tree keeps. `state` begins with the power and a vector of weights.
    pub(super) fn of_tree(fitted: &Fitted<'_>, metric: View<'_>) -> Result<Self, Refusal> {
        let wrong = || fitted.malformed("has a tree with a metric that scikit-learn would refuse");
        let object = metric.object().ok_or_else(wrong)?;
        let (_, name) = metric.at(object.args).item(0).and_then(View::global).ok_or_else(wrong)?;
        let state = metric.at(object.state.ok_or_else(wrong)?);
        match name.trim_end_matches("64") {
            "EuclideanDistance" => Ok(Self::Euclidean),
            "ManhattanDistance" => Ok(Self::Manhattan),
            "ChebyshevDistance" => Ok(Self::Chebyshev),
            "MinkowskiDistance" => {
                let weights = fitted.floats_of("_tree", state.item(1).ok_or_else(wrong)?)?;
                if weights.iter().any(|&it| it != 0.0) {
                    return Err(
                        fitted.unsupported("with a weighted metric", "scale the columns before instead")
                    );
                }
                Self::of_power(fitted, state.item(0).and_then(View::number).ok_or_else(wrong)?)
            }
            other => Err(fitted.unsupported(format!("with a tree of {other:.40}"), ADVICE)),
        }
    }

    fn of_power(fitted: &Fitted<'_>, power: f64) -> Result<Self, Refusal> {
        if power > 0.0 && power.is_finite() {
            return Ok(Self::Minkowski(power));
        }
        Err(fitted.malformed(format!("has a Minkowski metric of power {power}")))
    }

    /// The power of the family of Minkowski that it is of.
    pub(super) fn power(self) -> f64 {
        match self {
            Self::Euclidean => 2.0,
            Self::Manhattan => 1.0,
            Self::Chebyshev => f64::INFINITY,
            Self::Minkowski(power) => power,
        }
    }

    /// Returns the reduced distance of the row to each point of a block: column after column, of each point one value. Each
    /// sum is taken from the first column to the last, as scikit-learn does, for distances that are equal must stay so.
    pub(super) fn reduced<T: Copy + Into<f64>>(self, row: &[f64], block: &[T]) -> [f64; LANES] {
        match self {
            Self::Euclidean => folded(row, block, |sum, x, y| sum + (x - y) * (x - y)),
            Self::Manhattan => folded(row, block, |sum, x, y| sum + (x - y).abs()),
            Self::Chebyshev => folded(row, block, |most, x, y| most.max((x - y).abs())),
            Self::Minkowski(power) => folded(row, block, |sum, x, y| sum + (x - y).abs().powf(power)),
        }
    }

    /// The same for one point.
    pub(super) fn reduced_to(self, row: &[f64], point: &[f64]) -> f64 {
        let pairs = || row.iter().zip(point);
        match self {
            Self::Euclidean => pairs().fold(0.0, |sum, (x, y)| sum + (x - y) * (x - y)),
            Self::Manhattan => pairs().fold(0.0, |sum, (x, y)| sum + (x - y).abs()),
            Self::Chebyshev => pairs().fold(0.0, |most: f64, (x, y)| most.max((x - y).abs())),
            Self::Minkowski(power) => pairs().fold(0.0, |sum, (x, y)| sum + (x - y).abs().powf(power)),
        }
    }

    pub(super) fn distance(self, reduced: f64) -> f64 {
        match self {
            Self::Euclidean => reduced.sqrt(),
            Self::Manhattan | Self::Chebyshev => reduced,
            Self::Minkowski(power) => reduced.powf(1.0 / power),
        }
    }

    pub(super) fn reduce(self, distance: f64) -> f64 {
        match self {
            Self::Euclidean => distance * distance,
            Self::Manhattan | Self::Chebyshev => distance,
            Self::Minkowski(power) => distance.powf(power),
        }
    }
}

const ADVICE: &str = "use euclidean, manhattan, chebyshev or minkowski";

fn folded<T: Copy + Into<f64>>(
    row: &[f64],
    block: &[T],
    step: impl Fn(f64, f64, f64) -> f64,
) -> [f64; LANES] {
    let (columns, _) = block.as_chunks::<LANES>();
    let mut sums = [0.0; LANES];
    for (x, column) in row.iter().zip(columns) {
        for lane in 0..LANES {
            sums[lane] = step(sums[lane], *x, column[lane].into());
        }
    }
    sums
}
