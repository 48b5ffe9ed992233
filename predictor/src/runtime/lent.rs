//! Tensors on their way to a shim of `predictor/native`, and back: lent in both directions.

use std::borrow::Cow;

use weir_native::torch::{Input, Output};
use weir_proto::tensor::elements;
use weir_sdk::{Code, Data, DataType, Error, Tensor};

/// The types, by the numbers that the shims know them by.
const DATATYPES: [DataType; 14] = [
    DataType::Bool,
    DataType::Uint8,
    DataType::Uint16,
    DataType::Uint32,
    DataType::Uint64,
    DataType::Int8,
    DataType::Int16,
    DataType::Int32,
    DataType::Int64,
    DataType::Fp16,
    DataType::Bf16,
    DataType::Fp32,
    DataType::Fp64,
    DataType::Bytes,
];

/// Lends tensors to what runs with them.
pub(super) fn to<T>(tensors: &[Tensor], run: impl FnOnce(&[Input<'_>]) -> T) -> T {
    let raw: Vec<Cow<'_, [u8]>> = tensors.iter().map(raw).collect();
    let pairs = tensors.iter().zip(&raw);
    let given: Vec<Input<'_>> = pairs
        .map(|(tensor, data)| Input { datatype: number(tensor.datatype()), shape: &tensor.shape, data })
        .collect();
    run(&given)
}

/// Takes a tensor that a shim answered.
///
/// # Errors
/// What of it is no tensor of the protocol.
pub(super) fn take(output: Output) -> Result<Tensor, Error> {
    let wrong = |text: String| Error::new(Code::Inference, format!("output `{}`: {text}", output.name));
    let datatype = datatype(output.datatype)
        .ok_or_else(|| wrong(format!("type {} is none of the protocol's", output.datatype)))?;
    let count = elements(&output.shape).ok_or_else(|| wrong(format!("shape {:?}", output.shape)))?;
    let data = Data::from_raw(datatype, output.data.clone(), count, &output.name);
    let data = data.map_err(|error| wrong(error.message))?;
    Ok(Tensor::new(output.name, output.shape, data))
}

/// The type of that number.
pub(super) fn datatype(number: u8) -> Option<DataType> {
    DATATYPES.get(usize::from(number)).copied()
}

fn number(datatype: DataType) -> u8 {
    let at = DATATYPES.iter().position(|it| *it == datatype).unwrap_or(DATATYPES.len());
    u8::try_from(at).unwrap_or(u8::MAX)
}

/// The elements of a tensor as they lie in memory.
fn raw(tensor: &Tensor) -> Cow<'_, [u8]> {
    weir_proto::for_each_data!(
        &tensor.data,
        numbers => Cow::Borrowed(numbers.as_bytes()),
        strings => Cow::Owned(Data::Bytes(strings.clone()).into_raw().into())
    )
}
