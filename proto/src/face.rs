//! Faces: the ways a body can be written. Each service decodes the face it is given and encodes the one it is asked for;
//! whoever stands between them moves the bytes.

use bytes::Bytes;

use crate::generated::mesh;
use crate::{Error, InferRequest, InferResponse, oip, v1, v2};

/// How a body is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Face {
    /// JSON of the V1 protocol.
    V1,
    /// JSON of the Open Inference Protocol.
    V2,
    /// Messages of the Open Inference Protocol with raw contents.
    Tensors,
    /// The same messages with typed contents.
    TypedTensors,
}

impl Face {
    /// Returns the value for the `protocol` of spans and metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::V1 => "v1",
            Self::V2 => "v2",
            Self::Tensors => "grpc",
            Self::TypedTensors => "grpc-typed",
        }
    }

    /// Decodes a request written so.
    ///
    /// # Errors
    /// `InvalidInput` telling where, what was met and what was expected.
    pub fn decode_request(self, body: Bytes) -> Result<InferRequest, Error> {
        match self {
            Self::V1 => v1::decode_request(&body),
            Self::V2 => v2::decode_request(&body),
            Self::Tensors | Self::TypedTensors => oip::decode_request(body),
        }
    }

    /// Decodes an answer written so. V1 answers carry no types, so they are not read back.
    ///
    /// # Errors
    /// `Upstream` when the bytes are not such an answer.
    pub fn decode_response(self, body: Bytes) -> Result<InferResponse, Error> {
        match self {
            Self::Tensors | Self::TypedTensors => oip::decode_response(body),
            Self::V1 | Self::V2 => Err(Error::new(
                crate::Code::Unsupported,
                format!("an answer in the face {} is not read back; ask for tensors", self.name()),
            )),
        }
    }

    /// Encodes an answer.
    ///
    /// # Errors
    /// `Inference` when the outputs cannot be said in this face.
    pub fn encode_response(self, response: InferResponse) -> Result<Bytes, Error> {
        match self {
            Self::V1 => v1::encode_response(&response),
            Self::V2 => v2::encode_response(&response),
            Self::Tensors => Ok(oip::encode_response(response, oip::Contents::Raw)),
            Self::TypedTensors => Ok(oip::encode_response(response, oip::Contents::Typed)),
        }
    }
}

impl From<Face> for mesh::Face {
    fn from(face: Face) -> Self {
        match face {
            Face::V1 => Self::V1,
            Face::V2 => Self::V2,
            Face::Tensors => Self::Tensors,
            Face::TypedTensors => Self::TypedTensors,
        }
    }
}

impl TryFrom<i32> for Face {
    type Error = Error;

    fn try_from(number: i32) -> Result<Self, Error> {
        match mesh::Face::try_from(number) {
            Ok(mesh::Face::V1) => Ok(Self::V1),
            Ok(mesh::Face::V2) => Ok(Self::V2),
            Ok(mesh::Face::Tensors) => Ok(Self::Tensors),
            Ok(mesh::Face::TypedTensors) => Ok(Self::TypedTensors),
            Ok(mesh::Face::Unspecified) | Err(_) => {
                Err(Error::invalid(format!("face {number} is not one this build knows (1 to 4)")))
            }
        }
    }
}
