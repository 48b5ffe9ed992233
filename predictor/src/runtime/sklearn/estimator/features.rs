//! Transformers that make features of features: polynomials, bins, ranks, powers, functions, selections, fillings.

use weir_proto::Error;

use super::super::refusal::Refusal;
use super::super::view::View;
use super::fitted::Fitted;
use super::registry::{Class, Family};
use super::scalers::{each_row, seen_features};
use super::{Batch, Missing, Steps, Transformer, check_finite};

pub(crate) static FAMILY: Family = Family {
    title: "Features of features",
    classes: &[
        Class {
            name: "PolynomialFeatures",
            modules: &[
                "sklearn.preprocessing._polynomial",
                "sklearn.preprocessing._data",
                "sklearn.preprocessing.data",
            ],
            read: polynomial,
        },
        Class {
            name: "PowerTransformer",
            modules: &["sklearn.preprocessing._data", "sklearn.preprocessing.data"],
            read: power,
        },
        Class {
            name: "FunctionTransformer",
            modules: &["sklearn.preprocessing._function_transformer"],
            read: function,
        },
        Class {
            name: "VarianceThreshold",
            modules: &[
                "sklearn.feature_selection._variance_threshold",
                "sklearn.feature_selection.variance_threshold",
            ],
            read: variance,
        },
        Class { name: "SelectKBest", modules: UNIVARIATE, read: k_best },
        Class { name: "SelectPercentile", modules: UNIVARIATE, read: percentile },
        Class { name: "SelectFpr", modules: UNIVARIATE, read: false_positives },
        Class {
            name: "RFE",
            modules: &["sklearn.feature_selection._rfe", "sklearn.feature_selection.rfe"],
            read: supported,
        },
        Class {
            name: "RFECV",
            modules: &["sklearn.feature_selection._rfe", "sklearn.feature_selection.rfe"],
            read: supported,
        },
        Class {
            name: "SequentialFeatureSelector",
            modules: &["sklearn.feature_selection._sequential"],
            read: supported,
        },
        Class {
            name: "SelectFromModel",
            modules: &["sklearn.feature_selection._from_model", "sklearn.feature_selection.from_model"],
            read: from_model,
        },
    ],
};

const UNIVARIATE: &[&str] =
    &["sklearn.feature_selection._univariate_selection", "sklearn.feature_selection.univariate_selection"];

/// Products of up to so many features, in scikit-learn's order: combinations of ascending length.
fn polynomial(fitted: &Fitted<'_>, steps: &mut Steps) -> Result<(), Refusal> {
    // A model that makes more of a row is none.
    const MAX_PRODUCTS: usize = 1 << 20;
    let features = match steps.width() {
        Some(width) => width,
        None if fitted.optional("n_input_features_").is_some() => {
            let seen = fitted.number("n_input_features_")?;
            if !(1.0..=1e6).contains(&seen) {
                return Err(fitted.malformed(format!("was fitted on {seen} features")));
            }
            seen as usize
        }
        None => seen_features(fitted)?,
    };
    let degree = fitted.need("degree")?;
    let whole = |view: View<'_>| view.int().and_then(|it| usize::try_from(it).ok());
    let degrees = match degree.items() {
        Some(_) => degree.item(0).and_then(whole).zip(degree.item(1).and_then(whole)),
        None => whole(degree).map(|it| (0, it)),
    };
    let (least, most) = degrees.ok_or_else(|| fitted.malformed("has a `degree` that is no whole number"))?;
    let repeat = !fitted.flag("interaction_only", false)?;
    let mut products: Vec<Vec<u32>> = Vec::new();
    if fitted.flag("include_bias", true)? {
        products.push(Vec::new());
    }
    for length in least.max(1)..=most.min(64) {
        if !combinations(features, length, repeat, MAX_PRODUCTS, &mut products) {
            return Err(fitted
                .unsupported(format!("that makes more than {MAX_PRODUCTS} features"), "use a lower degree"));
        }
    }
    steps.add_transformer(fitted, Box::new(Polynomial { features, products }))
}

