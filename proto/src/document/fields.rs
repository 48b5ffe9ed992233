//! Reads the fields of a map: each by its name and type, and in the end those nobody asked for are errors.

use std::cell::RefCell;
use std::ops::RangeInclusive;

use super::{Entry, Node, Position, Problems, Value, excerpt, nearest};

/// How many unknown fields of one map are told one by one.
const MAX_UNKNOWN: usize = 20;
const NO_EFFECT: &str = "has no effect here";

/// The fields of one map. Every getter returns `None` when the field is absent, null, or of another type, and the last is an
/// error among the problems; it also makes the field's name known, which [`Fields::finish`] holds against what is there.
#[derive(Debug)]
pub struct Fields<'a> {
    entries: &'a [Entry],
    path: String,
    at: Position,
    problems: &'a Problems,
    known: RefCell<Vec<Known>>,
}

#[derive(Debug)]
struct Known {
    name: String,
    /// Whether it has an effect, so that it is worth naming to somebody who looks for the right one.
    told: bool,
}

impl<'a> Fields<'a> {
    /// Reads a map at `path`; the empty path is the document. A value that is not a map is an error.
    pub fn of(node: &'a Node, path: &str, problems: &'a Problems) -> Option<Self> {
        Self::at_place(node, path.to_owned(), node.at, problems)
    }

    fn at_place(node: &'a Node, path: String, at: Position, problems: &'a Problems) -> Option<Self> {
        let Value::Map(entries) = &node.value else {
            problems.error(at, path, format!("got {}, expected a map", node.described()));
            return None;
        };
        Some(Self { entries, path, at, problems, known: RefCell::default() })
    }

    /// Returns the map's path, such as `spec.predictor`.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Returns where the map stands: at its key when it begins on a line of its own.
    pub fn at(&self) -> Position {
        self.at
    }

    /// Returns whether the field is there and not null.
    pub fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// Returns whether the field is there and not null; that it is not is an error.
    pub fn require(&self, name: &str) -> bool {
        let has = self.has(name);
        if !has {
            self.problems.error(self.at, self.path_of(name), "is missing");
        }
        has
    }

