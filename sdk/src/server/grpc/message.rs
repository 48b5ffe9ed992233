//! Messages out of a request's body: each within its limit before it is kept, each within its time.

use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use http::HeaderMap;
use http_body::Body;
use http_body_util::BodyExt;
use weir_proto::{Code, Error};

use super::compress::{Encoding, open};
use crate::Context;
use crate::wire::PREFIX;

/// What a message's length promises is reserved up to this; beyond that the buffer grows with what comes.
const RESERVE: usize = 1 << 20;

/// The messages of a body, in order.
pub(super) struct Messages<B> {
    body: B,
    /// What has come and is not read.
    rest: Bytes,
    /// The most bytes of a message, also once it is decompressed.
    limit: usize,
    /// How long the one message of a body may take to arrive.
    time: Duration,
}

impl<B> Messages<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: std::fmt::Display,
{
    pub(super) fn new(body: B, limit: usize, time: Duration) -> Self {
        Self { body, rest: Bytes::new(), limit, time }
    }

    /// Returns the one message of a body, which ends after it.
    ///
    /// It is read to its end: to answer before resets the stream, and the reset may overtake the answer.
    pub(super) async fn only(mut self, headers: &HeaderMap, context: &Context) -> Result<Bytes, Error> {
        let left = context.remaining()?.map_or(self.time, |left| left.min(self.time));
        let read = async {
            let message = self.next(headers).await?.ok_or_else(cut_short)?;
            if !self.rest.is_empty() || self.chunk().await?.is_some() {
                return Err(broken("the method takes one message, met more"));
            }
            Ok(message)
        };
        tokio::time::timeout(left, read).await.unwrap_or_else(|_| Err(late("the message", left)))
    }

    /// Returns the next message, or nothing at the body's end. A future that is dropped may have lost a message's beginning.
    pub(super) async fn next(&mut self, headers: &HeaderMap) -> Result<Option<Bytes>, Error> {
        let Some(mut prefix) = self.take(PREFIX).await? else { return Ok(None) };
        let (flag, length) = (prefix.get_u8(), prefix.get_u32() as usize);
        if length > self.limit {
            return Err(too_large(&length.to_string(), self.limit));
        }
        if flag > 1 {
            return Err(broken("its first byte is neither 0 nor 1"));
        }
        // Refused before it is read, where nobody could read it.
        let encoding = if flag == 1 { Some(Encoding::of_message(headers)?) } else { None };
        let message = self.take(length).await?.ok_or_else(cut_short)?;
        match encoding {
            None => Ok(Some(message)),
            Some(encoding) => open(encoding, message, self.limit).await.map(Some),
        }
    }

    /// Returns so many bytes, or nothing where the body has ended before the first of them.
    async fn take(&mut self, length: usize) -> Result<Option<Bytes>, Error> {
        while self.rest.len() < length {
            match self.chunk().await? {
                Some(chunk) if self.rest.is_empty() => self.rest = chunk,
                Some(chunk) => self.gather(chunk, length).await?,
                None if self.rest.is_empty() => return Ok(None),
                None => return Err(cut_short()),
            }
        }
        Ok(Some(self.rest.split_to(length)))
    }

    /// Gathers what comes in several pieces: the first is `rest`, the second `chunk`.
    async fn gather(&mut self, chunk: Bytes, length: usize) -> Result<(), Error> {
        let met = self.rest.len() + chunk.len();
        let mut all = BytesMut::with_capacity(length.min(RESERVE).max(met));
        all.extend_from_slice(&self.rest);
        all.extend_from_slice(&chunk);
        while all.len() < length {
            all.extend_from_slice(&self.chunk().await?.ok_or_else(cut_short)?);
        }
        self.rest = all.freeze();
        Ok(())
    }

