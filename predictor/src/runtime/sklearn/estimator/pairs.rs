//! libsvm's scores of each pair of classes: sums over the support vectors of both.

use super::super::super::wide::widely;
use super::dot;
use super::kernel::{Kernel, Vectors};

/// What libsvm keeps, checked to fit together.
pub(super) struct Machine<'v> {
    pub(super) features: usize,
    pub(super) kernel: Kernel,
    /// Row-major, class after class.
    pub(super) vectors: &'v [f64],
    /// `[classes - 1, vectors]`: what a vector weighs against each other class, its own left out.
    pub(super) coefficients: Vec<f64>,
    /// Where the vectors of each class begin, and where the last ones end.
    pub(super) starts: Vec<usize>,
    /// One for each pair.
    pub(super) intercepts: Vec<f64>,
}

impl Machine<'_> {
    /// Lays them out for prediction.
    pub(super) fn pairs(self) -> Pairs {
        // Only where that is less work; it also keeps a lying file from asking for more room than it takes itself.
        if self.kernel == Kernel::Linear && self.intercepts.len() <= self.vectors.len() / self.features {
            return Pairs::Linear { weights: self.weights(), intercepts: self.intercepts };
        }
        Pairs::Kernel {
            kernel: self.kernel,
            vectors: Vectors::new(self.vectors, self.features),
            coefficients: self.coefficients,
            starts: self.starts,
            intercepts: self.intercepts,
        }
    }

    /// Adds the vectors up beforehand, which a linear kernel allows: a score is then one product, however many there are.
    fn weights(&self) -> Vec<f64> {
        let count = self.vectors.len() / self.features;
        let mut weights = Vec::with_capacity(self.intercepts.len() * self.features);
        for_each_pair(self.starts.len() - 1, |first, second| {
            let mut sum = vec![0.0; self.features];
            for (class, other) in [(first, second - 1), (second, first)] {
                for at in self.starts[class]..self.starts[class + 1] {
                    let coefficient = self.coefficients[other * count + at];
                    let vector = &self.vectors[at * self.features..][..self.features];
                    sum.iter_mut().zip(vector).for_each(|(sum, value)| *sum += coefficient * value);
                }
            }
            weights.extend(sum);
        });
        weights
    }
}

/// Gives a row's score of each pair of classes, positive for the first.
pub(super) enum Pairs {
    Linear {
        /// A row of weights for each pair.
        weights: Vec<f64>,
        intercepts: Vec<f64>,
    },
    Kernel {
        kernel: Kernel,
        vectors: Vectors,
        coefficients: Vec<f64>,
        starts: Vec<usize>,
        intercepts: Vec<f64>,
    },
}

impl Pairs {
    /// Returns room for the kernel values of one row.
    pub(super) fn room(&self) -> Vec<f64> {
        match self {
            Self::Linear { .. } => Vec::new(),
            Self::Kernel { vectors, .. } => vectors.room(),
        }
    }

    /// Fills the score of each pair. `room` is of [`Pairs::room`].
    pub(super) fn scores(&self, row: &[f64], room: &mut [f64], scores: &mut [f64]) {
        widely(
            #[inline(always)]
            || self.sums(row, room, scores),
        );
    }

    #[inline(always)]
    fn sums(&self, row: &[f64], room: &mut [f64], scores: &mut [f64]) {
        match self {
            Self::Linear { weights, intercepts } => {
                for ((score, weights), intercept) in
                    scores.iter_mut().zip(weights.chunks_exact(row.len())).zip(intercepts)
                {
                    *score = dot(row, weights) + intercept;
                }
            }
            Self::Kernel { kernel, vectors, coefficients, starts, intercepts } => {
                vectors.evaluate(*kernel, row, room);
                let count = starts[starts.len() - 1];
                let mut rest = scores.iter_mut().zip(intercepts);
                // No closures: those stay functions of their own.
                for first in 0..starts.len() - 1 {
                    for second in first + 1..starts.len() - 1 {
                        let Some((score, intercept)) = rest.next() else { return };
                        let mut sum = 0.0;
                        for (class, other) in [(first, second - 1), (second, first)] {
                            let (start, end) = (starts[class], starts[class + 1]);
                            sum += dot(&coefficients[other * count..][start..end], &room[start..end]);
                        }
                        *score = sum + intercept;
                    }
                }
            }
        }
    }

    /// About how many nanoseconds a row takes. The factors here and in the other estimators were measured in release
    /// builds, rows by the thousand.
    pub(super) fn row_ns(&self, features: usize, classes: usize) -> f64 {
        let (features, classes) = (features as f64, classes as f64);
        match self {
            Self::Linear { intercepts, .. } => intercepts.len() as f64 * (4.0 + 0.25 * features),
            Self::Kernel { vectors, .. } => vectors.len() as f64 * (6.5 + 0.15 * features + 0.3 * classes),
        }
    }
}

/// Calls with each pair of classes, in libsvm's order.
#[inline(always)]
pub(super) fn for_each_pair(classes: usize, mut call: impl FnMut(usize, usize)) {
    for first in 0..classes {
        for second in first + 1..classes {
            call(first, second);
        }
    }
}
