//! The Open Inference Protocol's gRPC messages, to and from the one request and the one answer.

use bytes::Bytes;
use prost::Message;

use crate::generated::inference::{
    InferParameter, InferTensorContents, ModelInferRequest, ModelInferResponse,
    infer_parameter::ParameterChoice,
    model_infer_request::{InferInputTensor, InferRequestedOutputTensor},
    model_infer_response::InferOutputTensor,
};
use crate::tensor::elements;
use crate::{
    Code, Data, DataType, Error, InferRequest, InferResponse, Parameter, Parameters, RequestedOutput, Tensor,
};

/// Where a message keeps its numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Contents {
    /// In `raw_*_contents`.
    Raw,
    /// In each tensor's typed `contents`. Half floats have no such field; with one among them all go raw.
    Typed,
}

/// Decodes a `ModelInferRequest`. Raw contents are lent by `body`, not copied.
///
/// # Errors
/// `InvalidInput` telling the input, what was met and what was expected.
pub fn decode_request(body: Bytes) -> Result<InferRequest, Error> {
    let message = ModelInferRequest::decode(body)
        .map_err(|error| Error::invalid(format!("not an inference.ModelInferRequest: {error}")))?;
    request_of(message)
}

/// Decodes a `ModelInferResponse`.
///
/// # Errors
/// `Upstream` when the bytes are not such a message.
pub fn decode_response(body: Bytes) -> Result<InferResponse, Error> {
    let message = ModelInferResponse::decode(body).map_err(|error| {
        Error::new(Code::Upstream, format!("not an inference.ModelInferResponse: {error}"))
    })?;
    let upstream = |error: Error| Error::new(Code::Upstream, error.message);
    let raw = raw_of(message.raw_output_contents, message.outputs.len(), "outputs").map_err(upstream)?;
    let outputs = message.outputs.into_iter().zip(raw).map(|(it, raw)| {
        tensor(it.name, &it.datatype, &it.shape, it.parameters, it.contents, raw).map_err(upstream)
    });
    Ok(InferResponse {
        outputs: outputs.collect::<Result<_, _>>()?,
        model_name: message.model_name,
        model_version: message.model_version,
        id: message.id,
        parameters: parameters_of(message.parameters),
    })
}

/// Encodes a request with raw contents.
pub fn encode_request(model: &str, version: &str, request: InferRequest) -> Bytes {
    let mut message = ModelInferRequest {
        model_name: model.to_owned(),
        model_version: version.to_owned(),
        id: request.id,
        parameters: parameters_to(request.parameters),
        ..Default::default()
    };
    for output in request.outputs {
        let parameters = parameters_to(output.parameters);
        message.outputs.push(InferRequestedOutputTensor { name: output.name, parameters });
    }
    for input in request.inputs {
        message.inputs.push(InferInputTensor {
            name: input.name,
            datatype: input.data.datatype().name().to_owned(),
            shape: input.shape.iter().map(|&size| size as i64).collect(),
            parameters: parameters_to(input.parameters),
            contents: None,
        });
        message.raw_input_contents.push(input.data.into_raw());
    }
    message.encode_to_vec().into()
}

/// Encodes an answer.
pub fn encode_response(response: InferResponse, contents: Contents) -> Bytes {
    let halves = response.outputs.iter().any(|it| matches!(it.data, Data::Fp16(_) | Data::Bf16(_)));
    let mut message = ModelInferResponse {
        model_name: response.model_name,
        model_version: response.model_version,
        id: response.id,
        parameters: parameters_to(response.parameters),
        ..Default::default()
    };
    for output in response.outputs {
        let mut tensor = InferOutputTensor {
            name: output.name,
            datatype: output.data.datatype().name().to_owned(),
            shape: output.shape.iter().map(|&size| size as i64).collect(),
            parameters: parameters_to(output.parameters),
            contents: None,
        };
        if contents == Contents::Typed && !halves {
            tensor.contents = Some(typed(output.data));
        } else {
            message.raw_output_contents.push(output.data.into_raw());
        }
        message.outputs.push(tensor);
    }
    message.encode_to_vec().into()
}

