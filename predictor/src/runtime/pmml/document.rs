//! A reader of XML that keeps where each element is, and nothing of what is in it: twelve bytes an element. Namespaces have no
//! say, and there are no document types, so no entities but the five that XML has.

use std::borrow::Cow;

use super::Fault;

/// The most attributes of an element: that no two are equal is found by comparing each with each.
const MAX_ATTRIBUTES: usize = 256;
/// No element: the root has this for its parent.
const NONE: u32 = u32::MAX;

/// A well-formed document.
pub(super) struct Document<'a> {
    text: &'a str,
    /// In the order of their start tags, so that what is in an element follows it.
    elements: Vec<Place>,
    /// Values of attributes that are written in another way than they are meant.
    values: Vec<Value>,
    /// What they mean, one behind the other.
    meant: String,
}

#[derive(Clone, Copy)]
struct Place {
    /// Where its `<` is.
    start: u32,
    /// Where the first byte behind it is.
    end: u32,
    /// The first element behind all that are in it. While it is open, its parent.
    next: u32,
}

struct Value {
    /// Where it begins in the document.
    start: u32,
    /// Where what it means ends.
    end: u32,
}

/// A start tag.
struct Tag<'a> {
    name: &'a str,
    /// What is between its name and its end.
    attributes: &'a str,
    /// Where the first byte behind it is.
    end: usize,
    is_empty: bool,
}

impl<'a> Document<'a> {
    /// Parses a document. A document type is refused, and with it every entity that it might define.
    pub(super) fn parse(text: &'a str) -> Result<Self, Fault> {
        if u32::try_from(text.len()).is_err() {
            return Err(Fault::malformed("the XML has more than 4 GiB"));
        }
        // What is no start tag is counted as well, which is rare.
        let bytes = text.as_bytes();
        let tags =
            bytes.windows(2).filter(|it| it[0] == b'<' && !matches!(it[1], b'/' | b'!' | b'?')).count();
        let elements = Vec::with_capacity(tags);
        let mut document = Self { text, elements, values: Vec::new(), meant: String::new() };
        if let Some(at) = bytes.iter().position(|it| *it < b' ' && !matches!(it, b'\t' | b'\n' | b'\r')) {
            return Err(document.broken(at, "a control character"));
        }
        document.read()?;
        Ok(document)
    }

    /// Reads the whole document, without nesting calls.
    fn read(&mut self) -> Result<(), Fault> {
        let text = self.text;
        let mut open = NONE;
        let mut at = 0;
        while at < text.len() {
            let rest = &text[at..];
            let length = rest.find('<').unwrap_or(rest.len());
            if open == NONE && !rest[..length].bytes().all(|it| it.is_ascii_whitespace()) {
                return Err(self.broken(at, "text outside of the outermost element"));
            }
            self.check_references(at, &rest[..length])?;
            at += length;
            let Some(behind) = rest[length..].strip_prefix('<') else { break };
            if let Some(end) = self.passive(at, open != NONE)? {
                at = end;
            } else if let Some(closing) = behind.strip_prefix('/') {
                let name_end = closing.find(|it: char| it == '>' || it.is_ascii_whitespace());
                let name = &closing[..name_end.unwrap_or(closing.len())];
                if open == NONE || self.tag(open).name != name {
                    return Err(self.broken(at, "an end tag of another element than the one that is open"));
                }
                let blanks = closing[name.len()..].trim_ascii_start();
                if !blanks.starts_with('>') {
                    return Err(self.broken(at, "an end tag without its end"));
                }
                at = text.len() - blanks.len() + 1;
                open = self.close(open, at);
            } else {
                if open == NONE && !self.elements.is_empty() {
                    return Err(self.broken(at, "a second outermost element"));
                }
                // The element is read before it is there, so that complaints are about its place.
                let tag = self.start_tag(at)?;
                let element = self.elements.len() as u32;
                self.elements.push(Place { start: at as u32, end: NONE, next: open });
                at = tag.end;
                open = if tag.is_empty {
                    self.elements[element as usize].next = open;
                    self.close(element, at)
                } else {
                    element
                };
            }
        }
        if open != NONE {
            return Err(
                self.broken(text.len(), &format!("the end, and <{:.60}> is open", self.tag(open).name))
            );
        }
        if self.elements.is_empty() {
            return Err(self.broken(text.len(), "no element"));
        }
        Ok(())
    }

    /// Ends an element and returns its parent.
    fn close(&mut self, element: u32, end: usize) -> u32 {
        let next = self.elements.len() as u32;
        let place = &mut self.elements[element as usize];
        place.end = end as u32;
        std::mem::replace(&mut place.next, next)
    }

