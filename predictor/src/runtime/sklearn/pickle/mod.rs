//! An inert pickle machine: protocols 0 to 5 and joblib's raw arrays become a graph of plain nodes.
//!
//! Nothing is ever imported, resolved or called. A global stays a name; a call stays an [`Object`] that says what would have
//! been called with what. Meaning is given to a few names only, by the modules that read the graph.

mod chunked;
mod cursor;
mod graph;
mod joblib;
mod literal;
mod machine;
mod opcode;

use std::cell::Cell;

use super::refusal::Refusal;
use super::view::View;

pub(crate) use self::graph::{Graph, Items, Pairs};

/// The most values a file may have, but for small integers: a vocabulary of five million words needs five million.
const MAX_NODES: usize = 1 << 26;

/// How many bytes a file may cost, as a multiple of what it is when it is compressed no more, beyond an [`ALLOWANCE`] for small
/// ones. An opcode of one byte makes a value of many; objects may share an array by reference and ask for it a million times over.
const MAX_EXPANSION: usize = 4;
const ALLOWANCE: usize = 768 << 10;

/// How many entries of dicts may be looked at, for each byte that it may cost.
const LOOKS: usize = 8;

/// Reads a whole file that was of `stored` bytes before it was opened.
///
/// # Errors
/// `Malformed` with the offset for bytes that are cut short or that no pickle has; `Unsupported` for the few things that a
/// pickle may have and that only a running Python can follow.
pub(crate) fn read(bytes: &[u8], stored: usize) -> Result<Doc<'_>, Refusal> {
    let budget = Budget::of(bytes.len(), stored);
    let (graph, root) = machine::run(bytes, &budget)?;
    Ok(Doc { graph, root, budget })
}

/// What a file holds.
#[derive(Debug)]
pub(crate) struct Doc<'a> {
    graph: Graph<'a>,
    root: NodeId,
    budget: Budget,
}

impl Doc<'_> {
    /// Returns the object that was saved.
    pub(crate) fn root(&self) -> View<'_> {
        View::new(&self.graph, self.root, &self.budget)
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
        let limit = opened.max(stored).saturating_mul(MAX_EXPANSION).saturating_add(ALLOWANCE);
        Self {
            limit,
            bytes: Cell::new(limit),
            // It takes no memory, only time.
            looks: Cell::new(limit.saturating_mul(LOOKS)),
            spent: Cell::new(false),
        }
    }

    /// Counts bytes about to be taken.
    ///
    /// # Errors
    /// `Malformed` when the file asks for far more than it holds.
    pub(crate) fn charge(&self, bytes: usize) -> Result<(), Refusal> {
        self.pay(&self.bytes, bytes).ok_or_else(|| self.refusal())
    }

    /// Takes back bytes that were charged and are free again.
    pub(crate) fn refund(&self, bytes: usize) {
        self.bytes.set(self.bytes.get().saturating_add(bytes).min(self.limit));
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
            "what it holds would take more memory than the {} KiB that a file of its size is worth, four times its bytes and a \
             little more; was it made to take memory",
            self.limit >> 10
        ))
    }
}

/// The place of a value in its graph; or the value itself, where it is a small integer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NodeId(u32);

impl NodeId {
    /// The constants stand first and are shared.
    const NONE: Self = Self(0);
    const FALSE: Self = Self(1);
    const TRUE: Self = Self(2);
    const EMPTY: Self = Self(3);

    /// No value has this place.
    const NOWHERE: Self = Self(u32::MAX);

    /// The bit that makes the others an integer.
    const SMALL: u32 = 1 << 31;

    fn small(value: i64) -> Option<Self> {
        let value = u32::try_from(value).ok().filter(|&it| it < Self::SMALL - 1)?;
        Some(Self(value | Self::SMALL))
    }

    fn as_small(self) -> Option<i64> {
        (self.0 & Self::SMALL != 0 && self != Self::NOWHERE).then(|| (self.0 & !Self::SMALL).into())
    }
}

/// One value of a pickle.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Node<'d> {
    None,
    Bool(bool),
    Int(i64),
    /// Beyond 64 bits; its digits serve nobody here.
    BigInt,
    Float(f64),
    Text(&'d str),
    Bytes(&'d [u8]),
    List(Items<'d>),
    Tuple(Items<'d>),
    /// A set or a frozen set.
    Set(Items<'d>),
    Dict(Pairs<'d>),
    /// A class or function, by name.
    Global {
        module: &'d str,
        name: &'d str,
    },
    /// What a call would have made.
    Object(Object),
    /// An array that joblib wrote raw into the file.
    Array(&'d RawArray<'d>),
    /// Something that lives outside of the file.
    Persistent,
}

/// What `class(*args)` would have made, had anybody called it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Object {
    /// What would have been called.
    pub(crate) class: NodeId,
    /// A tuple, in every file that Python writes.
    pub(crate) args: NodeId,
    /// What `__setstate__` would have got.
    pub(crate) state: Option<NodeId>,
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
