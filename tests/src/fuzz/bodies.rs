//! Bodies of requests and answers: an echo of what was accepted is accepted, and the same.

use std::collections::BTreeMap;

use bytes::Bytes;
use weir_proto::oip::{self, Contents};
use weir_proto::{
    Data, DecodeLimits, Form, InferRequest, InferResponse, Layout, Parameter, Parameters, Tensor, v1, v2,
};

use super::{assert_same, assert_whole};

/// V1 requests: tensors come back as they were when an echo answers with them in the request's own layout.
pub fn v1_request(data: &[u8]) -> bool {
    let limits = DecodeLimits::default();
    let Ok((request, form)) = v1::decode_request(data, Form::default(), &limits) else { return false };
    assert_whole(&request.inputs);
    // `[{}]` has rows, but no tensor that could tell how many.
    if request.inputs.is_empty() {
        return true;
    }
    let echo = InferResponse { outputs: request.inputs.clone(), ..InferResponse::default() };
    let answer = v1::encode_response(&echo, &form).expect("what JSON said can be said in JSON");
    let (said, meant): (&[u8], &[u8]) = match form.layout {
        Layout::Rows => (b"{\"predictions\"", b"{\"instances\""),
        Layout::Inputs => (b"{\"predictions\"", b"{\"inputs\""),
        Layout::Columns => (b"{\"outputs\"", b"{\"inputs\""),
    };
    let again = [meant, answer.strip_prefix(said).expect("a V1 answer")].concat();
    let again = v1::decode_request(&again, Form::default(), &limits);
    let mut again = again.expect("an echoed request is one").0.inputs;
    let mut inputs = request.inputs;
    if let ([input], [only]) = (inputs.as_mut_slice(), again.as_mut_slice()) {
        // A single tensor is answered without its name.
        only.name.clone_from(&input.name);
    }
    for tensor in inputs.iter_mut().chain(&mut again) {
        nulls(tensor);
    }
    assert_same(&inputs, &again);
    true
}

/// What is not finite is written as null, which is read as NaN.
fn nulls(tensor: &mut Tensor) {
    if let Data::Fp64(values) = &tensor.data {
        let finite = |&value: &f64| if value.is_finite() { value } else { f64::NAN };
        tensor.data = Data::Fp64(values.iter().map(finite).collect::<Vec<_>>().into());
    }
}

/// V2 requests: the same in JSON and in gRPC.
pub fn v2_request(data: &[u8]) -> bool {
    let data = Bytes::copy_from_slice(data);
    let Ok((request, _)) = v2::decode_request(&data, None, "m", &DecodeLimits::default()) else {
        return false;
    };
    grpc_keeps(&request);
    // JSON has no number for what is not finite, and an answer has no list of wanted outputs.
    if is_finite(&request) {
        let echo = InferResponse {
            id: request.id.clone(),
            parameters: request.parameters.clone(),
            outputs: request.inputs.clone(),
            ..InferResponse::default()
        };
        let (answer, _) =
            v2::encode_response(echo, &Form::default()).expect("what JSON said can be said in JSON");
        let text = std::str::from_utf8(&answer).expect("JSON is text");
        // Quotes inside of strings are escaped, and parameters are scalars: the first such key is the list of tensors.
        let again = text.replacen("\"outputs\":[", "\"inputs\":[", 1);
        let again = v2::decode_request(&again.into(), None, "m", &DecodeLimits::default());
        let (again, _) = again.expect("an echoed request is one");
        assert_same(&InferRequest { outputs: Vec::new(), ..request }, &again);
    }
    true
}

fn is_finite(request: &InferRequest) -> bool {
    let scalars =
        |it: &Parameters| !it.0.iter().any(|(_, it)| matches!(it, Parameter::Double(v) if !v.is_finite()));
    let numbers = |it: &Tensor| it.data.to_f64().is_none_or(|values| values.iter().all(|it| it.is_finite()));
    scalars(&request.parameters) && request.inputs.iter().all(|it| scalars(&it.parameters) && numbers(it))
}

/// A request comes back from its gRPC form, and its envelope tells the model.
fn grpc_keeps(request: &InferRequest) {
    let body = oip::encode_request("m", "1", request.clone());
    let envelope = oip::envelope(&body).expect("an encoded request has an envelope");
    assert_eq!((envelope.model.as_str(), envelope.version.as_str()), ("m", "1"));
    let mut want = request.clone();
    // Parameters are a map there: the last of equal keys counts, and there is no order.
    want.parameters = as_map(&want.parameters);
    want.inputs.iter_mut().for_each(|it| it.parameters = as_map(&it.parameters));
    want.outputs.iter_mut().for_each(|it| it.parameters = as_map(&it.parameters));
    assert_same(
        &want,
        &oip::decode_request(body, &DecodeLimits::default()).expect("an encoded request can be decoded"),
    );
}

fn as_map(parameters: &Parameters) -> Parameters {
    let map: BTreeMap<_, _> = parameters.0.iter().cloned().collect();
    Parameters(map.into_iter().collect())
}

/// gRPC requests, and what a router finds of them without decoding.
pub fn oip_request(data: &[u8]) -> bool {
    let body = Bytes::copy_from_slice(data);
    // It looks at fewer fields than the decoder, so it may accept more.
    let _ = oip::envelope(&body);
    let Ok(request) = oip::decode_request(body, &DecodeLimits::default()) else { return false };
    assert_whole(&request.inputs);
    grpc_keeps(&request);
    true
}

/// gRPC answers: the same with raw and with typed contents.
pub fn oip_response(data: &[u8]) -> bool {
    let Ok(response) = oip::decode_response(Bytes::copy_from_slice(data)) else { return false };
    assert_whole(&response.outputs);
    for contents in [Contents::Raw, Contents::Typed] {
        let body = oip::encode_response(response.clone(), contents);
        assert_same(&response, &oip::decode_response(body).expect("an encoded answer can be decoded"));
    }
    true
}
