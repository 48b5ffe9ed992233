//! Events of the YAML parser to trees, under limits: what a text may cost is known before it is built.

use std::collections::{HashMap, HashSet};

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, Span, Tag};

use super::{Entry, Node, Position, Problems, Value, escape, excerpt, scalar};

const MAX_BYTES: usize = 4 << 20;
const MAX_DEPTH: usize = 64;
const MAX_NODES: usize = 100_000;
/// What aliases may repeat of a text, besides what it is itself.
const MAX_COPIED_BYTES: usize = MAX_BYTES;
/// The YAML parser keeps the tokens of one flow collection in memory until it knows that the collection is no key, so their
/// number is bounded before it starts. Commas in strings count too, which a table of numbers in a string stays under.
const MAX_FLOW_MARKS: usize = 1 << 19;

/// Reads every document of a text; empty ones are left out. What is wrong with the text itself ends the reading, after the
/// documents before it: YAML that is not well formed, a text over 4 MiB, more than 64 levels, more than 100,000 values with
/// aliases expanded, an unknown tag, a key that is a list or a map. A repeated key is an error and its first value stays.
/// A merge key `<<` is carried out, as Kubernetes does.
pub fn parse(text: &str, problems: &Problems) -> Vec<Node> {
    let mut reader =
        Reader { problems, open: Vec::new(), anchors: HashMap::new(), nodes: 0, copied: 0, done: Vec::new() };
    if let Err(stop) = reader.read(text) {
        problems.error(stop.at, reader.path(), stop.message);
    }
    reader.done
}

/// Why reading ended early.
struct Stop {
    at: Position,
    message: String,
}

impl Stop {
    fn new(at: Position, message: impl Into<String>) -> Self {
        Self { at, message: message.into() }
    }
}

/// A list or map whose end has not come yet.
struct Open {
    at: Position,
    anchor: usize,
    inside: Inside,
}

enum Inside {
    List(Vec<Node>),
    Map { entries: Vec<Entry>, key: Option<(String, Position)> },
}

struct Reader<'p> {
    problems: &'p Problems,
    open: Vec<Open>,
    anchors: HashMap<usize, Node>,
    nodes: usize,
    copied: usize,
    done: Vec<Node>,
}

