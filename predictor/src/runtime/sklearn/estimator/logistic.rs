//! `LogisticRegression`: linear scores, made into probabilities by softmax or, one class against the rest, by the logistic
//! function.

use weir_proto::Error;

use super::super::refusal::Refusal;
use super::fitted::Fitted;
use super::registry::{Class, Family};
use super::{Answer, Batch, Classifier, Labels, Missing, Scores, Steps, Wanted, argmax, check_finite, dot};

pub(crate) static FAMILY: Family = Family {
    title: "Linear models",
    classes: &[Class {
        name: "LogisticRegression",
        modules: &["sklearn.linear_model._logistic", "sklearn.linear_model.logistic"],
        read,
    }],
};

/// Reads the fitted weights.
fn read(fitted: &Fitted<'_>, steps: &mut Steps) -> Result<(), Refusal> {
    let classes = Labels::read(fitted)?;
    let (weights, [rows, features]) = fitted.matrix("coef_")?;
    let intercepts = fitted.floats("intercept_")?;
    let expected = if classes.len() == 2 { 1 } else { classes.len() };
    if classes.len() < 2 || rows != expected || intercepts.len() != rows {
        return Err(fitted.malformed(format!(
            "has {} classes, {rows} rows of `coef_` and {} of `intercept_`",
            classes.len(),
            intercepts.len()
        )));
    }
    let link = link(fitted, classes.len())?;
    steps.add_classifier(fitted, Box::new(Logistic { classes, features, weights, intercepts, link }))
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
    features: usize,
    /// A row of weights for each score: one for two classes, else one a class.
    weights: Vec<f64>,
    intercepts: Vec<f64>,
    link: Link,
}

impl Logistic {
    fn scores_of(&self, row: &[f64], scores: &mut [f64]) {
        for ((score, weights), intercept) in
            scores.iter_mut().zip(self.weights.chunks_exact(self.features)).zip(&self.intercepts)
        {
            *score = dot(row, weights) + intercept;
        }
    }

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
        self.features
    }

    fn classes(&self) -> &Labels {
        &self.classes
    }

    fn has_probabilities(&self) -> bool {
        true
    }

    fn scores(&self) -> Option<Scores> {
        Some(if self.intercepts.len() == 1 { Scores::One } else { Scores::Many(self.intercepts.len()) })
    }

    fn classify(&self, batch: &Batch<'_>, wanted: Wanted) -> Result<Answer, Error> {
        let matrix = batch.numbers()?;
        check_finite(&matrix, self.features, Missing::Refused, f64::MAX)?;
        let rows = matrix.len() / self.features;
        let width = self.intercepts.len();
        let mut answer = Answer::default();
        let mut all = vec![0.0; rows * width];
        for (row, scores) in matrix.chunks_exact(self.features).zip(all.chunks_exact_mut(width)) {
            self.scores_of(row, scores);
        }
        if wanted.classes {
            let class = |scores: &[f64]| {
                if let [score] = scores { usize::from(*score > 0.0) } else { argmax(scores) }
            };
            answer.classes = all.chunks_exact(width).map(|scores| class(scores) as u32).collect();
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
        0.3 * self.weights.len() as f64 + 10.0 * self.classes.len() as f64
    }
}

fn logistic(score: f64) -> f64 {
    1.0 / (1.0 + (-score).exp())
}

/// The greatest is subtracted first, so that nothing overflows.
fn softmax(values: &mut [f64]) {
    let greatest = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let mut sum = 0.0;
    for value in values.iter_mut() {
        *value = (*value - greatest).exp();
        sum += *value;
    }
    values.iter_mut().for_each(|value| *value /= sum);
}

/// Where every class is impossible, all are as likely.
fn normalise(values: &mut [f64]) {
    let sum: f64 = values.iter().sum();
    let count = values.len() as f64;
    values.iter_mut().for_each(|value| *value = if sum == 0.0 { 1.0 / count } else { *value / sum });
}
