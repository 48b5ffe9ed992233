//! One call of a REST client: from its headers and body to an answer.

use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use weir_proto::{Error, Face, Form, Method, Payload};

use super::super::app::App;
use super::super::encoding::{self, Coding};
use super::events::{self, Event, Signs};
use super::respond::{answer, error_response, refuse};
use crate::call::REQUEST_ID;
use crate::{Call, Context, Travellers, Verb};

/// What a path says of a call.
pub(super) struct Target {
    pub(super) verb: Verb,
    pub(super) face: Face,
    pub(super) method: Method,
    pub(super) model: String,
    /// Empty for any; a label is written `@label`.
    pub(super) version: String,
}

/// The header that tells how long the JSON is which raw tensors follow.
pub(super) const JSON_LENGTH: HeaderName = HeaderName::from_static("inference-header-content-length");

/// What a request's headers say, read in one walk.
struct Said<'h> {
    headers: &'h HeaderMap,
    context: Context,
    json_length: Option<&'h HeaderValue>,
    signs: Signs,
    /// There is a header that says how the body is compressed.
    encoded: bool,
    /// There is a header that says how the answer may be.
    accepts: bool,
}

impl<'h> Said<'h> {
    fn of(headers: &'h HeaderMap, travellers: &Travellers) -> Result<Self, Error> {
        let (mut json_length, mut signs) = (None, Signs::default());
        let (mut encoded, mut accepts) = (false, false);
        let context = Context::beside(headers, travellers, |name, value| match name.as_str() {
            "content-type" => signs.content_type(value),
            "content-encoding" => encoded = true,
            "accept-encoding" => accepts = true,
            "inference-header-content-length" => json_length = json_length.or(Some(value)),
            name if name.starts_with(events::PREFIX) => signs.attribute(name),
            _ => {}
        })?;
        Ok(Self { headers, context, json_length, signs, encoded, accepts })
    }

    fn coding(&self) -> Result<Option<Coding>, Error> {
        if self.encoded { Coding::of_request(self.headers) } else { Ok(None) }
    }
}

/// Serves one call.
pub(super) async fn serve(app: &App, target: Target, request: Request) -> Response {
    let _admitted = match app.admit() {
        Ok(guard) => guard,
        Err(error) => return refuse(app, error),
    };
    let (parts, body) = request.into_parts();
    let said = match Said::of(&parts.headers, &app.travellers) {
        Ok(said) => said,
        Err(error) => return refuse(app, error),
    };
    let coding = match said.coding() {
        Ok(coding) => coding,
        Err(error) => {
            let mut response = refuse(app, error);
            response.headers_mut().insert(header::ACCEPT_ENCODING, encoding::ACCEPTED);
            return response;
        }
    };
    let accepted = said.accepts.then_some(said.headers);
    let (mut call, event) = match read(app, target, said, coding, body).await {
        Ok(read) => read,
        Err(error) => return refuse(app, error),
    };
    let id = app.identify(&mut call.context);
    let mut response = match (app.serve(call).await, event) {
        (Ok(payload), event) => respond(app, accepted, event, payload).await,
        (Err(error), Some(event)) => error_response(&event.blame(error)),
        (Err(error), None) => error_response(&error),
    };
    response.headers_mut().insert(REQUEST_ID, id);
    response
}

async fn read(
    app: &App,
    target: Target,
    said: Said<'_>,
    coding: Option<Coding>,
    body: Body,
) -> Result<(Call, Option<Event>), Error> {
    let event = if target.face == Face::V1 { said.signs.mode(said.headers)? } else { None };
    let mut body = app.read(body, &said.context).await?;
    if let Some(coding) = coding {
        // Boxed, as what few requests need: all of them would carry its size.
        body = Box::pin(encoding::decompress(coding, body, app.limits.max_decompressed_bytes)).await?;
    }
    let event = match event {
        Some(mode) => {
            let (event, data) = events::read(app, mode, &target.model, said.headers, body)?;
            body = data;
            Some(event)
        }
        None => None,
    };
    call(app, target, said, body).map(|call| (call, event))
}

fn call(app: &App, target: Target, said: Said<'_>, body: Bytes) -> Result<Call, Error> {
    let json_length = match (target.face, said.json_length) {
        (Face::V2, Some(told)) => Some(json_length(told, body.len())?),
        _ => None,
    };
    let form = Form { method: target.method, ..Form::default() };
    Ok(Call {
        verb: target.verb,
        model: target.model,
        version: target.version,
        payload: Payload { json_length, form, ..Payload::new(target.face, body) },
        want: target.face,
        context: said.context,
        limits: app.limits.decode,
    })
}

/// Writes an answer: as an event to an event, and compressed for whoever accepts it.
async fn respond(
    app: &App,
    accepted: Option<&HeaderMap>,
    event: Option<Event>,
    mut payload: Payload,
) -> Response {
    let event = event.map(|event| event.answer(app, &mut payload)).unwrap_or_default();
    let (length, over) = (payload.body.len(), app.limits.compress_over_bytes);
    let coding = accepted.and_then(|headers| Coding::of_answer(headers, length, over));
    if let Some(coding) = coding {
        match Box::pin(encoding::compress(coding, payload.body)).await {
            Ok(body) => payload.body = body,
            Err(error) => return refuse(app, error),
        }
    }
    let mut response = answer(payload);
    let headers = response.headers_mut();
    for (name, value) in event {
        headers.insert(name, value);
    }
    if let Some(coding) = coding {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static(coding.name()));
    }
    if coding.is_some() || (over > 0 && length > over) {
        headers.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    }
    response
}

/// Reads the header, in Triton's words where it is wrong.
fn json_length(told: &HeaderValue, total: usize) -> Result<usize, Error> {
    let text = String::from_utf8_lossy(told.as_bytes()).into_owned();
    let digits = text.strip_prefix('-').unwrap_or(&text);
    if digits.is_empty() || !digits.bytes().all(|it| it.is_ascii_digit()) {
        return Err(Error::invalid(format!("Unable to parse Inference-Header-Content-Length, got: {text}")));
    }
    let Ok(length) = text.parse::<i32>() else {
        let range = format!("[ {}, {} ]", i32::MIN, i32::MAX);
        return Err(Error::invalid(format!(
            "Unable to parse Inference-Header-Content-Length, value is out of range {range}, got: {text}"
        )));
    };
    usize::try_from(length).ok().filter(|&length| length <= total).ok_or_else(|| {
        Error::invalid(format!("inference header size should be in range (0, {total}), got: {text}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_is_read_and_mistakes_are_told_in_tritons_words() {
        let read = |text: &'static str| {
            json_length(&HeaderValue::from_static(text), 10).map_err(|error| error.message)
        };
        assert_eq!(read("0"), Ok(0));
        assert_eq!(read("10"), Ok(10));
        assert_eq!(read("abc").unwrap_err(), "Unable to parse Inference-Header-Content-Length, got: abc");
        assert_eq!(read("12abc").unwrap_err(), "Unable to parse Inference-Header-Content-Length, got: 12abc");
        assert_eq!(
            read("99999999999").unwrap_err(),
            "Unable to parse Inference-Header-Content-Length, value is out of range [ -2147483648, 2147483647 ], got: \
             99999999999"
        );
        for text in ["11", "-1"] {
            let want = format!("inference header size should be in range (0, 10), got: {text}");
            assert_eq!(read(text).unwrap_err(), want);
        }
    }
}
