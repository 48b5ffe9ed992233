//! Numbers to text, many at a time: lists nested by a shape.
//!
//! Each number is written to a slot that is longer than any of them, whole words at a time, and the next begins where it ends.
//! The type is looked at once, room is made seldom, and no text is copied.

use super::NonFinite;
use super::shortest::{shortest_f32, shortest_f64};

/// Bytes that a number is written to: its sign, 16 digits, a point and 16 more, and what words write too much.
pub(super) const SLOT: usize = 48;

/// Appends numbers as lists nested by `shape`, outermost first, as [`push_f64`](super::push_f64) and the others write each.
///
/// # Panics
/// When `values` are not as many as `shape` says.
pub fn push_nested<T: Digits>(out: &mut Vec<u8>, shape: &[usize], values: &[T], non_finite: NonFinite) {
    assert_eq!(elements(shape), values.len(), "values for the shape {shape:?}");
    let mut room = Room { at: out.len(), out, non_finite };
    room.out.reserve(values.len() * T::TYPICAL + SLOT);
    room.lists(shape, values);
    let Room { out, at, .. } = room;
    out.truncate(at);
}

/// Returns the product of the sizes. One of them may be nought and others beyond all measure, in any order.
pub(crate) fn elements(shape: &[usize]) -> usize {
    if shape.contains(&0) { 0 } else { shape.iter().product() }
}

/// A number that [`push_nested`] writes.
pub trait Digits: Copy {
    /// How long its text tends to be, with a comma.
    #[doc(hidden)]
    const TYPICAL: usize;

    /// Writes it to the beginning of the slot; returns its length, which is less than the slot's.
    #[doc(hidden)]
    fn put(self, slot: &mut [u8; SLOT], non_finite: NonFinite) -> usize;
}

/// Text with bytes behind it that are to be written over.
struct Room<'a> {
    out: &'a mut Vec<u8>,
    /// Where the text ends.
    at: usize,
    non_finite: NonFinite,
}

impl Room<'_> {
    fn lists<T: Digits>(&mut self, shape: &[usize], values: &[T]) {
        match *shape {
            [] => values.iter().for_each(|&it| self.number(it, 0)),
            [_] => {
                self.byte(b'[');
                values.iter().for_each(|&it| self.number(it, 1));
                self.close(values.is_empty());
            }
            [size, ref inner @ ..] => {
                self.byte(b'[');
                let step = values.len().checked_div(size).unwrap_or(0);
                let mut rest = values;
                for _ in 0..size {
                    let (list, after) = rest.split_at(step);
                    rest = after;
                    self.lists(inner, list);
                    self.byte(b',');
                }
                self.close(size == 0);
            }
        }
    }

    /// Puts the bracket in the place of the last comma, if there is one.
    fn close(&mut self, empty: bool) {
        self.at -= usize::from(!empty);
        self.byte(b']');
    }

    #[inline(always)]
    fn byte(&mut self, byte: u8) {
        self.slot()[0] = byte;
        self.at += 1;
    }

    /// Writes a number and as many of the commas behind it as are told, 0 or 1.
    #[inline(always)]
    fn number<T: Digits>(&mut self, number: T, commas: usize) {
        let non_finite = self.non_finite;
        let slot = self.slot();
        let length = number.put(slot, non_finite);
        slot[length] = b',';
        self.at += length + commas;
    }

    #[inline(always)]
    fn slot(&mut self) -> &mut [u8; SLOT] {
        let end = self.at + SLOT;
        if self.out.len() < end {
            self.grow();
        }
        self.out[self.at..end].first_chunk_mut().expect("the slice is as long")
    }

    #[cold]
    fn grow(&mut self) {
        // Not all that is reserved at once, so that the zeros are still in the cache when they are written over.
        let room = self.out.capacity() - self.at;
        self.out.resize(self.at + room.clamp(SLOT, 4096), 0);
    }
}

