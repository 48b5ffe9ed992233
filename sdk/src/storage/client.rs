//! Requests to stores: redirects only where the rules allow them and without the credentials of the first host, waits between
//! attempts, limits on time and size.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::{Bytes, BytesMut};
use http::header::{HeaderName, HeaderValue, LOCATION, RETRY_AFTER};
use http::{HeaderMap, Method, Request, Response, StatusCode, request};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::client::legacy;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use url::Url;

use super::StorageError;
use super::connect::Connector;
use super::error::Passing;
use super::place::{excerpt, shown};
use super::policy::Policy;
use super::settings::{Settings, Transfer};
use super::tls::Tls;
use crate::BoxFuture;

const REDIRECTS: usize = 10;
/// The most bytes of an answer that is a list or a document.
pub(super) const DOCUMENT: usize = 64 << 20;

/// Who shows a store that the request may be made.
pub(super) trait Access: Send + Sync {
    /// Adds what the store wants to see.
    fn authorize<'a>(
        &'a self,
        request: &'a mut request::Parts,
        client: &'a Client,
    ) -> BoxFuture<'a, Result<(), StorageError>>;
}

/// Nobody in particular.
pub(super) struct Anonymous;

impl Access for Anonymous {
    fn authorize<'a>(
        &'a self,
        _: &'a mut request::Parts,
        _: &'a Client,
    ) -> BoxFuture<'a, Result<(), StorageError>> {
        Box::pin(std::future::ready(Ok(())))
    }
}

/// Headers that are always the same.
pub(super) struct Headers(pub(super) HeaderMap);

impl Access for Headers {
    fn authorize<'a>(
        &'a self,
        request: &'a mut request::Parts,
        _: &'a Client,
    ) -> BoxFuture<'a, Result<(), StorageError>> {
        for (name, value) in &self.0 {
            request.headers.insert(name, value.clone());
        }
        Box::pin(std::future::ready(Ok(())))
    }
}

/// A request, before it knows where redirects lead it.
#[derive(Clone)]
pub(super) struct Ask {
    pub(super) method: Method,
    pub(super) url: Url,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl Ask {
    pub(super) fn get(url: Url) -> Self {
        Self { method: Method::GET, url, headers: HeaderMap::new(), body: Bytes::new() }
    }

    /// A form, as tokens are asked for.
    pub(super) fn form(url: Url, fields: &[(&str, &str)]) -> Self {
        let mut body = url::form_urlencoded::Serializer::new(String::new());
        body.extend_pairs(fields);
        let kind = "application/x-www-form-urlencoded";
        let ask = Self { method: Method::POST, body: Bytes::from(body.finish()), ..Self::get(url) };
        ask.with("content-type", kind)
    }

    /// With a header. A value that is none is left out.
    pub(super) fn with(mut self, name: &'static str, value: &str) -> Self {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.insert(HeaderName::from_static(name), value);
        }
        self
    }
}

/// Talks to stores.
pub(super) struct Client {
    http: legacy::Client<Connector, Full<Bytes>>,
    policy: Arc<Policy>,
    pub(super) pace: Transfer,
}

impl Client {
    /// # Errors
    /// [`StorageError::Settings`].
    pub(super) fn new(settings: &Settings, tls: &Tls) -> Result<Self, StorageError> {
        let policy = Arc::new(settings.policy.clone());
        let connector = Connector::new(settings, Arc::clone(&policy), tls.client()?)?;
        let http = legacy::Client::builder(TokioExecutor::new())
            .timer(TokioTimer::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(Duration::from_secs(20))
            .http1_max_buf_size(256 << 10)
            .build(connector);
        Ok(Self { http, policy, pace: settings.transfer })
    }

    /// Sends a request and follows where it is sent. The answer may be of any status.
    ///
    /// # Errors
    /// [`StorageError`].
    pub(super) async fn send(
        &self,
        ask: &Ask,
        access: &dyn Access,
    ) -> Result<Response<Incoming>, StorageError> {
        let mut url = ask.url.clone();
        for _ in 0..=REDIRECTS {
            self.policy.url(&url)?;
            let (mut parts, body) = self.request(ask, &url)?.into_parts();
            if url.origin() == ask.url.origin() {
                access.authorize(&mut parts, self).await?;
            }
            let answer = self.http.request(Request::from_parts(parts, body));
            let answer = tokio::time::timeout(self.pace.silence, answer).await.map_err(|_| {
                StorageError::passing(
                    shown(url.as_str()),
                    format!("no answer within {} s", self.pace.silence.as_secs()),
                )
            })?;
            let answer = answer.map_err(|error| untold(&url, &error))?;
            let Some(next) = redirect(&url, &answer)? else { return Ok(answer) };
            if !matches!(ask.method, Method::GET | Method::HEAD) {
                return Err(StorageError::answer(
                    shown(url.as_str()),
                    "it sends a request with a body elsewhere",
                ));
            }
            url = next;
        }
        Err(StorageError::answer(
            shown(ask.url.as_str()),
            format!("it redirects more than {REDIRECTS} times"),
        ))
    }

    fn request(&self, ask: &Ask, url: &Url) -> Result<Request<Full<Bytes>>, StorageError> {
        let mut bare = url.clone();
        bare.set_fragment(None);
        // A name and password go into a header of their own.
        let login = (!url.username().is_empty())
            .then(|| (bare.username().to_owned(), bare.password().map(str::to_owned)));
        let _ = (bare.set_username(""), bare.set_password(None));
        let mut request = Request::builder().method(ask.method.clone()).uri(bare.as_str());
        if let Some(headers) = request.headers_mut() {
            headers.extend(ask.headers.clone());
            headers
                .insert("user-agent", HeaderValue::from_static(concat!("weir/", env!("CARGO_PKG_VERSION"))));
            if let Some((user, password)) = login {
                use base64::Engine as _;
                let plain = format!(
                    "{}:{}",
                    super::place::unescaped(&user),
                    super::place::unescaped(password.as_deref().unwrap_or(""))
                );
                let text = format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(plain));
                if let Ok(value) = HeaderValue::from_str(&text) {
                    headers.insert("authorization", value);
                }
            }
        }
        request
            .body(Full::new(ask.body.clone()))
            .map_err(|error| StorageError::refused(shown(url.as_str()), format!("it is no address: {error}")))
    }

