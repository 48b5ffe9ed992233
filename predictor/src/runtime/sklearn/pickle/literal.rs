//! The opcodes that push one value made of their own bytes: numbers, strings, empty containers.

use std::borrow::Cow;

use super::super::refusal::Refusal;
use super::cursor::Cursor;
use super::opcode as op;

/// What a literal opcode pushes.
#[derive(Debug)]
pub(super) enum Literal<'a> {
    Bool(bool),
    Int(i64),
    BigInt,
    Float(f64),
    Text(Cow<'a, str>),
    Bytes(Cow<'a, [u8]>),
    /// Empty, as are the next ones.
    List,
    Dict,
    Set,
}

/// Reads the value of a literal opcode, or answers `None` for an opcode that is none.
pub(super) fn read<'a>(opcode: u8, cursor: &mut Cursor<'a>) -> Result<Option<Literal<'a>>, Refusal> {
    Ok(Some(match opcode {
        op::INT => int(cursor)?,
        op::BININT => Literal::Int(i32::from_le_bytes(cursor.array()?).into()),
        op::BININT1 => Literal::Int(i64::from(cursor.array::<1>()?[0])),
        op::BININT2 => Literal::Int(u16::from_le_bytes(cursor.array()?).into()),
        op::LONG => decimal(cursor)?,
        op::LONG1 => long(cursor.counted(1)?),
        op::LONG4 => long(cursor.counted(4)?),
        op::FLOAT => {
            let line = cursor.text_line()?;
            Literal::Float(
                line.trim().parse().map_err(|_| cursor.complain(format!("`{line}` is not a number")))?,
            )
        }
        op::BINFLOAT => Literal::Float(f64::from_be_bytes(cursor.array()?)),
        op::STRING => quoted(cursor)?,
        op::BINSTRING => python2(cursor.counted(4)?),
        op::SHORT_BINSTRING => python2(cursor.counted(1)?),
        op::UNICODE => Literal::Text(raw_unicode_escape(cursor)?),
        op::BINUNICODE => text(cursor, 4)?,
        op::SHORT_BINUNICODE => text(cursor, 1)?,
        op::BINUNICODE8 => text(cursor, 8)?,
        op::BINBYTES => Literal::Bytes(Cow::Borrowed(cursor.counted(4)?)),
        op::SHORT_BINBYTES => Literal::Bytes(Cow::Borrowed(cursor.counted(1)?)),
        op::BINBYTES8 | op::BYTEARRAY8 => Literal::Bytes(Cow::Borrowed(cursor.counted(8)?)),
        op::EMPTY_LIST => Literal::List,
        op::EMPTY_DICT => Literal::Dict,
        op::EMPTY_SET => Literal::Set,
        _ => return Ok(None),
    }))
}

/// `I01` and `I00` are how protocol 0 writes booleans.
fn int<'a>(cursor: &mut Cursor<'a>) -> Result<Literal<'a>, Refusal> {
    match cursor.text_line()? {
        "00" => Ok(Literal::Bool(false)),
        "01" => Ok(Literal::Bool(true)),
        line => digits(line, cursor),
    }
}

fn decimal<'a>(cursor: &mut Cursor<'a>) -> Result<Literal<'a>, Refusal> {
    let line = cursor.text_line()?;
    digits(line.strip_suffix('L').unwrap_or(line), cursor)
}

fn digits<'a>(line: &str, cursor: &Cursor<'a>) -> Result<Literal<'a>, Refusal> {
    let line = line.trim();
    if let Ok(value) = line.parse() {
        return Ok(Literal::Int(value));
    }
    let digits = line.strip_prefix('-').unwrap_or(line);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(cursor.complain(format!("`{line}` is not an integer")));
    }
    Ok(Literal::BigInt)
}

/// Little-endian two's complement of any length.
fn long<'a>(bytes: &[u8]) -> Literal<'a> {
    if bytes.len() > 8 {
        return Literal::BigInt;
    }
    let sign = if bytes.last().is_some_and(|byte| byte & 0x80 != 0) { 0xff } else { 0 };
    let mut wide = [sign; 8];
    wide[..bytes.len()].copy_from_slice(bytes);
    Literal::Int(i64::from_le_bytes(wide))
}

fn text<'a>(cursor: &mut Cursor<'a>, width: usize) -> Result<Literal<'a>, Refusal> {
    let bytes = cursor.counted(width)?;
    let text = std::str::from_utf8(bytes).map_err(|_| cursor.complain("the string before is not UTF-8"))?;
    Ok(Literal::Text(Cow::Borrowed(text)))
}

/// A `str` of Python 2 is text to some and bytes to others. Where it is ASCII nobody can tell the difference.
fn python2(bytes: &[u8]) -> Literal<'_> {
    match std::str::from_utf8(bytes) {
        Ok(text) if text.is_ascii() => Literal::Text(Cow::Borrowed(text)),
        _ => Literal::Bytes(Cow::Borrowed(bytes)),
    }
}

