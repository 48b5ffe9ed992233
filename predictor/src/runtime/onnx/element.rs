//! ONNX's element types and ours, and the elements in the form the other side takes.

use weir_native::onnxruntime::{Elements, Input, Tensor as Answer};
use weir_sdk::{Code, Data, DataType, Error, Tensor};

/// Returns our type of one of ONNX's (`TensorProto.DataType`); `None` for those without: complex, and floats and integers of eight
/// bits or less that are no bytes.
pub(super) const fn of_onnx(number: u64) -> Option<DataType> {
    Some(match number {
        1 => DataType::Fp32,
        2 => DataType::Uint8,
        3 => DataType::Int8,
        4 => DataType::Uint16,
        5 => DataType::Int16,
        6 => DataType::Int32,
        7 => DataType::Int64,
        8 => DataType::Bytes,
        9 => DataType::Bool,
        10 => DataType::Fp16,
        11 => DataType::Fp64,
        12 => DataType::Uint32,
        13 => DataType::Uint64,
        16 => DataType::Bf16,
        _ => return None,
    })
}

/// Returns ONNX's number of one of our types.
const fn number(datatype: DataType) -> i32 {
    match datatype {
        DataType::Fp32 => 1,
        DataType::Uint8 => 2,
        DataType::Int8 => 3,
        DataType::Uint16 => 4,
        DataType::Int16 => 5,
        DataType::Int32 => 6,
        DataType::Int64 => 7,
        DataType::Bytes => 8,
        DataType::Bool => 9,
        DataType::Fp16 => 10,
        DataType::Fp64 => 11,
        DataType::Uint32 => 12,
        DataType::Uint64 => 13,
        DataType::Bf16 => 16,
    }
}

/// A tensor as ONNX Runtime takes it: its memory is lent.
pub(super) fn lend(tensor: &Tensor) -> Input<'_> {
    let elements = weir_sdk::proto::for_each_data!(
        &tensor.data,
        numbers => Elements::Numbers(numbers.as_bytes()),
        strings => Elements::Strings(strings)
    );
    Input { datatype: number(tensor.datatype()), shape: &tensor.shape, elements }
}

/// Makes an answer ours; its memory stays ONNX Runtime's.
pub(super) fn take(name: &str, answer: Answer) -> Result<Tensor, Error> {
    let (shape, data) = match answer {
        Answer::Strings { shape, texts } => (shape, Data::Bytes(texts)),
        Answer::Numbers { datatype, shape, bytes } => {
            let kind = of_onnx(datatype.cast_unsigned().into()).ok_or_else(|| {
                failed(format!("output `{name}` came as ONNX's element type {datatype}, which is not served"))
            })?;
            let count = weir_sdk::proto::tensor::elements(&shape).unwrap_or(usize::MAX);
            let data = Data::from_raw(kind, bytes, count, name).map_err(|error| failed(error.message))?;
            (shape, data)
        }
    };
    Ok(Tensor::new(name, shape, data))
}

pub(super) fn failed(message: impl Into<String>) -> Error {
    Error::new(Code::Inference, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_of_ours_is_one_of_onnxs() {
        let known: Vec<_> = (0..64).filter_map(|it| Some((it, of_onnx(it)?))).collect();
        assert_eq!(known.len(), 14);
        assert!(known.iter().all(|&(at, it)| number(it) as u64 == at));
    }
}
