//! A call: one verb on one model, with a body as somebody wrote it. Every protocol becomes this on the way in.

use std::future::Future;
use std::pin::Pin;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use weir_proto::{Code, DecodeLimits, Error, Face, Form, InferRequest, Origin, Payload};

use crate::Signature;
use crate::flags::HeaderList;

/// A boxed future, as trait objects need them.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// What a service can be asked to do with a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verb {
    /// Reshape a request.
    Preprocess,
    /// Predict.
    Infer,
    /// Reshape an answer.
    Postprocess,
    /// Explain.
    Explain,
}

impl Verb {
    /// Every verb.
    pub const ALL: [Self; 4] = [Self::Preprocess, Self::Infer, Self::Postprocess, Self::Explain];

    /// Returns the verb's name between services.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Preprocess => "preprocess",
            Self::Infer => "infer",
            Self::Postprocess => "postprocess",
            Self::Explain => "explain",
        }
    }

    /// Returns the verb of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|verb| verb.name() == name)
    }
}

/// One verb on one model.
#[derive(Debug, Clone)]
pub struct Call {
    /// What to do.
    pub verb: Verb,
    /// The model's name.
    pub model: String,
    /// The model's version; empty for any. A label of a version is written `@label`.
    pub version: String,
    /// What it is done with.
    pub payload: Payload,
    /// The face the answer is wanted in.
    pub want: Face,
    /// What travels with the call.
    pub context: Context,
    /// What decoding the body may cost; the server's own limits.
    pub limits: DecodeLimits,
}

impl Call {
    /// Decodes the body, which is gone from the call then, and what it says of the answer's form.
    ///
    /// # Errors
    /// As for [`Payload::into_request`].
    pub fn take_request(&mut self) -> Result<(InferRequest, Form), Error> {
        let gone = Payload::new(self.payload.face, Bytes::new());
        std::mem::replace(&mut self.payload, gone).into_request(&self.model, &self.limits)
    }
}

/// What travels with a call through every hop: time left, trace, request id.
#[derive(Debug, Clone, Default)]
pub struct Context {
    /// When the caller stops waiting.
    pub deadline: Option<Instant>,
    /// Headers that travel: `x-request-id`, the W3C trace headers, b3, and what the service's [`Travellers`] add.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// The call is a question of an explainer, not a user's: it is not logged or counted as traffic.
    pub explaining: bool,
    /// The span the call is served in; hops become its children.
    pub span: Option<tracing::Span>,
}

/// The header of the caller's id for a request.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// The header that marks an explainer's questions.
pub const EXPLAINING: HeaderName = HeaderName::from_static("x-weir-explaining");

/// The headers that travel through every hop, unless they are dropped by name.
const TRAVELLERS: [&str; 9] = [
    "x-request-id",
    "traceparent",
    "tracestate",
    "b3",
    "x-b3-traceid",
    "x-b3-spanid",
    "x-b3-parentspanid",
    "x-b3-sampled",
    "x-b3-flags",
];

/// Which headers travel on with a call: those of every trace, and what is added to or taken from them.
#[derive(Debug, Clone, Default)]
pub struct Travellers {
    /// More that travel.
    pub propagate: HeaderList,
    /// What does not travel, whatever else is said.
    pub drop: HeaderList,
}

impl Travellers {
    /// Returns whether a header travels.
    pub fn lets(&self, name: &str) -> bool {
        (TRAVELLERS.contains(&name) || self.propagate.lets(name)) && !self.drop.drops(name)
    }
}

impl From<&crate::ServerFlags> for Travellers {
    fn from(flags: &crate::ServerFlags) -> Self {
        Self { propagate: flags.propagate_headers.clone(), drop: flags.drop_headers.clone() }
    }
}

impl Context {
    /// Reads what travels out of a request's headers. The mark of an explainer's questions is not among it: only calls
    /// between services have it.
    ///
    /// # Errors
    /// `InvalidInput` when a timeout header cannot be read.
    pub fn of(headers: &HeaderMap, travellers: &Travellers) -> Result<Self, Error> {
        Self::beside(headers, travellers, |_, _| {})
    }

