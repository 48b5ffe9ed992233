//! `NearestCentroid`: the class whose centre is nearest.

use weir_proto::Error;

use super::super::super::refusal::Refusal;
use super::super::fitted::Fitted;
use super::super::weights::softmax;
use super::super::{Answer, Batch, Classifier, Labels, Missing, Scores, Steps, Wanted, argmax, check_finite};
use super::metric::Metric;

pub(super) fn read(fitted: &Fitted<'_>, steps: &mut Steps) -> Result<(), Refusal> {
    let metric = match Metric::read(fitted)? {
        metric @ (Metric::Euclidean | Metric::Manhattan) => metric,
        Metric::Chebyshev | Metric::Minkowski(_) => {
            return Err(fitted.unsupported("with that metric", "use euclidean or manhattan"));
        }
    };
    let classes = Labels::read(fitted)?;
    let (centres, [count, features]) = fitted.matrix("centroids_")?;
    if count != classes.len() || count < 2 || features == 0 {
        let classes = classes.len();
        return Err(
            fitted.malformed(format!("has centres of shape [{count}, {features}] for {classes} classes"))
        );
    }
    let odds = odds(fitted, &centres, count, features)?;
    steps.add_classifier(fitted, Box::new(Centroids { metric, classes, features, centres, odds }))
}

/// scikit-learn 1.6 learnt how likely each class is beforehand.
fn odds(
    fitted: &Fitted<'_>,
    centres: &[f64],
    count: usize,
    features: usize,
) -> Result<Option<Odds>, Refusal> {
    if fitted.optional("class_prior_").is_none() {
        return Ok(None);
    }
    let priors = fitted.floats("class_prior_")?;
    let spread = fitted.floats("within_class_std_dev_")?;
    if priors.len() != count || spread.len() != features {
        return Err(fitted.malformed(format!("has {} priors and {} deviations", priors.len(), spread.len())));
    }
    let scale: Vec<f64> = spread.into_iter().map(|it| if it == 0.0 { 1.0 } else { it }).collect();
    let centres = centres.chunks_exact(features).flat_map(|row| row.iter().zip(&scale).map(|(x, s)| x / s));
    let centres = centres.collect();
    let even = 1.0 / count as f64;
    let uniform = priors.iter().all(|it| (it - even).abs() <= 1e-8 + 1e-5 * even);
    Ok(Some(Odds { uniform, scale, centres, offsets: priors.iter().map(|it| 2.0 * it.ln()).collect() }))
}

/// Hastie, Tibshirani, Friedman (2009), equation 18.2.
struct Odds {
    /// All classes are as likely beforehand; then the nearest centre alone decides.
    uniform: bool,
    scale: Vec<f64>,
    /// In units of the scale.
    centres: Vec<f64>,
    offsets: Vec<f64>,
}

struct Centroids {
    metric: Metric,
    classes: Labels,
    features: usize,
    /// Row-major, one a class.
    centres: Vec<f64>,
    odds: Option<Odds>,
}

impl Centroids {
    fn nearest(&self, row: &[f64]) -> u32 {
        let (mut best, mut least) = (0, f64::INFINITY);
        for (at, centre) in self.centres.chunks_exact(self.features).enumerate() {
            let distance = self.metric.reduced_to(row, centre);
            if distance < least {
                (best, least) = (at as u32, distance);
            }
        }
        best
    }

    fn scores(&self, odds: &Odds, row: &[f64], scores: &mut Vec<f64>) {
        let row: Vec<f64> = row.iter().zip(&odds.scale).map(|(x, scale)| x / scale).collect();
        scores.clear();
        scores.extend(odds.centres.chunks_exact(self.features).zip(&odds.offsets).map(|(centre, offset)| {
            let distance = self.metric.distance(self.metric.reduced_to(&row, centre));
            offset - distance * distance
        }));
    }
}

impl Classifier for Centroids {
    fn features(&self) -> usize {
        self.features
    }

    fn classes(&self) -> &Labels {
        &self.classes
    }

    fn has_probabilities(&self) -> bool {
        self.odds.is_some() && self.metric == Metric::Euclidean
    }

    fn scores(&self) -> Option<Scores> {
        self.has_probabilities().then_some(Scores::of_classes(self.classes.len()))
    }

    fn classify(&self, batch: &Batch<'_>, wanted: Wanted) -> Result<Answer, Error> {
        let matrix = batch.numbers()?;
        check_finite(&matrix, self.features, Missing::Refused, f64::MAX)?;
        let mut answer = Answer::default();
        let mut scores = Vec::new();
        for row in matrix.chunks_exact(self.features) {
            let odds = self.odds.as_ref().filter(|it| wanted.probabilities || wanted.scores || !it.uniform);
            if let Some(odds) = odds {
                self.scores(odds, row, &mut scores);
            }
            if wanted.classes {
                let class = match odds {
                    Some(odds) if !odds.uniform => argmax(&scores) as u32,
                    _ => self.nearest(row),
                };
                answer.classes.push(class);
            }
            if wanted.scores {
                match *scores {
                    [first, second] => answer.scores.push(second - first),
                    _ => answer.scores.extend_from_slice(&scores),
                }
            }
            if wanted.probabilities {
                softmax(&mut scores);
                answer.probabilities.extend_from_slice(&scores);
            }
        }
        Ok(answer)
    }

    fn row_ns(&self) -> f64 {
        20.0 + 1.5 * self.centres.len() as f64
    }
}