    /// Sends a request whose answer must be good.
    ///
    /// # Errors
    /// [`StorageError::Store`] with the status and the store's own code.
    pub(super) async fn good(
        &self,
        ask: &Ask,
        access: &dyn Access,
    ) -> Result<Response<Incoming>, StorageError> {
        let answer = self.send(ask, access).await?;
        if answer.status().is_success() { Ok(answer) } else { Err(self.refusal(&ask.url, answer).await) }
    }

    /// Reads an answer that is no good one as an error.
    pub(super) async fn refusal(&self, url: &Url, answer: Response<Incoming>) -> StorageError {
        let status = answer.status();
        let wait = retry_after(answer.headers());
        let body = self.whole(url, answer, 64 << 10).await.unwrap_or_default();
        let code = code_of(&String::from_utf8_lossy(&body)).map(|it| format!(" ({it})")).unwrap_or_default();
        let hint = match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                "; are the credentials there, and may they read it?"
            }
            _ => "",
        };
        let passing = match status.as_u16() {
            408 | 425 | 429 | 500 | 502..=504 => Passing::Yes(wait),
            412 | 416 => Passing::Changed,
            _ => Passing::No,
        };
        StorageError::Store {
            address: shown(url.as_str()),
            reason: format!("it answers {status}{code}{hint}"),
            passing,
        }
    }

    /// Reads a document, with several attempts.
    ///
    /// # Errors
    /// [`StorageError`].
    pub(super) async fn document(
        &self,
        ask: &Ask,
        access: &dyn Access,
    ) -> Result<(HeaderMap, Bytes), StorageError> {
        let mut attempts = Attempts::new(self.pace);
        loop {
            let outcome = match self.good(ask, access).await {
                Ok(answer) => {
                    let headers = answer.headers().clone();
                    self.whole(&ask.url, answer, DOCUMENT).await.map(|body| (headers, body))
                }
                Err(error) => Err(error),
            };
            match outcome {
                Ok(found) => return Ok(found),
                Err(error) => attempts.after(error).await?,
            }
        }
    }

    /// The same as JSON.
    ///
    /// # Errors
    /// [`StorageError`].
    pub(super) async fn json(
        &self,
        ask: &Ask,
        access: &dyn Access,
    ) -> Result<(HeaderMap, serde_json::Value), StorageError> {
        let (headers, body) = self.document(ask, access).await?;
        let value = serde_json::from_slice(&body);
        let value = value.map_err(|error| {
            StorageError::answer(shown(ask.url.as_str()), format!("its answer is no JSON: {error}"))
        })?;
        Ok((headers, value))
    }

    /// Reads a body to its end, up to so many bytes.
    async fn whole(&self, url: &Url, answer: Response<Incoming>, most: usize) -> Result<Bytes, StorageError> {
        let mut body = answer.into_body();
        let mut read = BytesMut::new();
        while let Some(piece) = self.piece(url, &mut body).await? {
            if read.len() + piece.len() > most {
                return Err(StorageError::answer(
                    shown(url.as_str()),
                    format!("its answer has more than {most} bytes"),
                ));
            }
            read.extend_from_slice(&piece);
        }
        Ok(read.freeze())
    }

    /// The next bytes of a body.
    ///
    /// # Errors
    /// A passing one when they do not come, or come to an early end.
    pub(super) async fn piece(&self, url: &Url, body: &mut Incoming) -> Result<Option<Bytes>, StorageError> {
        loop {
            let frame = tokio::time::timeout(self.pace.silence, body.frame()).await.map_err(|_| {
                StorageError::passing(
                    shown(url.as_str()),
                    format!("no bytes for {} s", self.pace.silence.as_secs()),
                )
            })?;
            match frame {
                None => return Ok(None),
                Some(Err(error)) => {
                    return Err(StorageError::passing(
                        shown(url.as_str()),
                        format!("the connection broke: {error}"),
                    ));
                }
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        return Ok(Some(data));
                    }
                }
            }
        }
    }
}

