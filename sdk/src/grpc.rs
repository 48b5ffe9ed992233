//! Errors as gRPC statuses, and back.

use std::time::Duration;

use tonic::metadata::MetadataValue;
use tonic::{Code as GrpcCode, Status};
use weir_proto::{Code, Error, Origin};

/// The header that names the service an error began in.
pub(crate) const ERROR_ORIGIN: &str = "x-error-origin";
/// The trailer that names the exact code: two of the table's codes share one gRPC status.
const ERROR_CODE: &str = "x-error-code";
const RETRY_AFTER: &str = "retry-after";

/// Says an error in gRPC.
pub(crate) fn status_of(error: &Error) -> Status {
    let mut status = Status::new(GrpcCode::from_i32(error.code.grpc()), clipped(&error.message));
    let trailers = status.metadata_mut();
    trailers.insert(ERROR_CODE, MetadataValue::from_static(error.code.name()));
    if let Some(origin) = error.origin {
        trailers.insert(ERROR_ORIGIN, MetadataValue::from_static(origin.name()));
    }
    if let Some(after) = error.retry_after {
        trailers.insert(RETRY_AFTER, MetadataValue::from(after.as_secs().max(1)));
    }
    status
}

/// A text quotes what was sent, and a status travels in headers, of which peers take a few kilobytes.
fn clipped(message: &str) -> String {
    const LONGEST: usize = 2048;
    match message.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}...", &message[..end]),
        None => message.to_owned(),
    }
}

/// Reads an error a peer said in gRPC. A peer's status, text and origin are kept.
pub(crate) fn error_of(status: &Status, peer: Origin) -> Error {
    let text = |name: &str| status.metadata().get(name).and_then(|value| value.to_str().ok());
    let code =
        text(ERROR_CODE).and_then(Code::from_name).unwrap_or_else(|| Code::from_grpc(status.code() as i32));
    let mut error = Error::new(code, status.message());
    error.origin = Some(text(ERROR_ORIGIN).and_then(Origin::from_name).unwrap_or(peer));
    error.retry_after = text(RETRY_AFTER).and_then(|it| it.parse().ok()).map(Duration::from_secs);
    error
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_comes_back_whole() {
        for code in Code::ALL {
            let mut error = Error::new(code, "über `x`: 50% of\nit").or_origin(Origin::Transformer);
            error.retry_after = Some(Duration::from_secs(3));
            assert_eq!(error_of(&status_of(&error), Origin::Predictor), error);
        }
    }

    #[test]
    fn a_foreign_peers_status_is_read_by_its_number() {
        let error = error_of(&Status::not_found("no"), Origin::Upstream);
        assert_eq!((error.code, error.origin), (Code::NotFound, Some(Origin::Upstream)));
    }
}
