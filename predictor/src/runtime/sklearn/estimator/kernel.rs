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
        match kernel {
            Kernel::Linear => self.accumulate(row, values, &Product(|sums| sums)),
            Kernel::Rbf { gamma } => self.accumulate(row, values, &Distance { gamma }),
            Kernel::Poly { gamma, coef0, degree } => {
                self.accumulate(
                    row,
                    values,
                    &Product(move |sums: Lanes| power(sums.map(|it| gamma * it + coef0), degree)),
                );
            }
            Kernel::Sigmoid { gamma, coef0 } => {
                self.accumulate(
                    row,
                    values,
                    &Product(move |sums: Lanes| sums.map(|it| (gamma * it + coef0).tanh())),
                );
            }
        }
    }

    /// Sums a term over the features, for each vector, and makes the kernel's values of the sums.
    #[inline(always)]
    fn accumulate(&self, row: &[f64], values: &mut [f64], terms: &impl Terms) {
        let (values, _) = values.as_chunks_mut::<LANES>();
        for (block, values) in self.blocks.of::<LANES>().chunks_exact(self.features).zip(values) {
            let mut sums = [0.0; LANES];
            for (x, lane) in row.iter().zip(block) {
                for at in 0..LANES {
                    sums[at] += terms.term(*x, lane[at]);
                }
            }
            *values = terms.end(sums);
        }
    }
}

type Lanes = [f64; LANES];

/// What is summed up, and what is made of the sums. Not closures, where it counts: those stay functions of their own.
trait Terms {
    fn term(&self, x: f64, v: f64) -> f64;
    fn end(&self, sums: Lanes) -> Lanes;
}

/// The squared distance, and how near that is.
struct Distance {
    gamma: f64,
}

impl Terms for Distance {
    #[inline(always)]
    fn term(&self, x: f64, v: f64) -> f64 {
        (x - v) * (x - v)
    }

    #[inline(always)]
    fn end(&self, mut sums: Lanes) -> Lanes {
        for sum in &mut sums {
            *sum *= -self.gamma;
        }
        exp(sums)
    }
}

/// The product, and something of it.
struct Product<F>(F);

impl<F: Fn(Lanes) -> Lanes> Terms for Product<F> {
    #[inline(always)]
    fn term(&self, x: f64, v: f64) -> f64 {
        x * v
    }

    #[inline(always)]
    fn end(&self, sums: Lanes) -> Lanes {
        (self.0)(sums)
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
