//! The V1 protocol's JSON: `{"instances": [...]}` in, `{"predictions": [...]}` out, straight from and into typed flat tensors.

mod collect;
mod encode;
mod rows;

use crate::json::{self, Kind, Reader};
use crate::{DecodeLimits, Error, Form, InferRequest, Layout, Method, Parameter, Parameters};

pub(crate) use collect::{base64, is_base64};
pub use encode::encode_response;

/// Decodes a V1 request, and what it says of the answer's form; `form` tells the method.
///
/// `instances` are rows: numbers, strings or lists of them become one unnamed tensor, the rows its first dimension; rows that
/// are objects become a tensor a key. `inputs` are tensors as a whole: the only one, or an object with a tensor a key. Bytes
/// are strings or `{"b64": "..."}`. A structured CloudEvent is read as its `data`.
///
/// # Errors
/// `InvalidInput` telling where, what was met and what was expected; `TooLarge` for a tensor over the limit.
pub fn decode_request(body: &[u8], form: Form, limits: &DecodeLimits) -> Result<(InferRequest, Form), Error> {
    let mut reader = Reader::with_limits(body, json::Limits { depth: limits.depth });
    let mut decoder = Decoder { form, limits, request: InferRequest::default(), tensors: false };
    if let Some(mut data) = decoder.body(&mut reader)? {
        decoder.body(&mut data)?;
    }
    reader.finish()?;
    if decoder.tensors {
        return Ok((decoder.request, decoder.form));
    }
    let wanted = match decoder.form.method {
        Method::Predict => {
            "Missing 'inputs' or 'instances' key: expected a list of rows under `instances`, met none"
        }
        Method::Classify | Method::Regress => "expected a key `examples` with a list of examples, met none",
    };
    Err(Error::invalid(wanted))
}

struct Decoder<'l> {
    form: Form,
    limits: &'l DecodeLimits,
    request: InferRequest,
    /// The tensors were met.
    tensors: bool,
}

impl Decoder<'_> {
    /// Reads the object that a body is. Of a structured CloudEvent it returns where its `data` is.
    fn body<'a>(&mut self, reader: &mut Reader<'a>) -> Result<Option<Reader<'a>>, Error> {
        if reader.peek()? != Kind::Object {
            let message = format!("expected a JSON object with `instances`, met {}", met(reader.peek()?));
            return Err(Error::invalid(message));
        }
        reader.begin_object()?;
        let (mut examples, mut context, mut signature) = (None, Vec::new(), None);
        let (mut attributes, mut data) = (0_u8, None);
        while let Some(key) = reader.next_key()? {
            match (&*key, self.form.method) {
                // KServe reads `inputs` first if both exist; two answers to one question are refused instead.
                ("instances" | "inputs", Method::Predict) if self.tensors => {
                    return Err(Error::invalid(
                        "Not formatted correctly expecting only one of 'inputs' or 'instances' keys to exist: met both, \
                         or one twice",
                    ));
                }
                ("instances", Method::Predict) => self.instances(reader)?,
                ("inputs", Method::Predict) => self.inputs(reader)?,
                // Read when the context is known, which may come later.
                ("examples", Method::Classify | Method::Regress) => {
                    examples = Some(reader.clone());
                    reader.skip()?;
                }
                ("context", Method::Classify | Method::Regress) => context = rows::features(reader)?,
                ("signature_name", _) => signature = Some(signature_name(reader)?),
                ("parameters", _) => self.request.parameters = parameters(reader)?,
                (name, _) => {
                    attributes |= event_attribute(name);
                    if name == "data" {
                        data = Some(reader.clone());
                    }
                    reader.skip()?;
                }
            }
        }
        if let Some(name) = signature {
            self.request.parameters.0.push((SIGNATURE_NAME.to_owned(), Parameter::String(name)));
        }
        if let Some(mut examples) = examples {
            self.request.inputs = rows::examples(&mut examples, &context, self.limits)?;
            self.tensors = true;
        }
        Ok(data.filter(|_| !self.tensors && attributes == EVENT))
    }

    fn instances(&mut self, reader: &mut Reader<'_>) -> Result<(), Error> {
        if reader.peek()? != Kind::Array {
            return Err(Error::invalid("Expected \"instances\" to be a list"));
        }
        self.request.inputs = rows::instances(reader, self.limits)?;
        self.tensors = true;
        Ok(())
    }

    fn inputs(&mut self, reader: &mut Reader<'_>) -> Result<(), Error> {
        let (tensors, named) = rows::inputs(reader, self.limits)?;
        self.request.inputs = tensors;
        self.form.layout = if named { Layout::Columns } else { Layout::Inputs };
        self.tensors = true;
        Ok(())
    }
}

/// The parameter by which a request names the model's signature that it means.
pub const SIGNATURE_NAME: &str = "signature_name";

/// All attributes by which KServe knows a structured CloudEvent.
const EVENT: u8 = 0b1_1111;

