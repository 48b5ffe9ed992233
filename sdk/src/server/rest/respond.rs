//! Answers and errors as HTTP responses.

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use http::{HeaderName, HeaderValue, StatusCode, header};
use weir_proto::{Error, Payload, json};

use super::super::app::App;
use super::call::JSON_LENGTH;
use crate::grpc::ERROR_ORIGIN;

/// The answer to a call.
pub(super) fn answer(payload: Payload) -> Response {
    let Some(length) = payload.json_length else { return json_body(payload.body) };
    let mut response = Response::new(Body::from(payload.body));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    headers.insert(JSON_LENGTH, HeaderValue::from(length));
    response
}

/// A JSON document.
pub(in super::super) fn json_body(body: Bytes) -> Response {
    let mut response = Response::new(Body::from(body));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// An error that this service met itself.
pub(in super::super) fn refuse(app: &App, error: Error) -> Response {
    error_response(&error.or_origin(app.handle.component()))
}

/// An error, whosever it is.
pub(super) fn error_response(error: &Error) -> Response {
    let mut out = b"{\"error\":".to_vec();
    json::push_str(&mut out, &error.message);
    out.push(b'}');
    let mut response = json_body(out.into());
    *response.status_mut() = StatusCode::from_u16(error.code.http())
        .expect("the table holds HTTP statuses only, pinned by its test");
    if let Some(origin) = error.origin {
        let name = HeaderName::from_static(ERROR_ORIGIN);
        response.headers_mut().insert(name, HeaderValue::from_static(origin.name()));
    }
    if let Some(after) = error.retry_after {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(after.as_secs().max(1)));
    }
    response
}
