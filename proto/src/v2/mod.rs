//! The Open Inference Protocol's JSON: `{"inputs": [...]}` in, `{"outputs": [...]}` out, straight from and into flat tensors.

mod binary;
mod data;
mod encode;

use bytes::Bytes;

use crate::json::{self, Kind, Number, Reader};
use crate::tensor::check_rank;
use crate::{
    Code, Data, DataType, DecodeLimits, Error, Form, InferRequest, Parameters, RequestedOutput, Tensor, v1,
};
use data::read_data;

pub use encode::encode_response;

/// Decodes a V2 request to that model, and what it says of the answer's form.
///
/// `data` may be flat or nested; its count must be what `shape` says. With a `json_length` the body is that much JSON and then
/// the raw tensors of those inputs that have a `binary_data_size` in place of `data`, in the order of the inputs. With a
/// `json_length` of 0 the whole body is the model's one input, given as one element of `BYTES` for whoever knows its shape.
///
/// # Errors
/// `InvalidInput` telling the input, what was met and what was expected; `TooLarge` for a tensor over the limit.
pub fn decode_request(
    body: &Bytes,
    json_length: Option<usize>,
    model: &str,
    limits: &DecodeLimits,
) -> Result<(InferRequest, Form), Error> {
    if json_length == Some(0) {
        let input = Tensor::strings("", [1], vec![body.clone()]);
        return Ok((InferRequest::of(vec![input]), Form { raw: true, binary: true, ..Form::default() }));
    }
    let json = match json_length {
        Some(length) => body.get(..length).ok_or_else(|| {
            let met = body.len();
            Error::invalid(format!("inference header size should be in range (0, {met}), got: {length}"))
        })?,
        None => body,
    };
    let (mut request, drafts) = request(json, limits)?;
    let mut raw = binary::Raw::new(body.slice(json.len()..), model);
    let mut limits = *limits;
    for draft in drafts {
        let lent = draft.data.is_none();
        let input = draft.finish(&mut raw, &limits)?;
        if lent {
            limits.spend(&input.data);
        }
        request.inputs.push(input);
    }
    raw.finish()?;
    let form = Form::take(&mut request.parameters, &mut request.outputs);
    Ok((request, form))
}

/// Reads the JSON of a request; its inputs are not put together yet.
fn request(json: &[u8], limits: &DecodeLimits) -> Result<(InferRequest, Vec<Draft>), Error> {
    let mut reader = Reader::with_limits(json, json::Limits { depth: limits.depth });
    object(&mut reader, "the request")?;
    let mut request = InferRequest::default();
    let mut inputs = None;
    while let Some(key) = reader.next_key()? {
        // Clients that write down every optional field write so for those that they leave out.
        if reader.peek()? == Kind::Null {
            reader.null()?;
            continue;
        }
        match &*key {
            "id" => request.id = text(&mut reader, "id")?,
            "parameters" => request.parameters = v1::parameters(&mut reader)?,
            "inputs" if inputs.is_some() => return Err(Error::invalid("the request has `inputs` twice")),
            "inputs" => {
                list(&mut reader, "inputs")?;
                let mut drafts: Vec<Draft> = Vec::new();
                let mut limits = *limits;
                while reader.next_element()? {
                    check_many("inputs", drafts.len())?;
                    let draft = input(&mut reader, &limits)?;
                    if let Some(data) = &draft.data {
                        limits.spend(data);
                    }
                    drafts.push(draft);
                }
                inputs = Some(drafts);
            }
            "outputs" => request.outputs = outputs(&mut reader)?,
            _ => reader.skip()?,
        }
    }
    reader.finish()?;
    let inputs =
        inputs.ok_or_else(|| Error::invalid("expected a key `inputs` with a list of tensors, met none"))?;
    Ok((request, inputs))
}

/// The most inputs, and the most requested outputs: an entry takes three bytes of text and many times that here.
const MANY: usize = 1 << 14;

fn check_many(what: &str, met: usize) -> Result<(), Error> {
    if met < MANY {
        return Ok(());
    }
    Err(Error::new(Code::TooLarge, format!("there are more than {MANY} `{what}`, which is the limit")))
}

