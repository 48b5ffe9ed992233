//! Native estimators: each file reads the fitted attributes of a class of scikit-learn, or a few alike, and evaluates them.
//! To add one, write a file beside these and name it in [`registry::FAMILIES`].

mod batch;
mod bayes;
mod bins;
mod boosters;
mod calibrated;
mod categories;
mod chains;
mod cluster;
mod codes;
mod columns;
mod coupling;
mod decomposition;
mod discriminant;
mod dummy;
mod encoders;
mod ensemble;
mod features;
mod fitted;
mod isotonic;
mod kernel;
mod label_encoder;
mod labels;
mod linear;
mod logistic;
mod meta;
mod near;
mod network;
mod pairs;
mod pipeline;
pub(crate) mod registry;
mod scalers;
mod spline;
mod steps;
mod support;
mod svc;
mod target;
mod text;
mod trees;
mod weights;

use weir_proto::{Data, DataType, Error};

pub(crate) use self::batch::{Batch, Column};
pub(crate) use self::labels::Labels;
pub(crate) use self::steps::{Last, Steps, read};

/// What the columns of a row may hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Takes {
    /// Numbers, all of them.
    Numbers,
    /// A text, which is the whole row.
    Text,
    /// For each column whether it is a text; whoever reads it takes either where it does not matter.
    Table(Vec<Cell>),
}

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cell {
    Number,
    Text,
    /// Either: nobody looks at it.
    Ignored,
}

/// A fitted transformer.
pub(crate) trait Transformer: Send + Sync {
    /// How many columns a row has before.
    fn features(&self) -> usize;

    /// How many columns a row has after.
    fn width(&self) -> usize;

    /// What the columns before may hold.
    fn takes(&self) -> Takes {
        Takes::Numbers
    }

    /// Transforms whole rows, at least one, of [`Transformer::features`] columns.
    ///
    /// # Errors
    /// `InvalidInput` for values scikit-learn refuses.
    fn transform<'b>(&self, batch: Batch<'b>) -> Result<Batch<'b>, Error>;

    /// About how many nanoseconds a row takes.
    fn row_ns(&self) -> f64;
}

/// A fitted classifier.
pub(crate) trait Classifier: Send + Sync {
    /// How many columns a row has.
    fn features(&self) -> usize;

    /// What they may hold.
    fn takes(&self) -> Takes {
        Takes::Numbers
    }

    fn classes(&self) -> &Labels;

    /// Whether it has `predict_proba`.
    fn has_probabilities(&self) -> bool;

    /// What `decision_function` gives, when it has one.
    fn scores(&self) -> Option<Scores> {
        None
    }

    /// Whether only later versions of its library have a `decision_function`, so that a model around it was made for scores by
    /// one, and for probabilities by another.
    fn may_have_scores(&self) -> bool {
        false
    }

    /// Classifies whole rows, at least one. What the classifier does not have is not wanted.
    ///
    /// # Errors
    /// `InvalidInput` for values scikit-learn refuses.
    fn classify(&self, batch: &Batch<'_>, wanted: Wanted) -> Result<Answer, Error>;

    /// About how many nanoseconds a row takes.
    fn row_ns(&self) -> f64;
}

/// A fitted regressor.
pub(crate) trait Regressor: Send + Sync {
    /// How many columns a row has.
    fn features(&self) -> usize;

    /// What they may hold.
    fn takes(&self) -> Takes {
        Takes::Numbers
    }

    /// How many numbers it answers a row; `None` for one that is not in a list of its own.
    fn targets(&self) -> Option<usize> {
        None
    }

    /// Predicts for whole rows, at least one: the targets of one row after those of the other.
    ///
    /// # Errors
    /// `InvalidInput` for values scikit-learn refuses.
    fn regress(&self, batch: &Batch<'_>) -> Result<Vec<f64>, Error>;

    /// About how many nanoseconds a row takes.
    fn row_ns(&self) -> f64;
}

/// A method of scikit-learn's estimators whose answer is an output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Method {
    Predict,
    PredictProba,
    DecisionFunction,
    ScoreSamples,
    Transform,
}

impl Method {
    /// The name of the method, and so of the output.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Predict => "predict",
            Self::PredictProba => "predict_proba",
            Self::DecisionFunction => "decision_function",
            Self::ScoreSamples => "score_samples",
            Self::Transform => "transform",
        }
    }
}

