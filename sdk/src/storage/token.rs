//! Tokens that a store's credentials are exchanged for: asked for when one is needed, kept until shortly before it ends.

use std::time::{Duration, Instant};

use http::HeaderValue;
use http::request::Parts;
use tokio::sync::Mutex;

use super::StorageError;
use super::client::{Access, Anonymous, Ask, Client};
use super::place::shown;
use crate::BoxFuture;

/// A token is asked for anew so long before it ends.
const EARLY: Duration = Duration::from_secs(120);

/// Makes the request for a token.
pub(super) type Question = Box<dyn Fn() -> Result<Ask, StorageError> + Send + Sync>;

/// A token as OAuth has them.
pub(super) struct Bearer {
    question: Question,
    /// Beside the token: headers the store wants.
    headers: Vec<(&'static str, HeaderValue)>,
    known: Mutex<Option<(HeaderValue, Instant)>>,
}

impl Bearer {
    pub(super) fn new(question: Question, headers: Vec<(&'static str, HeaderValue)>) -> Self {
        Self { question, headers, known: Mutex::default() }
    }

    async fn token(&self, client: &Client) -> Result<HeaderValue, StorageError> {
        let mut known = self.known.lock().await;
        if let Some((token, until)) = known.as_ref()
            && *until > Instant::now()
        {
            return Ok(token.clone());
        }
        let ask = (self.question)()?;
        let (_, answer) = client.json(&ask, &Anonymous).await?;
        let missing = || StorageError::answer(shown(ask.url.as_str()), "its answer has no `access_token`");
        let token = answer.get("access_token").and_then(|it| it.as_str()).ok_or_else(missing)?;
        let mut value = HeaderValue::from_str(&format!("Bearer {token}")).map_err(|_| missing())?;
        value.set_sensitive(true);
        let seconds =
            answer.get("expires_in").and_then(|it| it.as_u64().or_else(|| it.as_str()?.parse().ok()));
        let lasts =
            Duration::from_secs(seconds.unwrap_or(600)).saturating_sub(EARLY).max(Duration::from_secs(1));
        *known = Some((value.clone(), Instant::now() + lasts));
        Ok(value)
    }
}

impl Access for Bearer {
    fn authorize<'a>(
        &'a self,
        request: &'a mut Parts,
        client: &'a Client,
    ) -> BoxFuture<'a, Result<(), StorageError>> {
        Box::pin(async move {
            request.headers.insert("authorization", self.token(client).await?);
            for (name, value) in &self.headers {
                request.headers.insert(*name, value.clone());
            }
            Ok(())
        })
    }
}
