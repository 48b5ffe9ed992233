//! `AdaBoostClassifier` (Zhu, Zou, Rosset and Hastie, 2009) and `AdaBoostRegressor` (Drucker, 1997): weighted votes, and a
//! weighted median.

use weir_proto::Error;

use super::super::super::refusal::Refusal;
use super::super::fitted::Fitted;
use super::super::linear::class;
use super::super::meta::members;
use super::super::weights::{normalise, softmax};
use super::super::{
    Answer, Batch, Classifier, Labels, Missing, Regressor, Scores, Steps, Takes, Wanted, check_finite,
};

/// How much each estimator weighs, and the sum of all weights, which may be more than there are estimators.
fn weights(fitted: &Fitted<'_>, members: usize) -> Result<(Vec<f64>, f64), Refusal> {
    let mut weights = fitted.floats("estimator_weights_")?;
    if weights.len() < members {
        return Err(fitted.malformed(format!("has {members} estimators and {} weights", weights.len())));
    }
    let total = weights.iter().sum();
    weights.truncate(members);
    Ok((weights, total))
}

pub(super) fn classifier(fitted: &Fitted<'_>, steps: &mut Steps) -> Result<(), Refusal> {
    let classes = Labels::read(fitted)?;
    if classes.len() < 2 {
        return Err(fitted.unsupported("fitted on one class", "fit it on two or more"));
    }
    let members = members(fitted)?;
    let (weights, total) = weights(fitted, members.len())?;
    let wrong = || fitted.malformed("has an estimator that is no classifier of its classes");
    let places: Vec<Vec<u32>> = members
        .iter()
        .map(|it| it.classifier().and_then(|it| classes.places(it.classes())).ok_or_else(wrong))
        .collect::<Result<_, _>>()?;
    let real = match fitted.text("algorithm") {
        Some("SAMME.R") => true,
        // Later releases know the other alone.
        Some("SAMME" | "deprecated") | None => false,
        Some(other) => {
            return Err(fitted.unsupported(format!("with algorithm `{other:.40}`"), "use SAMME"));
        }
    };
    let likely = |it: &Steps| it.classifier().is_some_and(Classifier::has_probabilities);
    let ordered = |it: &Vec<u32>| it.iter().enumerate().all(|(at, &place)| at == place as usize);
    let whole = |it: &Vec<u32>| it.len() == classes.len() && ordered(it);
    // What SAMME.R takes the logarithm of, and what probabilities were made of before 0.22.
    let by_probabilities = real || fitted.older_than(0, 22);
    if by_probabilities && !(members.iter().all(likely) && places.iter().all(whole)) {
        return Err(fitted.unsupported("whose estimators do not give every class a probability", "use SAMME"));
    }
    let first = fitted.text("_sklearn_version").is_some_and(|it| it == "1.3.0" || it.starts_with("1.3.0rc"));
    // Votes against the other classes count since 1.3.1.
    let against = !fitted.older_than(1, 3) && !first;
    let old_probabilities = !real && fitted.older_than(0, 22);
    let boosted = Boosted { classes, members, places, weights, total, real, against, old_probabilities };
    steps.add_classifier(fitted, Box::new(boosted))
}

struct Boosted {
    classes: Labels,
    members: Vec<Steps>,
    /// The class that each class of a member is.
    places: Vec<Vec<u32>>,
    weights: Vec<f64>,
    total: f64,
    /// Members say how probable classes are, not which it is.
    real: bool,
    /// A vote for one class is one against the others.
    against: bool,
    /// Before 0.22 probabilities were made of the members' own.
    old_probabilities: bool,
}

impl Boosted {
    /// Returns what speaks for each class of each row.
    fn sums(&self, batch: &Batch<'_>) -> Result<Vec<f64>, Error> {
        let classes = self.classes.len();
        let others = 1.0 / (classes as f64 - 1.0);
        let mut sums = vec![0.0; batch.rows() * classes];
        let wanted = Wanted { classes: !self.real, probabilities: self.real, scores: false };
        for ((member, places), weight) in self.members.iter().zip(&self.places).zip(&self.weights) {
            let mut answer = member.classify(batch.lend(), wanted)?;
            if self.real {
                for (sums, row) in
                    sums.chunks_exact_mut(classes).zip(answer.probabilities.chunks_exact_mut(classes))
                {
                    // No class is so improbable that its logarithm is infinite.
                    row.iter_mut().for_each(|it| *it = it.max(f64::EPSILON).ln());
                    let middle = 1.0 / classes as f64 * row.iter().sum::<f64>();
                    sums.iter_mut()
                        .zip(row)
                        .for_each(|(sum, log)| *sum += (classes as f64 - 1.0) * (*log - middle));
                }
                continue;
            }
            let against = if self.against { -others * weight } else { 0.0 };
            for (sums, class) in sums.chunks_exact_mut(classes).zip(&answer.classes) {
                let voted = places[*class as usize] as usize;
                for (at, sum) in sums.iter_mut().enumerate() {
                    *sum += if at == voted { *weight } else { against };
                }
            }
        }
        sums.iter_mut().for_each(|it| *it /= self.total);
        Ok(sums)
    }

