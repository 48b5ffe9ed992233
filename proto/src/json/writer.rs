//! The push writer: each function appends one value; brackets and commas are the caller's.

/// What is written for numbers that JSON does not know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NonFinite {
    /// `null`.
    Null,
    /// The bare tokens `NaN`, `Infinity` and `-Infinity`.
    Tokens,
}

impl NonFinite {
    #[cold]
    pub(super) fn text(self, value: f64) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Tokens if value.is_nan() => "NaN",
            Self::Tokens if value < 0.0 => "-Infinity",
            Self::Tokens => "Infinity",
        }
    }
}

/// Appends the shortest text that reads back as the same double; it always has a point or an exponent.
#[inline]
pub fn push_f64(out: &mut Vec<u8>, value: f64, non_finite: NonFinite) {
    if value.is_finite() {
        out.extend_from_slice(zmij::Buffer::new().format_finite(value).as_bytes());
    } else {
        out.extend_from_slice(non_finite.text(value).as_bytes());
    }
}

/// Appends the shortest text that reads back as the same single; it always has a point or an exponent.
#[inline]
pub fn push_f32(out: &mut Vec<u8>, value: f32, non_finite: NonFinite) {
    if value.is_finite() {
        out.extend_from_slice(zmij::Buffer::new().format_finite(value).as_bytes());
    } else {
        out.extend_from_slice(non_finite.text(value.into()).as_bytes());
    }
}

/// Appends a signed integer.
#[inline]
pub fn push_i64(out: &mut Vec<u8>, value: i64) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

/// Appends an unsigned integer.
#[inline]
pub fn push_u64(out: &mut Vec<u8>, value: u64) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

/// Appends `true` or `false`.
#[inline]
pub fn push_bool(out: &mut Vec<u8>, value: bool) {
    out.extend_from_slice(if value { b"true" } else { b"false" });
}

/// Appends a string in its quotes. Only what must be is escaped; other characters stay UTF-8.
pub fn push_str(out: &mut Vec<u8>, text: &str) {
    let bytes = text.as_bytes();
    out.reserve(bytes.len() + 2);
    out.push(b'"');
    let mut plain = 0;
    for (at, &byte) in bytes.iter().enumerate() {
        if byte >= b' ' && byte != b'"' && byte != b'\\' {
            continue;
        }
        out.extend_from_slice(&bytes[plain..at]);
        plain = at + 1;
        push_escape(out, byte);
    }
    out.extend_from_slice(&bytes[plain..]);
    out.push(b'"');
}

fn push_escape(out: &mut Vec<u8>, byte: u8) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let short = match byte {
        b'"' | b'\\' => byte,
        b'\n' => b'n',
        b'\r' => b'r',
        b'\t' => b't',
        0x08 => b'b',
        0x0c => b'f',
        _ => {
            out.extend_from_slice(b"\\u00");
            out.push(HEX[usize::from(byte >> 4)]);
            out.push(HEX[usize::from(byte & 15)]);
            return;
        }
    };
    out.extend_from_slice(&[b'\\', short]);
}

/// Appends a list, each element by `push`.
pub fn push_list<T>(
    out: &mut Vec<u8>,
    items: impl IntoIterator<Item = T>,
    mut push: impl FnMut(&mut Vec<u8>, T),
) {
    out.push(b'[');
    for (index, item) in items.into_iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        push(out, item);
    }
    out.push(b']');
}
