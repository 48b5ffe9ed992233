//! `IsolationForest` (Liu, Ting and Zhou, 2008): how few splits set a row apart.

use weir_proto::{Data, DataType, Error};

use super::super::super::refusal::Refusal;
use super::super::ensemble::{seen, subsets};
use super::super::fitted::Fitted;
use super::super::{Batch, Method, Missing, Offer, Predictor, Steps, check_finite};
use super::grown::{Grown, members, of_tree};
use super::walk::Trees;

const EULER_GAMMA: f64 = 0.577_215_664_901_532_9;

pub(super) fn read(fitted: &Fitted<'_>, steps: &mut Steps) -> Result<(), Refusal> {
    let members = members(fitted)?;
    let subsets = subsets(fitted, members.len())?;
    let features = seen(fitted, &subsets)?;
    let corrected = !fitted.older_than(0, 21);
    let (mut trees, mut depths) = (Trees::default(), Vec::new());
    for (at, (&member, columns)) in members.iter().zip(&subsets).enumerate() {
        let mut add = || {
            let mut grown = Grown::read(member)?;
            if grown.features != columns.len() {
                let met = (grown.features, columns.len());
                return Err(Refusal::malformed(format!(
                    "it takes {} features and is given {}",
                    met.0, met.1
                )));
            }
            for feature in &mut grown.table.feature {
                // What is no column stays as it is: a leaf has none, and a split on none is refused below.
                let column = usize::try_from(*feature).ok().and_then(|it| columns.get(it));
                *feature = column.map_or(-1, |&it| it as i64);
            }
            let levels = levels(&grown)?;
            let leaf = |row: usize| {
                let number = u32::try_from(depths.len()).map_err(|_| "more leaves than 32 bits can count")?;
                let beyond = average_path(grown.samples[row] as f64, corrected);
                depths.push(levels[row] + beyond - 1.0);
                Ok(number)
            };
            trees.add(&grown.table, features, leaf).map_err(Refusal::Malformed)
        };
        add().map_err(|refusal| of_tree(fitted, at, refusal))?;
    }
    let samples = if fitted.optional("_max_samples").is_some() { "_max_samples" } else { "max_samples_" };
    let whole = members.len() as f64 * average_path(fitted.number(samples)?, corrected);
    let judge = Judge::read(fitted)?;
    let missing = if fitted.older_than(1, 6) { Some(Missing::Refused) } else { None };
    steps.add_predictor(fitted, Box::new(Isolation { features, missing, trees, depths, whole, judge }))
}

/// Returns how many nodes lie on the way to each, itself included.
fn levels(grown: &Grown) -> Result<Vec<f64>, Refusal> {
    let count = grown.table.left.len();
    let mut levels = vec![0.0; count];
    if let Some(root) = levels.first_mut() {
        *root = 1.0;
    }
    let mut open = vec![0];
    let mut met = 0;
    while let Some(node) = open.pop() {
        met += 1;
        for child in [grown.table.left.get(node), grown.table.right.get(node)].into_iter().flatten() {
            let Ok(child) = usize::try_from(*child) else { continue };
            if child >= count || met > count {
                return Err(Refusal::malformed("nodes that form no tree"));
            }
            levels[child] = levels[node] + 1.0;
            open.push(child);
        }
    }
    Ok(levels)
}

/// Returns the mean depth of a leaf in a tree of that many samples. `corrected` is how 0.21 and later have it.
fn average_path(samples: f64, corrected: bool) -> f64 {
    match samples {
        _ if samples <= 1.0 => f64::from(u8::from(!corrected)),
        2.0 if corrected => 1.0,
        _ => 2.0 * ((samples - 1.0).ln() + EULER_GAMMA) - 2.0 * (samples - 1.0) / samples,
    }
}

/// What makes a row an outlier.
struct Judge {
    /// Taken from the scores for `decision_function`.
    offset: f64,
    /// What `decision_function` is compared with.
    threshold: f64,
    /// Whether the threshold itself is below.
    inclusive: bool,
    /// Whether there is `score_samples`.
    scores: bool,
}

impl Judge {
    fn read(fitted: &Fitted<'_>) -> Result<Self, Refusal> {
        // Before 0.20 there was no offset.
        if fitted.optional("offset_").is_none() {
            let threshold = fitted.number("threshold_")?;
            return Ok(Self { offset: -0.5, threshold, inclusive: true, scores: false });
        }
        let old = fitted.text("behaviour") == Some("old") && fitted.older_than(0, 22);
        let threshold = if old { fitted.number("_threshold_")? } else { 0.0 };
        Ok(Self { offset: fitted.number("offset_")?, threshold, inclusive: false, scores: true })
    }
}

struct Isolation {
    features: usize,
    /// Since 1.6 no value is refused.
    missing: Option<Missing>,
    trees: Trees<f32>,
    /// The depth of each leaf, and of the tree that was not grown below it.
    depths: Vec<f64>,
    /// The mean depth, of all trees.
    whole: f64,
    judge: Judge,
}

impl Isolation {
    fn scores(&self, batch: &Batch<'_>) -> Result<Vec<f64>, Error> {
        let matrix = batch.numbers()?;
        if let Some(missing) = self.missing {
            check_finite(&matrix, self.features, missing, f32::MAX.into())?;
        }
        let single: Vec<f32> = matrix.iter().map(|&value| value as f32).collect();
        let mut sums = vec![0.0; batch.rows()];
        self.trees.walk(&single, self.features, |row, leaf| sums[row] += self.depths[leaf as usize]);
        for sum in &mut sums {
            *sum = -(-if self.whole == 0.0 { 1.0 } else { *sum / self.whole }).exp2();
        }
        Ok(sums)
    }
}

impl Predictor for Isolation {
    fn features(&self) -> usize {
        self.features
    }

    fn offers(&self) -> Vec<Offer> {
        let offer = |method, datatype| Offer { method, datatype, width: None, labels: Vec::new() };
        let mut offers =
            vec![offer(Method::Predict, DataType::Int64), offer(Method::DecisionFunction, DataType::Fp64)];
        if self.judge.scores {
            offers.push(offer(Method::ScoreSamples, DataType::Fp64));
        }
        offers
    }

    fn predict(&self, batch: &Batch<'_>, wanted: &[Method]) -> Result<Vec<Data>, Error> {
        let scores = self.scores(batch)?;
        let Judge { offset, threshold, inclusive, .. } = self.judge;
        let outlier = |score: f64| {
            let decision = score - offset;
            decision < threshold || (inclusive && decision == threshold)
        };
        let answer = |method: &Method| match method {
            Method::Predict => {
                let sides = scores.iter().map(|&it| if outlier(it) { -1_i64 } else { 1 });
                Data::Int64(sides.collect::<Vec<_>>().into())
            }
            Method::DecisionFunction => {
                Data::Fp64(scores.iter().map(|it| it - offset).collect::<Vec<_>>().into())
            }
            _ => Data::Fp64(scores.clone().into()),
        };
        Ok(wanted.iter().map(answer).collect())
    }

    fn row_ns(&self) -> f64 {
        20.0 + 1.5 * self.trees.steps() as f64 + self.trees.len() as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn average_paths_by_hand() {
        assert_eq!([0.0, 1.0, 2.0].map(|it| average_path(it, true)), [0.0, 0.0, 1.0]);
        assert_eq!(average_path(1.0, false), 1.0);
        // 2 (H(255)) - 2 * 255 / 256, as in the paper with the harmonic number's estimate.
        assert!((average_path(256.0, true) - 10.244770920119917).abs() < 1e-12);
    }
}
