//! Examples of a classification or regression as the messages that TensorFlow's signatures take: each a serialized `tf.Example`,
//! a map of features, each of them a list of floats, of 64-bit integers or of bytes.

use bytes::Bytes;
use weir_proto::{Data, DataType, Error, Signature, Tensor};

/// Returns whether a signature takes examples as messages: its one input is of strings, and it tells what it is for.
pub(super) fn takes(signature: &Signature) -> bool {
    let one = matches!(signature.inputs.as_slice(), [only] if only.datatype == DataType::Bytes);
    one && !signature.method_name.is_empty()
}

/// Makes features, a tensor each with a row an example, into one message an example.
///
/// # Errors
/// `InvalidInput` when features differ in rows.
pub(super) fn messages(features: &[Tensor]) -> Result<Tensor, Error> {
    let examples = features.first().map_or(0, Tensor::rows);
    if let Some(odd) = features.iter().find(|it| it.rows() != examples || it.shape.is_empty()) {
        return Err(Error::invalid(format!(
            "feature `{}` has shape {:?}, expected one row for each of {examples} examples",
            odd.name, odd.shape
        )));
    }
    let message = |row| {
        let mut entries = Vec::new();
        for feature in features {
            let mut entry = Vec::new();
            push(&mut entry, 1, feature.name.as_bytes());
            push(&mut entry, 2, &values(feature, row));
            push(&mut entries, 1, &entry);
        }
        let mut example = Vec::with_capacity(entries.len() + 8);
        push(&mut example, 1, &entries);
        Bytes::from(example)
    };
    Ok(Tensor::strings("", [examples], (0..examples).map(message).collect()))
}

/// A message `Feature`: a list of the kind that the values are.
fn values(feature: &Tensor, row: usize) -> Vec<u8> {
    let width = feature.row_len();
    let range = row * width..(row + 1) * width;
    let mut list = Vec::new();
    let kind = match &feature.data {
        Data::Bytes(texts) => {
            texts[range].iter().for_each(|it| push(&mut list, 1, it));
            1
        }
        Data::Fp64(numbers) => {
            let bytes: Vec<u8> = numbers[range].iter().flat_map(|&it| (it as f32).to_le_bytes()).collect();
            push(&mut list, 1, &bytes);
            2
        }
        Data::Fp32(numbers) => {
            let bytes: Vec<u8> = numbers[range].iter().flat_map(|it| it.to_le_bytes()).collect();
            push(&mut list, 1, &bytes);
            2
        }
        others => {
            let mut packed = Vec::new();
            for at in range {
                varint(&mut packed, integer(others, at).cast_unsigned());
            }
            push(&mut list, 1, &packed);
            3
        }
    };
    let mut message = Vec::new();
    push(&mut message, kind, &list);
    message
}

fn integer(data: &Data, at: usize) -> i64 {
    match data {
        Data::Int64(it) => it[at],
        // What JSON says is 64 bits wide; beyond them it is refused before.
        Data::Uint64(it) => it[at].cast_signed(),
        _ => 0,
    }
}

/// Writes a field of bytes.
fn push(out: &mut Vec<u8>, field: u8, bytes: &[u8]) {
    out.push(field << 3 | 2);
    varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_example_is_a_map_of_lists() {
        let features = [
            Tensor::fp64("x", [2], vec![1.0, 2.0]),
            Tensor::new("n", [2, 2], Data::Int64(vec![1, -1, 300, 0].into())),
            Tensor::strings("s", [2], vec!["a".into(), "".into()]),
        ];
        let made = messages(&features).unwrap();
        assert_eq!(made.shape, [2]);
        let Data::Bytes(texts) = &made.data else { panic!("{made:?}") };
        let x = b"\x0a\x0d\x0a\x01x\x12\x08\x12\x06\x0a\x04\0\0\0\x40";
        let n = b"\x0a\x0c\x0a\x01n\x12\x07\x1a\x05\x0a\x03\xac\x02\0";
        let s = b"\x0a\x09\x0a\x01s\x12\x04\x0a\x02\x0a\0";
        let features = [&x[..], n, s].concat();
        let whole = [&[0x0a, features.len() as u8][..], &features].concat();
        assert_eq!(texts[1], whole);
    }
}
