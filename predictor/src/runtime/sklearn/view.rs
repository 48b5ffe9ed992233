//! A look at one node of a pickle: typed questions that are answered with `None` where the node is something else.

use std::borrow::Cow;

use super::numpy;
use super::pickle::{Budget, Graph, Items, Node, NodeId, Object};
use super::refusal::Refusal;

/// The most dimensions numpy has.
const MAX_DIMENSIONS: usize = 64;

/// What a member of a list or dict costs whoever takes it, in bytes: a view of it, or the number it is in a list that grows.
const MEMBER: usize = 24;

/// What a string costs beside its bytes.
const HEADER: usize = 32;

/// A node and the graph around it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct View<'d> {
    graph: &'d Graph<'d>,
    id: NodeId,
    budget: &'d Budget,
}

impl<'d> View<'d> {
    pub(crate) fn new(graph: &'d Graph<'d>, id: NodeId, budget: &'d Budget) -> Self {
        Self { graph, id, budget }
    }

    pub(crate) fn id(self) -> NodeId {
        self.id
    }

    pub(crate) fn node(self) -> Node<'d> {
        self.graph.node(self.id)
    }

    /// Returns another node of the same graph.
    pub(crate) fn at(self, id: NodeId) -> Self {
        Self { id, ..self }
    }

    /// Counts bytes about to be taken out of the graph.
    ///
    /// # Errors
    /// `Malformed` when the file asks for far more than it holds.
    pub(crate) fn charge(self, bytes: usize) -> Result<(), Refusal> {
        self.budget.charge(bytes)
    }

    /// Returns whether it is a boolean, and no number.
    pub(crate) fn is_truth(self) -> bool {
        matches!(self.node(), Node::Bool(_))
    }

    pub(crate) fn is_none(self) -> bool {
        matches!(self.node(), Node::None)
    }

    /// Counts bytes that whoever asks is going to take; once the budget is spent, nothing is found any more.
    fn afford(self, bytes: usize) -> Option<()> {
        self.charge(bytes).ok()
    }

    /// Returns a text.
    pub(crate) fn text(self) -> Option<&'d str> {
        match self.node() {
            Node::Text(text) => self.afford(text.len()).map(|()| text),
            _ => None,
        }
    }

    /// Returns a text, also one of numpy's.
    pub(crate) fn string(self) -> Option<Cow<'d, str>> {
        match self.node() {
            Node::Text(text) => self.afford(text.len() + HEADER).map(|()| Cow::Borrowed(text)),
            Node::Object(_) => String::from_utf8(numpy::scalar_text(self)?).ok().map(Cow::Owned),
            _ => None,
        }
    }

    pub(crate) fn boolean(self) -> Option<bool> {
        match self.node() {
            Node::Bool(value) => Some(value),
            Node::Object(_) => Some(numpy::scalar(self)? != 0.0),
            _ => None,
        }
    }

    pub(crate) fn int(self) -> Option<i64> {
        match self.node() {
            Node::Int(value) => Some(value),
            Node::Bool(value) => Some(value.into()),
            Node::Object(_) => {
                let value = numpy::scalar(self)?;
                // Every integer that is used here is a count, far below 2^53.
                (value.fract() == 0.0 && value.abs() < 9e15).then_some(value as i64)
            }
            _ => None,
        }
    }

    pub(crate) fn number(self) -> Option<f64> {
        match self.node() {
            Node::Int(value) => Some(value as f64),
            Node::Float(value) => Some(value),
            Node::Bool(value) => Some(value.into()),
            Node::Object(_) => numpy::scalar(self),
            _ => None,
        }
    }

    /// Returns the members of a list or tuple.
    pub(crate) fn items(self) -> Option<impl ExactSizeIterator<Item = Self>> {
        match self.node() {
            Node::List(items) | Node::Tuple(items) => self.each(items),
            _ => None,
        }
    }

    /// Returns how many members a list or tuple has.
    pub(crate) fn count(self) -> Option<usize> {
        match self.node() {
            Node::List(items) | Node::Tuple(items) => Some(items.len()),
            _ => None,
        }
    }

    /// Returns the members of a list or tuple to somebody who pays for what is made of them.
    pub(crate) fn children(self) -> Option<impl ExactSizeIterator<Item = Self> + Clone> {
        match self.node() {
            Node::List(items) | Node::Tuple(items) => {
                self.budget.look(items.len())?;
                Some(items.map(move |id| self.at(id)))
            }
            _ => None,
        }
    }

    /// The same of a list, tuple or set.
    pub(crate) fn all(self) -> Option<impl ExactSizeIterator<Item = Self> + Clone> {
        match self.node() {
            Node::List(items) | Node::Tuple(items) | Node::Set(items) => {
                self.budget.look(items.len())?;
                Some(items.map(move |id| self.at(id)))
            }
            _ => None,
        }
    }

    /// Returns the keys and values of a dict to somebody who pays for what is made of them.
    pub(crate) fn entries(self) -> Option<impl ExactSizeIterator<Item = (Self, Self)> + Clone> {
        let pairs = self.graph.pairs_of(self.id)?;
        self.budget.look(pairs.len())?;
        Some(pairs.map(move |(key, value)| (self.at(key), self.at(value))))
    }

    /// Appends a text, also one of numpy's, to what somebody else has paid for.
    pub(crate) fn write(self, out: &mut Vec<u8>) -> Option<()> {
        match self.node() {
            Node::Text(text) => out.extend_from_slice(text.as_bytes()),
            Node::Object(_) => out.extend_from_slice(&numpy::scalar_text(self)?),
            _ => return None,
        }
        Some(())
    }

    fn each(self, items: Items<'d>) -> Option<impl ExactSizeIterator<Item = Self>> {
        self.afford(items.len().saturating_mul(MEMBER))?;
        Some(items.map(move |id| self.at(id)))
    }

    /// Returns the member of a list or tuple.
    pub(crate) fn item(self, at: usize) -> Option<Self> {
        match self.node() {
            Node::List(items) | Node::Tuple(items) => items.at(at).map(|id| self.at(id)),
            _ => None,
        }
    }

    /// Returns a tuple of sizes.
    pub(crate) fn shape(self) -> Option<Vec<usize>> {
        match self.node() {
            Node::List(items) | Node::Tuple(items) if items.len() <= MAX_DIMENSIONS => {}
            _ => return None,
        }
        self.items()?.map(|size| usize::try_from(size.int()?).ok()).collect()
    }

    /// Returns the value of a key of a dict. Of equal keys the last counts.
    pub(crate) fn get(self, key: &str) -> Option<Self> {
        let pairs = self.graph.pairs_of(self.id)?;
        self.budget.look(pairs.len())?;
        let found = pairs.filter(|&(name, _)| self.graph.is_text(name, key)).last();
        found.map(|(_, value)| self.at(value))
    }

    /// Returns the keys and values of a dict.
    pub(crate) fn pairs(self) -> Option<impl ExactSizeIterator<Item = (Self, Self)>> {
        let pairs = self.graph.pairs_of(self.id)?;
        self.afford(pairs.len().saturating_mul(2 * MEMBER))?;
        Some(pairs.map(move |(key, value)| (self.at(key), self.at(value))))
    }

    pub(crate) fn is_empty_dict(self) -> bool {
        matches!(self.node(), Node::Dict(pairs) if pairs.len() == 0)
    }

    pub(crate) fn object(self) -> Option<Object> {
        match self.node() {
            Node::Object(object) => Some(object),
            _ => None,
        }
    }

    /// Returns the module and name of a global.
    pub(crate) fn global(self) -> Option<(&'d str, &'d str)> {
        match self.node() {
            Node::Global { module, name } => Some((module, name)),
            _ => None,
        }
    }

    /// Returns the full name of the class of an object, or of the function whose call would have made it.
    pub(crate) fn class(self) -> Option<String> {
        let object = self.object()?;
        let called = self.at(object.class).global()?;
        let made_of_first =
            matches!(called, ("copyreg" | "copy_reg", "_reconstructor" | "__newobj__" | "__newobj_ex__"));
        let first = || self.at(object.args).item(0)?.global();
        let (module, name) = if made_of_first { first()? } else { called };
        Some(format!("{module}.{name}"))
    }

    /// Returns an attribute of an object, out of its state.
    pub(crate) fn attribute(self, name: &str) -> Option<Self> {
        self.at(self.object()?.state?).get(name)
    }

    /// Returns bytes, in any of the ways Python 2 and 3 write them.
    pub(crate) fn bytes(self) -> Option<Cow<'d, [u8]>> {
        match self.node() {
            Node::Bytes(bytes) => Some(Cow::Borrowed(bytes)),
            Node::Text(text) => Some(Cow::Borrowed(text.as_bytes())),
            Node::Object(object) => {
                let args = self.at(object.args);
                match self.at(object.class).global()? {
                    // How protocols 0 to 2 write bytes: as text of the same numbers.
                    ("_codecs", "encode") => args.item(0)?.latin1().map(Cow::Owned),
                    ("builtins" | "__builtin__", "bytearray") if args.items()?.len() > 0 => {
                        let first = args.item(0)?;
                        // Python 2 and the protocols before 3 write a text in Latin-1.
                        first.latin1().map(Cow::Owned).or_else(|| first.bytes())
                    }
                    ("builtins" | "__builtin__", "bytes" | "bytearray") if matches!(args.node(), Node::Tuple(it) if it.len() == 0) => {
                        Some(Cow::Borrowed(&[]))
                    }
                    _ => None,
                }
            }
            _ => None,
        }
    }

    /// Returns the bytes that a text of as many characters stands for.
    fn latin1(self) -> Option<Vec<u8>> {
        self.text()?.chars().map(|it| u8::try_from(it).ok()).collect()
    }

    /// Returns what the node is, in words for a message.
    pub(crate) fn kind(self) -> String {
        match self.node() {
            Node::None => "None".to_owned(),
            Node::Bool(value) => format!("the boolean {value}"),
            Node::Int(value) => format!("the integer {value}"),
            Node::BigInt => "an integer".to_owned(),
            Node::Float(value) => format!("the number {value}"),
            Node::Text(_) => "a string".to_owned(),
            Node::Bytes(_) => "a string of bytes".to_owned(),
            Node::List(_) => "a list".to_owned(),
            Node::Tuple(_) => "a tuple".to_owned(),
            Node::Set(_) => "a set".to_owned(),
            Node::Dict(_) => "a dict".to_owned(),
            Node::Global { module, name } => format!("the name {module}.{name}"),
            Node::Object(_) => self.class().unwrap_or_else(|| "an object without a class".to_owned()),
            Node::Array(_) => "an array".to_owned(),
            Node::Persistent => "a reference to something outside of the file".to_owned(),
        }
    }
}