/// What a router needs of a `ModelInferRequest`, found without decoding it: the model, the version, and how the numbers are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    /// Field `model_name`.
    pub model: String,
    /// Field `model_version`.
    pub version: String,
    /// Whether there are raw contents; no inputs at all counts as raw.
    pub contents: Contents,
}

/// Reads the [`Envelope`] of an encoded request: a walk over its top-level fields.
///
/// # Errors
/// `InvalidInput` when the bytes are not a protobuf message.
pub fn envelope(body: &Bytes) -> Result<Envelope, Error> {
    let broken =
        || Error::invalid("not an inference.ModelInferRequest: the message is cut short or malformed");
    let mut rest: &[u8] = body;
    let (mut model, mut version, mut raw, mut inputs) = (String::new(), String::new(), false, false);
    while !rest.is_empty() {
        let tag = prost::encoding::decode_varint(&mut rest).map_err(|_| broken())?;
        if tag & 7 != 2 {
            // Every field of the message is length-delimited; anything else is a newer field, to be passed over.
            let width = match tag & 7 {
                0 => {
                    prost::encoding::decode_varint(&mut rest).map_err(|_| broken())?;
                    0
                }
                1 => 8,
                5 => 4,
                _ => return Err(broken()),
            };
            rest = rest.get(width..).ok_or_else(broken)?;
            continue;
        }
        let length = prost::encoding::decode_varint(&mut rest).map_err(|_| broken())?;
        let length = usize::try_from(length).map_err(|_| broken())?;
        let field = rest.get(..length).ok_or_else(broken)?;
        rest = &rest[length..];
        let text = || String::from_utf8(field.to_vec()).map_err(|_| broken());
        match tag >> 3 {
            1 => model = text()?,
            2 => version = text()?,
            5 => inputs = true,
            7 => raw = true,
            _ => {}
        }
    }
    Ok(Envelope { model, version, contents: if raw || !inputs { Contents::Raw } else { Contents::Typed } })
}

fn request_of(message: ModelInferRequest) -> Result<InferRequest, Error> {
    let raw = raw_of(message.raw_input_contents, message.inputs.len(), "inputs")?;
    let inputs = message
        .inputs
        .into_iter()
        .zip(raw)
        .map(|(it, raw)| tensor(it.name, &it.datatype, &it.shape, it.parameters, it.contents, raw));
    Ok(InferRequest {
        inputs: inputs.collect::<Result<_, _>>()?,
        id: message.id,
        parameters: parameters_of(message.parameters),
        outputs: message
            .outputs
            .into_iter()
            .map(|it| RequestedOutput { name: it.name, parameters: parameters_of(it.parameters) })
            .collect(),
    })
}

/// One raw entry a tensor, or none for any.
fn raw_of(raw: Vec<Bytes>, tensors: usize, what: &str) -> Result<Vec<Option<Bytes>>, Error> {
    if raw.is_empty() {
        return Ok(vec![None; tensors]);
    }
    if raw.len() != tensors {
        return Err(Error::invalid(format!(
            "{} raw contents for {tensors} {what}: one for each is needed",
            raw.len()
        )));
    }
    Ok(raw.into_iter().map(Some).collect())
}

type ParameterMap = std::collections::HashMap<String, InferParameter>;

