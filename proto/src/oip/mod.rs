//! The Open Inference Protocol's gRPC messages, to and from the one request and the one answer.

mod envelope;

use bytes::Bytes;
use prost::Message;

use crate::generated::inference::{
    InferParameter, InferTensorContents, ModelInferRequest, ModelInferResponse,
    infer_parameter::ParameterChoice,
    model_infer_request::{InferInputTensor, InferRequestedOutputTensor},
    model_infer_response::InferOutputTensor,
};
use crate::tensor::{check_rank, elements};
use crate::{
    Code, Data, DataType, DecodeLimits, Error, InferRequest, InferResponse, Parameter, Parameters,
    RequestedOutput, Tensor,
};

pub(crate) use envelope::Fields;
pub use envelope::{Envelope, envelope};

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
/// `InvalidInput` telling the input, what was met and what was expected; `TooLarge` for what is over a limit.
pub fn decode_request(body: Bytes, limits: &DecodeLimits) -> Result<InferRequest, Error> {
    envelope::check_request(&body, limits)?;
    envelope::check_runs(&body, limits)?;
    let message = ModelInferRequest::decode(body)
        .map_err(|error| Error::invalid(format!("not an inference.ModelInferRequest: {error}")))?;
    request_of(message, limits)
}

/// Decodes a `ModelInferResponse`.
///
/// # Errors
/// `Upstream` when the bytes are not such a message.
pub fn decode_response(body: Bytes) -> Result<InferResponse, Error> {
    let upstream = |error: Error| Error::new(Code::Upstream, error.message);
    envelope::check_response(&body).map_err(upstream)?;
    let message = ModelInferResponse::decode(body).map_err(|error| {
        Error::new(Code::Upstream, format!("not an inference.ModelInferResponse: {error}"))
    })?;
    let (outputs, raws) = (message.outputs.len(), message.raw_output_contents.len());
    if raws > 0 && raws != outputs {
        return Err(upstream(Error::invalid(format!("{raws} raw contents for {outputs} outputs"))));
    }
    let raw = raw_of(message.raw_output_contents, outputs);
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
    request_message(model, version, request).encode_to_vec().into()
}

