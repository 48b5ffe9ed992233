//! The V1 protocol's JSON: `{"instances": [...]}` in, `{"predictions": [...]}` out, straight from and into typed flat tensors.

use bytes::Bytes;

use crate::json::{self, Kind, NonFinite, Reader};
use crate::{Buffer, Data, Error, InferRequest, InferResponse, Parameter, Parameters, Tensor};

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

/// Encodes an answer: one output gives a list a row; several give an object a row, keyed by output.
///
/// # Errors
/// `Inference` when outputs differ in rows, or hold bytes that are not text.
pub fn encode_response(response: &InferResponse) -> Result<Bytes, Error> {
    // A shape may claim any number of rows as long as one of its other sizes is nought; each would be written as `[]`.
    if let Some(odd) = response.outputs.iter().find(|it| it.data.is_empty() && it.rows() > EMPTY_ROWS) {
        let message = format!("output `{}` has shape {:?} and no values", odd.name, odd.shape);
        return Err(Error::new(crate::Code::Inference, message));
    }
    let mut out = Vec::with_capacity(64);
    out.extend_from_slice(b"{\"predictions\":");
    match response.outputs.as_slice() {
        [only] => {
            nested(&mut out, only, &only.shape, 0)?;
        }
        several => row_objects(&mut out, several)?,
    }
    out.push(b'}');
    Ok(out.into())
}

/// The most rows without a value that are written.
const EMPTY_ROWS: usize = 1 << 16;

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
            collector.shape[0] = rows;
            collector.finish(&name).map_err(|error| in_column(&error, &name))
        })
        .collect()
}

fn in_column(error: &Error, name: &str) -> Error {
    Error::new(error.code, format!("key `{name}`: {}", error.message))
}

/// Gathers nested lists into flat leaves and the shape they all must have.
#[derive(Default)]
struct Collector {
    shape: Vec<usize>,
    /// How many of `shape` are known: the first leaf settles the rest.
    settled: bool,
    leaves: Leaves,
}

#[derive(Default)]
enum Leaves {
    #[default]
    None,
    /// Numbers, and whether every one was written as an integer that a double holds exactly.
    Numbers(Vec<f64>, bool),
    /// Integers of which one is beyond 2^53.
    Wide(Vec<i64>),
    Strings(Vec<Bytes>),
    Booleans(Vec<u8>),
}

impl Collector {
    /// A collector for one key of object rows: the first dimension is counted by the caller.
    fn rows() -> Self {
        Self { shape: vec![0], ..Self::default() }
    }

    fn value(&mut self, reader: &mut Reader<'_>, depth: usize) -> Result<(), Error> {
        match reader.peek()? {
            Kind::Array => self.list(reader, depth),
            kind => {
                if !self.settled {
                    self.settled = true;
                } else if depth != self.shape.len() {
                    return Err(self.ragged(depth));
                }
                self.leaf(reader, kind)
            }
        }
    }

    fn list(&mut self, reader: &mut Reader<'_>, depth: usize) -> Result<(), Error> {
        if !self.settled {
            self.shape.push(0);
        } else if depth >= self.shape.len() {
            return Err(self.ragged(depth));
        }
        let first = !self.settled;
        reader.begin_array()?;
        let mut count = 0;
        let mut closed = false;
        // The innermost lists of a settled shape hold most of the bytes: they are read in the reader's tight loop.
        if let (Leaves::Numbers(numbers, whole), true) = (&mut self.leaves, depth + 1 == self.shape.len()) {
            let before = numbers.len();
            let run = reader.numbers(numbers)?;
            *whole &= run.integers;
            closed = run.closed;
            count = numbers.len() - before;
        }
        while !closed && reader.next_element()? {
            self.value(reader, depth + 1)?;
            count += 1;
        }
        if first || (depth == 0 && self.shape[0] == 0) {
            // An empty list settles nothing below it; leaves of `[[]]` are none at all.
            self.settled |= count == 0;
            self.shape[depth] = count;
        } else if self.shape[depth] != count {
            return Err(Error::invalid(format!(
                "ragged rows: a list of {count} values where the first has {}",
                self.shape[depth]
            )));
        }
        Ok(())
    }

