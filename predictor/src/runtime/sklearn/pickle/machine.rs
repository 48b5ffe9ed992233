//! The stack machine: opcodes in, nodes out. No opcode runs anything, and each makes at most one node, so that what a file
//! makes is bounded by its size.

use std::borrow::Cow;

use super::super::refusal::Refusal;
use super::super::view::View;
use super::chunked::Chunked;
use super::cursor::Cursor;
use super::graph::Graph;
use super::literal::Literal;
use super::{Budget, Node, NodeId, literal, opcode as op};

/// Reads the pickle at the start of `bytes`; what follows its STOP is ignored, as Python does.
pub(super) fn run<'a>(bytes: &'a [u8], budget: &Budget) -> Result<(Graph<'a>, NodeId), Refusal> {
    let mut machine = Machine {
        cursor: Cursor::new(bytes),
        budget,
        graph: Graph::new(bytes, budget)?,
        stack: Stack::default(),
        inner: false,
    };
    let root = machine.run()?;
    let Machine { graph, stack, .. } = machine;
    budget.refund(stack.bytes());
    Ok((graph, root))
}

/// The longest name of a module, or of a class or function in it.
const MAX_NAME: usize = 1024;

/// The state of a run.
#[derive(Debug)]
pub(super) struct Machine<'a, 'b> {
    pub(super) cursor: Cursor<'a>,
    pub(super) budget: &'b Budget,
    pub(super) graph: Graph<'a>,
    stack: Stack,
    /// Whether this is the pickle of an array of objects inside a joblib file. Such a pickle holds no further ones.
    inner: bool,
}