    /// The next bytes that are some.
    async fn chunk(&mut self) -> Result<Option<Bytes>, Error> {
        while let Some(frame) = self.body.frame().await {
            let frame = frame.map_err(|error| Error::invalid(format!("the body broke off: {error}")))?;
            match frame.into_data() {
                Ok(data) if !data.is_empty() => return Ok(Some(data)),
                Ok(_) | Err(_) => {}
            }
        }
        Ok(None)
    }
}

fn broken(why: &str) -> Error {
    Error::invalid(format!("not a gRPC message: {why}"))
}

fn cut_short() -> Error {
    broken("the body is cut short")
}

pub(super) fn late(what: &str, after: Duration) -> Error {
    Error::new(Code::Deadline, format!("{what} did not arrive whole within {after:?}"))
}

/// Of a message from the client; `met` tells its bytes.
pub(super) fn too_large(met: &str, limit: usize) -> Error {
    let message = format!(
        "the message has {met} bytes, the limit is {limit} (`--grpc_max_receive_message_length`, 1 MiB for messages without \
         tensors)"
    );
    Error::new(Code::TooLarge, message)
}

#[cfg(test)]
mod tests {
    use http_body_util::StreamBody;

    use super::*;

    /// A body of these frames of data.
    fn messages(
        chunks: Vec<Vec<u8>>,
    ) -> Messages<impl Body<Data = Bytes, Error = std::convert::Infallible> + Unpin> {
        let frames = chunks.into_iter().map(|it| Ok(http_body::Frame::data(Bytes::from(it))));
        Messages::new(
            StreamBody::new(tonic::codegen::tokio_stream::iter(frames)),
            100,
            Duration::from_secs(60),
        )
    }

    #[tokio::test]
    async fn messages_are_found_wherever_the_frames_are_cut() {
        let whole = b"\0\0\0\0\x03abc\0\0\0\0\0\0\0\0\0\x02de".to_vec();
        let headers = HeaderMap::new();
        for first in 0..whole.len() {
            for second in first..whole.len() {
                let cut = [&whole[..first], &whole[first..second], &whole[second..]];
                let mut messages = messages(cut.map(<[u8]>::to_vec).to_vec());
                for message in ["abc", "", "de"] {
                    assert_eq!(messages.next(&headers).await.unwrap().unwrap(), message, "{first} {second}");
                }
                assert_eq!(messages.next(&headers).await, Ok(None));
            }
            let mut cut = messages(vec![whole[..first].to_vec()]);
            let ends_well = [0, 8, 13].contains(&first);
            let end = loop {
                match cut.next(&headers).await {
                    Ok(Some(_)) => {}
                    end => break end,
                }
            };
            assert_eq!(end.is_ok(), ends_well, "{first}: {end:?}");
        }
    }

    #[tokio::test]
    async fn what_is_no_message_is_refused_before_it_is_read() {
        let refused = async |bytes: &[u8], headers: &[(&'static str, &'static str)]| {
            let headers = headers
                .iter()
                .map(|(name, value)| (name.parse().unwrap(), http::HeaderValue::from_static(value)));
            messages(vec![bytes.to_vec()]).next(&headers.collect()).await.unwrap_err()
        };
        let error = refused(b"\0\0\0\0\x65", &[]).await;
        assert_eq!(error.code, Code::TooLarge);
        assert!(error.message.contains("101 bytes, the limit is 100"), "{error}");
        assert_eq!(refused(b"\x02\0\0\0\0", &[]).await.code, Code::InvalidInput);
        assert_eq!(refused(b"\x01\0\0\0\x01", &[]).await.code, Code::InvalidInput);
        let error = refused(b"\x01\0\0\0\x01", &[("grpc-encoding", "snappy")]).await;
        assert_eq!(error.code, Code::Unsupported, "{error}");
        let twice = messages(vec![b"\0\0\0\0\0\0\0\0\0\0".to_vec()]);
        let error = twice.only(&HeaderMap::new(), &Context::default()).await.unwrap_err();
        assert_eq!(error.code, Code::InvalidInput, "{error}");
    }
}
