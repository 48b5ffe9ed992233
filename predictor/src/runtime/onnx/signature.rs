//! What an ONNX file says of its inputs and outputs, in our words.

use std::collections::HashMap;

use weir_sdk::{Batching, DataType, Signature, TensorSpec};

use super::super::Fault;
use super::constant::printable;
use super::element::of_onnx;
use super::proto::{Attributed, Graph, Kind, Node, Port, Size};

/// How far a score is followed back to the classifier it comes from.
const STEPS: usize = 16;

/// Reads the signature of a graph. A list of maps, which a ZipMap makes, is told as the matrix of their values; a map that goes
/// in is a row of its values, in the order of the vocabulary.
///
/// # Errors
/// The input or output that is no tensor of a type that is served.
pub(super) fn of(graph: &Graph, platform: &str) -> Result<Signature, Fault> {
    let constants: std::collections::HashSet<_> =
        graph.initializers.iter().map(|it| it.name.as_str()).collect();
    let makers: HashMap<&str, (&Node, usize)> = graph
        .nodes
        .iter()
        .flat_map(|node| node.outputs.iter().enumerate().map(move |(at, name)| (name.as_str(), (node, at))))
        .collect();
    let mut columns = Vec::new();
    let mut inputs = Vec::new();
    for it in graph.inputs.iter().filter(|it| !constants.contains(it.name.as_str())) {
        inputs.push(match (&it.kind, vocabulary(graph, &it.name)) {
            (Kind::Map(_, element), Some(words)) => {
                let width = i64::try_from(words.len()).unwrap_or(-1);
                columns = words;
                spec(
                    &Port { name: it.name.clone(), kind: (**element).clone() },
                    "input",
                    Some(vec![-1, width]),
                )?
            }
            _ => spec(it, "input", None)?,
        });
    }
    if inputs.len() != 1 {
        columns.clear();
    }
    let mut outputs = Vec::new();
    for it in &graph.outputs {
        outputs.push(output(it, &makers)?);
    }
    if inputs.is_empty() || outputs.is_empty() {
        return Err(Fault::malformed(format!(
            "its graph has {} inputs and {} outputs, expected some of both",
            inputs.len(),
            outputs.len()
        )));
    }
    let column = |it: &TensorSpec| matches!(it.shape.as_slice(), [-1] | [-1, 1]) && !it.unranked;
    let table = inputs.len() > 1 && inputs.iter().all(column);
    Ok(Signature { platform: platform.to_owned(), inputs, outputs, columns, table, ..Signature::default() })
}

fn output(port: &Port, makers: &HashMap<&str, (&Node, usize)>) -> Result<TensorSpec, Fault> {
    if let Kind::Sequence(element) = &port.kind
        && let Kind::Map(_, value) = &**element
    {
        let labels = makers.get(port.name.as_str()).map(|(node, _)| classes(node)).unwrap_or_default();
        let width = if labels.is_empty() { -1 } else { i64::try_from(labels.len()).unwrap_or(-1) };
        let values = Port { name: port.name.clone(), kind: (**value).clone() };
        return Ok(spec(&values, "output", Some(vec![-1, width]))?.with_labels(labels));
    }
    let spec = spec(port, "output", None)?;
    let labels = match spec.datatype {
        DataType::Fp32 => scored(&port.name, makers),
        _ => Vec::new(),
    };
    let wide = match spec.shape.as_slice() {
        [_, width] => *width < 0 || usize::try_from(*width) == Ok(labels.len()),
        _ => false,
    };
    Ok(if wide { spec.with_labels(labels) } else { spec })
}