/// An output: the method that answers it, and what it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Offer {
    pub(crate) method: Method,
    pub(crate) datatype: DataType,
    /// How many values a row has; `None` for one that is not in a list of its own.
    pub(crate) width: Option<usize>,
    /// The classes that the values score.
    pub(crate) labels: Vec<String>,
}

/// What answers and is neither classifier nor regressor.
pub(crate) trait Predictor: Send + Sync {
    /// How many columns a row has.
    fn features(&self) -> usize;

    /// What they may hold.
    fn takes(&self) -> Takes {
        Takes::Numbers
    }

    /// Its outputs, the usual one first.
    fn offers(&self) -> Vec<Offer>;

    /// Answers whole rows, at least one: the data of each method, in that order.
    ///
    /// # Errors
    /// `InvalidInput` for values scikit-learn refuses.
    fn predict(&self, batch: &Batch<'_>, wanted: &[Method]) -> Result<Vec<Data>, Error>;

    /// About how many nanoseconds a row takes.
    fn row_ns(&self) -> f64;
}

/// What `decision_function` gives for a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scores {
    /// One number, as two classes need.
    One,
    /// So many numbers.
    Many(usize),
}

impl Scores {
    /// Of so many numbers a row.
    fn of(numbers: usize) -> Self {
        if numbers == 1 { Self::One } else { Self::Many(numbers) }
    }

    /// Of so many classes: of two, the second's is told.
    fn of_classes(classes: usize) -> Self {
        Self::of(if classes == 2 { 1 } else { classes })
    }
}

/// The parts of an answer that are asked for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub(crate) classes: bool,
    pub(crate) probabilities: bool,
    pub(crate) scores: bool,
}

/// The parts that were asked for; the others are empty.
#[derive(Debug, Default)]
pub(crate) struct Answer {
    /// The index of each row's class.
    pub(crate) classes: Vec<u32>,
    /// A number for each class, row after row.
    pub(crate) probabilities: Vec<f64>,
    /// As many numbers a row as [`Scores`] says.
    pub(crate) scores: Vec<f64>,
}

/// What an estimator makes of values that are not finite.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Missing {
    Refused,
    Allowed,
}

/// Refuses what scikit-learn's `check_array` refuses. `largest` is the greatest finite value of the type it computes in.
fn check_finite(matrix: &[f64], width: usize, missing: Missing, largest: f64) -> Result<(), Error> {
    let sound = |value: f64| value.abs() <= largest || (missing == Missing::Allowed && value.is_nan());
    let Some(at) = matrix.iter().position(|&value| !sound(value)) else { return Ok(()) };
    let met = match matrix[at] {
        value if value.is_nan() => "NaN".to_owned(),
        value if value.is_infinite() => "infinity".to_owned(),
        value => format!("{value:e}, which is too large for its 32-bit floats,"),
    };
    Err(Error::invalid(format!(
        "input contains {met} in row {}, column {}; the model takes {} numbers only",
        at / width,
        at % width,
        if missing == Missing::Allowed { "finite or missing" } else { "finite" }
    )))
}

/// Returns the first index of the greatest value, as numpy's `argmax` does.
fn argmax(values: &[f64]) -> usize {
    let mut best = 0;
    for (at, value) in values.iter().enumerate() {
        if *value > values[best] {
            best = at;
        }
    }
    best
}

/// Returns the sum of the products. Eight sums run side by side, so that no addition waits for the one before.
#[inline(always)]
fn dot(a: &[f64], b: &[f64]) -> f64 {
    let (eights, rest) = a.as_chunks::<8>();
    let (others, other_rest) = b.as_chunks::<8>();
    let mut sums = [0.0; 8];
    for (x, y) in eights.iter().zip(others) {
        for lane in 0..8 {
            sums[lane] += x[lane] * y[lane];
        }
    }
    let [a, b, c, d, e, f, g, h] = sums;
    let tail: f64 = rest.iter().zip(other_rest).map(|(x, y)| x * y).sum();
    ((a + e) + (c + g)) + ((b + f) + (d + h)) + tail
}
