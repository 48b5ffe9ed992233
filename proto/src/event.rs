//! CloudEvents, versions 1.0 and 0.3: structured ones read and written, and what both modes say of attributes.
//!
//! <https://github.com/cloudevents/spec>: `spec.md`, `formats/json-format.md`, `bindings/http-protocol-binding.md`.

mod time;

use std::borrow::Cow;
use std::fmt::{Display, Write};

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;

use crate::json::{self, Kind, Number, Reader};
use crate::{Code, Error};

pub use time::{is_timestamp, timestamp};

/// The content type of a structured event.
pub const STRUCTURED: &str = "application/cloudevents+json";
/// The attributes that make an event; an HTTP request with a header for each is one.
pub const REQUIRED: [&str; 4] = ["specversion", "id", "source", "type"];
/// The most attributes an event may have beyond those that [`Event::extensions`] leaves out.
pub const MAX_EXTENSIONS: usize = 64;

/// Attributes that each event has anew, or that speak of the data's form.
const OWN: [&str; 7] =
    ["specversion", "id", "source", "type", "time", "datacontenttype", "datacontentencoding"];

/// A structured event, as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// The version it is written in: `1.0` or `0.3`.
    pub specversion: String,
    /// Attributes that an answer may take over, each with its value as JSON: `subject`, `dataschema`, and extensions.
    pub extensions: Vec<(String, Bytes)>,
    /// The data: of `data` the JSON text, a part of the body that was read; of `data_base64` the bytes.
    pub data: Bytes,
}

/// What an event says that is written.
#[derive(Debug, Clone, Copy)]
pub struct Head<'a> {
    /// The version.
    pub specversion: &'a str,
    /// What no other event of the source has.
    pub id: &'a str,
    /// Where it comes from.
    pub source: &'a str,
    /// What happened.
    pub kind: &'a str,
    /// When, as [`timestamp`] writes it.
    pub time: &'a str,
    /// Further attributes, each with its value as JSON.
    pub extensions: &'a [(String, Bytes)],
}

/// Returns whether that is the name of an attribute that an answer may take over: lower-case letters and digits.
pub fn is_extension(name: &str) -> bool {
    let legal = name.bytes().all(|it| it.is_ascii_lowercase() || it.is_ascii_digit());
    legal && !name.is_empty() && !matches!(name, "data" | "data_base64") && !OWN.contains(&name)
}

/// Checks the value of an attribute.
///
/// # Errors
/// `InvalidInput` for an unknown `specversion`, a `time` that is no time, and for nothing where something must be.
pub fn check(name: &str, value: &str) -> Result<(), Error> {
    match name {
        "specversion" if !matches!(value, "1.0" | "0.3") => {
            Err(exception(format_args!("Found invalid specversion {value}; expected 1.0 or 0.3")))
        }
        "time" if !is_timestamp(value) => Err(exception(format_args!(
            "attribute `time` is `{}`, expected a time of RFC 3339 such as `2026-01-31T12:00:00Z`",
            shorten(value)
        ))),
        _ if value.is_empty() && REQUIRED.contains(&name) => {
            Err(exception(format_args!("attribute `{name}` is empty")))
        }
        _ => Ok(()),
    }
}

/// An error about an event, in the words by which KServe's clients know one.
pub fn exception(text: impl Display) -> Error {
    Error::invalid(format!("Cloud Event Exceptions: {text}"))
}

impl Event {
    /// Reads a structured event, whose data may be nested as deep as `depth`. Members that are no attributes are passed over.
    ///
    /// # Errors
    /// `InvalidInput` telling what is wrong or missing; `TooLarge` for too many attributes.
    pub fn read(body: &Bytes, depth: usize) -> Result<Self, Error> {
        let limits = json::Limits { depth: depth.saturating_add(1) };
        let mut reader = Reader::with_limits(body, limits);
        if reader.peek()? != Kind::Object {
            return Err(exception("the body is no JSON object, which a structured event is"));
        }
        let mut members = Members { body, own: Default::default(), data: None, extensions: Vec::new() };
        reader.begin_object()?;
        while let Some(name) = reader.next_key()? {
            members.member(&name, &mut reader)?;
        }
        reader.finish()?;
        members.event()
    }

