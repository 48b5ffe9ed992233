//! The graph of a file, packed: a value takes eight bytes, a small integer none, and a text stays where it is in the file.

use std::borrow::Cow;

use super::super::refusal::Refusal;
use super::chunked::Chunked;
use super::literal::Literal;
use super::{Budget, MAX_NODES, Node, NodeId, Object, RawArray};

/// The values of a file. They refer to each other by number, so shared and even circular structures are harmless.
#[derive(Debug, Default)]
pub(crate) struct Graph<'a> {
    file: &'a [u8],
    /// Of each value its [`Kind`] and, above that, what it is or where.
    cells: Chunked<u64>,
    /// What containers and objects are made of.
    words: Chunked<u32>,
    /// What does not fit into a cell.
    wide: Chunked<u64>,
    /// Strings that the file holds with escapes.
    owned: Chunked<Box<[u8]>>,
    arrays: Chunked<RawArray<'a>>,
}

/// What a cell holds beside it is said here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
enum Kind {
    None,
    False,
    True,
    /// The integer, when it fits.
    Int,
    /// Where the integer is in `wide`.
    WideInt,
    BigInt,
    /// Where its bits are in `wide`.
    Float,
    /// A [`Span`].
    Text,
    /// Where its offset and length are in `wide`.
    LongText,
    /// Which of `owned` it is.
    OwnedText,
    Bytes,
    LongBytes,
    OwnedBytes,
    /// Where its [`Header`] is in `words`.
    List,
    Set,
    Dict,
    /// Where its length is in `words`; the members follow.
    Tuple,
    /// Where module and name are in `words`.
    Global,
    /// Where class, arguments, state and the [`Header`]s of members and items are in `words`.
    Object,
    /// Which of `arrays` it is.
    Array,
    Persistent,
}

const KINDS: [Kind; 21] = [
    Kind::None,
    Kind::False,
    Kind::True,
    Kind::Int,
    Kind::WideInt,
    Kind::BigInt,
    Kind::Float,
    Kind::Text,
    Kind::LongText,
    Kind::OwnedText,
    Kind::Bytes,
    Kind::LongBytes,
    Kind::OwnedBytes,
    Kind::List,
    Kind::Set,
    Kind::Dict,
    Kind::Tuple,
    Kind::Global,
    Kind::Object,
    Kind::Array,
    Kind::Persistent,
];

/// How many bits of a cell tell the kind.
const KIND_BITS: u32 = 5;
/// How many of a span tell the length.
const LENGTH_BITS: u32 = 64 - KIND_BITS - 40;

/// A container that grows: where its first and its last run are in `words`, and how many members all runs have. A run is where
/// the next one is, how many members it has, and those.
const HEADER: [u32; 3] = [NOWHERE, NOWHERE, 0];
const NOWHERE: u32 = u32::MAX;

impl<'a> Graph<'a> {
    /// Makes one with the constants, in the order of [`NodeId`]'s.
    pub(super) fn new(file: &'a [u8], budget: &Budget) -> Result<Self, Refusal> {
        let mut graph = Self { file, ..Self::default() };
        for kind in [Kind::None, Kind::False, Kind::True] {
            graph.add(kind, 0, budget)?;
        }
        graph.tuple(std::iter::empty(), budget)?;
        Ok(graph)
    }

    fn add(&mut self, kind: Kind, payload: u64, budget: &Budget) -> Result<NodeId, Refusal> {
        if self.cells.len() >= MAX_NODES {
            return Err(Refusal::malformed(format!("more than {MAX_NODES} objects in one file")));
        }
        let id = NodeId(self.cells.len() as u32);
        self.cells.push(payload << KIND_BITS | kind as u64, budget)?;
        Ok(id)
    }

    /// Adds a value that is made of its own bytes.
    pub(super) fn literal(&mut self, literal: Literal<'a>, budget: &Budget) -> Result<NodeId, Refusal> {
        match literal {
            Literal::Bool(value) => Ok(if value { NodeId::TRUE } else { NodeId::FALSE }),
            Literal::Int(value) => match NodeId::small(value) {
                Some(id) => Ok(id),
                None => self.int(value, budget),
            },
            Literal::BigInt => self.add(Kind::BigInt, 0, budget),
            Literal::Float(value) => {
                let at = self.wide.len() as u64;
                self.wide.push(value.to_bits(), budget)?;
                self.add(Kind::Float, at, budget)
            }
            Literal::Text(Cow::Borrowed(text)) => {
                self.span(text.as_bytes(), [Kind::Text, Kind::LongText], budget)
            }
            Literal::Bytes(Cow::Borrowed(bytes)) => self.span(bytes, [Kind::Bytes, Kind::LongBytes], budget),
            Literal::Text(Cow::Owned(text)) => self.own(text.into_bytes(), Kind::OwnedText, budget),
            Literal::Bytes(Cow::Owned(bytes)) => self.own(bytes, Kind::OwnedBytes, budget),
            Literal::List => self.container(Kind::List, budget),
            Literal::Dict => self.container(Kind::Dict, budget),
            Literal::Set => self.container(Kind::Set, budget),
        }
    }

