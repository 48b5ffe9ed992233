//! A model that ONNX Runtime computes: its session behind a signature of plain tensors.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use weir_native::onnxruntime::{
    Endpoint, Failure, Kind, Library, Provider, Session, SessionOptions, Tensor as Answer, Value,
};
use weir_sdk::{Batching, Data, Error, Model, Signature, Tensor, TensorSpec};

use super::super::pace::Pace;
use super::super::{LoadError, LoadOptions};
use super::element::{self, failed};
use super::graph::Graph;
use super::rows;

/// A loaded model.
struct OrtModel {
    session: Arc<Session>,
    signature: Signature,
    /// Where each output of the signature stands among the session's.
    outputs: Vec<usize>,
    batching: Batching,
    threads: usize,
    pace: Pace,
    bytes: u64,
}

/// Loads a model with those providers.
///
/// # Errors
/// [`LoadError`].
pub(in super::super) fn load_with(
    path: &Path,
    options: &LoadOptions,
    providers: &[Provider],
) -> Result<Box<dyn Model>, LoadError> {
    let engine = |reason: String| LoadError::Engine { path: path.to_owned(), reason };
    let library = Library::of(&options.search(), options.threads.intra_op).map_err(engine)?;
    let told = SessionOptions { intra_op: options.threads.intra_op, providers: providers.to_vec() };
    // A file that cannot be opened is told by its own name and reason.
    let bytes = std::fs::File::open(path).and_then(|it| it.metadata());
    let bytes = bytes.map_err(|source| LoadError::Read { path: path.to_owned(), source })?.len();
    let session = library.load(path, &told).map_err(|failure| match providers {
        [] => LoadError::Malformed {
            path: path.to_owned(),
            reason: format!("ONNX Runtime {} cannot load it: {}", library.version(), failure.message),
        },
        _ => engine(format!("ONNX Runtime {}: {}", library.version(), failure.message)),
    })?;
    let graph = if needs_graph(&session) { read_graph(path)? } else { Graph::default() };
    let model = OrtModel::new(session, &graph, platform(providers), bytes + beside(path));
    let model = model.map(|it| OrtModel { threads: options.threads.intra_op, ..it });
    let model = model.map_err(|what| LoadError::Unsupported {
        path: path.to_owned(),
        what,
        advice: "export the model with plain tensors there".to_owned(),
    })?;
    tracing::debug!(version = library.version(), "ONNX Runtime loaded {}", path.display());
    Ok(Box::new(model))
}

/// What says in metadata who computes.
const fn platform(providers: &[Provider]) -> &'static str {
    match providers {
        [] => "onnxruntime_onnx",
        [Provider::Cuda(_), ..] => "onnxruntime_cuda",
        [Provider::TensorRt(_), ..] => "onnxruntime_tensorrt",
    }
}

/// Whether the file is read here too, for what the session does not tell.
fn needs_graph(session: &Session) -> bool {
    session.inputs().iter().chain(session.outputs()).any(|it| match &it.kind {
        Kind::Tensor { shape, .. } => shape.is_empty(),
        Kind::Sequence(_) => true,
        Kind::Map(..) | Kind::Other(_) => false,
    })
}

fn read_graph(path: &Path) -> Result<Graph, LoadError> {
    let bytes = std::fs::read(path).map_err(|source| LoadError::Read { path: path.to_owned(), source })?;
    Graph::read(&bytes).map_err(|reason| LoadError::Malformed { path: path.to_owned(), reason })
}

/// The bytes of the files that a model keeps its weights in, which begin with its name.
fn beside(path: &Path) -> u64 {
    let (Some(folder), Some(stem)) = (path.parent(), path.file_stem().and_then(|it| it.to_str())) else {
        return 0;
    };
    let weights = |it: &std::fs::DirEntry| {
        let name = it.file_name();
        let name = name.to_string_lossy();
        name.starts_with(stem) && it.path() != path && !name.ends_with(".onnx")
    };
    let entries = folder.read_dir().into_iter().flatten().flatten().filter(weights);
    entries.filter_map(|it| it.metadata().ok()).filter(std::fs::Metadata::is_file).map(|it| it.len()).sum()
}

