//! A tree as JSON on one line.

use super::{Node, Value};

/// Appends the value. The recursion is as deep as the tree, which the parser holds to 64 levels.
pub(super) fn write(node: &Node, to: &mut String) {
    match &node.value {
        Value::Null => to.push_str("null"),
        Value::Bool(value) => to.push_str(if *value { "true" } else { "false" }),
        Value::Int(value) => to.push_str(itoa::Buffer::new().format(*value)),
        Value::Float(value) => write_number(*value, to),
        Value::String(text) => write_string(text, to),
        Value::List(items) => {
            to.push('[');
            for (at, item) in items.iter().enumerate() {
                to.push_str(if at == 0 { "" } else { "," });
                write(item, to);
            }
            to.push(']');
        }
        Value::Map(entries) => {
            to.push('{');
            for (at, entry) in entries.iter().enumerate() {
                to.push_str(if at == 0 { "" } else { "," });
                write_string(&entry.key, to);
                to.push_str(": ");
                write(&entry.value, to);
            }
            to.push('}');
        }
    }
}

fn write_number(value: f64, to: &mut String) {
    if value.is_finite() {
        to.push_str(zmij::Buffer::new().format_finite(value));
    } else if value.is_nan() {
        to.push_str(".nan");
    } else {
        to.push_str(if value > 0.0 { ".inf" } else { "-.inf" });
    }
}

fn write_string(text: &str, to: &mut String) {
    to.push('"');
    for letter in text.chars() {
        match letter {
            '"' | '\\' => to.extend(['\\', letter]),
            '\n' => to.push_str("\\n"),
            '\r' => to.push_str("\\r"),
            '\t' => to.push_str("\\t"),
            // YAML takes these for the end of a line or for a mark of byte order, or does not print them.
            '\0'..='\x1f'
            | '\x7f'..='\u{9f}'
            | '\u{2028}'
            | '\u{2029}'
            | '\u{feff}'
            | '\u{fffe}'
            | '\u{ffff}' => {
                to.push_str(&format!("\\u{:04x}", u32::from(letter)));
            }
            _ => to.push(letter),
        }
    }
    to.push('"');
}
