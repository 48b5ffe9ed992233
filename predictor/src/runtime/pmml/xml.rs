//! The XML of a file as elements: decoded, bounded, and with the place of whatever is wrong in it.

use std::borrow::Cow;
use std::str::FromStr;

use roxmltree::{Document, Node, ParsingOptions};

use super::Fault;

/// The most nodes of a document: each takes about a hundred bytes.
const MAX_NODES: u32 = 1 << 26;
/// The most attributes of an element: that no two are equal is found by comparing each with each.
const MAX_ATTRIBUTES: usize = 256;
/// The most declarations of namespaces: an element that has one takes a copy of all those around it.
const MAX_NAMESPACES: usize = 256;

/// Decodes a file: UTF-8, UTF-16 with a byte order mark, or what of one byte a character its declaration names.
pub(super) fn decode(bytes: &[u8]) -> Result<Cow<'_, str>, Fault> {
    let utf16 = |unit: fn([u8; 2]) -> u16| {
        let units = bytes[2..].chunks(2).map(|it| unit([it[0], it.get(1).copied().unwrap_or(0)]));
        let text: Result<String, _> = char::decode_utf16(units).collect();
        text.map(Cow::Owned).map_err(|_| Fault::malformed("the file is not valid UTF-16"))
    };
    match bytes {
        [] => return Err(Fault::malformed("the file is empty")),
        [0xff, 0xfe, ..] => return utf16(u16::from_le_bytes),
        [0xfe, 0xff, ..] => return utf16(u16::from_be_bytes),
        _ => {}
    }
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let encoding = declared(bytes).to_ascii_lowercase();
    match &*encoding {
        "" | "utf-8" | "utf8" | "us-ascii" | "ascii" => {
            std::str::from_utf8(bytes).map(Cow::Borrowed).map_err(|error| {
                Fault::malformed(format!("the file is not UTF-8 from byte {}", error.valid_up_to()))
            })
        }
        "iso-8859-1" | "latin1" => Ok(Cow::Owned(bytes.iter().map(|&it| char::from(it)).collect())),
        other => Err(Fault::Unsupported {
            what: format!("the encoding `{other}`"),
            advice: "write the file as UTF-8",
        }),
    }
}

/// The encoding that the XML declaration names.
fn declared(bytes: &[u8]) -> &str {
    let head = &bytes[..bytes.len().min(200)];
    let head = std::str::from_utf8(head)
        .unwrap_or_else(|error| std::str::from_utf8(&head[..error.valid_up_to()]).unwrap_or_default());
    let head = head.trim_start();
    let declaration = head.strip_prefix("<?xml").and_then(|it| it.split_once("?>")).map_or("", |it| it.0);
    let Some((_, rest)) = declaration.split_once("encoding") else { return "" };
    let rest = rest.trim_start().strip_prefix('=').unwrap_or_default().trim_start();
    rest.get(1..).and_then(|it| it.split(['"', '\'']).next()).unwrap_or_default()
}

/// Parses a document. A document type is refused, and with it every entity that it might define.
pub(super) fn parse(text: &str) -> Result<Document<'_>, Fault> {
    // An attribute value holds no `<`, so that what lies between two of them is one tag at most.
    if let Some(tag) = text.split('<').find(|it| it.len() > MAX_ATTRIBUTES && attributes(it) > MAX_ATTRIBUTES)
    {
        let name: String = tag.chars().take_while(|it| it.is_alphanumeric()).take(40).collect();
        return Err(Fault::malformed(format!("<{name}> has more than {MAX_ATTRIBUTES} attributes")));
    }
    if text.matches("xmlns").nth(MAX_NAMESPACES).is_some() {
        return Err(Fault::malformed(format!(
            "there are more than {MAX_NAMESPACES} declarations of namespaces"
        )));
    }
    let options = ParsingOptions { allow_dtd: false, nodes_limit: MAX_NODES, ..ParsingOptions::default() };
    Document::parse_with_options(text, options).map_err(|error| match error {
        roxmltree::Error::DtdDetected => Fault::Unsupported {
            what: "a document type (DTD)".to_owned(),
            advice: "write the file without one; PMML needs none",
        },
        error => Fault::malformed(format!("the XML is broken: {error}")),
    })
}

/// How many attributes a tag has at most.
fn attributes(tag: &str) -> usize {
    tag.split('=').skip(1).filter(|it| it.trim_start().starts_with(['"', '\''])).count()
}

/// An element of the document.
#[derive(Clone, Copy)]
pub(super) struct Element<'a>(Node<'a, 'a>);

impl<'a> Element<'a> {
    /// The outermost element.
    pub(super) fn root(document: &'a Document<'a>) -> Self {
        Self(document.root_element())
    }

    /// The outermost element of the document that it is in.
    pub(super) fn outermost(self) -> Self {
        Self(self.0.document().root_element())
    }

