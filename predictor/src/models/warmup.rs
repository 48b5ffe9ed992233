//! The requests that a new version answers before it takes traffic: `warmup.json` beside the model.

use std::path::Path;

use weir_proto::json::{Kind, Reader};
use weir_proto::{Error, Face, Payload};

/// The file's name.
pub const FILE: &str = "warmup.json";
/// The most bytes of a file.
const MAX_BYTES: u64 = 64 << 20;
/// The most requests of a file, as with TensorFlow Serving.
const MAX_REQUESTS: usize = 1000;

/// Reads the requests in the first of the folders that has some.
///
/// # Errors
/// What is wrong with the file.
pub(super) fn of_folders(folders: &[&Path]) -> Result<Vec<Payload>, String> {
    for folder in folders {
        let file = folder.join(FILE);
        match file.metadata() {
            Ok(it) if it.len() > MAX_BYTES => {
                return Err(format!("{FILE}: it has {} bytes, expected {MAX_BYTES} at most", it.len()));
            }
            Ok(_) => {
                let bytes = std::fs::read(&file).map_err(|error| format!("cannot read {FILE}: {error}"))?;
                return read(&bytes).map_err(|reason| format!("{FILE}: {reason}"));
            }
            Err(_) => {}
        }
    }
    Ok(Vec::new())
}

/// Reads one body of the V1 or V2 protocol, or a list of them.
///
/// # Errors
/// What was met, where, and what was expected.
pub fn read(text: &[u8]) -> Result<Vec<Payload>, String> {
    split(text).map_err(|error| error.message)
}

fn split(text: &[u8]) -> Result<Vec<Payload>, Error> {
    let mut reader = Reader::new(text);
    let mut payloads = Vec::new();
    if reader.peek()? == Kind::Array {
        reader.begin_array()?;
        while reader.next_element()? {
            if payloads.len() == MAX_REQUESTS {
                return Err(Error::invalid(format!("there are more than {MAX_REQUESTS} requests")));
            }
            payloads.push(payload(&mut reader, text)?);
        }
    } else {
        payloads.push(payload(&mut reader, text)?);
    }
    reader.finish()?;
    Ok(payloads)
}

fn payload(reader: &mut Reader<'_>, text: &[u8]) -> Result<Payload, Error> {
    if reader.peek()? != Kind::Object {
        return Err(Error::invalid(
            "expected a request, such as {\"instances\": [[1, 2]]}, or a list of requests",
        ));
    }
    let from = reader.offset();
    reader.skip()?;
    let body = text.get(from..reader.offset()).unwrap_or_default();
    let face = if is_v2(body)? { Face::V2 } else { Face::V1 };
    Ok(Payload::new(face, bytes::Bytes::copy_from_slice(body)))
}

/// Whether a request is one of V2: its `inputs` are objects with a `datatype`, which V1's are not.
fn is_v2(body: &[u8]) -> Result<bool, Error> {
    let mut reader = Reader::new(body);
    reader.begin_object()?;
    while let Some(key) = reader.next_key()? {
        if key != "inputs" || reader.peek()? != Kind::Array {
            reader.skip()?;
            continue;
        }
        reader.begin_array()?;
        if !reader.next_element()? || reader.peek()? != Kind::Object {
            return Ok(false);
        }
        reader.begin_object()?;
        while let Some(key) = reader.next_key()? {
            if key == "datatype" {
                return Ok(true);
            }
            reader.skip()?;
        }
        return Ok(false);
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_of_both_protocols_are_told_apart() {
        let v1 = r#"{"instances": [[1, 2]]}"#;
        let column = r#"{"inputs": [{"x": 1}], "signature_name": "s"}"#;
        let v2 = r#"{"id": "1", "inputs": [{"name": "x", "shape": [1], "datatype": "FP32", "data": [1]}]}"#;
        let read_all = read(format!(" [{v1}, {column},\n {v2}] ").as_bytes()).unwrap();
        let faces: Vec<_> =
            read_all.iter().map(|it| (it.face, std::str::from_utf8(&it.body).unwrap())).collect();
        assert_eq!(faces, [(Face::V1, v1), (Face::V1, column), (Face::V2, v2)]);
        assert_eq!(read(v2.as_bytes()).unwrap()[0].face, Face::V2);
        for wrong in ["", "1", "[[1]]", "[{}", "{} {}"] {
            assert!(read(wrong.as_bytes()).is_err(), "{wrong}");
        }
        assert_eq!(read(b"[]").unwrap().len(), 0);
    }
}
