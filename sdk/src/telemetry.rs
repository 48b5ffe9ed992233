//! Logs and traces. Without an OTLP endpoint spans are switched off where they begin and cost a branch.

use std::sync::OnceLock;

use http::HeaderMap;
use opentelemetry::KeyValue;
use opentelemetry::propagation::{Extractor, Injector, TextMapPropagator};
use opentelemetry::trace::{TraceContextExt as _, TracerProvider as _};
use opentelemetry_otlp::WithExportConfig;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing::{Level, Span};
use tracing_opentelemetry::OpenTelemetrySpanExt;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use weir_proto::Error;

use crate::flags::truth;
use crate::{Call, Context, Env};

/// Spans of requests have a target of their own, so that the log can leave them alone and the exporter take only them.
const SPANS: &str = "weir_spans";

/// Keeps the exporter; its [`Telemetry::shutdown`] sends what waits.
pub struct Telemetry(Option<SdkTracerProvider>);

/// Why traces cannot be exported.
#[derive(Debug, thiserror::Error)]
#[error("cannot export traces to `{endpoint}`: {source}")]
pub struct TelemetryError {
    endpoint: String,
    source: opentelemetry_otlp::ExporterBuildError,
}

impl Telemetry {
    /// Sets up the process's log and, when `OTEL_EXPORTER_OTLP_ENDPOINT` is set, its traces. Call it once, inside the runtime.
    /// The level is `WEIR_LOG` or `KSERVE_LOGLEVEL`, `debug` where `MLSERVER_DEBUG` is true, default `info`;
    /// `WEIR_LOG_FORMAT=json` writes JSON lines.
    ///
    /// # Errors
    /// [`TelemetryError`] when the endpoint is no address.
    pub fn start(service: &str, env: &Env) -> Result<Self, TelemetryError> {
        let level = level_of(level_name(env));
        // Libraries are heard from a warning on: at `debug` their frames would drown the requests.
        let others = level.min(LevelFilter::WARN);
        let targets = Targets::new()
            .with_default(others)
            .with_target("weir", level)
            .with_target(SPANS, LevelFilter::OFF);
        let log = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
        let ansi = std::io::IsTerminal::is_terminal(&std::io::stderr());
        let log = match env.get("WEIR_LOG_FORMAT") {
            Some("json") => log.json().with_filter(targets).boxed(),
            _ => log.with_ansi(ansi).with_target(false).compact().with_filter(targets).boxed(),
        };
        let provider = provider(service, env)?;
        let traces = provider.as_ref().map(|provider| {
            let only_spans = Targets::new().with_target(SPANS, LevelFilter::INFO);
            tracing_opentelemetry::layer()
                .with_tracer(provider.tracer("weir"))
                .with_location(false)
                .with_threads(false)
                .with_tracked_inactivity(false)
                .with_filter(only_spans)
        });
        // A second set-up in one process (tests, an embedding program) keeps the first.
        let _ = tracing_subscriber::registry().with(log).with(traces).try_init();
        Ok(Self(provider))
    }

    /// Sends what waits and stops the exporter. Blocks for up to a few seconds when the collector is away.
    pub fn shutdown(self) {
        if let Some(Err(error)) = self.0.map(|it| it.shutdown()) {
            tracing::warn!(%error, "the last traces were not exported");
        }
    }
}

/// The name of the level that the environment asks for.
fn level_name(env: &Env) -> &str {
    let debug = || env.get("MLSERVER_DEBUG").and_then(truth).filter(|on| *on).map(|_| "debug");
    env.get("WEIR_LOG").or_else(|| env.get("KSERVE_LOGLEVEL")).or_else(debug).unwrap_or("info")
}

/// Reads a level by tracing's names or by those of Python's logging.
fn level_of(name: &str) -> LevelFilter {
    match name.to_ascii_lowercase().as_str() {
        "warning" => LevelFilter::WARN,
        "critical" | "fatal" => LevelFilter::ERROR,
        other => other.parse().unwrap_or(LevelFilter::INFO),
    }
}

