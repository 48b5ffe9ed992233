//! The processor's widest registers: what is handed in here is compiled for several sets of instructions, and the best one that
//! the processor at hand has is taken.
//!
//! Nothing is written for a set of its own. Loops over lanes that are arrays become instructions on whole registers by
//! themselves, once the compiler may use wide ones. Products and sums are never fused, so the answers of all sets are the same to
//! the last bit.

use rten_simd::{Isa, SimdOp};

/// Does the work. It and all that it calls must be `#[inline(always)]`: what stays a function of its own is compiled for the
/// oldest processor.
pub(super) fn widely<R>(work: impl FnOnce() -> R) -> R {
    Work(work).dispatch()
}

struct Work<F>(F);

impl<R, F: FnOnce() -> R> SimdOp for Work<F> {
    type Output = R;

    #[inline(always)]
    fn eval<I: Isa>(self, _: I) -> R {
        (self.0)()
    }
}

/// Memory that begins where a line of the cache does: a register that lies across two lines takes twice the time to be loaded.
pub(super) struct Lines<T> {
    memory: Vec<T>,
    start: usize,
}

/// The bytes of a line, and of the widest register.
const LINE: usize = 64;

impl<T: Copy + Default> Lines<T> {
    /// Makes memory for so many numbers.
    pub(super) fn new(count: usize) -> Self {
        let spare = LINE / size_of::<T>();
        let memory = vec![T::default(); count + spare];
        let start = memory.as_ptr().align_offset(LINE).min(spare);
        Self { memory, start }
    }

    /// Returns it, so many numbers at a time.
    pub(super) fn of<const LANES: usize>(&self) -> &[[T; LANES]] {
        self.memory[self.start..].as_chunks().0
    }

    /// Returns it to be written.
    pub(super) fn of_mut<const LANES: usize>(&mut self) -> &mut [[T; LANES]] {
        self.memory[self.start..].as_chunks_mut().0
    }
}

/// What is added to a number below 2^51 to round it to an integer, which the low bits then hold.
const ROUNDING: f64 = 6_755_399_441_055_744.0;
/// The natural logarithm of 2: the high bits, of which a multiple is exact, and the rest.
const LN_2: [f64; 2] = [6.931_471_803_691_238e-1, 1.908_214_929_270_587_7e-10];
/// One divided by the factorials of 0 to 12.
const SERIES: [f64; 13] = {
    let mut series = [1.0; 13];
    let (mut at, mut factorial) = (1, 1.0);
    while at < 13 {
        factorial *= at as f64;
        series[at] = 1.0 / factorial;
        at += 1;
    }
    series
};

/// Returns the powers of e, at most an ulp or three from the true ones: the nearest power of two, and for what is left the
/// exponential series, whose terms are summed in pairs so that they do not wait for each other.
#[inline(always)]
pub(super) fn exp<const LANES: usize>(exponents: [f64; LANES]) -> [f64; LANES] {
    // Beyond are powers of two that are no normal numbers, and NaN.
    let usual = exponents.iter().fold(true, |usual, it| usual & (it.abs() < 708.0));
    if !usual {
        return exponents.map(f64::exp);
    }
    let mut powers = [0.0; LANES];
    for (power, exponent) in powers.iter_mut().zip(exponents) {
        let rounded = exponent * std::f64::consts::LOG2_E + ROUNDING;
        let twos = rounded - ROUNDING;
        let x = (exponent - twos * LN_2[0]) - twos * LN_2[1];
        let pair = |at: usize| SERIES[at] + x * SERIES[at + 1];
        let (x2, x4) = (x * x, (x * x) * (x * x));
        let four = |at: usize| pair(at) + x2 * pair(at + 2);
        let series = four(0) + x4 * (four(4) + x4 * (four(8) + x4 * SERIES[12]));
        *power = series * f64::from_bits((rounded.to_bits() << 52).wrapping_add(1.0_f64.to_bits()));
    }
    powers
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn powers_of_e_are_those_of_the_standard_library_but_for_the_last_bits() {
        let mut exponents: Vec<f64> = (-1_400_000..1_400_000).map(|it| f64::from(it) * 5.1e-4).collect();
        exponents.extend([0.0, -0.0, 1e-300, -1e-17, 707.99, -707.99, -745.0, -1e4, 709.7, 1e4]);
        exponents.extend([f64::NEG_INFINITY, f64::INFINITY, f64::MIN, f64::MAX, 5e-324, 0.0]);
        for eight in exponents.as_chunks::<8>().0 {
            for (power, exponent) in exp(*eight).into_iter().zip(eight) {
                let expected = exponent.exp();
                let close = (power - expected).abs() <= 8e-16 * expected;
                assert!(
                    power == expected || close,
                    "e to the power of {exponent} is {power}, not {expected}"
                );
            }
            assert_eq!(
                widely(
                    #[inline(always)]
                    || exp(*eight)
                )
                .map(f64::to_bits),
                exp(*eight).map(f64::to_bits)
            );
        }
        assert!(exp([f64::NAN; 4]).iter().all(|it| it.is_nan()));
    }
}