/// Returns the bit of an attribute of a CloudEvent.
fn event_attribute(key: &str) -> u8 {
    match key {
        "specversion" => 1,
        "id" => 1 << 1,
        "source" => 1 << 2,
        "type" => 1 << 3,
        "time" => 1 << 4,
        _ => 0,
    }
}

fn signature_name(reader: &mut Reader<'_>) -> Result<String, Error> {
    match reader.peek()? {
        Kind::String => Ok(reader.string()?.into_owned()),
        kind => Err(Error::invalid(format!("expected `signature_name` to be a string, met {}", met(kind)))),
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

fn in_column(error: &Error, name: &str) -> Error {
    Error::new(error.code, format!("key `{name}`: {}", error.message))
}
/// The most parameters of one kind.
const MAX_PARAMETERS: usize = 1 << 10;

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
        if parameters.0.len() >= MAX_PARAMETERS {
            return Err(Error::new(
                crate::Code::TooLarge,
                format!("there are more than {MAX_PARAMETERS} parameters"),
            ));
        }
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
    use crate::{Data, InferResponse, Tensor};

    fn decode_request(body: &[u8]) -> Result<InferRequest, Error> {
        super::decode_request(body, Form::default(), &DecodeLimits::default()).map(|(request, _)| request)
    }

    fn encode_response(response: &InferResponse) -> Result<bytes::Bytes, Error> {
        super::encode_response(response, &Form::default())
    }

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
        refuse(
            r#"{"rows": [[1]]}"#,
            "Missing 'inputs' or 'instances' key: expected a list of rows under `instances`, met none",
        );
        refuse(r#"{"instances": []}"#, "No values in 'instances' array");
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
            r#"{"instances": [[1, "abc"], ["abc", 1]]}"#,
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
            "Not formatted correctly expecting only one of 'inputs' or 'instances' keys to exist: met both, or one twice",
        );
        assert!(decode("{").unwrap_err().starts_with("Unrecognized request format: line 1 column 2"));
        assert!(decode(r#"{"instances": [[1]]} x"#).is_err());
    }

    fn encode(outputs: Vec<Tensor>) -> String {
        let bytes = encode_response(&InferResponse { outputs, ..Default::default() }).unwrap();
        String::from_utf8(bytes.to_vec()).unwrap()
    }

    #[test]
    fn rows_of_mixed_values_become_a_tensor_a_place() {
        let inputs = decode(r#"{"instances": [[39, "Private", 2.5], [50, "State-gov", null]]}"#).unwrap();
        assert_eq!(inputs[0], (String::new(), vec![2], Data::Int64(vec![39, 50].into())));
        assert_eq!(inputs[1].2, Data::Bytes(vec!["Private".into(), "State-gov".into()]));
        assert!(matches!(&inputs[2].2, Data::Fp64(it) if it[0] == 2.5 && it[1].is_nan()));
        refuse(
            r#"{"instances": [[1, "a"], [2]]}"#,
            "expected a number as in the values before, met the string `a`",
        );
    }

    #[test]
    fn inputs_are_tensors_as_a_whole() {
        let decode = |text: &str| {
            super::decode_request(text.as_bytes(), Form::default(), &DecodeLimits::default()).unwrap()
        };
        let (request, form) = decode(r#"{"inputs": {"a": [[1, 2]], "b": 7}, "signature_name": "s"}"#);
        assert_eq!(form.layout, Layout::Columns);
        assert_eq!(request.inputs[0], Tensor::new("a", [1, 2], Data::Int64(vec![1, 2].into())));
        assert_eq!(request.inputs[1], Tensor::new("b", [], Data::Int64(vec![7].into())));
        assert_eq!(request.parameters.get(SIGNATURE_NAME), Some(&Parameter::String("s".to_owned())));
        let (request, form) = decode(r#"{"inputs": [{"a": 1}]}"#);
        assert_eq!((form.layout, request.inputs[0].name.as_str()), (Layout::Inputs, "a"));
        refuse(r#"{"inputs": {"a": 1, "a": 2}}"#, "`inputs` has the key `a` twice");
    }

    #[test]
    fn bytes_may_be_base64() {
        let bytes = Data::Bytes(vec![vec![0xff, 0xfe].into(), "x".into()]);
        check(r#"{"instances": [{"b64": "//4="}, "x"]}"#, &[2], bytes.clone());
        let inputs = decode(r#"{"instances": [{"k": {"b64": "//4="}}, {"k": "x"}]}"#).unwrap();
        assert_eq!(inputs[0], ("k".to_owned(), vec![2], bytes.clone()));
        let inputs = decode(r#"{"inputs": {"b64": "//4="}}"#).unwrap();
        assert_eq!(inputs[0].2, Data::Bytes(vec![vec![0xff, 0xfe].into()]));
        assert!(
            decode(r#"{"instances": [{"b64": "?"}]}"#)
                .unwrap_err()
                .starts_with("Unable to base64 decode `?`")
        );
        // An object of more than that key is a row.
        assert_eq!(decode(r#"{"instances": [{"b64": "eA==", "k": 1}]}"#).unwrap().len(), 2);
        let tensor = |name: &str| Tensor::new(name, [2], bytes.clone());
        assert_eq!(encode(vec![tensor("y")]), r#"{"predictions":[{"b64":"//4="},"x"]}"#);
        assert_eq!(encode(vec![tensor("y_bytes")]), r#"{"predictions":[{"b64":"//4="},{"b64":"eA=="}]}"#);
    }

    #[test]
    fn examples_are_features_with_a_context() {
        let form = Form { method: Method::Classify, ..Form::default() };
        let decode = |text: &str| {
            super::decode_request(text.as_bytes(), form.clone(), &DecodeLimits::default())
                .map(|(request, _)| request.inputs)
                .map_err(|error| error.message)
        };
        let inputs =
            decode(r#"{"examples": [{"a": [1, 2], "t": true}, {"a": [3, 4], "t": false, "c": 6.5}], "context": {"c": 5}}"#)
                .unwrap();
        let got: Vec<_> = inputs.iter().map(|it| (it.name.as_str(), it.shape.as_slice(), &it.data)).collect();
        let want = [
            ("a", [2, 2].as_slice(), &Data::Int64(vec![1, 2, 3, 4].into())),
            ("t", &[2], &Data::Int64(vec![1, 0].into())),
            ("c", &[2], &Data::Fp64(vec![5.0, 6.5].into())),
        ];
        assert_eq!(got, want);
        for (text, message) in [
            (r#"{"examples": []}"#, "expected `examples` to hold one example at least, met none"),
            ("{}", "expected a key `examples` with a list of examples, met none"),
            (r#"{"examples": [{"a": [[1]]}]}"#, "feature `a` is nested: a list of scalars is all it may be"),
        ] {
            assert_eq!(decode(text).unwrap_err(), message);
        }
        assert_eq!(
            decode(r#"{"examples": [{}], "context": {"c": 5, "c": 6}}"#).unwrap_err(),
            "`context` has the key `c` twice"
        );
        let labels = Tensor::strings("classes", [1, 2], vec!["cat".into(), "dog".into()]);
        let scores = Tensor::fp64("scores", [1, 2], vec![0.75, 0.25]);
        let response = InferResponse { outputs: vec![labels, scores], ..Default::default() };
        let answer = super::encode_response(&response, &form).unwrap();
        assert_eq!(&*answer, br#"{"results":[[["cat",0.75],["dog",0.25]]]}"#);
    }

    #[test]
    fn a_structured_event_is_its_data() {
        let event = r#"{"data": {"instances": [[1]]}, "specversion": "1.0", "id": "1", "source": "s", "type": "t", "time": "x"}"#;
        check(event, &[1, 1], Data::Int64(vec![1].into()));
        assert!(decode(&event.replace("\"time\"", "\"tide\"")).unwrap_err().starts_with("Missing"));
    }

    #[test]
    fn limits_hold_while_the_text_is_read() {
        let limits = DecodeLimits { depth: 3, elements: 4 };
        let refuse =
            |text: &str| super::decode_request(text.as_bytes(), Form::default(), &limits).unwrap_err();
        for text in [r#"{"instances": [1, 2, 3, 4, 5]}"#, r#"{"instances": ["", "", "", "", ""]}"#] {
            assert_eq!(refuse(text).code, crate::Code::TooLarge, "{text}");
        }
        assert!(refuse(r#"{"instances": [[[1]]]}"#).message.contains("nested deeper than 3"));
    }

    #[test]
    fn what_examples_take_from_the_context_is_limited() {
        let limits = DecodeLimits { elements: 1000, ..DecodeLimits::default() };
        let decode = |examples: usize| {
            let body = format!(
                r#"{{"context": {{"c": "0123456789"}}, "examples": [{{}}{}]}}"#,
                ",{}".repeat(examples - 1)
            );
            let form = Form { method: Method::Regress, ..Form::default() };
            super::decode_request(body.as_bytes(), form, &limits).map_err(|error| error.code)
        };
        assert_eq!(decode(22).unwrap().0.inputs[0].shape, [22]);
        assert_eq!(decode(23), Err(crate::Code::TooLarge));
    }

    #[test]
    fn columns_and_tokens_are_written_when_asked_for() {
        let outputs =
            vec![Tensor::fp64("a", [2], vec![f64::NAN, -f64::INFINITY]), Tensor::fp64("b", [], vec![1.0])];
        let response = InferResponse { outputs, ..Default::default() };
        let form = Form { layout: Layout::Columns, tokens: true, ..Form::default() };
        let answer = super::encode_response(&response, &form).unwrap();
        assert_eq!(&*answer, br#"{"outputs":{"a":[NaN,-Infinity],"b":1.0}}"#);
    }

    #[test]
    fn rows_that_are_only_claimed_are_not_written() {
        for shape in [[1 << 40, 0, 1], [1 << 12, 1 << 12, 0]] {
            let response =
                InferResponse { outputs: vec![Tensor::fp64("x", shape, vec![])], ..Default::default() };
            assert_eq!(encode_response(&response).unwrap_err().code, crate::Code::Inference);
        }
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
