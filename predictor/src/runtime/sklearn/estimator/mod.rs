//! Native estimators: each file reads the fitted attributes of one class of scikit-learn and evaluates them.
//! To add one, write a file beside these and name it in [`ESTIMATORS`].

mod coupling;
mod fitted;
mod forest;
mod kernel;
mod labels;
mod logistic;
mod pairs;
mod pipeline;
mod scaler;
mod svc;
mod walk;

use weir_proto::Error;

pub(crate) use self::labels::Labels;

use self::fitted::Fitted;
use super::refusal::Refusal;
use super::view::View;

/// Every class this build evaluates.
static ESTIMATORS: &[Estimator] = &[
    Estimator {
        name: "LogisticRegression",
        classes: &[
            "sklearn.linear_model._logistic.LogisticRegression",
            "sklearn.linear_model.logistic.LogisticRegression",
        ],
        read: logistic::read,
    },
    Estimator { name: "Pipeline", classes: &["sklearn.pipeline.Pipeline"], read: pipeline::read },
    Estimator {
        name: "RandomForestClassifier",
        classes: &[
            "sklearn.ensemble._forest.RandomForestClassifier",
            "sklearn.ensemble.forest.RandomForestClassifier",
        ],
        read: forest::read,
    },
    Estimator {
        name: "StandardScaler",
        classes: &["sklearn.preprocessing._data.StandardScaler", "sklearn.preprocessing.data.StandardScaler"],
        read: scaler::read,
    },
    Estimator {
        name: "SVC",
        classes: &["sklearn.svm._classes.SVC", "sklearn.svm.classes.SVC"],
        read: svc::read,
    },
];

/// A class of scikit-learn and how it is read.
struct Estimator {
    /// The name its users know.
    name: &'static str,
    /// Where it lives, and where it lived before scikit-learn 0.22.
    classes: &'static [&'static str],
    read: fn(&Fitted<'_>, &mut Steps) -> Result<(), Refusal>,
}

/// Reads a saved estimator.
///
/// # Errors
/// `Unsupported` naming a class that is not evaluated here, and where it stands; `Malformed` for an estimator that was not
/// fitted or whose parts do not fit each other.
pub(crate) fn read(root: View<'_>) -> Result<Steps, Refusal> {
    let mut steps = Steps::default();
    add(root, String::new(), &mut steps)?;
    if steps.features().is_none() {
        return Err(Refusal::unsupported(
            "a sklearn.pipeline.Pipeline without a fitted step",
            "serve a model that has one",
        ));
    }
    Ok(steps)
}

/// Reads the estimator that stands at `place`, a text such as `step 2 (clf) of sklearn.pipeline.Pipeline`.
fn add(view: View<'_>, place: String, steps: &mut Steps) -> Result<(), Refusal> {
    let class = view.class().unwrap_or_else(|| view.kind());
    let known = ESTIMATORS.iter().find(|it| view.object().is_some() && it.classes.contains(&class.as_str()));
    let Some(known) = known else {
        let what = if place.is_empty() { class } else { format!("{class} ({place})") };
        let names: Vec<_> = ESTIMATORS.iter().map(|it| it.name).collect();
        let advice = format!("this build evaluates {}; convert the model to ONNX", names.join(", "));
        return Err(Refusal::unsupported(what, advice));
    };
    (known.read)(&Fitted::new(view, class, place), steps)
}

/// What a model does to a row: any transformers, then perhaps a classifier. A pipeline, flattened.
#[derive(Default)]
pub(crate) struct Steps {
    transformers: Vec<Box<dyn Transformer>>,
    classifier: Option<Box<dyn Classifier>>,
    /// The names of the columns the first step was fitted on, when it was fitted on a data frame.
    pub(crate) columns: Vec<String>,
    /// How many steps of pipelines were looked at.
    seen: usize,
}

impl Steps {
    /// Returns how many features a row has, or `None` while there is no step.
    pub(crate) fn features(&self) -> Option<usize> {
        let first = self.transformers.first().map(|it| it.features());
        first.or_else(|| self.classifier.as_ref().map(|it| it.features()))
    }

    /// Returns how many features the next step gets.
    fn width(&self) -> Option<usize> {
        self.transformers.last().map(|it| it.width())
    }

    pub(crate) fn transformers(&self) -> &[Box<dyn Transformer>] {
        &self.transformers
    }

    pub(crate) fn classifier(&self) -> Option<&dyn Classifier> {
        self.classifier.as_deref()
    }

    fn add_transformer(
        &mut self,
        fitted: &Fitted<'_>,
        transformer: Box<dyn Transformer>,
    ) -> Result<(), Refusal> {
        self.check(fitted, transformer.features())?;
        self.transformers.push(transformer);
        Ok(())
    }

    fn add_classifier(
        &mut self,
        fitted: &Fitted<'_>,
        classifier: Box<dyn Classifier>,
    ) -> Result<(), Refusal> {
        self.check(fitted, classifier.features())?;
        self.classifier = Some(classifier);
        Ok(())
    }

    fn check(&mut self, fitted: &Fitted<'_>, features: usize) -> Result<(), Refusal> {
        if self.classifier.is_some() {
            return Err(fitted.malformed("stands behind a classifier, which must be the last step"));
        }
        if features == 0 {
            return Err(fitted.malformed("was fitted on no features"));
        }
        match self.width() {
            Some(width) if width != features => {
                Err(fitted.malformed(format!("takes {features} features, the step before gives {width}")))
            }
            Some(_) => Ok(()),
            None => {
                self.columns = fitted.columns(features)?;
                Ok(())
            }
        }
    }
}

/// A fitted transformer. Matrices are row-major.
pub(crate) trait Transformer: Send + Sync {
    /// How many features a row has before.
    fn features(&self) -> usize;

    /// How many features a row has after.
    fn width(&self) -> usize;

    /// Transforms whole rows.
    ///
    /// # Errors
    /// `InvalidInput` for values scikit-learn refuses.
    fn transform(&self, matrix: Vec<f64>) -> Result<Vec<f64>, Error>;

    /// About how many nanoseconds a row takes.
    fn row_ns(&self) -> f64;
}

/// A fitted classifier. Matrices are row-major.
pub(crate) trait Classifier: Send + Sync {
    /// How many features a row has.
    fn features(&self) -> usize;

    fn classes(&self) -> &Labels;

    /// Whether it has `predict_proba`.
    fn has_probabilities(&self) -> bool;

    /// What `decision_function` gives, when it has one.
    fn scores(&self) -> Option<Scores>;

    /// Classifies whole rows, at least one.
    ///
    /// # Errors
    /// `InvalidInput` for values scikit-learn refuses.
    fn classify(&self, matrix: &[f64], wanted: Wanted) -> Result<Answer, Error>;

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
