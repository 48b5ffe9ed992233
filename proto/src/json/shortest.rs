//! Floats to text: the shortest decimal that reads back as the same float, and of these the nearest.
//!
//! This is the search of R. Giulietti, "The Schubfach way to render doubles" (2021), where it is simplest: for magnitudes that
//! probabilities and pixels have, scaled by a power of ten, all of it is integers without rounding. For others there is zmij.

use super::nested::{SLOT, put_integer, put_word, word_of_digits};

/// Appends what [`zmij`] would, to a slot from its beginning; returns the length.
macro_rules! push_shortest {
    ($name:ident, $float:ty, $bits:ty, $wide:ty, $put:ident, most: $most:literal) => {
        #[inline(always)]
        pub(super) fn $name(slot: &mut [u8; SLOT], value: $float) -> usize {
            const DIGITS: u32 = <$float>::MANTISSA_DIGITS - 1;
            const BIAS: $bits = (<$float>::MAX_EXP - 1) as $bits + DIGITS as $bits;
            let bits = value.to_bits();
            let negative = usize::from(value.is_sign_negative());
            // The value is `significand / 2^scale`.
            let fraction = bits & ((1 << DIGITS) - 1);
            let significand = fraction | 1 << DIGITS;
            let scale = BIAS.wrapping_sub(bits >> DIGITS & ((1 << (<$bits>::BITS - DIGITS - 1)) - 1));
            // A power of two is not in the middle of what reads back as it.
            if fraction == 0 || scale.wrapping_sub(1) >= $most {
                return by_zmij(slot, value);
            }
            let scale = scale as u32;
            // The least power of ten above 2^scale: scaled by it, all that reads back as the value spans 1 to 10.
            let places = (scale * 78_913 >> 18) + 1;
            let power = TENS[places as usize & 31];
            let one = 1_u64 << scale;
            let scaled = significand as $wide * power as $wide;
            let (mut digits, rest) = ((scaled >> scale) as u64, scaled as u64 & (one - 1));
            // Whatever is no farther than half a step reads back as the value; just half a step only if that is even.
            let reach = power / 2 - significand as u64 % 2;
            let last = digits % 10;
            let down = rest + last * one;
            // One digit less if that will do, below or above; otherwise the nearer neighbour. No branches: they are even odds.
            let above = u64::from(down > reach);
            let shorter = select((down <= reach) | (10 * one - down <= reach));
            let nearer = u64::from((rest > one / 2) | ((rest == one / 2) & (digits & 1 == 1)));
            digits = (shorter & (digits - last + 10 * above)) | (!shorter & (digits + nearer));
            slot[0] = b'-';
            // The integer part stays: integers read back as themselves, so none lies between the value and its text.
            let whole = (significand >> scale.min(<$bits>::BITS - 1)) as u64;
            let at = put_whole(slot, negative, whole);
            $put(slot, at, digits.wrapping_sub(whole.wrapping_mul(power)), places as usize)
        }
    };
}

push_shortest!(shortest_f32, f32, u32, u64, put_12, most: 36);
push_shortest!(shortest_f64, f64, u64, u128, put_19, most: 60);

/// Powers of ten, as far as they are needed; beyond 64 bits they wrap around.
const TENS: [u64; 32] = {
    let mut tens = [1_u64; 32];
    let mut at = 1;
    while at < 32 {
        tens[at] = tens[at - 1].wrapping_mul(10);
        at += 1;
    }
    tens
};

/// All bits, or none.
#[inline(always)]
fn select(condition: bool) -> u64 {
    u64::from(condition).wrapping_neg()
}

const ZEROS: u64 = u64::from_le_bytes(*b"00000000");

/// Writes an integer and the point behind it at `at`, which is 1 at most; returns where they end.
#[inline(always)]
fn put_whole(slot: &mut [u8; SLOT], at: usize, whole: u64) -> usize {
    let end = if whole < 10 {
        slot[at] = b'0' + whole as u8;
        at + 1
    } else {
        at + put_integer(slot, at, whole)
    };
    slot[end] = b'.';
    end + 1
}

/// Writes a fraction of up to 12 places at `at`, without the zeros at its end but for the first; returns where it ends.
#[inline(always)]
fn put_12(slot: &mut [u8; SLOT], at: usize, fraction: u64, places: usize) -> usize {
    let fraction = fraction.wrapping_mul(TENS[12_usize.saturating_sub(places)]);
    let high = word_of_digits(fraction / TENS[8]) >> 32;
    let low = word_of_digits(fraction % TENS[8]);
    put_word(slot, at, high | ZEROS);
    put_word(slot, at + 4, low | ZEROS);
    // The first of the digits is kept even if it is zero.
    let empty = select(low == 0);
    let zeros = (8 & empty) as usize + (((high << 32 | 1 << 39) & empty) | low).leading_zeros() as usize / 8;
    at + 12 - zeros
}

/// The same for up to 19 places; there are 17 digits at most.
#[inline(always)]
fn put_19(slot: &mut [u8; SLOT], at: usize, fraction: u64, places: usize) -> usize {
    put_word(slot, at, ZEROS);
    let at = at + places.saturating_sub(17);
    let fraction = fraction.wrapping_mul(TENS[17_usize.saturating_sub(places)]);
    let (first, others) = (fraction / TENS[16], fraction % TENS[16]);
    slot[at] = b'0' + first as u8;
    let (high, low) = (word_of_digits(others / TENS[8]), word_of_digits(others % TENS[8]));
    put_word(slot, at + 1, high | ZEROS);
    put_word(slot, at + 9, low | ZEROS);
    let empty = select(low == 0);
    let zeros = (8 & empty) as usize + ((high & empty) | low).leading_zeros() as usize / 8;
    at + 17 - zeros
}

#[cold]
fn by_zmij(slot: &mut [u8; SLOT], value: impl zmij::Float) -> usize {
    let mut buffer = zmij::Buffer::new();
    let text = buffer.format_finite(value).as_bytes();
    slot[..text.len()].copy_from_slice(text);
    text.len()
}
