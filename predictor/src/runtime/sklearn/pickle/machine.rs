//! The stack machine: opcodes in, nodes out. No opcode runs anything, and each makes at most one node, so that what a file
//! makes is bounded by its size.

use std::borrow::Cow;

use super::super::refusal::Refusal;
use super::super::view::View;
use super::cursor::Cursor;
use super::{Budget, Global, MAX_NODES, Node, NodeId, Object, RawArray, literal, opcode as op};

/// Reads the pickle at the start of `bytes`; what follows its STOP is ignored, as Python does.
pub(super) fn run<'a>(bytes: &'a [u8], budget: &Budget) -> Result<(Vec<Node<'a>>, NodeId), Refusal> {
    let mut machine = Machine {
        cursor: Cursor::new(bytes),
        budget,
        nodes: vec![Node::None, Node::Bool(false), Node::Bool(true), Node::Tuple(Vec::new())],
        stack: Stack::default(),
        tallest: 0,
        inner: false,
    };
    let root = machine.run()?;
    Ok((machine.nodes, root))
}

/// The longest name of a module, or of a class or function in it.
const MAX_NAME: usize = 1024;

/// The constants stand first among the nodes and are shared.
const NONE: NodeId = NodeId(0);
const FALSE: NodeId = NodeId(1);
const TRUE: NodeId = NodeId(2);
const EMPTY: NodeId = NodeId(3);

/// What a place on the stack, in the memo or in a list takes.
const PLACE: usize = size_of::<NodeId>();

/// The state of a run.
#[derive(Debug)]
pub(super) struct Machine<'a, 'b> {
    pub(super) cursor: Cursor<'a>,
    budget: &'b Budget,
    nodes: Vec<Node<'a>>,
    stack: Stack,
    /// How many places the stack has taken at most.
    tallest: usize,
    /// Whether this is the pickle of an array of objects inside a joblib file. Such a pickle holds no further ones.
    inner: bool,
}

#[derive(Debug, Default)]
struct Stack {
    values: Vec<NodeId>,
    /// Heights of the stack, lowest first.
    marks: Vec<usize>,
    memo: Vec<NodeId>,
    /// How many places of the memo are taken.
    memoized: usize,
}

