//! ONNX files as they are written: messages of protobuf, of which what matters here is read. Sizes come from the bytes that are
//! there and never from a count alone, and what is made of them is bounded by the file's size.

use std::path::Path;

use bytes::Bytes;
use weir_sdk::Tensor;

use super::super::Fault;
use super::super::protobuf::{Fields, Value, packed, text};
use super::constant;

/// What may be made of a file: so many times its bytes, and a little that none needs more than.
const TIMES: usize = 16;
const ALLOWANCE: usize = 1 << 19;
/// How deep graphs may lie in one another. A body of a loop within a branch is three deep.
const DEEPEST: usize = 8;

/// A message `ModelProto`.
#[derive(Debug, Default)]
pub struct Model {
    /// The version of each domain of operators; the empty one is that of `ai.onnx`.
    pub opsets: Vec<(String, i64)>,
    /// The graph.
    pub graph: Graph,
    /// What the file brings along as operators of its own.
    pub functions: Vec<Function>,
}

/// A message `FunctionProto`: an operator that is a graph.
#[derive(Debug, Default)]
pub struct Function {
    /// Its name.
    pub name: String,
    /// Its domain.
    pub domain: String,
    /// The message itself: it is read anew wherever it is called.
    pub message: Bytes,
}

/// A message `GraphProto`.
#[derive(Debug, Default)]
pub struct Graph {
    /// What is computed, in an order that can be followed.
    pub nodes: Vec<Node>,
    /// Constants by name.
    pub initializers: Vec<Tensor>,
    /// What it takes; constants may be among it.
    pub inputs: Vec<Port>,
    /// What it gives.
    pub outputs: Vec<Port>,
}

/// A message `NodeProto`.
#[derive(Debug, Default)]
pub struct Node {
    /// Its name; may be empty.
    pub name: String,
    /// Its operator.
    pub operator: String,
    /// The domain of the operator; empty for `ai.onnx`.
    pub domain: String,
    /// The names of what it takes; empty where an input is left out.
    pub inputs: Vec<String>,
    /// The names of what it gives; empty where nobody wants it.
    pub outputs: Vec<String>,
    /// Its attributes.
    pub attributes: Vec<Attribute>,
}

/// A message `AttributeProto`.
#[derive(Debug)]
pub struct Attribute {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: Attributed,
}

/// The value of an attribute.
#[derive(Debug)]
#[allow(missing_docs)]
pub enum Attributed {
    Float(f32),
    Int(i64),
    Text(Bytes),
    Tensor(Box<Tensor>),
    Graph(Box<Graph>),
    Floats(Vec<f32>),
    Ints(Vec<i64>),
    Texts(Vec<Bytes>),
    /// Within a function: what the attribute of that name is where it is called.
    Reference(String),
    /// Anything else, by its number (`AttributeType`); an empty list may have the number 0.
    Other(u64),
}

/// A message `ValueInfoProto`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Port {
    /// Its name.
    pub name: String,
    /// What it is.
    pub kind: Kind,
}

/// A message `TypeProto`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Kind {
    /// A tensor of a number of ONNX's (`TensorProto.DataType`), and its sizes where they are told.
    Tensor(u64, Option<Vec<Size>>),
    /// A list.
    Sequence(Box<Kind>),
    /// A map from keys of a type.
    Map(u64, Box<Kind>),
    /// Anything else, or nothing.
    #[default]
    Other,
}

/// A size of a tensor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Size {
    /// It is this.
    Fixed(i64),
    /// It differs, and is called so; nothing where it has no name.
    Open(String),
}

/// Reads a file's bytes. Constants that lie in other files are looked for in the folder, and nowhere else.
///
/// # Errors
/// What is wrong with them, and where.
pub fn read(bytes: &[u8], folder: Option<&Path>) -> Result<Model, Fault> {
    // What is made of bytes takes more room than they do: a name of one letter has a length, a place and a capacity.
    let reader = Reader { folder, left: std::cell::Cell::new(ALLOWANCE + bytes.len().saturating_mul(TIMES)) };
    let mut model = Model::default();
    let mut fields = Fields::of(bytes);
    let mut found = false;
    while let Some((field, value)) = fields.next().map_err(Fault::malformed)? {
        match (field, value) {
            (7, Value::Bytes(graph)) if !found => {
                found = true;
                model.graph = reader.graph(graph, 0)?;
            }
            (8, Value::Bytes(opset)) => model.opsets.push(reader.opset(opset)?),
            (25, Value::Bytes(function)) => model.functions.push(reader.function(function)?),
            _ => {}
        }
    }
    if !found || model.opsets.is_empty() {
        return Err(Fault::malformed(
            "it holds no graph and version of operators, expected an ONNX model as `onnx.save` writes it",
        ));
    }
    Ok(model)
}

