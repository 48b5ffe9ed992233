//! gRPC's framing of one message each way, as the mesh's own calls use it and the public gRPC API shares it.
//!
//! A hop between services is most of what a request costs, and this form of it does without streams and boxed futures: one
//! buffer out, one buffer in.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue};
use http_body::{Frame, SizeHint};
use prost::Message;
use weir_proto::generated::mesh;
use weir_proto::{Code, Error};

use crate::{ModelState, Verb, VersionStatus};

/// How the paths of mesh calls begin.
pub(crate) const PATHS: &str = "/weir.mesh.v1.";
/// The path of the call that every service answers.
pub(crate) const DESCRIBE: &str = "/weir.mesh.v1.Component/Describe";

/// Returns the path of a verb's call.
pub(crate) const fn path(verb: Verb) -> &'static str {
    match verb {
        Verb::Preprocess => "/weir.mesh.v1.Transformer/Preprocess",
        Verb::Infer => "/weir.mesh.v1.Predictor/Infer",
        Verb::Postprocess => "/weir.mesh.v1.Transformer/Postprocess",
        Verb::Explain => "/weir.mesh.v1.Explainer/Explain",
    }
}

/// The length of the prefix: a flag and a length.
pub(crate) const PREFIX: usize = 5;
/// The trailer that holds the status.
pub(crate) const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
/// The content type of every gRPC message.
pub(crate) const GRPC: HeaderValue = HeaderValue::from_static("application/grpc");

/// Encodes a message with its prefix, in one allocation.
pub(crate) fn frame(message: &impl Message) -> Bytes {
    let length = message.encoded_len();
    let mut out = BytesMut::with_capacity(PREFIX + length);
    out.put_u8(0);
    out.put_u32(u32::try_from(length).unwrap_or(u32::MAX));
    message.encode_raw(&mut out);
    out.freeze()
}

/// Reads the one message of a body.
///
/// # Errors
/// `InvalidInput` when the body is not one uncompressed message.
pub(crate) fn unframe<M: Message + Default>(body: Bytes) -> Result<M, Error> {
    M::decode(message_of(body)?).map_err(|error| broken(&error.to_string()))
}

/// Returns the bytes of the one message of a body.
///
/// # Errors
/// `InvalidInput` when the body is not one uncompressed message.
pub(crate) fn message_of(mut body: Bytes) -> Result<Bytes, Error> {
    if body.len() < PREFIX {
        return Err(broken("the body is cut short"));
    }
    if body.get_u8() != 0 {
        return Err(Error::new(
            Code::Unsupported,
            "compressed gRPC messages are not offered between services",
        ));
    }
    if body.get_u32() as usize != body.len() {
        return Err(broken("the length in the prefix is not that of the body"));
    }
    Ok(body)
}

fn broken(why: &str) -> Error {
    Error::invalid(format!("not a gRPC message: {why}"))
}

/// Reads a length that a message tells.
///
/// # Errors
/// `InvalidInput` when this machine has no such lengths.
pub(crate) fn length(told: u64) -> Result<usize, Error> {
    usize::try_from(told).map_err(|_| Error::invalid(format!("{told} is no length")))
}

/// Reads how far a model is. Services of an older build tell `ready` alone.
pub(crate) fn state_of(told: &mesh::description::Model) -> ModelState {
    state_named(told.state(), told.ready)
}

fn state_named(state: mesh::description::State, ready: bool) -> ModelState {
    match state {
        mesh::description::State::Loading => ModelState::Loading,
        mesh::description::State::Ready => ModelState::Ready,
        mesh::description::State::Failed => ModelState::Failed,
        mesh::description::State::Unloaded => ModelState::Unloaded,
        mesh::description::State::Unspecified if ready => ModelState::Ready,
        mesh::description::State::Unspecified => ModelState::Failed,
    }
}

/// Tells how far a model is.
pub(crate) fn state_to(state: ModelState) -> mesh::description::State {
    match state {
        ModelState::Loading => mesh::description::State::Loading,
        ModelState::Ready => mesh::description::State::Ready,
        ModelState::Failed => mesh::description::State::Failed,
        ModelState::Unloaded => mesh::description::State::Unloaded,
    }
}

/// Tells of one version of a model.
pub(crate) fn version_to(it: VersionStatus) -> mesh::description::Version {
    let VersionStatus { version, state, reason, memory_bytes } = it;
    mesh::description::Version { version, state: state_to(state).into(), reason, memory_bytes }
}

/// What [`version_to`] told.
pub(crate) fn version_of(it: mesh::description::Version) -> VersionStatus {
    let state = state_named(it.state(), false);
    VersionStatus { version: it.version, state, reason: it.reason, memory_bytes: it.memory_bytes }
}

/// An answer's body: one frame of data, and the trailers that say it went well.
pub(crate) struct Answer(Option<Bytes>, Option<HeaderMap>);

impl Answer {
    /// Creates the body of an answer that went well.
    pub(crate) fn ok(data: Bytes) -> Self {
        let mut trailers = HeaderMap::with_capacity(1);
        trailers.insert(GRPC_STATUS, HeaderValue::from_static("0"));
        Self(Some(data), Some(trailers))
    }
}

impl http_body::Body for Answer {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let data = self.0.take().map(Frame::data);
        Poll::Ready(data.or_else(|| self.1.take().map(Frame::trailers)).map(Ok))
    }

    /// At least so much: an exact size would become a header that no peer reads.
    fn size_hint(&self) -> SizeHint {
        let mut hint = SizeHint::new();
        hint.set_lower(self.0.as_ref().map_or(0, Bytes::len) as u64);
        hint
    }
}

#[cfg(test)]
mod tests {
    use weir_proto::generated::mesh::Answer as Wire;

    use super::*;

    #[test]
    fn a_message_comes_back_and_a_broken_one_is_refused() {
        let message = Wire { face: 1, body: Bytes::from_static(b"body"), ..Wire::default() };
        let framed = frame(&message);
        assert_eq!(unframe::<Wire>(framed.clone()), Ok(message));
        for end in 0..framed.len() {
            assert!(unframe::<Wire>(framed.slice(..end)).is_err(), "cut at {end}");
        }
        let mut compressed = framed.to_vec();
        compressed[0] = 1;
        assert_eq!(unframe::<Wire>(compressed.into()).unwrap_err().code, Code::Unsupported);
    }
}
