//! Numbers as they are usually written, read without a loop over their digits.
//!
//! Eight bytes are one word, in which all digits are found, and put together, at once. So there is hardly a branch that depends
//! on how long a number is, and the processor knows early where the next begins. Unusual ones are left to [`number`].

use super::number::{self, join_digits, lemire};

/// Bytes to look at from the first of a number on; what is read of them depends on the number.
pub(super) const REACH: usize = 40;

const ONES: u64 = 0x0101_0101_0101_0101;

/// A type that the numbers of a [grid](super::Reader::grid) can be read as.
pub trait Element: Copy + Default {
    /// Reads the number that begins with the first byte, and says how many it takes. It is the whole number unless an
    /// exponent follows, which is for the caller to see. `None` is no verdict: [`Element::any`] knows.
    #[doc(hidden)]
    fn usual(bytes: &[u8; REACH]) -> Option<(Self, usize)>;

    /// Reads the number that begins at `start`, however it is written, and returns the byte after it. For floats `null` is one.
    #[doc(hidden)]
    fn any(text: &[u8], start: usize) -> Option<(Self, usize)>;
}

impl Element for f64 {
    #[inline(always)]
    fn usual(bytes: &[u8; REACH]) -> Option<(Self, usize)> {
        double(bytes)
    }

    #[cold]
    fn any(text: &[u8], start: usize) -> Option<(Self, usize)> {
        if let Ok(scan) = number::scan(text, start) {
            return Some((scan.to_f64(text).ok()?, scan.end));
        }
        let rest = text.get(start..)?;
        let words = [
            ("NaN", Self::NAN),
            ("null", Self::NAN),
            ("Infinity", Self::INFINITY),
            ("-Infinity", Self::NEG_INFINITY),
        ];
        let (word, value) = words.into_iter().find(|(word, _)| rest.starts_with(word.as_bytes()))?;
        Some((value, start + word.len()))
    }
}

impl Element for f32 {
    #[inline(always)]
    fn usual(bytes: &[u8; REACH]) -> Option<(Self, usize)> {
        let (value, length) = double(bytes)?;
        // Usual numbers are nought or far from the least and the greatest single, so that nothing else can go wrong.
        (!number::is_half_way(value)).then_some((value as Self, length))
    }

    #[cold]
    fn any(text: &[u8], start: usize) -> Option<(Self, usize)> {
        if let Ok(scan) = number::scan(text, start) {
            return Some((scan.to_f32(text).ok()?, scan.end));
        }
        f64::any(text, start).map(|(value, end)| (value as Self, end))
    }
}

macro_rules! integers {
    ($($type:ty)*) => {$(
        impl Element for $type {
            #[inline(always)]
            fn usual(bytes: &[u8; REACH]) -> Option<(Self, usize)> {
                let (value, length) = Start::of(bytes).integer()?;
                Some((Self::try_from(value).ok()?, length))
            }

            #[cold]
            fn any(text: &[u8], start: usize) -> Option<(Self, usize)> {
                let scan = number::scan(text, start).ok()?;
                Some((Self::try_from(scan.to_i64()?).ok()?, scan.end))
            }
        }
    )*};
}

integers!(i8 i16 i32 i64 u8 u16 u32 u64);

/// Reads any number of up to seven bytes, and longer ones with a single digit before the point.
#[inline(always)]
fn double(bytes: &[u8; REACH]) -> Option<(f64, usize)> {
    let start = Start::of(bytes);
    let (value, length) = if start.byte_after_digits() != b'.' {
        let (value, length) = start.integer()?;
        (whole(value.unsigned_abs()), length)
    } else if let Some(length) = start.length_with_point() {
        (start.decimal(length)?, length)
    } else {
        long(bytes, start.negative as usize)?
    };
    // The bits of the sign, because -0 has one as well.
    Some((f64::from_bits(value.to_bits() | start.negative << 63), length))
}

/// The first eight bytes of a number, of which not all need belong to it.
#[derive(Clone, Copy)]
struct Start {
    /// 1 with a minus sign, otherwise 0.
    negative: u64,
    word: u64,
    /// The word with `b'0'` taken off each byte, so that digits are 0 to 9; the sign is 0.
    digits: u64,
    /// The top bits of the bytes that are no digits and not the sign.
    others: u64,
}

impl Start {
    #[inline(always)]
    fn of(bytes: &[u8; REACH]) -> Self {
        let word = word(bytes, 0);
        let negative = u64::from(word & 0xff == u64::from(b'-'));
        let digits = word ^ (ONES * 0x30);
        let others = beyond_nine(digits) & !(negative << 7);
        Self { negative, word, digits: digits & !(negative * 0xff), others }
    }

    /// How many bits the sign and the digits after it take; 64 at most.
    #[inline(always)]
    fn bits(self) -> u32 {
        self.others.trailing_zeros() & !7
    }

    #[inline(always)]
    fn byte_after_digits(self) -> u8 {
        (self.word >> (self.bits() & 56)) as u8
    }

    /// The number as an integer of up to seven digits, and how many bytes it takes.
    #[inline(always)]
    fn integer(self) -> Option<(i64, usize)> {
        // The least that a number of so many digits can be when it does not begin with a superfluous zero.
        const LEAST: [u64; 8] = [u64::MAX, 0, 10, 100, 1_000, 10_000, 100_000, 1_000_000];
        if self.others == 0 {
            return None;
        }
        let bits = self.bits();
        let value = join_digits(at_the_top(self.digits, bits));
        let length = bits as usize / 8;
        if value < LEAST[(length - self.negative as usize) & 7] {
            return None;
        }
        Some((if self.negative == 1 { -(value as i64) } else { value as i64 }, length))
    }