    fn ragged(&self, depth: usize) -> Error {
        let want = self.shape.len();
        Error::invalid(format!(
            "ragged rows: a value nested {depth} lists deep where the first is {want} deep"
        ))
    }

    fn leaf(&mut self, reader: &mut Reader<'_>, kind: Kind) -> Result<(), Error> {
        if matches!(self.leaves, Leaves::None) {
            self.leaves = match kind {
                Kind::Number | Kind::Null => Leaves::Numbers(Vec::new(), true),
                Kind::String => Leaves::Strings(Vec::new()),
                Kind::Bool => Leaves::Booleans(Vec::new()),
                Kind::Array | Kind::Object => {
                    return Err(unexpected(reader, kind, "a number, string or boolean"));
                }
            };
        }
        match (&mut self.leaves, kind) {
            (Leaves::Numbers(numbers, whole), Kind::Number) => match reader.number()? {
                json::Number::Int(v) if v.unsigned_abs() <= 1 << 53 => numbers.push(v as f64),
                json::Number::Int(v) if *whole => {
                    let mut wide: Vec<i64> = numbers.iter().map(|&v| v as i64).collect();
                    wide.push(v);
                    self.leaves = Leaves::Wide(wide);
                }
                json::Number::Int(v) => numbers.push(v as f64),
                json::Number::Uint(v) => {
                    *whole = false;
                    numbers.push(v as f64);
                }
                json::Number::Float(v) => {
                    *whole = false;
                    numbers.push(v);
                }
            },
            (Leaves::Wide(numbers), Kind::Number) => match reader.number()? {
                json::Number::Int(v) => numbers.push(v),
                json::Number::Uint(_) | json::Number::Float(_) => {
                    return Err(Error::invalid(
                        "integers beyond 2^53 stand beside numbers that are not integers",
                    ));
                }
            },
            // As with pandas, a missing number is NaN.
            (Leaves::Numbers(numbers, whole), Kind::Null) => {
                reader.null()?;
                *whole = false;
                numbers.push(f64::NAN);
            }
            (Leaves::Strings(strings), Kind::String) => {
                strings.push(Bytes::copy_from_slice(reader.string()?.as_bytes()));
            }
            (Leaves::Booleans(booleans), Kind::Bool) => booleans.push(u8::from(reader.boolean()?)),
            (Leaves::Numbers(..) | Leaves::Wide(_), _) => return Err(unexpected(reader, kind, "a number")),
            (Leaves::Strings(_), _) => return Err(unexpected(reader, kind, "a string")),
            (Leaves::Booleans(_), _) => return Err(unexpected(reader, kind, "a boolean")),
            (Leaves::None, _) => unreachable!("leaves are settled above"),
        }
        Ok(())
    }

    fn finish(self, name: &str) -> Result<Tensor, Error> {
        let data = match self.leaves {
            Leaves::None => Data::Fp64(Vec::new().into()),
            Leaves::Numbers(numbers, true) => {
                Data::Int64(numbers.iter().map(|&v| v as i64).collect::<Vec<_>>().into())
            }
            Leaves::Numbers(numbers, false) => Data::Fp64(numbers.into()),
            Leaves::Wide(numbers) => Data::Int64(numbers.into()),
            Leaves::Strings(strings) => Data::Bytes(strings),
            Leaves::Booleans(booleans) => Data::Bool(Buffer::from(booleans)),
        };
        if crate::tensor::elements(&self.shape) != Some(data.len()) {
            return Err(Error::invalid(format!(
                "ragged rows: {} values do not fill {:?}",
                data.len(),
                self.shape
            )));
        }
        Ok(Tensor { name: name.to_owned(), shape: self.shape, data, parameters: Parameters::default() })
    }
}

