//! One element of a tensor as JSON.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;

use crate::json::{self, NonFinite};
use crate::{Data, Error, Tensor};

/// How elements are written that JSON has no form for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Style {
    /// Numbers that are not finite.
    pub(crate) non_finite: NonFinite,
    /// Elements of `BYTES`.
    pub(crate) bytes: BytesStyle,
}

/// How elements of `BYTES` are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BytesStyle {
    /// As strings; what is not text is refused, with advice.
    Text,
    /// As strings; what is not text as `{"b64": "..."}`.
    TextOrBase64,
    /// Always as `{"b64": "..."}`.
    Base64,
}

/// Writes one element as JSON. Half floats have no JSON form.
pub(crate) fn element(out: &mut Vec<u8>, tensor: &Tensor, at: usize, style: Style) -> Result<(), Error> {
    match &tensor.data {
        Data::Bool(it) => out.extend_from_slice(if it[at] == 0 { b"false" } else { b"true" }),
        Data::Uint8(it) => json::push_u64(out, it[at].into()),
        Data::Uint16(it) => json::push_u64(out, it[at].into()),
        Data::Uint32(it) => json::push_u64(out, it[at].into()),
        Data::Uint64(it) => json::push_u64(out, it[at]),
        Data::Int8(it) => json::push_i64(out, it[at].into()),
        Data::Int16(it) => json::push_i64(out, it[at].into()),
        Data::Int32(it) => json::push_i64(out, it[at].into()),
        Data::Int64(it) => json::push_i64(out, it[at]),
        Data::Fp32(it) => json::push_f32(out, it[at], style.non_finite),
        Data::Fp64(it) => json::push_f64(out, it[at], style.non_finite),
        Data::Fp16(_) | Data::Bf16(_) => {
            return Err(Error::invalid(format!(
                "sending {} data via JSON is not supported. Please use the binary data format for output {}",
                tensor.datatype(),
                tensor.name
            )));
        }
        Data::Bytes(it) => return bytes(out, &it[at], tensor, style.bytes),
    }
    Ok(())
}

fn bytes(out: &mut Vec<u8>, bytes: &[u8], tensor: &Tensor, style: BytesStyle) -> Result<(), Error> {
    match std::str::from_utf8(bytes) {
        Ok(text) if style != BytesStyle::Base64 => json::push_str(out, text),
        Err(_) if style == BytesStyle::Text => {
            return Err(Error::invalid(format!(
                "Failed to encode output `{}` using UTF-8. Please use binary_data=True, if you want to pass a byte array.",
                tensor.name
            )));
        }
        Ok(_) | Err(_) => {
            out.extend_from_slice(b"{\"b64\":\"");
            out.extend_from_slice(BASE64.encode(bytes).as_bytes());
            out.extend_from_slice(b"\"}");
        }
    }
    Ok(())
}