fn object(reader: &mut Reader<'_>, what: &str) -> Result<(), Error> {
    if reader.peek()? != Kind::Object {
        return Err(Error::invalid(format!("expected {what} to be a JSON object, met {:?}", reader.peek()?)));
    }
    Ok(reader.begin_object()?)
}

fn list(reader: &mut Reader<'_>, what: &str) -> Result<(), Error> {
    if reader.peek()? != Kind::Array {
        return Err(Error::invalid(format!("expected `{what}` to be a list, met {:?}", reader.peek()?)));
    }
    Ok(reader.begin_array()?)
}

fn text(reader: &mut Reader<'_>, what: &str) -> Result<String, Error> {
    match reader.peek()? {
        Kind::String => Ok(reader.string()?.into_owned()),
        kind => Err(Error::invalid(format!("expected `{what}` to be a string, met {kind:?}"))),
    }
}

fn outputs(reader: &mut Reader<'_>) -> Result<Vec<RequestedOutput>, Error> {
    let mut outputs = Vec::new();
    list(reader, "outputs")?;
    while reader.next_element()? {
        check_many("outputs", outputs.len())?;
        object(reader, "an entry of `outputs`")?;
        let mut output = RequestedOutput { name: String::new(), parameters: Parameters::default() };
        while let Some(key) = reader.next_key()? {
            match &*key {
                "name" => output.name = text(reader, "name")?,
                "parameters" => output.parameters = v1::parameters(reader)?,
                _ => reader.skip()?,
            }
        }
        outputs.push(output);
    }
    Ok(outputs)
}

/// An input as its JSON tells it; the numbers may lie behind the JSON.
struct Draft {
    name: String,
    shape: Vec<usize>,
    datatype: DataType,
    data: Option<Data>,
    parameters: Parameters,
}

impl Draft {
    fn finish(mut self, raw: &mut binary::Raw<'_>, limits: &DecodeLimits) -> Result<Tensor, Error> {
        let size = binary::take_size(&mut self.parameters, &self.name)?;
        let data = match (self.data, size) {
            (Some(data), None) => data,
            (None, Some(size)) => raw.take(&self.name, self.datatype, &self.shape, size, limits)?,
            (Some(_), Some(_)) => {
                let message = format!(
                    "input `{}` has both `data` and `binary_data_size`; send one of the two",
                    self.name
                );
                return Err(Error::invalid(message));
            }
            (None, None) => {
                let message =
                    format!("'data' field is missing for input '{}' for model '{}'", self.name, raw.model());
                return Err(Error::invalid(message));
            }
        };
        let data =
            if binary::is_base64(&self.parameters) { binary::from_base64(data, &self.name)? } else { data };
        Ok(Tensor { name: self.name, shape: self.shape, data, parameters: self.parameters })
    }
}

fn input(reader: &mut Reader<'_>, limits: &DecodeLimits) -> Result<Draft, Error> {
    object(reader, "an entry of `inputs`")?;
    let (mut name, mut shape, mut datatype) = (String::new(), None, None);
    let (mut data, mut later) = (None, None);
    let mut parameters = Parameters::default();
    while let Some(key) = reader.next_key()? {
        match &*key {
            "name" => name = text(reader, "name")?,
            // The data may have been read as the first of two says.
            "shape" if shape.is_some() => return Err(twice(&name, "shape")),
            "datatype" if datatype.is_some() => return Err(twice(&name, "datatype")),
            "shape" => shape = Some(read_shape(reader, &name)?),
            "datatype" => datatype = Some(DataType::parse(&text(reader, "datatype")?)?),
            "parameters" => parameters = v1::parameters(reader)?,
            // Clients write so for an empty tensor whose bytes are none.
            "data" if reader.peek()? == Kind::Null => reader.null()?,
            "data" => match datatype.zip(shape.as_deref()) {
                Some((datatype, shape)) => data = Some(read_data(reader, &name, datatype, shape, limits)?),
                // The keys may come in any order: the data is read when its type is known.
                None => {
                    later = Some(reader.clone());
                    reader.skip()?;
                }
            },
            _ => reader.skip()?,
        }
    }
    let lacks = |what: &str| Error::invalid(format!("input `{name}` lacks `{what}`"));
    let shape: Vec<usize> = shape.ok_or_else(|| lacks("shape"))?;
    let datatype = datatype.ok_or_else(|| lacks("datatype"))?;
    if let Some(mut later) = later {
        data = Some(read_data(&mut later, &name, datatype, &shape, limits)?);
    }
    Ok(Draft { name, shape, datatype, data, parameters })
}

