//! V2 requests in JSON, with raw tensors behind it, and in gRPC's messages.

use bytes::Bytes;
use proptest::collection::vec;
use proptest::prelude::*;
use prost::Message;

use super::texts::Scribe;
use super::values::{self, ALL, plain, request};
use super::{bits, config, parameters_through_json, scalars, sorted, through_json};
use crate::generated::inference::{
    ModelInferRequest, ModelInferResponse, model_infer_request::InferInputTensor,
};
use crate::oip::{self, Contents};
use crate::{DecodeLimits, Form, InferRequest, InferResponse, Parameter, Tensor, v2};

/// What V2 JSON carries of a request whose inputs go raw where `raw` holds.
fn in_json(request: &InferRequest, raw: impl Fn(&Tensor) -> bool) -> InferRequest {
    let mut request = request.clone();
    parameters_through_json(&mut request.parameters);
    for it in &mut request.inputs {
        parameters_through_json(&mut it.parameters);
        if !raw(it) {
            through_json(&mut it.data, false);
        }
    }
    request.outputs.iter_mut().for_each(|it| parameters_through_json(&mut it.parameters));
    request
}

/// What a protobuf message carries of a request: all of it, but for the order of parameters.
pub(super) fn in_messages(request: &InferRequest) -> InferRequest {
    let mut request = request.clone();
    sorted(&mut request.parameters);
    request.inputs.iter_mut().for_each(|it| sorted(&mut it.parameters));
    request.outputs.iter_mut().for_each(|it| sorted(&mut it.parameters));
    request
}

fn assert_same(got: &InferRequest, want: &InferRequest) {
    assert_eq!(bits(&got.inputs), bits(&want.inputs));
    assert_eq!((&got.id, scalars(&got.parameters)), (&want.id, scalars(&want.parameters)));
    let outputs = |it: &InferRequest| -> Vec<_> {
        it.outputs.iter().map(|it| (it.name.clone(), scalars(&it.parameters))).collect()
    };
    assert_eq!(outputs(got), outputs(want));
}

/// A message with typed contents. The product writes requests raw; its answers have the same tensors.
pub(super) fn typed(request: InferRequest) -> Bytes {
    let outputs = request.inputs.clone();
    let answer = oip::encode_response(InferResponse { outputs, ..InferResponse::default() }, Contents::Typed);
    let answer = ModelInferResponse::decode(answer).unwrap();
    let mut message = ModelInferRequest::decode(oip::encode_request("m", "1", request)).unwrap();
    message.raw_input_contents.clear();
    let input = |it: crate::generated::inference::model_infer_response::InferOutputTensor| InferInputTensor {
        name: it.name,
        datatype: it.datatype,
        shape: it.shape,
        parameters: it.parameters,
        contents: it.contents,
    };
    message.inputs = answer.outputs.into_iter().map(input).collect();
    message.encode_to_vec().into()
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn v2_json_is_read_as_it_was_meant(request in request(plain()), seed in any::<u64>()) {
        let (json, _) = Scribe(seed).v2(&request, |_| false);
        let (got, form) = v2::decode_request(&json.clone().into(), None, "m", &DecodeLimits::default())
            .unwrap_or_else(|error| panic!("{}: {json}", error.message));
        assert_same(&got, &in_json(&request, |_| false));
        assert_eq!(form, Form::default());
    }

    #[test]
    fn raw_tensors_behind_v2_json_come_back_bit_by_bit(
        request in request(&ALL),
        seed in any::<u64>(),
        all in any::<Option<bool>>(),
        wishes in vec(any::<Option<bool>>(), 3),
    ) {
        // Half floats have no other way.
        let raw = |it: &Tensor| it.datatype().size() == Some(2) || it.name.len().is_multiple_of(2);
        let mut asked = request.clone();
        let wish = |name: &str, wish| (name.to_owned(), Parameter::Bool(wish));
        asked.parameters.0.extend(all.map(|it| wish("binary_data_output", it)));
        for (output, it) in asked.outputs.iter_mut().zip(&wishes) {
            output.parameters.0.extend(it.map(|it| wish("binary_data", it)));
        }
        let (json, behind) = Scribe(seed).v2(&asked, raw);
        let body = Bytes::from([json.as_bytes(), &behind].concat());
        let (got, form) = v2::decode_request(&body, Some(json.len()), "m", &DecodeLimits::default())
            .unwrap_or_else(|error| panic!("{}: {json}", error.message));
        assert_same(&got, &in_json(&request, raw));
        assert_eq!(form.binary, all.unwrap_or(false));
        let named = request.outputs.iter().zip(&wishes).filter_map(|(output, it)| Some((output.name.clone(), (*it)?)));
        assert_eq!(form.outputs, named.collect::<Vec<_>>());
        // A byte less, or one more, is refused.
        let refuse = |body: Bytes| v2::decode_request(&body, Some(json.len()), "m", &DecodeLimits::default()).is_err();
        assert!(refuse([&*body, b"\0"].concat().into()));
        assert!(behind.is_empty() || refuse(body.slice(..body.len() - 1)));
    }

    #[test]
    fn messages_come_back_bit_by_bit(request in request(&ALL)) {
        let body = oip::encode_request("m", "1", request.clone());
        assert_eq!(oip::envelope(&body).unwrap().contents, Contents::Raw);
        assert_same(&oip::decode_request(body, &DecodeLimits::default()).unwrap(), &in_messages(&request));
    }

    #[test]
    fn messages_with_typed_contents_come_back_bit_by_bit(request in request(plain())) {
        let want = if request.inputs.is_empty() { Contents::Raw } else { Contents::Typed };
        let body = typed(request.clone());
        assert_eq!(oip::envelope(&body).unwrap().contents, want);
        assert_same(&oip::decode_request(body, &DecodeLimits::default()).unwrap(), &in_messages(&request));
    }

    #[test]
    fn a_tensor_over_the_limit_is_refused_in_every_face(it in values::tensor(plain()), seed in any::<u64>()) {
        let limits = DecodeLimits { elements: it.data.len().saturating_sub(1), ..DecodeLimits::default() };
        let request = InferRequest::of(vec![it.clone()]);
        let (json, _) = Scribe(seed).v2(&request, |_| false);
        let (head, behind) = Scribe(seed).v2(&request, |_| true);
        let raw = [head.as_bytes(), &behind].concat();
        let answers = [
            v2::decode_request(&json.into(), None, "m", &limits).map(|_| ()),
            v2::decode_request(&raw.into(), Some(head.len()), "m", &limits).map(|_| ()),
            oip::decode_request(oip::encode_request("m", "1", request.clone()), &limits).map(|_| ()),
            oip::decode_request(typed(request), &limits).map(|_| ()),
        ];
        for answer in answers {
            match answer {
                Ok(()) => assert!(it.data.is_empty()),
                Err(error) => assert_eq!(error.code, crate::Code::TooLarge),
            }
        }
    }
}
