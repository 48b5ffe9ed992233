//! Classifiers of many classes made of classifiers of two: one for each pair of classes, or one for each bit of a code.

use weir_proto::Error;

use super::super::refusal::Refusal;
use super::fitted::Fitted;
use super::meta::{heard_by_scores, listed, members, members_of};
use super::pairs::for_each_pair;
use super::registry::{Class, Family};
use super::{Answer, Batch, Classifier, Labels, Scores, Steps, Takes, Wanted, argmax};

pub(crate) static FAMILY: Family = Family {
    title: "Classifiers of two classes put together",
    classes: &[
        Class { name: "OneVsOneClassifier", modules: &["sklearn.multiclass"], read: pairs },
        Class { name: "OutputCodeClassifier", modules: &["sklearn.multiclass"], read: code },
    ],
};

/// Classifiers that each tell a second class from a first.
struct Members {
    members: Vec<Steps>,
    /// They are heard by their scores, otherwise by their probabilities.
    by_scores: bool,
}

impl Members {
    fn check(fitted: &Fitted<'_>, members: Vec<Steps>) -> Result<Self, Refusal> {
        let binary = |it: &Steps| it.classifier().is_some_and(|it| it.classes().len() == 2);
        if !members.iter().all(binary) {
            return Err(
                fitted.unsupported("whose estimators are no classifiers of two classes", "use classifiers")
            );
        }
        let by_scores = heard_by_scores(fitted, &members)?;
        Ok(Self { members, by_scores })
    }

    fn features(&self) -> usize {
        self.members[0].features().unwrap_or(0)
    }

    fn takes(&self) -> Takes {
        self.members[0].takes()
    }

    /// Calls with the number of each member, its classes where they are wanted, and its score of each row.
    fn each(
        &self,
        batch: &Batch<'_>,
        classes: bool,
        mut call: impl FnMut(usize, &[u32], &mut dyn Iterator<Item = f64>),
    ) -> Result<(), Error> {
        let wanted = Wanted { classes, probabilities: !self.by_scores, scores: self.by_scores };
        for (at, member) in self.members.iter().enumerate() {
            let answer = member.classify(batch.lend(), wanted)?;
            if self.by_scores {
                call(at, &answer.classes, &mut answer.scores.iter().copied());
            } else {
                call(at, &answer.classes, &mut answer.probabilities.iter().skip(1).step_by(2).copied());
            }
        }
        Ok(())
    }

    fn row_ns(&self) -> f64 {
        self.members.iter().map(Steps::row_ns).sum()
    }
}

/// A vote of each pair of classes.
fn pairs(fitted: &Fitted<'_>, steps: &mut Steps) -> Result<(), Refusal> {
    let classes = Labels::read(fitted)?;
    let count = classes.len();
    let members = Members::check(fitted, members(fitted)?)?;
    let zero_or_one =
        |it: &Steps| it.classifier().is_some_and(|it| *it.classes() == Labels::Ints(vec![0, 1]));
    if !members.members.iter().all(zero_or_one) {
        return Err(fitted.malformed("has estimators that do not tell 1 from 0"));
    }
    if count < 2 || members.members.len() != count * (count - 1) / 2 {
        let found = members.members.len();
        return Err(fitted.malformed(format!("has {found} estimators for the pairs of {count} classes")));
    }
    if fitted.optional("pairwise_indices_").is_some() {
        return Err(fitted.unsupported("of distances between rows", "fit it on columns"));
    }
    steps.add_classifier(fitted, Box::new(Pairs { classes, members }))
}

struct Pairs {
    classes: Labels,
    members: Members,
}

impl Pairs {
    /// Votes, and below a third of a vote how sure they are.
    fn votes(&self, batch: &Batch<'_>) -> Result<Vec<f64>, Error> {
        let count = self.classes.len();
        let mut pairs = Vec::with_capacity(self.members.members.len());
        for_each_pair(count, |first, second| pairs.push((first, second)));
        let mut votes = vec![0.0; batch.rows() * count];
        let mut sums = vec![0.0; batch.rows() * count];
        self.members.each(batch, true, |at, classes, scores| {
            let (first, second) = pairs[at];
            for (row, (class, score)) in classes.iter().zip(scores).enumerate() {
                sums[row * count + first] -= score;
                sums[row * count + second] += score;
                votes[row * count + if *class == 0 { first } else { second }] += 1.0;
            }
        })?;
        for (vote, sum) in votes.iter_mut().zip(sums) {
            *vote += sum / (3.0 * (sum.abs() + 1.0));
        }
        Ok(votes)
    }
}

