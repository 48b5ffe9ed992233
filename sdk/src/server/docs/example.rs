//! Bodies made from a signature: requests that a model of it answers, and answers of its form.

use weir_proto::{DataType, Signature, TensorSpec};

use super::json::Json;

/// The most values an example may have: beyond that nobody reads it.
const VALUES: usize = 4096;

/// A V1 request of rows. None where the signature has no rows, or too many values.
pub(super) fn instances(signature: &Signature) -> Option<Json> {
    let inputs = inputs(signature)?;
    if inputs.iter().any(|it| it.shape.is_empty()) {
        return None;
    }
    Some(keyed("instances", |json| match inputs {
        [only] => whole(json, only),
        several => {
            // Every input has as many rows as the first: one, unless its signature fixes another number.
            let rows = several.first().map_or(1, |it| size(it.shape[0]));
            json.list(|json| {
                (0..rows).for_each(|_| json.object(|json| several.iter().for_each(|it| row(json, it))));
            });
        }
    }))
}

/// A V1 request of one row that is an object of columns.
pub(super) fn records(signature: &Signature) -> Option<Json> {
    let inputs = inputs(signature)?;
    let datatype = inputs.first()?.datatype;
    if signature.columns.is_empty() || signature.columns.len() > VALUES {
        return None;
    }
    Some(keyed("instances", |json| {
        json.list(|json| {
            json.object(|json| {
                for (at, name) in signature.columns.iter().enumerate() {
                    scalar(json.key(name), datatype, at);
                }
            });
        });
    }))
}

/// A V1 request of inputs by name.
pub(super) fn named(signature: &Signature) -> Option<Json> {
    let inputs = inputs(signature)?;
    Some(keyed("inputs", |json| {
        json.object(|json| inputs.iter().for_each(|it| whole(json.key(&it.name), it)));
    }))
}

/// A request of one example to classify or to regress.
pub(super) fn examples(signature: &Signature) -> Option<Json> {
    let inputs = inputs(signature)?;
    if inputs.iter().any(|it| !matches!(it.shape.len(), 1 | 2)) {
        return None;
    }
    Some(keyed("examples", |json| {
        json.list(|json| json.object(|json| inputs.iter().for_each(|it| row(json, it))));
    }))
}

/// A V2 request.
pub(super) fn tensors(signature: &Signature) -> Option<Json> {
    let inputs = inputs(signature)?;
    Some(keyed("inputs", |json| {
        json.list(|json| {
            for it in inputs {
                json.object(|json| {
                    head(json, it);
                    json.key("data").list(|json| flat(json, it));
                });
            }
        });
    }))
}

/// A V2 request whose inputs come as bytes behind the JSON, and how many bytes those are: noughts do. None for `BYTES`.
pub(super) fn binary(signature: &Signature) -> Option<(Json, usize)> {
    let inputs = inputs(signature)?;
    let bytes = |it: &TensorSpec| Some(it.datatype.size()? * count(it));
    let sizes: Vec<usize> = inputs.iter().map(bytes).collect::<Option<_>>()?;
    let json = keyed("inputs", |json| {
        json.list(|json| {
            for (it, size) in inputs.iter().zip(&sizes) {
                json.object(|json| {
                    head(json, it);
                    json.key("parameters").object(|json| json.key("binary_data_size").wide(*size as i128));
                });
            }
        });
    });
    Some((json, sizes.iter().sum()))
}

/// A `ModelInferRequest` in protobuf's JSON. None for half floats, which have no typed contents.
pub(super) fn grpc(signature: &Signature, model: &str) -> Option<Json> {
    let inputs = inputs(signature)?;
    let contents: Vec<_> = inputs.iter().map(|it| contents(it.datatype)).collect::<Option<_>>()?;
    Some(Json::of(|json| {
        json.object(|json| {
            json.key("model_name").string(model);
            json.key("inputs").list(|json| {
                for (it, contents) in inputs.iter().zip(contents) {
                    json.object(|json| {
                        head(json, it);
                        json.key("contents").object(|json| json.key(contents).list(|json| flat(json, it)));
                    });
                }
            });
        });
    }))
}

/// The field of `InferTensorContents` that holds a type.
const fn contents(datatype: DataType) -> Option<&'static str> {
    Some(match datatype {
        DataType::Bool => "bool_contents",
        DataType::Int8 | DataType::Int16 | DataType::Int32 => "int_contents",
        DataType::Int64 => "int64_contents",
        DataType::Uint8 | DataType::Uint16 | DataType::Uint32 => "uint_contents",
        DataType::Uint64 => "uint64_contents",
        DataType::Fp32 => "fp32_contents",
        DataType::Fp64 => "fp64_contents",
        DataType::Bytes => "bytes_contents",
        DataType::Fp16 | DataType::Bf16 => return None,
    })
}

