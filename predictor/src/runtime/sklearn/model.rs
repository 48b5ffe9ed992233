//! A loaded estimator as a model: its signature, and the outputs that were asked for in one pass.

use std::borrow::Cow;
use std::time::Duration;

use bytes::Bytes;
use weir_proto::{Data, DataType, Error, Signature, Tensor, TensorSpec};
use weir_sdk::Model;

use super::estimator::{
    Answer, Batch, Cell, Classifier, Column, Last, Method, Offer, Scores, Steps, Takes, Wanted,
};

/// The name of the one input, where there are no columns.
const INPUT: &str = "input-0";

/// A scikit-learn model.
pub(super) struct Estimator {
    signature: Signature,
    /// What each output of the signature is.
    offers: Vec<Offer>,
    steps: Steps,
}

impl Estimator {
    /// Describes the model. `format` is `joblib` or `pickle`; `probabilities_first` makes them the answer to those who ask
    /// for nothing by name, where there are any.
    pub(super) fn new(mut steps: Steps, format: &str, probabilities_first: bool) -> Self {
        let offers = offers(&steps, probabilities_first);
        let columns = std::mem::take(&mut steps.columns);
        let mut signature = Signature {
            platform: format!("sklearn_{format}"),
            outputs: offers.iter().map(spec).collect(),
            default_outputs: 1,
            ..Signature::default()
        };
        let features = steps.features().unwrap_or(0);
        match steps.takes() {
            Takes::Numbers => {
                signature.inputs = vec![TensorSpec::new(INPUT, DataType::Fp64, [-1, size(features)])];
                signature.columns = columns;
            }
            Takes::Text => signature.inputs = vec![TensorSpec::new(INPUT, DataType::Bytes, [-1])],
            Takes::Table(cells) => {
                // Where scikit-learn noted no names, these are the ones it makes up itself.
                let name = |at: usize| columns.get(at).cloned().unwrap_or_else(|| format!("x{at}"));
                let column = |(at, cell): (usize, &Cell)| {
                    let datatype = match cell {
                        Cell::Number => DataType::Fp64,
                        Cell::Text | Cell::Ignored => DataType::Bytes,
                    };
                    TensorSpec::new(name(at), datatype, [-1])
                };
                signature.inputs = cells.iter().enumerate().map(column).collect();
                let ignored = cells.iter().enumerate().filter(|(_, cell)| **cell == Cell::Ignored);
                signature.ignored = ignored.map(|(at, _)| at).collect();
                signature.table = true;
            }
        }
        Self { signature, offers, steps }
    }

    fn answer(&self, batch: Batch<'_>, wanted: &[Method]) -> Result<Vec<Data>, Error> {
        let rows = batch.rows();
        let batch = self.steps.transform(batch)?;
        match self.steps.last() {
            None => Ok(vec![Data::Fp64(batch.into_numbers()?.into())]),
            Some(Last::Regressor(regressor)) => Ok(vec![Data::Fp64(regressor.regress(&batch)?.into())]),
            Some(Last::Predictor(predictor)) => predictor.predict(&batch, wanted),
            Some(Last::Classifier(classifier)) => {
                let wants = |method| wanted.contains(&method);
                let parts = Wanted {
                    classes: wants(Method::Predict),
                    probabilities: wants(Method::PredictProba),
                    scores: wants(Method::DecisionFunction),
                };
                let mut answer = classifier.classify(&batch, parts)?;
                debug_assert!(!parts.classes || answer.classes.len() == rows);
                Ok(wanted.iter().map(|&method| part(&mut answer, &**classifier, method)).collect())
            }
        }
    }
}

fn part(answer: &mut Answer, classifier: &dyn Classifier, method: Method) -> Data {
    match method {
        Method::Predict => classifier.classes().take(&answer.classes),
        Method::PredictProba => Data::Fp64(std::mem::take(&mut answer.probabilities).into()),
        Method::DecisionFunction | Method::ScoreSamples | Method::Transform => {
            Data::Fp64(std::mem::take(&mut answer.scores).into())
        }
    }
}