    /// Returns where the problems of the document are collected.
    pub fn problems(&self) -> &'a Problems {
        self.problems
    }

    /// Returns the field's value whatever it is, null also.
    pub fn node(&self, name: &str) -> Option<&'a Node> {
        self.learn(name, true);
        self.find(name).map(|it| &it.value)
    }

    /// Returns a string. Numbers and booleans are errors that say how to make them strings.
    pub fn string(&self, name: &str) -> Option<&'a str> {
        let entry = self.get(name)?;
        string(&entry.value).map_err(|message| self.wrong(entry, message)).ok()
    }

    /// Returns a string that has to be there and to say something.
    pub fn required_string(&self, name: &str) -> Option<&'a str> {
        if !self.require(name) {
            return None;
        }
        let text = self.string(name)?;
        if text.is_empty() {
            self.error(name, "is empty");
            return None;
        }
        Some(text)
    }

    /// Returns a scalar as text: a string as it is, a number or a boolean as JSON writes it.
    pub fn string_or_number(&self, name: &str) -> Option<String> {
        let entry = self.get(name)?;
        match &entry.value.value {
            Value::String(text) => Some(text.clone()),
            Value::Bool(_) | Value::Int(_) | Value::Float(_) => Some(entry.value.to_json()),
            Value::Null | Value::List(_) | Value::Map(_) => self.unexpected(entry, "a string or a number"),
        }
    }

    /// Returns a whole number.
    pub fn integer(&self, name: &str) -> Option<i64> {
        let entry = self.get(name)?;
        match entry.value.value {
            Value::Int(value) => Some(value),
            Value::Null
            | Value::Bool(_)
            | Value::Float(_)
            | Value::String(_)
            | Value::List(_)
            | Value::Map(_) => self.unexpected(entry, "an integer"),
        }
    }

    /// Returns a whole number within a range.
    pub fn integer_in(&self, name: &str, range: RangeInclusive<i64>) -> Option<i64> {
        let value = self.integer(name)?;
        if !range.contains(&value) {
            let (low, high) = range.into_inner();
            let want = if high == i64::MAX { format!("{low} or more") } else { format!("{low} to {high}") };
            self.error(name, format!("got {value}, expected {want}"));
            return None;
        }
        Some(value)
    }

    /// Returns a number, whole or not.
    pub fn number(&self, name: &str) -> Option<f64> {
        let entry = self.get(name)?;
        number(&entry.value).or_else(|| self.unexpected(entry, "a number"))
    }

    /// Returns `true` or `false`.
    pub fn boolean(&self, name: &str) -> Option<bool> {
        let entry = self.get(name)?;
        match entry.value.value {
            Value::Bool(value) => Some(value),
            Value::Null
            | Value::Int(_)
            | Value::Float(_)
            | Value::String(_)
            | Value::List(_)
            | Value::Map(_) => self.unexpected(entry, "true or false"),
        }
    }

    /// Returns a list of numbers; every item that is none is an error.
    pub fn numbers(&self, name: &str) -> Option<Vec<f64>> {
        self.items(name, |item| number(item).ok_or_else(|| unexpected(item, "a number")))
    }

    /// Returns a list of strings; every item that is none is an error.
    pub fn strings(&self, name: &str) -> Option<Vec<String>> {
        self.items(name, |item| string(item).map(str::to_owned))
    }

    fn items<T>(&self, name: &str, read: impl Fn(&'a Node) -> Result<T, String>) -> Option<Vec<T>> {
        let mut complete = true;
        let mut values = Vec::new();
        for (at, item) in self.list(name)?.iter().enumerate() {
            match read(item) {
                Ok(value) => values.push(value),
                Err(message) => {
                    complete = false;
                    self.problems.error(item.at, format!("{}[{at}]", self.path_of(name)), message);
                }
            }
        }
        complete.then_some(values)
    }

    /// Returns the items of a list.
    pub fn list(&self, name: &str) -> Option<&'a [Node]> {
        let entry = self.get(name)?;
        match &entry.value.value {
            Value::List(items) => Some(items),
            Value::Null
            | Value::Bool(_)
            | Value::Int(_)
            | Value::Float(_)
            | Value::String(_)
            | Value::Map(_) => self.unexpected(entry, "a list"),
        }
    }

    /// Returns the fields of a map.
    pub fn fields(&self, name: &str) -> Option<Fields<'a>> {
        let entry = self.get(name)?;
        Self::at_place(&entry.value, self.path_of(name), place(entry), self.problems)
    }

    /// Returns the fields of a map that has to be there.
    pub fn required_fields(&self, name: &str) -> Option<Fields<'a>> {
        self.require(name).then(|| self.fields(name)).flatten()
    }

    /// Returns the fields of each item of a list of maps; an item that is no map is an error and left out.
    pub fn maps(&self, name: &str) -> Option<Vec<Fields<'a>>> {
        let read = |(at, item)| Self::of(item, &format!("{}[{at}]", self.path_of(name)), self.problems);
        Some(self.list(name)?.iter().enumerate().filter_map(read).collect())
    }

    /// Makes fields known that have no effect, and warns of each that is there.
    pub fn ignored(&self, names: &[&str]) {
        for name in names {
            self.learn(name, false);
            if self.find(name).is_some_and(|it| it.value.value != Value::Null) {
                self.warning(name, NO_EFFECT);
            }
        }
    }

    /// Makes fields known that nothing is to be said about.
    pub fn accepted(&self, names: &[&str]) {
        for name in names {
            self.learn(name, false);
        }
    }

    /// Adds an error at a field, or at the map when the field is not there.
    pub fn error(&self, name: &str, message: impl Into<String>) {
        self.problems.error(self.position(name), self.path_of(name), message);
    }

    /// Adds a warning at a field, or at the map when the field is not there.
    pub fn warning(&self, name: &str, message: impl Into<String>) {
        self.problems.warning(self.position(name), self.path_of(name), message);
    }

    /// Returns where a field stands, or the map when the field is not there: the value when it begins on the line of its
    /// key, else the key.
    pub fn position(&self, name: &str) -> Position {
        self.find(name).map_or(self.at, place)
    }

    /// Returns a field's path.
    pub fn path_of(&self, name: &str) -> String {
        if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) }
    }

    /// Ends the reading: a field that no call named is an error with the known name nearest to it, or all that count.
    pub fn finish(self) {
        let known = self.known.take();
        let mut unknown = self.entries.iter().filter(|entry| known.iter().all(|it| it.name != entry.key));
        for entry in unknown.by_ref().take(MAX_UNKNOWN) {
            let field = self.path_of(&excerpt(&entry.key));
            self.problems.error(entry.at, field, unknown_field(&entry.key, &known));
        }
        if let Some(entry) = unknown.next() {
            let message = format!("and {} unknown fields more", 1 + unknown.count());
            self.problems.error(entry.at, self.path, message);
        }
    }

    /// Ends the reading like [`Fields::finish`], but a field that no call named is a warning that it has no effect.
    pub fn ignore_rest(self) {
        let known = self.known.take();
        for entry in self.entries.iter().filter(|entry| known.iter().all(|it| it.name != entry.key)) {
            self.problems.warning(entry.at, self.path_of(&excerpt(&entry.key)), NO_EFFECT);
        }
    }

    fn find(&self, name: &str) -> Option<&'a Entry> {
        self.entries.iter().find(|it| it.key == name)
    }

    fn get(&self, name: &str) -> Option<&'a Entry> {
        self.learn(name, true);
        self.find(name).filter(|it| it.value.value != Value::Null)
    }

    fn learn(&self, name: &str, told: bool) {
        let mut known = self.known.borrow_mut();
        if known.iter().all(|it| it.name != name) {
            known.push(Known { name: name.to_owned(), told });
        }
    }

    fn wrong(&self, entry: &Entry, message: String) {
        self.problems.error(place(entry), self.path_of(&entry.key), message);
    }

    fn unexpected<T>(&self, entry: &Entry, want: &str) -> Option<T> {
        self.wrong(entry, unexpected(&entry.value, want));
        None
    }
}