impl Classifier for Pairs {
    fn features(&self) -> usize {
        self.members.features()
    }

    fn takes(&self) -> Takes {
        self.members.takes()
    }

    fn classes(&self) -> &Labels {
        &self.classes
    }

    fn has_probabilities(&self) -> bool {
        false
    }

    fn scores(&self) -> Option<Scores> {
        Some(Scores::of_classes(self.classes.len()))
    }

    fn classify(&self, batch: &Batch<'_>, wanted: Wanted) -> Result<Answer, Error> {
        let count = self.classes.len();
        let mut votes = self.votes(batch)?;
        if count == 2 {
            votes = votes.into_iter().skip(1).step_by(2).collect();
        }
        let mut answer = Answer::default();
        if wanted.classes {
            let threshold = if self.members.by_scores { 0.0 } else { 0.5 };
            answer.classes = if count == 2 {
                votes.iter().map(|&vote| u32::from(vote > threshold)).collect()
            } else {
                votes.chunks_exact(count).map(|row| argmax(row) as u32).collect()
            };
        }
        if wanted.scores {
            answer.scores = votes;
        }
        Ok(answer)
    }

    fn row_ns(&self) -> f64 {
        self.members.row_ns()
    }
}

/// The class whose code is nearest to the scores: Dietterich and Bakiri (1995).
fn code(fitted: &Fitted<'_>, steps: &mut Steps) -> Result<(), Refusal> {
    let classes = Labels::read(fitted)?;
    let listed = listed(fitted)?;
    let (book, [rows, bits]) = fitted.matrix("code_book_")?;
    if rows != classes.len() || bits != listed.len() {
        let (classes, found) = (classes.len(), listed.len());
        return Err(fitted.malformed(format!(
            "has a code of shape [{rows}, {bits}] for {classes} classes and {found} estimators"
        )));
    }
    let mut constants = vec![0.0; bits];
    let (mut places, mut views) = (Vec::new(), Vec::new());
    for (at, view) in listed.into_iter().enumerate() {
        // A bit that is the same for every class needs no estimator.
        if view.class().as_deref() == Some("sklearn.multiclass._ConstantPredictor") {
            let constant = fitted.part_of(view, &format!("estimator {}", at + 1)).floats("y_")?;
            constants[at] =
                constant.first().copied().ok_or_else(|| fitted.malformed("has an empty constant"))?;
        } else {
            places.push(at);
            views.push(view);
        }
    }
    let members = Members::check(fitted, members_of(fitted, views)?)?;
    steps.add_classifier(fitted, Box::new(Code { classes, members, places, constants, book }))
}

struct Code {
    classes: Labels,
    members: Members,
    /// Which bit each member scores.
    places: Vec<usize>,
    /// The score of each bit that has no member.
    constants: Vec<f64>,
    /// Row-major, a code a class.
    book: Vec<f64>,
}

impl Classifier for Code {
    fn features(&self) -> usize {
        self.members.features()
    }

    fn takes(&self) -> Takes {
        self.members.takes()
    }

    fn classes(&self) -> &Labels {
        &self.classes
    }

    fn has_probabilities(&self) -> bool {
        false
    }

    fn classify(&self, batch: &Batch<'_>, _: Wanted) -> Result<Answer, Error> {
        let bits = self.constants.len();
        let mut all = self.constants.repeat(batch.rows());
        self.members.each(batch, false, |at, _, scores| {
            scores.enumerate().for_each(|(row, score)| all[row * bits + self.places[at]] = score);
        })?;
        let class = |row: &[f64]| {
            let (mut best, mut least) = (0, f64::INFINITY);
            for (at, code) in self.book.chunks_exact(bits).enumerate() {
                let distance: f64 = row.iter().zip(code).map(|(a, b)| (a - b) * (a - b)).sum();
                if distance < least {
                    (best, least) = (at as u32, distance);
                }
            }
            best
        };
        Ok(Answer { classes: all.chunks_exact(bits).map(class).collect(), ..Answer::default() })
    }

    fn row_ns(&self) -> f64 {
        self.members.row_ns() + self.book.len() as f64
    }
}
