//! Compressed messages, gzip and deflate: what comes is held to the limit while it is decompressed; what goes is compressed
//! where the client compresses its own and the message is worth it.
//!
//! Client libraries offer to read compressed answers whether their user wants them or not, and to compress costs more than most
//! predictions do. So the offer alone is not taken up: a client that compresses is one that has asked for it.

use std::io::Read;

use bytes::{BufMut, Bytes, BytesMut};
use flate2::Compression;
use flate2::bufread::{GzEncoder, MultiGzDecoder, ZlibDecoder, ZlibEncoder};
use http::HeaderMap;
use weir_proto::{Code, Error};

use super::message::too_large;
use crate::wire::PREFIX;

/// The header that names how messages are compressed.
pub(super) const ENCODING: &str = "grpc-encoding";
/// The header that lists what its sender can read.
pub(super) const ACCEPT: &str = "grpc-accept-encoding";
/// What is read here.
pub(super) const READ: &str = "identity,deflate,gzip";

/// Below this an answer is not compressed: it goes in one packet as it is.
pub(super) const WORTH: usize = 1024;
/// A compressed message up to this long is opened where it is: it becomes a megabyte at the most.
const OPEN_HERE: usize = 1024;
/// A message up to this long is compressed where it is.
const PACK_HERE: usize = 16 << 10;

/// A compression.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Encoding {
    Gzip,
    /// With zlib's head and checksum.
    Deflate,
}

impl Encoding {
    const fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Deflate => "deflate",
        }
    }

    /// Of a message that says it is compressed.
    pub(super) fn of_message(headers: &HeaderMap) -> Result<Self, Error> {
        match headers.get(ENCODING).map(|it| it.to_str().unwrap_or_default()) {
            Some("gzip") => Ok(Self::Gzip),
            Some("deflate") => Ok(Self::Deflate),
            Some(other) if other != "identity" => {
                let message = format!("messages compressed with `{other}` are not offered; read are {READ}");
                Err(Error::new(Code::Unsupported, message))
            }
            Some(_) | None => {
                let message = format!(
                    "a message is marked as compressed, but the header `{ENCODING}` does not say how"
                );
                Err(Error::invalid(message))
            }
        }
    }

    /// How answers to a client may be compressed: as it compresses, where it reads that as well.
    pub(super) fn for_answers(headers: &HeaderMap) -> Option<Self> {
        let used = match headers.get(ENCODING)?.as_bytes() {
            b"gzip" => Self::Gzip,
            b"deflate" => Self::Deflate,
            _ => return None,
        };
        let read = headers.get(ACCEPT)?.to_str().ok()?;
        read.split(',').any(|it| it.trim() == used.name()).then_some(used)
    }

    pub(super) fn header(self) -> http::HeaderValue {
        http::HeaderValue::from_static(self.name())
    }
}

/// Decompresses a message, to `limit` bytes at the most.
pub(super) async fn open(encoding: Encoding, message: Bytes, limit: usize) -> Result<Bytes, Error> {
    if message.len() <= OPEN_HERE {
        return inflate(encoding, &message, limit);
    }
    // Long work does not belong on a thread that moves bytes.
    tokio::task::spawn_blocking(move || inflate(encoding, &message, limit)).await.unwrap_or_else(|_| lost())
}

fn inflate(encoding: Encoding, message: &[u8], limit: usize) -> Result<Bytes, Error> {
    // The buffer grows with what comes out, and nothing comes out beyond the limit.
    let most = limit as u64 + 1;
    let mut out = Vec::new();
    let read = match encoding {
        Encoding::Gzip => MultiGzDecoder::new(message).take(most).read_to_end(&mut out),
        Encoding::Deflate => ZlibDecoder::new(message).take(most).read_to_end(&mut out),
    };
    read.map_err(|error| {
        Error::invalid(format!("the message cannot be read as {}: {error}", encoding.name()))
    })?;
    if out.len() > limit {
        return Err(too_large(&format!("{} or more decompressed", out.len()), limit));
    }
    Ok(out.into())
}

