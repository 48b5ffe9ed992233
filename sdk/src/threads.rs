//! Who computes on how many threads: one place decides for every model and runtime, so that together they are as many as the
//! cores there are.

/// The threads of one model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Threads {
    /// Predictions that may run side by side.
    pub workers: usize,
    /// Threads that one operation of a prediction may use, where a framework's library splits it.
    pub intra_op: usize,
    /// Operations of one prediction that may run side by side.
    pub inter_op: usize,
}

impl Threads {
    /// Shares so many cores among that many models. A model's library gets them all within one prediction when nothing is said.
    #[must_use]
    pub fn share(cores: usize, models: usize) -> Self {
        let own = (cores / models.max(1)).max(1);
        Self { workers: own, intra_op: 1, inter_op: 1 }
    }
}

impl Default for Threads {
    fn default() -> Self {
        Self::share(std::thread::available_parallelism().map_or(1, Into::into), 1)
    }
}