    /// Returns where a comment, a processing instruction or a section of plain text ends, if one begins there.
    fn passive(&self, at: usize, inside: bool) -> Result<Option<usize>, Fault> {
        let rest = &self.text[at..];
        let until = |from: usize, end: &str| {
            let found = rest.get(from..).and_then(|it| it.find(end));
            found.map(|it| Some(at + from + it + end.len()))
        };
        if rest.starts_with("<!--") {
            return until(4, "-->").ok_or_else(|| self.broken(at, "a comment without an end"));
        }
        if rest.starts_with("<![CDATA[") && inside {
            return until(9, "]]>").ok_or_else(|| self.broken(at, "a CDATA section without an end"));
        }
        if rest.starts_with("<!DOCTYPE") {
            return Err(Fault::Unsupported {
                what: "a document type (DTD)".to_owned(),
                advice: "write the file without one; PMML needs none",
            });
        }
        if rest.starts_with("<?") {
            return until(2, "?>").ok_or_else(|| self.broken(at, "an instruction without an end"));
        }
        Ok(None)
    }

    /// Reads a start tag and checks its attributes.
    fn start_tag(&mut self, at: usize) -> Result<Tag<'a>, Fault> {
        let tag = tag(self.text, at).ok_or_else(|| self.broken(at, "a `<` that begins no tag"))?;
        if !is_name(tag.name) {
            return Err(self.broken(at, "a tag without a name"));
        }
        let mut met: [&str; MAX_ATTRIBUTES] = [""; MAX_ATTRIBUTES];
        let mut count = 0;
        let mut rest = tag.attributes;
        while !rest.trim_ascii_start().is_empty() {
            let attribute = attribute(rest).filter(|it| is_name(it.name));
            let Attribute { name, value, rest: behind } =
                attribute.ok_or_else(|| self.broken(at, "a tag whose attributes are none"))?;
            if met[..count].contains(&name) {
                return Err(self.broken(at, &format!("a tag that has the attribute `{name:.60}` twice")));
            }
            if count == MAX_ATTRIBUTES {
                let name = local(tag.name);
                return Err(Fault::malformed(format!(
                    "<{name:.60}> has more than {MAX_ATTRIBUTES} attributes"
                )));
            }
            met[count] = name;
            count += 1;
            self.check_value(value)?;
            rest = behind;
        }
        Ok(tag)
    }

    /// Keeps what the value of an attribute means, where that is not what is written.
    fn check_value(&mut self, value: &str) -> Result<(), Fault> {
        if !value.bytes().any(|it| matches!(it, b'&' | b'\t' | b'\n' | b'\r')) {
            return Ok(());
        }
        let start = self.offset(value);
        self.check_references(start, value)?;
        let mut unlined = value.replace("\r\n", " ");
        unlined = unlined.replace(['\t', '\n', '\r'], " ");
        self.meant.push_str(&meant(&unlined));
        self.values.push(Value { start: start as u32, end: self.meant.len() as u32 });
        Ok(())
    }

    fn check_references(&self, at: usize, text: &str) -> Result<(), Fault> {
        for (place, _) in text.match_indices('&') {
            if reference(&text[place..]).is_none() {
                return Err(self.broken(at + place, "a `&` that begins no reference to a character"));
            }
        }
        Ok(())
    }

    fn offset(&self, part: &str) -> usize {
        part.as_ptr().addr() - self.text.as_ptr().addr()
    }

    fn tag(&self, element: u32) -> Tag<'a> {
        // Every element was read once.
        tag(self.text, self.elements[element as usize].start as usize).unwrap_or(Tag {
            name: "",
            attributes: "",
            end: 0,
            is_empty: true,
        })
    }

    fn broken(&self, at: usize, met: &str) -> Fault {
        let (line, column) = self.position(at);
        Fault::malformed(format!("the XML is broken: line {line}, column {column}: met {met}"))
    }

    /// Returns the line and the column of a byte, counted from one.
    fn position(&self, at: usize) -> (usize, usize) {
        let before = &self.text[..at];
        let line = before.bytes().filter(|it| *it == b'\n').count() + 1;
        let begin = before.rfind('\n').map_or(0, |it| it + 1);
        (line, before[begin..].chars().count() + 1)
    }
}

/// An element of a document.
#[derive(Clone, Copy)]
pub(super) struct Node<'a> {
    document: &'a Document<'a>,
    at: u32,
}

impl<'a> Node<'a> {
    /// The outermost element.
    pub(super) fn root(document: &'a Document<'a>) -> Self {
        Self { document, at: 0 }
    }

    pub(super) fn outermost(self) -> Self {
        Self { at: 0, ..self }
    }