/// A string as Python's `repr` writes it, between quotes and with escapes.
fn quoted<'a>(cursor: &mut Cursor<'a>) -> Result<Literal<'a>, Refusal> {
    let line = cursor.line()?;
    let inner = match line {
        [b'\'', inner @ .., b'\''] | [b'"', inner @ .., b'"'] => inner,
        _ => return Err(cursor.complain("the string before has no quotes around it")),
    };
    if !inner.contains(&b'\\') {
        return Ok(python2(inner));
    }
    let bytes = unescape(inner).ok_or_else(|| cursor.complain("the string before has an unknown escape"))?;
    Ok(match String::from_utf8(bytes) {
        Ok(text) if text.is_ascii() => Literal::Text(Cow::Owned(text)),
        Ok(text) => Literal::Bytes(Cow::Owned(text.into_bytes())),
        Err(other) => Literal::Bytes(Cow::Owned(other.into_bytes())),
    })
}

fn unescape(inner: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(inner.len());
    let mut rest = inner;
    while let [first, tail @ ..] = rest {
        rest = tail;
        if *first != b'\\' {
            out.push(*first);
            continue;
        }
        let [kind, tail @ ..] = rest else { return None };
        rest = tail;
        out.push(match kind {
            b'\\' | b'\'' | b'"' => *kind,
            b'n' => b'\n',
            b't' => b'\t',
            b'r' => b'\r',
            b'a' => 7,
            b'b' => 8,
            b'f' => 12,
            b'v' => 11,
            b'0'..=b'7' => {
                let more = rest.iter().take(2).take_while(|byte| matches!(byte, b'0'..=b'7')).count();
                let value = rest[..more]
                    .iter()
                    .fold(u32::from(kind - b'0'), |value, byte| value * 8 + u32::from(byte - b'0'));
                rest = &rest[more..];
                u8::try_from(value).ok()?
            }
            b'x' => {
                let value = u8::try_from(hexadecimal(rest.get(..2)?)?).ok()?;
                rest = &rest[2..];
                value
            }
            _ => return None,
        });
    }
    Some(out)
}

/// Latin-1 with `\uXXXX` and `\UXXXXXXXX`, as protocol 0 writes text.
fn raw_unicode_escape<'a>(cursor: &mut Cursor<'a>) -> Result<Cow<'a, str>, Refusal> {
    let mut rest = cursor.line()?;
    if let Ok(text) = std::str::from_utf8(rest)
        && text.is_ascii()
        && !rest.contains(&b'\\')
    {
        return Ok(Cow::Borrowed(text));
    }
    let mut out = String::with_capacity(rest.len());
    while let [first, tail @ ..] = rest {
        let width = match rest {
            [b'\\', b'u', ..] => 4,
            [b'\\', b'U', ..] => 8,
            _ => {
                out.push(char::from(*first));
                rest = tail;
                continue;
            }
        };
        let escaped = rest.get(2..2 + width).and_then(hexadecimal).and_then(char::from_u32);
        out.push(escaped.ok_or_else(|| cursor.complain("the text before has an unknown escape"))?);
        rest = &rest[2 + width..];
    }
    Ok(Cow::Owned(out))
}

fn hexadecimal(digits: &[u8]) -> Option<u32> {
    digits.iter().try_fold(0_u32, |value, &digit| Some(value << 4 | char::from(digit).to_digit(16)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(opcode: u8, bytes: &[u8], want: &str) {
        let mut cursor = Cursor::new(bytes);
        let got = read(opcode, &mut cursor).map(|node| format!("{:?}", node.unwrap()));
        assert_eq!(got.unwrap_or_else(|refusal| format!("{refusal:?}")), want, "{}", bytes.escape_ascii());
    }

    #[test]
    fn literals_of_every_protocol() {
        check(op::INT, b"-12\n", "Int(-12)");
        check(op::INT, b"01\n", "Bool(true)");
        check(op::LONG, b"123456789012345678901234567890L\n", "BigInt");
        check(op::LONG, b"12x\n", "Malformed(\"byte 4: `12x` is not an integer\")");
        check(op::LONG1, b"\x02\x00\x80", "Int(-32768)");
        check(op::LONG1, b"\x00", "Int(0)");
        check(op::FLOAT, b"-inf\n", "Float(-inf)");
        check(op::BINFLOAT, b"\x3f\xf8\0\0\0\0\0\0", "Float(1.5)");
        check(op::STRING, b"'a\\x41\\n\\101\\\\'\n", r#"Text("aA\nA\\")"#);
        check(op::STRING, b"'\\xff'\n", "Bytes([255])");
        check(op::UNICODE, b"\\u20ac\xe9\\U0001f600\n", "Text(\"\u{20ac}\u{e9}\u{1f600}\")");
        check(
            op::BINUNICODE,
            b"\x05\0\0\0ab",
            "Malformed(\"byte 4: 5 bytes are expected here and 2 are left; is the file cut short\")",
        );
        check(
            op::BINUNICODE8,
            b"\xff\xff\xff\xff\xff\xff\xff\xff",
            "Malformed(\"byte 8: 18446744073709551615 bytes are expected here and 0 are left; is the file cut short\")",
        );
    }
}
