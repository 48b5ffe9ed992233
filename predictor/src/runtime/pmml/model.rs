//! A loaded file as a model: its columns, its outputs, its rows one by one.

use std::time::Duration;

use bytes::Bytes;
use weir_sdk::Model;
use weir_sdk::proto::{Code, Data, DataType, Error, Signature, Tensor, TensorSpec};

use super::compiled::{Compiled, Task};
use super::frame::{Column, Frame};
use super::plan::{Loader, Plan};
use super::value::{Kind, Value};

/// The name of the prediction where the file has none for it.
const PREDICT: &str = "predict";
/// The name of the probabilities of all classes.
const PROBABILITIES: &str = "predict_proba";
/// The most probabilities of an answer.
const MAX_SCORES: usize = 1 << 27;

/// A PMML model.
pub(super) struct Evaluator {
    signature: Signature,
    outputs: Vec<Source>,
    model: Compiled,
    plan: Plan,
}

/// What an output of the signature is.
#[derive(Debug, Clone, Copy)]
enum Source {
    Prediction,
    Field { slot: usize, kind: Kind },
    Probabilities,
}

fn datatype(kind: Kind) -> DataType {
    match kind {
        Kind::Text => DataType::Bytes,
        Kind::Integer => DataType::Int64,
        Kind::Float | Kind::Double => DataType::Fp64,
        Kind::Bool => DataType::Bool,
    }
}

impl Evaluator {
    pub(super) fn new(model: Compiled, loader: Loader, probabilities_first: bool) -> Self {
        let Loader { symbols, slots, classes, columns, .. } = loader;
        let input = |slot: &usize| {
            let kind = if slots[*slot].kind == Kind::Text { DataType::Bytes } else { DataType::Fp64 };
            TensorSpec::new(&slots[*slot].name, kind, [-1])
        };
        let inputs = columns.iter().map(input).collect();
        let mut outputs = Vec::new();
        let mut specs: Vec<TensorSpec> = Vec::new();
        let target = &model.target;
        let predicted =
            if target.task == Task::Regression && !model.is_rounded() && target.kind == Kind::Integer {
                Kind::Double
            } else {
                target.kind
            };
        specs.push(TensorSpec::new(target.name.as_deref().unwrap_or(PREDICT), datatype(predicted), [-1]));
        outputs.push(Source::Prediction);
        for output in &model.shown {
            if specs.iter().all(|it| it.name != output.name) {
                specs.push(TensorSpec::new(&output.name, datatype(output.kind), [-1]));
                outputs.push(Source::Field { slot: output.slot, kind: output.kind });
            }
        }
        let mut default_outputs = specs.len();
        let classes_of = &classes[target.list].values;
        if model.has_scores() && classes_of.len() > 1 {
            let labels = classes_of.iter().map(|it| shown(*it, target.kind, &symbols)).collect();
            let width = i64::try_from(classes_of.len()).unwrap_or(i64::MAX);
            let spec = TensorSpec::new(PROBABILITIES, DataType::Fp64, [-1, width]).with_labels(labels);
            if specs.iter().all(|it| it.name != PROBABILITIES) {
                let at = if probabilities_first { 0 } else { specs.len() };
                specs.insert(at, spec);
                outputs.insert(at, Source::Probabilities);
                if probabilities_first {
                    default_outputs = 1;
                }
            }
        }
        let signature = Signature {
            platform: "pmml".to_owned(),
            inputs,
            outputs: specs,
            default_outputs,
            table: true,
            ..Signature::default()
        };
        Self { signature, outputs, model, plan: Plan { slots, classes, symbols } }
    }
}

/// A class as a label.
fn shown(value: Value, kind: Kind, symbols: &super::value::Symbols) -> String {
    match value {
        Value::Number(it) if kind == Kind::Integer => format!("{it}"),
        other => symbols.show(other),
    }
}

/// An output that fills row by row.
enum Filling {
    Numbers(Vec<f64>),
    Integers(Vec<i64>),
    Booleans(Vec<u8>),
    Texts(Vec<Bytes>),
}

impl Filling {
    fn new(datatype: DataType, capacity: usize) -> Self {
        match datatype {
            DataType::Bytes => Self::Texts(Vec::with_capacity(capacity)),
            DataType::Int64 => Self::Integers(Vec::with_capacity(capacity)),
            DataType::Bool => Self::Booleans(Vec::with_capacity(capacity)),
            _ => Self::Numbers(Vec::with_capacity(capacity)),
        }
    }

