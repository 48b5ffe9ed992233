//! Linear regressors and classifiers: scores as they are, through a link, or as classes.

use weir_proto::Error;

use super::super::refusal::Refusal;
use super::fitted::Fitted;
use super::registry::{Class, Family};
use super::weights::{Weights, logistic, normalise};
use super::{Answer, Batch, Classifier, Labels, Regressor, Scores, Steps, Wanted, argmax};

macro_rules! class {
    ($name:literal, $module:literal, $old:literal, $read:expr) => {
        Class {
            name: $name,
            modules: &[concat!("sklearn.", $module), concat!("sklearn.", $old)],
            read: $read,
        }
    };
}

pub(crate) static FAMILY: Family = Family {
    title: "Linear models",
    classes: &[
        class!("LinearRegression", "linear_model._base", "linear_model.base", regressor),
        class!("Ridge", "linear_model._ridge", "linear_model.ridge", regressor),
        class!("RidgeCV", "linear_model._ridge", "linear_model.ridge", regressor),
        class!("Lasso", "linear_model._coordinate_descent", "linear_model.coordinate_descent", regressor),
        class!("LassoCV", "linear_model._coordinate_descent", "linear_model.coordinate_descent", regressor),
        class!(
            "ElasticNet",
            "linear_model._coordinate_descent",
            "linear_model.coordinate_descent",
            regressor
        ),
        class!(
            "ElasticNetCV",
            "linear_model._coordinate_descent",
            "linear_model.coordinate_descent",
            regressor
        ),
        class!(
            "MultiTaskLasso",
            "linear_model._coordinate_descent",
            "linear_model.coordinate_descent",
            regressor
        ),
        class!(
            "MultiTaskElasticNet",
            "linear_model._coordinate_descent",
            "linear_model.coordinate_descent",
            regressor
        ),
        class!("Lars", "linear_model._least_angle", "linear_model.least_angle", regressor),
        class!("LassoLars", "linear_model._least_angle", "linear_model.least_angle", regressor),
        class!("OrthogonalMatchingPursuit", "linear_model._omp", "linear_model.omp", regressor),
        class!("BayesianRidge", "linear_model._bayes", "linear_model.bayes", regressor),
        class!("ARDRegression", "linear_model._bayes", "linear_model.bayes", regressor),
        class!("HuberRegressor", "linear_model._huber", "linear_model.huber", regressor),
        class!("TheilSenRegressor", "linear_model._theil_sen", "linear_model.theil_sen", regressor),
        class!("QuantileRegressor", "linear_model._quantile", "linear_model._quantile", regressor),
        class!(
            "SGDRegressor",
            "linear_model._stochastic_gradient",
            "linear_model.stochastic_gradient",
            regressor
        ),
        class!(
            "PassiveAggressiveRegressor",
            "linear_model._passive_aggressive",
            "linear_model.passive_aggressive",
            regressor
        ),
        class!("LinearSVR", "svm._classes", "svm.classes", regressor),
        class!("PoissonRegressor", "linear_model._glm.glm", "linear_model._glm", exponential),
        class!("GammaRegressor", "linear_model._glm.glm", "linear_model._glm", exponential),
        class!("TweedieRegressor", "linear_model._glm.glm", "linear_model._glm", tweedie),
        class!("RidgeClassifier", "linear_model._ridge", "linear_model.ridge", ridge_classifier),
        class!("RidgeClassifierCV", "linear_model._ridge", "linear_model.ridge", ridge_classifier),
        class!("SGDClassifier", "linear_model._stochastic_gradient", "linear_model.stochastic_gradient", sgd),
        class!("Perceptron", "linear_model._perceptron", "linear_model.perceptron", classifier),
        class!(
            "PassiveAggressiveClassifier",
            "linear_model._passive_aggressive",
            "linear_model.passive_aggressive",
            classifier
        ),
        class!("LinearSVC", "svm._classes", "svm.classes", classifier),
    ],
};

fn regressor(fitted: &Fitted<'_>, steps: &mut Steps) -> Result<(), Refusal> {
    let weights = Weights::read(fitted)?;
    steps.add_regressor(fitted, Box::new(Linear { weights, link: Link::Identity }))
}

fn exponential(fitted: &Fitted<'_>, steps: &mut Steps) -> Result<(), Refusal> {
    let weights = Weights::read(fitted)?;
    steps.add_regressor(fitted, Box::new(Linear { weights, link: Link::Exponential }))
}

/// `link="auto"` is the identity for powers up to 0 and the logarithm above.
fn tweedie(fitted: &Fitted<'_>, steps: &mut Steps) -> Result<(), Refusal> {
    let link = match fitted.text("link").unwrap_or("auto") {
        "identity" => Link::Identity,
        "log" => Link::Exponential,
        "auto" if fitted.number("power")? <= 0.0 => Link::Identity,
        "auto" => Link::Exponential,
        other => {
            return Err(fitted.unsupported(format!("with link=`{other}`"), "use a link of scikit-learn's"));
        }
    };
    let weights = Weights::read(fitted)?;
    steps.add_regressor(fitted, Box::new(Linear { weights, link }))
}