    fn int(&mut self, value: i64, budget: &Budget) -> Result<NodeId, Refusal> {
        if value << KIND_BITS >> KIND_BITS == value {
            return self.add(Kind::Int, value.cast_unsigned(), budget);
        }
        let at = self.wide.len() as u64;
        self.wide.push(value.cast_unsigned(), budget)?;
        self.add(Kind::WideInt, at, budget)
    }

    /// Adds a part of the file: where it is, in one number if it is short.
    fn span(&mut self, bytes: &[u8], kinds: [Kind; 2], budget: &Budget) -> Result<NodeId, Refusal> {
        let offset = bytes.as_ptr().addr().wrapping_sub(self.file.as_ptr().addr()) as u64;
        let length = bytes.len() as u64;
        if length < 1 << LENGTH_BITS && offset < 1 << (64 - KIND_BITS - LENGTH_BITS) {
            return self.add(kinds[0], offset << LENGTH_BITS | length, budget);
        }
        let at = self.wide.len() as u64;
        self.wide.push(offset, budget)?;
        self.wide.push(length, budget)?;
        self.add(kinds[1], at, budget)
    }

    fn own(&mut self, bytes: Vec<u8>, kind: Kind, budget: &Budget) -> Result<NodeId, Refusal> {
        budget.charge(bytes.len())?;
        let at = self.owned.len() as u64;
        self.owned.push(bytes.into_boxed_slice(), budget)?;
        self.add(kind, at, budget)
    }

    fn container(&mut self, kind: Kind, budget: &Budget) -> Result<NodeId, Refusal> {
        let at = self.write(HEADER, budget)?;
        self.add(kind, at.into(), budget)
    }

    /// Adds an empty list.
    pub(super) fn list(&mut self, budget: &Budget) -> Result<NodeId, Refusal> {
        self.container(Kind::List, budget)
    }

    /// Adds an empty set.
    pub(super) fn set(&mut self, budget: &Budget) -> Result<NodeId, Refusal> {
        self.container(Kind::Set, budget)
    }

    /// Adds an empty dict.
    pub(super) fn dict(&mut self, budget: &Budget) -> Result<NodeId, Refusal> {
        self.container(Kind::Dict, budget)
    }

    /// Adds a tuple.
    pub(super) fn tuple(
        &mut self,
        members: impl ExactSizeIterator<Item = NodeId>,
        budget: &Budget,
    ) -> Result<NodeId, Refusal> {
        let at = self.write([members.len() as u32], budget)?;
        for member in members {
            self.words.push(member.0, budget)?;
        }
        self.add(Kind::Tuple, at.into(), budget)
    }

    /// Adds the name of a class or function.
    pub(super) fn global(&mut self, names: [NodeId; 2], budget: &Budget) -> Result<NodeId, Refusal> {
        let at = self.write(names.map(|it| it.0), budget)?;
        self.add(Kind::Global, at.into(), budget)
    }

    /// Adds what a call would have made.
    pub(super) fn object(&mut self, class: NodeId, args: NodeId, budget: &Budget) -> Result<NodeId, Refusal> {
        let at = self.write([class.0, args.0, NOWHERE, NOWHERE, NOWHERE], budget)?;
        self.add(Kind::Object, at.into(), budget)
    }

    pub(super) fn array(&mut self, array: RawArray<'a>, budget: &Budget) -> Result<NodeId, Refusal> {
        budget.charge(size_of_val(array.shape.as_slice()))?;
        let at = self.arrays.len() as u64;
        self.arrays.push(array, budget)?;
        self.add(Kind::Array, at, budget)
    }

    pub(super) fn persistent(&mut self, budget: &Budget) -> Result<NodeId, Refusal> {
        self.add(Kind::Persistent, 0, budget)
    }

    /// Sets the state of an object that has none; false where there is no such object.
    pub(super) fn set_state(&mut self, id: NodeId, state: NodeId) -> bool {
        let Some((Kind::Object, at)) = self.cell(id) else { return false };
        let word = self.words.get_mut(at as usize + 2).filter(|it| **it == NOWHERE);
        word.map(|it| *it = state.0).is_some()
    }

