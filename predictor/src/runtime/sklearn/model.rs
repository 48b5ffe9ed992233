//! A loaded estimator as a model: its signature, and the outputs that were asked for in one pass.

use std::borrow::Cow;
use std::time::Duration;

use weir_proto::{DataType, Error, Signature, Tensor, TensorSpec};
use weir_sdk::Model;

use super::estimator::{Answer, Classifier, Scores, Steps, Wanted};

/// The name of the one input.
const INPUT: &str = "input-0";

/// A scikit-learn model.
pub(super) struct Estimator {
    signature: Signature,
    /// What each output of the signature is.
    outputs: Vec<Output>,
    steps: Steps,
}

/// A method of scikit-learn's estimators whose answer is an output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Output {
    Predict,
    PredictProba,
    DecisionFunction,
    Transform,
}

impl Output {
    /// The name of the method, and so of the output.
    const fn name(self) -> &'static str {
        match self {
            Self::Predict => "predict",
            Self::PredictProba => "predict_proba",
            Self::DecisionFunction => "decision_function",
            Self::Transform => "transform",
        }
    }
}

impl Estimator {
    /// Describes the model. `format` is `joblib` or `pickle`; `probabilities_first` makes them the answer to those who ask
    /// for nothing by name, where there are any.
    pub(super) fn new(mut steps: Steps, format: &str, probabilities_first: bool) -> Self {
        let outputs = outputs(&steps, probabilities_first);
        let signature = Signature {
            platform: format!("sklearn_{format}"),
            inputs: vec![TensorSpec::new(INPUT, DataType::Fp64, [-1, size(steps.features().unwrap_or(0))])],
            outputs: outputs.iter().map(|&output| spec(output, &steps)).collect(),
            default_outputs: 1,
            columns: std::mem::take(&mut steps.columns),
        };
        Self { signature, outputs, steps }
    }

    fn answer(&self, matrix: &[f64], wanted: Wanted) -> Result<Results<'_>, Error> {
        let mut matrix = Cow::Borrowed(matrix);
        for transformer in self.steps.transformers() {
            matrix = Cow::Owned(transformer.transform(matrix.into_owned())?);
        }
        Ok(match self.steps.classifier() {
            Some(classifier) => Results::Classified(classifier, classifier.classify(&matrix, wanted)?),
            None => Results::Transformed(matrix.into_owned()),
        })
    }
}

fn outputs(steps: &Steps, probabilities_first: bool) -> Vec<Output> {
    let Some(classifier) = steps.classifier() else { return vec![Output::Transform] };
    let mut outputs = vec![Output::Predict];
    if classifier.has_probabilities() {
        outputs.insert(usize::from(!probabilities_first), Output::PredictProba);
    }
    if classifier.scores().is_some() {
        outputs.push(Output::DecisionFunction);
    }
    outputs
}

fn spec(output: Output, steps: &Steps) -> TensorSpec {
    let classifier = steps.classifier();
    let (datatype, width) = match output {
        Output::Predict => (classifier.map_or(DataType::Fp64, |it| it.classes().datatype()), None),
        Output::PredictProba => (DataType::Fp64, classifier.map(|it| it.classes().len())),
        Output::DecisionFunction => match classifier.and_then(Classifier::scores) {
            Some(Scores::Many(width)) => (DataType::Fp64, Some(width)),
            Some(Scores::One) | None => (DataType::Fp64, None),
        },
        Output::Transform => (DataType::Fp64, steps.transformers().last().map(|it| it.width())),
    };
    let shape: Vec<i64> = std::iter::once(-1).chain(width.map(size)).collect();
    let spec = TensorSpec::new(output.name(), datatype, shape);
    match (output, classifier) {
        (Output::PredictProba, Some(classifier)) => spec.with_labels(classifier.classes().texts()),
        _ => spec,
    }
}

fn size(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// What the last step said of every row.
enum Results<'e> {
    Classified(&'e dyn Classifier, Answer),
    Transformed(Vec<f64>),
}

impl Results<'_> {
    /// Takes an output out.
    fn take(&mut self, output: Output, rows: usize) -> Tensor {
        match self {
            Self::Transformed(matrix) => wide(output, rows, std::mem::take(matrix)),
            Self::Classified(classifier, answer) => match output {
                Output::Predict => {
                    Tensor::new(output.name(), vec![rows], classifier.classes().take(&answer.classes))
                }
                Output::DecisionFunction if classifier.scores() == Some(Scores::One) => {
                    Tensor::fp64(output.name(), vec![rows], std::mem::take(&mut answer.scores))
                }
                Output::DecisionFunction => wide(output, rows, std::mem::take(&mut answer.scores)),
                Output::PredictProba | Output::Transform => {
                    wide(output, rows, std::mem::take(&mut answer.probabilities))
                }
            },
        }
    }
}

fn wide(output: Output, rows: usize, values: Vec<f64>) -> Tensor {
    Tensor::fp64(output.name(), vec![rows, values.len() / rows.max(1)], values)
}

impl Model for Estimator {
    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn predict(&self, inputs: &[Tensor], wanted: &[usize]) -> Result<Vec<Tensor>, Error> {
        let [Tensor { data: weir_proto::Data::Fp64(matrix), shape, .. }] = inputs else {
            return Err(Error::invalid(format!(
                "the model takes one FP64 input, `{INPUT}`, got {}",
                inputs.len()
            )));
        };
        let wants = |output: Output| wanted.iter().any(|&at| self.outputs.get(at) == Some(&output));
        let wanted_parts = Wanted {
            classes: wants(Output::Predict),
            probabilities: wants(Output::PredictProba),
            scores: wants(Output::DecisionFunction),
        };
        let rows = shape.first().copied().unwrap_or(0);
        let mut results = self.answer(matrix, wanted_parts)?;
        let mut tensors: Vec<Tensor> = Vec::with_capacity(wanted.len());
        for (place, &at) in wanted.iter().enumerate() {
            let Some(&output) = self.outputs.get(at) else {
                return Err(Error::invalid(format!(
                    "there is no output {at}; the model has {}",
                    self.outputs.len()
                )));
            };
            // Asked for twice, it is there once.
            let tensor = match wanted[..place].iter().position(|&other| other == at) {
                Some(before) => tensors[before].clone(),
                None => results.take(output, rows),
            };
            tensors.push(tensor);
        }
        Ok(tensors)
    }

    fn cost(&self, rows: usize) -> Duration {
        // What a call takes beside its rows: a few small allocations.
        const CALL_NS: f64 = 300.0;
        let transformers: f64 = self.steps.transformers().iter().map(|it| it.row_ns()).sum();
        let row = transformers + self.steps.classifier().map_or(0.0, Classifier::row_ns);
        Duration::from_nanos((CALL_NS + row * rows as f64) as u64)
    }
}