/// From a score to the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Link {
    Identity,
    Exponential,
}

struct Linear {
    weights: Weights,
    link: Link,
}

impl Regressor for Linear {
    fn features(&self) -> usize {
        self.weights.features
    }

    fn targets(&self) -> Option<usize> {
        (!self.weights.flat).then(|| self.weights.scores())
    }

    fn regress(&self, batch: &Batch<'_>) -> Result<Vec<f64>, Error> {
        let mut scores = self.weights.apply(batch)?;
        if self.link == Link::Exponential {
            scores.iter_mut().for_each(|score| *score = score.exp());
        }
        Ok(scores)
    }

    fn row_ns(&self) -> f64 {
        self.weights.row_ns()
    }
}

fn classifier(fitted: &Fitted<'_>, steps: &mut Steps) -> Result<(), Refusal> {
    separator(fitted, Labels::read(fitted)?, None, steps)
}

/// Its classes are in the binarizer that made targets of them.
fn ridge_classifier(fitted: &Fitted<'_>, steps: &mut Steps) -> Result<(), Refusal> {
    let binarizer = fitted.part("_label_binarizer")?;
    if let Some(kind) = binarizer.text("y_type_").filter(|it| it.starts_with("multilabel")) {
        return Err(fitted
            .unsupported(format!("fitted on targets that are {kind}"), "save one model for each output"));
    }
    separator(fitted, Labels::read(&binarizer)?, None, steps)
}

/// Two of its losses give probabilities.
fn sgd(fitted: &Fitted<'_>, steps: &mut Steps) -> Result<(), Refusal> {
    let probabilities = match fitted.text("loss").unwrap_or("hinge") {
        "log" | "log_loss" => Some(Probabilities::Logistic),
        "modified_huber" => Some(Probabilities::ModifiedHuber),
        _ => None,
    };
    separator(fitted, Labels::read(fitted)?, probabilities, steps)
}

fn separator(
    fitted: &Fitted<'_>,
    classes: Labels,
    probabilities: Option<Probabilities>,
    steps: &mut Steps,
) -> Result<(), Refusal> {
    let weights = Weights::read(fitted)?;
    let expected = if classes.len() == 2 { 1 } else { classes.len() };
    if classes.len() < 2 || weights.scores() != expected {
        let scores = weights.scores();
        return Err(fitted.malformed(format!("has {} classes and {scores} rows of weights", classes.len())));
    }
    steps.add_classifier(fitted, Box::new(Separator { classes, weights, probabilities }))
}

/// How scores become probabilities.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Probabilities {
    Logistic,
    /// Zadrozny and Elkan (2002), as scikit-learn takes it for this loss.
    ModifiedHuber,
}

struct Separator {
    classes: Labels,
    /// One row of weights for two classes, else one a class.
    weights: Weights,
    probabilities: Option<Probabilities>,
}

impl Separator {
    fn fill(&self, how: Probabilities, scores: &[f64], probabilities: &mut [f64]) {
        let of = |score: f64| match how {
            Probabilities::Logistic => logistic(score),
            Probabilities::ModifiedHuber => (score.clamp(-1.0, 1.0) + 1.0) / 2.0,
        };
        if let [score] = scores {
            let second = of(*score);
            probabilities.copy_from_slice(&[1.0 - second, second]);
            return;
        }
        probabilities.iter_mut().zip(scores).for_each(|(probability, &score)| *probability = of(score));
        normalise(probabilities);
    }
}

impl Classifier for Separator {
    fn features(&self) -> usize {
        self.weights.features
    }

    fn classes(&self) -> &Labels {
        &self.classes
    }

    fn has_probabilities(&self) -> bool {
        self.probabilities.is_some()
    }

    fn scores(&self) -> Option<Scores> {
        Some(Scores::of_classes(self.classes.len()))
    }

    fn classify(&self, batch: &Batch<'_>, wanted: Wanted) -> Result<Answer, Error> {
        let all = self.weights.apply(batch)?;
        let width = self.weights.scores();
        let mut answer = Answer::default();
        if wanted.classes {
            answer.classes = all.chunks_exact(width).map(class).collect();
        }
        if let (true, Some(how)) = (wanted.probabilities, self.probabilities) {
            answer.probabilities = vec![0.0; batch.rows() * self.classes.len()];
            let rows = answer.probabilities.chunks_exact_mut(self.classes.len());
            all.chunks_exact(width).zip(rows).for_each(|(scores, row)| self.fill(how, scores, row));
        }
        if wanted.scores {
            answer.scores = all;
        }
        Ok(answer)
    }

    fn row_ns(&self) -> f64 {
        let link = if self.probabilities.is_some() { 10.0 } else { 1.0 };
        self.weights.row_ns() + link * self.classes.len() as f64
    }
}

/// Returns the class that scores tell: the second of two where the one score is positive, else the first of the greatest.
pub(super) fn class(scores: &[f64]) -> u32 {
    match scores {
        [score] => u32::from(*score > 0.0),
        many => argmax(many) as u32,
    }
}
