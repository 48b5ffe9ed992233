//! What is counted and timed. The registry is passed in: four services in one process keep four.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use crate::{MemoryHeld, Verb};

/// KServe's buckets, and finer ones below: here a request is a matter of microseconds.
const BUCKETS: [f64; 20] = [
    0.000_025, 0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1,
    0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 10.0,
];

/// Sizes of batches.
const SIZES: [f64; 11] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0];

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ModelLabel {
    model_name: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    model_name: String,
    verb: &'static str,
    protocol: &'static str,
    code: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct VersionLabels {
    model_name: String,
    version: String,
}

type Timings = Family<ModelLabel, Histogram, fn() -> Histogram>;

/// The metrics of one service.
#[derive(Clone)]
pub struct Metrics {
    timings: [Timings; 4],
    requests: Family<RequestLabels, Counter>,
    in_flight: Gauge,
    memory: Family<VersionLabels, Gauge>,
    waits: Timings,
    batch_rows: Timings,
    batch_requests: Timings,
    /// The series of the last request: mostly also that of the next, which then needs no labels made and looked up.
    last: Arc<ArcSwapOption<Series>>,
    registry: Arc<Mutex<Registry>>,
}

/// The counter and the histogram of one set of labels.
struct Series {
    model: String,
    verb: Verb,
    protocol: &'static str,
    code: &'static str,
    count: Counter,
    /// Absent for errors: how soon a request was refused says nothing of how long one takes.
    timing: Option<Histogram>,
}

impl Series {
    fn is(&self, model: &str, verb: Verb, protocol: &str, code: &str) -> bool {
        self.verb == verb && self.code == code && self.protocol == protocol && self.model == model
    }

    fn observe(&self, took: Duration) {
        self.count.inc();
        if let Some(timing) = &self.timing {
            timing.observe(took.as_secs_f64());
        }
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// Creates the metrics, registered under KServe's names where KServe has one.
    pub fn new() -> Self {
        let mut registry = Registry::default();
        let histogram: fn() -> Histogram = || Histogram::new(BUCKETS);
        let timings = Verb::ALL.map(|verb| {
            let family = Timings::new_with_constructor(histogram);
            let (name, help) = match verb {
                Verb::Preprocess => ("request_preprocess_seconds", "pre-process request latency"),
                Verb::Infer => ("request_predict_seconds", "predict request latency"),
                Verb::Postprocess => ("request_postprocess_seconds", "post-process request latency"),
                Verb::Explain => ("request_explain_seconds", "explain request latency"),
            };
            registry.register(name, help, family.clone());
            family
        });
        let requests = Family::<RequestLabels, Counter>::default();
        registry.register("weir_requests", "requests answered, by status", requests.clone());
        let in_flight = Gauge::default();
        registry.register("weir_requests_in_flight", "requests being served", in_flight.clone());
        let memory = Family::<VersionLabels, Gauge>::default();
        let help = "bytes of memory that a version of a model holds, about";
        registry.register("weir_model_memory_bytes", help, memory.clone());
        let mut family = |constructor: fn() -> Histogram, name, help| {
            let family = Timings::new_with_constructor(constructor);
            registry.register(name, help, family.clone());
            family
        };
        let sizes: fn() -> Histogram = || Histogram::new(SIZES);
        let waits = family(histogram, "weir_queue_seconds", "time a request waited for the model's threads");
        let batch_rows = family(sizes, "weir_batch_rows", "rows predicted together, without padding");
        let batch_requests = family(sizes, "weir_batch_requests", "requests predicted together");
        let last = Arc::new(ArcSwapOption::empty());
        Self {
            timings,
            requests,
            in_flight,
            memory,
            waits,
            batch_rows,
            batch_requests,
            last,
            registry: Arc::new(Mutex::new(registry)),
        }
    }

    /// Counts and times one request. `code` is `ok` or the name of the error's code.
    pub fn observe(
        &self,
        model: &str,
        verb: Verb,
        protocol: &'static str,
        code: &'static str,
        took: Duration,
    ) {
        if let Some(last) = self.last.load().as_ref().filter(|it| it.is(model, verb, protocol, code)) {
            return last.observe(took);
        }
        let series = self.series(model, verb, protocol, code);
        series.observe(took);
        self.last.store(Some(Arc::new(series)));
    }

    /// The model's name is the caller's word until the model is found, so a caller of errors alone could make labels
    /// without end: names of models that do not exist are counted as `unknown`.
    fn series(&self, model: &str, verb: Verb, protocol: &'static str, code: &'static str) -> Series {
        let model_name = if code == "not_found" { "unknown" } else { model }.to_owned();
        let timing = (code == "ok").then(|| {
            let label = ModelLabel { model_name: model_name.clone() };
            self.timings[verb as usize].get_or_create(&label).clone()
        });
        let labels = RequestLabels { model_name, verb: verb.name(), protocol, code };
        let count = self.requests.get_or_create(&labels).clone();
        Series { model: model.to_owned(), verb, protocol, code, count, timing }
    }

    /// The series of a model's queue.
    pub(crate) fn queue(&self, model: &str) -> QueueMetrics {
        let label = ModelLabel { model_name: model.to_owned() };
        let of = |family: &Timings| family.get_or_create(&label).clone();
        QueueMetrics { wait: of(&self.waits), rows: of(&self.batch_rows), requests: of(&self.batch_requests) }
    }

    /// Counts a request in; the guard's drop counts it out.
    pub fn enter(&self) -> InFlight {
        self.in_flight.inc();
        InFlight(self.in_flight.clone())
    }

    /// Returns how many requests are being served.
    pub fn in_flight(&self) -> i64 {
        self.in_flight.get()
    }

    /// Returns the text a Prometheus server scrapes.
    pub fn scrape(&self) -> String {
        self.scrape_with(&[])
    }

    /// The same, with who holds how much memory now.
    pub fn scrape_with(&self, held: &[MemoryHeld]) -> String {
        let mut text = String::new();
        let registry = self.registry.lock().unwrap_or_else(PoisonError::into_inner);
        self.memory.clear();
        for it in held {
            let labels = VersionLabels { model_name: it.model.clone(), version: it.version.clone() };
            // A version that was loaded again is there twice until the last request of the first has been answered.
            self.memory.get_or_create(&labels).inc_by(i64::try_from(it.bytes).unwrap_or(i64::MAX));
        }
        match encode(&mut text, &registry) {
            Ok(()) => text,
            Err(std::fmt::Error) => String::new(),
        }
    }
}

impl std::fmt::Debug for Metrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

/// What is told of one model's queue.
#[derive(Clone)]
pub(crate) struct QueueMetrics {
    wait: Histogram,
    rows: Histogram,
    requests: Histogram,
}

impl QueueMetrics {
    /// A request waited so long.
    pub(crate) fn waited(&self, wait: Duration) {
        self.wait.observe(wait.as_secs_f64());
    }

    /// So many requests, of so many rows, were predicted together.
    pub(crate) fn gathered(&self, requests: usize, rows: usize) {
        self.requests.observe(requests as f64);
        self.rows.observe(rows as f64);
    }
}

/// One request being served.
pub struct InFlight(Gauge);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.dec();
    }
}
