//! `BaggingClassifier` and `BaggingRegressor`: the mean of models, each on some of the rows and columns.

use weir_proto::Error;

use super::super::super::refusal::Refusal;
use super::super::fitted::Fitted;
use super::super::meta::likeliest;
use super::super::trees::members;
use super::super::{Answer, Batch, Classifier, Labels, Regressor, Scores, Steps, Takes, Wanted};
use super::{places, seen, subsets};

/// Members and the columns they look at.
struct Bag {
    features: usize,
    members: Vec<Member>,
}

struct Member {
    steps: Steps,
    /// `None` for one that looks at all columns, in order.
    columns: Option<Vec<usize>>,
}

impl Member {
    fn rows<'b>(&self, batch: &'b Batch<'_>) -> Batch<'b> {
        self.columns.as_ref().map_or_else(|| batch.lend(), |columns| batch.select(columns))
    }
}

impl Bag {
    fn read(fitted: &Fitted<'_>) -> Result<Self, Refusal> {
        let views = members(fitted)?;
        let subsets = subsets(fitted, views.len())?;
        let features = seen(fitted, &subsets)?;
        let mut members = Vec::with_capacity(views.len());
        for (at, (view, columns)) in views.into_iter().zip(subsets).enumerate() {
            let steps = fitted.model(view, &format!("estimator {}", at + 1))?;
            if steps.features() != Some(columns.len()) {
                return Err(fitted.malformed(format!("gives estimator {} columns it does not take", at + 1)));
            }
            let whole = columns.len() == features && columns.iter().enumerate().all(|(at, &it)| at == it);
            members.push(Member { steps, columns: (!whole).then_some(columns) });
        }
        let whole = members.iter().all(|it| it.columns.is_none());
        let takes = members.first().map_or(Takes::Numbers, |it| it.steps.takes());
        let alike = members.iter().all(|it| it.steps.takes() == takes);
        if !alike || (!whole && takes != Takes::Numbers) {
            let advice = "use max_features=1.0 and bootstrap_features=False";
            return Err(fitted.unsupported("that picks some of the columns where some are texts", advice));
        }
        Ok(Self { features, members })
    }

    fn takes(&self) -> Takes {
        self.members.first().map_or(Takes::Numbers, |it| it.steps.takes())
    }

    fn row_ns(&self) -> f64 {
        // Each member is asked on its own.
        let columns = |it: &Member| 20.0 + it.columns.as_ref().map_or(0, Vec::len) as f64;
        self.members.iter().map(|it| it.steps.row_ns() + columns(it)).sum()
    }
}

pub(super) fn classifier(fitted: &Fitted<'_>, steps: &mut Steps) -> Result<(), Refusal> {
    let classes = Labels::read(fitted)?;
    let bag = Bag::read(fitted)?;
    let places: Vec<Vec<u32>> =
        bag.members.iter().map(|it| places(fitted, &it.steps, &classes)).collect::<Result<_, _>>()?;
    let scores = bag.members.first().and_then(|it| it.steps.classifier()?.scores());
    let alike = |it: &Member| it.steps.classifier().and_then(Classifier::scores) == scores;
    let whole = places.iter().all(|it| it.len() == classes.len());
    let scores = scores.filter(|_| whole && bag.members.iter().all(alike));
    steps.add_classifier(fitted, Box::new(Classification { bag, classes, places, scores }))
}

struct Classification {
    bag: Bag,
    classes: Labels,
    /// The class that each class of a member is.
    places: Vec<Vec<u32>>,
    scores: Option<Scores>,
}

