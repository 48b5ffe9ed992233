//! Numbers between the types of tensors and doubles.

use weir_proto::{Buffer, Data, DataType, Error, Tensor};

/// Integers up to here, and so doubles that hold them, are exact.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// Returns a tensor's numbers as doubles that hold them exactly; `what` names it in errors.
///
/// # Errors
/// `InvalidInput` for text, half floats and integers beyond 2^53.
pub(super) fn doubles(tensor: &Tensor, what: &str) -> Result<Vec<f64>, Error> {
    let datatype = tensor.datatype();
    let values = tensor.data.to_f64().ok_or_else(|| {
        Error::invalid(format!(
            "{what} has datatype {datatype}, expected numbers of FP32, FP64, BOOL or an integer type"
        ))
    })?;
    if is_integer(datatype) && values.iter().any(|value| value.abs() >= EXACT) {
        return Err(Error::invalid(format!(
            "{what} holds an integer beyond 2^53, which cannot be mixed with the background"
        )));
    }
    Ok(values)
}

/// Returns whether a type holds whole numbers only.
pub(super) fn is_integer(datatype: DataType) -> bool {
    integer_range(datatype).is_some()
}

/// The smallest and the largest value of an integer type, as far as doubles tell them apart.
fn integer_range(datatype: DataType) -> Option<(f64, f64)> {
    match datatype {
        DataType::Bool => Some((0.0, 1.0)),
        DataType::Uint8 => Some((0.0, f64::from(u8::MAX))),
        DataType::Uint16 => Some((0.0, f64::from(u16::MAX))),
        DataType::Uint32 => Some((0.0, f64::from(u32::MAX))),
        DataType::Uint64 => Some((0.0, EXACT)),
        DataType::Int8 => Some((f64::from(i8::MIN), f64::from(i8::MAX))),
        DataType::Int16 => Some((f64::from(i16::MIN), f64::from(i16::MAX))),
        DataType::Int32 => Some((f64::from(i32::MIN), f64::from(i32::MAX))),
        DataType::Int64 => Some((-EXACT, EXACT)),
        DataType::Fp16 | DataType::Bf16 | DataType::Fp32 | DataType::Fp64 | DataType::Bytes => None,
    }
}

/// Whether a type can hold a value; any float type can, rounded.
pub(super) fn holds(datatype: DataType, value: f64) -> bool {
    integer_range(datatype)
        .is_none_or(|(least, most)| value.fract() == 0.0 && (least..=most).contains(&value))
}

/// Rounds to what the type can hold, so that values the model cannot tell apart are equal here too.
pub(super) fn round(datatype: DataType, values: &mut [f64]) {
    if datatype == DataType::Fp32 {
        values.iter_mut().for_each(|value| *value = f64::from(*value as f32));
    }
}

/// Casts values that the type holds.
pub(super) fn numbers(datatype: DataType, values: Vec<f64>) -> Data {
    fn cast<T>(values: &[f64], convert: impl Fn(f64) -> T) -> Buffer<T> {
        values.iter().map(|&value| convert(value)).collect::<Vec<_>>().into()
    }
    match datatype {
        DataType::Bool => Data::Bool(cast(&values, |v| v as u8)),
        DataType::Uint8 => Data::Uint8(cast(&values, |v| v as u8)),
        DataType::Uint16 => Data::Uint16(cast(&values, |v| v as u16)),
        DataType::Uint32 => Data::Uint32(cast(&values, |v| v as u32)),
        DataType::Uint64 => Data::Uint64(cast(&values, |v| v as u64)),
        DataType::Int8 => Data::Int8(cast(&values, |v| v as i8)),
        DataType::Int16 => Data::Int16(cast(&values, |v| v as i16)),
        DataType::Int32 => Data::Int32(cast(&values, |v| v as i32)),
        DataType::Int64 => Data::Int64(cast(&values, |v| v as i64)),
        DataType::Fp32 => Data::Fp32(cast(&values, |v| v as f32)),
        // Half floats and text are refused where the frame is made.
        DataType::Fp64 | DataType::Fp16 | DataType::Bf16 | DataType::Bytes => Data::Fp64(values.into()),
    }
}

/// The bits of a number, the same for both zeros and for every NaN.
pub(super) fn canonical(value: f64) -> u64 {
    if value.is_nan() { f64::NAN.to_bits() } else { (value + 0.0).to_bits() }
}
