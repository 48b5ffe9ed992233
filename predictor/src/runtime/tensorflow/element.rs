//! TensorFlow's element types and ours, and the elements in the form the other side takes.

use weir_native::tensorflow::{Contents, Elements, Tensor as Answer};
use weir_sdk::proto::Buffer;
use weir_sdk::{Code, Data, DataType, Error, Tensor};

/// Returns our type of one of TensorFlow's (`DataType` in its `types.proto`); `None` for those without: complex, quantized, 8-bit
/// floats, resources and variants.
pub(super) fn of_tensorflow(number: u64) -> Option<DataType> {
    Some(match number {
        1 => DataType::Fp32,
        2 => DataType::Fp64,
        3 => DataType::Int32,
        4 => DataType::Uint8,
        5 => DataType::Int16,
        6 => DataType::Int8,
        7 => DataType::Bytes,
        9 => DataType::Int64,
        10 => DataType::Bool,
        14 => DataType::Bf16,
        17 => DataType::Uint16,
        19 => DataType::Fp16,
        22 => DataType::Uint32,
        23 => DataType::Uint64,
        _ => return None,
    })
}

/// Returns TensorFlow's number of one of our types.
pub(super) const fn number(datatype: DataType) -> i32 {
    match datatype {
        DataType::Fp32 => 1,
        DataType::Fp64 => 2,
        DataType::Int32 => 3,
        DataType::Uint8 => 4,
        DataType::Int16 => 5,
        DataType::Int8 => 6,
        DataType::Bytes => 7,
        DataType::Int64 => 9,
        DataType::Bool => 10,
        DataType::Bf16 => 14,
        DataType::Uint16 => 17,
        DataType::Fp16 => 19,
        DataType::Uint32 => 22,
        DataType::Uint64 => 23,
    }
}

/// Elements as TensorFlow takes them. Those that are lent by a message are lent on.
pub(super) fn lend(data: &Data) -> Elements<'_> {
    weir_sdk::proto::for_each_data!(data, numbers => {
        match numbers.lent() {
            Some(bytes) => Elements::Lent(bytes),
            None => Elements::Numbers(numbers.as_bytes()),
        }
    }, strings => Elements::Strings(strings))
}

/// Makes an answer ours; its memory stays TensorFlow's.
pub(super) fn take(name: &str, answer: Answer) -> Result<Tensor, Error> {
    let Answer { datatype, shape, contents } = answer;
    let kind = u64::try_from(datatype).ok().and_then(of_tensorflow);
    let strange = || {
        let message = format!(
            "output `{name}` came as TensorFlow's type {datatype} of shape {shape:?}, which is not served"
        );
        Error::new(Code::Inference, message)
    };
    let data = match (contents, kind.ok_or_else(strange)?) {
        (Contents::Strings(texts), _) => Data::Bytes(texts),
        (Contents::Numbers(bytes), DataType::Bool) => {
            // A truth of ours is 0 or 1.
            let truths: Vec<u8> = bytes.iter().map(|&it| u8::from(it != 0)).collect();
            Data::Bool(Buffer::from(truths))
        }
        (Contents::Numbers(bytes), kind) => {
            let count = weir_sdk::proto::tensor::elements(&shape).ok_or_else(strange)?;
            Data::from_raw(kind, bytes, count, name)
                .map_err(|error| Error::new(Code::Inference, error.message))?
        }
    };
    if weir_sdk::proto::tensor::elements(&shape) != Some(data.len()) {
        return Err(strange());
    }
    Ok(Tensor::new(name, shape, data))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_of_ours_is_one_of_tensorflows() {
        let known: Vec<_> = (0..64).filter_map(|it| Some((it, of_tensorflow(it)?))).collect();
        assert_eq!(known.len(), 14);
        assert!(known.iter().all(|&(at, it)| u64::try_from(number(it)) == Ok(at)));
    }
}
