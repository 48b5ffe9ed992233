//! Naive Bayes: the class under which a row is likeliest, its features taken as independent.

use weir_proto::Error;

use super::super::refusal::Refusal;
use super::fitted::Fitted;
use super::registry::{Class, Family};
use super::{Answer, Batch, Classifier, Labels, Missing, Steps, Wanted, argmax, check_finite, dot};

pub(crate) static FAMILY: Family = Family {
    title: "Naive Bayes",
    classes: &[
        Class { name: "GaussianNB", modules: &["sklearn.naive_bayes"], read: gaussian },
        Class { name: "MultinomialNB", modules: &["sklearn.naive_bayes"], read: multinomial },
        Class { name: "ComplementNB", modules: &["sklearn.naive_bayes"], read: complement },
        Class { name: "BernoulliNB", modules: &["sklearn.naive_bayes"], read: bernoulli },
    ],
};

/// Adds up ln(prior) - (ln(2 pi variance) + (x - mean)^2 / variance) / 2 over the features.
fn gaussian(fitted: &Fitted<'_>, steps: &mut Steps) -> Result<(), Refusal> {
    let classes = Labels::read(fitted)?;
    let (means, shape) = fitted.matrix("theta_")?;
    // Before scikit-learn 1.0 the variances were called so.
    let name = if fitted.optional("var_").is_some() { "var_" } else { "sigma_" };
    let (variances, other) = fitted.matrix(name)?;
    let priors = fitted.floats("class_prior_")?;
    let [rows, features] = shape;
    if shape != other || rows != classes.len() || priors.len() != rows || features == 0 {
        return Err(fitted.malformed(format!(
            "has {} classes, means of shape {shape:?}, variances of shape {other:?} and {} priors",
            classes.len(),
            priors.len()
        )));
    }
    let constants = priors
        .iter()
        .zip(variances.chunks_exact(features))
        .map(|(prior, row)| {
            let logs: f64 = row.iter().map(|variance| (2.0 * std::f64::consts::PI * variance).ln()).sum();
            prior.ln() - 0.5 * logs
        })
        .collect();
    let likelihood = Likelihood::Gaussian { means, variances };
    steps.add_classifier(fitted, Box::new(Bayes { classes, features, constants, likelihood }))
}

/// Adds up ln(prior) + x ln(probability) over the features.
fn multinomial(fitted: &Fitted<'_>, steps: &mut Steps) -> Result<(), Refusal> {
    let (classes, logs, features) = log_probabilities(fitted)?;
    let constants = priors(fitted, classes.len())?;
    let likelihood = Likelihood::Linear { weights: logs, threshold: None };
    steps.add_classifier(fitted, Box::new(Bayes { classes, features, constants, likelihood }))
}

/// The same with weights of the complement, and a prior only where there is one class (Rennie et al., 2003).
fn complement(fitted: &Fitted<'_>, steps: &mut Steps) -> Result<(), Refusal> {
    let (classes, logs, features) = log_probabilities(fitted)?;
    let constants = if classes.len() == 1 { priors(fitted, 1)? } else { vec![0.0; classes.len()] };
    let likelihood = Likelihood::Linear { weights: logs, threshold: None };
    steps.add_classifier(fitted, Box::new(Bayes { classes, features, constants, likelihood }))
}

/// Features are there or not: ln(p) for those that are, ln(1 - p) for those that are not.
fn bernoulli(fitted: &Fitted<'_>, steps: &mut Steps) -> Result<(), Refusal> {
    let (classes, logs, features) = log_probabilities(fitted)?;
    let mut constants = priors(fitted, classes.len())?;
    let threshold = match fitted.optional("binarize") {
        Some(value) => {
            let number = value.number();
            Some(number.ok_or_else(|| fitted.malformed(format!("has {} for `binarize`", value.kind())))?)
        }
        None => None,
    };
    let mut weights = logs;
    for (constant, row) in constants.iter_mut().zip(weights.chunks_exact_mut(features)) {
        let mut absent = 0.0;
        for weight in row {
            let not = (1.0 - weight.exp()).ln();
            absent += not;
            *weight -= not;
        }
        *constant += absent;
    }
    let likelihood = Likelihood::Linear { weights, threshold };
    steps.add_classifier(fitted, Box::new(Bayes { classes, features, constants, likelihood }))
}

fn log_probabilities(fitted: &Fitted<'_>) -> Result<(Labels, Vec<f64>, usize), Refusal> {
    let classes = Labels::read(fitted)?;
    let (logs, [rows, features]) = fitted.matrix("feature_log_prob_")?;
    if rows != classes.len() || features == 0 {
        return Err(fitted.malformed(format!(
            "has {} classes and a `feature_log_prob_` of shape [{rows}, {features}]",
            classes.len()
        )));
    }
    Ok((classes, logs, features))
}