macro_rules! floats {
    ($($type:ty, $typical:literal, $shortest:ident;)*) => {$(
        impl Digits for $type {
            const TYPICAL: usize = $typical;

            #[inline(always)]
            fn put(self, slot: &mut [u8; SLOT], non_finite: NonFinite) -> usize {
                if self.is_finite() {
                    return $shortest(slot, self);
                }
                let text = non_finite.text(self.into()).as_bytes();
                slot[..text.len()].copy_from_slice(text);
                text.len()
            }
        }
    )*};
}

floats! {
    f32, 11, shortest_f32;
    f64, 20, shortest_f64;
}

macro_rules! integers {
    ($($type:ty, $typical:literal;)*) => {$(
        impl Digits for $type {
            const TYPICAL: usize = $typical;

            #[inline(always)]
            fn put(self, slot: &mut [u8; SLOT], _: NonFinite) -> usize {
                #[allow(unused_comparisons, reason = "half of the types have a sign")]
                let negative = usize::from(self < 0);
                slot[0] = b'-';
                negative + put_integer(slot, negative, (self as i128).unsigned_abs() as u64)
            }
        }
    )*};
}

integers! {
    i8, 4;
    i16, 6;
    i32, 8;
    i64, 8;
    u16, 6;
    u32, 8;
    u64, 8;
}

impl Digits for u8 {
    const TYPICAL: usize = 4;

    #[inline(always)]
    fn put(self, slot: &mut [u8; SLOT], _: NonFinite) -> usize {
        let text = BYTES[usize::from(self)];
        slot[..4].copy_from_slice(&text);
        text[3].into()
    }
}

/// The digits of every byte, and how many they are.
static BYTES: [[u8; 4]; 256] = {
    let mut table = [[0; 4]; 256];
    let mut value = 0_usize;
    while value < 256 {
        let (hundreds, tens, ones) = (value / 100, value / 10 % 10, value % 10);
        let digits = [b'0' + hundreds as u8, b'0' + tens as u8, b'0' + ones as u8];
        table[value] = match value {
            0..10 => [digits[2], 0, 0, 1],
            10..100 => [digits[1], digits[2], 0, 2],
            _ => [digits[0], digits[1], digits[2], 3],
        };
        value += 1;
    }
    table
};

/// Writes an integer at `at`, which is 1 at most; returns its length.
#[inline(always)]
pub(super) fn put_integer(slot: &mut [u8; SLOT], at: usize, value: u64) -> usize {
    if value < 100_000_000 {
        let digits = word_of_digits(value);
        // The first digits are the lowest bytes; the last is kept even if it is zero.
        let zeros = (digits | 1 << 63).trailing_zeros() / 8 * 8;
        put_word(slot, at, (digits | u64::from_le_bytes(*b"00000000")) >> zeros);
        return 8 - zeros as usize / 8;
    }
    let mut buffer = itoa::Buffer::new();
    let text = buffer.format(value).as_bytes();
    slot[at..at + text.len()].copy_from_slice(text);
    text.len()
}

/// Returns the eight digits of an integer below 10^8, each in a byte, the first in the lowest.
#[inline(always)]
pub(super) fn word_of_digits(value: u64) -> u64 {
    // Fours, then pairs, then digits, all of a step at once. The quotients are by multiplication, and exact in these ranges.
    let high = value / 10_000;
    let fours = high | (value - 10_000 * high) << 32;
    let hundreds = ((fours * 10_486) >> 20) & 0x0000_007f_0000_007f;
    let pairs = hundreds | (fours - 100 * hundreds) << 16;
    let tens = ((pairs * 103) >> 10) & 0x000f_000f_000f_000f;
    tens | (pairs - 10 * tens) << 8
}

/// Writes eight bytes at `at`, which is less than 32.
#[inline(always)]
pub(super) fn put_word(slot: &mut [u8; SLOT], at: usize, word: u64) {
    // This does not change `at`, but tells the compiler that there is room.
    let at = at & 31;
    slot[at..at + 8].copy_from_slice(&word.to_le_bytes());
}
