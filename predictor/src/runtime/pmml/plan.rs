//! Where values stand: a slot for each field of the model and of the models within it, and the names that lead there.

use std::collections::HashMap;

use super::Fault;
use super::compiled::Classes;
use super::expression::Expression;
use super::schema::{DataField, Rules};
use super::value::{Kind, Symbols};
use super::xml::Element;

/// The deepest that fields may be derived of one another, each counted with the depth of its expression.
const MAX_DEPTH: usize = 200;
/// The most fields, with those of models within models.
const MAX_SLOTS: usize = 1 << 20;

/// A field whose value can be asked for.
pub(super) struct Slot {
    pub(super) name: String,
    pub(super) kind: Kind,
    pub(super) source: Source,
}

/// Where a value comes from.
pub(super) enum Source {
    /// A column of the request.
    Column { column: usize, rules: Option<Box<Rules>> },
    /// Another slot, as the mining schema of a model within the model treats it.
    Treated { from: usize, rules: Box<Rules> },
    /// An expression, cast to the kind of the slot.
    Derived(Expression),
    /// A model before, which sets it.
    Given,
}

/// What reading a file gathers.
#[derive(Default)]
pub(super) struct Loader {
    pub(super) symbols: Symbols,
    pub(super) slots: Vec<Slot>,
    pub(super) data: HashMap<String, DataField>,
    /// The classes of each target.
    pub(super) classes: Vec<Classes>,
    /// The slots of the columns of a request, in order.
    pub(super) columns: Vec<usize>,
    /// How many expressions there are.
    pub(super) expressions: usize,
    /// How many bytes of memory are left to it.
    pub(super) left: usize,
    /// How many models the one being read lies in.
    pub(super) nesting: usize,
}

/// What a loaded model keeps of that.
pub(super) struct Plan {
    pub(super) slots: Vec<Slot>,
    pub(super) classes: Vec<Classes>,
    pub(super) symbols: Symbols,
}

impl Loader {
    /// Begins to read a file of so many bytes. What it may take beside its elements is three times as much, and a little more: a few
    /// bytes may say that a function is called, which is kept as often as it is called.
    pub(super) fn of(bytes: usize) -> Self {
        const ALLOWANCE: usize = 512 << 10;
        Self { left: bytes.saturating_mul(3).saturating_add(ALLOWANCE), ..Self::default() }
    }

    /// Counts bytes about to be taken.
    ///
    /// # Errors
    /// When the file is not worth so many.
    pub(super) fn charge(&mut self, bytes: usize) -> Result<(), Fault> {
        let left = self.left.checked_sub(bytes).ok_or_else(|| {
            Fault::malformed(
                "what it holds would take more memory than a file of its size is worth, four times its bytes and a little \
                 more; was it made to take memory",
            )
        })?;
        self.left = left;
        Ok(())
    }

    pub(super) fn slot(&mut self, name: &str, kind: Kind, source: Source) -> Result<usize, Fault> {
        if self.slots.len() >= MAX_SLOTS {
            return Err(Fault::malformed(format!("there are more than {MAX_SLOTS} fields")));
        }
        self.charge(size_of::<Slot>() + name.len())?;
        self.slots.push(Slot { name: name.to_owned(), kind, source });
        Ok(self.slots.len() - 1)
    }

    pub(super) fn kind(&self, slot: usize) -> Kind {
        self.slots[slot].kind
    }

    /// Makes sure that no field is derived of itself, nor of too long a chain of others.
    pub(super) fn check_depth(&self) -> Result<(), Fault> {
        const OPEN: usize = usize::MAX;
        let mut depths: Vec<Option<usize>> = vec![None; self.slots.len()];
        for start in 0..self.slots.len() {
            let mut path = vec![start];
            while let Some(&at) = path.last() {
                if depths[at].is_some_and(|it| it != OPEN) {
                    path.pop();
                    continue;
                }
                let (own, below) = match &self.slots[at].source {
                    Source::Column { .. } | Source::Given => (1, Vec::new()),
                    Source::Treated { from, .. } => (1, vec![*from]),
                    Source::Derived(expression) => expression.fields(),
                };
                let first = depths[at].is_none();
                depths[at] = Some(OPEN);
                let mut deepest = 0;
                let mut waiting = false;
                for field in below {
                    match depths[field] {
                        Some(OPEN) => {
                            let name = &self.slots[at].name;
                            return Err(Fault::malformed(format!("field `{name}` is derived of itself")));
                        }
                        Some(depth) => deepest = deepest.max(depth),
                        None if first => {
                            waiting = true;
                            path.push(field);
                        }
                        None => {}
                    }
                }
                if !waiting {
                    let depth = own + deepest;
                    if depth > MAX_DEPTH {
                        let name = &self.slots[at].name;
                        return Err(Fault::malformed(format!(
                            "field `{name}` is derived of more than {MAX_DEPTH} others in a chain"
                        )));
                    }
                    depths[at] = Some(depth);
                    path.pop();
                }
            }
        }
        Ok(())
    }
}

/// The names that can be used somewhere in the file.
pub(super) struct Scope<'p> {
    outside: Option<&'p Scope<'p>>,
    names: HashMap<String, usize>,
}

impl<'p> Scope<'p> {
    pub(super) fn new(outside: Option<&'p Scope<'p>>) -> Self {
        Self { outside, names: HashMap::new() }
    }

    /// Gives a slot a name; the last of equal names counts.
    pub(super) fn name(&mut self, name: &str, slot: usize) {
        self.names.insert(name.to_owned(), slot);
    }

    pub(super) fn find(&self, name: &str) -> Option<usize> {
        self.names.get(name).copied().or_else(|| self.outside.and_then(|it| it.find(name)))
    }

    /// The slot of the field that an attribute names.
    pub(super) fn field(&self, element: Element<'_>, attribute: &str) -> Result<usize, Fault> {
        let name = element.require(attribute)?;
        self.find(name)
            .ok_or_else(|| element.malformed(format!("names the field `{name}`, which is not known here")))
    }
}