#[derive(Debug, Default)]
struct Stack {
    values: Chunked<NodeId>,
    /// Heights of the stack, lowest first.
    marks: Chunked<u32>,
    memo: Chunked<NodeId>,
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
                Some(literal) => {
                    let id = self.graph.literal(literal, self.budget)?;
                    self.push(id)?;
                }
                None => self.step(opcode)?,
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
        self.budget.refund(self.stack.bytes());
        self.stack = outer;
        self.inner = false;
        Ok(root)
    }

    fn step(&mut self, opcode: u8) -> Result<(), Refusal> {
        match opcode {
            op::NONE => self.push(NodeId::NONE)?,
            op::EMPTY_TUPLE => self.push(NodeId::EMPTY)?,
            op::NEWFALSE => self.push(NodeId::FALSE)?,
            op::NEWTRUE => self.push(NodeId::TRUE)?,
            op::MARK => self.stack.marks.push(self.stack.values.len() as u32, self.budget)?,
            op::POP => self.discard()?,
            op::POP_MARK => {
                let start = self.pop_mark()?;
                self.stack.values.truncate(start);
            }
            op::DUP => self.push(self.top()?)?,
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
        while at >= memo.len() {
            memo.push(NodeId::NOWHERE, self.budget)?;
        }
        if let Some(place) = memo.get_mut(at)
            && std::mem::replace(place, value) == NodeId::NOWHERE
        {
            self.stack.memoized += 1;
        }
        Ok(())
    }

    fn recall(&mut self, opcode: u8) -> Result<(), Refusal> {
        let at = self.memo_index(opcode)?;
        match self.stack.memo.get(at).copied() {
            Some(value) if value != NodeId::NOWHERE => self.push(value),
            _ => Err(self.cursor.complain(format!("place {at} of the memo is asked for and empty"))),
        }
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
        let start = match opcode {
            op::TUPLE1 | op::TUPLE2 | op::TUPLE3 => self.below(usize::from(opcode - op::TUPLE1) + 1)?,
            _ => self.pop_mark()?,
        };
        let Self { graph, stack, budget, .. } = self;
        let id = match opcode {
            op::LIST => graph.list(budget)?,
            op::FROZENSET => graph.set(budget)?,
            op::DICT => graph.dict(budget)?,
            _ => graph.tuple(stack.above(start), budget)?,
        };
        match opcode {
            op::LIST | op::FROZENSET => drop(graph.append(id, stack.above(start), budget)?),
            op::DICT => {
                self.check_pairs(start)?;
                self.graph.set_items(id, self.stack.above(start), self.budget)?;
            }
            _ => {}
        }
        self.stack.values.truncate(start);
        self.push(id)
    }

    fn append(&mut self, opcode: u8) -> Result<(), Refusal> {
        let start = if opcode == op::APPEND { self.below(1)? } else { self.pop_mark()? };
        let target = self.under(start)?;
        if !self.graph.append(target, self.stack.above(start), self.budget)? {
            return Err(self.misplaced("append", target));
        }
        self.stack.values.truncate(start);
        Ok(())
    }

    fn set_items(&mut self, opcode: u8) -> Result<(), Refusal> {
        let start = if opcode == op::SETITEM { self.below(2)? } else { self.pop_mark()? };
        self.check_pairs(start)?;
        let target = self.under(start)?;
        if !self.graph.set_items(target, self.stack.above(start), self.budget)? {
            return Err(self.misplaced("set an item of", target));
        }
        self.stack.values.truncate(start);
        Ok(())
    }

    fn check_pairs(&self, start: usize) -> Result<(), Refusal> {
        if (self.stack.values.len() - start).is_multiple_of(2) {
            return Ok(());
        }
        Err(self.cursor.complain("a dict has a key without a value"))
    }

    fn global(&mut self, opcode: u8) -> Result<(), Refusal> {
        let id = if opcode == op::GLOBAL { self.named()? } else { self.stacked()? };
        self.push(id)
    }

    fn named(&mut self) -> Result<NodeId, Refusal> {
        let names = [self.cursor.text_line()?, self.cursor.text_line()?];
        // Names are copied into messages and compared often, so they must be short.
        if names.iter().any(|it| it.len() > MAX_NAME) {
            return Err(self
                .cursor
                .complain(format!("the name of a class or function is longer than {MAX_NAME} bytes")));
        }
        let [module, name] =
            names.map(|it| self.graph.literal(Literal::Text(Cow::Borrowed(it)), self.budget));
        self.graph.global([module?, name?], self.budget)
    }

    fn stacked(&mut self) -> Result<NodeId, Refusal> {
        let [name, module] = [self.pop()?, self.pop()?];
        let is_name = |id| matches!(self.graph.node(id), Node::Text(text) if text.len() <= MAX_NAME);
        if !is_name(name) || !is_name(module) {
            return Err(self.cursor.complain("a class or function whose name is not a short text"));
        }
        self.graph.global([module, name], self.budget)
    }

    /// Notes what would have been called.
    fn call(&mut self, opcode: u8) -> Result<(), Refusal> {
        let (class, args) = match opcode {
            op::INST => {
                let class = self.named()?;
                (class, self.tuple_above_mark(0)?)
            }
            op::OBJ => {
                let args = self.tuple_above_mark(1)?;
                (self.pop()?, args)
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
        let object = self.graph.object(class, args, self.budget)?;
        self.push(object)
    }

    /// Makes a tuple of what stands above the last mark, but for the first few.
    fn tuple_above_mark(&mut self, left: usize) -> Result<NodeId, Refusal> {
        let start = self.pop_mark()? + left;
        if start > self.stack.values.len() {
            return Err(self.cursor.complain("an object without a class"));
        }
        let tuple = self.graph.tuple(self.stack.above(start), self.budget)?;
        self.stack.values.truncate(start);
        Ok(tuple)
    }

    fn build(&mut self) -> Result<(), Refusal> {
        let state = self.pop()?;
        let target = self.top()?;
        if !self.graph.set_state(target, state) {
            return Err(self.misplaced("set the state of", target));
        }
        if self.inner {
            return Ok(());
        }
        super::joblib::refuse_apart(self.view(target))?;
        if super::joblib::is_wrapper(self.view(target)) {
            self.pop()?;
            let array = self.array_behind(target)?;
            self.push(array)?;
        }
        Ok(())
    }

    fn persistent(&mut self, opcode: u8) -> Result<(), Refusal> {
        if opcode == op::PERSID {
            self.cursor.line()?;
        } else {
            self.pop()?;
        }
        let id = self.graph.persistent(self.budget)?;
        self.push(id)
    }

    /// Drops the top value, or the mark when there is none above it.
    fn discard(&mut self) -> Result<(), Refusal> {
        if self.stack.last_mark() == Some(self.stack.values.len()) {
            self.stack.marks.pop();
            return Ok(());
        }
        self.pop().map(drop)
    }

    fn top(&self) -> Result<NodeId, Refusal> {
        self.under(self.stack.values.len())
    }

    /// Returns the value below that height.
    fn under(&self, height: usize) -> Result<NodeId, Refusal> {
        let at = height.checked_sub(1).filter(|_| height > self.floor());
        at.and_then(|at| self.stack.values.get(at)).copied().ok_or_else(|| self.underflow())
    }

    fn pop(&mut self) -> Result<NodeId, Refusal> {
        let top = self.top()?;
        self.stack.values.pop();
        Ok(top)
    }

    /// Returns where the topmost so many values begin.
    fn below(&self, count: usize) -> Result<usize, Refusal> {
        let start = self.stack.values.len().checked_sub(count).filter(|&it| it >= self.floor());
        start.ok_or_else(|| self.underflow())
    }

    /// Takes the last mark away and returns its height.
    fn pop_mark(&mut self) -> Result<usize, Refusal> {
        let mark = self.stack.marks.pop();
        mark.map(|it| it as usize).ok_or_else(|| self.cursor.complain("a mark is expected on the stack"))
    }

    /// What stands below the last mark is out of reach.
    fn floor(&self) -> usize {
        self.stack.last_mark().unwrap_or(0)
    }

    fn push(&mut self, id: NodeId) -> Result<(), Refusal> {
        self.stack.values.push(id, self.budget)
    }

    pub(super) fn view(&self, id: NodeId) -> View<'_> {
        View::new(&self.graph, id, self.budget)
    }

    fn underflow(&self) -> Refusal {
        self.cursor.complain("the opcode before finds too little on the stack")
    }

    fn misplaced(&self, verb: &str, target: NodeId) -> Refusal {
        self.cursor.complain(format!("an attempt to {verb} {}", self.view(target).kind()))
    }
}

impl Stack {
    fn last_mark(&self) -> Option<usize> {
        let last = self.marks.len().checked_sub(1)?;
        self.marks.get(last).map(|it| *it as usize)
    }

    /// Returns the values from that height on.
    fn above(&self, start: usize) -> impl ExactSizeIterator<Item = NodeId> {
        (start..self.values.len()).map(|at| self.values.get(at).copied().unwrap_or(NodeId::NONE))
    }

    /// Returns how many bytes it takes.
    fn bytes(&self) -> usize {
        self.values.bytes() + self.marks.bytes() + self.memo.bytes()
    }
}

fn needs_python(what: &str) -> Refusal {
    Refusal::unsupported(what, "save the model with joblib.dump or pickle.dump and no options")
}
