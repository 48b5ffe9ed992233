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
const PARAMETERS: u64 = 4;
const INPUTS: u64 = 5;
const OUTPUTS: u64 = 6;
const RAW: u64 = 7;

/// Counts what an encoded request would be decoded to, before anything is allocated for it: an element of `BYTES` takes two
/// bytes there and thirty-two here.
///
/// # Errors
/// `TooLarge` for what is over a limit, `InvalidInput` when the bytes are not a protobuf message.
pub(super) fn check_request(body: &[u8], limits: &DecodeLimits) -> Result<(), Error> {
    let mut count = Count::default();
    let mut fields = Fields(body);
    while let Some((number, value)) = fields.next()? {
        match number {
            INPUTS => count.tensor(value)?,
            OUTPUTS => count.requested(value)?,
            PARAMETERS | RAW => count.many += 1,
            _ => {}
        }
    }
    count.check(limits)
}

/// The same for an encoded answer, which has its raw contents where a request has its outputs.
pub(super) fn check_response(body: &[u8]) -> Result<(), Error> {
    let mut count = Count::default();
    let mut fields = Fields(body);
    while let Some((number, value)) = fields.next()? {
        match number {
            INPUTS => count.tensor(value)?,
            PARAMETERS | OUTPUTS => count.many += 1,
            _ => {}
        }
    }
    count.check(&DecodeLimits::default())
}

/// What a message would be decoded to.
#[derive(Default)]
struct Count {
    /// Tensors and parameters.
    many: usize,
    /// Elements of `BYTES`.
    strings: usize,
}

impl Count {
    /// Counts an input, or an output of an answer: their fields are the same.
    fn tensor(&mut self, tensor: &[u8]) -> Result<(), Error> {
        const CONTENTS: u64 = 5;
        const BYTES_CONTENTS: u64 = 8;
        self.many += 1;
        let mut fields = Fields(tensor);
        while let Some((field, value)) = fields.next()? {
            self.many += usize::from(field == PARAMETERS);
            if field == CONTENTS {
                let mut contents = Fields(value);
                while let Some((field, _)) = contents.next()? {
                    self.strings += usize::from(field == BYTES_CONTENTS);
                }
            }
        }
        Ok(())
    }

    /// Counts an output that a request asks for.
    fn requested(&mut self, output: &[u8]) -> Result<(), Error> {
        self.many += 1;
        let mut fields = Fields(output);
        while let Some((field, _)) = fields.next()? {
            self.many += usize::from(field == 2);
        }
        Ok(())
    }

    fn check(&self, limits: &DecodeLimits) -> Result<(), Error> {
        let (many, strings) = (self.many, self.strings);
        if many > MANY {
            let message = format!("the message has {many} tensors and parameters, the limit is {MANY}");
            return Err(Error::new(Code::TooLarge, message));
        }
        if strings > limits.strings() {
            let message = format!("the tensors have {strings} strings, the limit is {}", limits.strings());
            return Err(Error::new(Code::TooLarge, message));
        }
        Ok(())
    }
}

/// Checks runs of numbers, before anything is allocated for them: an integer of one byte there takes eight here. Where the whole
/// message is short nothing is looked at.
///
/// # Errors
/// As for [`check_request`].
pub(super) fn check_runs(body: &[u8], limits: &DecodeLimits) -> Result<(), Error> {
    if body.len() <= limits.elements {
        return Ok(());
    }
    let mut fields = Fields(body);
    while let Some((number, value)) = fields.next()? {
        let mut input = Fields(if number == INPUTS { value } else { &[] });
        while let Some((field, value)) = input.next()? {
            let mut contents = Fields(if field == 5 { value } else { &[] });
            while let Some((field, value)) = contents.next()? {
                check_run(field, value, limits)?;
            }
        }
    }
    Ok(())
}

fn check_run(field: u64, value: &[u8], limits: &DecodeLimits) -> Result<(), Error> {
    let count = match field {
        // Booleans and integers: the last byte of each is below 128.
        1..=5 if value.len() > limits.elements => value.iter().filter(|it| **it < 0x80).count(),
        6 => value.len() / 4,
        7 => value.len() / 8,
        _ => 0,
    };
    if count <= limits.elements {
        return Ok(());
    }
    let message = format!("an input has {count} elements, the limit is {}", limits.elements);
    Err(Error::new(Code::TooLarge, message))
}

/// The length-delimited fields of a message, in order; other fields are passed over.
pub(crate) struct Fields<'a>(pub(crate) &'a [u8]);

impl<'a> Fields<'a> {
    pub(crate) fn next(&mut self) -> Result<Option<(u64, &'a [u8])>, Error> {
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
    Error::invalid("not a message of the Open Inference Protocol: it is cut short or malformed")
}
