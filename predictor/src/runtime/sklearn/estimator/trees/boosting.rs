//! `GradientBoostingClassifier` and `GradientBoostingRegressor`: a first guess, and what each tree adds to it.

use weir_proto::Error;

use super::super::super::refusal::Refusal;
use super::super::fitted::Fitted;
use super::super::linear::class;
use super::super::weights::{logistic, softmax};
use super::super::{
    Answer, Batch, Classifier, Labels, Missing, Regressor, Scores, Steps, Takes, Wanted, argmax,
    check_finite, dummy,
};
use super::grown::{Grown, members, of_tree};
use super::walk::Trees;

pub(super) fn regressor(fitted: &Fitted<'_>, steps: &mut Steps) -> Result<(), Refusal> {
    let boosted = Boosted::read(fitted, 1, Link::Identity, None)?;
    steps.add_regressor(fitted, Box::new(Regression(boosted)))
}

pub(super) fn classifier(fitted: &Fitted<'_>, steps: &mut Steps) -> Result<(), Refusal> {
    let classes = Labels::read(fitted)?;
    let (outputs, link) = match (fitted.text("loss"), classes.len()) {
        (_, 0 | 1) => return Err(fitted.malformed("has one class")),
        (Some("deviance" | "log_loss"), 2) => (1, Link::Logit),
        (Some("exponential"), 2) => (1, Link::HalfLogit),
        // Since 1.4 the first guess is centred.
        (Some("deviance" | "log_loss"), many) => (many, Link::Log { centred: !fitted.older_than(1, 4) }),
        (loss, _) => {
            let loss = loss.unwrap_or("of another kind");
            return Err(fitted.unsupported(format!("with loss `{loss:.40}`"), "use log_loss"));
        }
    };
    let boosted = Boosted::read(fitted, outputs, link, Some(&classes))?;
    // Before 1.4 classes were compared by probability, except under the exponential loss.
    let by_scores = !fitted.older_than(1, 4) || link == Link::HalfLogit;
    steps.add_classifier(fitted, Box::new(Classification { boosted, classes, link, by_scores }))
}

/// From what is answered to what the trees add to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Link {
    Identity,
    Logit,
    HalfLogit,
    Log { centred: bool },
}

impl Link {
    /// Changes the probabilities of a row. `least` is how near to 0 and 1 they may come.
    fn apply(self, probabilities: &[f64], least: f64, out: &mut Vec<f64>) {
        let cut = |it: f64| it.clamp(least, 1.0 - least);
        let odds = || {
            let second = cut(probabilities[probabilities.len() - 1]);
            (second / (1.0 - second)).ln()
        };
        match self {
            Self::Identity => out.extend_from_slice(probabilities),
            Self::Logit => out.push(odds()),
            Self::HalfLogit => out.push(0.5 * odds()),
            Self::Log { centred: false } => out.extend(probabilities.iter().map(|&it| cut(it).ln())),
            Self::Log { centred: true } => {
                let logs = probabilities.iter().map(|&it| cut(it).ln());
                let middle = (logs.sum::<f64>() / probabilities.len() as f64).exp();
                out.extend(probabilities.iter().map(|&it| (cut(it) / middle).ln()));
            }
        }
    }
}

/// What a row begins with.
enum First {
    /// A number for each output.
    Same(Vec<f64>),
    /// What a model says, through a link.
    Model { steps: Steps, link: Link, least: f64 },
}

struct Boosted {
    features: usize,
    first: First,
    trees: Trees<f32>,
    outputs: usize,
    /// What a leaf adds, the learning rate in it, and to which output.
    leaves: Vec<(f64, u32)>,
}

impl Boosted {
    fn read(
        fitted: &Fitted<'_>,
        outputs: usize,
        link: Link,
        classes: Option<&Labels>,
    ) -> Result<Self, Refusal> {
        let members = members(fitted)?;
        if members.len() % outputs != 0 {
            return Err(fitted.malformed(format!("has {} trees for {outputs} outputs", members.len())));
        }
        let rate = fitted.number("learning_rate")?;
        let (mut features, mut trees, mut leaves) = (0, Trees::default(), Vec::new());
        for (at, &member) in members.iter().enumerate() {
            let output = (at % outputs) as u32;
            let mut add = || {
                let grown = Grown::read(member)?;
                if at == 0 {
                    features = grown.features;
                }
                if grown.values.len() != grown.table.left.len() || grown.features != features {
                    return Err(Refusal::malformed("it is no regression of the same columns"));
                }
                let leaf = |row: usize| {
                    let number =
                        u32::try_from(leaves.len()).map_err(|_| "more leaves than 32 bits can count")?;
                    leaves.push((rate * grown.values[row], output));
                    Ok(number)
                };
                trees.add(&grown.table, features, leaf).map_err(Refusal::Malformed)
            };
            add().map_err(|refusal| of_tree(fitted, at, refusal))?;
        }
        let first = first(fitted, features, outputs, link, classes)?;
        Ok(Self { features, first, trees, outputs, leaves })
    }