    /// Writes a structured event with that JSON as its data.
    pub fn write(head: &Head<'_>, data: &[u8]) -> Bytes {
        let mut out = Vec::with_capacity(data.len() + 512);
        out.push(b'{');
        let own = [
            ("specversion", head.specversion),
            ("id", head.id),
            ("source", head.source),
            ("type", head.kind),
            ("time", head.time),
            ("datacontenttype", "application/json"),
        ];
        for (name, value) in own {
            json::push_str(&mut out, name);
            out.push(b':');
            json::push_str(&mut out, value);
            out.push(b',');
        }
        for (name, value) in head.extensions {
            json::push_str(&mut out, name);
            out.push(b':');
            out.extend_from_slice(value);
            out.push(b',');
        }
        out.extend_from_slice(b"\"data\":");
        out.extend_from_slice(data);
        out.push(b'}');
        out.into()
    }
}

/// Where an event's data stands.
enum Place {
    /// JSON, from one byte to another.
    Json(usize, usize),
    /// Bytes.
    Bytes(Bytes),
}

/// The members of an event, as far as they were read.
struct Members<'a> {
    body: &'a Bytes,
    /// The values of [`OWN`].
    own: [Option<Cow<'a, str>>; OWN.len()],
    data: Option<Place>,
    extensions: Vec<(String, Bytes)>,
}

impl<'a> Members<'a> {
    fn member(&mut self, name: &str, reader: &mut Reader<'a>) -> Result<(), Error> {
        let kind = reader.peek()?;
        // Null is as if the member were not there.
        if kind == Kind::Null {
            return Ok(reader.null()?);
        }
        let start = reader.offset();
        if let Some(index) = OWN.iter().position(|&own| own == name) {
            if kind != Kind::String {
                return Err(exception(format_args!("attribute `{name}` is no string")));
            }
            let value = reader.string()?;
            check(name, &value)?;
            if self.own[index].replace(value).is_some() {
                return Err(exception(format_args!("attribute `{name}` is there twice")));
            }
            return Ok(());
        }
        let place = match (name, kind) {
            ("data_base64", Kind::String) => Some(Place::Bytes(base64(&reader.string()?)?)),
            ("data_base64", _) => return Err(exception("`data_base64` is no string")),
            ("data", _) => {
                reader.skip()?;
                Some(Place::Json(start, reader.offset()))
            }
            _ => None,
        };
        match place {
            None => self.extension(name, kind, reader),
            Some(place) if self.data.is_none() => {
                self.data = Some(place);
                Ok(())
            }
            Some(_) => Err(exception("the event has data twice, in `data` or `data_base64`")),
        }
    }

    fn extension(&mut self, name: &str, kind: Kind, reader: &mut Reader<'a>) -> Result<(), Error> {
        let start = reader.offset();
        let scalar = match kind {
            Kind::Number => matches!(reader.number()?, Number::Int(_)),
            Kind::String | Kind::Bool => {
                reader.skip()?;
                true
            }
            Kind::Null | Kind::Array | Kind::Object => {
                reader.skip()?;
                false
            }
        };
        if !scalar || !is_extension(name) || self.extensions.iter().any(|(known, _)| known == name) {
            return Ok(());
        }
        if self.extensions.len() >= MAX_EXTENSIONS {
            return Err(too_many());
        }
        self.extensions.push((name.to_owned(), self.body.slice(start..reader.offset())));
        Ok(())
    }

    fn event(self) -> Result<Event, Error> {
        let [specversion, id, source, kind, _, _, encoding] = self.own;
        for (name, value) in REQUIRED.iter().zip([&specversion, &id, &source, &kind]) {
            if value.is_none() {
                return Err(exception(format_args!("the event has no attribute `{name}`")));
            }
        }
        let specversion = specversion.unwrap_or_default().into_owned();
        let encoded = specversion == "0.3" && encoding.is_some_and(|it| it.eq_ignore_ascii_case("base64"));
        let data = match self.data {
            None => return Err(exception("the event has no data; expected a request in `data`")),
            Some(Place::Bytes(bytes)) => bytes,
            Some(Place::Json(start, end)) if encoded => {
                base64(&Reader::new(&self.body[start..end]).string()?)?
            }
            Some(Place::Json(start, end)) => self.body.slice(start..end),
        };
        Ok(Event { specversion, extensions: self.extensions, data })
    }
}

fn base64(text: &str) -> Result<Bytes, Error> {
    let decoded = BASE64.decode(text.as_bytes());
    decoded.map(Bytes::from).map_err(|error| exception(format_args!("the data is no base64: {error}")))
}

/// The error of more than [`MAX_EXTENSIONS`].
pub fn too_many() -> Error {
    Error::new(Code::TooLarge, format!("the event has more than {MAX_EXTENSIONS} attributes"))
}

