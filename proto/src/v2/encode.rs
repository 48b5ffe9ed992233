//! Writes answers of the V2 protocol.

use bytes::Bytes;

use crate::element::{BytesStyle, Style, nested};
use crate::json::{self, NonFinite};
use crate::{Data, Error, Form, InferResponse, Parameter, Parameters, Tensor};

/// Encodes a V2 answer: flat data in the JSON, or raw bytes behind it for the outputs wanted so. Returns the body and, when
/// there is anything behind it, the length of the JSON.
///
/// # Errors
/// `InvalidInput` for half floats and for bytes that are not text, which have no JSON form.
pub fn encode_response(response: InferResponse, form: &Form) -> Result<(Bytes, Option<usize>), Error> {
    let mut out = Vec::with_capacity(192);
    out.extend_from_slice(b"{\"model_name\":");
    json::push_str(&mut out, &response.model_name);
    if !response.model_version.is_empty() {
        out.extend_from_slice(b",\"model_version\":");
        json::push_str(&mut out, &response.model_version);
    }
    out.extend_from_slice(b",\"id\":");
    json::push_str(&mut out, &response.id);
    push_parameters(&mut out, &response.parameters);
    out.extend_from_slice(b",\"outputs\":[");
    let mut raw: Vec<Bytes> = Vec::new();
    for (index, output) in response.outputs.into_iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        if form.is_binary(&output.name) {
            raw.push(push_raw_output(&mut out, output));
        } else {
            push_output(&mut out, &output)?;
        }
    }
    out.extend_from_slice(b"]}");
    if raw.is_empty() {
        return Ok((out.into(), None));
    }
    let json_length = out.len();
    out.reserve(raw.iter().map(Bytes::len).sum());
    raw.iter().for_each(|it| out.extend_from_slice(it));
    Ok((out.into(), Some(json_length)))
}

/// Writes what the JSON says of an output whose bytes come behind it, and returns those.
fn push_raw_output(out: &mut Vec<u8>, mut output: Tensor) -> Bytes {
    let data = std::mem::replace(&mut output.data, Data::Bytes(Vec::new()));
    let datatype = data.datatype();
    let raw = data.into_raw();
    let size = i64::try_from(raw.len()).unwrap_or(i64::MAX);
    output.parameters.0.push(("binary_data_size".to_owned(), Parameter::Int(size)));
    push_head(out, &output, datatype.name());
    out.push(b'}');
    raw
}

fn push_output(out: &mut Vec<u8>, output: &Tensor) -> Result<(), Error> {
    push_head(out, output, output.datatype().name());
    out.extend_from_slice(b",\"data\":");
    let style = Style { non_finite: NonFinite::Null, bytes: BytesStyle::Text };
    nested(out, output, &[output.data.len()], 0, style)?;
    out.push(b'}');
    Ok(())
}

/// Writes an output's object but for its data and its end.
fn push_head(out: &mut Vec<u8>, output: &Tensor, datatype: &str) {
    out.extend_from_slice(b"{\"name\":");
    json::push_str(out, &output.name);
    out.extend_from_slice(b",\"datatype\":");
    json::push_str(out, datatype);
    out.extend_from_slice(b",\"shape\":[");
    for (index, &size) in output.shape.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        json::push_u64(out, size as u64);
    }
    out.push(b']');
    push_parameters(out, &output.parameters);
}

fn push_parameters(out: &mut Vec<u8>, parameters: &Parameters) {
    if parameters.is_empty() {
        return;
    }
    out.extend_from_slice(b",\"parameters\":{");
    for (index, (key, value)) in parameters.0.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        json::push_str(out, key);
        out.push(b':');
        match value {
            Parameter::Bool(v) => out.extend_from_slice(if *v { b"true" } else { b"false" }),
            Parameter::Int(v) => json::push_i64(out, *v),
            Parameter::Uint(v) => json::push_u64(out, *v),
            Parameter::Double(v) => json::push_f64(out, *v, NonFinite::Null),
            Parameter::String(v) => json::push_str(out, v),
        }
    }
    out.push(b'}');
}