impl OrtModel {
    /// # Errors
    /// What cannot be served, by name.
    fn new(session: Arc<Session>, graph: &Graph, platform: &str, bytes: u64) -> Result<Self, String> {
        let inputs = session.inputs().iter().map(|it| {
            let spec = spec_of(it, graph)
                .ok_or_else(|| format!("input `{}`, which is {}, ", it.name, told(&it.kind)))?;
            if matches!(it.kind, Kind::Tensor { .. }) {
                Ok(spec)
            } else {
                Err(format!("input `{}`, a list of maps,", it.name))
            }
        });
        let inputs = inputs.collect::<Result<Vec<_>, String>>()?;
        let (mut specs, mut outputs, mut refused) = (Vec::new(), Vec::new(), Vec::new());
        for (at, it) in session.outputs().iter().enumerate() {
            match spec_of(it, graph) {
                Some(spec) => {
                    specs.push(spec);
                    outputs.push(at);
                }
                None => refused.push(format!("output `{}`, which is {},", it.name, told(&it.kind))),
            }
        }
        for what in &refused {
            tracing::warn!("left out: {what} is not served");
        }
        if outputs.is_empty() {
            return Err(refused.join(" and "));
        }
        let batching = batching(&session);
        let signature =
            Signature { platform: platform.to_owned(), inputs, outputs: specs, ..Signature::default() };
        Ok(Self { session, signature, outputs, batching, threads: 1, pace: Pace::default(), bytes })
    }
}

/// What we tell of an input or output: a tensor as it is, a list of maps as the matrix of their values. Nothing of the rest.
fn spec_of(end: &Endpoint, graph: &Graph) -> Option<TensorSpec> {
    let name = end.name.clone();
    match &end.kind {
        Kind::Tensor { datatype, shape, .. } => {
            let unranked = shape.is_empty() && graph.unranked.contains(&name);
            let shape = if unranked { vec![-1] } else { shape.clone() };
            let mut spec = TensorSpec::new(name, element::of_onnx(datatype.cast_unsigned().into())?, shape);
            spec.unranked = unranked;
            Some(spec)
        }
        Kind::Sequence(element) => {
            let Kind::Map(_, value) = &**element else { return None };
            let Kind::Tensor { datatype, .. } = &**value else { return None };
            let classes = graph.zipped.iter().find(|(output, _)| *output == name);
            let classes = classes.map(|(_, classes)| classes.clone()).unwrap_or_default();
            let width = if classes.is_empty() { -1 } else { i64::try_from(classes.len()).unwrap_or(-1) };
            let datatype = element::of_onnx(datatype.cast_unsigned().into())?;
            datatype.size()?;
            Some(TensorSpec::new(name, datatype, [-1, width]).with_labels(classes))
        }
        Kind::Map(..) | Kind::Other(_) => None,
    }
}

fn told(kind: &Kind) -> String {
    match kind {
        Kind::Tensor { datatype, .. } => format!("a tensor of ONNX's element type {datatype}"),
        Kind::Sequence(of) => format!("a list of which each is {}", told(of)),
        Kind::Map(..) => "a map".to_owned(),
        Kind::Other(kind) => format!("of ONNX's kind {kind}"),
    }
}

/// Rows of several requests go together where the first size is open everywhere, called the same, and not after something else.
fn batching(session: &Session) -> Batching {
    let mut batch = None;
    let rows = session.inputs().iter().chain(session.outputs()).all(|it| match &it.kind {
        Kind::Tensor { shape, names, .. } => {
            let name = names.first().cloned().unwrap_or_default();
            shape.first() == Some(&-1) && *batch.get_or_insert_with(|| name.clone()) == name
        }
        // One map a row.
        Kind::Sequence(element) => matches!(**element, Kind::Map(..)),
        Kind::Map(..) | Kind::Other(_) => false,
    });
    let names = session.inputs().iter().chain(session.outputs()).filter_map(|it| match &it.kind {
        Kind::Tensor { names, .. } => Some(names.iter().map(String::as_str)),
        Kind::Sequence(_) | Kind::Map(..) | Kind::Other(_) => None,
    });
    if rows && batch.is_some() && rows::are_first(names) { Batching::Gains } else { Batching::Never }
}

