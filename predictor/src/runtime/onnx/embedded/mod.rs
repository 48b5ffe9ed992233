//! ONNX models without any library of somebody else's on the machine: classical models by an interpreter of ours, neural nets by
//! the crate rten.

mod attributes;
mod complete;
mod control;
mod ml;
mod model;
mod net;
mod plain;
mod program;
mod registry;
mod value;

use std::collections::BTreeSet;
use std::path::Path;

use weir_sdk::{Batching, Model, Threads};

use super::super::{Fault, LoadError, LoadOptions};
use super::constant::printable;
use super::proto::{self, Graph, Node};
use super::signature;
use attributes::ADVICE;
use model::Interpreted;
use program::{Program, Workshop};

/// The name under which metadata tell who computes.
const PLATFORM: &str = "weir_onnx";
/// The most elements that a tensor may have, within a graph as at its ends: two gigabytes of singles.
const MOST_ELEMENTS: usize = 1 << 29;
/// From so many numbers of constants on, a graph that both can compute is a neural net.
const SMALL: usize = 1 << 20;
/// From so many numbers of constants on, several rows together cost less than each alone.
const WEIGHTY: usize = 1 << 14;

/// Loads a model file, and what it keeps in files beside it.
///
/// # Errors
/// [`LoadError`], which names an operator that is not served, and its node.
pub fn load(path: &Path, options: &LoadOptions) -> Result<Box<dyn Model>, LoadError> {
    let file = || path.to_owned();
    let bytes = std::fs::read(path).map_err(|source| LoadError::Read { path: file(), source })?;
    let folder = path.parent().map(|it| if it.as_os_str().is_empty() { Path::new(".") } else { it });
    read(bytes, folder, options.threads, MOST_ELEMENTS).map_err(|fault| match fault {
        Fault::Malformed(reason) => LoadError::Malformed { path: file(), reason },
        Fault::Unsupported { what, advice } => {
            LoadError::Unsupported { path: file(), what, advice: advice.to_owned() }
        }
    })
}

/// Reads a model of bytes alone, with a limit on what it may make: for tests of what broken files do.
///
/// # Errors
/// What is wrong with it, or not served.
pub fn read_bounded(bytes: &[u8], most_elements: usize) -> Result<Box<dyn Model>, Fault> {
    let model = proto::read(bytes, None)?;
    interpreted(model, most_elements, bytes.len() as u64)
}

/// The operators that the interpreter knows, each with its domain, for documents.
pub fn operators() -> impl Iterator<Item = (&'static str, &'static str)> {
    let named = registry::OPERATORS.iter().map(|it| (it.domain, it.name));
    named.chain(control::OPERATORS.iter().map(|&it| ("", it)))
}

fn read(
    bytes: Vec<u8>,
    folder: Option<&Path>,
    threads: Threads,
    limit: usize,
) -> Result<Box<dyn Model>, Fault> {
    let model = proto::read(&bytes, folder)?;
    let unknown = unknown(&model);
    let length = bytes.len() as u64;
    if unknown.is_empty() && (!net::fits(&model.graph) || weight(&model.graph) < SMALL) {
        drop(bytes);
        return interpreted(model, limit, length);
    }
    if unknown.is_empty() {
        // Both know its operators: the interpreter does what the other refuses.
        return match net::load(bytes, &model, folder, threads) {
            Ok(net) => Ok(net),
            Err(reason) => {
                tracing::debug!("computed by the interpreter: {reason}");
                interpreted(model, limit, length)
            }
        };
    }
    net::load(bytes, &model, folder, threads).map_err(|reason| Fault::Unsupported {
        what: format!("{} ({reason})", unknown.into_iter().collect::<Vec<_>>().join(", ")),
        advice: ADVICE,
    })
}

fn interpreted(model: proto::Model, limit: usize, bytes: u64) -> Result<Box<dyn Model>, Fault> {
    let signature = signature::of(&model.graph, PLATFORM)?;
    // What is mostly a product of matrices is cheaper for several rows, as a net is.
    let together = if weight(&model.graph) >= WEIGHTY { Batching::Gains } else { Batching::Even };
    let batching = signature::batching(&model.graph, &signature, together);
    let mut workshop =
        Workshop { opsets: &model.opsets, limit, nodes: 0, functions: &model.functions, depth: 0 };
    let (program, captured) = Program::new(model.graph, &mut workshop)?;
    if let Some(name) = captured.first() {
        return Err(Fault::malformed(format!("nothing gives `{}`, which a node takes", printable(name))));
    }
    Ok(Box::new(Interpreted::new(program, signature, batching, bytes)?))
}

/// The operators that the interpreter does not know, with the node that has each.
fn unknown(model: &proto::Model) -> BTreeSet<String> {
    let graph = &model.graph;
    let known = |it: &&Node| {
        model.functions.iter().any(|own| own.name == it.operator && own.domain == it.domain)
            || registry::find(&it.domain, &it.operator).is_some()
            || (it.domain.is_empty() && control::OPERATORS.contains(&it.operator.as_str()))
    };
    let mut told = BTreeSet::new();
    let mut seen = BTreeSet::new();
    for node in graph.nodes.iter().filter(|it| !known(it)) {
        if seen.insert((&node.domain, &node.operator)) && told.len() < 8 {
            let domain =
                if node.domain.is_empty() { String::new() } else { format!("{}.", printable(&node.domain)) };
            told.insert(format!(
                "operator {domain}{} of node `{}`",
                printable(&node.operator),
                printable(&node.name)
            ));
        }
    }
    told
}

/// How many numbers its constants hold.
fn weight(graph: &Graph) -> usize {
    graph.initializers.iter().map(|it| it.data.len()).sum()
}