/// Where an answer sends the request.
fn redirect(url: &Url, answer: &Response<Incoming>) -> Result<Option<Url>, StorageError> {
    if !matches!(answer.status().as_u16(), 301 | 302 | 303 | 307 | 308) {
        return Ok(None);
    }
    let Some(location) = answer.headers().get(LOCATION) else { return Ok(None) };
    let wrong = |reason: String| StorageError::refused(shown(url.as_str()), reason);
    let location = location.to_str().map_err(|_| wrong("it redirects to no address".to_owned()))?;
    let next = url.join(location);
    let next = next.map_err(|error| wrong(format!("it redirects to no address: {error}")))?;
    if url.scheme() == "https" && next.scheme() != "https" {
        return Err(wrong(format!("it redirects from https to {}, in the clear", shown(next.as_str()))));
    }
    Ok(Some(next))
}

/// The client's own error, where one of ours is within.
fn untold(url: &Url, error: &legacy::Error) -> StorageError {
    let mut source: Option<&(dyn std::error::Error + 'static)> = Some(error);
    let mut text = error.to_string();
    while let Some(it) = source {
        if let Some(ours) = it.downcast_ref::<StorageError>() {
            return ours.clone();
        }
        text = it.to_string();
        source = it.source();
    }
    StorageError::passing(shown(url.as_str()), text)
}

fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds))
}

/// The store's own word for what is wrong: of XML the element `Code`, of JSON what usually has it. Nothing else of an answer is
/// told, which may repeat what was asked, secrets included.
fn code_of(body: &str) -> Option<String> {
    let word = |text: &str| {
        let is_word = |it: char| it.is_ascii_alphanumeric() || matches!(it, '_' | '-' | '.' | ' ');
        let text = excerpt(text.trim(), 64);
        (!text.is_empty() && text.chars().all(is_word)).then(|| text.to_owned())
    };
    if let Some((_, rest)) = body.split_once("<Code>") {
        return word(rest.split('<').next().unwrap_or_default());
    }
    let value: serde_json::Value = serde_json::from_str(body).ok()?;
    let places = ["/errors/0/code", "/error/code", "/RemoteException/exception", "/error"];
    places.iter().find_map(|it| word(value.pointer(it)?.as_str()?))
}

/// The attempts at one thing, and the waits between them. An attempt that brought something begins the count anew.
pub(super) struct Attempts {
    pace: Transfer,
    failed: u32,
}

impl Attempts {
    pub(super) fn new(pace: Transfer) -> Self {
        Self { pace, failed: 0 }
    }

    /// Something came of it.
    pub(super) fn progressed(&mut self) {
        self.failed = 0;
    }

    /// Waits until it is time for another attempt.
    ///
    /// # Errors
    /// The error itself, when another attempt is of no use.
    pub(super) async fn after(&mut self, error: StorageError) -> Result<(), StorageError> {
        let StorageError::Store { passing: Passing::Yes(asked), .. } = &error else { return Err(error) };
        self.failed += 1;
        if self.failed >= self.pace.attempts {
            return Err(error);
        }
        let doubled = self.pace.first_wait.saturating_mul(1 << (self.failed - 1).min(16));
        let wait = asked.unwrap_or_else(|| jittered(doubled)).min(self.pace.longest_wait);
        tracing::debug!(wait_ms = wait.as_millis() as u64, "{error}; another attempt");
        tokio::time::sleep(wait).await;
        Ok(())
    }
}

/// Between half and all of it, so that many who failed together do not come back together.
fn jittered(wait: Duration) -> Duration {
    let nanoseconds =
        SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |it| it.subsec_nanos());
    // The low digits of the clock differ from one to the next.
    wait.mul_f64(0.5 + 0.5 * f64::from(nanoseconds % 1000) / 1000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_an_answer_only_its_code_is_told() {
        assert_eq!(
            code_of("<Error><Code>AccessDenied</Code><Message>key X</Message></Error>").unwrap(),
            "AccessDenied"
        );
        assert_eq!(code_of(r#"{"errors": [{"code": "MANIFEST_UNKNOWN"}]}"#).unwrap(), "MANIFEST_UNKNOWN");
        assert_eq!(code_of(r#"{"error": "https://host/?sig=1"}"#), None);
        assert_eq!(code_of("<html>"), None);
    }
}