    /// Two classes have one score.
    fn scores_of(&self, sums: Vec<f64>) -> Vec<f64> {
        if self.classes.len() != 2 {
            return sums;
        }
        sums.as_chunks::<2>().0.iter().map(|[first, second]| -first + second).collect()
    }

    fn probabilities(&self, scores: &[f64]) -> Vec<f64> {
        let classes = self.classes.len();
        if classes == 2 {
            let mut all: Vec<f64> = scores.iter().flat_map(|it| [-it / 2.0, it / 2.0]).collect();
            all.chunks_exact_mut(2).for_each(softmax);
            return all;
        }
        let mut all: Vec<f64> = scores.iter().map(|it| it / (classes as f64 - 1.0)).collect();
        all.chunks_exact_mut(classes).for_each(softmax);
        all
    }

    /// The mean of what the members say, made probabilities once more.
    fn before_0_22(&self, batch: &Batch<'_>) -> Result<Vec<f64>, Error> {
        let classes = self.classes.len();
        let mut sums = vec![0.0; batch.rows() * classes];
        let wanted = Wanted { probabilities: true, ..Wanted::default() };
        for (member, weight) in self.members.iter().zip(&self.weights) {
            let answer = member.classify(batch.lend(), wanted)?;
            sums.iter_mut().zip(answer.probabilities).for_each(|(sum, it)| *sum += it * weight);
        }
        let others = 1.0 / (classes as f64 - 1.0);
        sums.iter_mut().for_each(|it| *it = (others * (*it / self.total)).exp());
        sums.chunks_exact_mut(classes).for_each(normalise);
        Ok(sums)
    }
}

impl Classifier for Boosted {
    fn features(&self) -> usize {
        self.members[0].features().unwrap_or(0)
    }

    fn takes(&self) -> Takes {
        self.members[0].takes()
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
        refuse_missing(batch)?;
        let mut answer = Answer::default();
        let old = wanted.probabilities && self.old_probabilities;
        if old {
            answer.probabilities = self.before_0_22(batch)?;
        }
        if wanted.classes || wanted.scores || (wanted.probabilities && !old) {
            let scores = self.scores_of(self.sums(batch)?);
            if wanted.probabilities && !old {
                answer.probabilities = self.probabilities(&scores);
            }
            if wanted.classes {
                let width = if self.classes.len() == 2 { 1 } else { self.classes.len() };
                answer.classes = scores.chunks_exact(width).map(class).collect();
            }
            if wanted.scores {
                answer.scores = scores;
            }
        }
        Ok(answer)
    }

    fn row_ns(&self) -> f64 {
        // Each member is asked on its own.
        let votes = self.members.len() * (20 + self.classes.len());
        self.members.iter().map(Steps::row_ns).sum::<f64>() + votes as f64
    }
}

/// It checks the rows before its estimators do.
fn refuse_missing(batch: &Batch<'_>) -> Result<(), Error> {
    if let Batch::Dense(it) = batch {
        check_finite(&it.values, it.width, Missing::Refused, f64::MAX)?;
    }
    Ok(())
}

pub(super) fn regressor(fitted: &Fitted<'_>, steps: &mut Steps) -> Result<(), Refusal> {
    let members = members(fitted)?;
    let (weights, _) = weights(fitted, members.len())?;
    if !members.iter().all(|it| it.regressor().is_some_and(|it| it.targets().is_none())) {
        return Err(fitted.malformed("has estimators that are no regressors of one target"));
    }
    steps.add_regressor(fitted, Box::new(Median { members, weights }))
}

struct Median {
    members: Vec<Steps>,
    weights: Vec<f64>,
}

impl Regressor for Median {
    fn features(&self) -> usize {
        self.members[0].features().unwrap_or(0)
    }

    fn takes(&self) -> Takes {
        self.members[0].takes()
    }

    fn regress(&self, batch: &Batch<'_>) -> Result<Vec<f64>, Error> {
        refuse_missing(batch)?;
        let answers: Vec<Vec<f64>> =
            self.members.iter().map(|it| it.regress(batch.lend())).collect::<Result<_, _>>()?;
        let mut ranked: Vec<(f64, f64)> = Vec::with_capacity(answers.len());
        let median = |row: usize| {
            ranked.clear();
            ranked.extend(answers.iter().zip(&self.weights).map(|(it, &weight)| (it[row], weight)));
            ranked.sort_by(|a, b| a.0.total_cmp(&b.0));
            let mut below = 0.0;
            for (_, weight) in &mut ranked {
                below += *weight;
                *weight = below;
            }
            let half = 0.5 * below;
            ranked.iter().find(|(_, weight)| *weight >= half).map_or(f64::NAN, |(answer, _)| *answer)
        };
        Ok((0..batch.rows()).map(median).collect())
    }

    fn row_ns(&self) -> f64 {
        self.members.iter().map(Steps::row_ns).sum::<f64>() + 20.0 * self.members.len() as f64
    }
}
