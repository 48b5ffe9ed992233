//! Half floats, kept as their bits, as numbers. Every one of them is a single, so nothing is rounded.

/// Returns the number that the bits of an IEEE 754 binary16 stand for.
pub fn from_fp16(bits: u16) -> f32 {
    let sign = if bits & 0x8000 == 0 { 1.0 } else { -1.0 };
    let (exponent, fraction) = (i32::from((bits >> 10) & 0x1f), u32::from(bits & 0x3ff));
    match (exponent, fraction) {
        // Zero and the subnormals: units of 2^-24.
        (0, _) => sign * fraction as f32 * f32::from_bits((127 - 24) << 23),
        (0x1f, 0) => sign * f32::INFINITY,
        // A NaN keeps its payload.
        (0x1f, _) => f32::from_bits((u32::from(bits & 0x8000) << 16) | 0x7f80_0000 | (fraction << 13)),
        _ => f32::from_bits(
            (u32::from(bits & 0x8000) << 16) | ((exponent - 15 + 127) as u32) << 23 | (fraction << 13),
        ),
    }
}

/// Returns the number that the bits of a bfloat16 stand for: it is the upper half of a single.
pub fn from_bf16(bits: u16) -> f32 {
    f32::from_bits(u32::from(bits) << 16)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_halves_are_their_numbers() {
        for (bits, number) in [
            (0x0000, 0.0),
            (0x8000, -0.0),
            (0x3c00, 1.0),
            (0xc000, -2.0),
            (0x3555, 0.333_251_95),
            (0x7bff, 65504.0),
            (0x0400, 6.103_515_6e-5),
            (0x0001, 5.960_464_5e-8),
            (0x03ff, 6.097_555e-5),
            (0x7c00, f32::INFINITY),
            (0xfc00, f32::NEG_INFINITY),
        ] {
            assert_eq!(from_fp16(bits).to_bits(), f32::to_bits(number), "{bits:#06x}");
        }
        assert!(from_fp16(0x7e00).is_nan() && from_bf16(0x7fc0).is_nan());
        assert_eq!((from_bf16(0x3f80), from_bf16(0xc040)), (1.0, -3.0));
    }

    #[test]
    fn every_half_lies_between_its_neighbours() {
        // All finite positive halves in order of their bits are in order of their numbers.
        let numbers: Vec<f32> = (0..0x7c00).map(from_fp16).collect();
        assert!(numbers.windows(2).all(|pair| pair[0] < pair[1]));
        // And the bits of the negative ones differ in the sign alone.
        assert!((0..0x7c00_u16).all(|bits| from_fp16(bits | 0x8000) == -from_fp16(bits)));
    }
}
