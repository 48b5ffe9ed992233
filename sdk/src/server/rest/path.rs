//! What a path says of a model: its name, and its version or a label of one.

use axum::extract::{FromRequestParts, RawPathParams};
use axum::response::Response;
use http::request::Parts;
use weir_proto::Error;

use super::respond::error_response;

/// A model, as the parameters `model`, `version` and `label` of a route name it.
pub(super) struct ModelPath {
    pub(super) model: String,
    /// Empty for any; a label is written `@label`.
    pub(super) version: String,
    /// A parameter `extension`; empty where the route has none.
    pub(super) extension: String,
}

impl ModelPath {
    /// Splits the verb off the end of the path, as in `iris:predict` or `versions/1:predict`.
    pub(super) fn split_verb(mut self) -> Result<(Self, String), Self> {
        let last = if self.version.is_empty() { &mut self.model } else { &mut self.version };
        let Some((rest, verb)) = last.rsplit_once(':').map(|(rest, verb)| (rest.to_owned(), verb.to_owned()))
        else {
            return Err(self);
        };
        *last = rest;
        Ok((self, verb))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for ModelPath {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Response> {
        let wrong = |_| error_response(&Error::invalid("the path holds bytes that are not UTF-8"));
        let parameters = RawPathParams::from_request_parts(parts, state).await.map_err(wrong)?;
        let mut path = Self { model: String::new(), version: String::new(), extension: String::new() };
        for (name, value) in &parameters {
            match name {
                "model" => value.clone_into(&mut path.model),
                "version" => value.clone_into(&mut path.version),
                "label" => path.version = format!("@{value}"),
                "extension" => value.clone_into(&mut path.extension),
                _ => {}
            }
        }
        Ok(path)
    }
}
