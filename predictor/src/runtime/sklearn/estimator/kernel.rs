//! The kernels of libsvm, evaluated for one row against every support vector.

use super::super::super::wide::{Lines, exp};
use super::super::refusal::Refusal;
use super::fitted::Fitted;

/// How many support vectors are worked on side by side.
const LANES: usize = 16;

/// A kernel with its fitted parameters.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Kernel {
    Linear,
    Rbf { gamma: f64 },
    Poly { gamma: f64, coef0: f64, degree: u32 },
    Sigmoid { gamma: f64, coef0: f64 },
}

impl Kernel {
    /// Reads the kernel of a fitted SVC.
    pub(super) fn read(fitted: &Fitted<'_>) -> Result<Self, Refusal> {
        let Some(name) = fitted.text("kernel") else {
            return Err(fitted
                .unsupported("with a kernel that is a Python function", "use a kernel of scikit-learn's"));
        };
        let gamma = || fitted.number("_gamma");
        let coef0 = || fitted.number("coef0");
        match name {
            "linear" => Ok(Self::Linear),
            "rbf" => Ok(Self::Rbf { gamma: gamma()? }),
            "poly" => Ok(Self::Poly { gamma: gamma()?, coef0: coef0()?, degree: degree(fitted)? }),
            "sigmoid" => Ok(Self::Sigmoid { gamma: gamma()?, coef0: coef0()? }),
            other => {
                Err(fitted.unsupported(format!("with kernel `{other}`"), "use linear, poly, rbf or sigmoid"))
            }
        }
    }
}

fn degree(fitted: &Fitted<'_>) -> Result<u32, Refusal> {
    // libsvm takes the degree as an int, whatever the parameter was.
    let degree = fitted.number("degree")?;
    if (0.0..=f64::from(i32::MAX)).contains(&degree) {
        return Ok(degree as u32);
    }
    Err(fitted.malformed(format!("has degree {degree}")))
}

/// The support vectors, in blocks of [`LANES`]: first feature of all in the block, second feature of all, and so on, so that
/// the processor's wide registers work on several at once. The last block is filled up with zeros.
pub(super) struct Vectors {
    blocks: Lines<f64>,
    count: usize,
    features: usize,
}

impl Vectors {
    /// Takes the vectors, row-major.
    pub(super) fn new(vectors: &[f64], features: usize) -> Self {
        let count = vectors.len() / features;
        let mut blocks = Lines::new(count.div_ceil(LANES) * LANES * features);
        let lanes = blocks.of_mut::<LANES>();
        for (at, vector) in vectors.chunks_exact(features).enumerate() {
            let block = &mut lanes[at / LANES * features..];
            for (lanes, value) in block.iter_mut().zip(vector) {
                lanes[at % LANES] = *value;
            }
        }
        Self { blocks, count, features }
    }

    /// Returns how many there are.
    pub(super) fn len(&self) -> usize {
        self.count
    }

    /// Returns room for one row's kernel values.
    pub(super) fn room(&self) -> Vec<f64> {
        vec![0.0; self.count.div_ceil(LANES) * LANES]
    }

    /// Evaluates the kernel of the row and each vector. What is beyond the last vector has no meaning.
    #[inline(always)]
    pub(super) fn evaluate(&self, kernel: Kernel, row: &[f64], values: &mut [f64]) {
        let product = |x, v| x * v;
        match kernel {
            Kernel::Linear => self.accumulate(row, values, product, |sums| sums),
            Kernel::Rbf { gamma } => {
                let square = |x, v| (x - v) * (x - v);
                self.accumulate(row, values, square, |sums| exp(sums.map(|it| -gamma * it)));
            }
            Kernel::Poly { gamma, coef0, degree } => {
                self.accumulate(row, values, product, |sums| {
                    power(sums.map(|it| gamma * it + coef0), degree)
                });
            }
            Kernel::Sigmoid { gamma, coef0 } => {
                self.accumulate(row, values, product, |sums| sums.map(|it| (gamma * it + coef0).tanh()));
            }
        }
    }

    /// Sums a term over the features, for each vector, and makes the kernel's values of the sums.
    #[inline(always)]
    fn accumulate(
        &self,
        row: &[f64],
        values: &mut [f64],
        term: impl Fn(f64, f64) -> f64,
        end: impl Fn([f64; LANES]) -> [f64; LANES],
    ) {
        let (values, _) = values.as_chunks_mut::<LANES>();
        for (block, values) in self.blocks.of::<LANES>().chunks_exact(self.features).zip(values) {
            let mut sums = [0.0; LANES];
            for (x, lane) in row.iter().zip(block) {
                for at in 0..LANES {
                    sums[at] += term(*x, lane[at]);
                }
            }
            *values = end(sums);
        }
    }
}

/// Raises by squaring, as libsvm does.
#[inline(always)]
fn power(mut bases: [f64; LANES], mut degree: u32) -> [f64; LANES] {
    let mut results = [1.0; LANES];
    while degree > 0 {
        if degree % 2 == 1 {
            results.iter_mut().zip(bases).for_each(|(result, base)| *result *= base);
        }
        bases.iter_mut().for_each(|it| *it *= *it);
        degree /= 2;
    }
    results
}
