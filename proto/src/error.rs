//! The one table of errors: what went wrong, whose fault it was, and how that is said in HTTP and in gRPC.

use std::fmt;
use std::time::Duration;

/// What went wrong. The two columns of the status table are [`Code::http`] and [`Code::grpc`]; nothing else maps a status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Code {
    /// A body, shape, data type or parameter is wrong.
    InvalidInput,
    /// The caller did not say who they are.
    Unauthenticated,
    /// The caller may not do this.
    Forbidden,
    /// There is no such model, version or route.
    NotFound,
    /// Something is over a limit; refused before it was buffered.
    TooLarge,
    /// Admission was refused; worth trying again later.
    Overloaded,
    /// The model ran and failed.
    Inference,
    /// A protocol, data type or verb that is not offered.
    Unsupported,
    /// A peer broke the connection or spoke nonsense.
    Upstream,
    /// Loading, unloading or draining.
    NotReady,
    /// Time is up, wherever it was spent.
    Deadline,
}

impl Code {
    /// Every code, for tables and tests.
    pub const ALL: [Self; 11] = [
        Self::InvalidInput,
        Self::Unauthenticated,
        Self::Forbidden,
        Self::NotFound,
        Self::TooLarge,
        Self::Overloaded,
        Self::Inference,
        Self::Unsupported,
        Self::Upstream,
        Self::NotReady,
        Self::Deadline,
    ];

    /// Returns the HTTP status.
    pub const fn http(self) -> u16 {
        match self {
            Self::InvalidInput => 400,
            Self::Unauthenticated => 401,
            Self::Forbidden => 403,
            Self::NotFound => 404,
            Self::TooLarge => 413,
            Self::Overloaded => 429,
            Self::Inference => 500,
            Self::Unsupported => 501,
            Self::Upstream => 502,
            Self::NotReady => 503,
            Self::Deadline => 504,
        }
    }

    /// Returns the number of the gRPC status.
    pub const fn grpc(self) -> i32 {
        match self {
            Self::InvalidInput => 3,                // INVALID_ARGUMENT
            Self::Unauthenticated => 16,            // UNAUTHENTICATED
            Self::Forbidden => 7,                   // PERMISSION_DENIED
            Self::NotFound => 5,                    // NOT_FOUND
            Self::TooLarge | Self::Overloaded => 8, // RESOURCE_EXHAUSTED
            Self::Inference => 13,                  // INTERNAL
            Self::Unsupported => 12,                // UNIMPLEMENTED
            Self::Upstream | Self::NotReady => 14,  // UNAVAILABLE
            Self::Deadline => 4,                    // DEADLINE_EXCEEDED
        }
    }

    /// Returns the code a foreign peer meant by a gRPC status. Weir's own services also send [`Code::name`], which is exact.
    pub const fn from_grpc(status: i32) -> Self {
        match status {
            3 | 9 | 11 => Self::InvalidInput,
            4 => Self::Deadline,
            5 => Self::NotFound,
            7 => Self::Forbidden,
            8 => Self::Overloaded,
            12 => Self::Unsupported,
            14 => Self::NotReady,
            16 => Self::Unauthenticated,
            // OK is no error: a peer that reports one with it spoke nonsense.
            0 => Self::Upstream,
            _ => Self::Inference,
        }
    }

    /// Returns the name under which the code travels between Weir's services and in metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::InvalidInput => "invalid_input",
            Self::Unauthenticated => "unauthenticated",
            Self::Forbidden => "forbidden",
            Self::NotFound => "not_found",
            Self::TooLarge => "too_large",
            Self::Overloaded => "overloaded",
            Self::Inference => "inference",
            Self::Unsupported => "unsupported",
            Self::Upstream => "upstream",
            Self::NotReady => "not_ready",
            Self::Deadline => "deadline",
        }
    }

    /// Returns the code of that [`Code::name`].
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|code| code.name() == name)
    }
}

/// Which service said no.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Origin {
    /// The front door.
    Router,
    /// The service that reshapes requests and answers.
    Transformer,
    /// The service that holds the model.
    Predictor,
    /// The service that explains.
    Explainer,
    /// A peer that is not Weir's.
    Upstream,
}

impl Origin {
    const ALL: [Self; 5] =
        [Self::Router, Self::Transformer, Self::Predictor, Self::Explainer, Self::Upstream];

    /// Returns the value of the header `x-error-origin`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Router => "router",
            Self::Transformer => "transformer",
            Self::Predictor => "predictor",
            Self::Explainer => "explainer",
            Self::Upstream => "upstream",
        }
    }

    /// Returns the origin of that [`Origin::name`].
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|origin| origin.name() == name)
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// An error as a client meets it: a code, whose it is, and a text that says what was met, what was expected, what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    /// What went wrong.
    pub code: Code,
    /// Who said so; filled in by the first service that answers with it.
    pub origin: Option<Origin>,
    /// The text the client reads.
    pub message: String,
    /// When it is worth trying again.
    pub retry_after: Option<Duration>,
}

impl Error {
    /// Creates an error whose origin is not known yet.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, origin: None, message: message.into(), retry_after: None }
    }

    /// Shorthand for [`Code::InvalidInput`].
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(Code::InvalidInput, message)
    }

    /// The text KServe's clients match on.
    pub fn model_not_found(model: &str) -> Self {
        Self::new(Code::NotFound, format!("Model with name {model} does not exist."))
    }

    /// The text KServe's clients match on, with the reason behind it when there is one.
    pub fn model_not_ready(model: &str, reason: &str) -> Self {
        let text = format!("Model with name {model} is not ready.");
        Self::new(Code::NotReady, if reason.is_empty() { text } else { format!("{text} {reason}") })
    }

    /// Says when it is worth trying again.
    #[must_use]
    pub fn retry_after(mut self, after: Duration) -> Self {
        self.retry_after = Some(after);
        self
    }

    /// Names who said so, unless somebody nearer the cause already did.
    #[must_use]
    pub fn or_origin(mut self, origin: Origin) -> Self {
        self.origin.get_or_insert(origin);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_the_designs() {
        let rows: Vec<_> = Code::ALL.iter().map(|code| (code.name(), code.http(), code.grpc())).collect();
        let want = [
            ("invalid_input", 400, 3),
            ("unauthenticated", 401, 16),
            ("forbidden", 403, 7),
            ("not_found", 404, 5),
            ("too_large", 413, 8),
            ("overloaded", 429, 8),
            ("inference", 500, 13),
            ("unsupported", 501, 12),
            ("upstream", 502, 14),
            ("not_ready", 503, 14),
            ("deadline", 504, 4),
        ];
        assert_eq!(rows, want);
        assert!(Code::ALL.iter().all(|&code| Code::from_name(code.name()) == Some(code)));
        assert!(Origin::ALL.iter().all(|&origin| Origin::from_name(origin.name()) == Some(origin)));
    }
}
