//! Faces: the ways a body can be written. Each service decodes the face it is given and encodes the one it is asked for;
//! whoever stands between them moves the bytes.

use bytes::Bytes;

use crate::generated::mesh;
use crate::{Code, DecodeLimits, Error, Form, InferRequest, InferResponse, oip, v1, v2};

/// How a body is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Face {
    /// JSON of the V1 protocol.
    V1,
    /// JSON of the Open Inference Protocol, perhaps with raw tensors behind it.
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
}

/// A body, and what is needed to read it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Payload {
    /// How the body is written.
    pub face: Face,
    /// The body.
    pub body: Bytes,
    /// For [`Face::V2`] with raw tensors behind the JSON: the length of the JSON. With 0 the body is nothing but the bytes of
    /// the model's one input.
    pub json_length: Option<usize>,
    /// How an answer to it is to be written.
    pub form: Form,
}

impl Payload {
    /// Creates a payload of the usual form.
    pub fn new(face: Face, body: Bytes) -> Self {
        Self { face, body, json_length: None, form: Form::default() }
    }

    /// Decodes a request to that model, and what it says of the answer's form.
    ///
    /// # Errors
    /// `InvalidInput` telling where, what was met and what was expected; `TooLarge` for what is over a limit.
    pub fn into_request(self, model: &str, limits: &DecodeLimits) -> Result<(InferRequest, Form), Error> {
        match self.face {
            Face::V1 => v1::decode_request(&self.body, self.form, limits),
            Face::V2 => v2::decode_request(&self.body, self.json_length, model, limits),
            // Whoever wrote the tensors of another face has learnt its form.
            Face::Tensors | Face::TypedTensors => Ok((oip::decode_request(self.body, limits)?, self.form)),
        }
    }

    /// Decodes an answer in tensors. V1 answers carry no types, so they are not read back.
    ///
    /// # Errors
    /// `Upstream` when the bytes are not such an answer.
    pub fn into_response(self) -> Result<(InferResponse, Form), Error> {
        match self.face {
            Face::Tensors | Face::TypedTensors => Ok((oip::decode_response(self.body)?, self.form)),
            Face::V1 | Face::V2 => Err(Error::new(
                Code::Unsupported,
                format!("an answer in the face {} is not read back; ask for tensors", self.face.name()),
            )),
        }
    }

    /// Encodes an answer in that face and form.
    ///
    /// # Errors
    /// `Inference` or `InvalidInput` when the outputs cannot be said so.
    pub fn of_response(face: Face, response: InferResponse, form: Form) -> Result<Self, Error> {
        let (body, json_length) = match face {
            Face::V1 => (v1::encode_response(&response, &form)?, None),
            Face::V2 => v2::encode_response(response, &form)?,
            Face::Tensors => (oip::encode_response(response, oip::Contents::Raw), None),
            Face::TypedTensors => (oip::encode_response(response, oip::Contents::Typed), None),
        };
        Ok(Self { face, body, json_length, form })
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