fn place(entry: &Entry) -> Position {
    let beside = entry.value.at.line == entry.at.line && entry.value.value != Value::Null;
    if beside { entry.value.at } else { entry.at }
}

fn unknown_field(name: &str, known: &[Known]) -> String {
    if let Some(near) = nearest(name, known.iter().map(|it| it.name.as_str())) {
        return format!("unknown field; did you mean `{near}`?");
    }
    let told: Vec<_> = known.iter().filter(|it| it.told).map(|it| format!("`{}`", it.name)).collect();
    if told.is_empty() {
        return "unknown field".to_owned();
    }
    format!("unknown field; known are {}", told.join(", "))
}

fn string(node: &Node) -> Result<&str, String> {
    node.as_str().ok_or_else(|| {
        let quoted = matches!(node.value, Value::Bool(_) | Value::Int(_) | Value::Float(_));
        unexpected(node, if quoted { "a string: quote it" } else { "a string" })
    })
}

fn number(node: &Node) -> Option<f64> {
    match node.value {
        Value::Int(value) => Some(value as f64),
        Value::Float(value) => Some(value),
        Value::Null | Value::Bool(_) | Value::String(_) | Value::List(_) | Value::Map(_) => None,
    }
}

fn unexpected(node: &Node, want: &str) -> String {
    format!("got {}, expected {want}", node.described())
}
