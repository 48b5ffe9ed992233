//! Reads a body whole, within its limit: refused by its length before a byte is kept, or at the byte that is too many.

use bytes::{Bytes, BytesMut};
use http_body::Body;
use http_body_util::BodyExt;
use weir_proto::{Code, Error};

/// Returns the bytes; a body that came in one piece is not copied.
pub(super) async fn read<B>(body: B, max: usize) -> Result<Bytes, Error>
where
    B: Body<Data = Bytes>,
    B::Error: std::fmt::Display,
{
    let mut body = std::pin::pin!(body);
    let told = body.size_hint().lower();
    if told > max as u64 {
        return Err(too_large(told, max));
    }
    let mut first = Bytes::new();
    let mut rest: Option<BytesMut> = None;
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| Error::invalid(format!("the body broke off: {error}")))?;
        let Ok(data) = frame.into_data() else { continue };
        let so_far = rest.as_ref().map_or(first.len(), BytesMut::len);
        if so_far + data.len() > max {
            return Err(too_large((so_far + data.len()) as u64, max));
        }
        match &mut rest {
            Some(rest) => rest.extend_from_slice(&data),
            None if first.is_empty() => first = data,
            None => {
                // What a header promises is reserved up to a megabyte; beyond that the buffer grows with what comes.
                let expected = usize::try_from(told).unwrap_or(0).min(1 << 20).max(first.len() + data.len());
                let mut all = BytesMut::with_capacity(expected);
                all.extend_from_slice(&first);
                all.extend_from_slice(&data);
                rest = Some(all);
            }
        }
    }
    Ok(rest.map_or(first, BytesMut::freeze))
}

fn too_large(met: u64, max: usize) -> Error {
    Error::new(Code::TooLarge, format!("the body has {met} bytes or more, the limit is {max}"))
}