fn spec(port: &Port, side: &str, shape: Option<Vec<i64>>) -> Result<TensorSpec, Fault> {
    let name = printable(&port.name);
    let unsupported =
        |what: String| Fault::Unsupported { what, advice: "export the model with plain tensors there" };
    let Kind::Tensor(number, sizes) = &port.kind else {
        return Err(unsupported(format!("{side} `{name}`, which is no tensor,")));
    };
    let Some(datatype) = of_onnx(*number) else {
        return Err(unsupported(format!("{side} `{name}` of ONNX's element type {number}")));
    };
    let told = sizes.as_ref().map(|sizes| {
        let size = |it: &Size| match it {
            Size::Fixed(it) => *it,
            Size::Open(_) => -1,
        };
        sizes.iter().map(size).collect::<Vec<_>>()
    });
    let unranked = told.is_none() && shape.is_none();
    let mut spec = TensorSpec::new(port.name.clone(), datatype, shape.or(told).unwrap_or_else(|| vec![-1]));
    spec.unranked = unranked;
    Ok(spec)
}

/// The classes that a node names.
fn classes(node: &Node) -> Vec<String> {
    let named = |it: &&super::proto::Attribute| {
        matches!(it.name.as_str(), "classlabels_strings" | "classlabels_int64s" | "classlabels_ints")
    };
    let texts = |value: &Attributed| match value {
        Attributed::Texts(it) => it.iter().map(|it| String::from_utf8_lossy(it).into_owned()).collect(),
        Attributed::Ints(it) => it.iter().map(ToString::to_string).collect(),
        _ => Vec::new(),
    };
    let found = node.attributes.iter().filter(named).map(|it| texts(&it.value));
    found.max_by_key(Vec::len).unwrap_or_default()
}

/// The classes whose scores an output holds, where it is a classifier's second output, or that normalized.
fn scored(name: &str, makers: &HashMap<&str, (&Node, usize)>) -> Vec<String> {
    let mut name = name;
    for _ in 0..STEPS {
        let Some((node, at)) = makers.get(name) else { return Vec::new() };
        match node.operator.as_str() {
            "TreeEnsembleClassifier" | "LinearClassifier" | "SVMClassifier" if *at == 1 => {
                return classes(node);
            }
            "Identity" | "Cast" | "Normalizer" => match node.inputs.first() {
                Some(input) => name = input,
                None => return Vec::new(),
            },
            _ => return Vec::new(),
        }
    }
    Vec::new()
}

/// The words of the vectorizer that takes a map.
fn vocabulary(graph: &Graph, name: &str) -> Option<Vec<String>> {
    let takes =
        |it: &&Node| it.operator == "DictVectorizer" && it.inputs.first().is_some_and(|it| it == name);
    let node = graph.nodes.iter().find(takes)?;
    node.attributes.iter().find_map(|it| match (it.name.as_str(), &it.value) {
        ("string_vocabulary", Attributed::Texts(words)) => {
            Some(words.iter().map(|it| String::from_utf8_lossy(it).into_owned()).collect())
        }
        ("int64_vocabulary", Attributed::Ints(words)) => {
            Some(words.iter().map(ToString::to_string).collect())
        }
        _ => None,
    })
}

/// Whether rows of several requests may go together: where the first size is open everywhere, called the same, and not after
/// something else.
pub(super) fn batching(graph: &Graph, signature: &Signature, together: Batching) -> Batching {
    let mut called = None;
    let known: HashMap<&str, &Port> =
        graph.inputs.iter().chain(&graph.outputs).map(|it| (it.name.as_str(), it)).collect();
    let rows = signature.inputs.iter().chain(&signature.outputs).all(|spec| {
        if spec.unranked || spec.shape.first() != Some(&-1) {
            return false;
        }
        match known.get(spec.name.as_str()).map(|it| &it.kind) {
            Some(Kind::Tensor(_, Some(sizes))) => match sizes.first() {
                // Without a name it is any, which is what classical models write.
                Some(Size::Open(name)) if !name.is_empty() => called.get_or_insert(name) == &name,
                _ => true,
            },
            _ => true,
        }
    });
    let names = graph.inputs.iter().chain(&graph.outputs).filter_map(|it| match &it.kind {
        Kind::Tensor(_, Some(sizes)) => Some(sizes.iter().map(called_so)),
        _ => None,
    });
    if rows && super::rows::are_first(names) { together } else { Batching::Never }
}

/// The name of an open size, which may be none.
fn called_so(size: &Size) -> &str {
    match size {
        Size::Open(name) => name,
        Size::Fixed(_) => "",
    }
}
