//! JSON Schemas of what one model's clients send and read. Where something reshapes requests before the model, no more is said
//! than that there are values.

use weir_proto::{DataType, Signature, TensorSpec};

use super::example::default_outputs;
use super::facts::Offer;
use super::json::Json;

/// Where a value stands: what is sent holds numbers, what is read may hold null in place of a number that is not finite.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Sent,
    Read,
}

/// A V1 request to predict or to explain.
pub(super) fn v1_request(offer: &Offer) -> Json {
    Json::of(|json| {
        json.object(|json| {
            json.key("type").string("object");
            json.key("properties").object(|json| {
                json.key("instances").object(|json| {
                    json.key("description").string("Rows: one entry an example.");
                    match offer.form() {
                        Some(signature) => instances(json, signature),
                        None => rows_of_anything(json),
                    }
                });
                json.key("inputs").object(|json| {
                    json.key("description")
                        .string("The inputs as a whole: the only one, or an object of them by name.");
                    match offer.form() {
                        Some(signature) => whole_inputs(json, signature),
                        None => json.key("type").strings(["array", "object"]),
                    }
                });
                json.key("signature_name").object(|json| json.key("enum").strings(["", "serving_default"]));
                json.key("parameters").object(|json| json.key("type").string("object"));
            });
            let has_rows = offer.form().is_none_or(|it| it.inputs.iter().all(|it| !it.shape.is_empty()));
            either(json, if has_rows { &["instances", "inputs"] } else { &["inputs"] });
        });
    })
}

/// The answer to a V1 request to predict.
pub(super) fn v1_answer(offer: &Offer) -> Json {
    Json::of(|json| {
        json.object(|json| {
            json.key("type").string("object");
            json.key("properties").object(|json| {
                json.key("predictions").object(|json| {
                    json.key("description").string("The answer to `instances`: one entry an example.");
                    if let Some(signature) = offer.form() {
                        predictions(json, default_outputs(signature));
                    }
                });
                json.key("outputs").object(|json| {
                    json.key("description")
                        .string("The answer to `inputs` given by name: the outputs as a whole.");
                    if let Some(signature) = offer.form() {
                        whole_outputs(json, default_outputs(signature));
                    }
                });
            });
            either(json, &["predictions", "outputs"]);
        });
    })
}

/// A request to classify or to regress.
pub(super) fn examples(offer: &Offer) -> Json {
    Json::of(|json| {
        json.object(|json| {
            json.key("type").string("object");
            json.key("required").strings(["examples"]);
            json.key("properties").object(|json| {
                json.key("examples").object(|json| {
                    json.key("description")
                        .string("Objects of features; a feature is a scalar or a list of scalars.");
                    json.key("type").string("array");
                    json.key("minItems").integer(1);
                    json.key("items").object(|json| match offer.form() {
                        Some(signature) => features(json, signature),
                        None => {
                            json.key("type").string("object");
                            json.key("minProperties").integer(1);
                        }
                    });
                });
                json.key("context").object(|json| {
                    json.key("description").string("Features that every example has.");
                    json.key("type").string("object");
                    json.key("additionalProperties")
                        .object(|json| json.key("type").strings(["number", "string", "boolean"]));
                });
                json.key("signature_name").object(|json| json.key("type").string("string"));
            });
        });
    })
}

/// A V2 request.
pub(super) fn v2_request(offer: &Offer) -> Json {
    Json::of(|json| {
        json.object(|json| {
            json.key("type").string("object");
            json.key("required").strings(["inputs"]);
            json.key("properties").object(|json| {
                json.key("id").object(|json| {
                    json.key("type").string("string");
                    json.key("description")
                        .string("Comes back with the answer; a new one where there is none.");
                });
                json.key("parameters").object(|json| reference(json, "Parameters"));
                json.key("inputs").object(|json| {
                    json.key("type").string("array");
                    json.key("minItems").integer(1);
                    json.key("items").object(|json| v2_input(json, offer));
                });
                json.key("outputs").object(|json| {
                    json.key("description").string("Which outputs are wanted; the usual ones without it.");
                    json.key("type").string("array");
                    json.key("items").object(|json| v2_wanted(json, offer));
                });
            });
        });
    })
}

