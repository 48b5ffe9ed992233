//! Writes answers of the V2 protocol.

use bytes::Bytes;

use crate::element::element;
use crate::{Error, InferResponse, Parameter, Parameters, Tensor, json};

/// Encodes a V2 answer, with flat data.
///
/// # Errors
/// `InvalidInput` for half floats and for bytes that are not text, which have no JSON form.
pub fn encode_response(response: &InferResponse) -> Result<Bytes, Error> {
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
    for (index, output) in response.outputs.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        push_output(&mut out, output)?;
    }
    out.extend_from_slice(b"]}");
    Ok(out.into())
}

fn push_output(out: &mut Vec<u8>, output: &Tensor) -> Result<(), Error> {
    out.extend_from_slice(b"{\"name\":");
    json::push_str(out, &output.name);
    out.extend_from_slice(b",\"datatype\":");
    json::push_str(out, output.datatype().name());
    out.extend_from_slice(b",\"shape\":[");
    for (index, &size) in output.shape.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        json::push_u64(out, size as u64);
    }
    out.push(b']');
    push_parameters(out, &output.parameters);
    out.extend_from_slice(b",\"data\":[");
    for at in 0..output.data.len() {
        if at > 0 {
            out.push(b',');
        }
        element(out, output, at)?;
    }
    out.extend_from_slice(b"]}");
    Ok(())
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
            Parameter::Double(v) => json::push_f64(out, *v, json::NonFinite::Null),
            Parameter::String(v) => json::push_str(out, v),
        }
    }
    out.push(b'}');
}
