//! Who computes on how many threads: one place decides for every model and runtime. All models of a process share one
//! [`Pool`](crate::pool::Pool) of a thread a core, and a prediction that a library splits takes as many of its places as it has
//! threads, so however many models there are, no more threads compute than there are cores.

/// Cores that a library gets for one prediction when nothing is said: more gain little for models of a few milliseconds, and
/// whoever waits gains more from a core of its own.
const INTRA_OP: usize = 4;

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
    /// Of a machine with so many cores: what is not told follows from it.
    #[must_use]
    pub fn of(cores: usize, workers: Option<usize>, intra_op: Option<usize>, inter_op: Option<usize>) -> Self {
        let cores = cores.max(1);
        let intra_op = intra_op.unwrap_or_else(|| cores.min(INTRA_OP)).max(1);
        Self { workers: workers.unwrap_or(cores).max(1), intra_op, inter_op: inter_op.unwrap_or(1).max(1) }
    }

    /// Returns how many threads compute during one prediction of a library.
    #[must_use]
    pub const fn in_library(&self) -> usize {
        self.intra_op * self.inter_op
    }
}

impl Default for Threads {
    fn default() -> Self {
        Self::of(std::thread::available_parallelism().map_or(1, Into::into), None, None, None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_counts_and_the_rest_follows_from_the_cores() {
        assert_eq!(Threads::of(16, None, None, None), Threads { workers: 16, intra_op: 4, inter_op: 1 });
        assert_eq!(Threads::of(2, Some(1), None, Some(2)), Threads { workers: 1, intra_op: 2, inter_op: 2 });
        assert_eq!(Threads::of(0, Some(0), Some(0), None), Threads { workers: 1, intra_op: 1, inter_op: 1 });
    }
}