struct Reader<'f> {
    folder: Option<&'f Path>,
    /// The bytes that may still be made.
    left: std::cell::Cell<usize>,
}

impl Reader<'_> {
    /// Counts what is about to be kept.
    fn keep(&self, bytes: usize) -> Result<(), Fault> {
        let left = self.left.get().checked_sub(bytes);
        let left = left.ok_or_else(|| {
            Fault::malformed(format!("it would take over {TIMES} times the memory of its bytes"))
        })?;
        self.left.set(left);
        Ok(())
    }

    fn push<T>(&self, list: &mut Vec<T>, value: T) -> Result<(), Fault> {
        // A vector that grows holds up to twice what is in it.
        self.keep(2 * size_of::<T>())?;
        list.push(value);
        Ok(())
    }

    fn name(&self, bytes: &[u8], what: &str) -> Result<String, Fault> {
        self.keep(bytes.len())?;
        text(bytes, what).map_err(Fault::malformed)
    }

    fn opset(&self, message: &[u8]) -> Result<(String, i64), Fault> {
        let (mut domain, mut version) = (String::new(), 0);
        each(message, |field, value| {
            match (field, value) {
                (1, Value::Bytes(it)) => domain = self.name(it, "a domain")?,
                (2, Value::Number(it)) => version = it.cast_signed(),
                _ => {}
            }
            Ok(())
        })?;
        if domain == "ai.onnx" {
            domain.clear();
        }
        self.keep(64)?;
        Ok((domain, version))
    }

    fn function(&self, message: &[u8]) -> Result<Function, Fault> {
        let mut function = Function { message: self.bytes(message)?, ..Function::default() };
        each(message, |field, value| {
            match (field, value) {
                (1, Value::Bytes(it)) => function.name = self.name(it, "a function's name")?,
                (10, Value::Bytes(it)) => function.domain = self.name(it, "a domain")?,
                _ => {}
            }
            Ok(())
        })?;
        self.keep(size_of::<Function>())?;
        Ok(function)
    }

    fn graph(&self, message: &[u8], depth: usize) -> Result<Graph, Fault> {
        if depth >= DEEPEST {
            return Err(Fault::malformed(format!("graphs lie more than {DEEPEST} deep in one another")));
        }
        let mut graph = Graph::default();
        each(message, |field, value| match (field, value) {
            (1, Value::Bytes(it)) => self.push(&mut graph.nodes, self.node(it, depth)?),
            (5, Value::Bytes(it)) => {
                let constant = constant::read(it, self.folder, &|bytes| self.keep(bytes))?;
                self.push(&mut graph.initializers, constant)
            }
            (11, Value::Bytes(it)) => self.push(&mut graph.inputs, self.port(it)?),
            (12, Value::Bytes(it)) => self.push(&mut graph.outputs, self.port(it)?),
            (15, Value::Bytes(_)) => Err(Fault::Unsupported {
                what: "a sparse constant".to_owned(),
                advice: "save the model with dense ones",
            }),
            _ => Ok(()),
        })?;
        Ok(graph)
    }

    fn node(&self, message: &[u8], depth: usize) -> Result<Node, Fault> {
        let mut node = Node::default();
        each(message, |field, value| {
            match (field, value) {
                (1, Value::Bytes(it)) => self.push(&mut node.inputs, self.name(it, "an input")?)?,
                (2, Value::Bytes(it)) => self.push(&mut node.outputs, self.name(it, "an output")?)?,
                (3, Value::Bytes(it)) => node.name = self.name(it, "a node's name")?,
                (4, Value::Bytes(it)) => node.operator = self.name(it, "an operator")?,
                (5, Value::Bytes(it)) => {
                    self.push(&mut node.attributes, self.attribute(it, depth)?)?;
                }
                (7, Value::Bytes(it)) if it != b"ai.onnx" => node.domain = self.name(it, "a domain")?,
                _ => {}
            }
            Ok(())
        })?;
        Ok(node)
    }

    fn attribute(&self, message: &[u8], depth: usize) -> Result<Attribute, Fault> {
        let mut name = String::new();
        let mut kind = 0;
        let (mut floats, mut ints, mut texts) = (Vec::new(), Vec::new(), Vec::new());
        let mut value = None;
        let mut shared = Bytes::new();
        each(message, |field, it| {
            match (field, it) {
                (1, Value::Bytes(it)) => name = self.name(it, "an attribute's name")?,
                (20, Value::Number(it)) => kind = it,
                (2, Value::Fixed(bits)) => value = Some(Attributed::Float(single(bits))),
                (3, Value::Number(it)) => value = Some(Attributed::Int(it.cast_signed())),
                (4, Value::Bytes(it)) => value = Some(Attributed::Text(self.bytes(it)?)),
                (5, Value::Bytes(it)) => {
                    let constant = constant::read(it, self.folder, &|bytes| self.keep(bytes))?;
                    value = Some(Attributed::Tensor(Box::new(constant)));
                }
                (6, Value::Bytes(it)) => {
                    value = Some(Attributed::Graph(Box::new(self.graph(it, depth + 1)?)));
                }
                (7, Value::Fixed(bits)) => self.push(&mut floats, single(bits))?,
                (7, Value::Bytes(it)) => {
                    self.keep(it.len())?;
                    floats.extend(it.as_chunks().0.iter().map(|it| f32::from_le_bytes(*it)));
                }
                (8, Value::Number(it)) => self.push(&mut ints, it.cast_signed())?,
                (8, Value::Bytes(it)) => {
                    for it in packed(it) {
                        self.push(&mut ints, it.map_err(Fault::malformed)?.cast_signed())?;
                    }
                }
                (9, Value::Bytes(it)) => {
                    // A list may have a text for each node of a forest: they share one copy.
                    if shared.is_empty() {
                        shared = self.bytes(message)?;
                    }
                    let start = it.as_ptr().addr() - message.as_ptr().addr();
                    self.push(&mut texts, shared.slice(start..start + it.len()))?;
                }
                (21, Value::Bytes(it)) if !it.is_empty() => {
                    value = Some(Attributed::Reference(self.name(it, "an attribute's name")?));
                }
                (10 | 11 | 13..=15 | 22 | 23, _) => value = Some(Attributed::Other(kind)),
                _ => {}
            }
            Ok(())
        })?;
        let value = match (value, kind) {
            // A nought is not written down by every writer.
            (None, 1) => Attributed::Float(0.0),
            (None, 2) => Attributed::Int(0),
            (None, 3) => Attributed::Text(Bytes::new()),
            (Some(value), _) => value,
            (None, 6) => Attributed::Floats(floats),
            (None, 7) => Attributed::Ints(ints),
            (None, 8) => Attributed::Texts(texts),
            (None, _) if !floats.is_empty() => Attributed::Floats(floats),
            (None, _) if !ints.is_empty() => Attributed::Ints(ints),
            (None, _) if !texts.is_empty() => Attributed::Texts(texts),
            (None, kind) => Attributed::Other(kind),
        };
        Ok(Attribute { name, value })
    }

    fn bytes(&self, bytes: &[u8]) -> Result<Bytes, Fault> {
        self.keep(bytes.len())?;
        Ok(Bytes::copy_from_slice(bytes))
    }

    fn port(&self, message: &[u8]) -> Result<Port, Fault> {
        let mut port = Port { name: String::new(), kind: Kind::Other };
        each(message, |field, value| {
            match (field, value) {
                (1, Value::Bytes(it)) => port.name = self.name(it, "a tensor's name")?,
                (2, Value::Bytes(it)) => port.kind = self.kind(it, 0)?,
                _ => {}
            }
            Ok(())
        })?;
        Ok(port)
    }

    fn kind(&self, message: &[u8], depth: usize) -> Result<Kind, Fault> {
        if depth >= DEEPEST {
            return Err(Fault::malformed(format!("types lie more than {DEEPEST} deep in one another")));
        }
        let mut kind = Kind::Other;
        each(message, |field, value| {
            match (field, value) {
                (1, Value::Bytes(it)) => kind = self.tensor_kind(it)?,
                (4, Value::Bytes(it)) => {
                    let mut element = Kind::Other;
                    each(it, |field, value| {
                        if let (1, Value::Bytes(it)) = (field, value) {
                            element = self.kind(it, depth + 1)?;
                        }
                        Ok(())
                    })?;
                    kind = Kind::Sequence(Box::new(element));
                }
                (5, Value::Bytes(it)) => {
                    let (mut key, mut element) = (0, Kind::Other);
                    each(it, |field, value| {
                        match (field, value) {
                            (1, Value::Number(it)) => key = it,
                            (2, Value::Bytes(it)) => element = self.kind(it, depth + 1)?,
                            _ => {}
                        }
                        Ok(())
                    })?;
                    kind = Kind::Map(key, Box::new(element));
                }
                _ => {}
            }
            self.keep(64)
        })?;
        Ok(kind)
    }

    fn tensor_kind(&self, message: &[u8]) -> Result<Kind, Fault> {
        let (mut element, mut shape) = (0, None);
        each(message, |field, value| {
            match (field, value) {
                (1, Value::Number(it)) => element = it,
                (2, Value::Bytes(it)) => {
                    let mut sizes = Vec::new();
                    each(it, |field, value| match (field, value) {
                        (1, Value::Bytes(it)) => self.push(&mut sizes, self.size(it)?),
                        _ => Ok(()),
                    })?;
                    if sizes.len() > weir_sdk::proto::tensor::MAX_RANK {
                        return Err(Fault::malformed(format!("a tensor of {} sizes", sizes.len())));
                    }
                    shape = Some(sizes);
                }
                _ => {}
            }
            Ok(())
        })?;
        Ok(Kind::Tensor(element, shape))
    }

    fn size(&self, message: &[u8]) -> Result<Size, Fault> {
        let mut size = Size::Open(String::new());
        each(message, |field, value| {
            match (field, value) {
                (1, Value::Number(it)) => size = Size::Fixed(it.cast_signed()),
                (2, Value::Bytes(it)) => size = Size::Open(self.name(it, "a size's name")?),
                _ => {}
            }
            Ok(())
        })?;
        // Some writers put a minus where they mean any.
        Ok(if matches!(size, Size::Fixed(..0)) { Size::Open(String::new()) } else { size })
    }
}

