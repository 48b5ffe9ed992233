//! Who computes on how many threads: one place decides for every model and runtime. All models of a process share one
//! [`Pool`](crate::Pool) of a thread a core, and a prediction that a library splits takes as many of its places as it has
//! threads: however many models there are, no more threads compute than there are cores.

/// Returns how many cores this process may use, by its affinity and its cgroup's quota.
#[must_use]
pub fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, Into::into)
}

/// The threads of one model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Threads {
    /// Predictions that may run side by side.
    pub workers: usize,
    /// Threads that a library may use within one operation of a prediction. What runs side by side fills the cores, so one
    /// thread each is what a library gets when nothing is said.
    pub intra_op: usize,
    /// Operations of one prediction that a library may run side by side.
    pub inter_op: usize,
}

impl Threads {
    /// Shares so many cores among that many processes of a model: the workers are what each gets.
    #[must_use]
    pub fn share(cores: usize, models: usize) -> Self {
        let own = (cores / models.max(1)).max(1);
        Self { workers: own, intra_op: 1, inter_op: 1 }
    }

    /// Returns how many threads compute during one prediction of a library.
    #[must_use]
    pub const fn in_library(&self) -> usize {
        self.intra_op.saturating_mul(self.inter_op)
    }
}

impl Default for Threads {
    fn default() -> Self {
        Self::share(cores(), 1)
    }
}
