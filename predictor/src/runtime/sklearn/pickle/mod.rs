//! An inert pickle machine: protocols 0 to 5 and joblib's raw arrays become a graph of plain nodes.
//!
//! Nothing is ever imported, resolved or called. A global stays a name; a call stays an [`Object`] that says what would have
//! been called with what. Meaning is given to a few names only, by the modules that read the graph.

mod cursor;
mod joblib;
mod literal;
mod machine;
mod opcode;

use std::borrow::Cow;
use std::cell::Cell;

use super::refusal::Refusal;
use super::view::View;

/// The most nodes a file may make. A vocabulary of five million words needs ten million.
const MAX_NODES: usize = 1 << 24;

/// How many bytes a file may cost, as a multiple of its size, beyond an [`ALLOWANCE`] that no file exceeds which is small. An
/// opcode of one byte makes a node of many; objects may share an array by reference and ask for it a million times over. Numbers
/// take one to three times their file, a vocabulary of short words, seven bytes each in the file, fourteen times.
const MAX_EXPANSION: usize = 20;
const ALLOWANCE: usize = 16 << 20;

/// The same of what a compressed file opens to: whoever sends a bomb pays nothing for it.
const OPENED_EXPANSION: usize = 4;

/// Reads a whole file that was of `stored` bytes before it was opened.
///
/// # Errors
/// `Malformed` with the offset for bytes that are cut short or that no pickle has; `Unsupported` for the few things that a
/// pickle may have and that only a running Python can follow.
pub(crate) fn read(bytes: &[u8], stored: usize) -> Result<Doc<'_>, Refusal> {
    let budget = Budget::of(bytes.len(), stored);
    let (nodes, root) = machine::run(bytes, &budget)?;
    Ok(Doc { nodes, root, budget })
}

/// The graph of a file. Nodes refer to each other by index, so shared and even circular structures are harmless.
#[derive(Debug)]
pub(crate) struct Doc<'a> {
    nodes: Vec<Node<'a>>,
    root: NodeId,
    budget: Budget,
}

impl Doc<'_> {
    /// Returns the object that was saved.
    pub(crate) fn root(&self) -> View<'_> {
        View::new(&self.nodes, self.root, &self.budget)
    }

    /// Says whether the budget lasted. When it did not, answers of [`View`] were withheld, and what was made of them is void.
    ///
    /// # Errors
    /// `Malformed` when it is spent.
    pub(crate) fn afforded(&self) -> Result<(), Refusal> {
        if self.budget.spent.get() { Err(self.budget.refusal()) } else { Ok(()) }
    }
}

/// How much memory and time a file may still cost: what its nodes take, what is copied out of it, how often it is searched.
#[derive(Debug)]
pub(crate) struct Budget {
    limit: usize,
    bytes: Cell<usize>,
    looks: Cell<usize>,
    spent: Cell<bool>,
}

impl Budget {
    /// For a file of `stored` bytes that are `opened` ones when it is compressed no more.
    fn of(opened: usize, stored: usize) -> Self {
        let more = if opened == stored { 0 } else { opened.saturating_mul(OPENED_EXPANSION) };
        let limit = stored.saturating_mul(MAX_EXPANSION).saturating_add(more).saturating_add(ALLOWANCE);
        Self { limit, bytes: Cell::new(limit), looks: Cell::new(limit), spent: Cell::new(false) }
    }

    /// Counts bytes about to be taken.
    ///
    /// # Errors
    /// `Malformed` when the file asks for far more than it holds.
    pub(crate) fn charge(&self, bytes: usize) -> Result<(), Refusal> {
        self.pay(&self.bytes, bytes).ok_or_else(|| self.refusal())
    }

    /// Counts entries of a dict that were looked at, or answers `None` when there were far more than the file has bytes.
    pub(crate) fn look(&self, entries: usize) -> Option<()> {
        self.pay(&self.looks, entries)
    }

    fn pay(&self, purse: &Cell<usize>, price: usize) -> Option<()> {
        let left = purse.get().checked_sub(price).filter(|_| !self.spent.get());
        self.spent.set(left.is_none());
        left.map(|left| purse.set(left))
    }

    fn refusal(&self) -> Refusal {
        Refusal::malformed(format!(
            "what it holds would take more memory than the {} MiB that a file of its size is worth, which is more for one that \
             is not compressed",
            self.limit >> 20
        ))
    }
}

/// The place of a node in its graph.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NodeId(u32);

impl NodeId {
    /// No node has this place: there are fewer.
    const NOWHERE: Self = Self(u32::MAX);

    pub(crate) fn index(self) -> usize {
        self.0 as usize
    }
}

/// One value of a pickle.
#[derive(Debug)]
pub(crate) enum Node<'a> {
    None,
    Bool(bool),
    Int(i64),
    /// Beyond 64 bits; its digits serve nobody here.
    BigInt,
    Float(f64),
    Text(Cow<'a, str>),
    Bytes(Cow<'a, [u8]>),
    List(Vec<NodeId>),
    Tuple(Vec<NodeId>),
    /// A set or a frozen set.
    Set(Vec<NodeId>),
    Dict(Vec<(NodeId, NodeId)>),
    /// A class or function, by name.
    Global(Box<Global<'a>>),
    /// What a call would have made.
    Object(Box<Object>),
    /// An array that joblib wrote raw into the file.
    Array(Box<RawArray<'a>>),
    /// Something that lives outside of the file.
    Persistent,
}

/// The name of a class or function.
#[derive(Debug)]
pub(crate) struct Global<'a> {
    pub(crate) module: Cow<'a, str>,
    pub(crate) name: Cow<'a, str>,
}

/// What `class(*args)` would have made, had anybody called it.
#[derive(Debug)]
pub(crate) struct Object {
    /// What would have been called.
    pub(crate) class: NodeId,
    /// A tuple, in every file that Python writes.
    pub(crate) args: NodeId,
    /// What `__setstate__` would have got.
    pub(crate) state: Option<NodeId>,
    /// What would have been appended, for a subclass of list or set.
    pub(crate) items: Vec<NodeId>,
    /// What would have been set, for a subclass of dict.
    pub(crate) pairs: Vec<(NodeId, NodeId)>,
}

/// An array of joblib's: the elements lie in the file as they lay in memory.
#[derive(Debug)]
pub(crate) struct RawArray<'a> {
    /// The description of an element.
    pub(crate) dtype: NodeId,
    /// Sizes, outermost first.
    pub(crate) shape: Vec<usize>,
    /// Whether the first index varies fastest.
    pub(crate) fortran: bool,
    /// As many bytes as the shape and the element say.
    pub(crate) data: &'a [u8],
}