/// Frames a message that is given in two parts, compressed where that is wanted and worth it.
pub(super) async fn frame(head: &[u8], body: Bytes, encoding: Option<Encoding>) -> Result<Bytes, Error> {
    let length = head.len() + body.len();
    let Some(encoding) = encoding.filter(|_| length >= WORTH) else {
        let mut out = BytesMut::with_capacity(PREFIX + length);
        put_prefix(&mut out, 0, length);
        out.extend_from_slice(head);
        out.extend_from_slice(&body);
        return Ok(out.freeze());
    };
    let head = head.to_vec();
    if length <= PACK_HERE {
        return deflate(encoding, &head, &body);
    }
    tokio::task::spawn_blocking(move || deflate(encoding, &head, &body)).await.unwrap_or_else(|_| lost())
}

fn put_prefix(out: &mut BytesMut, flag: u8, length: usize) {
    out.put_u8(flag);
    out.put_u32(u32::try_from(length).unwrap_or(u32::MAX));
}

fn deflate(encoding: Encoding, head: &[u8], body: &[u8]) -> Result<Bytes, Error> {
    let mut packed = vec![0; PREFIX];
    let source = head.chain(body);
    let read = match encoding {
        Encoding::Gzip => GzEncoder::new(source, Compression::fast()).read_to_end(&mut packed),
        Encoding::Deflate => ZlibEncoder::new(source, Compression::fast()).read_to_end(&mut packed),
    };
    let length = read
        .map_err(|error| Error::new(Code::Inference, format!("the answer cannot be compressed: {error}")))?;
    let mut prefix = BytesMut::with_capacity(PREFIX);
    put_prefix(&mut prefix, 1, length);
    packed[..PREFIX].copy_from_slice(&prefix);
    Ok(packed.into())
}

fn lost<T>() -> Result<T, Error> {
    Err(Error::new(Code::Inference, "compression failed unexpectedly; the service's log tells more"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_compressed_comes_back_and_a_bomb_does_not_go_off() {
        for encoding in [Encoding::Gzip, Encoding::Deflate] {
            for length in [WORTH, PACK_HERE + 1] {
                let body: Bytes = b"0123456789abcdef".repeat(length / 16 + 1).into();
                let framed = frame(b"head", body.clone(), Some(encoding)).await.unwrap();
                assert!(framed[0] == 1 && framed.len() < 500, "{} bytes", framed.len());
                let packed = framed.slice(PREFIX..);
                let whole = [b"head", &body[..]].concat();
                assert_eq!(open(encoding, packed.clone(), whole.len()).await.unwrap(), whole);
                let error = open(encoding, packed.clone(), whole.len() - 1).await.unwrap_err();
                assert_eq!(error.code, Code::TooLarge, "{error}");
                assert!(open(encoding, packed.slice(..packed.len() / 2), whole.len()).await.is_err());
            }
            // 64 MiB of zeros in some tens of kilobytes.
            let bomb = frame(b"", vec![0; 64 << 20].into(), Some(encoding)).await.unwrap().slice(PREFIX..);
            assert!(bomb.len() < 1 << 19, "{}", bomb.len());
            let error = open(encoding, bomb, 1000).await.unwrap_err();
            assert!(error.code == Code::TooLarge && error.message.contains("1001 or more"), "{error}");
        }
    }

    #[test]
    fn answers_are_compressed_only_for_a_client_that_compresses() {
        let headers = |pairs: &[(&'static str, &'static str)]| -> HeaderMap {
            let pairs = pairs.iter();
            pairs
                .map(|(name, value)| (name.parse().unwrap(), http::HeaderValue::from_static(value)))
                .collect()
        };
        let offered = ("grpc-accept-encoding", "identity, deflate, gzip");
        assert_eq!(Encoding::for_answers(&headers(&[offered])), None);
        assert_eq!(Encoding::for_answers(&headers(&[offered, (ENCODING, "gzip")])), Some(Encoding::Gzip));
        assert_eq!(
            Encoding::for_answers(&headers(&[offered, (ENCODING, "deflate")])),
            Some(Encoding::Deflate)
        );
        assert_eq!(Encoding::for_answers(&headers(&[(ENCODING, "gzip")])), None);
    }
}
