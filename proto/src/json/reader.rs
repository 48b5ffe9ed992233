//! The pull reader: the caller asks for what it expects, the reader holds the grammar and the limits.

use std::borrow::Cow;

use super::number::{self, Fault, Scan};
use super::{ErrorKind, JsonError, Number};

/// What a text may cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// How deep arrays and objects may be nested; at most [`Limits::MAX_DEPTH`].
    pub depth: usize,
}

impl Limits {
    /// The deepest nesting that can be asked for: [`Reader::skip`] takes a stack frame a level.
    pub const MAX_DEPTH: usize = 512;
}

impl Default for Limits {
    fn default() -> Self {
        Self { depth: 64 }
    }
}

/// What kind of value comes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Kind {
    Null,
    Bool,
    Number,
    String,
    Array,
    Object,
}

/// Where [`Reader::numbers`] came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Run {
    /// The array is over, its bracket read. Otherwise [`Reader::next_element`] goes on with what is not a plain number.
    pub closed: bool,
    /// Every number of this run was written as an integer, so none lost anything by becoming a double.
    pub integers: bool,
}

/// Reads a JSON text. A clone is a bookmark: it costs a few words and reads on from the same place.
///
/// ```
/// # use weir_proto::json::{JsonError, Reader};
/// # fn main() -> Result<(), JsonError> {
/// let mut reader = Reader::new(br#"{"shape": [2, 3]}"#);
/// let mut shape = Vec::new();
/// reader.begin_object()?;
/// while let Some(key) = reader.next_key()? {
///     assert_eq!(key, "shape");
///     reader.begin_array()?;
///     while reader.next_element()? {
///         shape.push(reader.float()?);
///     }
/// }
/// reader.finish()?;
/// assert_eq!(shape, [2.0, 3.0]);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Reader<'a> {
    pub(super) text: &'a [u8],
    pub(super) at: usize,
    pub(super) depth: usize,
    pub(super) max_depth: usize,
    /// An array or object was begun and nothing was read of it yet, so no comma is due. One flag does for all levels:
    /// whatever ends inside a level leaves that level begun.
    pub(super) fresh: bool,
}

impl<'a> Reader<'a> {
    /// Creates a reader with the default limits.
    pub fn new(text: &'a [u8]) -> Self {
        Self::with_limits(text, Limits::default())
    }

    /// Creates a reader.
    pub fn with_limits(text: &'a [u8], limits: Limits) -> Self {
        Self { text, at: 0, depth: 0, max_depth: limits.depth.min(Limits::MAX_DEPTH), fresh: false }
    }

    /// Returns the byte the reader stands at; after [`Reader::peek`] that is the first byte of the value.
    pub fn offset(&self) -> usize {
        self.at
    }

    /// Creates an error about the place the reader stands at.
    pub fn expected(&self, wanted: &'static str) -> JsonError {
        JsonError::expected(self.text, self.at, wanted)
    }

    /// Tells what comes next, by its first byte. `NaN` and `Infinity` are numbers.
    ///
    /// # Errors
    /// When no value begins here.
    #[inline]
    pub fn peek(&mut self) -> Result<Kind, JsonError> {
        match self.next_byte() {
            Some(b'-' | b'0'..=b'9' | b'N' | b'I') => Ok(Kind::Number),
            Some(b'"') => Ok(Kind::String),
            Some(b'[') => Ok(Kind::Array),
            Some(b'{') => Ok(Kind::Object),
            Some(b't' | b'f') => Ok(Kind::Bool),
            Some(b'n') => Ok(Kind::Null),
            _ => Err(self.expected("a value")),
        }
    }

    /// Enters an array; [`Reader::next_element`] leads through it.
    ///
    /// # Errors
    /// When no array begins here or it is nested too deep.
    #[inline]
    pub fn begin_array(&mut self) -> Result<(), JsonError> {
        self.begin(b'[', "an array")
    }

