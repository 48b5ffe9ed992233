//! Reads the `data` of a V2 tensor, flat or nested, into the type it is declared to have.

use bytes::Bytes;

use super::list;
use crate::json::{Element, JsonError, Kind, Number, Reader};
use crate::tensor::elements;
use crate::{Data, DataType, DecodeLimits, Error, v1};

/// Reads `data`, flat or nested, into the type it is declared to have.
pub(super) fn read_data(
    reader: &mut Reader<'_>,
    name: &str,
    datatype: DataType,
    shape: &[usize],
    limits: &DecodeLimits,
) -> Result<Data, Error> {
    let count = elements(shape).ok_or_else(|| {
        Error::invalid(format!("input `{name}`: the sizes of shape {shape:?} multiply beyond memory"))
    })?;
    limits.check_tensor(name, count, datatype)?;
    macro_rules! integers {
        ($variant:ident, $type:ty) => {
            Data::$variant(integers::<$type>(reader, name, datatype, count)?.into())
        };
    }
    let data = match datatype {
        DataType::Fp64 => Data::Fp64(floats(reader, name, datatype, count)?.into()),
        DataType::Fp32 => Data::Fp32(floats(reader, name, datatype, count)?.into()),
        DataType::Int8 => integers!(Int8, i8),
        DataType::Int16 => integers!(Int16, i16),
        DataType::Int32 => integers!(Int32, i32),
        DataType::Int64 => integers!(Int64, i64),
        DataType::Uint8 => integers!(Uint8, u8),
        DataType::Uint16 => integers!(Uint16, u16),
        DataType::Uint32 => integers!(Uint32, u32),
        DataType::Uint64 => integers!(Uint64, u64),
        DataType::Bool => {
            let mut values: Vec<u8> = Vec::new();
            leaves(reader, &mut |reader| {
                match reader.peek()? {
                    Kind::Bool => values.push(u8::from(reader.boolean()?)),
                    kind => return Err(not_a(name, values.len(), &format!("{kind:?}"), datatype)),
                }
                Ok(())
            })?;
            Data::Bool(values.into())
        }
        DataType::Bytes => {
            let mut values: Vec<Bytes> = Vec::new();
            leaves(reader, &mut |reader| {
                // Not one more than the shape asks for: each takes ten times what its text does.
                if values.len() >= count {
                    return Err(Error::invalid(format!(
                        "input `{name}` has more than {count} values, its shape {shape:?} needs {count}"
                    )));
                }
                match reader.peek()? {
                    Kind::String => values.push(Bytes::copy_from_slice(reader.string()?.as_bytes())),
                    Kind::Object if v1::is_base64(reader) => values.push(v1::base64(reader)?),
                    kind => return Err(not_a(name, values.len(), &format!("{kind:?}"), datatype)),
                }
                Ok(())
            })?;
            Data::Bytes(values)
        }
        DataType::Fp16 | DataType::Bf16 => {
            return Err(Error::invalid(format!(
                "Sending {datatype} data via JSON is not supported. Please use the binary data format for input {name}"
            )));
        }
    };
    if data.len() != count {
        return Err(Error::invalid(format!(
            "input `{name}` has {} values, its shape {shape:?} needs {count}",
            data.len()
        )));
    }
    Ok(data)
}

fn not_a(name: &str, at: usize, met: &str, datatype: DataType) -> Error {
    Error::invalid(format!("input `{name}`: element {at} is {met}, which is no {datatype}"))
}

fn integers<T: Element + TryFrom<i64> + TryFrom<u64>>(
    reader: &mut Reader<'_>,
    name: &str,
    datatype: DataType,
    count: usize,
) -> Result<Vec<T>, Error> {
    let mut values = Vec::new();
    if reader.grid(&mut values, count).is_some() {
        return Ok(values);
    }
    leaves(reader, &mut |reader| {
        let value = match reader.peek()? {
            Kind::Number => match reader.number()? {
                Number::Int(it) => T::try_from(it).map_err(|_| it.to_string()),
                Number::Uint(it) => T::try_from(it).map_err(|_| it.to_string()),
                Number::Float(it) => Err(it.to_string()),
            },
            kind => Err(format!("{kind:?}")),
        };
        values.push(value.map_err(|met| not_a(name, values.len(), &met, datatype))?);
        Ok(())
    })?;
    Ok(values)
}

/// Reads floats, each rounded once to its type. `null` is NaN, as numbers that are not finite are written.
fn floats<T: Float>(
    reader: &mut Reader<'_>,
    name: &str,
    datatype: DataType,
    count: usize,
) -> Result<Vec<T>, Error> {
    let mut values = Vec::new();
    if reader.grid(&mut values, count).is_some() {
        return Ok(values);
    }
    leaves(reader, &mut |reader| {
        values.push(match reader.peek()? {
            Kind::Number => T::read(reader)?,
            Kind::Null => reader.null().map(|()| T::NAN)?,
            kind => return Err(not_a(name, values.len(), &format!("{kind:?}"), datatype)),
        });
        Ok(())
    })?;
    Ok(values)
}

trait Float: Element {
    const NAN: Self;
    fn read(reader: &mut Reader<'_>) -> Result<Self, JsonError>;
}

impl Float for f32 {
    const NAN: Self = Self::NAN;

    fn read(reader: &mut Reader<'_>) -> Result<Self, JsonError> {
        reader.float32()
    }
}

impl Float for f64 {
    const NAN: Self = Self::NAN;

    fn read(reader: &mut Reader<'_>) -> Result<Self, JsonError> {
        reader.float()
    }
}

/// Calls `leaf` on every value of lists nested at will.
fn leaves<'a>(
    reader: &mut Reader<'a>,
    leaf: &mut dyn FnMut(&mut Reader<'a>) -> Result<(), Error>,
) -> Result<(), Error> {
    let mut nesting = 0_usize;
    list(reader, "data")?;
    loop {
        if !reader.next_element()? {
            match nesting.checked_sub(1) {
                Some(outer) => nesting = outer,
                None => return Ok(()),
            }
        } else if reader.peek()? == Kind::Array {
            reader.begin_array()?;
            nesting += 1;
        } else {
            leaf(reader)?;
        }
    }
}