/// The graph of a function, called with those attributes, and the versions of operators it is written in.
///
/// # Errors
/// What is wrong with it.
pub fn graph_of(function: &Function, attributes: &[Attribute]) -> Result<(Graph, Vec<(String, i64)>), Fault> {
    let message = &function.message;
    let left = std::cell::Cell::new((1 << 16) + message.len().saturating_mul(TIMES));
    let reader = Reader { folder: None, left };
    let (mut graph, mut opsets) = (Graph::default(), Vec::new());
    let port = |it: &[u8], what| reader.name(it, what).map(|name| Port { name, kind: Kind::Other });
    each(message, |field, value| match (field, value) {
        (4, Value::Bytes(it)) => reader.push(&mut graph.inputs, port(it, "an input")?),
        (5, Value::Bytes(it)) => reader.push(&mut graph.outputs, port(it, "an output")?),
        (7, Value::Bytes(it)) => reader.push(&mut graph.nodes, reader.node(it, 0)?),
        (9, Value::Bytes(it)) => reader.push(&mut opsets, reader.opset(it)?),
        _ => Ok(()),
    })?;
    for node in &mut graph.nodes {
        let mut kept = Vec::with_capacity(node.attributes.len());
        for mut it in std::mem::take(&mut node.attributes) {
            if let Attributed::Reference(name) = &it.value {
                // What the call leaves out is left out here.
                let Some(told) = attributes.iter().find(|told| told.name == *name) else { continue };
                it.value = match &told.value {
                    Attributed::Float(it) => Attributed::Float(*it),
                    Attributed::Int(it) => Attributed::Int(*it),
                    Attributed::Text(it) => Attributed::Text(it.clone()),
                    Attributed::Ints(it) => Attributed::Ints(it.clone()),
                    Attributed::Floats(it) => Attributed::Floats(it.clone()),
                    _ => return Err(Fault::malformed("an attribute of a function that is no plain value")),
                };
            }
            kept.push(it);
        }
        node.attributes = kept;
    }
    Ok((graph, opsets))
}

/// Goes through the fields of a message.
pub(super) fn each<'a>(
    message: &'a [u8],
    mut take: impl FnMut(u64, Value<'a>) -> Result<(), Fault>,
) -> Result<(), Fault> {
    let mut fields = Fields::of(message);
    while let Some((field, value)) = fields.next().map_err(Fault::malformed)? {
        take(field, value)?;
    }
    Ok(())
}

/// The single of four bytes.
pub(super) fn single(bits: u64) -> f32 {
    f32::from_bits(bits as u32)
}