/// Appends the ascending combinations of that length; false when there are too many.
fn combinations(features: usize, length: usize, repeat: bool, most: usize, out: &mut Vec<Vec<u32>>) -> bool {
    let step = usize::from(!repeat);
    let mut now: Vec<usize> = (0..length).map(|at| at * step).collect();
    if now.last().is_some_and(|&last| last >= features) {
        return true;
    }
    loop {
        if out.len() >= most {
            return false;
        }
        out.push(now.iter().map(|&it| it as u32).collect());
        // The last place that can still go up does, and those behind it follow.
        let Some(place) = (0..length).rev().find(|&at| now[at] + 1 + (length - 1 - at) * step < features)
        else {
            return true;
        };
        now[place] += 1;
        for at in place + 1..length {
            now[at] = now[at - 1] + step;
        }
    }
}

struct Polynomial {
    features: usize,
    products: Vec<Vec<u32>>,
}

impl Transformer for Polynomial {
    fn features(&self) -> usize {
        self.features
    }

    fn width(&self) -> usize {
        self.products.len()
    }

    fn transform<'b>(&self, batch: Batch<'b>) -> Result<Batch<'b>, Error> {
        let matrix = batch.numbers()?;
        check_finite(&matrix, self.features, Missing::Refused, f64::MAX)?;
        let mut out = Vec::with_capacity(batch.rows() * self.products.len());
        for row in matrix.chunks_exact(self.features) {
            out.extend(self.products.iter().map(|it| it.iter().map(|&at| row[at as usize]).product::<f64>()));
        }
        Ok(Batch::dense(out, batch.rows(), self.products.len()))
    }

    fn row_ns(&self) -> f64 {
        5.0 * self.products.len() as f64
    }
}

/// Powers that make columns look normal: Box and Cox (1964), Yeo and Johnson (2000).
fn power(fitted: &Fitted<'_>, steps: &mut Steps) -> Result<(), Refusal> {
    let lambdas = fitted.floats("lambdas_")?;
    let rule = PowerRule::read(fitted)?;
    steps.add_transformer(fitted, Box::new(Power { lambdas, rule }))?;
    // It scales in the end, by a scaler of its own.
    if fitted.flag("standardize", true)? {
        fitted.add(fitted.need("_scaler")?, "the scaler", steps)?;
    }
    Ok(())
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PowerRule {
    YeoJohnson,
    BoxCox,
}

impl PowerRule {
    pub(super) fn read(fitted: &Fitted<'_>) -> Result<Self, Refusal> {
        match fitted.text("method").unwrap_or("yeo-johnson") {
            "yeo-johnson" => Ok(Self::YeoJohnson),
            "box-cox" => Ok(Self::BoxCox),
            other => Err(fitted.unsupported(format!("with method `{other}`"), "use box-cox or yeo-johnson")),
        }
    }
}

struct Power {
    lambdas: Vec<f64>,
    rule: PowerRule,
}

impl Power {
    fn of(&self, x: f64, lambda: f64) -> f64 {
        match self.rule {
            PowerRule::BoxCox if lambda == 0.0 => x.ln(),
            PowerRule::BoxCox => (lambda * x.ln()).exp_m1() / lambda,
            PowerRule::YeoJohnson if x >= 0.0 && lambda.abs() < f64::EPSILON => x.ln_1p(),
            PowerRule::YeoJohnson if x >= 0.0 => ((x + 1.0).powf(lambda) - 1.0) / lambda,
            PowerRule::YeoJohnson if (lambda - 2.0).abs() > f64::EPSILON => {
                -((1.0 - x).powf(2.0 - lambda) - 1.0) / (2.0 - lambda)
            }
            PowerRule::YeoJohnson => -(-x).ln_1p(),
        }
    }
}

impl Transformer for Power {
    fn features(&self) -> usize {
        self.lambdas.len()
    }

    fn width(&self) -> usize {
        self.lambdas.len()
    }

    fn transform<'b>(&self, batch: Batch<'b>) -> Result<Batch<'b>, Error> {
        if self.rule == PowerRule::BoxCox {
            let matrix = batch.numbers()?;
            if let Some(at) = matrix.iter().position(|&value| value <= 0.0) {
                let (row, column) = (at / self.lambdas.len(), at % self.lambdas.len());
                return Err(Error::invalid(format!(
                    "input contains {} in row {row}, column {column}; the Box-Cox transformation takes positive numbers only",
                    matrix[at]
                )));
            }
        }
        each_row(batch, self.lambdas.len(), Missing::Allowed, |row| {
            for (value, &lambda) in row.iter_mut().zip(&self.lambdas) {
                if !value.is_nan() {
                    *value = self.of(*value, lambda);
                }
            }
        })
    }

    fn row_ns(&self) -> f64 {
        30.0 * self.lambdas.len() as f64
    }
}