fn offers(steps: &Steps, probabilities_first: bool) -> Vec<Offer> {
    let offer = |method, datatype, width| Offer { method, datatype, width, labels: Vec::new() };
    match steps.last() {
        None => vec![offer(Method::Transform, DataType::Fp64, steps.width())],
        Some(Last::Regressor(it)) => vec![offer(Method::Predict, DataType::Fp64, it.targets())],
        Some(Last::Predictor(it)) => it.offers(),
        Some(Last::Classifier(it)) => {
            let mut offers = vec![offer(Method::Predict, it.classes().datatype(), None)];
            if it.has_probabilities() {
                let labels = it.classes().texts();
                let width = Some(labels.len());
                let probabilities =
                    Offer { method: Method::PredictProba, datatype: DataType::Fp64, width, labels };
                offers.insert(usize::from(!probabilities_first), probabilities);
            }
            match it.scores() {
                Some(Scores::Many(width)) => {
                    offers.push(offer(Method::DecisionFunction, DataType::Fp64, Some(width)))
                }
                Some(Scores::One) => offers.push(offer(Method::DecisionFunction, DataType::Fp64, None)),
                None => {}
            }
            offers
        }
    }
}

fn spec(offer: &Offer) -> TensorSpec {
    let shape: Vec<i64> = std::iter::once(-1).chain(offer.width.map(size)).collect();
    TensorSpec::new(offer.method.name(), offer.datatype, shape).with_labels(offer.labels.clone())
}

fn size(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// The rows of a request, lent by its tensors, which fit the signature.
fn batch<'t>(inputs: &'t [Tensor], takes: &Takes) -> Result<Batch<'t>, Error> {
    let columns: Vec<Column<'t>> = match (takes, inputs) {
        (Takes::Numbers, [Tensor { data: Data::Fp64(matrix), shape, .. }]) => {
            let rows = shape.first().copied().unwrap_or(0);
            return Ok(Batch::lent(matrix, rows, shape.get(1).copied().unwrap_or(0)));
        }
        (Takes::Text | Takes::Table(_), columns) => columns.iter().map(column).collect::<Result<_, _>>()?,
        (Takes::Numbers, _) => {
            let message = format!("the model takes one FP64 input, `{INPUT}`, got {}", inputs.len());
            return Err(Error::invalid(message));
        }
    };
    for text in columns.iter().filter_map(|it| if let Column::Texts(it) = it { Some(it) } else { None }) {
        if let Some(at) = text.iter().position(|it| std::str::from_utf8(it).is_err()) {
            return Err(Error::invalid(format!(
                "row {at} holds bytes that are not UTF-8, the model takes text"
            )));
        }
    }
    Ok(Batch::Table(columns))
}

fn column(tensor: &Tensor) -> Result<Column<'_>, Error> {
    match &tensor.data {
        Data::Fp64(numbers) => Ok(Column::Numbers(Cow::Borrowed(numbers))),
        Data::Bytes(texts) => Ok(Column::Texts(Cow::<[Bytes]>::Borrowed(texts))),
        other => Err(Error::invalid(format!(
            "column `{}` has datatype {}, the model takes FP64 or BYTES",
            tensor.name,
            other.datatype()
        ))),
    }
}

impl Model for Estimator {
    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn predict(&self, inputs: &[Tensor], wanted: &[usize]) -> Result<Vec<Tensor>, Error> {
        let batch = batch(inputs, &self.steps.takes())?;
        let rows = batch.rows();
        let mut offers = Vec::with_capacity(wanted.len());
        for &at in wanted {
            offers.push(self.offers.get(at).ok_or_else(|| {
                Error::invalid(format!("there is no output {at}; the model has {}", self.offers.len()))
            })?);
        }
        let mut methods: Vec<Method> = Vec::with_capacity(offers.len());
        for offer in &offers {
            // Asked for twice, it is worked out once.
            if !methods.contains(&offer.method) {
                methods.push(offer.method);
            }
        }
        let data = self.answer(batch, &methods)?;
        let mut made: Vec<Tensor> = methods
            .iter()
            .zip(data)
            .filter_map(|(method, data)| {
                let offer = offers.iter().find(|it| it.method == *method)?;
                let shape: Vec<usize> = std::iter::once(rows).chain(offer.width).collect();
                Some(Tensor::new(method.name(), shape, data))
            })
            .collect();
        if made.len() == offers.len() {
            return Ok(made);
        }
        // Rare: one output under two places.
        let again = |offer: &&Offer| made.iter().find(|it| it.name == offer.method.name()).cloned();
        let tensors: Option<Vec<Tensor>> = offers.iter().map(again).collect();
        made.clear();
        tensors.ok_or_else(|| {
            Error::new(weir_proto::Code::Inference, "the model left out an output that was asked for")
        })
    }

    fn cost(&self, rows: usize) -> Duration {
        // What a call takes beside its rows: a few small allocations.
        const CALL_NS: f64 = 300.0;
        Duration::from_nanos((CALL_NS + rows as f64 * self.steps.row_ns()) as u64)
    }
}
