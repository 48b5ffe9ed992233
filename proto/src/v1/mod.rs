//! The V1 protocol's JSON: `{"instances": [...]}` in, `{"predictions": [...]}` out, straight from and into typed flat tensors.

mod collect;
mod encode;

use crate::json::{self, Kind, Reader};
use crate::{Error, InferRequest, Parameter, Parameters, Tensor};
use collect::Collector;

pub use encode::encode_response;

/// Decodes a V1 request. Rows of numbers, strings or lists of them become one unnamed tensor, the rows its first dimension;
/// rows that are objects become one tensor a key. `inputs` is read as `instances` is, which is KServe's habit.
///
/// # Errors
/// `InvalidInput` telling where, what was met and what was expected.
pub fn decode_request(body: &[u8]) -> Result<InferRequest, Error> {
    let mut reader = Reader::new(body);
    if reader.peek()? != Kind::Object {
        let message = format!("expected a JSON object with `instances`, met {}", met(reader.peek()?));
        return Err(Error::invalid(message));
    }
    reader.begin_object()?;
    let mut request = InferRequest::default();
    let mut rows = false;
    while let Some(key) = reader.next_key()? {
        match &*key {
            // KServe reads `inputs` first if both exist; two answers to one question are refused instead.
            "instances" | "inputs" if rows => {
                return Err(Error::invalid("expected `instances` or `inputs`, met both or one twice"));
            }
            "instances" | "inputs" => {
                if reader.peek()? != Kind::Array {
                    return Err(Error::invalid(format!("Expected \"{key}\" to be a list")));
                }
                request.inputs = instances(&mut reader)?;
                rows = true;
            }
            "parameters" => request.parameters = parameters(&mut reader)?,
            _ => reader.skip()?,
        }
    }
    reader.finish()?;
    if rows {
        Ok(request)
    } else {
        Err(Error::invalid("expected a key `instances` with a list of rows, met none"))
    }
}

fn met(kind: Kind) -> &'static str {
    match kind {
        Kind::Null => "null",
        Kind::Bool => "a boolean",
        Kind::Number => "a number",
        Kind::String => "a string",
        Kind::Array => "a list",
        Kind::Object => "an object",
    }
}

fn instances(reader: &mut Reader<'_>) -> Result<Vec<Tensor>, Error> {
    let mut ahead = reader.clone();
    ahead.begin_array()?;
    if ahead.next_element()? && ahead.peek()? == Kind::Object {
        return objects(reader);
    }
    let mut collector = Collector::default();
    collector.value(reader, 0)?;
    Ok(vec![collector.finish("")?])
}

/// Rows that are objects: every row has the same keys, each key becomes a tensor.
fn objects(reader: &mut Reader<'_>) -> Result<Vec<Tensor>, Error> {
    let mut columns: Vec<(String, Collector, usize)> = Vec::new();
    let mut rows = 0;
    reader.begin_array()?;
    while reader.next_element()? {
        if reader.peek()? != Kind::Object {
            return Err(Error::invalid(format!(
                "row {rows} is {}, the rows before are objects",
                met(reader.peek()?)
            )));
        }
        reader.begin_object()?;
        while let Some(key) = reader.next_key()? {
            let at = match columns.iter().position(|(name, ..)| *name == key) {
                Some(at) => at,
                None if rows == 0 => {
                    columns.push((key.into_owned(), Collector::rows(), 0));
                    columns.len() - 1
                }
                None => {
                    return Err(Error::invalid(format!(
                        "row {rows} has the key `{key}`, which row 0 has not"
                    )));
                }
            };
            let (name, collector, seen) = &mut columns[at];
            if *seen > rows {
                return Err(Error::invalid(format!("row {rows} has the key `{name}` twice")));
            }
            collector.value(reader, 1).map_err(|error| in_column(&error, name))?;
            *seen += 1;
        }
        rows += 1;
        if let Some((name, ..)) = columns.iter().find(|(.., seen)| *seen < rows) {
            return Err(Error::invalid(format!("row {} lacks the key `{name}`, which row 0 has", rows - 1)));
        }
    }
    columns
        .into_iter()
        .map(|(name, mut collector, _)| {
            collector.count_rows(rows);
            collector.finish(&name).map_err(|error| in_column(&error, &name))
        })
        .collect()
}

