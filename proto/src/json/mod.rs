//! Strict JSON (RFC 8259), read by pulling and written by pushing: no tree of values in between.
//!
//! Beyond the grammar the reader takes the bare tokens `NaN`, `Infinity` and `-Infinity` as numbers, as TensorFlow Serving
//! and Python do. Every text is bounded by a [`Limits`]; no text makes the reader panic or overflow its stack.

mod grid;
mod nested;
mod number;
mod reader;
mod shortest;
#[cfg(test)]
mod tests;
mod usual;
mod writer;

use std::fmt;

pub use grid::Numbers;
pub(crate) use nested::elements;
pub use nested::{Digits, push_nested};
pub use number::Number;
pub use reader::{Kind, Limits, Reader, Run};
pub use usual::Element;
pub use writer::{NonFinite, push_bool, push_f32, push_f64, push_i64, push_list, push_str, push_u64};

use crate::Error;

/// Where a text stops being JSON, and why. Displays as ``line 1 column 15: expected a value, met `}` ``.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JsonError {
    /// The byte it was met at, from 0.
    pub offset: usize,
    /// Its line, from 1.
    pub line: usize,
    /// Its character in the line, from 1.
    pub column: usize,
    /// What was met.
    pub kind: ErrorKind,
}

/// What is wrong with a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// Something else had to stand here.
    Expected {
        /// What the grammar, or the caller, wanted.
        wanted: &'static str,
        /// What was there.
        met: Met,
    },
    /// The number is beyond the largest double.
    OutOfRange,
    /// A number such as `01`.
    LeadingZero,
    /// A control character inside a string.
    Control(u8),
    /// A string whose bytes are not UTF-8.
    NotUtf8,
    /// Half of a surrogate pair without the other.
    LoneSurrogate,
    /// Arrays and objects are nested deeper than this.
    TooDeep(usize),
}

/// What stands at some place of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Met {
    /// Nothing: the text ends there.
    End,
    /// A character.
    Char(char),
    /// A byte that begins no character.
    Byte(u8),
}

impl JsonError {
    /// Finds line and column; errors are rare, so the reader counts no lines.
    #[cold]
    fn new(text: &[u8], offset: usize, kind: ErrorKind) -> Self {
        let before = &text[..offset.min(text.len())];
        let line_start = before.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
        let line = before.iter().filter(|&&byte| byte == b'\n').count() + 1;
        // Bytes 10xxxxxx only continue a character.
        let column = before[line_start..].iter().filter(|&&byte| byte & 0xc0 != 0x80).count() + 1;
        Self { offset, line, column, kind }
    }

    #[cold]
    fn expected(text: &[u8], offset: usize, wanted: &'static str) -> Self {
        Self::new(text, offset, ErrorKind::Expected { wanted, met: Met::at(text, offset) })
    }
}

impl Met {
    fn at(text: &[u8], offset: usize) -> Self {
        let Some(&first) = text.get(offset) else { return Self::End };
        let longest = &text[offset..text.len().min(offset + 4)];
        let valid = match std::str::from_utf8(longest) {
            Ok(valid) => valid,
            Err(error) => std::str::from_utf8(&longest[..error.valid_up_to()]).unwrap_or_default(),
        };
        valid.chars().next().map_or(Self::Byte(first), Self::Char)
    }
}

impl fmt::Display for Met {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::End => f.write_str("the end of the text"),
            Self::Char(char) if char.is_control() => {
                write!(f, "the control character U+{:04X}", u32::from(char))
            }
            Self::Char(char) => write!(f, "`{char}`"),
            Self::Byte(byte) => write!(f, "the byte 0x{byte:02x}"),
        }
    }
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Expected { wanted, met } => write!(f, "expected {wanted}, met {met}"),
            Self::OutOfRange => f.write_str("number out of range"),
            Self::LeadingZero => f.write_str("a number may not begin with a superfluous zero"),
            Self::Control(byte) => {
                write!(f, "the control character U+{byte:04X} in a string must be written as an escape")
            }
            Self::NotUtf8 => f.write_str("a string holds bytes that are not UTF-8"),
            Self::LoneSurrogate => {
                f.write_str("an escape holds half of a surrogate pair without the other half")
            }
            Self::TooDeep(limit) => write!(f, "arrays and objects are nested deeper than {limit}"),
        }
    }
}

impl fmt::Display for JsonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {} column {}: {}", self.line, self.column, self.kind)
    }
}

impl std::error::Error for JsonError {}

impl From<JsonError> for Error {
    fn from(error: JsonError) -> Self {
        // The words before the colon are KServe's; its clients match on them.
        Self::invalid(format!("Unrecognized request format: {error}"))
    }
}
