//! Numbers out of JSON text: the grammar, and the conversion to the nearest double, exact to the last bit.
//!
//! Sources: W. D. Clinger, "How to read floating point numbers accurately" (1990), for the fast path; D. Lemire, "Number
//! parsing at a gigabyte per second" (2021), section 5, for mantissas of up to 19 digits; the standard library beyond.

use super::ErrorKind;

/// A number, in the narrowest of the three kinds that holds it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Number {
    /// Written as an integer. `-0` is the integer 0, as in Python; [`Reader::float`](super::Reader::float) keeps its sign.
    Int(i64),
    /// Written as an integer above `i64::MAX`.
    Uint(u64),
    /// Written with a point or an exponent, or an integer too large for the others.
    Float(f64),
}

impl Number {
    /// Returns the nearest double.
    pub fn as_f64(self) -> f64 {
        match self {
            Self::Int(value) => value as f64,
            Self::Uint(value) => value as f64,
            Self::Float(value) => value,
        }
    }
}

/// The largest integer below which every integer is a double of its own.
const EXACT: u64 = 1 << 53;

/// The parts of a number in a text, not yet put together.
pub(super) struct Scan {
    /// The first byte of the number.
    start: usize,
    negative: bool,
    /// All digits before the exponent as one integer; meaningless above 19 digits.
    mantissa: u64,
    digits: usize,
    /// The power of ten that the mantissa is to be multiplied by.
    exponent: i64,
    /// Written without point and exponent.
    pub(super) integral: bool,
    /// The byte after the number.
    pub(super) end: usize,
}

/// What stops a scan, and at which byte.
pub(super) enum Fault {
    NoDigit(usize),
    LeadingZero(usize),
}

/// Reads the number that begins at `start`; whatever follows it is left to the caller.
#[inline(always)]
pub(super) fn scan(text: &[u8], start: usize) -> Result<Scan, Fault> {
    let negative = text.get(start) == Some(&b'-');
    let first = start + usize::from(negative);
    let mut mantissa = 0_u64;
    let mut at = short_digits(text, first, &mut mantissa);
    let mut digits = at - first;
    if digits != 1 {
        if digits == 0 {
            return Err(Fault::NoDigit(first));
        }
        if text.get(first) == Some(&b'0') {
            return Err(Fault::LeadingZero(first));
        }
    }
    let mut exponent = 0;
    let mut integral = true;
    if text.get(at) == Some(&b'.') {
        let from = at + 1;
        at = long_digits(text, from, &mut mantissa);
        if at == from {
            return Err(Fault::NoDigit(from));
        }
        digits += at - from;
        exponent = -((at - from) as i64);
        integral = false;
    }
    if let Some(b'e' | b'E') = text.get(at) {
        let (power, end) = power(text, at + 1)?;
        exponent += power;
        at = end;
        integral = false;
    }
    Ok(Scan { start, negative, mantissa, digits, exponent, integral, end: at })
}

/// Appends the digits at `at` to the mantissa, which wraps around when there are too many. Returns the byte after them.
#[inline(always)]
fn short_digits(text: &[u8], mut at: usize, mantissa: &mut u64) -> usize {
    while let Some(digit) = text.get(at).map(|byte| byte.wrapping_sub(b'0')).filter(|&digit| digit <= 9) {
        *mantissa = mantissa.wrapping_mul(10).wrapping_add(u64::from(digit));
        at += 1;
    }
    at
}

/// The same, eight digits at a time: fractions tend to be long.
#[inline(always)]
fn long_digits(text: &[u8], mut at: usize, mantissa: &mut u64) -> usize {
    while let Some(eight) = text.get(at..).and_then(|rest| rest.first_chunk::<8>()).and_then(eight_digits) {
        *mantissa = mantissa.wrapping_mul(100_000_000).wrapping_add(eight);
        at += 8;
    }
    short_digits(text, at, mantissa)
}

/// Returns the integer that eight digits write, or `None` when one of the bytes is no digit.
#[inline(always)]
fn eight_digits(bytes: &[u8; 8]) -> Option<u64> {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = ONES * 0xf0;
    let word = u64::from_le_bytes(*bytes);
    // A digit is 0x30..=0x39: its high half is 3, and is still 3 when 6 is added.
    if word & HIGH != ONES * 0x30 || word.wrapping_add(ONES * 6) & HIGH != ONES * 0x30 {
        return None;
    }
    Some(join_digits(word & (ONES * 0x0f)))
}