    /// The same, and tells `other` of every header but those of the time limit.
    pub(crate) fn beside<'h>(
        headers: &'h HeaderMap,
        travellers: &Travellers,
        mut other: impl FnMut(&'h HeaderName, &'h HeaderValue),
    ) -> Result<Self, Error> {
        let mut context = Self::default();
        let (mut timeout_ms, mut grpc_timeout) = (None, None);
        // One walk over the few headers there are, in place of a look-up for each of those there might be.
        for (name, value) in headers {
            match name.as_str() {
                "x-request-timeout-ms" => timeout_ms = Some(value),
                "grpc-timeout" => grpc_timeout = Some(value),
                // Of what identifies a request or its trace there is one; anything else may be written in several lines.
                "x-request-id" | "traceparent" | "b3" if context.header(name).is_some() => {}
                text => {
                    if travellers.lets(text) {
                        context.headers.push((name.clone(), value.clone()));
                    }
                    other(name, value);
                }
            }
        }
        context.deadline = deadline_of(timeout_ms, grpc_timeout)?;
        if !travellers.propagate.is_empty() {
            context.drop_of_connection(headers);
        }
        Ok(context)
    }

    /// Drops the headers that the client says are for its own connection (RFC 9110, section 7.6.1).
    fn drop_of_connection(&mut self, headers: &HeaderMap) {
        for value in headers.get_all(header::CONNECTION) {
            for option in value.to_str().unwrap_or_default().split(',').map(str::trim) {
                self.headers.retain(|(name, _)| !name.as_str().eq_ignore_ascii_case(option));
            }
        }
    }

    /// Returns a travelling header.
    pub fn header(&self, name: &HeaderName) -> Option<&HeaderValue> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value)
    }

    /// Returns the time left, or the error that there is none.
    ///
    /// # Errors
    /// `Deadline`.
    pub fn remaining(&self) -> Result<Option<Duration>, Error> {
        let Some(deadline) = self.deadline else { return Ok(None) };
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            Err(Error::new(Code::Deadline, "the deadline has passed"))
        } else {
            Ok(Some(left))
        }
    }
}

fn deadline_of(
    timeout_ms: Option<&HeaderValue>,
    timeout: Option<&HeaderValue>,
) -> Result<Option<Instant>, Error> {
    let text = |value: &HeaderValue| value.to_str().unwrap_or_default().to_owned();
    let timeout = if let Some(text) = timeout_ms.map(text) {
        let ms = text.parse().map_err(|_| {
            Error::invalid(format!("header `x-request-timeout-ms` is `{text}`, expected whole milliseconds"))
        })?;
        Duration::from_millis(ms)
    } else if let Some(text) = timeout.map(text) {
        grpc_timeout(&text).ok_or_else(|| {
            Error::invalid(format!("header `grpc-timeout` is `{text}`, expected such as `100m`"))
        })?
    } else {
        return Ok(None);
    };
    Ok(Instant::now().checked_add(timeout))
}

/// Reads gRPC's timeout: up to eight digits and a unit.
fn grpc_timeout(text: &str) -> Option<Duration> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.is_empty() || digits.len() > 8 || !digits.bytes().all(|it| it.is_ascii_digit()) {
        return None;
    }
    let count: u64 = digits.parse().ok()?;
    match unit {
        "H" => Some(Duration::from_secs(count * 3600)),
        "M" => Some(Duration::from_secs(count * 60)),
        "S" => Some(Duration::from_secs(count)),
        "m" => Some(Duration::from_millis(count)),
        "u" => Some(Duration::from_micros(count)),
        "n" => Some(Duration::from_nanos(count)),
        _ => None,
    }
}

/// What a service says of one of its models.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelStatus {
    /// The name.
    pub name: String,
    /// The version it serves; empty while there is none.
    pub version: String,
    /// Whether it answers, and if not, how far it is.
    pub state: ModelState,
    /// Why it does not; empty when it does.
    pub reason: String,
    /// Each of its versions, the lowest first; empty where nobody tells more than the fields above.
    pub versions: Vec<VersionStatus>,
}

/// What a service says of one version of a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VersionStatus {
    /// The version.
    pub version: String,
    /// Whether it answers, and if not, how far it is.
    pub state: ModelState,
    /// Why it does not; empty when it does.
    pub reason: String,
    /// About how many bytes of memory it holds, where anybody can tell.
    pub memory_bytes: Option<u64>,
}

/// What one version of a model holds of the memory, also while it only waits for its last request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemoryHeld {
    /// The model's name.
    pub model: String,
    /// The version.
    pub version: String,
    /// About how many bytes.
    pub bytes: u64,
}

/// How far a model is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ModelState {
    /// It is being loaded.
    Loading,
    /// It answers.
    Ready,
    /// It could not be loaded.
    Failed,
    /// It was unloaded by request: nobody waits for it.
    Unloaded,
}

impl ModelState {
    /// Returns the name in an index of a model repository.
    pub const fn repository_name(self) -> &'static str {
        match self {
            Self::Loading => "LOADING",
            Self::Ready => "READY",
            Self::Failed | Self::Unloaded => "UNAVAILABLE",
        }
    }
}

impl ModelStatus {
    /// Of a model that answers.
    pub fn ready(name: impl Into<String>, version: impl Into<String>) -> Self {
        Self { name: name.into(), version: version.into(), ..Self::is(ModelState::Ready, "") }
    }

    /// Of a model without a version that answers, in that state for that reason.
    pub fn away(name: impl Into<String>, state: ModelState, reason: impl Into<String>) -> Self {
        Self { name: name.into(), ..Self::is(state, reason) }
    }

    fn is(state: ModelState, reason: impl Into<String>) -> Self {
        let (name, version, versions) = (String::new(), String::new(), Vec::new());
        Self { name, version, state, reason: reason.into(), versions }
    }