/// Writes the value of an attribute as that of a header: what is no visible ASCII, quotes and `%` are percent-encoded.
pub fn header_value(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_graphic() && !matches!(byte, b'"' | b'%') {
            out.push(char::from(byte));
        } else {
            // Writing to a string does not fail.
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

fn shorten(text: &str) -> String {
    text.chars().take(40).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVENT: &str = r#"{"specversion": "1.0", "id": "1", "source": "s", "type": "t", "time": "2026-01-31T12:00:00.5+01:00",
        "subject": "q\n", "count": 3, "deep": {"a": 1}, "Upper": "x", "half": 0.5, "none": null, "data":  {"instances": [[1]]} }"#;

    fn read(text: &str) -> Result<Event, String> {
        Event::read(&Bytes::copy_from_slice(text.as_bytes()), 64).map_err(|error| error.message)
    }

    #[test]
    fn the_data_is_a_part_of_the_body() {
        let body = Bytes::from_static(EVENT.as_bytes());
        let event = Event::read(&body, 64).unwrap();
        assert_eq!(&*event.data, br#"{"instances": [[1]]}"#);
        assert!(body.as_ptr_range().contains(&event.data.as_ptr()));
        let extensions: Vec<_> = event.extensions.iter().map(|(name, it)| (name.as_str(), &**it)).collect();
        assert_eq!(extensions, [("subject", br#""q\n""#.as_slice()), ("count", b"3")]);
    }

    #[test]
    fn bytes_are_decoded() {
        let event = |version: &str, data: &str| {
            format!(r#"{{"specversion": "{version}", "id": "1", "source": "s", "type": "t", {data}}}"#)
        };
        assert_eq!(&*read(&event("1.0", r#""data_base64": "e30=""#)).unwrap().data, b"{}");
        let old = r#""datacontentencoding": "Base64", "data": "e30=""#;
        assert_eq!(&*read(&event("0.3", old)).unwrap().data, b"{}");
        assert_eq!(&*read(&event("1.0", old)).unwrap().data, br#""e30=""#);
        let refused = read(&event("1.0", r#""data_base64": "?""#)).unwrap_err();
        assert!(refused.starts_with("Cloud Event Exceptions: the data is no base64"), "{refused}");
    }

    #[test]
    fn what_is_no_event_is_refused() {
        for (from, to, text) in [
            (r#""1.0""#, r#""2.0""#, "Found invalid specversion 2.0; expected 1.0 or 0.3"),
            (r#""1.0""#, "1.0", "attribute `specversion` is no string"),
            (r#""id": "1""#, r#""id": """#, "attribute `id` is empty"),
            (r#""id": "1","#, "", "the event has no attribute `id`"),
            (r#""subject""#, r#""id""#, "attribute `id` is there twice"),
            (r#""data":"#, r#""date":"#, "the event has no data; expected a request in `data`"),
            (
                r#""none": null"#,
                r#""data_base64": """#,
                "the event has data twice, in `data` or `data_base64`",
            ),
        ] {
            assert!(EVENT.contains(from));
            let refused = read(&EVENT.replacen(from, to, 1)).unwrap_err();
            assert_eq!(refused, format!("Cloud Event Exceptions: {text}"));
        }
        assert!(read(&EVENT.replace("12:00:00", "noon")).unwrap_err().contains("RFC 3339"));
        assert!(read(&EVENT[..60]).unwrap_err().starts_with("Unrecognized request format: "));
        assert!(read(&EVENT.replace("[[1]]", &"[".repeat(100))).unwrap_err().contains("nested"));
        let many: String = (0..=MAX_EXTENSIONS).map(|it| format!("\"a{it}\": 1, ")).collect();
        let many = EVENT.replace("\"none\": null,", &many);
        assert_eq!(Event::read(&Bytes::from(many), 64).unwrap_err().code, Code::TooLarge);
    }

    #[test]
    fn what_is_written_is_read() {
        let event = read(EVENT).unwrap();
        let head = Head {
            specversion: "1.0",
            id: "2",
            source: "a\"b",
            kind: "t",
            time: "1970-01-01T00:00:00Z",
            extensions: &event.extensions,
        };
        let written = Event::write(&head, &event.data);
        assert_eq!(Event::read(&written, 64).unwrap(), event);
        assert!(written.starts_with(br#"{"specversion":"1.0","id":"2","source":"a\"b","type":"t","time":"#));
    }

    #[test]
    fn headers_hold_visible_ascii() {
        assert_eq!(header_value("io.kserve/a-b"), "io.kserve/a-b");
        assert_eq!(header_value("a \"é%"), "a%20%22%C3%A9%25");
    }
}