/// A function of numpy, by name; a function of the user's is code, which is not run.
fn function(fitted: &Fitted<'_>, steps: &mut Steps) -> Result<(), Refusal> {
    let apply = known(fitted, "func", "kw_args")?;
    let checked = fitted.flag("validate", false)?;
    steps.add_open(fitted, Box::new(move |features| Box::new(Function { features, apply, checked })))
}

/// Returns the function that the attribute names; without one, what it is given. `arguments` names the attribute of what
/// else it would be called with.
pub(super) fn known(fitted: &Fitted<'_>, name: &str, arguments: &str) -> Result<fn(f64) -> f64, Refusal> {
    let Some(view) = fitted.optional(name) else { return Ok(|x| x) };
    let apply: fn(f64) -> f64 = match view.global() {
        Some((
            "numpy" | "numpy.core._multiarray_umath" | "numpy._core._multiarray_umath" | "numpy.core.umath",
            name,
        )) => match name {
            "log" => f64::ln,
            "log1p" => f64::ln_1p,
            "log2" => f64::log2,
            "log10" => f64::log10,
            "exp" => f64::exp,
            "exp2" => f64::exp2,
            "expm1" => f64::exp_m1,
            "sqrt" => f64::sqrt,
            "cbrt" => f64::cbrt,
            "abs" | "absolute" | "fabs" => f64::abs,
            "square" => |x| x * x,
            "reciprocal" => |x| 1.0 / x,
            "negative" => |x| -x,
            "sin" => f64::sin,
            "cos" => f64::cos,
            "tan" => f64::tan,
            "tanh" => f64::tanh,
            "arctanh" => f64::atanh,
            "sinh" => f64::sinh,
            "arcsinh" => f64::asinh,
            "floor" => f64::floor,
            "ceil" => f64::ceil,
            "trunc" => f64::trunc,
            "rint" => f64::round_ties_even,
            "sign" => |x| {
                if x > 0.0 {
                    1.0
                } else if x < 0.0 {
                    -1.0
                } else {
                    x
                }
            },
            other => return Err(not_known(fitted, &format!("numpy.{other}"))),
        },
        Some((module, name)) => return Err(not_known(fitted, &format!("{module}.{name}"))),
        None => return Err(not_known(fitted, &view.kind())),
    };
    if fitted.optional(arguments).is_some_and(|it| !it.is_empty_dict()) {
        let advice = format!("leave `{arguments}` out");
        return Err(fitted.unsupported("with arguments for its function", advice));
    }
    Ok(apply)
}

fn not_known(fitted: &Fitted<'_>, name: &str) -> Refusal {
    fitted.unsupported(
        format!("of the function {name}"),
        "use one of numpy's functions of one number, or move the function into a transformer of your own",
    )
}

struct Function {
    features: usize,
    apply: fn(f64) -> f64,
    /// Values that are not finite are refused.
    checked: bool,
}

impl Transformer for Function {
    fn features(&self) -> usize {
        self.features
    }

    fn width(&self) -> usize {
        self.features
    }

    fn transform<'b>(&self, batch: Batch<'b>) -> Result<Batch<'b>, Error> {
        let rows = batch.rows();
        let mut matrix = batch.into_numbers()?;
        if self.checked {
            check_finite(&matrix, self.features, Missing::Refused, f64::MAX)?;
        }
        matrix.iter_mut().for_each(|it| *it = (self.apply)(*it));
        Ok(Batch::dense(matrix, rows, self.features))
    }

    fn row_ns(&self) -> f64 {
        10.0 * self.features as f64
    }
}

