//! Universal Binary JSON (draft 12), as far as XGBoost writes it: every value a marker and its bytes, integers big-endian,
//! arrays of numbers typed and counted. Objects with a count, which XGBoost never writes, are refused.

use std::borrow::Cow;

use super::Fault;
use super::source::Source;

/// Deeper than any model is; a bound on the recursion of [`Reader::skip`].
const MAX_DEPTH: usize = 64;

/// Reads a document by pulling.
#[derive(Clone)]
pub(super) struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    /// The arrays and objects that were begun.
    open: Vec<Open>,
}

#[derive(Clone, Copy)]
enum Open {
    Object,
    /// An array up to its bracket.
    Array,
    /// An array of which so many elements are left.
    Counted(usize),
    /// The same, of numbers that go without their marker.
    Typed(u8, usize),
}

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0, open: Vec::new() }
    }

    #[cold]
    fn expected<T>(&self, at: usize, wanted: &str) -> Result<T, Fault> {
        Err(Fault::Malformed(match self.bytes.get(at) {
            None => format!("byte {at}: expected {wanted}, met the end of the file"),
            Some(byte) => format!("byte {at}: expected {wanted}, met `{}`", byte.escape_ascii()),
        }))
    }

    /// Returns the next byte and steps over it.
    fn byte(&mut self, wanted: &str) -> Result<u8, Fault> {
        match self.bytes.get(self.at) {
            Some(&byte) => {
                self.at += 1;
                Ok(byte)
            }
            None => self.expected(self.at, wanted),
        }
    }

    /// Returns so many bytes and steps over them.
    fn take(&mut self, count: usize, what: &str) -> Result<&'a [u8], Fault> {
        match self.at.checked_add(count).and_then(|end| self.bytes.get(self.at..end)) {
            Some(taken) => {
                self.at += count;
                Ok(taken)
            }
            None => Err(Fault::Malformed(format!(
                "byte {}: {what} of {count} bytes runs past the end of the file at {}",
                self.at,
                self.bytes.len()
            ))),
        }
    }

    /// Returns the marker of the next value, which inside a typed array is not written again.
    fn marker(&mut self, wanted: &str) -> Result<u8, Fault> {
        match self.open.last() {
            Some(&Open::Typed(marker, _)) => Ok(marker),
            _ => self.byte(wanted),
        }
    }

    /// Reads the bytes of an integer, or returns `None` and reads nothing when the marker is not one's.
    fn integer_of(&mut self, marker: u8) -> Result<Option<i64>, Fault> {
        Ok(Some(match marker {
            b'i' => i8::from_be_bytes(self.array()?).into(),
            b'U' => u8::from_be_bytes(self.array()?).into(),
            b'I' => i16::from_be_bytes(self.array()?).into(),
            b'l' => i32::from_be_bytes(self.array()?).into(),
            b'L' => i64::from_be_bytes(self.array()?),
            _ => return Ok(None),
        }))
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Fault> {
        let at = self.at;
        let taken = self.take(N, "a number")?;
        taken.try_into().or_else(|_| self.expected(at, "a number"))
    }

    /// Reads a count or a length: an integer that is not negative.
    fn length(&mut self) -> Result<usize, Fault> {
        let at = self.at;
        let marker = self.byte("a length")?;
        let length = self.integer_of(marker)?.and_then(|length| usize::try_from(length).ok());
        length.map_or_else(|| self.expected(at, "a length"), Ok)
    }

    /// Reads the characters of a string or a key.
    fn text(&mut self) -> Result<Cow<'a, str>, Fault> {
        let at = self.at;
        let length = self.length()?;
        let text = self.take(length, "a string")?;
        std::str::from_utf8(text).map(Cow::Borrowed).or_else(|_| self.expected(at, "a string of UTF-8"))
    }

    /// Enters what began at that byte.
    fn begin(&mut self, at: usize, open: Open) -> Result<(), Fault> {
        if self.open.len() >= MAX_DEPTH {
            return Err(Fault::Malformed(format!(
                "byte {at}: arrays and objects are nested deeper than {MAX_DEPTH}"
            )));
        }
        self.open.push(open);
        Ok(())
    }

    /// Reads what may stand between an array's bracket and its elements. A count is believed only when the bytes left
    /// could hold so many elements.
    fn array_head(&mut self) -> Result<Open, Fault> {
        let start = self.at;
        let mut size = 1;
        let mut marker = None;
        if self.bytes.get(self.at) == Some(&b'$') {
            self.at += 1;
            let typed = self.byte("the type of an array")?;
            size = match typed {
                b'i' | b'U' => 1,
                b'I' => 2,
                b'l' | b'd' => 4,
                b'L' | b'D' => 8,
                _ => return self.expected(self.at - 1, "a type of number"),
            };
            marker = Some(typed);
        }
        if self.bytes.get(self.at) != Some(&b'#') {
            return if marker.is_some() { self.expected(self.at, "`#`") } else { Ok(Open::Array) };
        }
        self.at += 1;
        let count = self.length()?;
        if count.checked_mul(size).is_none_or(|length| length > self.bytes.len() - self.at) {
            let left = self.bytes.len() - self.at;
            return Err(Fault::Malformed(format!(
                "byte {start}: an array of {count} elements, but {left} bytes are left"
            )));
        }
        Ok(marker.map_or(Open::Counted(count), |marker| Open::Typed(marker, count)))
    }

    /// Reads a whole array of numbers with the functions that make one of a value and of a typed array's bytes.
    fn numbers<T>(
        &mut self,
        one: fn(&mut Self) -> Result<T, Fault>,
        many: fn(u8, &[u8]) -> Option<Vec<T>>,
    ) -> Result<Vec<T>, Fault> {
        self.begin_array()?;
        if let Some(&Open::Typed(marker, count)) = self.open.last() {
            let size = match marker {
                b'i' | b'U' => 1,
                b'I' => 2,
                b'l' | b'd' => 4,
                _ => 8,
            };
            let at = self.at;
            let bytes = self.take(count.saturating_mul(size), "an array")?;
            self.open.pop();
            return many(marker, bytes).map_or_else(|| self.expected(at, "integers of 32 bits"), Ok);
        }
        let counted = match self.open.last() {
            // No more than there are bytes left.
            Some(&Open::Counted(count)) => count,
            _ => 0,
        };
        let mut out = Vec::with_capacity(counted);
        while self.next_element()? {
            out.push(one(self)?);
        }
        Ok(out)
    }

    fn float(&mut self) -> Result<f32, Fault> {
        let at = self.at;
        let marker = self.marker("a number")?;
        match marker {
            b'd' => Ok(f32::from_be_bytes(self.array()?)),
            b'D' => Ok(f64::from_be_bytes(self.array()?) as f32),
            _ => match self.integer_of(marker)? {
                Some(integer) => Ok(integer as f32),
                None => self.expected(at, "a number"),
            },
        }
    }

    fn integer(&mut self) -> Result<i32, Fault> {
        let at = self.at;
        let marker = self.marker("an integer")?;
        match marker {
            b'T' => Ok(1),
            b'F' => Ok(0),
            _ => {
                let value = self.integer_of(marker)?.and_then(|it| i32::try_from(it).ok());
                value.map_or_else(|| self.expected(at, "an integer of 32 bits"), Ok)
            }
        }
    }
}