fn tensor(
    name: String,
    datatype: &str,
    shape: &[i64],
    parameters: ParameterMap,
    contents: Option<InferTensorContents>,
    raw: Option<Bytes>,
) -> Result<Tensor, Error> {
    let datatype = DataType::parse(datatype)?;
    let sizes: Option<Vec<usize>> = shape.iter().map(|&size| usize::try_from(size).ok()).collect();
    let sizes = sizes.ok_or_else(|| {
        Error::invalid(format!("input `{name}`: a shape holds sizes of 0 or more, met {shape:?}"))
    })?;
    let count = elements(&sizes).ok_or_else(|| {
        Error::invalid(format!("input `{name}`: the sizes of shape {shape:?} multiply beyond memory"))
    })?;
    let data = match (raw, contents) {
        (Some(_), Some(_)) => {
            return Err(Error::invalid(format!(
                "input `{name}` has both typed and raw contents; send one of the two"
            )));
        }
        (Some(raw), None) => Data::from_raw(datatype, raw, count, &name)?,
        (None, contents) => from_typed(datatype, contents.unwrap_or_default(), &name)?,
    };
    if data.len() != count {
        let got = data.len();
        return Err(Error::invalid(format!(
            "input `{name}` has {got} values, its shape {shape:?} needs {count}"
        )));
    }
    Ok(Tensor { name, shape: sizes, data, parameters: parameters_of(parameters) })
}

fn from_typed(datatype: DataType, it: InferTensorContents, name: &str) -> Result<Data, Error> {
    fn narrow<W: Copy, N: TryFrom<W>>(wide: &[W], name: &str, datatype: DataType) -> Result<Vec<N>, Error> {
        let outside = || Error::invalid(format!("input `{name}` holds an integer outside {datatype}"));
        wide.iter().map(|&v| N::try_from(v).map_err(|_| outside())).collect()
    }
    Ok(match datatype {
        DataType::Bool => Data::Bool(it.bool_contents.into_iter().map(u8::from).collect::<Vec<_>>().into()),
        DataType::Int8 => Data::Int8(narrow(&it.int_contents, name, datatype)?.into()),
        DataType::Int16 => Data::Int16(narrow(&it.int_contents, name, datatype)?.into()),
        DataType::Int32 => Data::Int32(it.int_contents.into()),
        DataType::Int64 => Data::Int64(it.int64_contents.into()),
        DataType::Uint8 => Data::Uint8(narrow(&it.uint_contents, name, datatype)?.into()),
        DataType::Uint16 => Data::Uint16(narrow(&it.uint_contents, name, datatype)?.into()),
        DataType::Uint32 => Data::Uint32(it.uint_contents.into()),
        DataType::Uint64 => Data::Uint64(it.uint64_contents.into()),
        DataType::Fp32 => Data::Fp32(it.fp32_contents.into()),
        DataType::Fp64 => Data::Fp64(it.fp64_contents.into()),
        DataType::Bytes => Data::Bytes(it.bytes_contents),
        DataType::Fp16 | DataType::Bf16 => {
            return Err(Error::invalid(format!(
                "input `{name}`: {datatype} travels in raw_input_contents only"
            )));
        }
    })
}

fn typed(data: Data) -> InferTensorContents {
    let mut it = InferTensorContents::default();
    match data {
        Data::Bool(v) => it.bool_contents = v.iter().map(|&v| v != 0).collect(),
        Data::Int8(v) => it.int_contents = v.iter().map(|&v| v.into()).collect(),
        Data::Int16(v) => it.int_contents = v.iter().map(|&v| v.into()).collect(),
        Data::Int32(v) => it.int_contents = v.into_vec(),
        Data::Int64(v) => it.int64_contents = v.into_vec(),
        Data::Uint8(v) => it.uint_contents = v.iter().map(|&v| v.into()).collect(),
        Data::Uint16(v) => it.uint_contents = v.iter().map(|&v| v.into()).collect(),
        Data::Uint32(v) => it.uint_contents = v.into_vec(),
        Data::Uint64(v) => it.uint64_contents = v.into_vec(),
        Data::Fp32(v) => it.fp32_contents = v.into_vec(),
        Data::Fp64(v) => it.fp64_contents = v.into_vec(),
        Data::Bytes(v) => it.bytes_contents = v,
        Data::Fp16(_) | Data::Bf16(_) => unreachable!("half floats go raw, decided by the caller"),
    }
    it
}

