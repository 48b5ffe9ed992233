//! Bodies of requests in JSON: an echo of what was accepted is accepted, and the same.

use bytes::Bytes;
use weir_proto::{
    Data, DecodeLimits, Form, InferRequest, InferResponse, Layout, Method, Parameter, Parameters, Tensor, v1,
    v2,
};

use super::messages::keeps;
use super::{assert_bounded, assert_same};

/// V1 requests, as each of the methods reads them.
pub fn v1_request(data: &[u8]) -> bool {
    let read = |method| {
        let decode =
            |limits: &DecodeLimits| v1::decode_request(data, Form { method, ..Form::default() }, limits);
        let (request, form) = decode(&DecodeLimits::default()).ok()?;
        assert_bounded(&request, data.len(), |limits| decode(limits).map(|(request, _)| request));
        assert_eq!(form.method, method);
        Some((request, form))
    };
    let classified = read(Method::Classify);
    assert_same(&classified.as_ref().map(|it| &it.0), &read(Method::Regress).as_ref().map(|it| &it.0));
    let predicted = read(Method::Predict);
    let accepted = classified.is_some() || predicted.is_some();
    if let Some((request, form)) = predicted {
        echo(&request, &form);
    }
    accepted
}

/// Tensors come back as they were when an answer has them in the request's own layout.
fn echo(request: &InferRequest, form: &Form) {
    // `[{}]` has rows, but no tensor that could tell how many.
    if request.inputs.is_empty() {
        return;
    }
    let limits = DecodeLimits::default();
    let echo = InferResponse { outputs: request.inputs.clone(), ..InferResponse::default() };
    // What is not finite as `null`, and as tokens.
    for tokens in [false, true] {
        let answer = v1::encode_response(&echo, &Form { tokens, ..form.clone() });
        let answer = answer.expect("what JSON said can be said in JSON");
        let (said, meant): (&[u8], &[u8]) = match form.layout {
            Layout::Rows => (b"{\"predictions\"", b"{\"instances\""),
            Layout::Inputs => (b"{\"predictions\"", b"{\"inputs\""),
            Layout::Columns => (b"{\"outputs\"", b"{\"inputs\""),
        };
        let again = [meant, answer.strip_prefix(said).expect("a V1 answer")].concat();
        let again = v1::decode_request(&again, Form::default(), &limits);
        let mut again = again.expect("an echoed request is one").0.inputs;
        let mut inputs = request.inputs.clone();
        if let ([input], [only]) = (inputs.as_mut_slice(), again.as_mut_slice()) {
            // A single tensor is answered without its name.
            only.name.clone_from(&input.name);
        }
        if !tokens {
            inputs.iter_mut().chain(&mut again).for_each(nulls);
        }
        assert_same(&inputs, &again);
    }
}

/// What is not finite is written as null, which is read as NaN.
fn nulls(tensor: &mut Tensor) {
    if let Data::Fp64(values) = &tensor.data {
        let finite = |&value: &f64| if value.is_finite() { value } else { f64::NAN };
        tensor.data = Data::Fp64(values.iter().map(finite).collect::<Vec<_>>().into());
    }
}

/// V2 requests: the same in JSON, with raw tensors behind it, and in gRPC. What stands behind the first byte 0xff, which no
/// JSON has, is the raw part.
pub fn v2_request(data: &[u8]) -> bool {
    let cut = data.iter().position(|&byte| byte == 0xff);
    let body: Bytes = match cut {
        Some(cut) => [&data[..cut], &data[cut + 1..]].concat().into(),
        None => Bytes::copy_from_slice(data),
    };
    // A wrong length is refused or understood, but nothing else.
    for wrong in [0, 1, body.len() / 2, body.len(), body.len() + 1, usize::MAX] {
        let _ = v2::decode_request(&body, Some(wrong), "m", &DecodeLimits::default());
    }
    let decode = |limits: &DecodeLimits| v2::decode_request(&body, cut, "m", limits);
    let Ok((request, form)) = decode(&DecodeLimits::default()) else { return false };
    assert_bounded(&request, body.len(), |limits| decode(limits).map(|(request, _)| request));
    keeps(&request);
    let echo = InferResponse {
        id: request.id.clone(),
        parameters: request.parameters.clone(),
        outputs: request.inputs.clone(),
        ..InferResponse::default()
    };
    // Whatever is wished for, it is said or refused.
    let _ = v2::encode_response(echo.clone(), &form);
    // An answer has no list of wanted outputs.
    let want = InferRequest { outputs: Vec::new(), ..request };
    // Where the parameter says that strings are base64, they would be decoded once more.
    if want.inputs.iter().any(|it| it.parameters.get("content_type").is_some()) {
        return true;
    }
    // JSON has no number for what is not finite, and neither half floats nor bytes that are no text.
    if is_in_json(&want) {
        assert_same(&want, &read_again(echo.clone(), &Form::default()));
    }
    if has_finite_parameters(&want) {
        assert_same(&want, &read_again(echo, &Form { binary: true, ..Form::default() }));
    }
    true
}

/// Writes an answer and reads it as a request.
fn read_again(echo: InferResponse, form: &Form) -> InferRequest {
    let (answer, json_length) = v2::encode_response(echo, form).expect("what JSON said can be said in JSON");
    let (json, raw) = answer.split_at(json_length.unwrap_or(answer.len()));
    let text = std::str::from_utf8(json).expect("JSON is text");
    // Quotes inside of strings are escaped, and parameters are scalars: the first such key is the list of tensors.
    let text = text.replacen("\"outputs\":[", "\"inputs\":[", 1);
    let length = json_length.map(|_| text.len());
    let body = [text.as_bytes(), raw].concat().into();
    let again = v2::decode_request(&body, length, "m", &DecodeLimits::default());
    again.expect("an echoed request is one").0
}

fn has_finite_parameters(request: &InferRequest) -> bool {
    let scalars =
        |it: &Parameters| !it.0.iter().any(|(_, it)| matches!(it, Parameter::Double(v) if !v.is_finite()));
    scalars(&request.parameters) && request.inputs.iter().all(|it| scalars(&it.parameters))
}

fn is_in_json(request: &InferRequest) -> bool {
    let data = |it: &Tensor| match &it.data {
        Data::Fp16(_) | Data::Bf16(_) => false,
        Data::Bytes(it) => it.iter().all(|it| std::str::from_utf8(it).is_ok()),
        numbers => numbers.to_f64().is_none_or(|values| values.iter().all(|it| it.is_finite())),
    };
    has_finite_parameters(request) && request.inputs.iter().all(data)
}
