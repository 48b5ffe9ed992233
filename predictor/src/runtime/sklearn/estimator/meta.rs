//! Models around models: searches, one class against the rest, several outputs, calibration, transformed targets.

use weir_proto::{Data, DataType, Error};

use super::super::refusal::Refusal;
use super::super::view::View;
use super::fitted::Fitted;
use super::labels::interleave;
use super::registry::{Class, Family};
use super::steps::Steps;
use super::weights::normalise;
use super::{
    Answer, Batch, Classifier, Labels, Method, Offer, Predictor, Regressor, Scores, Takes, Wanted, argmax,
};

pub(crate) static FAMILY: Family = Family {
    title: "Models around models",
    classes: &[
        Class { name: "GridSearchCV", modules: SEARCH, read: best },
        Class { name: "RandomizedSearchCV", modules: SEARCH, read: best },
        Class { name: "HalvingGridSearchCV", modules: HALVING, read: best },
        Class { name: "HalvingRandomSearchCV", modules: HALVING, read: best },
        Class { name: "OneVsRestClassifier", modules: &["sklearn.multiclass"], read: one_against_rest },
        Class { name: "MultiOutputClassifier", modules: &["sklearn.multioutput"], read: many_classes },
        Class { name: "MultiOutputRegressor", modules: &["sklearn.multioutput"], read: many_numbers },
    ],
};

const SEARCH: &[&str] = &["sklearn.model_selection._search", "sklearn.grid_search"];
const HALVING: &[&str] = &["sklearn.model_selection._search_successive_halving"];

/// The best estimator of a search answers for it.
fn best(fitted: &Fitted<'_>, steps: &mut Steps) -> Result<(), Refusal> {
    fitted.add(fitted.need("best_estimator_")?, "the best estimator", steps)
}

/// Reads the members of `estimators_`, each a model of its own.
pub(super) fn members(fitted: &Fitted<'_>) -> Result<Vec<Steps>, Refusal> {
    members_of(fitted, listed(fitted)?)
}

/// Returns the members of `estimators_`.
pub(super) fn listed<'d>(fitted: &Fitted<'d>) -> Result<Vec<View<'d>>, Refusal> {
    let list = fitted.need("estimators_")?;
    if let Some(items) = list.items() {
        return Ok(items.collect());
    }
    let array = fitted.array("estimators_")?;
    let members = array.members().ok_or_else(|| fitted.malformed("has `estimators_` that are no list"))?;
    Ok(members.collect())
}

/// Reads models of the same columns, at least one.
pub(super) fn members_of<'d>(fitted: &Fitted<'d>, items: Vec<View<'d>>) -> Result<Vec<Steps>, Refusal> {
    if items.is_empty() {
        return Err(fitted.malformed("has no estimators"));
    }
    let read = |(at, view): (usize, View<'_>)| fitted.model(view, &format!("estimator {}", at + 1));
    let members: Vec<Steps> = items.into_iter().enumerate().map(read).collect::<Result<_, _>>()?;
    let features = members[0].features();
    if features.is_none()
        || members.iter().any(|it| it.features() != features || it.takes() != members[0].takes())
    {
        return Err(fitted.malformed("has estimators of different columns"));
    }
    Ok(members)
}

/// Returns whether it is a classifier that gives a row one score.
pub(super) fn scored(model: &Steps) -> bool {
    model.classifier().is_some_and(|it| it.scores() == Some(Scores::One))
}

fn likely(model: &Steps) -> bool {
    model.classifier().is_some_and(Classifier::has_probabilities)
}

/// Returns whether classifiers of two classes are heard by their scores, otherwise by their probabilities.
///
/// # Errors
/// `Unsupported` where they are not all heard in the same way.
pub(super) fn heard_by_scores(fitted: &Fitted<'_>, members: &[Steps]) -> Result<bool, Refusal> {
    let by_scores = members.iter().all(scored);
    if !by_scores && (members.iter().any(scored) || !members.iter().all(likely)) {
        return Err(
            fitted.unsupported("whose estimators score in different ways", "use one kind of estimator")
        );
    }
    Ok(by_scores)
}

/// A score for each class from a classifier of its own.
fn one_against_rest(fitted: &Fitted<'_>, steps: &mut Steps) -> Result<(), Refusal> {
    let binarizer = fitted.part("label_binarizer_")?;
    if let Some(kind) = binarizer.text("y_type_").filter(|it| it.starts_with("multilabel")) {
        return Err(fitted
            .unsupported(format!("fitted on targets that are {kind}"), "save one model for each output"));
    }
    let classes = Labels::read(&binarizer)?;
    let members = members(fitted)?;
    let expected = if classes.len() == 2 { 1 } else { classes.len() };
    let sound = |it: &Steps| it.classifier().is_some_and(|it| it.classes().len() == 2);
    if members.len() != expected || !members.iter().all(sound) {
        return Err(fitted.malformed(format!(
            "has {} estimators for {} classes",
            members.len(),
            classes.len()
        )));
    }
    let by_scores = heard_by_scores(fitted, &members)?;
    let has_probabilities = members.iter().all(likely);
    steps.add_classifier(fitted, Box::new(OneAgainstRest { classes, members, by_scores, has_probabilities }))
}

struct OneAgainstRest {
    classes: Labels,
    /// One for two classes, else one a class; each tells the second of its classes from the first.
    members: Vec<Steps>,
    /// Members are compared by their scores, otherwise by their probabilities.
    by_scores: bool,
    has_probabilities: bool,
}