impl Reader<'_> {
    fn read(&mut self, text: &str) -> Result<(), Stop> {
        if text.len() > MAX_BYTES {
            let message = format!("the text has {} bytes, at most {MAX_BYTES} are read", text.len());
            return Err(Stop::new(Position::START, message));
        }
        let marks = text.bytes().filter(|it| matches!(it, b',' | b'[' | b'{' | b':')).count();
        if marks > MAX_FLOW_MARKS {
            let message = format!(
                "the text has {marks} commas, colons and brackets, at most {MAX_FLOW_MARKS} are read"
            );
            return Err(Stop::new(Position::START, message));
        }
        let text = escape::join_surrogates(text);
        let mut parser = Parser::new_from_str(&text);
        while let Some(event) = parser.next_event() {
            let (event, span) = event.map_err(|error| {
                Stop::new(position(error.marker()), format!("this is not YAML: {}", error.info()))
            })?;
            self.event(event, span)?;
        }
        Ok(())
    }

    fn event(&mut self, event: Event<'_>, span: Span) -> Result<(), Stop> {
        let at = position(&span.start);
        match event {
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => Ok(()),
            Event::DocumentStart(_) => {
                self.anchors.clear();
                Ok(())
            }
            Event::Scalar(text, style, anchor, tag) => {
                if anchor == 0
                    && let Some(key) = self.awaited_key()
                {
                    *key = Some((text.into_owned(), at));
                    return Ok(());
                }
                let value = typed(&text, style, tag.as_deref())
                    .ok_or_else(|| Stop::new(at, unknown_tag(tag.as_deref(), &text)))?;
                self.put(Node { at, value }, anchor)
            }
            Event::Alias(anchor) => self.alias(anchor, at),
            Event::SequenceStart(anchor, tag) => {
                self.start(at, anchor, tag.as_deref(), "seq", Inside::List(Vec::new()))
            }
            Event::MappingStart(anchor, tag) => {
                let inside = Inside::Map { entries: Vec::new(), key: None };
                self.start(at, anchor, tag.as_deref(), "map", inside)
            }
            Event::SequenceEnd | Event::MappingEnd => self.end(),
        }
    }

    fn start(
        &mut self,
        at: Position,
        anchor: usize,
        tag: Option<&Tag>,
        kind: &str,
        inside: Inside,
    ) -> Result<(), Stop> {
        if tag.is_some_and(|tag| !(tag.is_yaml_core_schema() && tag.suffix == kind)) {
            return Err(Stop::new(at, unknown_tag(tag, "")));
        }
        if self.awaited_key().is_some() {
            return Err(Stop::new(at, "a key is a list or a map, expected a string"));
        }
        if self.open.len() == MAX_DEPTH {
            return Err(too_deep(at));
        }
        self.open.push(Open { at, anchor, inside });
        Ok(())
    }

    fn end(&mut self) -> Result<(), Stop> {
        let Some(Open { at, anchor, inside }) = self.open.pop() else { return Ok(()) };
        let value = match inside {
            Inside::List(items) => Value::List(items),
            Inside::Map { entries, .. } => Value::Map(merged(self.without_repeats(entries))),
        };
        self.put(Node { at, value }, anchor)
    }

    /// Puts a finished value where it belongs: a key, a value, an item or a document.
    fn put(&mut self, node: Node, anchor: usize) -> Result<(), Stop> {
        self.nodes += 1;
        if self.nodes > MAX_NODES {
            return Err(too_many(node.at));
        }
        if anchor != 0 {
            self.copy_cost(&node, node.at)?;
            self.anchors.insert(anchor, node.clone());
        }
        match self.open.last_mut().map(|it| &mut it.inside) {
            None if node.value == Value::Null => {}
            None => self.done.push(node),
            Some(Inside::List(items)) => items.push(node),
            Some(Inside::Map { entries, key }) => match (key.take(), node.value) {
                (Some((key, at)), value) => {
                    entries.push(Entry { key, at, value: Node { at: node.at, value } })
                }
                (None, Value::String(text)) => *key = Some((text, node.at)),
                (None, _) => {
                    return Err(Stop::new(node.at, "a key with an anchor or an alias is not a string"));
                }
            },
        }
        Ok(())
    }

    fn alias(&mut self, anchor: usize, at: Position) -> Result<(), Stop> {
        // An anchor is known when its value has ended: one that names itself would never end.
        let node = self.anchors.get(&anchor).ok_or_else(|| {
            Stop::new(at, "an alias names an anchor of another document, or one it stands in")
        })?;
        let node = node.clone();
        let levels = self.copy_cost(&node, at)?;
        if self.open.len() + levels > MAX_DEPTH {
            return Err(too_deep(at));
        }
        self.put(node, 0)
    }

    /// Charges a copy of a value to the budget; returns how many levels it has.
    fn copy_cost(&mut self, node: &Node, at: Position) -> Result<usize, Stop> {
        let (mut nodes, mut bytes) = (0, 0);
        let levels = weigh(node, &mut nodes, &mut bytes);
        self.nodes += nodes;
        self.copied += bytes;
        if self.nodes > MAX_NODES {
            return Err(too_many(at));
        }
        if self.copied > MAX_COPIED_BYTES {
            let message = format!("aliases repeat more than {MAX_COPIED_BYTES} bytes of the text");
            return Err(Stop::new(at, message));
        }
        Ok(levels)
    }

    /// Returns the place of the key, when a key comes next.
    fn awaited_key(&mut self) -> Option<&mut Option<(String, Position)>> {
        match &mut self.open.last_mut()?.inside {
            Inside::Map { key, .. } if key.is_none() => Some(key),
            Inside::Map { .. } | Inside::List(_) => None,
        }
    }

    fn without_repeats(&self, entries: Vec<Entry>) -> Vec<Entry> {
        let mut order: Vec<_> = (0..entries.len()).collect();
        order.sort_by_key(|&at| (&entries[at].key, at));
        let mut repeated = vec![false; entries.len()];
        for pair in order.windows(2) {
            let (first, second) = (&entries[pair[0]], &entries[pair[1]]);
            if first.key == second.key {
                repeated[pair[1]] = true;
                let field = join(self.path(), &second.key);
                let message = format!("the key is given again, first in line {}; keep one", first.at.line);
                self.problems.error(second.at, field, message);
            }
        }
        entries.into_iter().zip(repeated).filter_map(|(entry, again)| (!again).then_some(entry)).collect()
    }

    /// The path of the value that is being read.
    fn path(&self) -> String {
        self.open.iter().fold(String::new(), |path, open| match &open.inside {
            Inside::List(items) => format!("{path}[{}]", items.len()),
            Inside::Map { key: Some((key, _)), .. } => join(path, key),
            Inside::Map { key: None, .. } => path,
        })
    }
}

