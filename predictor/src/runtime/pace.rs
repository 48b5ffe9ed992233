//! How long a model's predictions take, learnt from those that were made: what a library computes cannot be told beforehand.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// The nanoseconds that a row took of late.
pub(super) struct Pace(AtomicU64);

impl Default for Pace {
    fn default() -> Self {
        // Until it has been measured it does not run where bytes are moved.
        Self(AtomicU64::new(1_000_000))
    }
}

impl Pace {
    /// Does a prediction of that many rows and learns from it.
    pub(super) fn time<T>(&self, rows: usize, predict: impl FnOnce() -> T) -> T {
        let started = Instant::now();
        let outcome = predict();
        let took = started.elapsed().as_nanos() / rows.max(1) as u128;
        let took = u64::try_from(took).unwrap_or(u64::MAX).min(1 << 40);
        let before = self.0.load(Ordering::Relaxed);
        // An estimate: of two at once one may be lost.
        self.0.store(before - before / 8 + took / 8, Ordering::Relaxed);
        outcome
    }

    /// About how long a prediction of that many rows takes.
    pub(super) fn of(&self, rows: usize) -> Duration {
        Duration::from_nanos(self.0.load(Ordering::Relaxed).saturating_mul(rows.max(1) as u64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_learns_that_predictions_are_short() {
        let pace = Pace::default();
        assert!(pace.of(1) >= Duration::from_millis(1));
        for _ in 0..200 {
            pace.time(1 << 20, || ());
        }
        assert!(pace.of(1) < Duration::from_micros(100), "{:?}", pace.of(1));
    }
}