impl Classification {
    /// The mean of the probabilities; a member that has none votes.
    fn probabilities(&self, batch: &Batch<'_>) -> Result<Vec<f64>, Error> {
        let classes = self.classes.len();
        let mut sums = vec![0.0; batch.rows() * classes];
        for (member, places) in self.bag.members.iter().zip(&self.places) {
            let likely = member.steps.classifier().is_some_and(Classifier::has_probabilities);
            let wanted = Wanted { classes: !likely, probabilities: likely, scores: false };
            let answer = member.steps.classify(member.rows(batch), wanted)?;
            let rows = sums.chunks_exact_mut(classes);
            if likely {
                for (sums, row) in rows.zip(answer.probabilities.chunks_exact(places.len())) {
                    places.iter().zip(row).for_each(|(&place, value)| sums[place as usize] += value);
                }
            } else {
                for (sums, class) in rows.zip(&answer.classes) {
                    sums[places[*class as usize] as usize] += 1.0;
                }
            }
        }
        let count = self.bag.members.len() as f64;
        sums.iter_mut().for_each(|it| *it /= count);
        Ok(sums)
    }

    fn scores_of(&self, batch: &Batch<'_>) -> Result<Vec<f64>, Error> {
        let wanted = Wanted { scores: true, ..Wanted::default() };
        let mut sums = Vec::new();
        for member in &self.bag.members {
            let answer = member.steps.classify(member.rows(batch), wanted)?;
            if sums.is_empty() {
                sums = answer.scores;
            } else {
                sums.iter_mut().zip(answer.scores).for_each(|(sum, it)| *sum += it);
            }
        }
        let count = self.bag.members.len() as f64;
        sums.iter_mut().for_each(|it| *it /= count);
        Ok(sums)
    }
}

impl Classifier for Classification {
    fn features(&self) -> usize {
        self.bag.features
    }

    fn takes(&self) -> Takes {
        self.bag.takes()
    }

    fn classes(&self) -> &Labels {
        &self.classes
    }

    fn has_probabilities(&self) -> bool {
        true
    }

    fn scores(&self) -> Option<Scores> {
        self.scores
    }

    fn classify(&self, batch: &Batch<'_>, wanted: Wanted) -> Result<Answer, Error> {
        let mut answer = Answer::default();
        if wanted.classes || wanted.probabilities {
            let probabilities = self.probabilities(batch)?;
            if wanted.classes {
                answer.classes = likeliest(&probabilities, self.classes.len());
            }
            if wanted.probabilities {
                answer.probabilities = probabilities;
            }
        }
        if wanted.scores && self.scores.is_some() {
            answer.scores = self.scores_of(batch)?;
        }
        Ok(answer)
    }

    fn row_ns(&self) -> f64 {
        self.bag.row_ns() + (self.bag.members.len() * self.classes.len()) as f64
    }
}

pub(super) fn regressor(fitted: &Fitted<'_>, steps: &mut Steps) -> Result<(), Refusal> {
    let bag = Bag::read(fitted)?;
    let targets = bag.members.first().and_then(|it| it.steps.regressor()?.targets());
    if !bag.members.iter().all(|it| it.steps.regressor().is_some_and(|it| it.targets() == targets)) {
        return Err(fitted.malformed("has estimators that are no regressors of the same targets"));
    }
    steps.add_regressor(fitted, Box::new(Regression { bag, targets }))
}

struct Regression {
    bag: Bag,
    targets: Option<usize>,
}

impl Regressor for Regression {
    fn features(&self) -> usize {
        self.bag.features
    }

    fn takes(&self) -> Takes {
        self.bag.takes()
    }

    fn targets(&self) -> Option<usize> {
        self.targets
    }

    fn regress(&self, batch: &Batch<'_>) -> Result<Vec<f64>, Error> {
        let mut sums = vec![0.0; batch.rows() * self.targets.unwrap_or(1)];
        for member in &self.bag.members {
            let answers = member.steps.regress(member.rows(batch))?;
            sums.iter_mut().zip(answers).for_each(|(sum, it)| *sum += it);
        }
        let count = self.bag.members.len() as f64;
        sums.iter_mut().for_each(|it| *it /= count);
        Ok(sums)
    }

    fn row_ns(&self) -> f64 {
        self.bag.row_ns()
    }
}
