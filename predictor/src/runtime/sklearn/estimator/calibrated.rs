//! `CalibratedClassifierCV`: scores made into probabilities by sigmoids or steps learnt on held-out data, averaged.

use weir_proto::Error;

use super::super::refusal::Refusal;
use super::fitted::Fitted;
use super::meta::likeliest;
use super::registry::{Class, Family};
use super::steps::Steps;
use super::{Answer, Batch, Classifier, Labels, Scores, Takes, Wanted};

pub(crate) static FAMILY: Family = Family {
    title: "Calibration",
    classes: &[Class { name: "CalibratedClassifierCV", modules: &["sklearn.calibration"], read }],
};

fn read(fitted: &Fitted<'_>, steps: &mut Steps) -> Result<(), Refusal> {
    let classes = Labels::read(fitted)?;
    let list = fitted.need("calibrated_classifiers_")?;
    let list =
        list.items().ok_or_else(|| fitted.malformed("has `calibrated_classifiers_` that are no list"))?;
    let mut members = Vec::with_capacity(list.len());
    for (at, view) in list.enumerate() {
        let member = fitted.part_of(view, &format!("calibrated classifier {}", at + 1));
        members.push(self::member(&member, classes.len())?);
    }
    let first = members.first().and_then(|it| it.steps.features());
    let alike = |it: &Member| it.steps.features() == first && it.steps.takes() == members[0].steps.takes();
    if first.is_none() || !members.iter().all(alike) {
        return Err(fitted.malformed("has calibrated classifiers of different columns, or none"));
    }
    steps.add_classifier(fitted, Box::new(Calibrated { classes, members }))
}

fn member(fitted: &Fitted<'_>, classes: usize) -> Result<Member, Refusal> {
    if fitted.text("method").is_some_and(|it| !matches!(it, "sigmoid" | "isotonic")) {
        return Err(fitted.unsupported("with that method", "use sigmoid or isotonic"));
    }
    let name = if fitted.optional("estimator").is_some() { "estimator" } else { "base_estimator" };
    let steps = fitted.model(fitted.need(name)?, "the estimator")?;
    let Some(classifier) = steps.classifier() else {
        return Err(fitted.malformed("holds an estimator that is no classifier"));
    };
    if classifier.may_have_scores() {
        return Err(fitted.unsupported(
            "whose estimator has a `decision_function` in some of its versions only",
            "calibrate an estimator of scikit-learn, or convert the model to ONNX",
        ));
    }
    let columns = if classes == 2 { 1 } else { classes };
    let by_scores = match classifier.scores() {
        Some(Scores::One) if classes == 2 => true,
        Some(Scores::Many(count)) if count == columns => true,
        Some(_) => {
            return Err(fitted.unsupported(
                "whose estimator scores pairs of classes",
                "use decision_function_shape `ovr`",
            ));
        }
        None if classifier.has_probabilities() => false,
        None => return Err(fitted.unsupported("whose estimator has no scores", "use one that does")),
    };
    if classifier.classes().len() != classes {
        return Err(fitted
            .unsupported("whose estimator does not know every class", "calibrate on data with every class"));
    }
    let name = if fitted.optional("calibrators").is_some() { "calibrators" } else { "calibrators_" };
    let list = fitted.need(name)?;
    let list = list.items().ok_or_else(|| fitted.malformed(format!("has `{name}` that are no list")))?;
    let calibrators: Vec<Curve> = list
        .enumerate()
        .map(|(at, view)| curve(&fitted.part_of(view, &format!("calibrator {}", at + 1))))
        .collect::<Result<_, _>>()?;
    if calibrators.len() != columns {
        return Err(fitted.malformed(format!("has {} calibrators for {classes} classes", calibrators.len())));
    }
    Ok(Member { steps, by_scores, calibrators })
}

