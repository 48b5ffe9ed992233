//! A SavedModel that answers: one session, under each of its signatures.

use std::sync::Arc;
use std::time::Duration;

use weir_native::tensorflow::{Endpoint, Failure, Input, Session};
use weir_sdk::{Batching, Code, Error, Model, Signature, Tensor, TensorSpec};

use super::super::pace::Pace;
use super::element;
use super::saved_model::{MetaGraph, SignatureDef, TensorInfo};

/// The signature that is meant where none is named.
const DEFAULT: &str = "serving_default";

/// A loaded SavedModel.
pub(super) struct SavedModel {
    /// The default one first, the others by name.
    signatures: Vec<Served>,
    bytes: u64,
}

/// One signature of it.
struct Served {
    name: String,
    signature: Signature,
    session: Arc<Session>,
    inputs: Vec<Endpoint>,
    outputs: Vec<Endpoint>,
    threads: usize,
    pace: Pace,
}

impl SavedModel {
    /// Finds what the signatures name in the session's graph. Signatures of what is not served, such as sparse tensors, are
    /// left out. `threads` compute during one prediction.
    ///
    /// # Errors
    /// Why no signature can be served.
    pub(super) fn new(
        session: Session,
        graph: &MetaGraph,
        threads: usize,
        bytes: u64,
    ) -> Result<Self, String> {
        let session = Arc::new(session);
        let mut signatures = Vec::with_capacity(graph.signatures.len());
        let mut refused = Vec::new();
        for it in &graph.signatures {
            match Served::new(&session, it, threads) {
                Ok(served) => signatures.push(served),
                Err(reason) => refused.push(format!("signature `{}`: {reason}", it.name)),
            }
        }
        // Who names no signature means this one: no other answers in its place.
        let default_refused = graph.signatures.iter().any(|it| it.name == DEFAULT)
            && !signatures.iter().any(|it| it.name == DEFAULT);
        for reason in &refused {
            tracing::warn!("left out: {reason}");
        }
        if signatures.is_empty() || default_refused {
            return Err(if refused.is_empty() {
                "it has no signatures; export it again with some, such as by `tf.saved_model.save(model, folder, \
                 signatures=model.f.get_concrete_function(tf.TensorSpec(...)))`"
                    .to_owned()
            } else {
                refused.join("; ")
            });
        }
        // Stable: the others stay in the order of their names.
        signatures.sort_by_key(|it| it.name != DEFAULT);
        Ok(Self { signatures, bytes })
    }

    fn first(&self) -> &Served {
        self.signatures.first().expect("a model without signatures is not made")
    }
}

impl Served {
    fn new(session: &Arc<Session>, told: &SignatureDef, threads: usize) -> Result<Self, String> {
        let ends = |tensors: &[TensorInfo]| -> Result<Vec<Endpoint>, String> {
            tensors.iter().map(|it| endpoint(session, it)).collect()
        };
        let (inputs, outputs) = (ends(&told.inputs)?, ends(&told.outputs)?);
        if outputs.is_empty() {
            return Err("it has no outputs".to_owned());
        }
        Ok(Self {
            name: told.name.clone(),
            signature: signature(told)?,
            session: Arc::clone(session),
            inputs,
            outputs,
            threads,
            pace: Pace::default(),
        })
    }
}

fn endpoint(session: &Session, told: &TensorInfo) -> Result<Endpoint, String> {
    if told.inner_name.is_empty() {
        return Err(format!(
            "tensor `{}` is sparse, ragged or composite; only dense tensors are served",
            told.name
        ));
    }
    let found = session.endpoint(&told.inner_name).map(|(endpoint, _)| endpoint);
    found.ok_or_else(|| format!("tensor `{}` is `{}`, which the graph lacks", told.name, told.inner_name))
}