    /// How many bytes the number takes if digits and a point are all that is in it and it ends within the word.
    #[inline(always)]
    fn length_with_point(self) -> Option<usize> {
        let after = self.others & self.others.wrapping_sub(1);
        (after != 0).then(|| after.trailing_zeros() as usize / 8)
    }

    /// The magnitude of a number of that length, which is 7 at most.
    #[inline(always)]
    fn decimal(self, length: usize) -> Option<f64> {
        let point = self.bits() as usize / 8;
        let negative = self.negative as usize;
        // A digit stands on both sides of the point, and no zero before another digit.
        let before = point - negative;
        let fraction = length - point - 1;
        let first = self.word >> (8 * negative) & 0xff;
        if before == 0 || fraction == 0 || (before > 1 && first == u64::from(b'0')) {
            return None;
        }
        // What is after the point moves down over it, so that there is one integer.
        let low = (1 << self.bits()) - 1;
        let digits = (self.digits & low) | (self.digits >> 8 & !low);
        let mantissa = join_digits(at_the_top(digits, 8 * length as u32 - 8));
        Some(whole(mantissa) / POWERS[fraction & 7])
    }
}

/// Powers of ten that doubles hold exactly. An integer below 2^52 divided by one is rounded just once.
const POWERS: [f64; 16] =
    [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15];

/// Moves that many low bits, 8 to 64, to the top, with zeros below.
#[inline(always)]
fn at_the_top(digits: u64, bits: u32) -> u64 {
    digits << ((64 - bits) & 63)
}

/// Converts an integer below 2^52: the bits of 2^52 with the integer in the lowest places are the double 2^52 + value.
///
/// The processor's own conversion writes half a register on x86, and has to wait for the number before, which used the other.
#[inline(always)]
fn whole(value: u64) -> f64 {
    const TOP: f64 = (1_u64 << 52) as f64;
    f64::from_bits(TOP.to_bits() | value) - TOP
}

/// Reads the magnitude of a number of one digit, the point and 1 to 23 digits. `first` is 1 after a sign, otherwise 0.
#[inline(always)]
fn long(bytes: &[u8; REACH], first: usize) -> Option<(f64, usize)> {
    let head = word(bytes, first);
    let digit = (head & 0xff) ^ u64::from(b'0');
    if digit > 9 || head >> 8 & 0xff != u64::from(b'.') {
        return None;
    }
    let digits = word(bytes, first + 2) ^ (ONES * 0x30);
    let others = beyond_nine(digits);
    if others != 0 {
        let count = others.trailing_zeros() as usize / 8;
        if count == 0 {
            return None;
        }
        let mantissa = digit * TENS[count] + join_digits(at_the_top(digits, 8 * count as u32));
        return Some((whole(mantissa) / POWERS[count], first + 2 + count));
    }
    let mut mantissa = digit * 100_000_000 + join_digits(digits);
    let (more, count) = up_to_eight(word(bytes, first + 10));
    mantissa = mantissa * TENS[count] + more;
    let mut fraction = 8 + count;
    if fraction < 15 {
        return Some((whole(mantissa) / POWERS[fraction], first + 2 + fraction));
    }
    if count == 8 {
        let (more, count) = up_to_eight(word(bytes, first + 18));
        // Beyond this the next line would wrap around.
        if count == 8 || mantissa > LIMITS[count] {
            return None;
        }
        mantissa = mantissa * TENS[count] + more;
        fraction += count;
    }
    Some((lemire(mantissa, -(fraction as i64))?, first + 2 + fraction))
}

/// Reads the digits a word begins with as an integer, and says how many they are.
#[inline(always)]
fn up_to_eight(word: u64) -> (u64, usize) {
    let digits = word ^ (ONES * 0x30);
    let count = beyond_nine(digits).trailing_zeros() / 8;
    // In two steps, since there may be none, and no shift is by 64 bits.
    let half = 32 - 4 * count;
    (join_digits(digits << half << half), count as usize)
}

const TENS: [u64; 9] = [1, 10, 100, 1_000, 10_000, 100_000, 1_000_000, 10_000_000, 100_000_000];

/// What can be multiplied by the power of ten of the same place, and a number below it added, within 64 bits.
const LIMITS: [u64; 8] = {
    let mut limits = [0; 8];
    let mut at = 0;
    while at < 8 {
        limits[at] = (u64::MAX - TENS[at]) / TENS[at];
        at += 1;
    }
    limits
};

/// Has the top bit of each byte that is greater than 9. What carries out of a byte comes from one that has its bit itself, so
/// the first of them is right.
#[inline(always)]
fn beyond_nine(digits: u64) -> u64 {
    (digits.wrapping_add(ONES * 0x76) | digits) & (ONES << 7)
}

/// Returns the eight bytes from `at` on; the first is the lowest. `at` is 32 at most.
#[inline(always)]
pub(super) fn word(bytes: &[u8; REACH], at: usize) -> u64 {
    // This does not change `at`, but tells the compiler that the bytes are there.
    let at = at & 31;
    let word = bytes.get(at..at + 8).and_then(|bytes| bytes.first_chunk());
    word.map_or(0, |word| u64::from_le_bytes(*word))
}
