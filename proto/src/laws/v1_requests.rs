//! V1 requests: rows, rows of objects, columns, examples, structured CloudEvents.
//!
//! V1 tells no types: integers are read as INT64, all other numbers as FP64, what is not text comes as base64. A list without
//! elements is FP64 and tells no sizes below it. UINT64 beyond INT64 is read as FP64, so such values are left out here.

use proptest::prelude::*;

use super::texts::Scribe;
use super::values::{self, plain};
use super::{bits, config, parameters_through_json, scalars, through_json};
use crate::{Data, DecodeLimits, Form, InferRequest, Layout, Method, Parameters, Tensor, v1};

/// What V1 carries of a tensor.
pub(super) fn in_v1(tensor: &Tensor) -> Tensor {
    let shape: Vec<usize> = match tensor.shape.iter().position(|&it| it == 0) {
        Some(at) => tensor.shape[..=at].to_vec(),
        None => tensor.shape.clone(),
    };
    let integers = |it: Vec<i64>| Data::Int64(it.into());
    let mut data = match &tensor.data {
        it if it.is_empty() => Data::Fp64(Vec::new().into()),
        Data::Uint8(it) => integers(it.iter().map(|&it| it.into()).collect()),
        Data::Uint16(it) => integers(it.iter().map(|&it| it.into()).collect()),
        Data::Uint32(it) => integers(it.iter().map(|&it| it.into()).collect()),
        Data::Uint64(it) => integers(it.iter().map(|&it| i64::try_from(it).unwrap()).collect()),
        Data::Int8(it) => integers(it.iter().map(|&it| it.into()).collect()),
        Data::Int16(it) => integers(it.iter().map(|&it| it.into()).collect()),
        Data::Int32(it) => integers(it.iter().map(|&it| it.into()).collect()),
        Data::Fp32(it) => Data::Fp64(it.iter().map(|&it| it.into()).collect::<Vec<_>>().into()),
        other => other.clone(),
    };
    through_json(&mut data, false);
    Tensor { name: tensor.name.clone(), shape, data, parameters: Parameters::default() }
}

/// Unsigned integers beyond the signed ones become what those are.
pub(super) fn within_int64(mut tensor: Tensor) -> Tensor {
    if let Data::Uint64(it) = &tensor.data {
        tensor.data = Data::Uint64(it.iter().map(|&it| it >> 1).collect::<Vec<_>>().into());
    }
    tensor
}

fn unnamed(tensor: &Tensor) -> Tensor {
    Tensor { name: String::new(), ..in_v1(tensor) }
}

fn check(text: &str, method: Method, want: &[Tensor], layout: Layout) -> InferRequest {
    let form = Form { method, ..Form::default() };
    let (request, form) = v1::decode_request(text.as_bytes(), form, &DecodeLimits::default())
        .unwrap_or_else(|error| panic!("{}: {text}", error.message));
    assert_eq!(bits(&request.inputs), bits(want), "{text}");
    assert_eq!((form.method, form.layout), (method, layout));
    request
}

fn pair(key: &str, value: String) -> (String, String) {
    (key.to_owned(), value)
}

/// Row `row` of a tensor.
fn cell(scribe: &mut Scribe, tensor: &Tensor, row: usize) -> String {
    scribe.nested(&tensor.data, &tensor.shape[1..], row * tensor.row_len(), false)
}