fn v2_input(json: &mut Json, offer: &Offer) {
    let Some(signature) = offer.form() else { return reference(json, "InputTensor") };
    json.key("description").string(&inputs_in_words(signature));
    json.key("allOf").list(|json| json.object(|json| reference(json, "InputTensor")));
    // The name of an only input does not matter.
    if signature.inputs.len() > 1 {
        json.key("properties").object(|json| {
            json.key("name")
                .object(|json| json.key("enum").strings(signature.inputs.iter().map(|it| it.name.as_str())));
        });
    }
}

fn v2_wanted(json: &mut Json, offer: &Offer) {
    json.key("type").string("object");
    json.key("required").strings(["name"]);
    json.key("properties").object(|json| {
        json.key("name").object(|json| match &offer.signature {
            Some(signature) => json.key("enum").strings(signature.outputs.iter().map(|it| it.name.as_str())),
            None => json.key("type").string("string"),
        });
        json.key("parameters").object(|json| reference(json, "Parameters"));
    });
}

/// An input or output in words, such as `` `input-0` FP64 [-1, 4] ``.
pub(super) fn in_words(spec: &TensorSpec) -> String {
    format!("`{}` {} {:?}", spec.name, spec.datatype, spec.shape)
}

fn inputs_in_words(signature: &Signature) -> String {
    let inputs: Vec<_> = signature.inputs.iter().map(in_words).collect();
    format!(
        "The model's: {}; -1 is any size. Numbers of other types are cast where nothing is lost.",
        inputs.join(", ")
    )
}

/// A reference to one of the document's own schemas.
pub(super) fn reference(json: &mut Json, name: &str) {
    json.key("$ref").string(&format!("#/components/schemas/{name}"));
}

/// Exactly one of those keys is there.
fn either(json: &mut Json, keys: &[&str]) {
    json.key("oneOf").list(|json| {
        for &key in keys {
            json.object(|json| json.key("required").strings([key]));
        }
    });
}

fn any_of(json: &mut Json, forms: &[Json]) {
    json.key("anyOf").list(|json| forms.iter().for_each(|it| json.value(it)));
}

fn rows_of_anything(json: &mut Json) {
    json.key("type").string("array");
    json.key("minItems").integer(1);
}

fn instances(json: &mut Json, signature: &Signature) {
    match signature.inputs.as_slice() {
        [only] => {
            let mut forms = vec![schema(|json| nested(json, only.datatype, &only.shape, Way::Sent))];
            if !signature.columns.is_empty() {
                forms.push(schema(|json| list_of(json, |json| record(json, signature))));
            }
            any_of(json, &forms);
        }
        several => list_of(json, |json| rows(json, several, Way::Sent)),
    }
}

fn whole_inputs(json: &mut Json, signature: &Signature) {
    let by_name = schema(|json| {
        properties(json, signature.inputs.iter().map(|it| it.name.as_str()), |json, at| {
            let it = &signature.inputs[at];
            nested(json, it.datatype, &it.shape, Way::Sent);
        });
    });
    let mut forms = vec![by_name];
    if let [only] = signature.inputs.as_slice() {
        forms.push(schema(|json| nested(json, only.datatype, &only.shape, Way::Sent)));
        if !signature.columns.is_empty() {
            forms.push(schema(|json| {
                properties(json, signature.columns.iter().map(String::as_str), |json, at| {
                    cell(json, signature, at, |json, datatype| nested(json, datatype, &[-1], Way::Sent));
                });
            }));
        }
    }
    any_of(json, &forms);
}

fn features(json: &mut Json, signature: &Signature) {
    let by_name = schema(|json| rows(json, &signature.inputs, Way::Sent));
    let mut forms = vec![by_name];
    if let ([_], false) = (signature.inputs.as_slice(), signature.columns.is_empty()) {
        forms.push(schema(|json| record(json, signature)));
    }
    any_of(json, &forms);
}

fn predictions(json: &mut Json, outputs: &[TensorSpec]) {
    match outputs {
        [only] => nested(json, only.datatype, &only.shape, Way::Read),
        several => list_of(json, |json| rows(json, several, Way::Read)),
    }
}