    /// Its name, without a namespace.
    pub(super) fn name(self) -> &'a str {
        let start = self.document.elements[self.at as usize].start as usize;
        let behind = self.document.text.get(start + 1..).unwrap_or_default();
        let length = behind.bytes().position(|it| matches!(it, b'>' | b'/') || it.is_ascii_whitespace());
        local(&behind[..length.unwrap_or(behind.len())])
    }

    /// The elements in it.
    pub(super) fn children(self) -> impl Iterator<Item = Self> + Clone {
        let Place { next: end, .. } = self.document.elements[self.at as usize];
        let within = move |at: u32| (at < end).then_some(Self { at, ..self });
        std::iter::successors(within(self.at + 1), move |it| {
            within(it.document.elements[it.at as usize].next)
        })
    }

    /// The value of an attribute that has no namespace.
    pub(super) fn attribute(self, name: &str) -> Option<&'a str> {
        let mut rest = self.document.tag(self.at).attributes;
        while let Some(it) = attribute(rest) {
            if it.name == name {
                return Some(self.value(it.value));
            }
            rest = it.rest;
        }
        None
    }

    fn value(self, written: &'a str) -> &'a str {
        let Document { values, meant, .. } = self.document;
        if values.is_empty() {
            return written;
        }
        let start = self.document.offset(written) as u32;
        let Ok(at) = values.binary_search_by_key(&start, |it| it.start) else { return written };
        let begin = if at == 0 { 0 } else { values[at - 1].end };
        meant.get(begin as usize..values[at].end as usize).unwrap_or(written)
    }

    /// The text in it, but not in the elements in it.
    pub(super) fn text(self) -> Cow<'a, str> {
        let document = self.document;
        let tag = document.tag(self.at);
        let mut out = Cow::Borrowed("");
        if tag.is_empty {
            return out;
        }
        let mut add = |part: Cow<'a, str>| {
            if out.is_empty() {
                out = part;
            } else if !part.is_empty() {
                out.to_mut().push_str(&part);
            }
        };
        let mut children = self.children();
        let mut at = tag.end;
        loop {
            let rest = &document.text[at..];
            let length = rest.find('<').unwrap_or(rest.len());
            add(lined(&rest[..length], true));
            at += length;
            let rest = &document.text[at..];
            match document.passive(at, true) {
                Ok(Some(end)) => {
                    let plain =
                        rest[..end - at].strip_prefix("<![CDATA[").and_then(|it| it.strip_suffix("]]>"));
                    add(plain.map_or(Cow::Borrowed(""), |it| lined(it, false)));
                    at = end;
                }
                _ if rest.starts_with("</") || rest.is_empty() => return out,
                // An element: it goes on behind it.
                _ => match children.next() {
                    Some(child) => at = document.elements[child.at as usize].end as usize,
                    None => return out,
                },
            }
        }
    }

    /// The line and the column that it begins at.
    pub(super) fn position(self) -> (usize, usize) {
        self.document.position(self.document.elements[self.at as usize].start as usize)
    }
}

/// A text as it is meant: lines end in one way, and references to characters are these.
fn lined(text: &str, references: bool) -> Cow<'_, str> {
    let lines = text.contains('\r');
    let references = references && text.contains('&');
    if !lines && !references {
        return Cow::Borrowed(text);
    }
    let unix = if lines { text.replace("\r\n", "\n").replace('\r', "\n") } else { text.to_owned() };
    Cow::Owned(if references { meant(&unix) } else { unix })
}

/// Puts characters in the place of references to them, which were checked.
fn meant(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('&') {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        match reference(rest) {
            Some((letter, length)) => {
                out.push(letter);
                rest = &rest[length..];
            }
            None => {
                out.push('&');
                rest = &rest[1..];
            }
        }
    }
    out.push_str(rest);
    out
}

/// Reads a reference to a character, such as `&lt;` or `&#x41;`: the character, and how many bytes the reference has.
fn reference(text: &str) -> Option<(char, usize)> {
    // None is longer.
    let head = text.as_bytes().get(1..text.len().min(12))?;
    let length = head.iter().position(|it| *it == b';')?;
    let name = text.get(1..1 + length)?;
    let letter = match name {
        "lt" => '<',
        "gt" => '>',
        "amp" => '&',
        "quot" => '"',
        "apos" => '\'',
        _ => {
            let number = name.strip_prefix('#')?;
            let code = match number.strip_prefix('x') {
                Some(digits) => u32::from_str_radix(digits, 16).ok()?,
                None => number.parse().ok()?,
            };
            char::from_u32(code).filter(|it| *it >= ' ' || matches!(it, '\t' | '\n' | '\r'))?
        }
    };
    Some((letter, length + 2))
}