    fn push(&mut self, value: Value, kind: Kind, name: &str, frame: &Frame<'_, '_>) -> Result<(), Error> {
        match (self, value) {
            (Self::Numbers(numbers), value) => numbers.push(value.number().unwrap_or(f64::NAN)),
            (Self::Texts(texts), value) => texts.push(frame.texts.show(value, kind).into_bytes().into()),
            (Self::Integers(integers), Value::Number(number)) => integers.push(number as i64),
            (Self::Integers(integers), Value::Bool(it)) => integers.push(i64::from(it)),
            (Self::Booleans(booleans), Value::Bool(it)) => booleans.push(u8::from(it)),
            (Self::Booleans(booleans), Value::Number(it)) => booleans.push(u8::from(it != 0.0)),
            (Self::Integers(_) | Self::Booleans(_), Value::Missing | Value::Text(_)) => {
                let row = frame.row;
                return Err(Error::new(
                    Code::Inference,
                    format!("the model has no `{name}` for row {row}, where a value is missing"),
                ));
            }
        }
        Ok(())
    }

    fn tensor(self, spec: &TensorSpec, rows: usize) -> Tensor {
        let data = match self {
            Self::Numbers(it) => Data::Fp64(it.into()),
            Self::Integers(it) => Data::Int64(it.into()),
            Self::Booleans(it) => Data::Bool(it.into()),
            Self::Texts(it) => Data::Bytes(it),
        };
        let mut shape = vec![rows];
        shape.extend(spec.shape.iter().skip(1).filter_map(|it| usize::try_from(*it).ok()));
        Tensor::new(&spec.name, shape, data)
    }
}

impl Model for Evaluator {
    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn predict(&self, inputs: &[Tensor], wanted: &[usize]) -> Result<Vec<Tensor>, Error> {
        let column = |tensor| match tensor {
            &Tensor { data: Data::Fp64(ref values), .. } => Ok(Column::Numbers(values)),
            &Tensor { data: Data::Bytes(ref values), .. } => Ok(Column::Texts(values)),
            other => Err(Error::invalid(format!("column `{}` is neither FP64 nor BYTES", other.name))),
        };
        let columns: Vec<_> = inputs.iter().map(column).collect::<Result<_, _>>()?;
        let rows = inputs.first().map_or(0, Tensor::rows);
        let specs: Vec<_> =
            wanted.iter().map(|at| (&self.signature.outputs[*at], self.outputs[*at])).collect();
        let width = self.plan.classes[self.model.target.list].values.len();
        let mut fillings = Vec::with_capacity(specs.len());
        for (spec, source) in &specs {
            let room = rows * if matches!(source, Source::Probabilities) { width } else { 1 };
            if room > MAX_SCORES {
                return Err(Error::new(
                    Code::TooLarge,
                    format!("{rows} rows of {width} classes are too many"),
                ));
            }
            fillings.push(Filling::new(spec.datatype, room));
        }
        let mut frame = Frame::new(&self.plan, columns);
        for row in 0..rows {
            frame.enter(row);
            let outcome = self.model.evaluate(&mut frame)?;
            for ((spec, source), filling) in specs.iter().zip(&mut fillings) {
                match *source {
                    Source::Prediction => {
                        filling.push(outcome.value, self.model.target.kind, &spec.name, &frame)?;
                    }
                    Source::Field { slot, kind } => {
                        let value = frame.get(slot)?;
                        filling.push(value, kind, &spec.name, &frame)?;
                    }
                    Source::Probabilities => {
                        for class in 0..width {
                            let score = outcome.scores.of(class).map_or(Value::Missing, Value::Number);
                            filling.push(score, Kind::Double, &spec.name, &frame)?;
                        }
                    }
                }
            }
        }
        let tensors = fillings.into_iter().zip(&specs);
        Ok(tensors.map(|(filling, (spec, _))| filling.tensor(spec, rows)).collect())
    }

    fn cost(&self, rows: usize) -> Duration {
        // Each column is looked up and checked once a row.
        let row = self.model.row_ns()
            + 15.0 * self.signature.inputs.len() as f64
            + 0.3 * self.plan.slots.len() as f64;
        Duration::from_nanos((500.0 + row * rows as f64) as u64)
    }
}