/// The answer to a V1 request of rows.
pub(super) fn predictions(signature: &Signature) -> Option<Json> {
    let outputs = outputs(signature)?;
    Some(keyed("predictions", |json| match outputs {
        [only] => whole(json, only),
        several => json.list(|json| json.object(|json| several.iter().for_each(|it| row(json, it)))),
    }))
}

/// The answer to a V2 request.
pub(super) fn answer(signature: &Signature, model: &str, version: &str) -> Option<Json> {
    let outputs = outputs(signature)?;
    Some(Json::of(|json| {
        json.object(|json| {
            json.key("model_name").string(model);
            json.key("model_version").string(version);
            json.key("id").string("6e559c95-9aee-dbe7-63c0-213cb5f4f6bf");
            json.key("outputs").list(|json| {
                for it in outputs {
                    json.object(|json| {
                        head(json, it);
                        json.key("data").list(|json| flat(json, it));
                    });
                }
            });
        });
    }))
}

/// The outputs that a request which names none is answered with.
pub(super) fn default_outputs(signature: &Signature) -> &[TensorSpec] {
    let all = signature.outputs.as_slice();
    if signature.default_outputs == 0 { all } else { &all[..signature.default_outputs.min(all.len())] }
}

fn inputs(signature: &Signature) -> Option<&[TensorSpec]> {
    small(&signature.inputs)
}

fn outputs(signature: &Signature) -> Option<&[TensorSpec]> {
    small(default_outputs(signature))
}

fn small(specs: &[TensorSpec]) -> Option<&[TensorSpec]> {
    let values = specs.iter().map(count).fold(0, usize::saturating_add);
    (1..=VALUES).contains(&values).then_some(specs)
}

fn keyed(key: &str, write: impl FnOnce(&mut Json)) -> Json {
    Json::of(|json| json.object(|json| write(json.key(key))))
}

/// The size of a dimension in an example.
fn size(dimension: i64) -> usize {
    usize::try_from(dimension).unwrap_or(1)
}

fn count(spec: &TensorSpec) -> usize {
    spec.shape.iter().fold(1, |all, &it| all.saturating_mul(size(it)))
}

fn head(json: &mut Json, spec: &TensorSpec) {
    json.key("name").string(&spec.name);
    json.key("datatype").string(spec.datatype.name());
    json.key("shape").list(|json| spec.shape.iter().for_each(|&it| json.wide(size(it) as i128)));
}

/// A tensor as nested lists.
fn whole(json: &mut Json, spec: &TensorSpec) {
    nested(json, spec.datatype, &spec.shape, &mut 0);
}

/// One row of an input, under its name.
fn row(json: &mut Json, spec: &TensorSpec) {
    nested(json.key(&spec.name), spec.datatype, spec.shape.get(1..).unwrap_or_default(), &mut 0);
}

fn flat(json: &mut Json, spec: &TensorSpec) {
    (0..count(spec)).for_each(|at| scalar(json, spec.datatype, at));
}

fn nested(json: &mut Json, datatype: DataType, shape: &[i64], at: &mut usize) {
    match shape.split_first() {
        Some((&dimension, inner)) => {
            json.list(|json| (0..size(dimension)).for_each(|_| nested(json, datatype, inner, at)));
        }
        None => {
            scalar(json, datatype, *at);
            *at += 1;
        }
    }
}

/// A value that any model of the type takes.
fn scalar(json: &mut Json, datatype: DataType, at: usize) {
    // Small, so that it fits every type, and not all the same, so that it shows where each belongs.
    let value = u8::try_from(at % 10).unwrap_or(0);
    match datatype {
        DataType::Bool => json.truth(at.is_multiple_of(2)),
        DataType::Bytes => json.string("text"),
        DataType::Fp16 | DataType::Bf16 | DataType::Fp32 | DataType::Fp64 => {
            json.number(f64::from(value) + 0.5);
        }
        DataType::Uint8
        | DataType::Uint16
        | DataType::Uint32
        | DataType::Uint64
        | DataType::Int8
        | DataType::Int16
        | DataType::Int32
        | DataType::Int64 => json.integer(value.into()),
    }
}
