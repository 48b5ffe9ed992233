//! YAML, of which JSON is a subset, as a tree that knows where each value stands, and a reader of its fields that
//! collects every problem instead of stopping at the first.
//!
//! Limits hold against hostile text: 4 MiB, 64 levels, 100,000 values with aliases expanded.

mod escape;
mod fields;
mod json;
mod nearest;
mod parse;
mod problem;
mod scalar;

use std::fmt;

pub use fields::Fields;
pub use nearest::nearest;
pub use parse::parse;
pub use problem::{Problem, Problems, Severity};

pub(crate) use problem::excerpt;

use crate::Error;

/// A place in a text: line and column, both counted from 1, the column in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// The line.
    pub line: usize,
    /// The column.
    pub column: usize,
}

impl Position {
    /// The first character of a text.
    pub const START: Self = Self { line: 1, column: 1 };
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

/// A value and where it was written. A value that came through an alias stands where its anchor does.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// Where it begins; a block map begins at its first key.
    pub at: Position,
    /// What it is.
    pub value: Value,
}

/// What a [`Node`] holds, after the core schema of YAML 1.2: `yes`, `no`, `on` and `off` are strings.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// `null`, `~`, or nothing at all.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A whole number that fits.
    Int(i64),
    /// Any other number.
    Float(f64),
    /// Everything that is written in quotes, and everything plain that is none of the above.
    String(String),
    /// A sequence.
    List(Vec<Node>),
    /// A mapping, in the order written; its keys differ.
    Map(Vec<Entry>),
}

/// One key of a map with its value.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// The key; a key that is a number or a boolean keeps its spelling.
    pub key: String,
    /// Where the key begins.
    pub at: Position,
    /// What it maps to.
    pub value: Node,
}

impl Node {
    /// Returns the kind of value in a word a user knows.
    pub fn kind(&self) -> &'static str {
        match self.value {
            Value::Null => "null",
            Value::Bool(_) => "boolean",
            Value::Int(_) => "integer",
            Value::Float(_) => "number",
            Value::String(_) => "string",
            Value::List(_) => "list",
            Value::Map(_) => "map",
        }
    }

    /// Returns the text of a string.
    pub fn as_str(&self) -> Option<&str> {
        match &self.value {
            Value::String(text) => Some(text),
            Value::Null
            | Value::Bool(_)
            | Value::Int(_)
            | Value::Float(_)
            | Value::List(_)
            | Value::Map(_) => None,
        }
    }

    /// Returns the value of a key, when this is a map that has it.
    pub fn get(&self, key: &str) -> Option<&Self> {
        let Value::Map(entries) = &self.value else { return None };
        entries.iter().find(|it| it.key == key).map(|it| &it.value)
    }

    /// Writes the value as JSON on one line that [`parse_one`] reads back as the same value: whole numbers stay whole,
    /// the others keep every digit that counts. What JSON has no number for is written as YAML does: `.nan`, `-.inf`.
    pub fn to_json(&self) -> String {
        let mut text = String::new();
        json::write(self, &mut text);
        text
    }

    /// Names the value for an error's text: ``the integer `3` ``, `a list`.
    fn described(&self) -> String {
        match &self.value {
            Value::Null => "null".to_owned(),
            Value::List(_) | Value::Map(_) => format!("a {}", self.kind()),
            Value::String(text) => format!("the string `{}`", excerpt(text)),
            Value::Bool(_) | Value::Int(_) | Value::Float(_) => {
                format!("the {} `{}`", self.kind(), self.to_json())
            }
        }
    }
}

/// Reads the one document in a text such as a value of the command line. `what` names the text in errors.
///
/// # Errors
/// `InvalidInput` naming every problem with its line and column, also when the text is empty or several documents.
pub fn parse_one(text: &str, what: &str) -> Result<Node, Error> {
    let problems = Problems::new(what);
    let mut documents = parse(text, &problems);
    problems.into_result()?;
    match (documents.pop(), documents.len()) {
        (Some(document), 0) => Ok(document),
        (None, _) => Err(Error::invalid(format!("{what}: is empty, expected YAML or JSON"))),
        (Some(_), others) => {
            Err(Error::invalid(format!("{what}: has {} documents, expected one", others + 1)))
        }
    }
}

#[cfg(test)]
mod tests;
