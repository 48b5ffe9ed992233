//! Reads protobuf's wire format: a message is a row of fields, each a number and a value. What is not asked for is passed over
//! where it lies, so nothing is allocated for it, and nested messages are read only as deep as the caller asks.

/// A value of a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Value<'a> {
    /// A whole number or a truth.
    Number(u64),
    /// Text, bytes or a message.
    Bytes(&'a [u8]),
    /// Eight or four bytes, the bits of a number.
    Fixed(u64),
}

/// The fields of a message, in the order they are written.
pub(crate) struct Fields<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Fields<'a> {
    pub(crate) const fn of(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// Returns the next field's number and value, or `None` at the end.
    ///
    /// # Errors
    /// What is no protobuf, with the byte within this message.
    pub(crate) fn next(&mut self) -> Result<Option<(u64, Value<'a>)>, String> {
        if self.at >= self.bytes.len() {
            return Ok(None);
        }
        let start = self.at;
        let key = self.number()?;
        let value = match key & 7 {
            0 => Value::Number(self.number()?),
            1 => Value::Fixed(little_endian(self.take(8)?)),
            2 => {
                let length = self.number()?;
                Value::Bytes(self.take(length)?)
            }
            5 => Value::Fixed(little_endian(self.take(4)?)),
            kind => return Err(format!("a field of the unknown kind {kind} at byte {start}")),
        };
        match key >> 3 {
            0 => Err(format!("a field of the number 0 at byte {start}")),
            field => Ok(Some((field, value))),
        }
    }

    fn take(&mut self, length: u64) -> Result<&'a [u8], String> {
        let end = usize::try_from(length).ok().and_then(|it| self.at.checked_add(it));
        let taken = end.and_then(|end| self.bytes.get(self.at..end));
        let taken = taken.ok_or_else(|| {
            format!("a value of {length} bytes at byte {} runs past the end at {}", self.at, self.bytes.len())
        })?;
        self.at += taken.len();
        Ok(taken)
    }

    fn number(&mut self) -> Result<u64, String> {
        let start = self.at;
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte =
                *self.bytes.get(self.at).ok_or_else(|| format!("a number is cut off at byte {start}"))?;
            self.at += 1;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(format!("a number of more than ten bytes at byte {start}"))
    }
}

fn little_endian(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |bits, &byte| bits << 8 | u64::from(byte))
}

/// Whole numbers written one after another.
pub(crate) fn packed(bytes: &[u8]) -> impl Iterator<Item = Result<u64, String>> + '_ {
    let mut fields = Fields::of(bytes);
    std::iter::from_fn(move || (fields.at < bytes.len()).then(|| fields.number()))
}

/// Reads text.
pub(crate) fn text(bytes: &[u8], what: &str) -> Result<String, String> {
    const LONGEST: usize = 1 << 12;
    if bytes.len() > LONGEST {
        return Err(format!("{what} has {} bytes, expected {LONGEST} at most", bytes.len()));
    }
    let text = std::str::from_utf8(bytes).map_err(|_| format!("{what} is no text"))?;
    Ok(text.to_owned())
}