impl<'a> Machine<'a, '_> {
    /// Runs to STOP.
    fn run(&mut self) -> Result<NodeId, Refusal> {
        loop {
            let [opcode] = self.cursor.array()?;
            if opcode == op::STOP {
                return self.pop();
            }
            match literal::read(opcode, &mut self.cursor)? {
                Some(node) => self.push(node)?,
                None => self.step(opcode)?,
            }
            let tall = self.stack.places();
            if tall > self.tallest {
                self.budget.charge((tall - self.tallest) * PLACE)?;
                self.tallest = tall;
            }
        }
    }

    /// Runs the complete pickle that stands at the cursor, apart from this one.
    pub(super) fn run_inner(&mut self) -> Result<NodeId, Refusal> {
        if std::mem::replace(&mut self.inner, true) {
            return Err(self.cursor.complain("a pickle within a pickle within a pickle"));
        }
        let outer = std::mem::take(&mut self.stack);
        let root = self.run()?;
        self.stack = outer;
        self.inner = false;
        Ok(root)
    }

    fn step(&mut self, opcode: u8) -> Result<(), Refusal> {
        match opcode {
            op::NONE => self.stack.values.push(NONE),
            op::EMPTY_TUPLE => self.stack.values.push(EMPTY),
            op::NEWFALSE => self.stack.values.push(FALSE),
            op::NEWTRUE => self.stack.values.push(TRUE),
            op::MARK => self.stack.marks.push(self.stack.values.len()),
            op::POP => self.discard()?,
            op::POP_MARK => {
                self.pop_to_mark()?;
            }
            op::DUP => self.stack.values.push(self.top()?),
            op::PROTO => self.protocol()?,
            // joblib writes raw bytes between the opcodes, so the length of a frame says nothing one could trust.
            op::FRAME => {
                self.cursor.take(8)?;
            }
            op::PUT | op::BINPUT | op::LONG_BINPUT | op::MEMOIZE => self.memoize(opcode)?,
            op::GET | op::BINGET | op::LONG_BINGET => self.recall(opcode)?,
            op::LIST | op::TUPLE | op::FROZENSET | op::DICT | op::TUPLE1 | op::TUPLE2 | op::TUPLE3 => {
                self.collect(opcode)?
            }
            op::APPEND | op::APPENDS | op::ADDITEMS => self.append(opcode)?,
            op::SETITEM | op::SETITEMS => self.set_items(opcode)?,
            op::GLOBAL | op::STACK_GLOBAL => self.global(opcode)?,
            op::REDUCE | op::NEWOBJ | op::NEWOBJ_EX | op::INST | op::OBJ => self.call(opcode)?,
            op::BUILD => self.build()?,
            op::PERSID | op::BINPERSID => self.persistent(opcode)?,
            // What it makes read-only was never writable here.
            op::READONLY_BUFFER => {
                self.top()?;
            }
            op::NEXT_BUFFER => {
                return Err(needs_python("a pickle whose buffers are kept outside of the file"));
            }
            op::EXT1 | op::EXT2 | op::EXT4 => {
                return Err(needs_python("a pickle with extension codes of copyreg"));
            }
            _ => {
                return Err(self
                    .cursor
                    .complain(format!("no pickle has opcode {opcode:#04x}, met just before")));
            }
        }
        Ok(())
    }

    fn protocol(&mut self) -> Result<(), Refusal> {
        let [version] = self.cursor.array()?;
        if version > 5 {
            return Err(Refusal::unsupported(
                format!("pickle protocol {version}"),
                "save the model with protocol 5 or lower",
            ));
        }
        Ok(())
    }

    fn memoize(&mut self, opcode: u8) -> Result<(), Refusal> {
        let at = match opcode {
            op::MEMOIZE => self.stack.memoized,
            _ => self.memo_index(opcode)?,
        };
        // A pickle numbers what it remembers from zero up, and each costs it a byte at least.
        if at >= self.cursor.size() {
            return Err(self
                .cursor
                .complain(format!("place {at} of the memo, more than the file has bytes")));
        }
        let value = self.top()?;
        let memo = &mut self.stack.memo;
        if at >= memo.len() {
            memo.resize(at + 1, NodeId::NOWHERE);
        }
        if std::mem::replace(&mut memo[at], value) == NodeId::NOWHERE {
            self.stack.memoized += 1;
        }
        Ok(())
    }

    fn recall(&mut self, opcode: u8) -> Result<(), Refusal> {
        let at = self.memo_index(opcode)?;
        match self.stack.memo.get(at) {
            Some(&value) if value != NodeId::NOWHERE => self.stack.values.push(value),
            _ => return Err(self.cursor.complain(format!("place {at} of the memo is asked for and empty"))),
        }
        Ok(())
    }

    fn memo_index(&mut self, opcode: u8) -> Result<usize, Refusal> {
        match opcode {
            op::PUT | op::GET => {
                let line = self.cursor.text_line()?;
                line.parse().map_err(|_| self.cursor.complain(format!("`{line}` is no place in the memo")))
            }
            op::BINPUT | op::BINGET => Ok(self.cursor.array::<1>()?[0].into()),
            _ => Ok(u32::from_le_bytes(self.cursor.array()?) as usize),
        }
    }

    fn collect(&mut self, opcode: u8) -> Result<(), Refusal> {
        let node = match opcode {
            op::LIST => Node::List(self.pop_to_mark()?),
            op::FROZENSET => Node::Set(self.pop_to_mark()?),
            op::TUPLE => Node::Tuple(self.pop_to_mark()?),
            op::DICT => {
                let values = self.pop_to_mark()?;
                Node::Dict(self.pairs(&values)?)
            }
            _ => Node::Tuple(self.pop_many(usize::from(opcode - op::TUPLE1) + 1)?),
        };
        self.push(node)
    }

    fn append(&mut self, opcode: u8) -> Result<(), Refusal> {
        let values = if opcode == op::APPEND { vec![self.pop()?] } else { self.pop_to_mark()? };
        let target = self.top()?;
        self.budget.charge(values.len() * 2 * PLACE)?;
        match &mut self.nodes[target.index()] {
            Node::List(items) | Node::Set(items) => items.extend(values),
            Node::Object(object) => object.items.extend(values),
            _ => return Err(self.misplaced("append", target)),
        }
        Ok(())
    }

    fn set_items(&mut self, opcode: u8) -> Result<(), Refusal> {
        let values = if opcode == op::SETITEM { self.pop_many(2)? } else { self.pop_to_mark()? };
        let new = self.pairs(&values)?;
        let target = self.top()?;
        self.budget.charge(values.len() * 2 * PLACE)?;
        match &mut self.nodes[target.index()] {
            Node::Dict(pairs) => pairs.extend(new),
            Node::Object(object) => object.pairs.extend(new),
            _ => return Err(self.misplaced("set an item of", target)),
        }
        Ok(())
    }

    fn pairs(&self, values: &[NodeId]) -> Result<Vec<(NodeId, NodeId)>, Refusal> {
        let (pairs, rest) = values.as_chunks::<2>();
        if !rest.is_empty() {
            return Err(self.cursor.complain("a dict has a key without a value"));
        }
        Ok(pairs.iter().map(|&[key, value]| (key, value)).collect())
    }

    fn global(&mut self, opcode: u8) -> Result<(), Refusal> {
        let global = if opcode == op::GLOBAL { self.named()? } else { self.stacked()? };
        self.push(Node::Global(Box::new(global)))
    }

    fn named(&mut self) -> Result<Global<'a>, Refusal> {
        let module = Cow::Borrowed(self.cursor.text_line()?);
        let name = Cow::Borrowed(self.cursor.text_line()?);
        self.checked(Global { module, name })
    }

    fn stacked(&mut self) -> Result<Global<'a>, Refusal> {
        let [name, module] = [self.pop()?, self.pop()?].map(|id| match &self.nodes[id.index()] {
            Node::Text(text) if text.len() <= MAX_NAME => Some(text.clone()),
            _ => None,
        });
        match (module, name) {
            (Some(module), Some(name)) => Ok(Global { module, name }),
            _ => Err(self.cursor.complain("a class or function whose name is not a short text")),
        }
    }

    /// Names are copied into messages and compared often, so they must be short.
    fn checked(&self, global: Global<'a>) -> Result<Global<'a>, Refusal> {
        if global.module.len() > MAX_NAME || global.name.len() > MAX_NAME {
            return Err(self
                .cursor
                .complain(format!("the name of a class or function is longer than {MAX_NAME} bytes")));
        }
        Ok(global)
    }

    /// Notes what would have been called.
    fn call(&mut self, opcode: u8) -> Result<(), Refusal> {
        let (class, args) = match opcode {
            op::INST => {
                let global = self.named()?;
                let args = self.pop_to_mark()?;
                (self.add(Node::Global(Box::new(global)))?, self.add(Node::Tuple(args))?)
            }
            op::OBJ => {
                let mut values = self.pop_to_mark()?;
                if values.is_empty() {
                    return Err(self.cursor.complain("an object without a class"));
                }
                let class = values.remove(0);
                (class, self.add(Node::Tuple(values))?)
            }
            _ => {
                if opcode == op::NEWOBJ_EX {
                    // Arguments by name: no class served here takes any.
                    self.pop()?;
                }
                let args = self.pop()?;
                (self.pop()?, args)
            }
        };
        let object = Object { class, args, state: None, items: Vec::new(), pairs: Vec::new() };
        self.push(Node::Object(Box::new(object)))
    }

    fn build(&mut self) -> Result<(), Refusal> {
        let state = self.pop()?;
        let target = self.top()?;
        match &mut self.nodes[target.index()] {
            Node::Object(object) if object.state.is_none() => object.state = Some(state),
            _ => return Err(self.misplaced("set the state of", target)),
        }
        if self.inner {
            return Ok(());
        }
        super::joblib::refuse_apart(self.view(target))?;
        if super::joblib::is_wrapper(self.view(target)) {
            self.pop()?;
            let array = self.array_behind(target)?;
            self.stack.values.push(array);
        }
        Ok(())
    }

    fn persistent(&mut self, opcode: u8) -> Result<(), Refusal> {
        if opcode == op::PERSID {
            self.cursor.line()?;
        } else {
            self.pop()?;
        }
        self.push(Node::Persistent)
    }

    /// Drops the top value, or the mark when there is none above it.
    fn discard(&mut self) -> Result<(), Refusal> {
        if self.stack.marks.last() == Some(&self.stack.values.len()) {
            self.stack.marks.pop();
            return Ok(());
        }
        self.pop().map(drop)
    }

    fn top(&self) -> Result<NodeId, Refusal> {
        let values = &self.stack.values;
        values.last().copied().filter(|_| values.len() > self.floor()).ok_or_else(|| self.underflow())
    }

    fn pop(&mut self) -> Result<NodeId, Refusal> {
        let top = self.top()?;
        self.stack.values.pop();
        Ok(top)
    }

    fn pop_many(&mut self, count: usize) -> Result<Vec<NodeId>, Refusal> {
        let values = &mut self.stack.values;
        let floor = self.stack.marks.last().copied().unwrap_or(0);
        match values.len().checked_sub(count) {
            Some(start) if start >= floor => Ok(values.split_off(start)),
            _ => Err(self.underflow()),
        }
    }

    fn pop_to_mark(&mut self) -> Result<Vec<NodeId>, Refusal> {
        let mark =
            self.stack.marks.pop().ok_or_else(|| self.cursor.complain("a mark is expected on the stack"))?;
        Ok(self.stack.values.split_off(mark))
    }

    /// What stands below the last mark is out of reach.
    fn floor(&self) -> usize {
        self.stack.marks.last().copied().unwrap_or(0)
    }

    fn push(&mut self, node: Node<'a>) -> Result<(), Refusal> {
        let id = self.add(node)?;
        self.stack.values.push(id);
        Ok(())
    }

    pub(super) fn add(&mut self, node: Node<'a>) -> Result<NodeId, Refusal> {
        if self.nodes.len() >= MAX_NODES {
            return Err(self.cursor.complain(format!("more than {MAX_NODES} objects in one file")));
        }
        self.budget.charge(weight(&node))?;
        let id = NodeId(u32::try_from(self.nodes.len()).unwrap_or(u32::MAX));
        self.nodes.push(node);
        Ok(id)
    }

    pub(super) fn view(&self, id: NodeId) -> View<'_> {
        View::new(&self.nodes, id, self.budget)
    }

    fn underflow(&self) -> Refusal {
        self.cursor.complain("the opcode before finds too little on the stack")
    }

    fn misplaced(&self, verb: &str, target: NodeId) -> Refusal {
        self.cursor.complain(format!("an attempt to {verb} {}", self.view(target).kind()))
    }
}

impl Stack {
    /// How many places of [`PLACE`] bytes it takes.
    fn places(&self) -> usize {
        self.values.len() + 2 * self.marks.len() + self.memo.len()
    }
}

/// What a node takes, in bytes, with all that it owns.
fn weight(node: &Node<'_>) -> usize {
    /// What the allocator keeps for itself, and rounds up.
    const OVERHEAD: usize = 24;
    let owned = match node {
        Node::Text(Cow::Owned(text)) => text.len(),
        Node::Bytes(Cow::Owned(bytes)) => bytes.len(),
        Node::List(items) | Node::Tuple(items) | Node::Set(items) => items.len() * PLACE,
        Node::Dict(pairs) => pairs.len() * 2 * PLACE,
        Node::Global(_) => size_of::<Global<'_>>(),
        Node::Object(_) => size_of::<Object>(),
        Node::Array(array) => size_of::<RawArray<'_>>() + array.shape.len() * size_of::<usize>(),
        _ => 0,
    };
    size_of::<Node<'_>>() + if owned == 0 { 0 } else { owned + OVERHEAD }
}

fn needs_python(what: &str) -> Refusal {
    Refusal::unsupported(what, "save the model with joblib.dump or pickle.dump and no options")
}