/// Columns that vary more than the threshold.
fn variance(fitted: &Fitted<'_>, steps: &mut Steps) -> Result<(), Refusal> {
    let variances = fitted.floats("variances_")?;
    let threshold = if fitted.optional("threshold").is_some() { fitted.number("threshold")? } else { 0.0 };
    select(
        fitted,
        &variances.iter().map(|&it| it > threshold).collect::<Vec<bool>>(),
        Missing::Allowed,
        steps,
    )
}

/// The `k` greatest scores; of equals the last, as numpy's stable sort leaves them.
fn k_best(fitted: &Fitted<'_>, steps: &mut Steps) -> Result<(), Refusal> {
    let scores = scores(fitted)?;
    let k = fitted.need("k")?;
    if k.text() == Some("all") {
        return select(fitted, &vec![true; scores.len()], Missing::Refused, steps);
    }
    let k = k.int().and_then(|it| usize::try_from(it).ok());
    let k = k.ok_or_else(|| fitted.malformed("has a `k` that is no count"))?;
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_by(|&a, &b| scores[a].total_cmp(&scores[b]));
    let mut mask = vec![false; scores.len()];
    order.iter().rev().take(k).for_each(|&at| mask[at] = true);
    select(fitted, &mask, Missing::Refused, steps)
}

/// Scores above a percentile, then the first of those that equal it.
fn percentile(fitted: &Fitted<'_>, steps: &mut Steps) -> Result<(), Refusal> {
    let scores = scores(fitted)?;
    let percent = fitted.number("percentile")?;
    if percent >= 100.0 || percent <= 0.0 {
        return select(fitted, &vec![percent > 0.0; scores.len()], Missing::Refused, steps);
    }
    let mut sorted = scores.clone();
    sorted.sort_by(f64::total_cmp);
    // numpy's linear percentile.
    let place = (100.0 - percent) / 100.0 * (sorted.len() - 1) as f64;
    let (below, part) = (place.floor() as usize, place.fract());
    let above = sorted[(below + 1).min(sorted.len() - 1)];
    let step = above - sorted[below];
    let threshold = if part >= 0.5 { above - step * (1.0 - part) } else { sorted[below] + step * part };
    let mut mask: Vec<bool> = scores.iter().map(|&it| it > threshold).collect();
    let room = (scores.len() as f64 * percent / 100.0) as usize;
    let mut left = room.saturating_sub(mask.iter().filter(|it| **it).count());
    for (at, _) in scores.iter().enumerate().filter(|(_, it)| **it == threshold) {
        if left == 0 {
            break;
        }
        mask[at] = true;
        left -= 1;
    }
    select(fitted, &mask, Missing::Refused, steps)
}

fn false_positives(fitted: &Fitted<'_>, steps: &mut Steps) -> Result<(), Refusal> {
    let values = fitted.floats("pvalues_")?;
    let alpha = fitted.number("alpha")?;
    select(fitted, &values.iter().map(|&it| it < alpha).collect::<Vec<bool>>(), Missing::Refused, steps)
}

/// Scores that are no number are the least.
fn scores(fitted: &Fitted<'_>) -> Result<Vec<f64>, Refusal> {
    let scores = fitted.floats("scores_")?;
    if scores.is_empty() {
        return Err(fitted.malformed("has no scores"));
    }
    Ok(scores.into_iter().map(|it| if it.is_nan() { f64::MIN } else { it }).collect())
}

fn supported(fitted: &Fitted<'_>, steps: &mut Steps) -> Result<(), Refusal> {
    let mask = fitted.floats("support_")?;
    select(fitted, &mask.iter().map(|&it| it != 0.0).collect::<Vec<bool>>(), Missing::Allowed, steps)
}

