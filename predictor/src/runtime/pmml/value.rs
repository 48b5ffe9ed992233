//! Values of fields: numbers, booleans and texts, each text known by a number.

use std::collections::HashMap;

use weir_sdk::proto::Error;

use super::Fault;
use super::xml::Element;
use crate::runtime::texts::Lexicon;

/// The longest text that functions may put together.
const MAX_TEXT: usize = 1 << 16;

/// A value of a field in one row.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Value {
    /// There is none.
    Missing,
    /// Of `double`, `float` or `integer`.
    Number(f64),
    /// Of `string`: its number among the symbols.
    Text(u32),
    /// Of `boolean`.
    Bool(bool),
}

impl Value {
    /// The number it stands for; true is 1. `None` for a text, and where there is none.
    pub(super) fn number(self) -> Option<f64> {
        match self {
            Self::Number(it) => Some(it),
            Self::Bool(it) => Some(f64::from(u8::from(it))),
            Self::Missing | Self::Text(_) => None,
        }
    }

    pub(super) fn is_missing(self) -> bool {
        self == Self::Missing
    }
}

/// A data type of PMML.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Integer,
    Float,
    Double,
    Bool,
}

impl Kind {
    /// Reads the `dataType` of an element.
    pub(super) fn of(element: Element<'_>) -> Result<Option<Self>, Fault> {
        element.word(
            "dataType",
            &[
                ("string", Self::Text),
                ("integer", Self::Integer),
                ("float", Self::Float),
                ("double", Self::Double),
                ("boolean", Self::Bool),
            ],
        )
    }

    pub(super) fn is_number(self) -> bool {
        matches!(self, Self::Integer | Self::Float | Self::Double)
    }

    /// What arithmetic on two kinds gives.
    pub(super) fn with(self, other: Self) -> Self {
        match (self, other) {
            (Self::Integer, Self::Integer) => Self::Integer,
            (Self::Float | Self::Integer, Self::Float | Self::Integer) => Self::Float,
            _ => Self::Double,
        }
    }

    /// Rounds as arithmetic of the kind does.
    pub(super) fn round(self, value: f64) -> f64 {
        if self == Self::Float { f64::from(value as f32) } else { value }
    }
}

/// The texts of a file.
#[derive(Default)]
pub(super) struct Symbols {
    names: Lexicon,
}

impl Symbols {
    /// The number of a text, a new one where it is new.
    pub(super) fn intern(&mut self, text: &str) -> Value {
        // A file has at most 4 GiB, so there is room for all its texts.
        Value::Text(self.names.intern(text.as_bytes()).unwrap_or(u32::MAX))
    }

    /// Makes room for so many texts of so many bytes in all.
    pub(super) fn reserve(&mut self, texts: usize, bytes: usize) {
        self.names.reserve(texts, bytes);
    }

    /// Returns a text by its number.
    fn name(&self, number: usize) -> Option<&str> {
        std::str::from_utf8(self.names.at(number)?).ok()
    }

    /// Reads a value that the file says, as a kind.
    pub(super) fn parse(&mut self, text: &str, kind: Kind, element: Element<'_>) -> Result<Value, Fault> {
        parse(text, kind, |text| self.intern(text))
            .ok_or_else(|| element.malformed(format!("has the value `{text}`, expected {}", name(kind))))
    }

    pub(super) fn show(&self, value: Value) -> String {
        match value {
            Value::Text(number) => self.name(number as usize).unwrap_or_default().to_owned(),
            other => written(other, Kind::Double),
        }
    }
}

fn name(kind: Kind) -> &'static str {
    match kind {
        Kind::Text => "a text",
        Kind::Integer => "an integer",
        Kind::Float | Kind::Double => "a number",
        Kind::Bool => "`true` or `false`",
    }
}

fn parse(text: &str, kind: Kind, intern: impl FnOnce(&str) -> Value) -> Option<Value> {
    let bare = text.trim();
    match kind {
        Kind::Text => Some(intern(text)),
        // Rounded once: by way of a double it might be twice.
        Kind::Float => bare.parse::<f32>().ok().map(|it| Value::Number(it.into())),
        Kind::Double => bare.parse().ok().map(Value::Number),
        Kind::Integer => bare.parse().ok().filter(|it: &f64| it.fract() == 0.0).map(Value::Number),
        Kind::Bool => match bare {
            "true" | "1" | "1.0" => Some(Value::Bool(true)),
            "false" | "0" | "0.0" => Some(Value::Bool(false)),
            _ => None,
        },
    }
}