fn priors(fitted: &Fitted<'_>, classes: usize) -> Result<Vec<f64>, Refusal> {
    let priors = fitted.floats("class_log_prior_")?;
    if priors.len() == classes {
        return Ok(priors);
    }
    Err(fitted.malformed(format!("has {} priors for {classes} classes", priors.len())))
}

struct Bayes {
    classes: Labels,
    features: usize,
    /// What each class begins with.
    constants: Vec<f64>,
    likelihood: Likelihood,
}

/// What a row adds for each class; tables are row-major, a row a class.
enum Likelihood {
    Gaussian {
        means: Vec<f64>,
        variances: Vec<f64>,
    },
    Linear {
        weights: Vec<f64>,
        /// Features above it count as 1, others as 0.
        threshold: Option<f64>,
    },
}

impl Bayes {
    /// Fills the logarithm of each class's joint likelihood.
    fn joint(&self, row: &[f64], joint: &mut [f64]) {
        for (class, (joint, constant)) in joint.iter_mut().zip(&self.constants).enumerate() {
            let range = class * self.features..(class + 1) * self.features;
            *joint = constant
                + match &self.likelihood {
                    Likelihood::Linear { weights, .. } => dot(row, &weights[range]),
                    Likelihood::Gaussian { means, variances } => {
                        let terms = row.iter().zip(&means[range.clone()]).zip(&variances[range]);
                        -0.5 * terms
                            .map(|((x, mean), variance)| (x - mean) * (x - mean) / variance)
                            .sum::<f64>()
                    }
                };
        }
    }

    /// Returns the logarithm of each class's joint likelihood, row after row.
    fn joints(&self, batch: &Batch<'_>) -> Result<Vec<f64>, Error> {
        let width = self.classes.len();
        let mut joints = vec![0.0; batch.rows() * width];
        if let (Batch::Sparse(sparse), Likelihood::Linear { weights, threshold }) = (batch, &self.likelihood)
            && threshold.is_none_or(|it| it >= 0.0)
        {
            check_finite(&sparse.values, sparse.width, Missing::Refused, f64::MAX)?;
            for (at, joint) in joints.chunks_exact_mut(width).enumerate() {
                let (columns, values) = sparse.row(at);
                for ((joint, constant), weights) in
                    joint.iter_mut().zip(&self.constants).zip(weights.chunks_exact(self.features))
                {
                    let terms = columns.iter().zip(values).map(|(&at, &value)| {
                        let value = threshold.map_or(value, |it| f64::from(u8::from(value > it)));
                        weights[at as usize] * value
                    });
                    *joint = constant + terms.sum::<f64>();
                }
            }
            return Ok(joints);
        }
        let matrix = batch.numbers()?;
        check_finite(&matrix, self.features, Missing::Refused, f64::MAX)?;
        let matrix = self.binarized(matrix.into_owned());
        for (row, joint) in matrix.chunks_exact(self.features).zip(joints.chunks_exact_mut(width)) {
            self.joint(row, joint);
        }
        Ok(joints)
    }

    fn binarized(&self, mut matrix: Vec<f64>) -> Vec<f64> {
        if let Likelihood::Linear { threshold: Some(threshold), .. } = self.likelihood {
            matrix.iter_mut().for_each(|value| *value = f64::from(u8::from(*value > threshold)));
        }
        matrix
    }
}

/// Subtracts the logarithm of the sum of their exponentials and raises: what remains sums to one.
fn probabilities(joint: &[f64], out: &mut [f64]) {
    let greatest = joint.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let sum: f64 = joint.iter().map(|value| (value - greatest).exp()).sum();
    let log = greatest + sum.ln();
    out.iter_mut().zip(joint).for_each(|(out, value)| *out = (value - log).exp());
}

impl Classifier for Bayes {
    fn features(&self) -> usize {
        self.features
    }

    fn classes(&self) -> &Labels {
        &self.classes
    }

    fn has_probabilities(&self) -> bool {
        true
    }

    fn classify(&self, batch: &Batch<'_>, wanted: Wanted) -> Result<Answer, Error> {
        let width = self.classes.len();
        let joints = self.joints(batch)?;
        let mut answer = Answer::default();
        for joint in joints.chunks_exact(width) {
            if wanted.classes {
                answer.classes.push(argmax(joint) as u32);
            }
            if wanted.probabilities {
                let from = answer.probabilities.len();
                answer.probabilities.resize(from + width, 0.0);
                probabilities(joint, &mut answer.probabilities[from..]);
            }
        }
        Ok(answer)
    }

    fn row_ns(&self) -> f64 {
        (1.0 * self.features as f64 + 15.0) * self.classes.len() as f64
    }
}
