//! One row at a time: the values of its fields, each worked out when it is first asked for.

use weir_sdk::proto::{Buffer, Error};

use super::compiled::Classes;
use super::expression::no_value;
use super::plan::{Plan, Slot, Source};
use super::schema::Rules;
use super::value::{Kind, Texts, Value};

/// A column of a request.
pub(super) enum Column<'r> {
    Numbers(&'r Buffer<f64>),
    Texts(&'r [bytes::Bytes]),
}

/// The values of a row.
pub(super) struct Frame<'m, 'r> {
    slots: &'m [Slot],
    classes: &'m [Classes],
    columns: Vec<Column<'r>>,
    values: Vec<Option<Value>>,
    pub(super) texts: Texts<'m>,
    pub(super) row: usize,
}

impl<'m, 'r> Frame<'m, 'r> {
    pub(super) fn new(plan: &'m Plan, columns: Vec<Column<'r>>) -> Self {
        let Plan { slots, classes, symbols } = plan;
        Self { slots, classes, columns, values: vec![None; slots.len()], texts: Texts::new(symbols), row: 0 }
    }

    /// Goes to a row.
    pub(super) fn enter(&mut self, row: usize) {
        self.row = row;
        self.values.fill(None);
        self.texts.clear();
    }

    /// Sets what a model before has found.
    pub(super) fn give(&mut self, slot: usize, value: Value) {
        self.values[slot] = Some(value);
    }

    /// The classes of a target.
    pub(super) fn classes(&self, list: usize) -> &'m [Value] {
        self.classes.get(list).map_or(&[], |it| &it.values)
    }

    pub(super) fn kind(&self, slot: usize) -> Kind {
        self.slots[slot].kind
    }

    /// The value of a field.
    ///
    /// # Errors
    /// `InvalidInput` when it is not valid, and the model says that such rows are to be refused.
    #[inline]
    pub(super) fn get(&mut self, slot: usize) -> Result<Value, Error> {
        match self.values[slot] {
            Some(value) => Ok(value),
            None => self.work_out(slot),
        }
    }

    /// The number of a field, `None` where there is none.
    pub(super) fn number(&mut self, slot: usize) -> Result<Option<f64>, Error> {
        Ok(self.get(slot)?.number())
    }

    #[inline(never)]
    fn work_out(&mut self, slot: usize) -> Result<Value, Error> {
        let slots = self.slots;
        let Slot { kind, source, name } = &slots[slot];
        let value = match source {
            Source::Column { column, rules } => {
                let value = self.cell(*column, *kind, name)?;
                rules.as_deref().unwrap_or(&Rules::IDLE).apply(value, name, self)?
            }
            Source::Treated { from, rules } => {
                let value = self.get(*from)?;
                rules.apply(value, name, self)?
            }
            Source::Derived(expression) => {
                let value = expression.value(self)?;
                let made = expression.kind();
                match self.texts.cast(value, made, *kind) {
                    Some(value) => value,
                    None => return Err(no_value(name, &self.texts.show(value, made), self.row)),
                }
            }
            Source::Given => Value::Missing,
        };
        self.values[slot] = Some(value);
        Ok(value)
    }

    fn cell(&mut self, column: usize, kind: Kind, name: &str) -> Result<Value, Error> {
        match &self.columns[column] {
            Column::Numbers(values) => {
                let value = values.get(self.row).copied().unwrap_or(f64::NAN);
                if value.is_nan() {
                    return Ok(Value::Missing);
                }
                match kind {
                    Kind::Float => Ok(Value::Number(f64::from(value as f32))),
                    Kind::Double => Ok(Value::Number(value)),
                    Kind::Integer if value.fract() == 0.0 => Ok(Value::Number(value)),
                    Kind::Bool if value == 0.0 || value == 1.0 => Ok(Value::Bool(value == 1.0)),
                    Kind::Integer | Kind::Bool | Kind::Text => {
                        Err(no_value(name, &value.to_string(), self.row))
                    }
                }
            }
            Column::Texts(values) => {
                let text = values.get(self.row).map_or(&[][..], |it| it);
                match std::str::from_utf8(text) {
                    Ok(text) => Ok(self.texts.intern(text)),
                    Err(_) => Err(no_value(name, "bytes that are not UTF-8", self.row)),
                }
            }
        }
    }
}
