//! What a model does to a row: any transformers, then perhaps something that answers. A pipeline, flattened.

use std::cell::Cell;

use weir_proto::Error;

use super::super::refusal::Refusal;
use super::super::view::View;
use super::fitted::Fitted;
use super::{Answer, Batch, Classifier, Predictor, Regressor, Takes, Transformer, Wanted};
use super::{registry, scalers};

/// How deep models may stand in models, and how many there may be in all: a hostile file may hold a model that holds itself.
const MAX_DEPTH: usize = 24;
const MAX_MODELS: usize = 1 << 14;

/// What is counted while a file is read.
#[derive(Debug, Default)]
pub(super) struct Count {
    models: Cell<usize>,
    depth: Cell<usize>,
}

/// A model, or a part of one.
#[derive(Default)]
pub(crate) struct Steps {
    transformers: Vec<Box<dyn Transformer>>,
    last: Option<Last>,
    /// Transformers that take any number of columns, until a step behind them tells how many.
    open: Vec<Open>,
    /// The names of the columns the first step was fitted on, when it was fitted on a data frame.
    pub(crate) columns: Vec<String>,
}

/// Makes a transformer for that many columns.
pub(super) type Open = Box<dyn FnOnce(usize) -> Box<dyn Transformer> + Send + Sync>;

/// What answers at the end.
pub(crate) enum Last {
    Classifier(Box<dyn Classifier>),
    Regressor(Box<dyn Regressor>),
    /// What is neither: a clusterer, an outlier detector, several targets at once.
    Predictor(Box<dyn Predictor>),
}

impl Last {
    fn features(&self) -> usize {
        match self {
            Self::Classifier(it) => it.features(),
            Self::Regressor(it) => it.features(),
            Self::Predictor(it) => it.features(),
        }
    }

    fn row_ns(&self) -> f64 {
        match self {
            Self::Classifier(it) => it.row_ns(),
            Self::Regressor(it) => it.row_ns(),
            Self::Predictor(it) => it.row_ns(),
        }
    }

    fn takes(&self) -> Takes {
        match self {
            Self::Classifier(it) => it.takes(),
            Self::Regressor(it) => it.takes(),
            Self::Predictor(it) => it.takes(),
        }
    }
}

/// Reads a whole model.
///
/// # Errors
/// `Unsupported` naming a class that is not evaluated here, and where it stands; `Malformed` for an estimator that was not
/// fitted or whose parts do not fit each other.
pub(crate) fn read(root: View<'_>) -> Result<Steps, Refusal> {
    let count = Count::default();
    let steps = model(root, String::new(), &count)?;
    if !steps.open.is_empty() {
        return Err(Refusal::unsupported(
            "a transformer that does not tell how many columns it takes",
            "save it with scikit-learn 0.24 or later, behind or before a step that does",
        ));
    }
    if steps.features().is_none() {
        return Err(Refusal::unsupported(
            "a sklearn.pipeline.Pipeline without a fitted step",
            "serve a model that has one",
        ));
    }
    Ok(steps)
}

/// Reads the model that stands at `place`, a text such as `step 2 (clf) of sklearn.pipeline.Pipeline`.
pub(super) fn model(view: View<'_>, place: String, count: &Count) -> Result<Steps, Refusal> {
    let mut steps = Steps::default();
    add(view, place, count, &mut steps)?;
    Ok(steps)
}

/// Reads the estimator that stands at `place` as the next steps.
pub(super) fn add(view: View<'_>, place: String, count: &Count, steps: &mut Steps) -> Result<(), Refusal> {
    let class = view.class().unwrap_or_else(|| view.kind());
    let known = view.object().and_then(|_| registry::find(&class));
    let Some(known) = known else {
        let what = if place.is_empty() { class } else { format!("{class} ({place})") };
        let advice =
            "this build does not evaluate it (docs/sklearn.md lists what it does); convert the model to ONNX";
        return Err(Refusal::unsupported(what, advice));
    };
    count.models.set(count.models.get() + 1);
    count.depth.set(count.depth.get() + 1);
    if count.models.get() > MAX_MODELS || count.depth.get() > MAX_DEPTH {
        let what = format!("{class} among more than {MAX_MODELS} models, or more than {MAX_DEPTH} deep,");
        return Err(Refusal::unsupported(what, "combine some of them"));
    }
    (known.read)(&Fitted::new(view, class, place, count), steps)?;
    count.depth.set(count.depth.get() - 1);
    Ok(())
}

impl Steps {
    /// Tells transformers that take any number of columns how many they get.
    pub(super) fn close(&mut self, features: usize) {
        if self.transformers.is_empty() && self.last.is_none() {
            self.transformers.extend(std::mem::take(&mut self.open).into_iter().map(|open| open(features)));
        }
    }

    /// Returns how many columns a row has, or `None` while there is no step.
    pub(crate) fn features(&self) -> Option<usize> {
        let first = self.transformers.first().map(|it| it.features());
        first.or_else(|| self.last.as_ref().map(Last::features))
    }

