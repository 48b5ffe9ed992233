//! `e` to the power of many numbers at once, which is most of what an RBF kernel costs.

/// How many are worked on side by side.
const LANES: usize = 8;

/// Beyond this a power is, or is nearly, infinite or zero, and the standard library takes over.
const LARGEST: f64 = 700.0;

/// One and a half times 2^52: a number of up to 2^51 that is added to it is rounded to a whole one, which stands in the low bits.
const ROUND: f64 = 6_755_399_441_055_744.0;

/// The logarithm of 2 in two parts, the first short enough for its product with a whole number to be exact.
const LN_2: [f64; 2] = [6.931_471_803_691_238e-1, 1.908_214_929_270_587_7e-10];

/// One by the factorials of 2 to 13: below half the logarithm of 2, what is left out is below a tenth of the last bit.
const TERMS: [f64; 12] = [
    1.0 / 6_227_020_800.0,
    1.0 / 479_001_600.0,
    1.0 / 39_916_800.0,
    1.0 / 3_628_800.0,
    1.0 / 362_880.0,
    1.0 / 40_320.0,
    1.0 / 5_040.0,
    1.0 / 720.0,
    1.0 / 120.0,
    1.0 / 24.0,
    1.0 / 6.0,
    0.5,
];

/// Puts `e` to the power of `factor` times each value in its place, to within an ulp or two.
pub(super) fn powers_of_e(values: &mut [f64], factor: f64) {
    let (lanes, rest) = values.as_chunks_mut::<LANES>();
    for lane in lanes {
        lane.iter_mut().for_each(|it| *it *= factor);
        // A comparison that NaN fails as well.
        if lane.iter().all(|it| it.abs() < LARGEST) {
            *lane = lane.map(power);
        } else {
            *lane = lane.map(f64::exp);
        }
    }
    rest.iter_mut().for_each(|it| *it = (*it * factor).exp());
}

/// Splits a number into a whole multiple of the logarithm of 2, which is an exponent, and a small rest, which is a Taylor series.
#[inline]
fn power(x: f64) -> f64 {
    let shifted = x * std::f64::consts::LOG2_E + ROUND;
    let whole = shifted - ROUND;
    let rest = (x - whole * LN_2[0]) - whole * LN_2[1];
    let sum = TERMS.iter().fold(0.0, |sum, term| sum * rest + term);
    let scale = f64::from_bits((shifted.to_bits() << 52).wrapping_add(1023 << 52));
    (1.0 + (rest + rest * rest * sum)) * scale
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn powers_are_those_of_the_standard_library() {
        let mut all: Vec<f64> = (-140_000..=140_000).map(|at| f64::from(at) * 0.005 + 1e-7).collect();
        all.extend([
            0.0,
            -0.0,
            1e-300,
            -1e-300,
            0.346_573_590_279_972_6,
            -0.346_573_590_279_972_6,
            699.999,
            -699.999,
        ]);
        let mut got = all.clone();
        powers_of_e(&mut got, 1.0);
        for (x, got) in all.iter().zip(got) {
            assert!((got / x.exp() - 1.0).abs() <= 4.5e-16, "e^{x}: {got:e} is not {:e}", x.exp());
        }
    }

    #[test]
    fn what_overflows_or_is_no_number_is_that_of_the_standard_library() {
        let odd = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1e6, -1e6, -745.0, 709.5, 1.0, -720.0];
        let mut got = odd;
        powers_of_e(&mut got, 1.0);
        for (x, got) in odd.iter().zip(got) {
            assert_eq!(got.to_bits(), x.exp().to_bits(), "e^{x}");
        }
    }

    #[test]
    fn the_factor_comes_first() {
        let mut got = [2.0; 11];
        powers_of_e(&mut got, -0.5);
        assert!(got.iter().all(|it| (it - (-1.0_f64).exp()).abs() < 1e-16), "{got:?}");
    }
}