    /// Returns its versions; one that says what is known where nobody tells more.
    pub fn rows(&self) -> Vec<VersionStatus> {
        if !self.versions.is_empty() {
            return self.versions.clone();
        }
        let Self { version, state, reason, .. } = self.clone();
        vec![VersionStatus { version, state, reason, memory_bytes: None }]
    }

    /// Returns whether it answers.
    pub fn is_ready(&self) -> bool {
        self.state == ModelState::Ready
    }

    /// Returns whether the service cannot be called ready for want of it.
    pub fn is_missing(&self) -> bool {
        matches!(self.state, ModelState::Loading | ModelState::Failed)
    }
}

/// What can be asked of a model repository beside what it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RepositoryVerb {
    /// Load a model, or load it again.
    Load,
    /// Unload a model.
    Unload,
}

/// What a model is, as `GET /v2/models/{name}` tells.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Metadata {
    /// The name.
    pub name: String,
    /// The version that is told of, where whoever serves it says so.
    pub version: String,
    /// The versions served, the lowest first.
    pub versions: Vec<String>,
    /// What it takes and gives.
    pub signature: Signature,
    /// All its signatures by name, where the model's own service is asked and its framework names them.
    pub signatures: Vec<(String, Signature)>,
}

/// A component: what stands behind a server. Predictor, transformer, explainer and router are each one.
pub trait Handle: Send + Sync + 'static {
    /// Which of the four it is; the origin of its errors.
    fn component(&self) -> Origin;

    /// The verbs it implements.
    fn verbs(&self) -> &[Verb];

    /// Answers a call.
    fn call(&self, call: Call) -> BoxFuture<'_, Result<Payload, Error>>;

    /// Tells of its models, also of those that were unloaded. It is ready when none of them is missing.
    fn models(&self) -> BoxFuture<'_, Vec<ModelStatus>>;

    /// Tells who holds how much memory, where models are held.
    fn memory(&self) -> Vec<MemoryHeld> {
        Vec::new()
    }

    /// Tells what a model takes and gives.
    fn metadata<'a>(&'a self, model: &'a str, version: &'a str) -> BoxFuture<'a, Result<Metadata, Error>>;

    /// Whether it explains that model's predictions.
    fn explains(&self, model: &str) -> bool {
        let _ = model;
        self.verbs().contains(&Verb::Explain)
    }

    /// Whether something reshapes what clients send before the model meets it, and what it answers after: its signature then
    /// does not tell the form of a request.
    fn reshapes(&self, model: &str) -> bool {
        let _ = model;
        false
    }

    /// Whether models can be loaded and unloaded.
    fn has_repository(&self) -> bool {
        false
    }

    /// Loads or unloads a model, and returns when that is done.
    ///
    /// The default is that there is no repository.
    fn repository<'a>(&'a self, verb: RepositoryVerb, model: &'a str) -> BoxFuture<'a, Result<(), Error>> {
        let _ = (verb, model);
        let message =
            format!("a {} has no model repository; ask the router or the predictor", self.component());
        Box::pin(std::future::ready(Err(Error::new(Code::Unsupported, message))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grpc_timeouts_are_read_and_nonsense_is_refused() {
        assert_eq!(grpc_timeout("100m"), Some(Duration::from_millis(100)));
        assert_eq!(grpc_timeout("2S"), Some(Duration::from_secs(2)));
        for text in ["", "m", "100", "123456789m", "-1S", "1x", "é"] {
            assert_eq!(grpc_timeout(text), None, "{text}");
        }
    }

    #[test]
    fn a_list_adds_another_takes_away_and_what_is_of_the_connection_stays() {
        let mut headers = HeaderMap::new();
        for name in ["traceparent", "b3", "authorization", "x-tenant-id", "x-tenant-hop", "x-weir-explaining"]
        {
            headers.insert(name, HeaderValue::from_static("v"));
        }
        headers.insert(header::CONNECTION, HeaderValue::from_static("keep-alive, X-Tenant-Hop"));
        let travellers = Travellers {
            propagate: HeaderList::to_propagate("x-*,authorization").unwrap(),
            drop: HeaderList::to_drop("b3").unwrap(),
        };
        let context = Context::of(&headers, &travellers).unwrap();
        let mut names: Vec<_> = context.headers.iter().map(|(name, _)| name.as_str()).collect();
        names.sort_unstable();
        assert_eq!(names, ["authorization", "traceparent", "x-tenant-id"]);
        assert!(!context.explaining);
    }

    #[test]
    fn only_travellers_travel() {
        let mut headers = HeaderMap::new();
        for name in ["x-request-id", "traceparent", "authorization", "cookie", "b3"] {
            headers.insert(name, HeaderValue::from_static("v"));
        }
        let context = Context::of(&headers, &Travellers::default()).unwrap();
        let names: Vec<_> = context.headers.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["x-request-id", "traceparent", "b3"]);
    }
}
