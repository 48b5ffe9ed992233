//! The same tensor in every face is, once fitted to what the model takes, the same bits; so is the same answer.
//!
//! V1 carries no half floats and no UINT64 beyond INT64, JSON none of the former either and one NaN only: for those the faces
//! that carry them agree with each other.

use bytes::Bytes;
use proptest::prelude::*;

use super::requests::typed;
use super::texts::Scribe;
use super::v1_requests::within_int64;
use super::values::{ALL, full_shape, tensor_of};
use super::{Bits, bits, config, through_json};
use crate::generated::mesh;
use crate::{
    Data, DataType, DecodeLimits, Face, Form, InferRequest, InferResponse, Payload, Signature, Tensor,
    TensorSpec, oip,
};

/// Brings a body between services and decodes it there.
fn decode(face: Face, body: Bytes, json_length: Option<usize>) -> (InferRequest, Form) {
    let call = mesh::Call {
        face: mesh::Face::from(face).into(),
        want: mesh::Face::from(face).into(),
        model: "m".to_owned(),
        version: String::new(),
        body,
        json_length: json_length.map(|it| it as u64),
        form: Form::default().to_wire(),
    };
    let call: mesh::Call = prost::Message::decode(prost::Message::encode_to_vec(&call).as_slice()).unwrap();
    let payload = Payload {
        face: Face::try_from(call.face).unwrap(),
        body: call.body,
        json_length: call.json_length.map(|it| usize::try_from(it).unwrap()),
        form: Form::from_wire(call.form),
    };
    payload
        .into_request(&call.model, &DecodeLimits::default())
        .unwrap_or_else(|error| panic!("{}", error.message))
}

/// A model that takes such a tensor, with any number of rows.
fn taking(tensor: &Tensor) -> Signature {
    let mut shape: Vec<i64> = tensor.shape.iter().map(|&it| i64::try_from(it).unwrap()).collect();
    shape[0] = -1;
    Signature { inputs: vec![TensorSpec::new("x", tensor.datatype(), shape)], ..Signature::default() }
}

fn bind(signature: &Signature, mut request: InferRequest) -> Vec<Bits> {
    let bound = signature.bind(&mut request).unwrap_or_else(|error| panic!("{}", error.message));
    anonymous(bound)
}

/// A tensor has no name in V1, and parameters in V2 only.
fn anonymous(mut tensors: Vec<Tensor>) -> Vec<Bits> {
    for it in &mut tensors {
        it.name.clear();
        it.parameters.0.clear();
    }
    bits(&tensors)
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn one_tensor_is_the_same_in_every_face(
        it in full_shape().prop_flat_map(|shape| tensor_of(&ALL, shape)),
        seed in any::<u64>(),
    ) {
        let scribe = &mut Scribe(seed);
        let signature = taking(&it);
        let request = InferRequest::of(vec![it.clone()]);
        let want = anonymous(vec![it.clone()]);
        let is_half = matches!(it.datatype(), DataType::Fp16 | DataType::Bf16);

        let messages = decode(Face::Tensors, oip::encode_request("m", "", request.clone()), None).0;
        assert_eq!(bind(&signature, messages), want);
        let (head, behind) = scribe.v2(&request, |_| true);
        let raw = [head.as_bytes(), &behind].concat().into();
        assert_eq!(bind(&signature, decode(Face::V2, raw, Some(head.len())).0), want);
        if it.datatype() != DataType::Bytes {
            let (alone, form) = decode(Face::V2, it.data.clone().into_raw(), Some(0));
            assert!(form.raw);
            let Data::Bytes(alone) = &alone.inputs[0].data else { panic!("bytes expected, met {alone:?}") };
            assert_eq!(anonymous(signature.bind_raw(alone[0].clone()).unwrap()), want);
        }
        if is_half {
            return Ok(());
        }
        assert_eq!(bind(&signature, decode(Face::TypedTensors, typed(request.clone()), None).0), want);

        let mut one_nan = it.clone();
        through_json(&mut one_nan.data, false);
        let want = anonymous(vec![one_nan]);
        for _ in 0..2 {
            let (json, _) = scribe.v2(&request, |_| false);
            assert_eq!(bind(&signature, decode(Face::V2, json.into(), None).0), want);
        }

        let it = within_int64(it);
        let mut one_nan = it.clone();
        through_json(&mut one_nan.data, false);
        let want = anonymous(vec![one_nan]);
        let rows = scribe.nested(&it.data, &it.shape, 0, false);
        for key in ["instances", "inputs"] {
            let text = scribe.object(vec![(key.to_owned(), rows.clone())]);
            assert_eq!(bind(&signature, decode(Face::V1, text.into(), None).0), want);
        }
    }

    #[test]
    fn one_answer_is_the_same_in_every_face(it in full_shape().prop_flat_map(|shape| tensor_of(&ALL[..11], shape))) {
        let response = InferResponse { outputs: vec![it.clone()], ..InferResponse::default() };
        let write = |face, form: Form| Payload::of_response(face, response.clone(), form).unwrap();
        let mut finite = it.clone();
        through_json(&mut finite.data, true);
        let finite = anonymous(vec![finite]);
        let want = anonymous(vec![it.clone()]);

        let v1 = super::reader::read(&write(Face::V1, Form::default()).body);
        let v1 = Tensor { data: v1.get("predictions").unwrap().data(it.datatype()), ..it };
        assert_eq!(anonymous(vec![v1]), finite);
        let v2 = write(Face::V2, Form::default());
        assert_eq!(anonymous(super::reader::v2(&v2.body, v2.json_length).outputs), finite);
        let raw = write(Face::V2, Form { binary: true, ..Form::default() });
        assert!(raw.json_length.is_some());
        assert_eq!(anonymous(super::reader::v2(&raw.body, raw.json_length).outputs), want);
        for face in [Face::Tensors, Face::TypedTensors] {
            let (got, _) = write(face, Form::default()).into_response().unwrap();
            assert_eq!(anonymous(got.outputs), want);
        }
    }
}
