//! What is learnt of an encoded request without decoding it: by a walk over its fields that copies nothing.

use bytes::Bytes;
use prost::encoding::decode_varint;

use super::Contents;
use crate::{Code, DecodeLimits, Error};

/// What a router needs of a `ModelInferRequest`: the model, the version, and how the numbers are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    /// Field `model_name`.
    pub model: String,
    /// Field `model_version`.
    pub version: String,
    /// Field `id`.
    pub id: String,
    /// Whether there are raw contents; no inputs at all counts as raw.
    pub contents: Contents,
}

/// Reads the [`Envelope`] of an encoded request.
///
/// # Errors
/// `InvalidInput` when the bytes are not a protobuf message.
pub fn envelope(body: &Bytes) -> Result<Envelope, Error> {
    let (mut raw, mut inputs) = (false, false);
    let mut envelope =
        Envelope { model: String::new(), version: String::new(), id: String::new(), contents: Contents::Raw };
    let mut fields = Fields(body);
    while let Some((number, value)) = fields.next()? {
        let text = || String::from_utf8(value.to_vec()).map_err(|_| broken());
        match number {
            1 => envelope.model = text()?,
            2 => envelope.version = text()?,
            3 => envelope.id = text()?,
            INPUTS => inputs = true,
            RAW => raw = true,
            _ => {}
        }
    }
    if inputs && !raw {
        envelope.contents = Contents::Typed;
    }
    Ok(envelope)
}

/// The most tensors, and the most parameters, that a message may have: each takes two bytes there and hundreds here.
const MANY: usize = 1 << 14;
const INPUTS: u64 = 5;
const OUTPUTS: u64 = 6;
const RAW: u64 = 7;

/// Counts what an encoded request would be decoded to, before anything is allocated for it: an element of `BYTES` takes two
/// bytes there and thirty-two here.
///
/// # Errors
/// `TooLarge` for what is over a limit, `InvalidInput` when the bytes are not a protobuf message.
pub(super) fn check(body: &[u8], limits: &DecodeLimits) -> Result<(), Error> {
    const CONTENTS: u64 = 5;
    const BYTES_CONTENTS: u64 = 8;
    let (mut many, mut strings) = (0_usize, 0_usize);
    let mut fields = Fields(body);
    while let Some((number, value)) = fields.next()? {
        if matches!(number, 4 | INPUTS | OUTPUTS | RAW) {
            many += 1;
        }
        if number == INPUTS || number == OUTPUTS {
            let parameters = if number == INPUTS { 4 } else { 2 };
            let mut tensor = Fields(value);
            while let Some((field, value)) = tensor.next()? {
                many += usize::from(field == parameters);
                if number == INPUTS && field == CONTENTS {
                    let mut contents = Fields(value);
                    while let Some((field, _)) = contents.next()? {
                        strings += usize::from(field == BYTES_CONTENTS);
                    }
                }
            }
        }
    }
    if many > MANY {
        let message = format!("the message has {many} tensors and parameters, the limit is {MANY}");
        return Err(Error::new(Code::TooLarge, message));
    }
    if strings > limits.elements {
        let message = format!("the inputs have {strings} elements, the limit is {}", limits.elements);
        return Err(Error::new(Code::TooLarge, message));
    }
    Ok(())
}

/// The length-delimited fields of a message, in order; other fields are passed over.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn next(&mut self) -> Result<Option<(u64, &'a [u8])>, Error> {
        while !self.0.is_empty() {
            let tag = decode_varint(&mut self.0).map_err(|_| broken())?;
            let length = match tag & 7 {
                0 => {
                    decode_varint(&mut self.0).map_err(|_| broken())?;
                    0
                }
                1 => 8,
                2 => {
                    let length = decode_varint(&mut self.0).map_err(|_| broken())?;
                    usize::try_from(length).map_err(|_| broken())?
                }
                5 => 4,
                _ => return Err(broken()),
            };
            let (value, rest) = self.0.split_at_checked(length).ok_or_else(broken)?;
            self.0 = rest;
            if tag & 7 == 2 {
                return Ok(Some((tag >> 3, value)));
            }
        }
        Ok(None)
    }
}

fn broken() -> Error {
    Error::invalid("not an inference.ModelInferRequest: the message is cut short or malformed")
}
