//! Neural nets, computed by the crate rten. It knows numbers of 32 bits and bytes alone: what a model means by others is cast at its
//! ends, and a model that needs them within is refused.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rten::{ModelOptions, NodeId, RunOptions, ThreadPool, Value, ValueOrView, ValueView};
use rten_tensor::Layout;
use weir_sdk::{Batching, Code, Data, DataType, Error, Model, Signature, Tensor, Threads};

use super::super::super::pace::Pace;
use super::super::element::of_onnx;
use super::super::proto::{self, Graph, Kind};
use super::super::signature;
use super::{PLATFORM, complete};

/// A loaded net.
struct Net {
    model: rten::Model,
    signature: Signature,
    inputs: Vec<NodeId>,
    outputs: Vec<NodeId>,
    batching: Batching,
    threads: usize,
    pace: Pace,
    bytes: u64,
}

/// Returns whether a graph is one of numbers that rten knows, as far as its ends and constants tell.
pub(super) fn fits(graph: &Graph) -> bool {
    let known = |it: &Kind| match it {
        Kind::Tensor(number, _) => of_onnx(*number).is_some_and(|it| {
            matches!(
                it,
                DataType::Fp32
                    | DataType::Int32
                    | DataType::Int64
                    | DataType::Bool
                    | DataType::Uint8
                    | DataType::Int8
            )
        }),
        _ => false,
    };
    graph.inputs.iter().chain(&graph.outputs).all(|it| known(&it.kind))
        && graph.nodes.iter().all(|it| it.domain != "ai.onnx.ml")
        && narrow(graph).is_none()
}

/// Returns the constant that is of doubles or texts, or of whole numbers too large for 32 bits. Where a slice ends may be beyond
/// everything.
fn narrow(graph: &Graph) -> Option<&str> {
    let ends: HashSet<&str> = graph
        .nodes
        .iter()
        .filter(|it| it.operator == "Slice")
        .flat_map(|it| it.inputs.iter().skip(1).map(String::as_str))
        .collect();
    let wide = |it: &&Tensor| match &it.data {
        Data::Fp64(_) | Data::Bytes(_) | Data::Uint64(_) | Data::Uint32(_) => true,
        Data::Int64(values) => {
            !ends.contains(it.name.as_str()) && values.iter().any(|&it| i32::try_from(it).is_err())
        }
        _ => false,
    };
    graph.initializers.iter().find(wide).map(|it| it.name.as_str())
}

/// Loads a net.
///
/// # Errors
/// Why rten does not compute it.
pub(super) fn load(
    bytes: Vec<u8>,
    file: &proto::Model,
    folder: Option<&Path>,
    threads: Threads,
) -> Result<Box<dyn Model>, String> {
    if let Some(function) = file.functions.first() {
        return Err(format!("the file has operators of its own, such as `{}`", function.name));
    }
    if !fits(&file.graph) {
        return Err(match narrow(&file.graph) {
            Some(name) => format!("constant `{name}` needs more than 32 bits"),
            None => "its inputs, outputs or operators are of classical models".to_owned(),
        });
    }
    let signature = signature::of(&file.graph, PLATFORM).map_err(|fault| format!("{fault:?}"))?;
    let batching = signature::batching(&file.graph, &signature, Batching::Gains);
    let mut options = ModelOptions::with_all_ops();
    options.prepack_weights(true);
    let mut size = bytes.len() as u64;
    for (name, contents) in outside(&bytes, folder)? {
        size += contents.len() as u64;
        options.external_data(&name, contents);
    }
    let bytes = complete::completed(&bytes, &file.graph).unwrap_or(bytes);
    // What another's code makes of a broken file is not for us to tell.
    let model = catch_unwind(AssertUnwindSafe(|| options.load(bytes)))
        .map_err(|_| "rten stopped while reading it".to_owned())?
        .map_err(|error| error.to_string())?;
    let find = |name: &str| model.node_id(name).map_err(|error| error.to_string());
    let inputs = signature.inputs.iter().map(|it| find(&it.name)).collect::<Result<_, _>>()?;
    let outputs = signature.outputs.iter().map(|it| find(&it.name)).collect::<Result<_, _>>()?;
    let threads = threads.intra_op.max(1);
    Ok(Box::new(Net {
        model,
        signature,
        inputs,
        outputs,
        batching,
        threads,
        pace: Pace::default(),
        bytes: size,
    }))
}

/// The files that constants lie in, each whole, by the name the model has for it.
fn outside(bytes: &[u8], folder: Option<&Path>) -> Result<BTreeMap<String, Vec<u8>>, String> {
    let mut files = BTreeMap::new();
    for name in super::super::constant::outside_of(bytes).map_err(|fault| format!("{fault:?}"))? {
        let folder = folder.ok_or("its constants lie in another file")?;
        let path = super::super::constant::beside(folder, &name)?;
        let contents = std::fs::read(path).map_err(|error| format!("file `{name}`: {error}"))?;
        files.insert(name, contents);
    }
    Ok(files)
}