    /// Goes to the next element of an array, over the comma. Returns false after the closing bracket.
    ///
    /// # Errors
    /// When neither an element nor the end follows.
    #[inline]
    pub fn next_element(&mut self) -> Result<bool, JsonError> {
        match (self.next_byte(), self.fresh) {
            (Some(b']'), _) => {
                self.end();
                return Ok(false);
            }
            (Some(b','), false) => {
                self.at += 1;
                // The value's reader says what is wrong with anything else.
                if self.next_byte() == Some(b']') {
                    return Err(self.expected("a value"));
                }
            }
            (_, false) => return Err(self.expected("`,` or `]`")),
            (_, true) => self.fresh = false,
        }
        Ok(true)
    }

    /// Enters an object; [`Reader::next_key`] leads through it.
    ///
    /// # Errors
    /// When no object begins here or it is nested too deep.
    #[inline]
    pub fn begin_object(&mut self) -> Result<(), JsonError> {
        self.begin(b'{', "an object")
    }

    /// Goes to the next value of an object, over the comma, its key and the colon. Returns `None` after the closing brace.
    /// A key may be met again: what that means is the caller's to say.
    ///
    /// # Errors
    /// When neither a key with its colon nor the end follows.
    #[inline]
    pub fn next_key(&mut self) -> Result<Option<Cow<'a, str>>, JsonError> {
        match (self.next_byte(), self.fresh) {
            (Some(b'}'), _) => {
                self.end();
                return Ok(None);
            }
            (Some(b','), false) => {
                self.at += 1;
                if self.next_byte() != Some(b'"') {
                    return Err(self.expected("a key"));
                }
            }
            (_, false) => return Err(self.expected("`,` or `}`")),
            (Some(b'"'), true) => self.fresh = false,
            (_, true) => return Err(self.expected("a key or `}`")),
        }
        let key = self.string()?;
        if self.next_byte() != Some(b':') {
            return Err(self.expected("`:`"));
        }
        self.at += 1;
        Ok(Some(key))
    }

    /// Reads a number.
    ///
    /// # Errors
    /// When there is none, or it is beyond the largest double.
    #[inline]
    pub fn number(&mut self) -> Result<Number, JsonError> {
        if let Some(token) = self.non_finite()? {
            return Ok(Number::Float(token));
        }
        let scan = self.scan()?;
        let value = scan.to_number(self.text).map_err(|kind| self.fail(self.at, kind))?;
        self.at = scan.end;
        Ok(value)
    }

    /// Reads a number as the nearest double.
    ///
    /// # Errors
    /// When there is none, or it is beyond the largest double.
    #[inline]
    pub fn float(&mut self) -> Result<f64, JsonError> {
        if let Some(token) = self.non_finite()? {
            return Ok(token);
        }
        let scan = self.scan()?;
        let value = scan.to_f64(self.text).map_err(|kind| self.fail(self.at, kind))?;
        self.at = scan.end;
        Ok(value)
    }

    /// Reads a number as the nearest single, which is not always that of the nearest double.
    ///
    /// # Errors
    /// When there is none, or it is beyond the largest single.
    pub fn float32(&mut self) -> Result<f32, JsonError> {
        if let Some(token) = self.non_finite()? {
            return Ok(token as f32);
        }
        let scan = self.scan()?;
        let value = scan.to_f32(self.text).map_err(|kind| self.fail(self.at, kind))?;
        self.at = scan.end;
        Ok(value)
    }

    /// Reads on in an array for as long as there are plain numbers, and the closing bracket when it follows.
    ///
    /// It stops, without an error and so that [`Reader::next_element`] goes on, before the first element that is something
    /// else, and before an integer beyond 2^53, which a double may not hold exactly.
    ///
    /// # Errors
    /// When a number or what separates numbers is malformed.
    pub fn numbers(&mut self, out: &mut Vec<f64>) -> Result<Run, JsonError> {
        self.each_number(|value| out.push(value))
    }

    /// [`Reader::numbers`] for a caller who keeps the numbers in another form.
    ///
    /// # Errors
    /// As [`Reader::numbers`].
    #[inline]
    pub fn each_number(&mut self, mut push: impl FnMut(f64)) -> Result<Run, JsonError> {
        let mut integers = true;
        loop {
            let before = self.at;
            if !self.reach_number()? {
                return Ok(Run { closed: before != self.at, integers });
            }
            if let Some(token) = self.non_finite()? {
                integers = false;
                self.fresh = false;
                push(token);
                continue;
            }
            let scan = self.scan()?;
            if !scan.is_exact_integer() {
                if scan.integral {
                    self.at = before;
                    return Ok(Run { closed: false, integers });
                }
                integers = false;
            }
            let value = scan.to_f64(self.text).map_err(|kind| self.fail(self.at, kind))?;
            self.at = scan.end;
            self.fresh = false;
            push(value);
        }
    }

    /// [`Reader::numbers`] for integers: stops before the first element that is not written as one or exceeds an `i64`.
    /// Returns whether the array is over.
    ///
    /// # Errors
    /// As [`Reader::numbers`].
    pub fn integers(&mut self, out: &mut Vec<i64>) -> Result<bool, JsonError> {
        loop {
            let before = self.at;
            if !self.reach_number()? {
                return Ok(before != self.at);
            }
            if let Some([b'N' | b'I', ..] | [b'-', b'I', ..]) = self.text.get(self.at..) {
                self.at = before;
                return Ok(false);
            }
            let scan = self.scan()?;
            let Some(value) = scan.to_i64() else {
                self.at = before;
                return Ok(false);
            };
            self.at = scan.end;
            self.fresh = false;
            out.push(value);
        }
    }

    /// Reads a string; it is borrowed from the text unless it holds escapes.
    ///
    /// # Errors
    /// When there is none, it does not end, or it holds a control character, a bad escape or bytes that are not UTF-8.
    #[inline]
    pub fn string(&mut self) -> Result<Cow<'a, str>, JsonError> {
        if self.next_byte() != Some(b'"') {
            return Err(self.expected("a string"));
        }
        let start = self.at + 1;
        let end = plain_end(self.text, start);
        if self.text.get(end) == Some(&b'"') {
            let plain = self.utf8(start, end)?;
            self.at = end + 1;
            return Ok(Cow::Borrowed(plain));
        }
        self.escaped(start, end).map(Cow::Owned)
    }

    /// Reads `true` or `false`.
    ///
    /// # Errors
    /// When neither stands here.
    pub fn boolean(&mut self) -> Result<bool, JsonError> {
        match self.next_byte() {
            Some(b't') => self.word("true", "`true`").map(|()| true),
            Some(b'f') => self.word("false", "`false`").map(|()| false),
            _ => Err(self.expected("`true` or `false`")),
        }
    }

    /// Reads `null`.
    ///
    /// # Errors
    /// When it does not stand here.
    pub fn null(&mut self) -> Result<(), JsonError> {
        self.next_byte();
        self.word("null", "`null`")
    }

    /// Reads any value and forgets it. It is checked as if it were wanted.
    ///
    /// # Errors
    /// When it is malformed or nested too deep.
    pub fn skip(&mut self) -> Result<(), JsonError> {
        match self.peek()? {
            Kind::Null => self.null(),
            Kind::Bool => self.boolean().map(|_| ()),
            Kind::Number => self.float().map(|_| ()),
            Kind::String => self.string().map(|_| ()),
            // The recursion ends at the limit on depth.
            Kind::Array => {
                self.begin_array()?;
                while !self.each_number(|_| ())?.closed {
                    if !self.next_element()? {
                        break;
                    }
                    self.skip()?;
                }
                Ok(())
            }
            Kind::Object => {
                self.begin_object()?;
                while self.next_key()?.is_some() {
                    self.skip()?;
                }
                Ok(())
            }
        }
    }

    /// Makes sure that nothing but white space follows.
    ///
    /// # Errors
    /// When something does.
    pub fn finish(&mut self) -> Result<(), JsonError> {
        match self.next_byte() {
            None => Ok(()),
            Some(_) => Err(self.expected("the end of the text")),
        }
    }

    /// Skips white space and returns the byte after it.
    #[inline(always)]
    fn next_byte(&mut self) -> Option<u8> {
        loop {
            match self.text.get(self.at) {
                // One comparison for the usual case that there is none.
                Some(&byte) if byte > b' ' => return Some(byte),
                Some(b' ' | b'\n' | b'\t' | b'\r') => self.at += 1,
                other => return other.copied(),
            }
        }
    }

    #[inline]
    fn begin(&mut self, bracket: u8, wanted: &'static str) -> Result<(), JsonError> {
        if self.next_byte() != Some(bracket) {
            return Err(self.expected(wanted));
        }
        if self.depth >= self.max_depth {
            return Err(self.fail(self.at, ErrorKind::TooDeep(self.max_depth)));
        }
        self.at += 1;
        self.depth += 1;
        self.fresh = true;
        Ok(())
    }

    #[inline]
    fn end(&mut self) {
        self.at += 1;
        self.depth = self.depth.saturating_sub(1);
        self.fresh = false;
    }

    /// Goes to the next element of an array if it may be a number. Otherwise either the bracket was read, or nothing was.
    #[inline(always)]
    fn reach_number(&mut self) -> Result<bool, JsonError> {
        let before = self.at;
        let mut next = self.next_byte();
        if !self.fresh {
            match next {
                Some(b',') => {
                    self.at += 1;
                    next = self.next_byte();
                    if next == Some(b']') {
                        return Err(self.expected("a value"));
                    }
                }
                Some(b']') => {}
                _ => return Err(self.expected("`,` or `]`")),
            }
        }
        match next {
            Some(b'0'..=b'9' | b'-' | b'N' | b'I') => Ok(true),
            Some(b']') => {
                self.end();
                Ok(false)
            }
            _ => {
                self.at = before;
                Ok(false)
            }
        }
    }

    #[inline(always)]
    fn scan(&self) -> Result<Scan, JsonError> {
        number::scan(self.text, self.at).map_err(|fault| self.malformed(&fault))
    }

    #[cold]
    fn malformed(&self, fault: &Fault) -> JsonError {
        match *fault {
            Fault::NoDigit(at) if at == self.at => JsonError::expected(self.text, at, "a number"),
            Fault::NoDigit(at) => JsonError::expected(self.text, at, "a digit"),
            Fault::LeadingZero(at) => self.fail(at, ErrorKind::LeadingZero),
        }
    }

    /// Reads one of the tokens that the grammar does not know, if it stands here.
    #[inline(always)]
    fn non_finite(&mut self) -> Result<Option<f64>, JsonError> {
        match self.next_byte() {
            Some(b'N') => self.word("NaN", "`NaN`").map(|()| Some(f64::NAN)),
            Some(b'I') => self.word("Infinity", "`Infinity`").map(|()| Some(f64::INFINITY)),
            Some(b'-') if self.text.get(self.at + 1) == Some(&b'I') => {
                self.word("-Infinity", "`-Infinity`").map(|()| Some(f64::NEG_INFINITY))
            }
            _ => Ok(None),
        }
    }

    /// Reads that word; an error stands at the first byte that differs.
    fn word(&mut self, word: &str, wanted: &'static str) -> Result<(), JsonError> {
        let rest = &self.text[self.at..];
        let same = rest.iter().zip(word.as_bytes()).take_while(|(met, want)| met == want).count();
        if same < word.len() {
            return Err(JsonError::expected(self.text, self.at + same, wanted));
        }
        self.at += same;
        Ok(())
    }

    fn utf8(&self, start: usize, end: usize) -> Result<&'a str, JsonError> {
        std::str::from_utf8(&self.text[start..end])
            .map_err(|error| self.fail(start + error.valid_up_to(), ErrorKind::NotUtf8))
    }

    /// Reads the rest of a string that holds an escape; `start` is after its quote, `end` at the first thing not plain.
    #[cold]
    fn escaped(&mut self, mut start: usize, mut end: usize) -> Result<String, JsonError> {
        let mut out = String::new();
        loop {
            out.push_str(self.utf8(start, end)?);
            match self.text.get(end) {
                Some(b'"') => {
                    self.at = end + 1;
                    return Ok(out);
                }
                Some(b'\\') => start = self.escape(end + 1, &mut out)?,
                Some(&control) => return Err(self.fail(end, ErrorKind::Control(control))),
                None => return Err(JsonError::expected(self.text, end, "the closing quote of a string")),
            }
            end = plain_end(self.text, start);
        }
    }

    /// Reads one escape, without its backslash. Returns the byte after it.
    fn escape(&self, at: usize, out: &mut String) -> Result<usize, JsonError> {
        let plain = match self.text.get(at) {
            Some(&same @ (b'"' | b'\\' | b'/')) => char::from(same),
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => return self.unicode(at + 1, out),
            _ => return Err(JsonError::expected(self.text, at, "one of `\"\\/bfnrtu` after a backslash")),
        };
        out.push(plain);
        Ok(at + 1)
    }

    /// Reads the digits of `\u`, and those of the other half when they are one of a surrogate pair.
    fn unicode(&self, at: usize, out: &mut String) -> Result<usize, JsonError> {
        let first = self.four_hex(at)?;
        let lone = || self.fail(at - 2, ErrorKind::LoneSurrogate);
        let (code, end) = match first {
            0xd800..=0xdbff if self.text.get(at + 4..at + 6) == Some(b"\\u") => {
                match self.four_hex(at + 6)? {
                    second @ 0xdc00..=0xdfff => {
                        (0x1_0000 + ((first - 0xd800) << 10) + (second - 0xdc00), at + 10)
                    }
                    _ => return Err(lone()),
                }
            }
            _ => (first, at + 4),
        };
        // Only a surrogate on its own is no character.
        out.push(char::from_u32(code).ok_or_else(lone)?);
        Ok(end)
    }

    fn four_hex(&self, at: usize) -> Result<u32, JsonError> {
        (at..at + 4).try_fold(0, |code, at| {
            let digit = self.text.get(at).and_then(|&byte| char::from(byte).to_digit(16));
            let digit = digit.ok_or_else(|| JsonError::expected(self.text, at, "four hexadecimal digits"))?;
            Ok(code << 4 | digit)
        })
    }

    #[cold]
    fn fail(&self, at: usize, kind: ErrorKind) -> JsonError {
        JsonError::new(self.text, at, kind)
    }
}

/// Returns the first byte from `at` on that is a quote, a backslash or a control character, or the text's length.
#[inline]
fn plain_end(text: &[u8], mut at: usize) -> usize {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const TOPS: u64 = ONES << 7;
    // Eight bytes a step: images come as strings of base64. `x - 1 & !x` has a byte's top bit set where x is zero, and
    // perhaps above such a byte, which is why the loop below looks again.
    let zero = |x: u64| x.wrapping_sub(ONES) & !x;
    while let Some(eight) = text.get(at..).and_then(|rest| rest.first_chunk::<8>()) {
        let word = u64::from_le_bytes(*eight);
        let quote = zero(word ^ (ONES * u64::from(b'"')));
        let backslash = zero(word ^ (ONES * u64::from(b'\\')));
        let control = word.wrapping_sub(ONES * 0x20) & !word;
        if (quote | backslash | control) & TOPS != 0 {
            break;
        }
        at += 8;
    }
    while text.get(at).is_some_and(|&byte| byte >= b' ' && byte != b'"' && byte != b'\\') {
        at += 1;
    }
    at
}