fn join(path: String, key: &str) -> String {
    if path.is_empty() { excerpt(key) } else { path + "." + &excerpt(key) }
}

fn position(marker: &Marker) -> Position {
    Position { line: marker.line(), column: marker.col() + 1 }
}

fn typed(text: &str, style: ScalarStyle, tag: Option<&Tag>) -> Option<Value> {
    let Some(tag) = tag else {
        let plain = style == ScalarStyle::Plain;
        return Some(if plain { scalar::resolve(text) } else { Value::String(text.to_owned()) });
    };
    if !tag.is_yaml_core_schema() {
        return None;
    }
    match (tag.suffix.as_str(), scalar::resolve(text)) {
        ("str", _) => Some(Value::String(text.to_owned())),
        ("int", value @ Value::Int(_)) | ("float", value @ Value::Float(_)) => Some(value),
        ("float", Value::Int(whole)) => Some(Value::Float(whole as f64)),
        ("bool", value @ Value::Bool(_)) | ("null", value @ Value::Null) => Some(value),
        _ => None,
    }
}

fn unknown_tag(tag: Option<&Tag>, text: &str) -> String {
    let name =
        tag.map(|it| if it.is_yaml_core_schema() { format!("!!{}", it.suffix) } else { it.to_string() });
    let name = excerpt(&name.unwrap_or_default());
    format!(
        "the tag `{name}` does not fit `{}` or is not known; known are !!str, !!int, !!float, !!bool, !!null, !!seq and !!map",
        excerpt(text)
    )
}

fn too_deep(at: Position) -> Stop {
    Stop::new(
        at,
        format!(
            "lists and maps stand {} deep in each other, at most {MAX_DEPTH} levels are read",
            MAX_DEPTH + 1
        ),
    )
}

fn too_many(at: Position) -> Stop {
    Stop::new(
        at,
        format!(
            "more than {MAX_NODES} values, counting those that aliases repeat; at most that many are read"
        ),
    )
}

/// Adds up what a copy of a value holds; returns its levels, which the parser has held to [`MAX_DEPTH`].
fn weigh(node: &Node, nodes: &mut usize, bytes: &mut usize) -> usize {
    *nodes += 1;
    match &node.value {
        Value::Null | Value::Bool(_) | Value::Int(_) | Value::Float(_) => 0,
        Value::String(text) => {
            *bytes += text.len();
            0
        }
        Value::List(items) => 1 + items.iter().map(|it| weigh(it, nodes, bytes)).max().unwrap_or(0),
        Value::Map(entries) => {
            *bytes += entries.iter().map(|it| it.key.len()).sum::<usize>();
            1 + entries.iter().map(|it| weigh(&it.value, nodes, bytes)).max().unwrap_or(0)
        }
    }
}

/// Carries out a merge key: the maps it names give the entries that the map does not have itself, earlier maps first.
fn merged(mut entries: Vec<Entry>) -> Vec<Entry> {
    let maps = |it: &Entry| match &it.value.value {
        Value::Map(_) => true,
        Value::List(items) => items.iter().all(|item| matches!(item.value, Value::Map(_))),
        Value::Null | Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::String(_) => false,
    };
    let Some(at) = entries.iter().position(|it| it.key == "<<" && maps(it)) else { return entries };
    let sources = match entries.remove(at).value {
        Node { value: Value::List(items), .. } => items,
        map => vec![map],
    };
    let mut names: HashSet<_> = entries.iter().map(|it| it.key.clone()).collect();
    for source in sources {
        let Value::Map(more) = source.value else { continue };
        entries.extend(more.into_iter().filter(|it| names.insert(it.key.clone())));
    }
    entries
}