fn curve(fitted: &Fitted<'_>) -> Result<Curve, Refusal> {
    if fitted.class.ends_with("_SigmoidCalibration") {
        return Ok(Curve::Sigmoid { slope: fitted.number("a_")?, offset: fitted.number("b_")? });
    }
    if !fitted.class.ends_with(".IsotonicRegression") {
        return Err(fitted.unsupported("as a calibrator", "use sigmoid or isotonic"));
    }
    if fitted.text("out_of_bounds") != Some("clip") {
        return Err(fitted.unsupported("that does not clip", "use the calibrator that scikit-learn makes"));
    }
    if fitted.optional("X_thresholds_").is_none() {
        return Err(fitted.unsupported("of before scikit-learn 0.24", "save it with a later release"));
    }
    let (xs, ys) = (fitted.floats("X_thresholds_")?, fitted.floats("y_thresholds_")?);
    if xs.len() != ys.len() || xs.is_empty() || !xs.is_sorted() {
        return Err(fitted.malformed(format!("has {} thresholds and {} values", xs.len(), ys.len())));
    }
    Ok(Curve::Steps { xs, ys })
}

/// From a score to a probability.
enum Curve {
    /// Platt (1999).
    Sigmoid { slope: f64, offset: f64 },
    /// Straight lines between points, and flat beyond them.
    Steps { xs: Vec<f64>, ys: Vec<f64> },
}

impl Curve {
    fn at(&self, score: f64) -> f64 {
        match self {
            Self::Sigmoid { slope, offset } => 1.0 / (1.0 + (slope * score + offset).exp()),
            Self::Steps { xs, ys } => {
                let score = score.clamp(xs[0], xs[xs.len() - 1]);
                let above = xs.partition_point(|&x| x < score).clamp(1, xs.len().max(2) - 1);
                if xs.len() == 1 {
                    return ys[0];
                }
                let slope = (ys[above] - ys[above - 1]) / (xs[above] - xs[above - 1]);
                slope * (score - xs[above - 1]) + ys[above - 1]
            }
        }
    }
}

struct Member {
    steps: Steps,
    by_scores: bool,
    /// One for two classes, else one a class.
    calibrators: Vec<Curve>,
}

impl Member {
    /// Adds its probabilities of each row to the sums.
    fn add(&self, batch: &Batch<'_>, classes: usize, sums: &mut [f64]) -> Result<(), Error> {
        let wanted = Wanted { classes: false, probabilities: !self.by_scores, scores: self.by_scores };
        let answer = self.steps.classify(batch.lend(), wanted)?;
        let columns = self.calibrators.len();
        let mut row = vec![0.0; classes];
        for (at, sums) in sums.chunks_exact_mut(classes).enumerate() {
            let given = |column: usize| match (self.by_scores, columns) {
                (true, _) => answer.scores[at * columns + column],
                (false, 1) => answer.probabilities[at * 2 + 1],
                (false, _) => answer.probabilities[at * columns + column],
            };
            if columns == 1 {
                row[1] = self.calibrators[0].at(given(0));
                row[0] = 1.0 - row[1];
            } else {
                for (column, curve) in self.calibrators.iter().enumerate() {
                    row[column] = curve.at(given(column));
                }
                super::weights::normalise(&mut row);
            }
            for (sum, value) in sums.iter_mut().zip(&row) {
                // As scikit-learn: what is above one by rounding alone is one.
                *sum += if *value > 1.0 && *value <= 1.0 + 1e-5 { 1.0 } else { *value };
            }
        }
        Ok(())
    }
}

struct Calibrated {
    classes: Labels,
    members: Vec<Member>,
}

impl Classifier for Calibrated {
    fn features(&self) -> usize {
        self.members[0].steps.features().unwrap_or(0)
    }

    fn takes(&self) -> Takes {
        self.members[0].steps.takes()
    }

    fn classes(&self) -> &Labels {
        &self.classes
    }

    fn has_probabilities(&self) -> bool {
        true
    }

    fn classify(&self, batch: &Batch<'_>, wanted: Wanted) -> Result<Answer, Error> {
        let classes = self.classes.len();
        let mut sums = vec![0.0; batch.rows() * classes];
        for member in &self.members {
            member.add(batch, classes, &mut sums)?;
        }
        let count = self.members.len() as f64;
        sums.iter_mut().for_each(|it| *it /= count);
        let mut answer = Answer::default();
        if wanted.classes {
            answer.classes = likeliest(&sums, classes);
        }
        if wanted.probabilities {
            answer.probabilities = sums;
        }
        Ok(answer)
    }

    fn row_ns(&self) -> f64 {
        self.members.iter().map(|it| it.steps.row_ns() + 15.0 * it.calibrators.len() as f64).sum()
    }
}
