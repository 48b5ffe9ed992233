//! What is the same for every component and every model: schemas of fixed answers, headers, what a status means.

use weir_proto::Code;

use super::document::ORIGINS;
use super::json::Json;
use super::operation::Kind;

/// Returns what a code means to whoever reads it.
pub(super) const fn meaning(code: Code) -> &'static str {
    match code {
        Code::InvalidInput => {
            "The body, a shape, a data type, a header or a parameter is wrong; the text says what was met."
        }
        Code::Unauthenticated => "The caller did not say who they are.",
        Code::Forbidden => "The caller may not do this.",
        Code::NotFound => "There is no such model or version.",
        Code::TooLarge => "The body, or a tensor of it, is over a limit.",
        Code::Overloaded => "Too many requests are in flight, or the model's queue is full; try again later.",
        Code::Inference => "The model ran and failed, or could not be loaded.",
        Code::Unsupported => "A data type or form that is not offered.",
        Code::Upstream => "A service behind this one broke the connection or spoke nonsense.",
        Code::NotReady => {
            "The model or a service is loading, failed to load, is draining, or cannot be reached."
        }
        Code::Deadline => "The time was up.",
    }
}

pub(super) const HEADERS_TOO_LARGE: &str = "The request's headers are too large; the answer has no body.";

/// The headers that requests of a kind may have.
pub(super) const fn parameters_of(kind: Kind) -> &'static [&'static str] {
    match kind {
        Kind::Tell | Kind::Change => &[],
        Kind::Call => &["x-request-id", "x-request-timeout-ms", "traceparent"],
        Kind::BinaryCall => {
            &["x-request-id", "x-request-timeout-ms", "traceparent", "inference-header-content-length"]
        }
    }
}

/// Headers of requests: name, description, example.
pub(super) const HEADERS: [(&str, &str); 4] = [
    (
        "x-request-id",
        "The caller's id for the request; the answer and the logs have it. Without it there is a new one.",
    ),
    ("x-request-timeout-ms", "How long the caller waits, in milliseconds; after that the answer is 504."),
    ("traceparent", "The W3C trace that the request belongs to."),
    (
        "inference-header-content-length",
        "For a body of application/octet-stream: the length of the JSON that raw tensors follow.",
    ),
];

pub(super) fn parameters(json: &mut Json) {
    for (name, description) in HEADERS {
        json.key(name).object(|json| {
            json.key("name").string(name);
            json.key("in").string("header");
            json.key("description").string(description);
            json.key("schema").object(|json| header_schema(json, name));
        });
    }
}

fn header_schema(json: &mut Json, name: &str) {
    match name {
        "x-request-timeout-ms" => {
            json.key("type").string("integer");
            json.key("minimum").integer(1);
            json.key("maximum").wide(u64::MAX.into());
            json.key("examples").list(|json| json.integer(10_000));
        }
        "inference-header-content-length" => {
            json.key("type").string("integer");
            json.key("minimum").integer(0);
            json.key("maximum").integer(i32::MAX.into());
        }
        "traceparent" => {
            json.key("type").string("string");
            json.key("pattern").string("^00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$");
            json.key("examples")
                .list(|json| json.string("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"));
        }
        _ => json.key("type").string("string"),
    }
}

/// Headers of answers.
pub(super) fn headers(json: &mut Json) {
    json.key("x-request-id").object(|json| {
        json.key("description").string("The request's id.");
        json.key("schema").object(|json| json.key("type").string("string"));
    });
    json.key("x-error-origin").object(|json| {
        json.key("description").string("The service that the error began in.");
        json.key("schema").object(|json| json.key("enum").strings(ORIGINS.iter().map(|it| it.name())));
    });
    json.key("retry-after").object(|json| {
        json.key("description").string("In how many seconds to try again.");
        json.key("schema").object(|json| json.key("type").string("integer"));
    });
}

/// The schemas that no model changes: an object of them.
const SCHEMAS: &str = include_str!("schemas.json");

pub(super) fn schemas(json: &mut Json) {
    json.members(SCHEMAS);
}
