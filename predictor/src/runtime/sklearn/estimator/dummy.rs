//! `DummyClassifier` and `DummyRegressor`: the same answer for every row.

use weir_proto::Error;

use super::super::refusal::Refusal;
use super::fitted::Fitted;
use super::registry::{Class, Family};
use super::scalers::seen_features;
use super::{Answer, Batch, Classifier, Labels, Regressor, Steps, Takes, Wanted, argmax};

pub(crate) static FAMILY: Family = Family {
    title: "Baselines",
    classes: &[
        Class { name: "DummyClassifier", modules: &["sklearn.dummy"], read: classifier },
        Class { name: "DummyRegressor", modules: &["sklearn.dummy"], read: regressor },
    ],
};

/// It looks at no column, and before it stands a step that tells how many there are, or it noted that itself.
fn features(fitted: &Fitted<'_>, steps: &Steps) -> Result<usize, Refusal> {
    steps.width().map_or_else(|| seen_features(fitted), Ok)
}

fn classifier(fitted: &Fitted<'_>, steps: &mut Steps) -> Result<(), Refusal> {
    let features = features(fitted, steps)?;
    let classes = Labels::read(fitted)?;
    let probabilities = probabilities(fitted, &classes)?;
    steps.add_classifier(fitted, Box::new(Same { features, classes, probabilities }))
}

/// Returns the probability of each class.
pub(super) fn probabilities(fitted: &Fitted<'_>, classes: &Labels) -> Result<Vec<f64>, Refusal> {
    let prior = fitted.floats("class_prior_")?;
    if prior.len() != classes.len() {
        return Err(fitted.malformed(format!("has {} priors for {} classes", prior.len(), classes.len())));
    }
    let certain = |at: usize| {
        let mut row = vec![0.0; prior.len()];
        row[at] = 1.0;
        row
    };
    match fitted.text("_strategy").or_else(|| fitted.text("strategy")) {
        Some("prior") => Ok(prior),
        Some("most_frequent") => Ok(certain(argmax(&prior))),
        Some("constant") => {
            let constant = Labels::of(fitted.need("constant")?)
                .ok_or_else(|| fitted.malformed("has a `constant` that is no class"))?;
            match classes.places(&constant).as_deref() {
                Some([at]) => Ok(certain(*at as usize)),
                _ => Err(fitted.malformed("has a `constant` that is no class")),
            }
        }
        Some(random @ ("stratified" | "uniform")) => {
            Err(fitted.unsupported(format!("with strategy `{random}`, which draws its answers"), "use prior"))
        }
        _ => Err(fitted.unsupported("with that strategy", "use prior, most_frequent or constant")),
    }
}

fn regressor(fitted: &Fitted<'_>, steps: &mut Steps) -> Result<(), Refusal> {
    let features = features(fitted, steps)?;
    let values = constants(fitted)?;
    steps.add_regressor(fitted, Box::new(Constant { features, values }))
}

/// Returns the number of each target.
pub(super) fn constants(fitted: &Fitted<'_>) -> Result<Vec<f64>, Refusal> {
    let constant = fitted.need("constant_")?;
    let values = match constant.number() {
        Some(one) => vec![one],
        None => fitted.floats("constant_")?,
    };
    if values.is_empty() { Err(fitted.malformed("has no constant")) } else { Ok(values) }
}

struct Same {
    features: usize,
    classes: Labels,
    probabilities: Vec<f64>,
}

impl Classifier for Same {
    fn features(&self) -> usize {
        self.features
    }

    fn classes(&self) -> &Labels {
        &self.classes
    }

    fn has_probabilities(&self) -> bool {
        true
    }

    fn classify(&self, batch: &Batch<'_>, wanted: Wanted) -> Result<Answer, Error> {
        let mut answer = Answer::default();
        if wanted.classes {
            answer.classes = vec![argmax(&self.probabilities) as u32; batch.rows()];
        }
        if wanted.probabilities {
            answer.probabilities = self.probabilities.repeat(batch.rows());
        }
        Ok(answer)
    }

    fn row_ns(&self) -> f64 {
        self.classes.len() as f64
    }
}

struct Constant {
    features: usize,
    values: Vec<f64>,
}

impl Regressor for Constant {
    fn features(&self) -> usize {
        self.features
    }

    fn takes(&self) -> Takes {
        Takes::Numbers
    }

    fn targets(&self) -> Option<usize> {
        (self.values.len() > 1).then_some(self.values.len())
    }

    fn regress(&self, batch: &Batch<'_>) -> Result<Vec<f64>, Error> {
        Ok(self.values.repeat(batch.rows()))
    }

    fn row_ns(&self) -> f64 {
        self.values.len() as f64
    }
}