    /// Returns a number for each output of each row.
    fn sums(&self, batch: &Batch<'_>) -> Result<Vec<f64>, Error> {
        let matrix = batch.numbers()?;
        check_finite(&matrix, self.features, Missing::Refused, f32::MAX.into())?;
        let single: Vec<f32> = matrix.iter().map(|&value| value as f32).collect();
        let rows = batch.rows();
        let mut sums = match &self.first {
            First::Same(numbers) => numbers.repeat(rows),
            First::Model { steps, link, least } => self.asked(steps, *link, *least, &single, rows)?,
        };
        self.trees.walk(&single, self.features, |row, leaf| {
            let (value, output) = self.leaves[leaf as usize];
            sums[row * self.outputs + output as usize] += value;
        });
        Ok(sums)
    }

    /// Asks the model that makes the first guess. It gets what the trees get, rounded to 32 bits.
    fn asked(
        &self,
        steps: &Steps,
        link: Link,
        least: f64,
        single: &[f32],
        rows: usize,
    ) -> Result<Vec<f64>, Error> {
        let rounded: Vec<f64> = single.iter().map(|&it| it.into()).collect();
        let batch = Batch::dense(rounded, rows, self.features);
        let Some(classifier) = steps.classifier() else { return steps.regress(batch) };
        let wanted = Wanted { probabilities: true, ..Wanted::default() };
        let answer = steps.classify(batch, wanted)?;
        let mut first = Vec::with_capacity(rows * self.outputs);
        for row in answer.probabilities.chunks_exact(classifier.classes().len()) {
            link.apply(row, least, &mut first);
        }
        Ok(first)
    }

    fn row_ns(&self) -> f64 {
        let first = if let First::Model { steps, .. } = &self.first { steps.row_ns() } else { 1.0 };
        first + 1.5 * self.trees.steps() as f64 + self.trees.len() as f64
    }
}

fn first(
    fitted: &Fitted<'_>,
    features: usize,
    outputs: usize,
    link: Link,
    classes: Option<&Labels>,
) -> Result<First, Refusal> {
    let view = fitted.need("init_")?;
    if view.text() == Some("zero") {
        return Ok(First::Same(vec![0.0; outputs]));
    }
    let part = fitted.part_of(view, "`init_`");
    let (module, name) = part.class.rsplit_once('.').unwrap_or(("", &part.class));
    let numbers = match (module, name) {
        ("sklearn.dummy", "DummyClassifier") => {
            let count = classes.map(Labels::len);
            // It was fitted on the places of the classes.
            let own = Labels::read(&part)?;
            if Some(own.len()) != count {
                return Err(fitted.malformed("begins with a classifier of other classes"));
            }
            let mut numbers = Vec::new();
            link.apply(&dummy::probabilities(&part, &own)?, least(fitted), &mut numbers);
            numbers
        }
        ("sklearn.dummy", "DummyRegressor") => dummy::constants(&part)?,
        ("sklearn.ensemble.gradient_boosting", _) => before_0_21(&part, name, outputs)?,
        _ => {
            let steps = fitted.model(view, "the first guess")?;
            if classes.is_some()
                && !part.class.starts_with("sklearn.tree.")
                && !part.class.starts_with("sklearn.ensemble.")
            {
                // It is given 32-bit floats and computes in them; a probability near 1 is then far off in the logarithm.
                let what = format!(
                    "that begins with {:.80}, which computes probabilities in 32-bit floats",
                    part.class
                );
                return Err(fitted.unsupported(what, "begin with nothing, or with trees"));
            }
            return asks(fitted, steps, features, outputs, link, classes);
        }
    };
    if numbers.len() == outputs && (classes.is_none() || name != "DummyRegressor") {
        return Ok(First::Same(numbers));
    }
    Err(fitted.malformed(format!("begins with {} numbers for {outputs} outputs", numbers.len())))
}

/// Probabilities of the first guess stayed this far from 0 and 1; 1.8 came nearer.
fn least(fitted: &Fitted<'_>) -> f64 {
    if fitted.older_than(1, 8) { f32::EPSILON.into() } else { f64::EPSILON }
}

/// The first guesses of old releases were estimators of their own.
fn before_0_21(first: &Fitted<'_>, name: &str, outputs: usize) -> Result<Vec<f64>, Refusal> {
    match name {
        "MeanEstimator" => Ok(vec![first.number("mean")?]),
        "QuantileEstimator" => Ok(vec![first.number("quantile")?]),
        "LogOddsEstimator" | "ScaledLogOddsEstimator" => Ok(vec![first.number("prior")?]),
        "PriorProbabilityEstimator" => first.floats("priors"),
        "ZeroEstimator" => Ok(vec![0.0; outputs]),
        _ => Err(first.unsupported("as a first guess", "fit it again with a later release")),
    }
}

