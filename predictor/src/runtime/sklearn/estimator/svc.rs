//! `SVC`: libsvm's classifier. Every pair of classes has a score, a sum over the support vectors of both; pairs vote.
//!
//! libsvm's scores are positive for the first class of a pair. scikit-learn turns the sign around for two classes, so that a
//! positive `decision_function` means `classes_[1]`; for more it keeps it.

use weir_proto::Error;

use super::super::refusal::Refusal;
use super::coupling::Coupling;
use super::fitted::Fitted;
use super::kernel::Kernel;
use super::pairs::{Machine, Pairs, for_each_pair};
use super::registry::{Class, Family};
use super::{Answer, Batch, Classifier, Labels, Missing, Scores, Steps, Wanted, argmax, check_finite};

pub(crate) static FAMILY: Family = Family {
    title: "Support vector machines",
    classes: &[
        Class { name: "SVC", modules: &["sklearn.svm._classes", "sklearn.svm.classes"], read },
        Class { name: "NuSVC", modules: &["sklearn.svm._classes", "sklearn.svm.classes"], read },
    ],
};

/// Reads the fitted support vectors.
fn read(fitted: &Fitted<'_>, steps: &mut Steps) -> Result<(), Refusal> {
    if fitted.flag("_sparse", false)? {
        return Err(fitted.unsupported("fitted on sparse data", "fit it on a dense array"));
    }
    let classes = Labels::read(fitted)?;
    let kernel = Kernel::read(fitted)?;
    let (vectors, [count, features]) = fitted.matrix("support_vectors_")?;
    let (coefficients, shape) = fitted.matrix("_dual_coef_")?;
    let intercepts = fitted.floats("_intercept_")?;
    let starts = starts(fitted, classes.len(), count)?;
    let pairs = classes.len().saturating_mul(classes.len().saturating_sub(1)) / 2;
    if features == 0 || pairs == 0 || shape != [classes.len() - 1, count] || intercepts.len() != pairs {
        return Err(fitted.malformed(format!(
            "has {} classes, {count} vectors of {features} features, a `_dual_coef_` of shape {shape:?} and {} intercepts",
            classes.len(),
            intercepts.len()
        )));
    }
    let rule = rule(fitted, classes.len())?;
    let platt = platt(fitted, pairs)?;
    let machine = Machine { features, kernel, vectors: &vectors, coefficients, starts, intercepts };
    steps.add_classifier(fitted, Box::new(Svc { classes, features, pairs: machine.pairs(), platt, rule }))
}

/// Returns where the vectors of each class begin, and where the last ones end.
fn starts(fitted: &Fitted<'_>, classes: usize, vectors: usize) -> Result<Vec<usize>, Refusal> {
    // The attribute had no underscore before scikit-learn 0.22.
    let name = if fitted.optional("_n_support").is_some() { "_n_support" } else { "n_support_" };
    let counts = fitted.array(name)?.ints()?;
    let mut starts = vec![0_usize];
    for count in &counts {
        let end = usize::try_from(*count).ok().and_then(|count| starts[starts.len() - 1].checked_add(count));
        starts.push(end.unwrap_or(usize::MAX));
    }
    if counts.len() != classes || starts.last() != Some(&vectors) {
        return Err(fitted
            .malformed(format!("has a `{name}` of {counts:?} for {vectors} vectors of {classes} classes")));
    }
    Ok(starts)
}

/// Returns how scores become a class and a `decision_function`.
fn rule(fitted: &Fitted<'_>, classes: usize) -> Result<Rule, Refusal> {
    let break_ties = fitted.flag("break_ties", false)?;
    // None meant one against one until it was forbidden.
    let shape = fitted.text("decision_function_shape").unwrap_or("ovo");
    match (classes, shape, break_ties) {
        (_, "ovo", true) => {
            Err(fitted.unsupported("with break_ties and decision_function_shape `ovo`", "use `ovr`"))
        }
        (2, "ovo" | "ovr", _) => Ok(Rule::Two),
        (_, "ovo", false) => Ok(Rule::OneAgainstOne),
        (_, "ovr", break_ties) => Ok(Rule::OneAgainstRest { break_ties }),
        (_, other, _) => {
            Err(fitted.unsupported(format!("with decision_function_shape `{other}`"), "use `ovr` or `ovo`"))
        }
    }
}