impl Model for OrtModel {
    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn predict(&self, inputs: &[Tensor], wanted: &[usize]) -> Result<Vec<Tensor>, Error> {
        let rows = inputs.first().map_or(1, Tensor::rows);
        let fed: Vec<_> = inputs.iter().map(element::lend).collect();
        let asked: Vec<usize> = wanted.iter().map(|&at| self.outputs[at]).collect();
        let answers = self.pace.time(rows, || self.session.run(&fed, &asked));
        let answers = answers.map_err(|failure| match failure.code {
            // What a caller can mend is the caller's mistake.
            Failure::INVALID_ARGUMENT => Error::invalid(failure.message),
            _ => failed(failure.message),
        })?;
        let named = answers.into_iter().zip(wanted);
        named.map(|(it, &at)| take(&self.signature.outputs[at], it)).collect()
    }

    fn cost(&self, rows: usize) -> Duration {
        self.pace.of(rows)
    }

    fn threads(&self) -> usize {
        self.threads
    }

    fn batching(&self) -> Batching {
        self.batching
    }

    fn memory(&self) -> Option<u64> {
        Some(self.bytes)
    }
}

fn take(spec: &TensorSpec, answer: Value) -> Result<Tensor, Error> {
    match answer {
        Value::Tensor(tensor) => element::take(&spec.name, tensor),
        Value::Sequence(rows) => matrix(spec, rows),
        Value::Map(..) | Value::None => Err(failed(format!("output `{}` came as no tensor", spec.name))),
    }
}

/// Makes a matrix of a map a row, a column a class: in the order of the signature's labels, or else of the first row's keys.
fn matrix(spec: &TensorSpec, rows: Vec<Value>) -> Result<Tensor, Error> {
    let name = &spec.name;
    let differ = || failed(format!("output `{name}` has maps of different keys, which make no matrix"));
    let size = spec.datatype.size().ok_or_else(differ)?;
    let count = rows.len();
    let (mut keys, mut order, mut bytes) = (None, Vec::new(), Vec::new());
    for row in rows {
        let Value::Map(row_keys, Answer::Numbers { bytes: values, .. }) = row else { return Err(differ()) };
        if keys.is_none() {
            order = order_of(&row_keys, &spec.labels).ok_or_else(differ)?;
            keys = Some(row_keys.clone());
        }
        if keys.as_ref() != Some(&row_keys) || values.len() != order.len() * size {
            return Err(differ());
        }
        for &at in &order {
            bytes.extend_from_slice(&values[at * size..][..size]);
        }
    }
    let shape = vec![count, order.len()];
    let data = Data::from_raw(spec.datatype, Bytes::from(bytes), count * order.len(), name);
    Ok(Tensor::new(name.clone(), shape, data.map_err(|error| failed(error.message))?))
}

/// For each label the place of its key, or all places in their order where there are no labels.
fn order_of(keys: &Answer, labels: &[String]) -> Option<Vec<usize>> {
    let texts: Vec<Vec<u8>> = match keys {
        Answer::Strings { texts, .. } => texts.iter().map(|it| it.to_vec()).collect(),
        Answer::Numbers { datatype: 7, bytes, .. } => {
            let numbers =
                bytes.chunks_exact(8).filter_map(|it| Some(i64::from_le_bytes(it.try_into().ok()?)));
            numbers.map(|it| it.to_string().into_bytes()).collect()
        }
        Answer::Numbers { .. } => return None,
    };
    if labels.is_empty() {
        return Some((0..texts.len()).collect());
    }
    if labels.len() != texts.len() {
        return None;
    }
    let places: std::collections::HashMap<&[u8], usize> =
        texts.iter().enumerate().map(|(at, it)| (it.as_slice(), at)).collect();
    labels.iter().map(|it| places.get(it.as_bytes()).copied()).collect()
}
