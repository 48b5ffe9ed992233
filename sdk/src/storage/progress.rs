//! How far a download is: told to whoever wants to know, every so often.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// How far a download is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// The URI, without what may be secret.
    pub uri: String,
    /// Bytes that are here, those of an earlier attempt included.
    pub bytes: u64,
    /// Bytes of those that were fetched now.
    pub fetched: u64,
    /// All bytes, as far as the store says how many.
    pub total: u64,
    /// Files that are here.
    pub files: u64,
    /// All files.
    pub all_files: u64,
    /// The time since the first byte was asked for.
    pub took: Duration,
    /// Whether nothing more comes.
    pub done: bool,
}

impl Snapshot {
    /// As a line: `s3://b/m: 3 of 12 files, 10.0 of 250.0 MB, 90.1 MB/s`.
    pub fn line(&self) -> String {
        let mega = |bytes: u64| bytes as f64 / 1e6;
        let rate = mega(self.fetched) / self.took.as_secs_f64().max(1e-3);
        let Self { uri, files, all_files, .. } = self;
        let (bytes, total) = (mega(self.bytes), mega(self.total));
        format!("{uri}: {files} of {all_files} files, {bytes:.1} of {total:.1} MB, {rate:.1} MB/s")
    }
}

/// Who is told.
#[derive(Clone)]
pub struct Report {
    /// The time between two tellings.
    pub every: Duration,
    /// What is done with one.
    pub tell: Arc<dyn Fn(&Snapshot) + Send + Sync>,
}

impl Default for Report {
    /// A line of the log every five seconds, and one at the end.
    fn default() -> Self {
        let tell = |it: &Snapshot| tracing::info!("{}{}", it.line(), if it.done { ", done" } else { "" });
        Self { every: Duration::from_secs(5), tell: Arc::new(tell) }
    }
}

impl std::fmt::Debug for Report {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Report").field("every", &self.every).finish_non_exhaustive()
    }
}

/// The counters of one download.
pub(super) struct Progress {
    pub(super) uri: String,
    pub(super) started: Instant,
    pub(super) here: AtomicU64,
    pub(super) fetched: AtomicU64,
    pub(super) files: AtomicU64,
    pub(super) total: u64,
    pub(super) all_files: u64,
}

impl Progress {
    pub(super) fn new(uri: String, total: u64, all_files: u64) -> Self {
        let zero = || AtomicU64::new(0);
        Self { uri, started: Instant::now(), here: zero(), fetched: zero(), files: zero(), total, all_files }
    }

    /// Counts bytes that came.
    pub(super) fn came(&self, bytes: u64) {
        self.fetched.fetch_add(bytes, Ordering::Relaxed);
        self.here.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(super) fn snapshot(&self, done: bool) -> Snapshot {
        let bytes = self.here.load(Ordering::Relaxed);
        Snapshot {
            uri: self.uri.clone(),
            bytes,
            fetched: self.fetched.load(Ordering::Relaxed),
            total: self.total.max(bytes),
            files: self.files.load(Ordering::Relaxed),
            all_files: self.all_files,
            took: self.started.elapsed(),
            done,
        }
    }
}