    /// Its name, without a namespace.
    pub(super) fn name(self) -> &'a str {
        self.0.tag_name().name()
    }

    /// The elements in it, but for extensions, which change no meaning.
    pub(super) fn children(self) -> impl Iterator<Item = Self> + Clone {
        self.0.children().filter(Node::is_element).map(Self).filter(|it| it.name() != "Extension")
    }

    /// The first element in it of that name.
    pub(super) fn child(self, name: &str) -> Option<Self> {
        self.children().find(|it| it.name() == name)
    }

    /// The elements in it of that name.
    pub(super) fn named(self, name: &'static str) -> impl Iterator<Item = Self> + Clone {
        self.children().filter(move |it| it.name() == name)
    }

    /// The first element in it of that name, which must be there.
    pub(super) fn needed(self, name: &str) -> Result<Self, Fault> {
        self.child(name).ok_or_else(|| self.malformed(format!("has no <{name}>")))
    }

    /// An attribute.
    pub(super) fn get(self, name: &str) -> Option<&'a str> {
        self.0.attribute(name)
    }

    /// An attribute that must be there.
    pub(super) fn require(self, name: &str) -> Result<&'a str, Fault> {
        self.get(name).ok_or_else(|| self.malformed(format!("has no `{name}`")))
    }

    /// An attribute that is a number.
    pub(super) fn parsed<T: FromStr>(self, name: &str) -> Result<Option<T>, Fault> {
        let parse = |text: &str| {
            text.trim()
                .parse()
                .map_err(|_| self.malformed(format!("has `{name}` `{text}`, expected a number")))
        };
        self.get(name).map(parse).transpose()
    }

    /// An attribute that is a number, or what it is when not there.
    pub(super) fn number_or(self, name: &str, otherwise: f64) -> Result<f64, Fault> {
        Ok(self.parsed(name)?.unwrap_or(otherwise))
    }

    /// An attribute that is a number and must be there.
    pub(super) fn number(self, name: &str) -> Result<f64, Fault> {
        self.parsed(name)?.ok_or_else(|| self.malformed(format!("has no `{name}`")))
    }

    /// An attribute that is one of several words.
    pub(super) fn word<T: Copy>(self, name: &str, words: &[(&str, T)]) -> Result<Option<T>, Fault> {
        let Some(text) = self.get(name) else { return Ok(None) };
        let found = words.iter().find(|(word, _)| *word == text);
        found.map(|(_, it)| Some(*it)).ok_or_else(|| self.unsupported(&format!("`{name}` `{text}`")))
    }

    /// An attribute that is `true` or `false`.
    pub(super) fn flag(self, name: &str) -> Result<bool, Fault> {
        Ok(self.word(name, &[("true", true), ("1", true), ("false", false), ("0", false)])?.unwrap_or(false))
    }

    /// The text in it.
    pub(super) fn text(self) -> Cow<'a, str> {
        let mut parts = self.0.children().filter(Node::is_text).filter_map(|it| it.text());
        let first = parts.next().unwrap_or_default();
        match parts.next() {
            None => Cow::Borrowed(first),
            Some(second) => Cow::Owned([first, second].into_iter().chain(parts).collect()),
        }
    }

    /// The words of an `<Array>`: by blanks, or in quotes with a backslash before a quote.
    pub(super) fn array(self) -> Result<Vec<String>, Fault> {
        let text = self.text();
        let mut words = Vec::new();
        let mut rest = text.chars().peekable();
        while let Some(&first) = rest.peek() {
            if first.is_whitespace() {
                rest.next();
                continue;
            }
            let mut word = String::new();
            if first == '"' {
                rest.next();
                loop {
                    match rest.next() {
                        Some('\\') => word.push(match rest.next() {
                            Some(escaped) => escaped,
                            None => return Err(self.malformed("ends in a backslash")),
                        }),
                        Some('"') => break,
                        Some(other) => word.push(other),
                        None => return Err(self.malformed("has a quote that is not closed")),
                    }
                }
            } else {
                while let Some(next) = rest.next_if(|it| !it.is_whitespace()) {
                    word.push(next);
                }
            }
            words.push(word);
        }
        if let Some(count) = self.parsed::<usize>("n")?
            && count != words.len()
        {
            return Err(self.malformed(format!("has {} values, `n` says {count}", words.len())));
        }
        Ok(words)
    }

    /// The numbers of an `<Array>`.
    pub(super) fn numbers(self) -> Result<Vec<f64>, Fault> {
        let parse =
            |it: String| it.parse().map_err(|_| self.malformed(format!("holds `{it}`, expected numbers")));
        self.array()?.into_iter().map(parse).collect()
    }

    /// Refuses what makes no sense.
    pub(super) fn malformed(self, what: impl AsRef<str>) -> Fault {
        Fault::malformed(format!("{} {}", self.place(), what.as_ref()))
    }

    /// Refuses the element itself.
    pub(super) fn unknown(self) -> Fault {
        Fault::Unsupported { what: self.place(), advice: ADVICE }
    }

    /// Refuses something that it says.
    pub(super) fn unsupported(self, what: &str) -> Fault {
        Fault::Unsupported { what: format!("{what} of {}", self.place()), advice: ADVICE }
    }

    fn place(self) -> String {
        let at = self.0.document().text_pos_at(self.0.range().start);
        let name: String = self.name().chars().take(60).collect();
        format!("<{name}> (line {}, column {})", at.row, at.col)
    }
}

const ADVICE: &str = "export the model without it; docs/pmml.md lists what is evaluated";
