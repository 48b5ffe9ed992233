//! The core schema of YAML 1.2 (section 10.3 of its specification): which kind of value a plain scalar is.

use super::Value;

/// Returns the value of a scalar that is written without quotes and without a tag.
pub(super) fn resolve(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Value::Null,
        "true" | "True" | "TRUE" => Value::Bool(true),
        "false" | "False" | "FALSE" => Value::Bool(false),
        _ => match number(text) {
            Some(value) => value,
            None => Value::String(text.to_owned()),
        },
    }
}

fn number(text: &str) -> Option<Value> {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    if !unsigned.starts_with(|first: char| first.is_ascii_digit() || first == '.') {
        return None;
    }
    match unsigned {
        ".inf" | ".Inf" | ".INF" => {
            let sign = if text.starts_with('-') { -1.0 } else { 1.0 };
            return Some(Value::Float(sign * f64::INFINITY));
        }
        ".nan" | ".NaN" | ".NAN" => return (text == unsigned).then_some(Value::Float(f64::NAN)),
        _ => {}
    }
    // The schema gives octal and hexadecimal numbers no sign.
    for (prefix, radix) in [("0o", 8), ("0x", 16)] {
        if let Some(digits) = text.strip_prefix(prefix) {
            let plain = digits.chars().all(|it| it.is_digit(radix));
            return i64::from_str_radix(digits, radix).ok().filter(|_| plain).map(Value::Int);
        }
    }
    // A whole number too large for an integer is the nearest other number, as in JSON.
    if let Ok(whole) = text.parse() {
        return Some(Value::Int(whole));
    }
    let decimal = unsigned.bytes().all(|it| matches!(it, b'0'..=b'9' | b'.' | b'e' | b'E' | b'+' | b'-'));
    text.parse().ok().filter(|_| decimal).map(Value::Float)
}
