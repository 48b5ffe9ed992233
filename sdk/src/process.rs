//! What a service has of its process: the pool that its models compute in, and the metrics they count in.

use std::sync::{Arc, OnceLock};

use crate::{Metrics, Pool};

/// The pool and the metrics that a service's models use. They are told when the service starts, since it is built before it
/// knows which others are in its process. Clones share what is told.
#[derive(Clone, Default)]
pub struct Process(Arc<Told>);

#[derive(Default)]
struct Told {
    pinned: bool,
    given: OnceLock<(Pool, Metrics)>,
}

impl Process {
    /// One whose pool is to keep each thread on a core, where `pinned`.
    #[must_use]
    pub fn pinned(pinned: bool) -> Self {
        Self(Arc::new(Told { pinned, given: OnceLock::new() }))
    }

    /// Tells pool and metrics. Whoever was first counts.
    pub(crate) fn tell(&self, pool: &Pool, metrics: &Metrics) {
        if self.0.pinned {
            pool.pin();
        }
        let _ = self.0.given.set((pool.clone(), metrics.clone()));
    }

    /// Returns the pool; one of its own where none was told before.
    pub(crate) fn pool(&self) -> &Pool {
        &self.given().0
    }

    /// Returns the metrics; nobody's where none were told before.
    pub(crate) fn metrics(&self) -> &Metrics {
        &self.given().1
    }

    fn given(&self) -> &(Pool, Metrics) {
        self.0.given.get_or_init(Default::default)
    }
}

impl std::fmt::Debug for Process {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Process").finish_non_exhaustive()
    }
}