thread_local! {
    /// The threads that help this one, by how many: whoever waits for them is the only one that uses them.
    static POOLS: RefCell<HashMap<usize, Arc<ThreadPool>>> = RefCell::default();
}

fn pool(threads: usize) -> Arc<ThreadPool> {
    POOLS.with_borrow_mut(|pools| {
        let made = pools.entry(threads).or_insert_with(|| Arc::new(ThreadPool::with_num_threads(threads)));
        Arc::clone(made)
    })
}

impl Model for Net {
    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn predict(&self, inputs: &[Tensor], wanted: &[usize]) -> Result<Vec<Tensor>, Error> {
        let rows = inputs.first().map_or(1, Tensor::rows);
        let narrowed = inputs.iter().map(narrowed).collect::<Result<Vec<_>, _>>()?;
        let mut fed = Vec::with_capacity(inputs.len());
        for ((tensor, narrowed), &id) in inputs.iter().zip(&narrowed).zip(&self.inputs) {
            fed.push((id, ValueOrView::View(view(tensor, narrowed)?)));
        }
        let asked: Vec<NodeId> = wanted.iter().map(|&at| self.outputs[at]).collect();
        let mut options = RunOptions::default();
        options.thread_pool = Some(pool(self.threads));
        let run = || catch_unwind(AssertUnwindSafe(|| self.model.run(fed, &asked, Some(options))));
        let made = match self.pace.time(rows, run) {
            Ok(Ok(made)) => made,
            Ok(Err(error)) => return Err(Error::invalid(error.to_string())),
            Err(_) => return Err(Error::new(Code::Inference, "rten stopped while it computed")),
        };
        let named = made.into_iter().zip(wanted);
        named.map(|(it, &at)| answer(&self.signature.outputs[at], it)).collect()
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

/// Whole numbers and truths as 32 bits; nothing where rten takes the numbers as they are.
fn narrowed(tensor: &Tensor) -> Result<Vec<i32>, Error> {
    match &tensor.data {
        Data::Int64(values) => {
            let one = |&it: &i64| {
                i32::try_from(it).map_err(|_| {
                    Error::invalid(format!(
                        "input `{}` holds {it}, the embedded engine takes whole numbers of 32 bits",
                        tensor.name
                    ))
                })
            };
            values.iter().map(one).collect()
        }
        Data::Bool(values) => Ok(values.iter().map(|&it| i32::from(it != 0)).collect()),
        _ => Ok(Vec::new()),
    }
}

fn view<'a>(tensor: &'a Tensor, narrowed: &'a [i32]) -> Result<ValueView<'a>, Error> {
    let shape = tensor.shape.as_slice();
    let failed = |error: String| Error::invalid(format!("input `{}`: {error}", tensor.name));
    match &tensor.data {
        Data::Fp32(values) => ValueView::from_shape(shape, &values[..]).map_err(|it| failed(it.to_string())),
        Data::Int32(values) => ValueView::from_shape(shape, &values[..]).map_err(|it| failed(it.to_string())),
        Data::Int8(values) => ValueView::from_shape(shape, &values[..]).map_err(|it| failed(it.to_string())),
        Data::Uint8(values) => ValueView::from_shape(shape, &values[..]).map_err(|it| failed(it.to_string())),
        _ => ValueView::from_shape(shape, narrowed).map_err(|it| failed(it.to_string())),
    }
}

fn answer(spec: &weir_sdk::TensorSpec, value: Value) -> Result<Tensor, Error> {
    let (shape, data) = match value {
        Value::FloatTensor(it) => (it.shape().to_vec(), Data::Fp32(it.into_data().into())),
        Value::Int32Tensor(it) => {
            let shape = it.shape().to_vec();
            let values = it.into_data();
            (
                shape,
                match spec.datatype {
                    DataType::Int64 => {
                        Data::Int64(values.iter().map(|&it| it.into()).collect::<Vec<i64>>().into())
                    }
                    DataType::Bool => {
                        Data::Bool(values.iter().map(|&it| u8::from(it != 0)).collect::<Vec<_>>().into())
                    }
                    _ => Data::Int32(values.into()),
                },
            )
        }
        Value::Int8Tensor(it) => (it.shape().to_vec(), Data::Int8(it.into_data().into())),
        Value::UInt8Tensor(it) => (it.shape().to_vec(), Data::Uint8(it.into_data().into())),
        _ => return Err(Error::new(Code::Inference, "an output came as a list")),
    };
    if data.datatype() != spec.datatype {
        let message =
            format!("output `{}` came as {}, the file says {}", spec.name, data.datatype(), spec.datatype);
        return Err(Error::new(Code::Inference, message));
    }
    Ok(Tensor::new(spec.name.clone(), shape, data))
}
