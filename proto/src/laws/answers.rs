//! Answers in every face, read back by a reader of their own.
//!
//! JSON writes what is not finite as `null`, which reads as NaN; V1 has the tokens for it when they are asked for. Half floats
//! have no JSON form, and bytes that are no text have none in V2: such an answer is refused.

use proptest::collection::vec;
use proptest::prelude::*;
use prost::Message;

use super::reader::{self, Value};
use super::values::{self, ALL, columns, plain, response};
use super::{bits, config, parameters_through_json, scalars, sorted, through_json};
use crate::generated::mesh;
use crate::oip::{self, Contents};
use crate::{Data, Face, Form, InferResponse, Layout, Method, Payload, Tensor, v1, v2};

fn assert_same(got: &InferResponse, want: &InferResponse) {
    assert_eq!(bits(&got.outputs), bits(&want.outputs));
    assert_eq!(scalars(&got.parameters), scalars(&want.parameters));
    assert_eq!(
        (&got.model_name, &got.model_version, &got.id),
        (&want.model_name, &want.model_version, &want.id)
    );
}

/// What V2 JSON carries of an answer in that form; nothing when it cannot.
fn in_json(response: &InferResponse, form: &Form) -> Option<InferResponse> {
    let mut response = response.clone();
    parameters_through_json(&mut response.parameters);
    for it in &mut response.outputs {
        parameters_through_json(&mut it.parameters);
        if form.is_binary(&it.name) {
            continue;
        }
        match &it.data {
            Data::Fp16(_) | Data::Bf16(_) => return None,
            Data::Bytes(blobs) if blobs.iter().any(|it| std::str::from_utf8(it).is_err()) => return None,
            _ => through_json(&mut it.data, true),
        }
    }
    Some(response)
}

/// What a protobuf message carries of an answer: all of it, but for the order of parameters.
fn in_messages(response: &InferResponse) -> InferResponse {
    let mut response = response.clone();
    sorted(&mut response.parameters);
    response.outputs.iter_mut().for_each(|it| sorted(&mut it.parameters));
    response
}

/// Reads lists nested by a tensor's shape back as that tensor.
fn as_tensor(value: &Value, like: &Tensor) -> Tensor {
    // No sizes are told below a list without elements.
    let told = value.shape();
    let empty = like.shape.iter().position(|&it| it == 0).map_or(like.shape.len(), |at| at + 1);
    assert_eq!(told, like.shape[..empty], "{value:?}");
    Tensor { data: value.data(like.datatype()), ..like.clone() }
}

fn finite_only(tensors: &[Tensor], tokens: bool) -> Vec<Tensor> {
    let mut tensors = tensors.to_vec();
    tensors.iter_mut().for_each(|it| through_json(&mut it.data, !tokens));
    tensors
}

fn v1_answer(outputs: &[Tensor], form: &Form) -> Value {
    let response = InferResponse { outputs: outputs.to_vec(), ..InferResponse::default() };
    reader::read(&v1::encode_response(&response, form).unwrap())
}

