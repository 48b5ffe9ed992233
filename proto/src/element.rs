//! Elements of a tensor as JSON.

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

/// Writes the elements from `at` on as lists nested by `shape`; returns the element after the last. Half floats have no JSON
/// form.
pub(crate) fn nested(
    out: &mut Vec<u8>,
    tensor: &Tensor,
    shape: &[usize],
    at: usize,
    style: Style,
) -> Result<usize, Error> {
    let end = at + json::elements(shape);
    let non_finite = style.non_finite;
    match &tensor.data {
        Data::Bool(it) => lists(out, shape, &it[at..end], &mut |out, &truth| {
            json::push_bool(out, truth != 0);
            Ok(())
        })?,
        Data::Uint8(it) => json::push_nested(out, shape, &it[at..end], non_finite),
        Data::Uint16(it) => json::push_nested(out, shape, &it[at..end], non_finite),
        Data::Uint32(it) => json::push_nested(out, shape, &it[at..end], non_finite),
        Data::Uint64(it) => json::push_nested(out, shape, &it[at..end], non_finite),
        Data::Int8(it) => json::push_nested(out, shape, &it[at..end], non_finite),
        Data::Int16(it) => json::push_nested(out, shape, &it[at..end], non_finite),
        Data::Int32(it) => json::push_nested(out, shape, &it[at..end], non_finite),
        Data::Int64(it) => json::push_nested(out, shape, &it[at..end], non_finite),
        Data::Fp32(it) => json::push_nested(out, shape, &it[at..end], non_finite),
        Data::Fp64(it) => json::push_nested(out, shape, &it[at..end], non_finite),
        Data::Fp16(_) | Data::Bf16(_) => {
            return Err(Error::invalid(format!(
                "sending {} data via JSON is not supported. Please use the binary data format for output {}",
                tensor.datatype(),
                tensor.name
            )));
        }
        Data::Bytes(it) => {
            lists(out, shape, &it[at..end], &mut |out, it| bytes(out, it, tensor, style.bytes))?;
        }
    }
    Ok(end)
}

/// Writes one element as JSON.
pub(crate) fn element(out: &mut Vec<u8>, tensor: &Tensor, at: usize, style: Style) -> Result<(), Error> {
    nested(out, tensor, &[], at, style).map(|_| ())
}

/// Writes elements by `push` as lists nested by `shape`.
fn lists<T>(
    out: &mut Vec<u8>,
    shape: &[usize],
    elements: &[T],
    push: &mut impl FnMut(&mut Vec<u8>, &T) -> Result<(), Error>,
) -> Result<(), Error> {
    let Some((&size, inner)) = shape.split_first() else {
        return elements.iter().try_for_each(|it| push(out, it));
    };
    out.push(b'[');
    let step = elements.len().checked_div(size).unwrap_or(0);
    let mut rest = elements;
    for index in 0..size {
        if index > 0 {
            out.push(b',');
        }
        let (list, after) = rest.split_at(step);
        rest = after;
        lists(out, inner, list, push)?;
    }
    out.push(b']');
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