/// What we tell of a signature.
///
/// # Errors
/// The tensor whose element type is not served.
pub(super) fn signature(told: &SignatureDef) -> Result<Signature, String> {
    let specs = |tensors: &[TensorInfo]| tensors.iter().map(spec).collect::<Result<Vec<_>, String>>();
    Ok(Signature {
        platform: "tensorflow_savedmodel".to_owned(),
        inputs: specs(&told.inputs)?,
        outputs: specs(&told.outputs)?,
        method_name: if told.method_name.is_empty() {
            "tensorflow/serving/predict".to_owned()
        } else {
            told.method_name.clone()
        },
        // TensorFlow does not hold a placeholder to its shape, and its own server does not either.
        lenient: true,
        ..Signature::default()
    })
}

fn spec(told: &TensorInfo) -> Result<TensorSpec, String> {
    let datatype = element::of_tensorflow(told.datatype).ok_or_else(|| {
        format!(
            "tensor `{}` has TensorFlow's element type {}, which is not served: cast it in the signature's function",
            told.name, told.datatype
        )
    })?;
    let shape = told.shape.clone().unwrap_or_else(|| vec![-1]);
    let mut spec = TensorSpec::new(told.name.clone(), datatype, shape);
    spec.unranked = told.shape.is_none();
    spec.inner_name.clone_from(&told.inner_name);
    Ok(spec)
}

impl Model for Served {
    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn predict(&self, inputs: &[Tensor], wanted: &[usize]) -> Result<Vec<Tensor>, Error> {
        let rows = inputs.first().map_or(1, Tensor::rows);
        let fed = inputs.iter().zip(&self.inputs);
        let fed: Vec<_> = fed.map(|(tensor, &end)| (end, input(tensor))).collect();
        let asked: Vec<Endpoint> = wanted.iter().map(|&at| self.outputs[at]).collect();
        let answers = self.pace.time(rows, || self.session.run(&fed, &asked)).map_err(failed)?;
        let named = answers.into_iter().zip(wanted);
        named.map(|(it, &at)| element::take(&self.signature.outputs[at].name, it)).collect()
    }

    fn cost(&self, rows: usize) -> Duration {
        self.pace.of(rows)
    }

    fn threads(&self) -> usize {
        self.threads
    }

    fn batching(&self) -> Batching {
        let mut all = self.signature.inputs.iter().chain(&self.signature.outputs);
        let open = |it: &TensorSpec| !it.unranked && it.shape.first() == Some(&-1);
        if all.all(open) && !self.inputs.is_empty() { Batching::Gains } else { Batching::Never }
    }
}

fn input(tensor: &Tensor) -> Input<'_> {
    let elements = element::lend(&tensor.data);
    Input { datatype: element::number(tensor.datatype()), shape: &tensor.shape, elements }
}

/// What a caller can mend is the caller's mistake.
fn failed(failure: Failure) -> Error {
    match failure.code {
        Failure::INVALID_ARGUMENT | Failure::OUT_OF_RANGE => Error::invalid(failure.message),
        _ => Error::new(Code::Inference, failure.message),
    }
}

impl Model for SavedModel {
    fn signature(&self) -> &Signature {
        self.first().signature()
    }

    fn predict(&self, inputs: &[Tensor], wanted: &[usize]) -> Result<Vec<Tensor>, Error> {
        self.first().predict(inputs, wanted)
    }

    fn cost(&self, rows: usize) -> Duration {
        self.first().cost(rows)
    }

    fn threads(&self) -> usize {
        self.first().threads()
    }

    fn under(&self, signature_name: &str) -> Option<&dyn Model> {
        let found = self.signatures.iter().find(|it| it.name == signature_name);
        found.map(|it| -> &dyn Model { it })
    }

    fn signature_names(&self) -> Vec<String> {
        self.signatures.iter().map(|it| it.name.clone()).collect()
    }

    fn batching(&self) -> Batching {
        self.first().batching()
    }

    fn memory(&self) -> Option<u64> {
        Some(self.bytes)
    }
}