/// Takes the start tag at a `<` apart.
fn tag(text: &str, at: usize) -> Option<Tag<'_>> {
    let inner = text.get(at + 1..)?;
    let mut quote = None;
    let length = inner.bytes().position(|it| match quote {
        Some(open) => {
            if it == open {
                quote = None;
            }
            // No value holds one.
            it == b'<'
        }
        None => {
            if matches!(it, b'"' | b'\'') {
                quote = Some(it);
            }
            matches!(it, b'<' | b'>')
        }
    })?;
    if inner.as_bytes()[length] != b'>' {
        return None;
    }
    let whole = &inner[..length];
    let content = whole.strip_suffix('/').unwrap_or(whole);
    let name = content.split(|it: char| it.is_ascii_whitespace()).next()?;
    let is_empty = content.len() < whole.len();
    Some(Tag { name, attributes: &content[name.len()..], end: at + 1 + length + 1, is_empty })
}

struct Attribute<'a> {
    name: &'a str,
    value: &'a str,
    rest: &'a str,
}

/// Reads the next attribute of a tag: white space, a name, `=`, and a value in quotes.
fn attribute(text: &str) -> Option<Attribute<'_>> {
    let trimmed = text.trim_ascii_start();
    if trimmed.len() == text.len() {
        return None;
    }
    let (name, behind) = trimmed.split_once('=')?;
    let behind = behind.trim_ascii_start();
    let quote = behind.chars().next().filter(|it| matches!(it, '"' | '\''))?;
    let (value, rest) = behind[1..].split_once(quote)?;
    Some(Attribute { name: name.trim_ascii_end(), value, rest })
}

/// The part of a name that is no namespace's.
fn local(name: &str) -> &str {
    name.split_once(':').map_or(name, |it| it.1)
}

/// A name of XML, or what is near enough: letters beyond ASCII are not told apart.
fn is_name(name: &str) -> bool {
    let begins = |it: char| it.is_ascii_alphabetic() || matches!(it, '_' | ':') || !it.is_ascii();
    name.starts_with(begins)
        && name.chars().all(|it| begins(it) || it.is_ascii_digit() || matches!(it, '-' | '.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(node: Node<'_>) -> String {
        let inner: Vec<String> = node.children().map(shown).collect();
        format!("{}({:?};{})", node.name(), node.text(), inner.join(","))
    }

    fn check(text: &str, want: &str) {
        let got = match Document::parse(text) {
            Ok(document) => shown(Node::root(&document)),
            Err(Fault::Malformed(reason)) => reason,
            Err(Fault::Unsupported { what, .. }) => what,
        };
        assert!(got.contains(want), "{text}: `{got}` does not tell `{want}`");
    }

    #[test]
    fn elements_and_their_texts() {
        check(
            "<?xml version='1.0'?><!-- a --><a>b<c/>d<!-- e -->f<g>h</g ></a> <?i?>",
            r#"a("bdf";c("";),g("h";))"#,
        );
        check("<n:a xmlns:n='u'><n:b n:c='d'>x</n:b></n:a>", r#"a("";b("x";))"#);
        check("<a>&lt;&#65;&#x42;&amp;amp;\r\n<![CDATA[<&gt;]]>\r</a>", r#"a("<AB&amp;\n<&gt;\n";)"#);
        check("<a b='>'\n c = \"'\" />", r#"a("";)"#);
        let document =
            Document::parse("<a b='1' n:c='2' c='&quot;&#9;x\r\ny' d='&amp;'>\n <e/></a>").unwrap();
        let root = Node::root(&document);
        assert_eq!(
            ["b", "c", "d", "n:c", "e"].map(|it| root.attribute(it)),
            [Some("1"), Some("\"\tx y"), Some("&"), Some("2"), None]
        );
        assert_eq!(root.children().next().unwrap().position(), (3, 2));
    }

    #[test]
    fn what_is_broken_is_told_with_its_place() {
        check("", "line 1, column 1: met no element");
        check("<a>\n<b></a>", "line 2, column 4: met an end tag of another element");
        check("<a><b>", "<b> is open");
        check("<a/>x", "text outside");
        check("<a/><a/>", "a second outermost element");
        check("<a b='1' b='2'/>", "the attribute `b` twice");
        for tag in ["<a b/>", "<a b=c/>", "<a b='1'c='2'/>", "<a =''/>", "<a 1b=''/>"] {
            check(tag, "attributes are none");
        }
        for tag in ["<", "<a", "<a b='", "<a b='<'/>", "<a <b/>"] {
            check(tag, "begins no tag");
        }
        check("<1/>", "a tag without a name");
        check("<a>&nbsp;</a>", "a `&` that begins no reference");
        check("<a b='&'/>", "a `&` that begins no reference");
        check("<a>&#0;</a>", "a `&` that begins no reference");
        check("<a>\u{1}</a>", "a control character");
        check("<a><!-- </a>", "a comment without an end");
        check("<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>", "a document type");
    }

    #[test]
    fn a_tower_is_read_without_nesting_calls() {
        let deep = "<a>".repeat(100_000) + &"</a>".repeat(100_000);
        assert_eq!(Document::parse(&deep).unwrap().elements.len(), 100_000);
    }
}