fn form() -> impl Strategy<Value = Form> {
    let method = prop_oneof![Just(Method::Predict), Just(Method::Classify), Just(Method::Regress)];
    let layout = prop_oneof![Just(Layout::Rows), Just(Layout::Inputs), Just(Layout::Columns)];
    let outputs = vec((values::text(), any::<bool>()), 0..3);
    (method, layout, any::<[bool; 3]>(), outputs).prop_map(
        |(method, layout, [tokens, binary, raw], outputs)| Form {
            method,
            layout,
            tokens,
            binary,
            outputs,
            raw,
        },
    )
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn v2_answers_are_what_the_outputs_are(
        response in response(&ALL),
        binary in any::<bool>(),
        wishes in vec(any::<Option<bool>>(), 4),
    ) {
        let named = response.outputs.iter().zip(&wishes);
        let named = named.filter_map(|(it, wish)| Some((it.name.clone(), (*wish)?))).collect();
        let form = Form { binary, outputs: named, ..Form::default() };
        let written = v2::encode_response(response.clone(), &form);
        match in_json(&response, &form) {
            None => assert!(written.is_err()),
            Some(want) => {
                let (body, json_length) = written.unwrap();
                assert_same(&reader::v2(&body, json_length), &want);
            }
        }
    }

    #[test]
    fn answers_in_messages_come_back_bit_by_bit(response in response(&ALL)) {
        for contents in [Contents::Raw, Contents::Typed] {
            let got = oip::decode_response(oip::encode_response(response.clone(), contents)).unwrap();
            assert_same(&got, &in_messages(&response));
        }
    }

    #[test]
    fn v1_answers_with_one_output_are_its_rows(it in values::tensor(&ALL), form in form()) {
        let form = Form { method: Method::Predict, ..form };
        let response = InferResponse { outputs: vec![it.clone()], ..InferResponse::default() };
        if matches!(it.data, Data::Fp16(_) | Data::Bf16(_)) {
            assert!(v1::encode_response(&response, &form).is_err());
            return Ok(());
        }
        let key = if form.layout == Layout::Columns { "outputs" } else { "predictions" };
        let answer = v1_answer(std::slice::from_ref(&it), &form);
        let got = as_tensor(answer.get(key).unwrap(), &it);
        assert_eq!(bits(&[got]), bits(&finite_only(&[it], form.tokens)));
    }

    #[test]
    fn v1_answers_with_several_outputs_are_rows_or_columns(
        mut outputs in columns(plain()).prop_filter("one output has its own form", |it| it.len() > 1),
        tokens in any::<bool>(),
    ) {
        let first = format!("{}_bytes", outputs[0].name);
        outputs[0].name = first;
        let want = bits(&finite_only(&outputs, tokens));
        let form = Form { tokens, ..Form::default() };
        let rows = v1_answer(&outputs, &form);
        let rows = rows.get("predictions").unwrap().list();
        assert_eq!(rows.len(), outputs[0].rows());
        let column = |name: &str| Value::List(rows.iter().map(|row| row.get(name).unwrap().clone()).collect());
        let got: Vec<_> = outputs.iter().map(|it| as_tensor(&column(&it.name), it)).collect();
        assert_eq!(bits(&got), want);
        // What is named so is always base64.
        if let Data::Bytes(_) = outputs[0].data {
            let column = column(&outputs[0].name);
            assert!(column.leaves().into_iter().all(|it| matches!(it, Value::Object(_))));
        }
        let whole = v1_answer(&outputs, &Form { layout: Layout::Columns, ..form });
        let whole = whole.get("outputs").unwrap();
        let got: Vec<_> = outputs.iter().map(|it| as_tensor(whole.get(&it.name).unwrap(), it)).collect();
        assert_eq!(bits(&got), want);
    }

    #[test]
    fn results_are_labels_with_scores_and_numbers(
        (labels, scores, numbers) in (1..4_usize, 1..4_usize).prop_flat_map(|(rows, classes)| {
            let of = |types, shape| values::tensor_of(types, shape);
            (of(plain(), vec![rows, classes]), of(plain(), vec![rows, classes]), of(plain(), vec![rows]))
        }),
        form in form(),
    ) {
        let form = Form { method: Method::Classify, ..form };
        let answer = v1_answer(&[labels.clone(), scores.clone()], &form);
        let results = answer.get("results").unwrap().list();
        let side = |at: usize| {
            let row = |row: &Value| Value::List(row.list().iter().map(|pair| pair.list()[at].clone()).collect());
            Value::List(results.iter().map(row).collect())
        };
        let got = [as_tensor(&side(0), &labels), as_tensor(&side(1), &scores)];
        assert_eq!(bits(&got), bits(&finite_only(&[labels, scores], form.tokens)));
        let form = Form { method: Method::Regress, ..form };
        let answer = v1_answer(std::slice::from_ref(&numbers), &form);
        let got = as_tensor(answer.get("results").unwrap(), &numbers);
        assert_eq!(bits(&[got]), bits(&finite_only(&[numbers], form.tokens)));
    }

    #[test]
    fn an_answer_travels_between_services_with_its_form(response in response(plain()), form in form()) {
        for face in [Face::V1, Face::V2, Face::Tensors, Face::TypedTensors] {
            let Ok(payload) = Payload::of_response(face, response.clone(), form.clone()) else { continue };
            let message = mesh::Answer {
                face: mesh::Face::from(payload.face).into(),
                body: payload.body.clone(),
                json_length: payload.json_length.map(|it| it as u64),
                form: payload.form.to_wire(),
            };
            let message = mesh::Answer::decode(message.encode_to_vec().as_slice()).unwrap();
            let length = message.json_length.map(|it| usize::try_from(it).unwrap());
            let got = Payload {
                face: Face::try_from(message.face).unwrap(),
                body: message.body,
                json_length: length,
                form: Form::from_wire(message.form),
            };
            assert_eq!(got, payload);
            match got.into_response() {
                Ok((got, with)) => {
                    assert_same(&got, &in_messages(&response));
                    assert_eq!(with, form);
                }
                Err(_) => assert!(matches!(face, Face::V1 | Face::V2)),
            }
        }
    }
}