/// Splits the bytes of a typed array into its numbers.
fn split<const N: usize, T>(bytes: &[u8], number: impl Fn([u8; N]) -> T) -> Vec<T> {
    bytes.as_chunks::<N>().0.iter().map(|&chunk| number(chunk)).collect()
}

fn floats(marker: u8, bytes: &[u8]) -> Option<Vec<f32>> {
    Some(match marker {
        b'd' => split(bytes, f32::from_be_bytes),
        b'D' => split(bytes, |it| f64::from_be_bytes(it) as f32),
        b'L' => split(bytes, |it| i64::from_be_bytes(it) as f32),
        _ => integers(marker, bytes)?.into_iter().map(|it| it as f32).collect(),
    })
}

fn integers(marker: u8, bytes: &[u8]) -> Option<Vec<i32>> {
    Some(match marker {
        b'i' => split(bytes, |it| i8::from_be_bytes(it).into()),
        b'U' => split(bytes, |it| u8::from_be_bytes(it).into()),
        b'I' => split(bytes, |it| i16::from_be_bytes(it).into()),
        b'l' => split(bytes, i32::from_be_bytes),
        b'L' => {
            let (chunks, _) = bytes.as_chunks();
            return chunks.iter().map(|&it| i32::try_from(i64::from_be_bytes(it)).ok()).collect();
        }
        _ => return None,
    })
}

