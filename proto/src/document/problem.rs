//! What is wrong with a document, where, and how badly; collected behind a shared reference.

use std::cell::{Cell, RefCell};
use std::fmt;

use super::Position;
use crate::Error;

/// How many problems of one file are kept; a file with more is not a manifest, and the first ones tell why.
const MAX_PROBLEMS: usize = 500;

/// How bad a [`Problem`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Severity {
    /// The document cannot be used.
    Error,
    /// The document can be used, but not all of what it says.
    Warning,
}

/// One thing wrong with a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// How bad it is.
    pub severity: Severity,
    /// The file, or the option, the text came from.
    pub file: String,
    /// Where.
    pub at: Position,
    /// The field's path, such as `spec.predictor.model.storageUri`; empty for the text as a whole.
    pub field: String,
    /// What was met, what was expected, what to do.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let severity = match self.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        write!(f, "{}:{}: {severity}: ", self.file, self.at)?;
        if !self.field.is_empty() {
            write!(f, "{}: ", self.field)?;
        }
        f.write_str(&self.message)
    }
}

/// The problems of one file.
#[derive(Debug)]
pub struct Problems {
    file: String,
    kept: RefCell<Vec<Problem>>,
    left_out: Cell<usize>,
    errors: Cell<bool>,
}

impl Problems {
    /// Starts with none. `file` is the name the user knows the text by.
    pub fn new(file: impl Into<String>) -> Self {
        Self { file: file.into(), kept: RefCell::default(), left_out: Cell::new(0), errors: Cell::new(false) }
    }

    /// Adds an error.
    pub fn error(&self, at: Position, field: impl Into<String>, message: impl Into<String>) {
        self.errors.set(true);
        self.push(Severity::Error, at, field.into(), message.into());
    }

    /// Adds a warning.
    pub fn warning(&self, at: Position, field: impl Into<String>, message: impl Into<String>) {
        self.push(Severity::Warning, at, field.into(), message.into());
    }

    fn push(&self, severity: Severity, at: Position, field: String, message: String) {
        let mut kept = self.kept.borrow_mut();
        if kept.len() < MAX_PROBLEMS {
            kept.push(Problem { severity, file: self.file.clone(), at, field, message });
        } else {
            self.left_out.set(self.left_out.get().saturating_add(1));
        }
    }

    /// Returns whether any of them is an error.
    pub fn has_errors(&self) -> bool {
        self.errors.get()
    }

    /// Returns them in the order of the text. Those over the limit of 500 are told by their number, at the end.
    pub fn into_vec(self) -> Vec<Problem> {
        let mut problems = self.kept.into_inner();
        problems.sort_by_key(|it| it.at);
        // A field that was asked for twice is wrong once.
        problems.dedup();
        if let (Some(last), more @ 1..) = (problems.last(), self.left_out.get()) {
            problems.push(Problem {
                severity: if self.errors.get() { Severity::Error } else { Severity::Warning },
                file: self.file,
                at: last.at,
                field: String::new(),
                message: format!("and {more} problems more"),
            });
        }
        problems
    }

    /// Joins the errors, a line each; warnings alone are no error.
    ///
    /// # Errors
    /// `InvalidInput` when there is an error among the problems.
    pub fn into_result(self) -> Result<(), Error> {
        if !self.errors.get() {
            return Ok(());
        }
        let errors = self.into_vec().into_iter().filter(|it| it.severity == Severity::Error);
        Err(Error::invalid(errors.map(|it| it.to_string()).collect::<Vec<_>>().join("\n")))
    }
}

/// Quotes what a user wrote: the first characters on one line, so that a text stays one and a terminal is not driven by it.
pub(crate) fn excerpt(text: &str) -> String {
    const MAX_CHARS: usize = 64;
    let mut short = String::new();
    for (count, letter) in text.chars().enumerate() {
        if count == MAX_CHARS {
            short.push('…');
            break;
        }
        if letter.is_control() {
            short.extend(letter.escape_default());
        } else {
            short.push(letter);
        }
    }
    short
}