    /// Returns what the columns of a row may hold.
    pub(crate) fn takes(&self) -> Takes {
        match (self.transformers.first(), &self.last) {
            (Some(first), _) => first.takes(),
            (None, Some(last)) => last.takes(),
            (None, None) => Takes::Numbers,
        }
    }

    /// Returns how many columns the next step gets, or what the transformers give in the end.
    pub(crate) fn width(&self) -> Option<usize> {
        self.transformers.last().map(|it| it.width())
    }

    pub(crate) fn last(&self) -> Option<&Last> {
        self.last.as_ref()
    }

    pub(crate) fn classifier(&self) -> Option<&dyn Classifier> {
        match &self.last {
            Some(Last::Classifier(it)) => Some(&**it),
            Some(Last::Regressor(_) | Last::Predictor(_)) | None => None,
        }
    }

    pub(crate) fn regressor(&self) -> Option<&dyn Regressor> {
        match &self.last {
            Some(Last::Regressor(it)) => Some(&**it),
            Some(Last::Classifier(_) | Last::Predictor(_)) | None => None,
        }
    }

    /// About how many nanoseconds a row takes.
    pub(crate) fn row_ns(&self) -> f64 {
        let transformers: f64 = self.transformers.iter().map(|it| it.row_ns()).sum();
        transformers + self.last.as_ref().map_or(0.0, Last::row_ns)
    }

    /// Runs the transformers.
    ///
    /// # Errors
    /// `InvalidInput` for values scikit-learn refuses.
    pub(crate) fn transform<'b>(&self, batch: Batch<'b>) -> Result<Batch<'b>, Error> {
        self.transformers.iter().try_fold(batch, |batch, it| it.transform(batch))
    }

    /// Classifies whole rows, at least one, where the last step is a classifier.
    ///
    /// # Errors
    /// `InvalidInput` for values scikit-learn refuses.
    pub(super) fn classify(&self, batch: Batch<'_>, wanted: Wanted) -> Result<Answer, Error> {
        let classifier = self.classifier().ok_or_else(|| not_a("classifier"))?;
        classifier.classify(&self.transform(batch)?, wanted)
    }

    /// Predicts numbers for whole rows, at least one, where the last step is a regressor.
    ///
    /// # Errors
    /// `InvalidInput` for values scikit-learn refuses.
    pub(super) fn regress(&self, batch: Batch<'_>) -> Result<Vec<f64>, Error> {
        let regressor = self.regressor().ok_or_else(|| not_a("regressor"))?;
        regressor.regress(&self.transform(batch)?)
    }

    pub(super) fn add_transformer(
        &mut self,
        fitted: &Fitted<'_>,
        transformer: Box<dyn Transformer>,
    ) -> Result<(), Refusal> {
        self.check(fitted, transformer.features())?;
        self.transformers.push(transformer);
        Ok(())
    }

    /// Adds a transformer that takes any number of columns and gives as many.
    pub(super) fn add_open(&mut self, fitted: &Fitted<'_>, transformer: Open) -> Result<(), Refusal> {
        let known = match self.width() {
            Some(width) => Some(width),
            None if fitted.optional("n_features_in_").is_some() => Some(scalers::seen_features(fitted)?),
            None => None,
        };
        match known {
            Some(width) => self.add_transformer(fitted, transformer(width)),
            None => {
                self.open.push(transformer);
                Ok(())
            }
        }
    }

    pub(super) fn add_classifier(
        &mut self,
        fitted: &Fitted<'_>,
        classifier: Box<dyn Classifier>,
    ) -> Result<(), Refusal> {
        self.end(fitted, Last::Classifier(classifier))
    }

    pub(super) fn add_regressor(
        &mut self,
        fitted: &Fitted<'_>,
        regressor: Box<dyn Regressor>,
    ) -> Result<(), Refusal> {
        self.end(fitted, Last::Regressor(regressor))
    }

    pub(super) fn add_predictor(
        &mut self,
        fitted: &Fitted<'_>,
        predictor: Box<dyn Predictor>,
    ) -> Result<(), Refusal> {
        self.end(fitted, Last::Predictor(predictor))
    }

    fn end(&mut self, fitted: &Fitted<'_>, last: Last) -> Result<(), Refusal> {
        self.check(fitted, last.features())?;
        self.last = Some(last);
        Ok(())
    }

    fn check(&mut self, fitted: &Fitted<'_>, features: usize) -> Result<(), Refusal> {
        if self.last.is_some() {
            return Err(fitted.malformed("stands behind a model that answers, which must be the last step"));
        }
        if features == 0 {
            return Err(fitted.malformed("was fitted on no features"));
        }
        match self.width() {
            Some(width) if width != features => {
                Err(fitted.malformed(format!("takes {features} features, the step before gives {width}")))
            }
            Some(_) => Ok(()),
            None => {
                self.columns = fitted.columns(features)?;
                for open in std::mem::take(&mut self.open) {
                    self.transformers.push(open(features));
                }
                Ok(())
            }
        }
    }
}

/// Whoever composes models checks what they are when it reads them.
fn not_a(what: &str) -> Error {
    Error::new(weir_proto::Code::Inference, format!("a part of the model is no {what}"))
}
