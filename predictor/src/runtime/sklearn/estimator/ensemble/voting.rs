//! `VotingClassifier` and `VotingRegressor`: the most votes, or the mean, perhaps weighted.

use weir_proto::Error;

use super::super::super::refusal::Refusal;
use super::super::super::view::View;
use super::super::fitted::Fitted;
use super::super::meta::{likeliest, members};
use super::super::{Answer, Batch, Classifier, Labels, Regressor, Steps, Takes, Wanted};
use super::places;

/// Returns the weight of each estimator that was not dropped.
fn weights(fitted: &Fitted<'_>, members: usize) -> Result<Option<Vec<f64>>, Refusal> {
    let Some(weights) = fitted.optional("weights") else { return Ok(None) };
    let wrong = || fitted.malformed("has weights that do not fit its estimators");
    let weights: Vec<f64> = match weights.items() {
        Some(items) => items.map(|it| it.number().ok_or_else(wrong)).collect::<Result<_, _>>()?,
        None => fitted.floats("weights")?,
    };
    let named = fitted.need("estimators")?.items().ok_or_else(wrong)?;
    if named.len() != weights.len() {
        return Err(wrong());
    }
    let kept = |it: View<'_>| it.item(1).is_some_and(|it| !it.is_none() && it.text() != Some("drop"));
    let weights: Vec<f64> =
        named.zip(weights).filter(|(it, _)| kept(*it)).map(|(_, weight)| weight).collect();
    if weights.len() == members { Ok(Some(weights)) } else { Err(wrong()) }
}

/// Adds up the answers of the estimators, in order, and divides.
fn mean<E>(
    weights: Option<&[f64]>,
    size: usize,
    answers: impl Iterator<Item = Result<Vec<f64>, E>>,
) -> Result<Vec<f64>, E> {
    let mut sums = vec![0.0; size];
    let mut count = 0.0;
    for (at, answers) in answers.enumerate() {
        let weight = weights.map_or(1.0, |it| it[at]);
        sums.iter_mut().zip(answers?).for_each(|(sum, it)| *sum += it * weight);
        count += weight;
    }
    sums.iter_mut().for_each(|it| *it /= count);
    Ok(sums)
}

pub(super) fn classifier(fitted: &Fitted<'_>, steps: &mut Steps) -> Result<(), Refusal> {
    let classes = Labels::read(fitted)?;
    let members = members(fitted)?;
    let weights = weights(fitted, members.len())?;
    let places: Vec<Vec<u32>> =
        members.iter().map(|it| places(fitted, it, &classes)).collect::<Result<_, _>>()?;
    let soft = match fitted.text("voting") {
        Some("soft") => true,
        Some("hard") | None => false,
        Some(other) => {
            return Err(fitted.unsupported(format!("with voting `{other:.40}`"), "use hard or soft"));
        }
    };
    let likely = |it: &Steps| it.classifier().is_some_and(Classifier::has_probabilities);
    let whole = |it: &Vec<u32>| it.len() == classes.len();
    if soft && !(members.iter().all(likely) && places.iter().all(whole)) {
        return Err(
            fitted.malformed("votes softly with estimators that do not give every class a probability")
        );
    }
    steps.add_classifier(fitted, Box::new(Votes { classes, members, places, weights, soft }))
}

struct Votes {
    classes: Labels,
    members: Vec<Steps>,
    /// The class that each class of a member is.
    places: Vec<Vec<u32>>,
    weights: Option<Vec<f64>>,
    /// Probabilities count, not classes.
    soft: bool,
}

impl Votes {
    /// Returns what each class of each row got.
    fn votes(&self, batch: &Batch<'_>) -> Result<Vec<f64>, Error> {
        let classes = self.classes.len();
        let mut all = vec![0.0; batch.rows() * classes];
        let wanted = Wanted { classes: true, ..Wanted::default() };
        for (at, (member, places)) in self.members.iter().zip(&self.places).enumerate() {
            let weight = self.weights.as_ref().map_or(1.0, |it| it[at]);
            let answer = member.classify(batch.lend(), wanted)?;
            for (votes, class) in all.chunks_exact_mut(classes).zip(&answer.classes) {
                votes[places[*class as usize] as usize] += weight;
            }
        }
        Ok(all)
    }

    fn probabilities(&self, batch: &Batch<'_>) -> Result<Vec<f64>, Error> {
        let wanted = Wanted { probabilities: true, ..Wanted::default() };
        let answers = self.members.iter().map(|it| Ok(it.classify(batch.lend(), wanted)?.probabilities));
        mean(self.weights.as_deref(), batch.rows() * self.classes.len(), answers)
    }
}

impl Classifier for Votes {
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
        self.soft
    }

    fn classify(&self, batch: &Batch<'_>, wanted: Wanted) -> Result<Answer, Error> {
        let mut answer = Answer::default();
        let votes = if self.soft { self.probabilities(batch)? } else { self.votes(batch)? };
        if wanted.classes {
            answer.classes = likeliest(&votes, self.classes.len());
        }
        if wanted.probabilities && self.soft {
            answer.probabilities = votes;
        }
        Ok(answer)
    }

    fn row_ns(&self) -> f64 {
        self.members.iter().map(Steps::row_ns).sum()
    }
}

pub(super) fn regressor(fitted: &Fitted<'_>, steps: &mut Steps) -> Result<(), Refusal> {
    let members = members(fitted)?;
    let weights = weights(fitted, members.len())?;
    if !members.iter().all(|it| it.regressor().is_some_and(|it| it.targets().is_none())) {
        return Err(fitted.malformed("has estimators that are no regressors of one target"));
    }
    steps.add_regressor(fitted, Box::new(Mean { members, weights }))
}

struct Mean {
    members: Vec<Steps>,
    weights: Option<Vec<f64>>,
}

impl Regressor for Mean {
    fn features(&self) -> usize {
        self.members[0].features().unwrap_or(0)
    }

    fn takes(&self) -> Takes {
        self.members[0].takes()
    }

    fn regress(&self, batch: &Batch<'_>) -> Result<Vec<f64>, Error> {
        let answers = self.members.iter().map(|it| it.regress(batch.lend()));
        mean(self.weights.as_deref(), batch.rows(), answers)
    }

    fn row_ns(&self) -> f64 {
        self.members.iter().map(Steps::row_ns).sum()
    }
}
