//! Discriminant analysis: classes as normal distributions, with one covariance for all or one for each.

use weir_proto::Error;

use super::super::refusal::Refusal;
use super::super::view::View;
use super::fitted::Fitted;
use super::linear::class;
use super::registry::{Class, Family};
use super::weights::{Weights, logistic, softmax};
use super::{Answer, Batch, Classifier, Labels, Missing, Scores, Steps, Wanted, argmax, check_finite, dot};

pub(crate) static FAMILY: Family = Family {
    title: "Discriminant analysis",
    classes: &[
        Class {
            name: "LinearDiscriminantAnalysis",
            modules: &["sklearn.discriminant_analysis", "sklearn.lda"],
            read: linear,
        },
        Class {
            name: "QuadraticDiscriminantAnalysis",
            modules: &["sklearn.discriminant_analysis", "sklearn.qda"],
            read: quadratic,
        },
    ],
};

fn linear(fitted: &Fitted<'_>, steps: &mut Steps) -> Result<(), Refusal> {
    let classes = Labels::read(fitted)?;
    let weights = Weights::read(fitted)?;
    let expected = if classes.len() == 2 { 1 } else { classes.len() };
    if classes.len() < 2 || weights.scores() != expected {
        let scores = weights.scores();
        return Err(fitted.malformed(format!("has {} classes and {scores} rows of weights", classes.len())));
    }
    // Early releases made probabilities of many classes in another way; which, the file does not tell for sure.
    let has_probabilities = classes.len() == 2 || !fitted.older_than(0, 22);
    steps.add_classifier(fitted, Box::new(LinearAnalysis { classes, weights, has_probabilities }))
}

struct LinearAnalysis {
    classes: Labels,
    weights: Weights,
    has_probabilities: bool,
}

impl Classifier for LinearAnalysis {
    fn features(&self) -> usize {
        self.weights.features
    }

    fn classes(&self) -> &Labels {
        &self.classes
    }

    fn has_probabilities(&self) -> bool {
        self.has_probabilities
    }

    fn scores(&self) -> Option<Scores> {
        Some(Scores::of_classes(self.classes.len()))
    }

    fn classify(&self, batch: &Batch<'_>, wanted: Wanted) -> Result<Answer, Error> {
        let all = self.weights.apply(batch)?;
        let width = self.weights.scores();
        let mut answer = Answer::default();
        if wanted.classes {
            answer.classes = all.chunks_exact(width).map(class).collect();
        }
        if wanted.probabilities {
            for scores in all.chunks_exact(width) {
                let from = answer.probabilities.len();
                if let [score] = scores {
                    let second = logistic(*score);
                    answer.probabilities.extend([1.0 - second, second]);
                } else {
                    answer.probabilities.extend_from_slice(scores);
                    softmax(&mut answer.probabilities[from..]);
                }
            }
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

fn quadratic(fitted: &Fitted<'_>, steps: &mut Steps) -> Result<(), Refusal> {
    let classes = Labels::read(fitted)?;
    let (means, [rows, features]) = fitted.matrix("means_")?;
    let priors = fitted.floats("priors_")?;
    let rotations = list(fitted, "rotations_")?;
    let scalings = list(fitted, "scalings_")?;
    let count = classes.len();
    if count < 2 || features == 0 || [rows, priors.len(), rotations.len(), scalings.len()] != [count; 4] {
        return Err(fitted.malformed(format!(
            "has {count} classes, {rows} means, {} priors, {} rotations and {} scalings",
            priors.len(),
            rotations.len(),
            scalings.len()
        )));
    }
    let mut normals = Vec::with_capacity(count);
    for (at, (rotation, scaling)) in rotations.into_iter().zip(scalings).enumerate() {
        let (rotation, shape) = fitted.matrix_of("rotations_", rotation)?;
        let scaling = fitted.floats_of("scalings_", scaling)?;
        if shape != [features, scaling.len()] {
            return Err(fitted.malformed(format!(
                "has a rotation of shape {shape:?} for {features} features and {} scalings",
                scaling.len()
            )));
        }
        let constant = -0.5 * scaling.iter().map(|it| it.ln()).sum::<f64>() + priors[at].ln();
        // A row for each direction, so that each is one product.
        let directions = (0..scaling.len())
            .flat_map(|to| {
                let (rotation, root) = (&rotation, scaling[to].powf(-0.5));
                (0..features).map(move |from| rotation[from * shape[1] + to] * root)
            })
            .collect();
        let mean = means[at * features..][..features].to_vec();
        normals.push(Normal { mean, directions, constant });
    }
    steps.add_classifier(fitted, Box::new(QuadraticAnalysis { classes, features, normals }))
}

/// Returns the members of an attribute that is a list.
fn list<'d>(fitted: &Fitted<'d>, name: &str) -> Result<Vec<View<'d>>, Refusal> {
    let view = fitted.need(name)?;
    let items = view.items().ok_or_else(|| fitted.malformed(format!("has {} for `{name}`", view.kind())))?;
    Ok(items.collect())
}

struct Normal {
    mean: Vec<f64>,
    /// Row-major, `[directions, features]`: each scaled to a variance of one.
    directions: Vec<f64>,
    constant: f64,
}

struct QuadraticAnalysis {
    classes: Labels,
    features: usize,
    normals: Vec<Normal>,
}

impl QuadraticAnalysis {
    fn decide(&self, row: &[f64], centred: &mut [f64], decisions: &mut [f64]) {
        for (decision, normal) in decisions.iter_mut().zip(&self.normals) {
            for ((out, x), mean) in centred.iter_mut().zip(row).zip(&normal.mean) {
                *out = x - mean;
            }
            let directions = normal.directions.chunks_exact(self.features);
            let squared: f64 = directions.map(|it| dot(centred, it)).map(|it| it * it).sum();
            *decision = -0.5 * squared + normal.constant;
        }
    }
}

impl Classifier for QuadraticAnalysis {
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
        Some(Scores::of_classes(self.classes.len()))
    }

    fn classify(&self, batch: &Batch<'_>, wanted: Wanted) -> Result<Answer, Error> {
        let matrix = batch.numbers()?;
        check_finite(&matrix, self.features, Missing::Refused, f64::MAX)?;
        let mut centred = vec![0.0; self.features];
        let mut decisions = vec![0.0; self.classes.len()];
        let mut answer = Answer::default();
        for row in matrix.chunks_exact(self.features) {
            self.decide(row, &mut centred, &mut decisions);
            if wanted.classes {
                answer.classes.push(argmax(&decisions) as u32);
            }
            if wanted.scores {
                match decisions.as_slice() {
                    [first, second] => answer.scores.push(second - first),
                    many => answer.scores.extend_from_slice(many),
                }
            }
            if wanted.probabilities {
                let from = answer.probabilities.len();
                answer.probabilities.extend_from_slice(&decisions);
                softmax(&mut answer.probabilities[from..]);
            }
        }
        Ok(answer)
    }

    fn row_ns(&self) -> f64 {
        let products: usize = self.normals.iter().map(|it| it.directions.len()).sum();
        0.4 * products as f64 + 20.0 * self.classes.len() as f64
    }
}