impl OneAgainstRest {
    /// Returns for each row a number of each member.
    fn columns(&self, batch: &Batch<'_>, by_scores: bool) -> Result<Vec<f64>, Error> {
        let count = self.members.len();
        let mut all = vec![0.0; batch.rows() * count];
        let wanted = Wanted { classes: false, probabilities: !by_scores, scores: by_scores };
        for (at, member) in self.members.iter().enumerate() {
            let answer = member.classify(batch.lend(), wanted)?;
            let (values, step) = if by_scores { (&answer.scores, 1) } else { (&answer.probabilities, 2) };
            for (row, value) in values.iter().skip(step - 1).step_by(step).enumerate() {
                all[row * count + at] = *value;
            }
        }
        Ok(all)
    }
}

impl Classifier for OneAgainstRest {
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
        self.has_probabilities
    }

    fn scores(&self) -> Option<Scores> {
        self.by_scores.then_some(Scores::of(self.members.len()))
    }

    fn classify(&self, batch: &Batch<'_>, wanted: Wanted) -> Result<Answer, Error> {
        let count = self.members.len();
        let mut answer = Answer::default();
        if wanted.classes || wanted.scores {
            let columns = self.columns(batch, self.by_scores)?;
            if wanted.classes {
                let threshold = if self.by_scores { 0.0 } else { 0.5 };
                let class = |row: &[f64]| match row {
                    [second] => u32::from(*second > threshold),
                    // Of equals the last, as scikit-learn has it here.
                    many => many
                        .iter()
                        .enumerate()
                        .fold(0, |best, (at, it)| if *it >= many[best] { at } else { best })
                        as u32,
                };
                answer.classes = columns.chunks_exact(count).map(class).collect();
            }
            if wanted.scores {
                answer.scores = columns;
            }
        }
        if wanted.probabilities {
            for row in self.columns(batch, false)?.chunks_exact(count) {
                let from = answer.probabilities.len();
                match row {
                    [second] => answer.probabilities.extend([1.0 - second, *second]),
                    many => {
                        answer.probabilities.extend_from_slice(many);
                        normalise(&mut answer.probabilities[from..]);
                    }
                }
            }
        }
        Ok(answer)
    }

    fn row_ns(&self) -> f64 {
        self.members.iter().map(Steps::row_ns).sum()
    }
}

/// A classifier for each of several targets.
fn many_classes(fitted: &Fitted<'_>, steps: &mut Steps) -> Result<(), Refusal> {
    let members = members(fitted)?;
    let datatype = members[0].classifier().map(|it| it.classes().datatype());
    let alike = |it: &Steps| it.classifier().map(|it| it.classes().datatype()) == datatype;
    let Some(datatype) = datatype.filter(|_| members.iter().all(alike)) else {
        return Err(
            fitted.unsupported("whose targets are of different kinds", "save one model for each output")
        );
    };
    steps.add_predictor(fitted, Box::new(ManyClasses { members, datatype }))
}

struct ManyClasses {
    members: Vec<Steps>,
    datatype: DataType,
}

impl Predictor for ManyClasses {
    fn features(&self) -> usize {
        self.members[0].features().unwrap_or(0)
    }

    fn takes(&self) -> Takes {
        self.members[0].takes()
    }

    fn offers(&self) -> Vec<Offer> {
        let width = Some(self.members.len());
        vec![Offer { method: Method::Predict, datatype: self.datatype, width, labels: Vec::new() }]
    }

    fn predict(&self, batch: &Batch<'_>, wanted: &[Method]) -> Result<Vec<Data>, Error> {
        let parts = Wanted { classes: true, ..Wanted::default() };
        let mut columns = Vec::with_capacity(self.members.len());
        for member in &self.members {
            let answer = member.classify(batch.lend(), parts)?;
            let classifier =
                member.classifier().ok_or_else(|| Error::invalid("a part of the model is no classifier"))?;
            columns.push(classifier.classes().take(&answer.classes));
        }
        Ok(wanted.iter().map(|_| interleave(&columns, batch.rows())).collect())
    }

    fn row_ns(&self) -> f64 {
        self.members.iter().map(Steps::row_ns).sum()
    }
}

/// A regressor for each of several targets.
fn many_numbers(fitted: &Fitted<'_>, steps: &mut Steps) -> Result<(), Refusal> {
    let members = members(fitted)?;
    if !members.iter().all(|it| it.regressor().is_some_and(|it| it.targets().is_none())) {
        return Err(fitted.malformed("has estimators that are no regressors of one target"));
    }
    steps.add_regressor(fitted, Box::new(ManyNumbers { members }))
}

struct ManyNumbers {
    members: Vec<Steps>,
}

impl Regressor for ManyNumbers {
    fn features(&self) -> usize {
        self.members[0].features().unwrap_or(0)
    }

    fn takes(&self) -> Takes {
        self.members[0].takes()
    }

    fn targets(&self) -> Option<usize> {
        Some(self.members.len())
    }

    fn regress(&self, batch: &Batch<'_>) -> Result<Vec<f64>, Error> {
        let count = self.members.len();
        let mut all = vec![0.0; batch.rows() * count];
        for (at, member) in self.members.iter().enumerate() {
            for (row, value) in member.regress(batch.lend())?.into_iter().enumerate() {
                all[row * count + at] = value;
            }
        }
        Ok(all)
    }

    fn row_ns(&self) -> f64 {
        self.members.iter().map(Steps::row_ns).sum()
    }
}

/// Returns the index of the greatest probability of each row.
pub(super) fn likeliest(probabilities: &[f64], classes: usize) -> Vec<u32> {
    probabilities.chunks_exact(classes).map(|row| argmax(row) as u32).collect()
}