    /// Appends to a list, a set, or an object of a subclass; false where it is none.
    pub(super) fn append(
        &mut self,
        id: NodeId,
        members: impl ExactSizeIterator<Item = NodeId>,
        budget: &Budget,
    ) -> Result<bool, Refusal> {
        let header = match self.cell(id) {
            Some((Kind::List | Kind::Set, at)) => at as u32,
            Some((Kind::Object, at)) => self.own_header(at as u32 + 3, budget)?,
            _ => return Ok(false),
        };
        self.extend(header, members, budget)?;
        Ok(true)
    }

    /// Sets items of a dict, or of an object of a subclass: keys and values by turns. False where it is none.
    pub(super) fn set_items(
        &mut self,
        id: NodeId,
        pairs: impl ExactSizeIterator<Item = NodeId>,
        budget: &Budget,
    ) -> Result<bool, Refusal> {
        let header = match self.cell(id) {
            Some((Kind::Dict, at)) => at as u32,
            Some((Kind::Object, at)) => self.own_header(at as u32 + 4, budget)?,
            _ => return Ok(false),
        };
        self.extend(header, pairs, budget)?;
        Ok(true)
    }

    /// Returns the header that a word of an object leads to; most objects need none.
    fn own_header(&mut self, word: u32, budget: &Budget) -> Result<u32, Refusal> {
        let header = self.word(word);
        if header != NOWHERE {
            return Ok(header);
        }
        let header = self.write(HEADER, budget)?;
        self.put(word, header);
        Ok(header)
    }

    fn extend(
        &mut self,
        header: u32,
        members: impl ExactSizeIterator<Item = NodeId>,
        budget: &Budget,
    ) -> Result<(), Refusal> {
        let count = members.len() as u32;
        if count == 0 {
            return Ok(());
        }
        let last = self.word(header + 1);
        let end = self.words.len() as u32;
        // Protocol 0 appends one by one, to what was appended just before.
        if last != NOWHERE && last + 2 + self.word(last + 1) == end {
            self.put(last + 1, self.word(last + 1) + count);
        } else {
            let run = self.write([NOWHERE, count], budget)?;
            self.put(if last == NOWHERE { header } else { last }, run);
            self.put(header + 1, run);
        }
        for member in members {
            self.words.push(member.0, budget)?;
        }
        self.put(header + 2, self.word(header + 2) + count);
        Ok(())
    }

    /// Writes words and returns where the first one is.
    fn write<const N: usize>(&mut self, words: [u32; N], budget: &Budget) -> Result<u32, Refusal> {
        let at = u32::try_from(self.words.len()).ok().filter(|&it| it < NOWHERE - (1 << 30));
        let at = at.ok_or_else(|| Refusal::malformed("its containers have more than 3 * 2^30 members"))?;
        for word in words {
            self.words.push(word, budget)?;
        }
        Ok(at)
    }

    /// Returns a word that was written.
    fn word(&self, at: u32) -> u32 {
        self.words.get(at as usize).copied().unwrap_or(NOWHERE)
    }

    fn put(&mut self, at: u32, word: u32) {
        if let Some(it) = self.words.get_mut(at as usize) {
            *it = word;
        }
    }

    fn cell(&self, id: NodeId) -> Option<(Kind, u64)> {
        let cell = *self.cells.get(id.0 as usize)?;
        let kind = KINDS.get((cell & ((1 << KIND_BITS) - 1)) as usize)?;
        Some((*kind, cell >> KIND_BITS))
    }

