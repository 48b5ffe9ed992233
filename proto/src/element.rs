//! One element of a tensor as JSON.

use crate::json::{self, NonFinite};
use crate::{Data, Error, Tensor};

/// Writes one element as JSON. Half floats have no JSON form.
pub(crate) fn element(out: &mut Vec<u8>, tensor: &Tensor, at: usize) -> Result<(), Error> {
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
        Data::Fp32(it) => json::push_f32(out, it[at], NonFinite::Null),
        Data::Fp64(it) => json::push_f64(out, it[at], NonFinite::Null),
        Data::Fp16(_) | Data::Bf16(_) => {
            return Err(Error::invalid(format!(
                "sending {} data via JSON is not supported; ask for output `{}` over gRPC",
                tensor.datatype(),
                tensor.name
            )));
        }
        Data::Bytes(it) => match std::str::from_utf8(&it[at]) {
            Ok(text) => json::push_str(out, text),
            Err(_) => {
                return Err(Error::invalid(format!(
                    "output `{}` holds bytes that are not UTF-8; ask for it over gRPC",
                    tensor.name
                )));
            }
        },
    }
    Ok(())
}