/// Neighbours are put together in three rounds: pairs, then fours, then all eight. The first digit is the lowest byte.
#[inline(always)]
pub(super) fn join_digits(digits: u64) -> u64 {
    // Wraps around only where the bytes are no digits.
    let pairs = (digits.wrapping_mul((10 << 8) + 1) >> 8) & 0x00ff_00ff_00ff_00ff;
    let fours = (pairs.wrapping_mul((100 << 16) + 1) >> 16) & 0x0000_ffff_0000_ffff;
    fours.wrapping_mul((10_000 << 32) + 1) >> 32
}

/// Reads what follows the `e`. A power beyond any double's is cut short: it ends up as zero or out of range all the same.
fn power(text: &[u8], mut at: usize) -> Result<(i64, usize), Fault> {
    let negative = text.get(at) == Some(&b'-');
    if let Some(b'+' | b'-') = text.get(at) {
        at += 1;
    }
    let first = at;
    let mut power = 0_i64;
    while let Some(digit @ b'0'..=b'9') = text.get(at) {
        power = (power * 10 + i64::from(digit - b'0')).min(1_000_000);
        at += 1;
    }
    if at == first {
        return Err(Fault::NoDigit(at));
    }
    Ok((if negative { -power } else { power }, at))
}

impl Scan {
    /// Returns the number as a signed integer when it is written as one and fits.
    pub(super) fn to_i64(&self) -> Option<i64> {
        if !self.integral || self.digits > 19 {
            return None;
        }
        if self.negative {
            0_i64.checked_sub_unsigned(self.mantissa)
        } else {
            i64::try_from(self.mantissa).ok()
        }
    }

    /// Returns whether it is an integer that a double holds exactly.
    #[inline(always)]
    pub(super) fn is_exact_integer(&self) -> bool {
        self.integral && self.digits <= 19 && self.mantissa <= EXACT
    }

    /// Returns the number in its narrowest kind. `text` is what was scanned.
    pub(super) fn to_number(&self, text: &[u8]) -> Result<Number, ErrorKind> {
        if let Some(value) = self.to_i64() {
            return Ok(Number::Int(value));
        }
        // 20 digits may still fit an unsigned integer, but no longer without a check.
        let maybe_unsigned = self.integral && !self.negative && (19..=20).contains(&self.digits);
        let parsed = || self.literal(text)?.parse().ok();
        if let Some(value) = maybe_unsigned.then(parsed).flatten() {
            return Ok(Number::Uint(value));
        }
        self.to_f64(text).map(Number::Float)
    }

    /// Returns the nearest single, ties to even.
    pub(super) fn to_f32(&self, text: &[u8]) -> Result<f32, ErrorKind> {
        let wide = self.to_f64(text)?;
        // Below the normal singles half ways lie elsewhere.
        let small = wide != 0.0 && wide.abs() < f64::from(f32::MIN_POSITIVE);
        let value = if is_half_way(wide) || small {
            self.literal(text).and_then(|literal| literal.parse().ok())
        } else {
            Some(wide as f32)
        };
        value.filter(|value| value.is_finite()).ok_or(ErrorKind::OutOfRange)
    }

    /// Returns the nearest double, ties to even.
    #[inline(always)]
    pub(super) fn to_f64(&self, text: &[u8]) -> Result<f64, ErrorKind> {
        if self.digits <= 19 {
            if let Some(value) = clinger(self.mantissa, self.exponent) {
                return Ok(if self.negative { -value } else { value });
            }
            if let Some(value) = lemire(self.mantissa, self.exponent) {
                return Ok(if self.negative { -value } else { value });
            }
        }
        self.by_the_standard_library(text)
    }

    #[cold]
    fn by_the_standard_library(&self, text: &[u8]) -> Result<f64, ErrorKind> {
        let value: Option<f64> = self.literal(text).and_then(|literal| literal.parse().ok());
        value.filter(|value| value.is_finite()).ok_or(ErrorKind::OutOfRange)
    }