/// Makes the message of a request with raw contents, which lends them.
pub fn request_message(model: &str, version: &str, request: InferRequest) -> ModelInferRequest {
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
    message
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

fn request_of(message: ModelInferRequest, limits: &DecodeLimits) -> Result<InferRequest, Error> {
    let model = &message.model_name;
    let (inputs, raws) = (message.inputs.len(), message.raw_input_contents.len());
    if raws > 0 && raws != inputs {
        return Err(Error::invalid(format!(
            "the number of inputs ({inputs}) does not match the expected number of raw input contents ({raws}) for \
             model '{model}'."
        )));
    }
    if let Some(both) = message.inputs.iter().find(|it| raws > 0 && it.contents.is_some()) {
        return Err(Error::invalid(format!(
            "contents field must not be specified when using raw_input_contents for input '{}' for model '{model}'",
            both.name
        )));
    }
    let raw = raw_of(message.raw_input_contents, inputs);
    let mut inputs = Vec::with_capacity(message.inputs.len());
    let mut limits = *limits;
    for (it, raw) in message.inputs.into_iter().zip(raw) {
        // What a shape claims beyond memory, `tensor` refuses in its own words.
        if let (Ok(datatype), Some(count)) = (DataType::parse(&it.datatype), claimed(&it.shape)) {
            limits.check_tensor(&it.name, count, datatype)?;
        }
        let input = tensor(it.name, &it.datatype, &it.shape, it.parameters, it.contents, raw)?;
        limits.check_tensor(&input.name, input.data.len(), input.data.datatype())?;
        limits.spend(&input.data);
        inputs.push(input);
    }
    Ok(InferRequest {
        inputs,
        id: message.id,
        parameters: parameters_of(message.parameters),
        outputs: message
            .outputs
            .into_iter()
            .map(|it| RequestedOutput { name: it.name, parameters: parameters_of(it.parameters) })
            .collect(),
    })
}

/// How many elements a shape claims.
fn claimed(shape: &[i64]) -> Option<usize> {
    shape.iter().try_fold(1_usize, |count, &size| count.checked_mul(usize::try_from(size).ok()?))
}

/// One raw entry a tensor, or none for any.
fn raw_of(raw: Vec<Bytes>, tensors: usize) -> Vec<Option<Bytes>> {
    if raw.is_empty() { vec![None; tensors] } else { raw.into_iter().map(Some).collect() }
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
    check_rank(&name, shape.len())?;
    let sizes: Option<Vec<usize>> = shape.iter().map(|&size| usize::try_from(size).ok()).collect();
    let sizes = sizes.ok_or_else(|| {
        Error::invalid(format!("input `{name}`: a shape holds sizes of 0 or more, met {shape:?}"))
    })?;
    let count = elements(&sizes).ok_or_else(|| {
        Error::invalid(format!("input `{name}`: the sizes of shape {shape:?} multiply beyond memory"))
    })?;
    let data = match (raw, contents) {
        (Some(raw), _) => Data::from_raw(datatype, raw, count, &name)?,
        (None, contents) => from_typed(datatype, contents.unwrap_or_default(), &name)?,
    };
    if data.len() != count {
        let got = data.len();
        return Err(Error::invalid(format!(
            "input `{name}` has {got} values, its shape {shape:?} needs {count}"
        )));
    }
    let mut parameters = parameters_of(parameters);
    // KServe's clients tell the size of raw bytes once more.
    parameters.take("binary_data_size");
    Ok(Tensor { name, shape: sizes, data, parameters })
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

    #[test]
    fn what_a_message_would_take_is_limited_before_it_is_decoded() {
        let limits = DecodeLimits { elements: 16, ..DecodeLimits::default() };
        let code = |contents: InferTensorContents, shape: i64, datatype: &str| {
            let mut input = InferInputTensor::default();
            (input.shape, input.datatype) = (vec![shape], datatype.to_owned());
            input.contents = Some(contents);
            let message = ModelInferRequest { inputs: vec![input], ..ModelInferRequest::default() };
            super::decode_request(message.encode_to_vec().into(), &limits).map(|_| ()).map_err(|it| it.code)
        };
        let integers = |count| InferTensorContents { int64_contents: vec![7; count], ..Default::default() };
        let floats = |count| InferTensorContents { fp32_contents: vec![7.0; count], ..Default::default() };
        let strings =
            |count| InferTensorContents { bytes_contents: vec![Bytes::new(); count], ..Default::default() };
        assert_eq!(code(integers(16), 16, "INT64"), Ok(()));
        assert_eq!(code(integers(17), 17, "INT64"), Err(Code::TooLarge));
        assert_eq!(code(floats(17), 17, "FP32"), Err(Code::TooLarge));
        assert_eq!(code(strings(2), 2, "BYTES"), Ok(()));
        assert_eq!(code(strings(3), 3, "BYTES"), Err(Code::TooLarge));
    }

    fn decode_request(body: Bytes) -> Result<InferRequest, Error> {
        super::decode_request(body, &DecodeLimits::default())
    }

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
        let want = Envelope {
            model: "iris".to_owned(),
            version: "2".to_owned(),
            id: "7".to_owned(),
            contents: Contents::Raw,
        };
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
            assert_eq!(request_of(it, &DecodeLimits::default()).unwrap_err().message, message);
        };
        check(
            &|it| it.inputs[0].shape = vec![3],
            "input `a` of datatype INT8 needs 3 elements of 1 bytes, got 2 bytes",
        );
        check(&|it| it.inputs[0].shape = vec![-1], "input `a`: a shape holds sizes of 0 or more, met [-1]");
        check(
            &|it| drop(it.raw_input_contents.pop()),
            "the number of inputs (2) does not match the expected number of raw input contents (1) for model 'm'.",
        );
        check(
            &|it| it.inputs[1].contents = Some(InferTensorContents::default()),
            "contents field must not be specified when using raw_input_contents for input 'b' for model 'm'",
        );
        check(&|it| it.raw_input_contents.clear(), "input `a` has 0 values, its shape [2] needs 2");
    }

    #[test]
    fn an_answer_that_costs_more_than_it_says_is_refused() {
        let outputs =
            vec![Tensor { shape: vec![1; 65], ..Tensor::new("y", [1], Data::Int8(vec![7].into())) }];
        let deep = encode_response(InferResponse { outputs, ..Default::default() }, Contents::Raw);
        let error = decode_response(deep).unwrap_err();
        assert_eq!(
            (error.code, &*error.message),
            (Code::Upstream, "input `y` has a shape of 65 sizes or more, the limit is 64")
        );
        // Each two bytes is a tensor without anything.
        let many = decode_response([0x2a, 0].repeat(1 << 15).into()).unwrap_err();
        assert_eq!(many.message, "the message has 32768 tensors and parameters, the limit is 16384");
    }
}