fn unexpected(reader: &mut Reader<'_>, kind: Kind, want: &str) -> Error {
    let shown = match kind {
        Kind::String => reader.string().map(|text| format!("the string `{}`", shorten(&text))),
        Kind::Number => reader.float().map(|number| format!("the number {number}")),
        Kind::Null | Kind::Bool | Kind::Array | Kind::Object => Ok(met(kind).to_owned()),
    };
    match shown {
        Ok(shown) => Error::invalid(format!("expected {want} as in the values before, met {shown}")),
        Err(error) => error.into(),
    }
}

fn shorten(text: &str) -> String {
    match text.char_indices().nth(40) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.to_owned(),
    }
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

/// Writes the elements from `at` on as lists nested by `shape`; returns the element after the last.
fn nested(out: &mut Vec<u8>, tensor: &Tensor, shape: &[usize], at: usize) -> Result<usize, Error> {
    let Some((&size, inner)) = shape.split_first() else {
        element(out, tensor, at)?;
        return Ok(at + 1);
    };
    out.push(b'[');
    let mut at = at;
    for index in 0..size {
        if index > 0 {
            out.push(b',');
        }
        at = nested(out, tensor, inner, at)?;
    }
    out.push(b']');
    Ok(at)
}

fn row_objects(out: &mut Vec<u8>, outputs: &[Tensor]) -> Result<(), Error> {
    let rows = outputs.first().map_or(0, Tensor::rows);
    if let Some(odd) = outputs.iter().find(|it| it.rows() != rows || it.shape.is_empty()) {
        return Err(Error::new(
            crate::Code::Inference,
            format!("output `{}` has shape {:?}, the first output has {rows} rows", odd.name, odd.shape),
        ));
    }
    out.push(b'[');
    for row in 0..rows {
        out.extend_from_slice(if row > 0 { b",{" } else { b"{" });
        for (index, output) in outputs.iter().enumerate() {
            if index > 0 {
                out.push(b',');
            }
            json::push_str(out, &output.name);
            out.push(b':');
            nested(out, output, &output.shape[1..], row * output.row_len())?;
        }
        out.push(b'}');
    }
    out.push(b']');
    Ok(())
}

/// Writes one element as JSON. Half floats have no JSON form.
pub(crate) fn element(out: &mut Vec<u8>, tensor: &Tensor, at: usize) -> Result<(), Error> {
    match &tensor.data {
        Data::Bool(it) => out.extend_from_slice(if it[at] == 0 { b"false" } else { b"true" }),
        Data::Uint8(it) => json::push_u64(out, it[at].into()),
        Data::Uint16(it) => json::push_u64(out, it[at].into()),
        Data::Uint32(it) => json::push_u64(out, it[at].into()),
        Data::Uint64(it) => json::push_u64(out, it[at]),
        Data::Int8(it) => json::push_i64(out, it[at].into()),
        Data::Int16(it) => json::push_i64(out, it[at].into()),
        Data::Int32(it) => json::push_i64(out, it[at].into()),
        Data::Int64(it) => json::push_i64(out, it[at]),
        Data::Fp32(it) => json::push_f32(out, it[at], NonFinite::Null),
        Data::Fp64(it) => json::push_f64(out, it[at], NonFinite::Null),
        Data::Fp16(_) | Data::Bf16(_) => {
            return Err(Error::invalid(format!(
                "sending {} data via JSON is not supported; ask for output `{}` over gRPC",
                tensor.datatype(),
                tensor.name
            )));
        }
        Data::Bytes(it) => match std::str::from_utf8(&it[at]) {
            Ok(text) => json::push_str(out, text),
            Err(_) => {
                return Err(Error::invalid(format!(
                    "output `{}` holds bytes that are not UTF-8; ask for it over gRPC",
                    tensor.name
                )));
            }
        },
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

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