    /// Returns the bytes that were scanned, which are ASCII.
    fn literal<'a>(&self, text: &'a [u8]) -> Option<&'a str> {
        std::str::from_utf8(text.get(self.start..self.end)?).ok()
    }
}

/// Whether a double lies half way between two normal singles. Rounding twice goes wrong only there, for the double may itself
/// have been rounded to there.
#[inline(always)]
pub(super) fn is_half_way(wide: f64) -> bool {
    wide.to_bits() & 0x1fff_ffff == 0x1000_0000
}

/// Mantissa and power are both doubles without rounding, so one multiplication or division rounds just once.
#[inline(always)]
fn clinger(mantissa: u64, exponent: i64) -> Option<f64> {
    const POWERS: [f64; 23] = [
        1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17,
        1e18, 1e19, 1e20, 1e21, 1e22,
    ];
    if mantissa > EXACT {
        return None;
    }
    let power = *POWERS.get(usize::try_from(exponent.unsigned_abs()).ok()?)?;
    Some(if exponent < 0 { mantissa as f64 / power } else { mantissa as f64 * power })
}

/// Powers of five whose reciprocals and values stay exact enough that no product needs a second look: `5^27 < 2^64`.
const POWER_LIMIT: i64 = 27;

/// `5^q` for `q` in -27..=27, scaled by a power of two into `[2^127, 2^128)`: cut off when positive, rounded up when negative.
static FIVES: [u128; 2 * POWER_LIMIT as usize + 1] = fives();

const fn fives() -> [u128; 2 * POWER_LIMIT as usize + 1] {
    let mut table = [0; 2 * POWER_LIMIT as usize + 1];
    let middle = POWER_LIMIT as usize;
    let mut five = 1_u128;
    let mut power = 0;
    while power <= middle {
        table[middle + power] = five << five.leading_zeros();
        if power > 0 {
            table[middle - power] = reciprocal(five);
        }
        five *= 5;
        power += 1;
    }
    table
}

/// Returns the first 128 bits of `1 / divisor`, rounded up, by long division. `divisor` is odd, above 1, below `2^64`.
const fn reciprocal(divisor: u128) -> u128 {
    let (mut quotient, mut rest) = (0_u128, 1_u128);
    while quotient.leading_zeros() > 0 {
        rest *= 2;
        quotient = (quotient << 1) | (rest >= divisor) as u128;
        if rest >= divisor {
            rest -= divisor;
        }
    }
    quotient + 1
}

/// Multiplies the mantissa with the leading bits of the power and rounds; `None` where the power is not in the table.
#[inline(always)]
pub(super) fn lemire(mantissa: u64, exponent: i64) -> Option<f64> {
    let five = *FIVES.get(usize::try_from(exponent.checked_add(POWER_LIMIT)?).ok()?)?;
    if mantissa == 0 {
        return Some(0.0);
    }
    let zeros = mantissa.leading_zeros();
    let mantissa = mantissa << zeros;
    let mut product = u128::from(mantissa) * (five >> 64);
    // Only when every bit below the 55 that count is set can the low half of the power carry into them.
    if (product >> 64) & 0x1ff == 0x1ff {
        product += (u128::from(mantissa) * (five & u128::from(u64::MAX))) >> 64;
    }
    let (high, low) = ((product >> 64) as u64, product as u64);
    let top = high >> 63;
    // 53 bits and one for rounding.
    let shift = top + 9;
    let mut bits = high >> shift;
    // Exactly half way between two doubles: ties go to the even one. Beyond these powers there are no ties.
    if low <= 1 && (-4..=23).contains(&exponent) && bits & 3 == 1 && bits << shift == high {
        bits &= !1;
    }
    bits = (bits + (bits & 1)) >> 1;
    // floor(exponent * log2(10)) is the binary exponent; 217706 / 2^16 is log2(10), close enough for powers this small.
    let biased = ((exponent * 217_706) >> 16) + 63 + top as i64 - i64::from(zeros) + 1023;
    // The first of the 53 bits is not kept but counts one for the exponent, and one more where rounding made it 2^53.
    Some(f64::from_bits(((biased as u64 - 1) << 52) + bits))
}
