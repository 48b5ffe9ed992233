//! One call of a REST client: from its headers and body to an answer.

use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use http::{HeaderMap, HeaderName, HeaderValue};
use weir_proto::{Error, Face, Form, Method, Payload};

use super::super::app::App;
use super::respond::{answer, error_response, refuse};
use crate::call::REQUEST_ID;
use crate::{Call, Context, Verb};

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

/// Serves one call.
pub(super) async fn serve(app: &App, target: Target, request: Request) -> Response {
    let _admitted = match app.admit() {
        Ok(guard) => guard,
        Err(error) => return refuse(app, error),
    };
    let (parts, body) = request.into_parts();
    let mut call = match read(app, target, &parts.headers, body).await {
        Ok(call) => call,
        Err(error) => return refuse(app, error),
    };
    let id = app.identify(&mut call);
    let mut response = match app.serve(call).await {
        Ok(payload) => answer(payload),
        Err(error) => error_response(&error),
    };
    response.headers_mut().insert(REQUEST_ID, id);
    response
}

async fn read(app: &App, target: Target, headers: &HeaderMap, body: Body) -> Result<Call, Error> {
    let context = Context::of(headers)?;
    let body = app.read(body, &context).await?;
    let json_length = match (target.face, headers.get(JSON_LENGTH)) {
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
        context,
        limits: app.limits.decode,
    })
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