impl<'a> Source<'a> for Reader<'a> {
    fn begin_object(&mut self) -> Result<(), Fault> {
        let at = self.at;
        if self.marker("an object")? != b'{' {
            return self.expected(at, "an object");
        }
        self.begin(at, Open::Object)
    }

    fn next_key(&mut self) -> Result<Option<Cow<'a, str>>, Fault> {
        if self.bytes.get(self.at) == Some(&b'}') {
            self.at += 1;
            self.open.pop();
            return Ok(None);
        }
        self.text().map(Some)
    }

    fn begin_array(&mut self) -> Result<(), Fault> {
        let at = self.at;
        if self.marker("an array")? != b'[' {
            return self.expected(at, "an array");
        }
        let open = self.array_head()?;
        self.begin(at, open)
    }

    fn next_element(&mut self) -> Result<bool, Fault> {
        let more = match self.open.last_mut() {
            Some(Open::Counted(left) | Open::Typed(_, left)) => {
                let more = *left > 0;
                *left = left.saturating_sub(1);
                more
            }
            Some(Open::Array | Open::Object) | None => {
                let more = self.bytes.get(self.at) != Some(&b']');
                self.at += usize::from(!more);
                more
            }
        };
        if !more {
            self.open.pop();
        }
        Ok(more)
    }

    fn string(&mut self) -> Result<Cow<'a, str>, Fault> {
        let at = self.at;
        if self.marker("a string")? != b'S' {
            return self.expected(at, "a string");
        }
        self.text()
    }

    fn floats(&mut self) -> Result<Vec<f32>, Fault> {
        self.numbers(Self::float, floats)
    }

    fn integers(&mut self) -> Result<Vec<i32>, Fault> {
        self.numbers(Self::integer, integers)
    }

    fn skip(&mut self) -> Result<(), Fault> {
        let at = self.at;
        let marker = self.marker("a value")?;
        match marker {
            b'Z' | b'T' | b'F' => Ok(()),
            b'C' => self.take(1, "a character").map(|_| ()),
            b'd' => self.take(4, "a number").map(|_| ()),
            b'D' => self.take(8, "a number").map(|_| ()),
            b'S' => self.text().map(|_| ()),
            // The recursion ends at the limit on depth.
            b'{' => {
                self.begin(at, Open::Object)?;
                while self.next_key()?.is_some() {
                    self.skip()?;
                }
                Ok(())
            }
            b'[' => {
                let open = self.array_head()?;
                self.begin(at, open)?;
                while self.next_element()? {
                    self.skip()?;
                }
                Ok(())
            }
            _ => match self.integer_of(marker)? {
                Some(_) => Ok(()),
                None => self.expected(at, "a value"),
            },
        }
    }

    fn finish(&mut self) -> Result<(), Fault> {
        match self.bytes.get(self.at) {
            None => Ok(()),
            Some(_) => self.expected(self.at, "the end of the file"),
        }
    }
}