/// A number or a boolean as text, as Java writes it.
fn written(value: Value, kind: Kind) -> String {
    match value {
        Value::Missing | Value::Text(_) => String::new(),
        Value::Bool(it) => it.to_string(),
        Value::Number(it) if kind == Kind::Integer && it.fract() == 0.0 => format!("{it}"),
        Value::Number(it) if it == 0.0 || (1e-3..1e7).contains(&it.abs()) => {
            if kind == Kind::Float {
                format!("{:?}", it as f32)
            } else {
                format!("{it:?}")
            }
        }
        Value::Number(it) if it.is_finite() => {
            let text = if kind == Kind::Float { format!("{:E}", it as f32) } else { format!("{it:E}") };
            match text.split_once('E') {
                Some((digits, exponent)) if !digits.contains('.') => format!("{digits}.0E{exponent}"),
                _ => text,
            }
        }
        Value::Number(it) if it.is_nan() => "NaN".to_owned(),
        Value::Number(it) => if it > 0.0 { "Infinity" } else { "-Infinity" }.to_owned(),
    }
}

/// The texts of a file, and those that a row brings with it.
pub(super) struct Texts<'m> {
    symbols: &'m Symbols,
    added: Vec<String>,
    numbers: HashMap<String, u32>,
}

impl<'m> Texts<'m> {
    pub(super) fn new(symbols: &'m Symbols) -> Self {
        Self { symbols, added: Vec::new(), numbers: HashMap::new() }
    }

    /// Forgets what a row brought.
    pub(super) fn clear(&mut self) {
        if !self.added.is_empty() {
            self.added.clear();
            self.numbers.clear();
        }
    }

    /// The text of a number.
    pub(super) fn name(&self, number: u32) -> &str {
        let number = number as usize;
        match self.symbols.name(number) {
            Some(name) => name,
            None => self.added.get(number - self.symbols.names.len()).map_or("", String::as_str),
        }
    }

    /// The number of a text.
    pub(super) fn intern(&mut self, text: &str) -> Value {
        if let Some(number) = self.symbols.names.get(text.as_bytes()) {
            return Value::Text(number);
        }
        if let Some(&number) = self.numbers.get(text) {
            return Value::Text(number);
        }
        let number = u32::try_from(self.symbols.names.len() + self.added.len()).unwrap_or(u32::MAX);
        self.added.push(text.to_owned());
        self.numbers.insert(text.to_owned(), number);
        Value::Text(number)
    }

    /// The same, for what functions put together.
    ///
    /// # Errors
    /// When it is too long.
    pub(super) fn made(&mut self, text: &str) -> Result<Value, Error> {
        if text.len() > MAX_TEXT {
            return Err(Error::invalid(format!("the model makes a text of more than {MAX_TEXT} bytes")));
        }
        Ok(self.intern(text))
    }

    /// A value as text.
    pub(super) fn show(&self, value: Value, kind: Kind) -> String {
        match value {
            Value::Text(number) => self.name(number).to_owned(),
            other => written(other, kind),
        }
    }

    /// A value as another kind; `None` where it is none of that kind.
    pub(super) fn cast(&mut self, value: Value, from: Kind, to: Kind) -> Option<Value> {
        match (value, to) {
            (Value::Missing, _) | (Value::Text(_), Kind::Text) | (Value::Bool(_), Kind::Bool) => Some(value),
            (Value::Number(it), Kind::Double) => Some(Value::Number(it)),
            (Value::Number(it), Kind::Float) => Some(Value::Number(f64::from(it as f32))),
            (Value::Number(it), Kind::Integer) => Some(Value::Number(it.trunc())),
            (Value::Number(it), Kind::Bool) => match it {
                0.0 => Some(Value::Bool(false)),
                1.0 => Some(Value::Bool(true)),
                _ => None,
            },
            (Value::Bool(it), Kind::Double | Kind::Float | Kind::Integer) => {
                Some(Value::Number(f64::from(u8::from(it))))
            }
            (Value::Number(_) | Value::Bool(_), Kind::Text) => {
                let text = written(value, from);
                Some(self.intern(&text))
            }
            (Value::Text(number), _) => parse(self.name(number), to, |_| Value::Missing),
        }
    }

    /// Whether two values are equal; texts that are numbers equal those.
    pub(super) fn equal(&self, left: Value, right: Value) -> bool {
        match (left, right) {
            (Value::Text(text), other) | (other, Value::Text(text)) if !matches!(other, Value::Text(_)) => {
                let text = self.name(text).trim();
                match other {
                    Value::Number(number) => text.parse() == Ok(number),
                    Value::Bool(it) => text.parse() == Ok(it),
                    Value::Missing | Value::Text(_) => false,
                }
            }
            _ => left == right || (left.number().is_some() && left.number() == right.number()),
        }
    }

    /// How two values are ordered, where they are.
    pub(super) fn compare(&self, left: Value, right: Value) -> Option<std::cmp::Ordering> {
        match (left, right) {
            (Value::Text(left), Value::Text(right)) => Some(self.name(left).cmp(self.name(right))),
            (Value::Text(text), other) => {
                self.name(text).trim().parse::<f64>().ok()?.partial_cmp(&other.number()?)
            }
            (other, Value::Text(text)) => {
                other.number()?.partial_cmp(&self.name(text).trim().parse::<f64>().ok()?)
            }
            _ => left.number()?.partial_cmp(&right.number()?),
        }
    }
}