fn provider(service: &str, env: &Env) -> Result<Option<SdkTracerProvider>, TelemetryError> {
    let endpoint =
        env.get("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT").or_else(|| env.get("OTEL_EXPORTER_OTLP_ENDPOINT"));
    let Some(endpoint) = endpoint.filter(|it| !it.is_empty()) else { return Ok(None) };
    let exporter = opentelemetry_otlp::SpanExporter::builder()
        .with_tonic()
        .with_endpoint(endpoint)
        .build()
        .map_err(|source| TelemetryError { endpoint: endpoint.to_owned(), source })?;
    let name = env.get("OTEL_SERVICE_NAME").unwrap_or(service).to_owned();
    let resource = Resource::builder().with_attribute(KeyValue::new("service.name", name)).build();
    Ok(Some(SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(resource).build()))
}

/// Begins the span of a call that is served here, below the trace the caller sent.
pub(crate) fn server_span(component: &'static str, call: &Call) -> Option<Span> {
    if !tracing::enabled!(target: SPANS, Level::INFO) {
        return None;
    }
    let span = tracing::info_span!(
        target: SPANS,
        "serve",
        otel.name = format!("{component} {}", call.verb.name()),
        otel.kind = "server",
        otel.status_code = tracing::field::Empty,
        otel.status_description = tracing::field::Empty,
        component,
        model = call.model,
        protocol = call.payload.face.name(),
        explaining = call.context.explaining,
    );
    // Fails only when no exporter listens; then there is no trace to continue.
    let _ = span.set_parent(propagator().extract(&Travelling(&call.context)));
    Some(span)
}

/// Begins the span of a hop.
pub(crate) fn client_span(path: &'static str, context: &Context) -> Option<Span> {
    let parent = context.span.as_ref()?;
    Some(tracing::info_span!(
        target: SPANS,
        parent: parent,
        "call",
        otel.name = path,
        otel.kind = "client",
        otel.status_code = tracing::field::Empty,
        otel.status_description = tracing::field::Empty,
    ))
}

/// Begins the span of a prediction of several requests: below the first of them that is traced, and linked with the others.
pub(crate) fn batch_span<'s>(
    mut requests: impl Iterator<Item = &'s Span>,
    count: usize,
    rows: usize,
) -> Option<Span> {
    let parent = requests.next()?;
    let span = tracing::info_span!(
        target: SPANS,
        parent: parent,
        "batch",
        otel.name = "batch",
        otel.kind = "internal",
        requests = count,
        rows,
    );
    for other in requests {
        span.add_link(other.context().span().span_context().clone());
    }
    Some(span)
}

/// Ends a span, with the error it ended in.
pub(crate) fn finish(span: Option<Span>, error: Option<&Error>) {
    if let (Some(span), Some(error)) = (span, error) {
        span.record("otel.status_code", "ERROR");
        span.record("otel.status_description", error.message.as_str());
    }
}

/// Writes the trace headers of a span.
pub(crate) fn inject(span: &Span, headers: &mut HeaderMap) {
    propagator().inject_context(&span.context(), &mut Headers(headers));
}

fn propagator() -> &'static TraceContextPropagator {
    static PROPAGATOR: OnceLock<TraceContextPropagator> = OnceLock::new();
    PROPAGATOR.get_or_init(TraceContextPropagator::new)
}

struct Travelling<'a>(&'a Context);

impl Extractor for Travelling<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0
            .headers
            .iter()
            .find(|(name, _)| name.as_str() == key)
            .and_then(|(_, value)| value.to_str().ok())
    }

    fn keys(&self) -> Vec<&str> {
        self.0.headers.iter().map(|(name, _)| name.as_str()).collect()
    }
}

struct Headers<'a>(&'a mut HeaderMap);

impl Injector for Headers<'_> {
    fn set(&mut self, key: &str, value: String) {
        if let (Ok(name), Ok(value)) = (http::HeaderName::try_from(key), http::HeaderValue::from_str(&value))
        {
            self.0.insert(name, value);
        }
    }
}
