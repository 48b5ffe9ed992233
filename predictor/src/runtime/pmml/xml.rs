//! The XML of a file as elements: decoded, and with the place of whatever is wrong in it.

use std::borrow::Cow;
use std::str::FromStr;

use super::Fault;
use super::document::{Document, Node};

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

/// An element of the document.
#[derive(Clone, Copy)]
pub(super) struct Element<'a>(Node<'a>);

impl<'a> Element<'a> {
    /// The outermost element.
    pub(super) fn root(document: &'a Document<'a>) -> Self {
        Self(Node::root(document))
    }

    /// The outermost element of the document that it is in.
    pub(super) fn outermost(self) -> Self {
        Self(self.0.outermost())
    }

    /// Its name, without a namespace.
    pub(super) fn name(self) -> &'a str {
        self.0.name()
    }

    /// The elements in it, but for extensions, which change no meaning.
    pub(super) fn children(self) -> impl Iterator<Item = Self> + Clone {
        self.0.children().map(Self).filter(|it| it.name() != "Extension")
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
        self.0.text()
    }

    /// Calls with each word of an `<Array>`: by blanks, or in quotes with a backslash before a quote.
    pub(super) fn words(self, mut call: impl FnMut(&str) -> Result<(), Fault>) -> Result<(), Fault> {
        let text = self.text();
        let mut count = 0;
        let mut word = String::new();
        let mut rest = text.trim_start();
        while !rest.is_empty() {
            count += 1;
            let Some(quoted) = rest.strip_prefix('"') else {
                let end = rest.find(char::is_whitespace).unwrap_or(rest.len());
                call(&rest[..end])?;
                rest = rest[end..].trim_start();
                continue;
            };
            word.clear();
            let mut letters = quoted.chars();
            loop {
                match letters.next() {
                    Some('\\') => word.push(match letters.next() {
                        Some(escaped) => escaped,
                        None => return Err(self.malformed("ends in a backslash")),
                    }),
                    Some('"') => break,
                    Some(other) => word.push(other),
                    None => return Err(self.malformed("has a quote that is not closed")),
                }
            }
            call(&word)?;
            rest = letters.as_str().trim_start();
        }
        if let Some(said) = self.parsed::<usize>("n")?
            && said != count
        {
            return Err(self.malformed(format!("has {count} values, `n` says {said}")));
        }
        Ok(())
    }

    /// About how many words there are, and how many bytes they have: never fewer, but for words in quotes.
    pub(super) fn size(self) -> (usize, usize) {
        let text = self.text();
        let words = text.split_ascii_whitespace();
        words.fold((0, 0), |(count, bytes), word| (count + 1, bytes + word.len()))
    }

    /// The numbers of an `<Array>`.
    pub(super) fn numbers(self) -> Result<Vec<f64>, Fault> {
        let mut numbers = Vec::with_capacity(self.size().0);
        self.words(|word| {
            let number = word.parse();
            numbers
                .push(number.map_err(|_| self.malformed(format!("holds `{word:.60}`, expected numbers")))?);
            Ok(())
        })?;
        Ok(numbers)
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
        let (line, column) = self.0.position();
        format!("<{:.60}> (line {line}, column {column})", self.name())
    }
}

const ADVICE: &str = "export the model without it; docs/pmml.md lists what is evaluated";
