//! The JSON reader, against the standard library for numbers and serde_json for the grammar and for strings.

use serde_json::Value;
use weir_proto::json::{ErrorKind, Number, Reader};

/// JSON texts, and each of their words as a number and as a string.
pub fn json(data: &[u8]) -> bool {
    let mut reader = Reader::new(data);
    let read = reader.skip().and_then(|()| reader.finish());
    let theirs = serde_json::from_slice::<Value>(data);
    match &read {
        // The tokens are beyond the grammar.
        Ok(()) => assert!(theirs.is_ok() || has_tokens(data), "only we read {}", data.escape_ascii()),
        Err(error) => {
            let why = data.escape_ascii();
            assert!(theirs.is_err() || matches!(error.kind, ErrorKind::TooDeep(_)), "{error}: {why}");
        }
    }
    let words = data.split(|byte| b",:[]{} \n".contains(byte));
    words.clone().for_each(number);
    numbers(words);
    string(data);
    read.is_ok()
}

fn has_tokens(data: &[u8]) -> bool {
    let has = |word: &[u8]| data.windows(word.len()).any(|it| it == word);
    has(b"NaN") || has(b"Infinity")
}

/// What JSON takes for a number, the standard library reads as the same bits.
fn number(word: &[u8]) {
    let Ok(text) = std::str::from_utf8(word) else { return };
    if text.is_empty() || text.contains(['N', 'I', '\r', '\t']) {
        return;
    }
    let is_number = matches!(serde_json::from_str::<Value>(text), Ok(Value::Number(_)));
    let float = whole(word, Reader::float);
    assert_eq!(float.is_some(), is_number, "{text}");
    let Some(float) = float else { return };
    let std: f64 = text.parse().expect("what is a number here is one there");
    assert_eq!(float.to_bits(), std.to_bits(), "{text}");
    let single: f32 = text.parse().expect("what is a number here is one there");
    let want = Some(single.to_bits()).filter(|_| single.is_finite());
    assert_eq!(whole(word, Reader::float32).map(f32::to_bits), want, "{text}");
    match whole(word, Reader::number).expect("a number of any kind") {
        Number::Int(value) => assert_eq!(text.parse(), Ok(value)),
        Number::Uint(value) => {
            assert!(value > i64::MAX as u64);
            assert_eq!(text.parse(), Ok(value));
        }
        Number::Float(value) => {
            assert!(
                text.contains(['.', 'e', 'E']) || text.parse::<i128>().is_err() || value.abs() >= 1e18,
                "{text}"
            );
            assert_eq!(value.to_bits(), std.to_bits(), "{text}");
        }
    }
}

/// The tight loops read what the single steps read.
fn numbers<'a>(words: impl Iterator<Item = &'a [u8]>) {
    let words: Vec<_> = words.filter(|it| whole(it, Reader::float).is_some()).take(64).collect();
    let list = [b"[", &*words.join(&b","[..]), b" ]"].concat();
    let want = words.iter().filter_map(|it| whole(it, Reader::float)).map(f64::to_bits);
    let mut reader = Reader::new(&list);
    let mut floats = Vec::new();
    let mut read = || {
        reader.begin_array()?;
        while !reader.numbers(&mut floats)?.closed && reader.next_element()? {
            floats.push(reader.float()?);
        }
        reader.finish()
    };
    read().unwrap_or_else(|error| panic!("{error}: {}", list.escape_ascii()));
    assert!(floats.iter().map(|it| it.to_bits()).eq(want), "{}", list.escape_ascii());

    let mut reader = Reader::new(&list);
    let mut integers = Vec::new();
    let mut read = || {
        reader.begin_array()?;
        reader.integers(&mut integers)
    };
    read().unwrap_or_else(|error| panic!("{error}: {}", list.escape_ascii()));
    for (integer, word) in integers.iter().zip(&words) {
        assert_eq!(whole(word, Reader::number), Some(Number::Int(*integer)), "{}", list.escape_ascii());
    }
}

/// Strings are the same, and refused alike.
fn string(data: &[u8]) {
    let quoted = [b"\"", data, b"\""].concat();
    for text in [data, &quoted] {
        let mut reader = Reader::new(text);
        let ours = reader.string().and_then(|it| reader.finish().map(|()| it.into_owned())).ok();
        assert_eq!(ours, serde_json::from_slice::<String>(text).ok(), "{}", text.escape_ascii());
    }
}

/// Reads a word that has nothing behind it.
fn whole<'a, T, E>(word: &'a [u8], read: impl FnOnce(&mut Reader<'a>) -> Result<T, E>) -> Option<T> {
    let mut reader = Reader::new(word);
    let value = read(&mut reader).ok()?;
    reader.finish().ok().map(|()| value)
}