/// Returns Platt's sigmoid of each pair, when the model was fitted with `probability=True`.
fn platt(fitted: &Fitted<'_>, pairs: usize) -> Result<Option<Vec<[f64; 2]>>, Refusal> {
    let read = |names: [&str; 2]| match names.into_iter().find(|name| fitted.optional(name).is_some()) {
        Some(name) => fitted.floats(name),
        None => Ok(Vec::new()),
    };
    // They had no leading underscore before scikit-learn 0.23.
    let slopes = read(["_probA", "probA_"])?;
    let offsets = read(["_probB", "probB_"])?;
    if slopes.is_empty() && offsets.is_empty() {
        return Ok(None);
    }
    if slopes.len() != pairs || offsets.len() != pairs {
        return Err(fitted.malformed(format!(
            "has {} and {} sigmoids for {pairs} pairs",
            slopes.len(),
            offsets.len()
        )));
    }
    Ok(Some(slopes.into_iter().zip(offsets).map(|(slope, offset)| [slope, offset]).collect()))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rule {
    Two,
    OneAgainstOne,
    OneAgainstRest { break_ties: bool },
}

struct Svc {
    classes: Labels,
    features: usize,
    pairs: Pairs,
    platt: Option<Vec<[f64; 2]>>,
    rule: Rule,
}

impl Svc {
    fn pair_count(&self) -> usize {
        self.classes.len() * (self.classes.len() - 1) / 2
    }

    /// Adds what one row's pair scores say to the answer.
    fn answer(&self, room: &mut Room, wanted: Wanted, answer: &mut Answer) {
        let Room { pairs, votes, rest, coupling, .. } = room;
        if matches!(self.rule, Rule::OneAgainstRest { break_ties } if break_ties || wanted.scores) {
            self.one_against_rest(pairs, rest, votes);
        }
        if wanted.scores {
            match self.rule {
                Rule::Two => answer.scores.extend(pairs.iter().map(|pair| -pair)),
                Rule::OneAgainstOne => answer.scores.extend_from_slice(pairs),
                Rule::OneAgainstRest { .. } => answer.scores.extend_from_slice(rest),
            }
        }
        if wanted.classes {
            let class = match self.rule {
                Rule::OneAgainstRest { break_ties: true } => argmax(rest),
                Rule::Two | Rule::OneAgainstOne | Rule::OneAgainstRest { .. } => self.vote(pairs, votes),
            };
            answer.classes.push(class as u32);
        }
        if let (Some(coupling), Some(platt)) = (coupling, &self.platt) {
            answer.probabilities.extend_from_slice(self.couple(platt, pairs, coupling));
        }
    }

    /// Counts the pairs each class wins, and how clearly; as scikit-learn's `_ovr_decision_function`.
    fn one_against_rest(&self, pairs: &[f64], scores: &mut [f64], votes: &mut [f64]) {
        scores.fill(0.0);
        votes.fill(0.0);
        let mut rest = pairs.iter();
        for_each_pair(scores.len(), |first, second| {
            let Some(pair) = rest.next() else { return };
            scores[first] += pair;
            scores[second] -= pair;
            votes[if *pair < 0.0 { second } else { first }] += 1.0;
        });
        // The confidence only breaks ties: it is squeezed into less than a third of a vote either way.
        for (score, votes) in scores.iter_mut().zip(votes) {
            *score = *votes + *score / (3.0 * (score.abs() + 1.0));
        }
    }

    /// Returns the class with the most pairs, as libsvm's `svm_predict`: the first of equals, and 0 is a vote for the second.
    fn vote(&self, pairs: &[f64], votes: &mut [f64]) -> usize {
        votes.fill(0.0);
        let mut rest = pairs.iter();
        for_each_pair(votes.len(), |first, second| {
            let Some(pair) = rest.next() else { return };
            votes[if *pair > 0.0 { first } else { second }] += 1.0;
        });
        argmax(votes)
    }

    /// Returns the probability of each class.
    fn couple<'c>(&self, platt: &[[f64; 2]], pairs: &[f64], coupling: &'c mut Coupling) -> &'c [f64] {
        let mut rest = pairs.iter().zip(platt);
        for_each_pair(self.classes.len(), |first, second| {
            let Some((score, [slope, offset])) = rest.next() else { return };
            coupling.set(first, second, falling_logistic(score * slope + offset));
        });
        coupling.solve()
    }
}

/// What one row after the other is worked out in.
struct Room {
    kernel: Vec<f64>,
    pairs: Vec<f64>,
    votes: Vec<f64>,
    rest: Vec<f64>,
    coupling: Option<Coupling>,
}

impl Room {
    fn new(svc: &Svc, wanted: Wanted) -> Self {
        let classes = svc.classes.len();
        Self {
            kernel: svc.pairs.room(),
            pairs: vec![0.0; svc.pair_count()],
            votes: vec![0.0; classes],
            rest: vec![0.0; classes],
            coupling: wanted.probabilities.then(|| Coupling::new(classes)),
        }
    }
}

impl Classifier for Svc {
    fn features(&self) -> usize {
        self.features
    }

    fn classes(&self) -> &Labels {
        &self.classes
    }

    fn has_probabilities(&self) -> bool {
        self.platt.is_some()
    }

    fn scores(&self) -> Option<Scores> {
        Some(match self.rule {
            Rule::Two => Scores::One,
            Rule::OneAgainstOne => Scores::Many(self.pair_count()),
            Rule::OneAgainstRest { .. } => Scores::Many(self.classes.len()),
        })
    }

    fn classify(&self, batch: &Batch<'_>, wanted: Wanted) -> Result<Answer, Error> {
        let matrix = batch.numbers()?;
        check_finite(&matrix, self.features, Missing::Refused, f64::MAX)?;
        let mut room = Room::new(self, wanted);
        let mut answer = Answer::default();
        for row in matrix.chunks_exact(self.features) {
            self.pairs.scores(row, &mut room.kernel, &mut room.pairs);
            self.answer(&mut room, wanted, &mut answer);
        }
        Ok(answer)
    }

    fn row_ns(&self) -> f64 {
        let classes = self.classes.len() as f64;
        let coupling = if self.platt.is_some() { 20.0 * classes * classes } else { 0.0 };
        coupling + self.pairs.row_ns(self.features, self.classes.len())
    }
}

/// 1 / (1 + exp(x)), without ever raising to a positive power.
fn falling_logistic(x: f64) -> f64 {
    if x >= 0.0 {
        let power = (-x).exp();
        power / (1.0 + power)
    } else {
        1.0 / (1.0 + x.exp())
    }
}