fn twice(input: &str, key: &str) -> Error {
    Error::invalid(format!("input `{input}` has `{key}` twice"))
}

fn read_shape(reader: &mut Reader<'_>, name: &str) -> Result<Vec<usize>, Error> {
    list(reader, "shape")?;
    let mut shape = Vec::new();
    while reader.next_element()? {
        check_rank(name, shape.len() + 1)?;
        let wrong = |met: String| {
            Error::invalid(format!("input `{name}`: a shape holds sizes of 0 or more, met {met}"))
        };
        match reader.peek()? {
            Kind::Number => match reader.number()? {
                Number::Int(size) => shape.push(usize::try_from(size).map_err(|_| wrong(size.to_string()))?),
                Number::Uint(size) => return Err(wrong(size.to_string())),
                Number::Float(size) => return Err(wrong(size.to_string())),
            },
            kind => return Err(wrong(format!("{kind:?}"))),
        }
    }
    Ok(shape)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{InferResponse, Parameter};

    fn decode_request(body: &[u8]) -> Result<InferRequest, Error> {
        let body = Bytes::copy_from_slice(body);
        super::decode_request(&body, None, "m", &DecodeLimits::default()).map(|(request, _)| request)
    }

    fn decode(input: &str) -> Result<Tensor, String> {
        let body = format!(r#"{{"id": "7", "inputs": [{input}]}}"#);
        let request = decode_request(body.as_bytes()).map_err(|error| error.message)?;
        assert_eq!(request.id, "7");
        Ok(request.inputs.into_iter().next().unwrap())
    }

    #[test]
    fn data_may_be_flat_or_nested_and_keys_in_any_order() {
        let want = Tensor::new("x", [2, 2], Data::Fp32(vec![1.0, 2.5, 3.0, 4.0].into()));
        for input in [
            r#"{"name": "x", "shape": [2, 2], "datatype": "FP32", "data": [1, 2.5, 3, 4]}"#,
            r#"{"name": "x", "shape": [2, 2], "datatype": "fp32", "data": [[1, 2.5], [3, 4]]}"#,
            r#"{"name": "x", "data": [[1, 2.5], [3, 4]], "datatype": "FP32", "shape": [2, 2]}"#,
            r#"{"data": [1, 2.5, 3, 4], "shape": [2, 2], "name": "x", "datatype": "FP32"}"#,
        ] {
            assert_eq!(decode(input).unwrap(), want, "{input}");
        }
        let int8 = decode(r#"{"name": "x", "shape": [2], "datatype": "INT8", "data": [-128, 127]}"#).unwrap();
        assert_eq!(int8.data, Data::Int8(vec![-128, 127].into()));
        let text =
            decode(r#"{"name": "x", "shape": [1, 2], "datatype": "BYTES", "data": [["a", "b"]]}"#).unwrap();
        assert_eq!(text.data, Data::Bytes(vec!["a".into(), "b".into()]));
    }

    #[test]
    fn what_is_null_is_left_out() {
        let input = r#"{"name": "x", "shape": [1], "datatype": "INT8", "parameters": null, "data": [1]}"#;
        let body = format!(r#"{{"id": null, "parameters": null, "outputs": null, "inputs": [{input}]}}"#);
        let request = decode_request(body.as_bytes()).unwrap();
        assert!(request.id.is_empty() && request.outputs.is_empty() && request.inputs.len() == 1);
        assert!(decode_request(br#"{"inputs": null}"#).unwrap_err().message.contains("met none"));
    }

    #[test]
    fn a_mistake_is_told_with_both_sides() {
        for (input, message) in [
            (
                r#"{"name": "x", "shape": [3], "datatype": "FP32", "data": [1]}"#,
                "input `x` has 1 values, its shape [3] needs 3",
            ),
            (
                r#"{"name": "x", "shape": [1], "datatype": "INT32", "data": [1.7]}"#,
                "input `x`: element 0 is 1.7, which is no INT32",
            ),
            (
                r#"{"name": "x", "shape": [1], "datatype": "UINT8", "data": [300]}"#,
                "input `x`: element 0 is 300, which is no UINT8",
            ),
            (
                r#"{"name": "x", "shape": [1], "datatype": "FP64", "data": ["a"]}"#,
                "input `x`: element 0 is String, which is no FP64",
            ),
            (
                r#"{"name": "x", "shape": [-1], "datatype": "FP64", "data": [1]}"#,
                "input `x`: a shape holds sizes of 0 or more, met -1",
            ),
            (r#"{"name": "x", "shape": [1], "data": [1]}"#, "input `x` lacks `datatype`"),
            (
                r#"{"name": "x", "shape": [1], "datatype": "FP64"}"#,
                "'data' field is missing for input 'x' for model 'm'",
            ),
            (
                r#"{"name": "x", "shape": [4294967296, 4294967296, 4], "datatype": "FP64", "data": [1]}"#,
                "input `x`: the sizes of shape [4294967296, 4294967296, 4] multiply beyond memory",
            ),
        ] {
            assert_eq!(decode(input).unwrap_err(), message, "{input}");
        }
        assert!(
            decode(r#"{"name": "x", "shape": [1], "datatype": "FP8", "data": [1]}"#)
                .unwrap_err()
                .starts_with("unknown datatype `FP8`; known are BOOL")
        );
    }

    #[test]
    fn an_answer_is_flat() {
        let response = InferResponse {
            model_name: "m".to_owned(),
            id: "7".to_owned(),
            parameters: Parameters(vec![("k".to_owned(), Parameter::Int(1))]),
            outputs: vec![Tensor::fp64("y", [1, 2], vec![0.25, 1.0])],
            ..Default::default()
        };
        assert_eq!(
            &*encode_response(response, &Form::default()).unwrap().0,
            br#"{"model_name":"m","id":"7","parameters":{"k":1},"outputs":[{"name":"y","datatype":"FP64","shape":[1,2],"data":[0.25,1.0]}]}"#
        );
    }

    #[test]
    fn a_shape_after_the_data_cannot_belie_it() {
        let decode = |rest: &str| {
            decode(&format!(r#"{{"name": "d", "shape": [1], "datatype": "INT8", "data": [7], {rest}}}"#))
        };
        assert_eq!(decode(r#""shape": [2]"#).unwrap_err(), "input `d` has `shape` twice");
        assert_eq!(decode(r#""datatype": "INT16""#).unwrap_err(), "input `d` has `datatype` twice");
    }

    #[test]
    fn lists_that_cost_more_than_they_say_are_limited() {
        let code = |body: String| decode_request(body.as_bytes()).map_err(|error| error.code);
        let shape = |rank: usize| {
            let sizes = vec!["1"; rank].join(",");
            format!(r#"{{"inputs":[{{"name":"x","datatype":"INT8","shape":[{sizes}],"data":[7]}}]}}"#)
        };
        assert_eq!(code(shape(64)).unwrap().inputs[0].shape.len(), 64);
        assert_eq!(code(shape(65)), Err(Code::TooLarge));
        let outputs = |many: usize| format!(r#"{{"inputs":[],"outputs":[{}]}}"#, vec!["{}"; many].join(","));
        assert_eq!(code(outputs(MANY)).unwrap().outputs.len(), MANY);
        assert_eq!(code(outputs(MANY + 1)), Err(Code::TooLarge));
        let input = r#"{"shape":[0],"datatype":"BOOL","data":[]}"#;
        let inputs = vec![input; MANY + 1].join(",");
        assert_eq!(code(format!(r#"{{"inputs":[{inputs}]}}"#)), Err(Code::TooLarge));
    }
}
