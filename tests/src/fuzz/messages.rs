//! Messages of gRPC: those of the Open Inference Protocol, and those that carry any body from service to service.

use std::collections::BTreeMap;

use bytes::Bytes;
use prost::Message;
use weir_proto::generated::mesh as wire;
use weir_proto::json::Reader;
use weir_proto::oip::{self, Contents};
use weir_proto::{
    Data, DecodeLimits, Face, Form, InferRequest, InferResponse, Layout, Method, Parameters, Payload,
};

use super::{assert_bounded, assert_same, assert_whole};

/// gRPC requests, and what a router finds of them without decoding.
pub fn oip_request(data: &[u8]) -> bool {
    let body = Bytes::copy_from_slice(data);
    // It looks at fewer fields than the decoder, so it may accept more.
    let envelope = oip::envelope(&body);
    let decode = |limits: &DecodeLimits| oip::decode_request(body.clone(), limits);
    let Ok(request) = decode(&DecodeLimits::default()) else { return false };
    envelope.expect("a request has an envelope");
    assert_bounded(&request, data.len(), decode);
    keeps(&request);
    true
}

/// A request comes back from its gRPC form, and its envelope tells the model.
pub(super) fn keeps(request: &InferRequest) {
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

/// gRPC answers: the same with raw and with typed contents, and whatever their tensors are, other faces say them or refuse.
pub fn oip_response(data: &[u8]) -> bool {
    let Ok(response) = oip::decode_response(Bytes::copy_from_slice(data)) else { return false };
    assert_whole(&response.outputs);
    for contents in [Contents::Raw, Contents::Typed] {
        let body = oip::encode_response(response.clone(), contents);
        assert_same(&response, &oip::decode_response(body).expect("an encoded answer can be decoded"));
    }
    for method in [Method::Predict, Method::Classify, Method::Regress] {
        for layout in [Layout::Rows, Layout::Columns] {
            say(Face::V1, &response, Form { method, layout, ..Form::default() });
        }
    }
    say(Face::V2, &response, Form::default());
    say(Face::V2, &response, Form { binary: true, ..Form::default() });
    true
}

/// Writes an answer: where that can be done, JSON comes of it.
fn say(face: Face, response: &InferResponse, form: Form) {
    let Ok(payload) = Payload::of_response(face, response.clone(), form) else { return };
    if !matches!(face, Face::V1 | Face::V2) {
        return;
    }
    let json = &payload.body[..payload.json_length.unwrap_or(payload.body.len())];
    let mut reader = Reader::with_limits(json, weir_proto::json::Limits { depth: 128 });
    reader
        .skip()
        .and_then(|()| reader.finish())
        .unwrap_or_else(|error| panic!("{error} in {}", json.escape_ascii()));
}

/// Calls between services, in any face, and the answers to them.
pub fn mesh(data: &[u8]) -> bool {
    let answered = wire::Answer::decode(data).is_ok_and(answer);
    let called = wire::Call::decode(data).is_ok_and(call);
    answered || called
}

fn call(call: wire::Call) -> bool {
    let (Ok(face), Ok(want)) = (Face::try_from(call.face), Face::try_from(call.want)) else { return false };
    let form = Form::from_wire(call.form);
    assert_eq!(form, Form::from_wire(form.to_wire()));
    let Ok(json_length) = call.json_length.map(usize::try_from).transpose() else { return false };
    let bytes = call.body.len();
    let payload = Payload { face, body: call.body, json_length, form };
    let decode = |limits: &DecodeLimits| payload.clone().into_request("m", limits);
    let Ok((request, form)) = decode(&DecodeLimits::default()) else { return false };
    assert_bounded(&request, bytes, |limits| decode(limits).map(|(request, _)| request));
    let alone = json_length == Some(0) && face == Face::V2;
    assert!(!alone || matches!(&request.inputs[0].data, Data::Bytes(it) if it[0].len() == bytes));
    say(want, &InferResponse { outputs: request.inputs, ..InferResponse::default() }, form);
    true
}

fn answer(answer: wire::Answer) -> bool {
    let Ok(face) = Face::try_from(answer.face) else { return false };
    let payload = Payload { form: Form::from_wire(answer.form), ..Payload::new(face, answer.body) };
    let Ok((response, form)) = payload.into_response() else { return false };
    assert_whole(&response.outputs);
    say(Face::V1, &response, form.clone());
    say(Face::V2, &response, form);
    true
}