/// Columns whose importance, by the fitted estimator, is at least the threshold.
fn from_model(fitted: &Fitted<'_>, steps: &mut Steps) -> Result<(), Refusal> {
    if fitted.optional("max_features").is_some()
        || fitted.optional("norm_order").is_some_and(|it| it.int() != Some(1))
    {
        return Err(fitted.unsupported("with max_features or norm_order", "use a threshold alone"));
    }
    let estimator =
        fitted.part(if fitted.optional("estimator_").is_some() { "estimator_" } else { "estimator" })?;
    if estimator.optional("coef_").is_none() {
        let advice = "select by a linear model, or replace the selection by its mask (get_support)";
        return Err(fitted.unsupported("that weighs columns by anything but `coef_`", advice));
    }
    let coefficients = estimator.array("coef_")?;
    let values = coefficients.floats()?;
    let width = coefficients.shape.last().copied().unwrap_or(0).max(1);
    let mut importance = vec![0.0; width];
    for row in values.chunks_exact(width) {
        importance.iter_mut().zip(row).for_each(|(sum, it)| *sum += it.abs());
    }
    let threshold = match fitted.optional("threshold") {
        // Without one: next to nothing for a model that was driven to zeros, else the mean.
        None => {
            let ratio = estimator.optional("l1_ratio").and_then(View::number) == Some(1.0);
            let sparse = match estimator.text("penalty") {
                Some("l1") => true,
                Some("elasticnet" | "deprecated") => ratio,
                _ => estimator.class.contains("Lasso"),
            };
            if sparse { 1e-5 } else { importance.iter().sum::<f64>() / width as f64 }
        }
        Some(view) => match (view.number(), view.text()) {
            (Some(number), _) => number,
            (None, Some("mean")) => importance.iter().sum::<f64>() / width as f64,
            (None, Some("median")) => median(&importance),
            _ => return Err(fitted.unsupported("with that threshold", "use a number, `mean` or `median`")),
        },
    };
    select(
        fitted,
        &importance.iter().map(|&it| it >= threshold).collect::<Vec<bool>>(),
        Missing::Allowed,
        steps,
    )
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let half = sorted.len() / 2;
    if sorted.len() % 2 == 1 { sorted[half] } else { (sorted[half - 1] + sorted[half]) / 2.0 }
}

fn select(fitted: &Fitted<'_>, mask: &[bool], missing: Missing, steps: &mut Steps) -> Result<(), Refusal> {
    let kept: Vec<usize> = mask.iter().enumerate().filter_map(|(at, kept)| kept.then_some(at)).collect();
    if kept.is_empty() {
        return Err(fitted.unsupported("that keeps no column", "fit it so that it keeps one"));
    }
    steps.add_transformer(fitted, Box::new(Selection { features: mask.len(), kept, missing }))
}

struct Selection {
    features: usize,
    missing: Missing,
    kept: Vec<usize>,
}

impl Transformer for Selection {
    fn features(&self) -> usize {
        self.features
    }

    fn width(&self) -> usize {
        self.kept.len()
    }

    fn transform<'b>(&self, batch: Batch<'b>) -> Result<Batch<'b>, Error> {
        match batch {
            Batch::Sparse(_) => Ok(batch.select(&self.kept).into_static()),
            Batch::Dense(_) | Batch::Table(_) => {
                let matrix = batch.numbers()?;
                check_finite(&matrix, self.features, self.missing, f64::MAX)?;
                Ok(batch.select(&self.kept).into_static())
            }
        }
    }

    fn row_ns(&self) -> f64 {
        2.0 * self.kept.len() as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn combinations_come_in_scikit_learns_order() {
        let all = |features, length, repeat| {
            let mut out = Vec::new();
            assert!(combinations(features, length, repeat, 1000, &mut out));
            out
        };
        assert_eq!(all(3, 2, false), [[0, 1], [0, 2], [1, 2]]);
        assert_eq!(all(2, 2, true), [[0, 0], [0, 1], [1, 1]]);
        assert_eq!(all(3, 1, true), [[0], [1], [2]]);
        assert_eq!(all(2, 3, false), Vec::<Vec<u32>>::new());
        assert!(!combinations(1000, 4, true, 1000, &mut Vec::new()));
    }
}
