//! CloudEvents over V1: a request that is an event is answered by one of the same mode, as KServe's servers do.
//!
//! Binary: the attributes are headers `ce-...`, the body is the data. Structured: the body is an event that has the data in it.
//! An error is answered as to any other request.

use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use weir_proto::event::{self, Head, STRUCTURED};
use weir_proto::{Code, Error, Payload};

use super::super::app::App;
use crate::flags::{Env, truth};

/// What the environment says of the events that are answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Events {
    /// `CE_TYPE`: their `type`.
    kind: String,
    /// `CE_SOURCE`: their `source`; without it `io.kserve.inference.` and the model's name.
    source: Option<String>,
    /// `CE_MERGE`: they take over the request's attributes.
    merge: bool,
}

impl Events {
    /// Reads KServe's variables.
    pub fn of(env: &Env) -> Self {
        let some = |name: &str| env.get(name).filter(|it| !it.is_empty()).map(str::to_owned);
        Self {
            kind: some("CE_TYPE").unwrap_or_else(|| "io.kserve.inference.response".to_owned()),
            source: some("CE_SOURCE"),
            merge: env.get("CE_MERGE").and_then(truth).unwrap_or(false),
        }
    }

    /// Returns variables that say the same.
    pub fn variables(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let source = self.source.as_deref().map(|it| ("CE_SOURCE", it));
        let merge = self.merge.then_some(("CE_MERGE", "true"));
        [("CE_TYPE", self.kind.as_str())].into_iter().chain(source).chain(merge)
    }
}

impl Default for Events {
    fn default() -> Self {
        Self::of(&Env::default())
    }
}

/// How a request is an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    Binary,
    Structured,
}

/// What a request's headers say of events, gathered header by header.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Signs {
    /// Which of the attributes that make an event there is a header for.
    required: u8,
    /// The content type is one of events.
    structured: bool,
}

/// What the headers of attributes begin with.
pub(super) const PREFIX: &str = "ce-";
/// What the content types of structured events begin with.
const FAMILY: &str = "application/cloudevents";

impl Signs {
    /// Looks at a header whose name begins with `ce-`.
    pub(super) fn attribute(&mut self, name: &str) {
        let attribute = name.strip_prefix(PREFIX);
        if let Some(index) = event::REQUIRED.iter().position(|&it| Some(it) == attribute) {
            self.required |= 1 << index;
        }
    }

    /// Looks at a content type. Where there are several the first of events counts.
    pub(super) fn content_type(&mut self, value: &HeaderValue) {
        let begins = value.as_bytes().get(..FAMILY.len());
        self.structured |= begins.is_some_and(|it| it.eq_ignore_ascii_case(FAMILY.as_bytes()));
    }

    /// Returns how the request is an event. The content type decides, as the specification says; of the headers all must be
    /// there.
    ///
    /// # Errors
    /// `Unsupported` for a format other than JSON, and for several events in one body.
    pub(super) fn mode(self, headers: &HeaderMap) -> Result<Option<Mode>, Error> {
        if self.structured {
            let texts = headers.get_all(header::CONTENT_TYPE).into_iter().filter_map(|it| it.to_str().ok());
            let mut essences = texts.map(|it| it.split(';').next().unwrap_or_default().trim());
            let of_events =
                |it: &&str| it.get(..FAMILY.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(FAMILY));
            let essence = essences.find(of_events).unwrap_or_default();
            if essence.eq_ignore_ascii_case(STRUCTURED) {
                return Ok(Some(Mode::Structured));
            }
            return Err(Error::new(
                Code::Unsupported,
                format!("events are not read as `{essence}`; send one event a request, as `{STRUCTURED}`"),
            ));
        }
        Ok((self.required == (1 << event::REQUIRED.len()) - 1).then_some(Mode::Binary))
    }
}

/// What the answer to an event needs to know of it.
pub(super) struct Event {
    model: String,
    asked: Asked,
}

enum Asked {
    /// The version, and headers that the answer takes over.
    Binary(HeaderValue, Vec<(HeaderName, HeaderValue)>),
    /// The version, and attributes that the answer takes over.
    Structured(String, Vec<(String, Bytes)>),
}

const ANSWERED_IN: &str = "1.0";

/// Reads an event: what its answer needs of it, and its data.
pub(super) fn read(
    app: &App,
    mode: Mode,
    model: &str,
    headers: &HeaderMap,
    body: Bytes,
) -> Result<(Event, Bytes), Error> {
    let merge = app.events.merge;
    let (asked, data) = match mode {
        Mode::Binary => (of_headers(headers, merge)?, body),
        Mode::Structured => {
            let read = event::Event::read(&body, app.limits.decode.depth)?;
            let asked = if merge {
                Asked::Structured(read.specversion, read.extensions)
            } else {
                Asked::Structured(ANSWERED_IN.to_owned(), Vec::new())
            };
            (asked, read.data)
        }
    };
    Ok((Event { model: model.to_owned(), asked }, data))
}

fn of_headers(headers: &HeaderMap, merge: bool) -> Result<Asked, Error> {
    let (mut version, mut merged) = (HeaderValue::from_static(ANSWERED_IN), Vec::new());
    for (name, value) in headers {
        let Some(attribute) = name.as_str().strip_prefix(PREFIX) else { continue };
        if event::REQUIRED.contains(&attribute) || attribute == "time" {
            event::check(attribute, &String::from_utf8_lossy(value.as_bytes()))?;
        }
        if merge && attribute == "specversion" {
            version = value.clone();
        }
        let is_new = || !merged.iter().any(|(known, _)| known == name);
        if merge && event::is_extension(attribute) && is_new() {
            if merged.len() >= event::MAX_EXTENSIONS {
                return Err(event::too_many());
            }
            merged.push((name.clone(), value.clone()));
        }
    }
    Ok(Asked::Binary(version, merged))
}

impl Event {
    /// Says of an error about the data that the data is an event's.
    pub(super) fn blame(&self, mut error: Error) -> Error {
        if let (Asked::Binary(..), Code::InvalidInput) = (&self.asked, error.code)
            && let Some(rest) = error.message.strip_prefix("Unrecognized request format: ")
        {
            error.message = format!("Failed to decode or parse binary json cloudevent: {rest}");
        }
        error
    }

    /// Makes an answer the data of an event. Returns the headers that belong to it.
    pub(super) fn answer(self, app: &App, payload: &mut Payload) -> Vec<(HeaderName, HeaderValue)> {
        let Events { kind, source, .. } = &app.events;
        let default = || format!("io.kserve.inference.{}", self.model);
        let source = source.clone().unwrap_or_else(default);
        let id = app.new_id();
        // A clock before 1970 is wrong, which is no reason to answer nothing.
        let time = event::timestamp(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default());
        match self.asked {
            Asked::Structured(specversion, extensions) => {
                let (specversion, extensions) = (specversion.as_str(), extensions.as_slice());
                let head = Head { specversion, id: &id, source: &source, kind, time: &time, extensions };
                payload.body = event::Event::write(&head, &payload.body);
                vec![(header::CONTENT_TYPE, HeaderValue::from_static(STRUCTURED))]
            }
            Asked::Binary(version, mut headers) => {
                headers.push((HeaderName::from_static("ce-specversion"), version));
                let own = [("ce-id", &id), ("ce-source", &source), ("ce-type", kind), ("ce-time", &time)];
                headers.extend(own.map(|(name, text)| {
                    let value = HeaderValue::from_str(&event::header_value(text));
                    (HeaderName::from_static(name), value.expect("visible ASCII is a header value"))
                }));
                headers
            }
        }
    }
}