/// The same body as the `data` of a structured CloudEvent.
fn event(scribe: &mut Scribe, body: String) -> String {
    let mut items: Vec<_> =
        ["specversion", "id", "source", "type", "time"].map(|it| pair(it, "\"x\"".to_owned())).into();
    items.push(pair("data", body));
    scribe.noise(&mut items);
    scribe.object(items)
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn rows_and_whole_tensors_are_read_as_they_were_meant(
        it in values::tensor(plain()).prop_map(within_int64),
        parameters in values::parameters(),
        seed in any::<u64>(),
    ) {
        let scribe = &mut Scribe(seed);
        let whole = scribe.nested(&it.data, &it.shape, 0, false);
        let mut said = parameters.clone();
        parameters_through_json(&mut said);
        for (key, layout) in [("instances", Layout::Rows), ("inputs", Layout::Inputs)] {
            let mut items = vec![pair(key, whole.clone()), pair("parameters", scribe.parameters(&parameters))];
            scribe.noise(&mut items);
            let text = scribe.object(items);
            if layout == Layout::Rows && (it.shape.is_empty() || it.shape[0] == 0) {
                // There is no row.
                assert!(v1::decode_request(text.as_bytes(), Form::default(), &DecodeLimits::default()).is_err());
                continue;
            }
            let request = check(&text, Method::Predict, &[unnamed(&it)], layout);
            assert_eq!(scalars(&request.parameters), scalars(&said));
            check(&event(scribe, text), Method::Predict, &[unnamed(&it)], layout);
        }
        // A list over the limit is refused before it is kept.
        let limits = DecodeLimits { elements: it.data.len().saturating_sub(1), ..DecodeLimits::default() };
        let text = format!("{{\"inputs\":{whole}}}");
        let refused = v1::decode_request(text.as_bytes(), Form::default(), &limits).map_err(|it| it.code);
        assert!(it.data.is_empty() || refused.unwrap_err() == crate::Code::TooLarge);
    }

    #[test]
    fn rows_of_objects_are_a_tensor_a_key(columns in values::columns(plain()), seed in any::<u64>()) {
        let columns: Vec<_> = columns.into_iter().map(within_int64).collect();
        let scribe = &mut Scribe(seed);
        let mut rows = Vec::new();
        for row in 0..columns[0].rows() {
            let items = columns.iter().map(|it| (it.name.clone(), cell(scribe, it, row))).collect();
            rows.push(scribe.object(items));
        }
        let rows = scribe.list(&rows);
        for (key, layout) in [("instances", Layout::Rows), ("inputs", Layout::Inputs)] {
            let text = scribe.object(vec![pair(key, rows.clone())]);
            let form = Form::default();
            let (mut request, form) = v1::decode_request(text.as_bytes(), form, &DecodeLimits::default())
                .unwrap_or_else(|error| panic!("{}: {text}", error.message));
            // In the order of the first row's keys.
            request.inputs.sort_by_key(|it| columns.iter().position(|column| column.name == it.name));
            assert_eq!(bits(&request.inputs), bits(&columns.iter().map(in_v1).collect::<Vec<_>>()), "{text}");
            assert_eq!(form.layout, layout);
        }
    }

    #[test]
    fn columns_are_a_tensor_a_key(columns in values::columns(plain()), seed in any::<u64>()) {
        let columns: Vec<_> = columns.into_iter().map(within_int64).collect();
        let scribe = &mut Scribe(seed);
        let item = |it: &Tensor| (it.name.clone(), scribe.nested(&it.data, &it.shape, 0, false));
        let items: Vec<_> = columns.iter().map(item).collect();
        let inputs = scribe.object(items);
        let text = scribe.object(vec![pair("inputs", inputs)]);
        let (mut request, form) = v1::decode_request(text.as_bytes(), Form::default(), &DecodeLimits::default())
            .unwrap_or_else(|error| panic!("{}: {text}", error.message));
        request.inputs.sort_by_key(|it| columns.iter().position(|column| column.name == it.name));
        assert_eq!(bits(&request.inputs), bits(&columns.iter().map(in_v1).collect::<Vec<_>>()), "{text}");
        assert_eq!(form.layout, Layout::Columns);
    }

    #[test]
    fn examples_are_features_and_their_context(columns in values::columns(plain()), seed in any::<u64>()) {
        let scribe = &mut Scribe(seed);
        // A feature is a scalar or a list of them; its booleans are integers.
        let feature = |it: Tensor| {
            let it = within_int64(it);
            let rows = it.rows();
            let inner = it.row_len();
            let shape = if it.shape.len() > 2 { vec![rows, inner] } else { it.shape };
            Tensor { shape, ..it }
        };
        let columns: Vec<_> = columns.into_iter().map(feature).collect();
        let rows = columns[0].rows();
        // The last is the same in every example and stands in the context, unless it is the only one.
        let shared = (columns.len() > 1).then(|| columns.len() - 1);
        let mut context = Vec::new();
        let mut examples = vec![Vec::new(); rows];
        for (at, it) in columns.iter().enumerate() {
            if Some(at) == shared {
                context.push((it.name.clone(), cell(scribe, it, 0)));
            } else {
                for (row, example) in examples.iter_mut().enumerate() {
                    example.push((it.name.clone(), cell(scribe, it, row)));
                }
            }
        }
        let examples: Vec<_> = examples.into_iter().map(|it| scribe.object(it)).collect();
        let examples = scribe.list(&examples);
        let mut items = vec![pair("examples", examples)];
        if shared.is_some() {
            items.push(pair("context", scribe.object(context)));
        }
        let text = scribe.object(items);
        let want = |(at, it): (usize, &Tensor)| {
            let mut it = in_v1(it);
            if Some(at) == shared {
                it.data = repeat(&it.data, it.row_len(), rows);
            }
            if let Data::Bool(truths) = &it.data {
                it.data = Data::Int64(truths.iter().map(|&it| it.into()).collect::<Vec<_>>().into());
            }
            it
        };
        let want: Vec<_> = columns.iter().enumerate().map(want).collect();
        for method in [Method::Classify, Method::Regress] {
            let form = Form { method, ..Form::default() };
            let (mut request, _) = v1::decode_request(text.as_bytes(), form, &DecodeLimits::default())
                .unwrap_or_else(|error| panic!("{}: {text}", error.message));
            request.inputs.sort_by_key(|it| want.iter().position(|column| column.name == it.name));
            assert_eq!(bits(&request.inputs), bits(&want), "{text}");
        }
    }
}

/// The first `len` elements, so many times.
fn repeat(data: &Data, len: usize, times: usize) -> Data {
    match data {
        Data::Bool(it) => Data::Bool(it[..len].repeat(times).into()),
        Data::Int64(it) => Data::Int64(it[..len].repeat(times).into()),
        Data::Fp64(it) => Data::Fp64(it[..len].repeat(times).into()),
        Data::Bytes(it) => Data::Bytes(std::iter::repeat_n(&it[..len], times).flatten().cloned().collect()),
        other => panic!("V1 reads no {}", other.datatype()),
    }
}