fn parameters_of(map: ParameterMap) -> Parameters {
    let mut list: Vec<_> = map
        .into_iter()
        .filter_map(|(key, value)| {
            let value = match value.parameter_choice? {
                ParameterChoice::BoolParam(v) => Parameter::Bool(v),
                ParameterChoice::Int64Param(v) => Parameter::Int(v),
                ParameterChoice::StringParam(v) => Parameter::String(v),
                ParameterChoice::DoubleParam(v) => Parameter::Double(v),
                ParameterChoice::Uint64Param(v) => Parameter::Uint(v),
            };
            Some((key, value))
        })
        .collect();
    // A protobuf map has no order; one is needed for answers to be the same twice.
    list.sort_by(|a, b| a.0.cmp(&b.0));
    Parameters(list)
}

fn parameters_to(parameters: Parameters) -> ParameterMap {
    let choice = |value| match value {
        Parameter::Bool(v) => ParameterChoice::BoolParam(v),
        Parameter::Int(v) => ParameterChoice::Int64Param(v),
        Parameter::Uint(v) => ParameterChoice::Uint64Param(v),
        Parameter::Double(v) => ParameterChoice::DoubleParam(v),
        Parameter::String(v) => ParameterChoice::StringParam(v),
    };
    let entry = |(key, value)| (key, InferParameter { parameter_choice: Some(choice(value)) });
    parameters.0.into_iter().map(entry).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request() -> InferRequest {
        InferRequest {
            id: "7".to_owned(),
            parameters: Parameters(vec![("k".to_owned(), Parameter::Double(1.5))]),
            inputs: vec![
                Tensor::new("a", [2], Data::Int8(vec![-1, 1].into())),
                Tensor::strings("b", [1], vec!["x".into()]),
            ],
            outputs: vec![RequestedOutput { name: "y".to_owned(), parameters: Parameters::default() }],
        }
    }

    #[test]
    fn a_request_comes_back_and_its_envelope_is_read_without_decoding() {
        let body = encode_request("iris", "2", request());
        assert_eq!(decode_request(body.clone()), Ok(request()));
        let want = Envelope { model: "iris".to_owned(), version: "2".to_owned(), contents: Contents::Raw };
        assert_eq!(envelope(&body), Ok(want));
        for end in 0..body.len() {
            let cut = body.slice(..end);
            assert!(envelope(&cut).is_ok() == ModelInferRequest::decode(cut.clone()).is_ok(), "cut at {end}");
        }
    }

    #[test]
    fn an_answer_comes_back_typed_and_raw() {
        let response = InferResponse {
            model_name: "iris".to_owned(),
            id: "7".to_owned(),
            outputs: request().inputs,
            ..Default::default()
        };
        for contents in [Contents::Raw, Contents::Typed] {
            assert_eq!(decode_response(encode_response(response.clone(), contents)), Ok(response.clone()));
        }
    }

    #[test]
    fn contents_that_contradict_the_shape_are_refused() {
        let check = |change: &dyn Fn(&mut ModelInferRequest), message: &str| {
            let mut it = ModelInferRequest::decode(encode_request("m", "", request())).unwrap();
            change(&mut it);
            assert_eq!(request_of(it).unwrap_err().message, message);
        };
        check(
            &|it| it.inputs[0].shape = vec![3],
            "input `a` of datatype INT8 needs 3 elements of 1 bytes, got 2 bytes",
        );
        check(&|it| it.inputs[0].shape = vec![-1], "input `a`: a shape holds sizes of 0 or more, met [-1]");
        check(&|it| drop(it.raw_input_contents.pop()), "1 raw contents for 2 inputs: one for each is needed");
        check(
            &|it| it.inputs[1].contents = Some(InferTensorContents::default()),
            "input `b` has both typed and raw contents; send one of the two",
        );
        check(&|it| it.raw_input_contents.clear(), "input `a` has 0 values, its shape [2] needs 2");
    }
}