    /// Returns a value.
    pub(crate) fn node(&self, id: NodeId) -> Node<'_> {
        if let Some(value) = id.as_small() {
            return Node::Int(value);
        }
        let Some((kind, payload)) = self.cell(id) else { return Node::None };
        let wide = |at: u64| self.wide.get(at as usize).copied().unwrap_or(0);
        match kind {
            Kind::None => Node::None,
            Kind::False => Node::Bool(false),
            Kind::True => Node::Bool(true),
            Kind::Int => Node::Int((payload << KIND_BITS).cast_signed() >> KIND_BITS),
            Kind::WideInt => Node::Int(wide(payload).cast_signed()),
            Kind::BigInt => Node::BigInt,
            Kind::Float => Node::Float(f64::from_bits(wide(payload))),
            // What is a text was one when it was added.
            Kind::Text | Kind::LongText | Kind::OwnedText => {
                Node::Text(std::str::from_utf8(self.string(kind, payload)).unwrap_or_default())
            }
            Kind::Bytes | Kind::LongBytes | Kind::OwnedBytes => Node::Bytes(self.string(kind, payload)),
            Kind::List => Node::List(self.items(payload as u32)),
            Kind::Set => Node::Set(self.items(payload as u32)),
            Kind::Dict => Node::Dict(Pairs(self.items(payload as u32))),
            Kind::Tuple => {
                let left = self.word(payload as u32) as usize;
                Node::Tuple(Items { graph: self, next: NOWHERE, at: payload as u32 + 1, run: left, left })
            }
            Kind::Global => {
                let name = |at: u64| match self.node(NodeId(self.word((payload + at) as u32))) {
                    Node::Text(name) => name,
                    _ => "",
                };
                Node::Global { module: name(0), name: name(1) }
            }
            Kind::Object => {
                let [class, args, state] = [0, 1, 2].map(|at| self.word(payload as u32 + at));
                let state = (state != NOWHERE).then_some(NodeId(state));
                Node::Object(Object { class: NodeId(class), args: NodeId(args), state })
            }
            Kind::Array => self.arrays.get(payload as usize).map_or(Node::None, Node::Array),
            Kind::Persistent => Node::Persistent,
        }
    }

    /// Returns the items that were set on an object of a subclass of dict.
    pub(crate) fn pairs_of(&self, id: NodeId) -> Option<Pairs<'_>> {
        match self.cell(id)? {
            (Kind::Dict, at) => Some(Pairs(self.items(at as u32))),
            (Kind::Object, at) => Some(Pairs(self.items(self.word(at as u32 + 4)))),
            _ => None,
        }
    }

    /// Returns whether a value is that text, faster than by looking at it.
    pub(crate) fn is_text(&self, id: NodeId, text: &str) -> bool {
        match self.cell(id) {
            Some((kind @ (Kind::Text | Kind::LongText | Kind::OwnedText), payload)) => {
                self.string(kind, payload) == text.as_bytes()
            }
            _ => false,
        }
    }

    fn string(&self, kind: Kind, payload: u64) -> &[u8] {
        let wide = |at: u64| self.wide.get(at as usize).copied().unwrap_or(0);
        let (offset, length) = match kind {
            Kind::Text | Kind::Bytes => (payload >> LENGTH_BITS, payload & ((1 << LENGTH_BITS) - 1)),
            Kind::LongText | Kind::LongBytes => (wide(payload), wide(payload + 1)),
            _ => return self.owned.get(payload as usize).map_or(&[], |it| &**it),
        };
        self.file.get(offset as usize..(offset + length) as usize).unwrap_or_default()
    }

    fn items(&self, header: u32) -> Items<'_> {
        if header == NOWHERE {
            return Items { graph: self, next: NOWHERE, at: 0, run: 0, left: 0 };
        }
        Items { graph: self, next: self.word(header), at: 0, run: 0, left: self.word(header + 2) as usize }
    }
}

/// The members of a container.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Items<'d> {
    graph: &'d Graph<'d>,
    /// Where the next run is.
    next: u32,
    /// Where the next member of this run is, and how many there are.
    at: u32,
    run: usize,
    /// How many members there are in all runs.
    left: usize,
}

impl Items<'_> {
    /// Returns a member by its place.
    pub(crate) fn at(mut self, mut place: usize) -> Option<NodeId> {
        while place >= self.run {
            place -= self.run;
            self.turn()?;
        }
        (place < self.left).then(|| NodeId(self.graph.word(self.at + place as u32)))
    }

    /// Goes to the next run.
    fn turn(&mut self) -> Option<()> {
        if self.next == NOWHERE {
            return None;
        }
        self.run = self.graph.word(self.next + 1) as usize;
        self.at = self.next + 2;
        self.next = self.graph.word(self.next);
        Some(())
    }
}

impl Iterator for Items<'_> {
    type Item = NodeId;

    fn next(&mut self) -> Option<NodeId> {
        while self.run == 0 {
            self.turn()?;
        }
        let id = NodeId(self.graph.word(self.at));
        self.at += 1;
        self.run -= 1;
        self.left -= 1;
        Some(id)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for Items<'_> {}

/// The keys and values of a dict.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pairs<'d>(Items<'d>);

impl Iterator for Pairs<'_> {
    type Item = (NodeId, NodeId);

    fn next(&mut self) -> Option<(NodeId, NodeId)> {
        Some((self.0.next()?, self.0.next()?))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.0.left / 2, Some(self.0.left / 2))
    }
}

impl ExactSizeIterator for Pairs<'_> {}