fn asks(
    fitted: &Fitted<'_>,
    steps: Steps,
    features: usize,
    outputs: usize,
    link: Link,
    classes: Option<&Labels>,
) -> Result<First, Refusal> {
    if fitted.older_than(0, 21) {
        let advice = "fit it again with a later release";
        return Err(fitted.unsupported("that begins with a model of its own", advice));
    }
    let fits = match (steps.classifier(), steps.regressor(), classes) {
        (Some(first), None, Some(classes)) => {
            first.has_probabilities() && first.classes().len() == classes.len()
        }
        (None, Some(first), None) => first.targets().unwrap_or(1) == outputs,
        _ => false,
    };
    if !fits || steps.features() != Some(features) || steps.takes() != Takes::Numbers {
        return Err(fitted.malformed("begins with a model that does not fit it"));
    }
    Ok(First::Model { steps, link, least: least(fitted) })
}

struct Regression(Boosted);

impl Regressor for Regression {
    fn features(&self) -> usize {
        self.0.features
    }

    fn regress(&self, batch: &Batch<'_>) -> Result<Vec<f64>, Error> {
        self.0.sums(batch)
    }

    fn row_ns(&self) -> f64 {
        self.0.row_ns()
    }
}

struct Classification {
    boosted: Boosted,
    classes: Labels,
    link: Link,
    by_scores: bool,
}

impl Classification {
    fn fill(&self, sums: &[f64], probabilities: &mut Vec<f64>) {
        let second = match (self.link, sums) {
            (Link::HalfLogit, [sum]) => logistic(2.0 * sum),
            (_, [sum]) => logistic(*sum),
            (_, many) => {
                let from = probabilities.len();
                probabilities.extend_from_slice(many);
                softmax(&mut probabilities[from..]);
                return;
            }
        };
        probabilities.extend([1.0 - second, second]);
    }
}

impl Classifier for Classification {
    fn features(&self) -> usize {
        self.boosted.features
    }

    fn classes(&self) -> &Labels {
        &self.classes
    }

    fn has_probabilities(&self) -> bool {
        true
    }

    fn scores(&self) -> Option<Scores> {
        Some(Scores::of(self.boosted.outputs))
    }

    fn classify(&self, batch: &Batch<'_>, wanted: Wanted) -> Result<Answer, Error> {
        let sums = self.boosted.sums(batch)?;
        let rows = sums.chunks_exact(self.boosted.outputs);
        let mut answer = Answer::default();
        if wanted.probabilities || (wanted.classes && !self.by_scores) {
            answer.probabilities.reserve(batch.rows() * self.classes.len());
            rows.clone().for_each(|row| self.fill(row, &mut answer.probabilities));
        }
        if wanted.classes {
            answer.classes = if self.by_scores {
                // A sum of nothing is the second of two classes here.
                let class = |row: &[f64]| if let [sum] = row { u32::from(*sum >= 0.0) } else { class(row) };
                rows.map(class).collect()
            } else {
                let rows = answer.probabilities.chunks_exact(self.classes.len());
                rows.map(|row| argmax(row) as u32).collect()
            };
        }
        if !wanted.probabilities {
            answer.probabilities.clear();
        }
        if wanted.scores {
            answer.scores = sums;
        }
        Ok(answer)
    }

    fn row_ns(&self) -> f64 {
        self.boosted.row_ns() + 10.0 * self.classes.len() as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_guesses_by_hand() {
        let check = |link: Link, probabilities: &[f64], want: &[f64]| {
            let mut out = Vec::new();
            link.apply(probabilities, 1e-7, &mut out);
            assert!(out.iter().zip(want).all(|(a, b)| (a - b).abs() < 1e-12), "{link:?}: {out:?}");
            assert_eq!(out.len(), want.len());
        };
        check(Link::Logit, &[0.2, 0.8], &[4_f64.ln()]);
        check(Link::HalfLogit, &[0.2, 0.8], &[2_f64.ln()]);
        check(Link::Logit, &[1.0, 0.0], &[(1e-7_f64 / (1.0 - 1e-7)).ln()]);
        check(
            Link::Log { centred: false },
            &[0.25, 0.25, 0.5],
            &[-(4_f64.ln()), -(4_f64.ln()), -(2_f64.ln())],
        );
        let third = 2_f64.ln() / 3.0;
        check(Link::Log { centred: true }, &[0.25, 0.25, 0.5], &[-third, -third, 2.0 * third]);
    }
}