fn whole_outputs(json: &mut Json, outputs: &[TensorSpec]) {
    match outputs {
        [only] => nested(json, only.datatype, &only.shape, Way::Read),
        several => properties(json, several.iter().map(|it| it.name.as_str()), |json, at| {
            nested(json, several[at].datatype, &several[at].shape, Way::Read);
        }),
    }
}

fn schema(write: impl FnOnce(&mut Json)) -> Json {
    Json::of(|json| json.object(write))
}

fn list_of(json: &mut Json, items: impl FnOnce(&mut Json)) {
    json.key("type").string("array");
    json.key("minItems").integer(1);
    json.key("items").object(items);
}

/// A row that is an object of columns.
fn record(json: &mut Json, signature: &Signature) {
    properties(json, signature.columns.iter().map(String::as_str), |json, at| {
        cell(json, signature, at, |json, datatype| scalar(json, datatype, Way::Sent));
    });
}

/// What a column holds: numbers, or texts as well where its categories are some.
fn cell(json: &mut Json, signature: &Signature, at: usize, write: impl Fn(&mut Json, DataType)) {
    let Some(numbers) = signature.inputs.first().map(|it| it.datatype) else { return };
    if signature.categories.iter().any(|it| it.0 == at && !it.1.are_numbers()) {
        let forms = [numbers, DataType::Bytes].map(|datatype| schema(|json| write(json, datatype)));
        any_of(json, &forms);
    } else {
        write(json, numbers);
    }
}

/// A row of several tensors, by name.
fn rows(json: &mut Json, specs: &[TensorSpec], way: Way) {
    properties(json, specs.iter().map(|it| it.name.as_str()), |json, at| {
        let inner = specs[at].shape.get(1..).unwrap_or_default();
        nested(json, specs[at].datatype, inner, way);
    });
}

/// An object of just those keys.
fn properties<'a>(
    json: &mut Json,
    names: impl Iterator<Item = &'a str> + Clone,
    mut write: impl FnMut(&mut Json, usize),
) {
    json.key("type").string("object");
    json.key("required").strings(names.clone());
    json.key("additionalProperties").truth(false);
    json.key("properties").object(|json| {
        names.enumerate().for_each(|(at, name)| json.key(name).object(|json| write(json, at)));
    });
}

/// Lists nested by a shape.
fn nested(json: &mut Json, datatype: DataType, shape: &[i64], way: Way) {
    let Some((&size, inner)) = shape.split_first() else { return scalar(json, datatype, way) };
    json.key("type").string("array");
    if size < 0 {
        json.key("minItems").integer(1);
    } else {
        json.key("minItems").integer(size);
        json.key("maxItems").integer(size);
    }
    json.key("items").object(|json| nested(json, datatype, inner, way));
}

fn scalar(json: &mut Json, datatype: DataType, way: Way) {
    let integer = |json: &mut Json, least: i128, most: i128| {
        json.key("type").string("integer");
        json.key("minimum").wide(least);
        json.key("maximum").wide(most);
    };
    match datatype {
        DataType::Bool => json.key("type").string("boolean"),
        DataType::Uint8 => integer(json, 0, u8::MAX.into()),
        DataType::Uint16 => integer(json, 0, u16::MAX.into()),
        DataType::Uint32 => integer(json, 0, u32::MAX.into()),
        DataType::Uint64 => integer(json, 0, u64::MAX.into()),
        DataType::Int8 => integer(json, i8::MIN.into(), i8::MAX.into()),
        DataType::Int16 => integer(json, i16::MIN.into(), i16::MAX.into()),
        DataType::Int32 => integer(json, i32::MIN.into(), i32::MAX.into()),
        DataType::Int64 => integer(json, i64::MIN.into(), i64::MAX.into()),
        DataType::Fp16 | DataType::Bf16 | DataType::Fp32 | DataType::Fp64 => match way {
            Way::Read => json.key("type").strings(["number", "null"]),
            Way::Sent => {
                json.key("type").string("number");
                if datatype == DataType::Fp32 {
                    json.key("minimum").number(f64::from(f32::MIN));
                    json.key("maximum").number(f64::from(f32::MAX));
                }
            }
        },
        DataType::Bytes => {
            json.key("anyOf").list(|json| {
                json.object(|json| json.key("type").string("string"));
                json.object(|json| reference(json, "Base64"));
            });
        }
    }
}