fn in_column(error: &Error, name: &str) -> Error {
    Error::new(error.code, format!("key `{name}`: {}", error.message))
}
/// Reads an object of scalars.
pub(crate) fn parameters(reader: &mut Reader<'_>) -> Result<Parameters, Error> {
    let mut parameters = Parameters::default();
    if reader.peek()? == Kind::Null {
        reader.null()?;
        return Ok(parameters);
    }
    if reader.peek()? != Kind::Object {
        return Err(Error::invalid(format!(
            "expected `parameters` to be an object, met {}",
            met(reader.peek()?)
        )));
    }
    reader.begin_object()?;
    while let Some(key) = reader.next_key()? {
        let value = match reader.peek()? {
            Kind::Bool => Parameter::Bool(reader.boolean()?),
            Kind::String => Parameter::String(reader.string()?.into_owned()),
            Kind::Number => match reader.number()? {
                json::Number::Int(v) => Parameter::Int(v),
                json::Number::Uint(v) => Parameter::Uint(v),
                json::Number::Float(v) => Parameter::Double(v),
            },
            // Nulls say nothing; lists and objects (MLServer's `headers`, say) have no scalar to carry them.
            Kind::Null | Kind::Array | Kind::Object => {
                reader.skip()?;
                continue;
            }
        };
        parameters.0.push((key.into_owned(), value));
    }
    Ok(parameters)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Data, InferResponse};

    fn decode(text: &str) -> Result<Vec<(String, Vec<usize>, Data)>, String> {
        let request = decode_request(text.as_bytes()).map_err(|error| error.message)?;
        Ok(request.inputs.into_iter().map(|it| (it.name, it.shape, it.data)).collect())
    }

    fn check(text: &str, shape: &[usize], data: Data) {
        assert_eq!(decode(text), Ok(vec![(String::new(), shape.to_vec(), data)]), "{text}");
    }

    fn refuse(text: &str, message: &str) {
        assert_eq!(decode(text).unwrap_err(), message, "{text}");
    }

    #[test]
    fn rows_become_one_flat_tensor() {
        check(r#"{"instances": [[6.8, 2.8], [1, 4]]}"#, &[2, 2], Data::Fp64(vec![6.8, 2.8, 1.0, 4.0].into()));
        check(r#"{"inputs": [[1, 2], [3, 4]]}"#, &[2, 2], Data::Int64(vec![1, 2, 3, 4].into()));
        check(
            r#"{"instances": [[[1.5], [2]], [[3], [4]]]}"#,
            &[2, 2, 1],
            Data::Fp64(vec![1.5, 2., 3., 4.].into()),
        );
        check(r#"{"instances": [1, 2, 3.5]}"#, &[3], Data::Fp64(vec![1.0, 2.0, 3.5].into()));
        check(r#"{"instances": ["a", "b\n"]}"#, &[2], Data::Bytes(vec!["a".into(), "b\n".into()]));
        check(r#"{"instances": [true, false]}"#, &[2], Data::Bool(vec![1, 0].into()));
        check(r#"{"instances": []}"#, &[0], Data::Fp64(vec![].into()));
        check(r#"{"instances": [[], []]}"#, &[2, 0], Data::Fp64(vec![].into()));
        check(
            r#"{"instances": [9007199254740993, 1]}"#,
            &[2],
            Data::Int64(vec![9_007_199_254_740_993, 1].into()),
        );
    }

    #[test]
    fn missing_numbers_are_nan() {
        let inputs = decode(r#"{"instances": [[1, null], [NaN, -Infinity]]}"#).unwrap();
        let values = inputs[0].2.to_f64().unwrap();
        assert!(values[1].is_nan() && values[2].is_nan() && values[3] == f64::NEG_INFINITY);
    }

    #[test]
    fn object_rows_become_a_tensor_a_key() {
        let inputs = decode(r#"{"instances": [{"a": 1, "b": "x"}, {"b": "y", "a": 2.5}]}"#).unwrap();
        assert_eq!(inputs[0], ("a".to_owned(), vec![2], Data::Fp64(vec![1.0, 2.5].into())));
        assert_eq!(inputs[1], ("b".to_owned(), vec![2], Data::Bytes(vec!["x".into(), "y".into()])));
        let inputs = decode(r#"{"instances": [{"image": [[1, 2]]}, {"image": [[3, 4]]}]}"#).unwrap();
        assert_eq!(inputs[0], ("image".to_owned(), vec![2, 1, 2], Data::Int64(vec![1, 2, 3, 4].into())));
    }

    #[test]
    fn a_mistake_is_told_with_both_sides() {
        refuse(r#"{"rows": [[1]]}"#, "expected a key `instances` with a list of rows, met none");
        refuse(r#"{"instances": 5}"#, r#"Expected "instances" to be a list"#);
        refuse("[[1]]", "expected a JSON object with `instances`, met a list");
        refuse(r#"{"instances": [[1], [2, 3]]}"#, "ragged rows: a list of 2 values where the first has 1");
        refuse(
            r#"{"instances": [[1], 2]}"#,
            "ragged rows: a value nested 1 lists deep where the first is 2 deep",
        );
        refuse(
            r#"{"instances": [1, [2]]}"#,
            "ragged rows: a value nested 1 lists deep where the first is 1 deep",
        );
        refuse(
            r#"{"instances": [[1, "abc"]]}"#,
            "expected a number as in the values before, met the string `abc`",
        );
        refuse(r#"{"instances": [{"a": 1}, {"b": 1}]}"#, "row 1 has the key `b`, which row 0 has not");
        refuse(r#"{"instances": [{"a": 1, "b": 2}, {"b": 1}]}"#, "row 1 lacks the key `a`, which row 0 has");
        refuse(
            r#"{"instances": [{"a": 1}, {"a": [1]}]}"#,
            "key `a`: ragged rows: a value nested 1 lists deep where the first is 1 deep",
        );
        refuse(
            r#"{"instances": [[1]], "inputs": [[1]]}"#,
            "expected `instances` or `inputs`, met both or one twice",
        );
        assert!(decode("{").unwrap_err().starts_with("Unrecognized request format: line 1 column 2"));
        assert!(decode(r#"{"instances": [[1]]} x"#).is_err());
    }

    fn encode(outputs: Vec<Tensor>) -> String {
        let bytes = encode_response(&InferResponse { outputs, ..Default::default() }).unwrap();
        String::from_utf8(bytes.to_vec()).unwrap()
    }

    #[test]
    fn rows_that_are_only_claimed_are_not_written() {
        let claimed = Tensor::fp64("x", [1 << 40, 0], vec![]);
        let response = InferResponse { outputs: vec![claimed], ..Default::default() };
        assert_eq!(encode_response(&response).unwrap_err().code, crate::Code::Inference);
    }

    #[test]
    fn predictions_are_rows() {
        let classes = Tensor::new("predict", [2], Data::Int64(vec![1, 2].into()));
        assert_eq!(encode(vec![classes.clone()]), r#"{"predictions":[1,2]}"#);
        let proba = Tensor::fp64("proba", [2, 2], vec![0.5, 0.5, f64::NAN, 1.0]);
        assert_eq!(encode(vec![proba.clone()]), r#"{"predictions":[[0.5,0.5],[null,1.0]]}"#);
        assert_eq!(
            encode(vec![classes, proba]),
            r#"{"predictions":[{"predict":1,"proba":[0.5,0.5]},{"predict":2,"proba":[null,1.0]}]}"#
        );
    }
}
