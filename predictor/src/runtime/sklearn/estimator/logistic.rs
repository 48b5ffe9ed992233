//! `LogisticRegression`: linear scores, made into probabilities by softmax or, one class against the rest, by the logistic
//! function.

use weir_proto::Error;

use super::super::refusal::Refusal;
use super::fitted::Fitted;
use super::linear::class;
use super::registry::{Class, Family};
use super::weights::{Weights, logistic, normalise, softmax};
use super::{Answer, Batch, Classifier, Labels, Scores, Steps, Wanted};

pub(crate) static FAMILY: Family = Family {
    title: "Linear models",
    classes: &[
        Class {
            name: "LogisticRegression",
            modules: &["sklearn.linear_model._logistic", "sklearn.linear_model.logistic"],
            read,
        },
        Class {
            name: "LogisticRegressionCV",
            modules: &["sklearn.linear_model._logistic", "sklearn.linear_model.logistic"],
            read,
        },
    ],
};

/// Reads the fitted weights.
fn read(fitted: &Fitted<'_>, steps: &mut Steps) -> Result<(), Refusal> {
    let classes = Labels::read(fitted)?;
    let weights = Weights::read(fitted)?;
    let expected = if classes.len() == 2 { 1 } else { classes.len() };
    if classes.len() < 2 || weights.scores() != expected {
        let scores = weights.scores();
        return Err(fitted.malformed(format!("has {} classes and {scores} rows of weights", classes.len())));
    }
    let link = link(fitted, classes.len())?;
    steps.add_classifier(fitted, Box::new(Logistic { classes, weights, link }))
}

/// Says how this release of scikit-learn makes probabilities, as `LogisticRegression.predict_proba` decides it.
fn link(fitted: &Fitted<'_>, classes: usize) -> Result<Link, Refusal> {
    let solver = fitted.text("solver").unwrap_or("lbfgs");
    match fitted.text("multi_class").unwrap_or("auto") {
        "multinomial" => Ok(Link::Softmax),
        "ovr" | "warn" => Ok(Link::OneAgainstRest),
        // newton-cholesky learned to fit several classes at once in 1.6; the parameter itself went in 1.8.
        "auto" | "deprecated" => {
            let apart = solver == "liblinear" || (solver == "newton-cholesky" && fitted.older_than(1, 6));
            Ok(if classes <= 2 || apart { Link::OneAgainstRest } else { Link::Softmax })
        }
        other => {
            Err(fitted.unsupported(format!("with multi_class=`{other}`"), "use a scheme of scikit-learn's"))
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Link {
    Softmax,
    OneAgainstRest,
}

struct Logistic {
    classes: Labels,
    /// One row of weights for two classes, else one a class.
    weights: Weights,
    link: Link,
}

impl Logistic {
    fn probabilities_of(&self, scores: &[f64], probabilities: &mut [f64]) {
        match (scores, self.link) {
            ([score], Link::OneAgainstRest) => {
                let second = logistic(*score);
                probabilities.copy_from_slice(&[1.0 - second, second]);
            }
            ([score], Link::Softmax) => {
                probabilities.copy_from_slice(&[-score, *score]);
                softmax(probabilities);
            }
            (_, Link::Softmax) => {
                probabilities.copy_from_slice(scores);
                softmax(probabilities);
            }
            (_, Link::OneAgainstRest) => {
                for (probability, score) in probabilities.iter_mut().zip(scores) {
                    *probability = logistic(*score);
                }
                normalise(probabilities);
            }
        }
    }
}

impl Classifier for Logistic {
    fn features(&self) -> usize {
        self.weights.features
    }

    fn classes(&self) -> &Labels {
        &self.classes
    }

    fn has_probabilities(&self) -> bool {
        true
    }

    fn scores(&self) -> Option<Scores> {
        Some(Scores::of_classes(self.classes.len()))
    }

    fn classify(&self, batch: &Batch<'_>, wanted: Wanted) -> Result<Answer, Error> {
        let all = self.weights.apply(batch)?;
        let (rows, width) = (batch.rows(), self.weights.scores());
        let mut answer = Answer::default();
        if wanted.classes {
            answer.classes = all.chunks_exact(width).map(class).collect();
        }
        if wanted.probabilities {
            answer.probabilities = vec![0.0; rows * self.classes.len()];
            let rows = answer.probabilities.chunks_exact_mut(self.classes.len());
            all.chunks_exact(width).zip(rows).for_each(|(scores, row)| self.probabilities_of(scores, row));
        }
        if wanted.scores {
            answer.scores = all;
        }
        Ok(answer)
    }

    fn row_ns(&self) -> f64 {
        self.weights.row_ns() + 10.0 * self.classes.len() as f64
    }
}
