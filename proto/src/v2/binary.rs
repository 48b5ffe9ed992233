//! The binary tensor extension of V2: raw tensors behind the JSON, little-endian and row-major.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;

use crate::tensor::elements;
use crate::{Data, DataType, DecodeLimits, Error, Parameter, Parameters};

/// The bytes behind the JSON of a request, handed out input by input.
pub(super) struct Raw<'m> {
    rest: Bytes,
    model: &'m str,
}

impl<'m> Raw<'m> {
    pub(super) fn new(rest: Bytes, model: &'m str) -> Self {
        Self { rest, model }
    }

    pub(super) fn model(&self) -> &'m str {
        self.model
    }

    /// Takes the next `size` bytes as a tensor. They are lent, not copied, where they lie aligned.
    pub(super) fn take(
        &mut self,
        name: &str,
        datatype: DataType,
        shape: &[usize],
        size: usize,
        limits: &DecodeLimits,
    ) -> Result<Data, Error> {
        let count = elements(shape).ok_or_else(|| {
            Error::invalid(format!("input `{name}`: the sizes of shape {shape:?} multiply beyond memory"))
        })?;
        limits.check_tensor(name, count, datatype)?;
        if size > self.rest.len() {
            return Err(Error::invalid(format!(
                "unexpected size for input '{name}', expecting {} additional bytes for model '{}'",
                size - self.rest.len(),
                self.model
            )));
        }
        Data::from_raw(datatype, self.rest.split_to(size), count, name)
    }

    /// Makes sure that nothing is left over.
    pub(super) fn finish(self) -> Result<(), Error> {
        if self.rest.is_empty() {
            return Ok(());
        }
        Err(Error::invalid(format!("unexpected additional input data for model '{}'", self.model)))
    }
}

/// Takes the size of an input's raw bytes out of its parameters.
pub(super) fn take_size(parameters: &mut Parameters, name: &str) -> Result<Option<usize>, Error> {
    let Some(size) = parameters.take("binary_data_size") else { return Ok(None) };
    let size = match size {
        Parameter::Int(size) => usize::try_from(size).ok(),
        Parameter::Bool(_) | Parameter::Uint(_) | Parameter::Double(_) | Parameter::String(_) => None,
    };
    let wrong = || Error::invalid(format!("input `{name}`: `binary_data_size` is no number of bytes"));
    size.ok_or_else(wrong).map(Some)
}

/// Returns whether MLServer's parameter says that strings are base64.
pub(super) fn is_base64(parameters: &Parameters) -> bool {
    matches!(parameters.get("content_type"), Some(Parameter::String(it)) if it == "base64")
}

/// Decodes strings that are base64.
pub(super) fn from_base64(data: Data, name: &str) -> Result<Data, Error> {
    let Data::Bytes(strings) = data else { return Ok(data) };
    let decode = |text: Bytes| {
        BASE64
            .decode(&text)
            .map(Bytes::from)
            .map_err(|error| Error::invalid(format!("input `{name}`: Unable to base64 decode: {error}")))
    };
    strings.into_iter().map(decode).collect::<Result<_, _>>().map(Data::Bytes)
}

#[cfg(test)]
mod tests {
    use crate::v2::decode_request;
    use crate::{Buffer, Data, DecodeLimits, Form, Tensor};

    fn body(json: &str, raw: &[u8]) -> (bytes::Bytes, Option<usize>) {
        ([json.as_bytes(), raw].concat().into(), Some(json.len()))
    }

    fn decode(json: &str, raw: &[u8]) -> Result<(Vec<Tensor>, Form), String> {
        let (body, length) = body(json, raw);
        decode_request(&body, length, "m", &DecodeLimits::default())
            .map(|(request, form)| (request.inputs, form))
            .map_err(|error| error.message)
    }

    const MIXED: &str = r#"{"inputs": [
        {"name": "a", "shape": [2], "datatype": "FP16", "parameters": {"binary_data_size": 4}},
        {"name": "b", "shape": [1], "datatype": "INT8", "data": [7]},
        {"name": "c", "shape": [2], "datatype": "BYTES", "parameters": {"binary_data_size": 9, "k": 1}},
        {"name": "d", "shape": [0], "datatype": "FP32", "data": null, "parameters": {"binary_data_size": 0}}],
        "parameters": {"binary_data_output": true}, "outputs": [{"name": "y", "parameters": {"binary_data": false}}]}"#;

    #[test]
    fn raw_inputs_and_json_mix() {
        let (inputs, form) = decode(MIXED, b"\x00\x3c\x00\x40\x01\0\0\0x\0\0\0\0").unwrap();
        assert_eq!(inputs[0].data, Data::Fp16(Buffer::from(vec![0x3c00, 0x4000])));
        assert_eq!(inputs[1].data, Data::Int8(vec![7].into()));
        assert_eq!(inputs[2].data, Data::Bytes(vec!["x".into(), "".into()]));
        assert_eq!(inputs[2].parameters.0.len(), 1, "the size is no parameter of the model");
        assert!(inputs[3].data.is_empty());
        assert!(form.is_binary("z") && !form.is_binary("y"));
    }

    #[test]
    fn bytes_that_are_missing_or_left_over_are_told_as_triton_does() {
        let one = r#"{"inputs": [{"name": "a", "shape": [2], "datatype": "FP32", "parameters": {"binary_data_size": 8}}]}"#;
        let refuse = |json: &str, raw: &[u8]| decode(json, raw).unwrap_err();
        assert_eq!(
            refuse(one, &[0; 4]),
            "unexpected size for input 'a', expecting 4 additional bytes for model 'm'"
        );
        assert_eq!(refuse(one, &[0; 9]), "unexpected additional input data for model 'm'");
        let wrong = one.replace(": 8", ": 4");
        assert_eq!(
            refuse(&wrong, &[0; 4]),
            "input `a` of datatype FP32 needs 2 elements of 4 bytes, got 4 bytes"
        );
        let both = one.replace("\"FP32\"", "\"FP32\", \"data\": [1, 2]");
        assert!(refuse(&both, &[0; 8]).contains("both `data` and `binary_data_size`"));
        let negative = one.replace(": 8", ": -8");
        assert!(refuse(&negative, &[]).contains("no number of bytes"));
    }

    #[test]
    fn a_header_of_nothing_makes_the_body_the_input() {
        let (request, form) = decode_request(&"abc".into(), Some(0), "m", &DecodeLimits::default()).unwrap();
        assert_eq!(request.inputs[0].data, Data::Bytes(vec!["abc".into()]));
        assert!(form.raw && form.is_binary("any"));
    }
}
