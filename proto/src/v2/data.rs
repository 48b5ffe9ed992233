//! Reads the `data` of a V2 tensor, flat or nested, into the type it is declared to have.

use bytes::Bytes;

use super::list;
use crate::json::{Kind, Number, Reader};
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
    limits.check_elements(name, count)?;
    macro_rules! integers {
        ($variant:ident, $type:ty) => {{
            let mut values: Vec<$type> = Vec::new();
            leaves(reader, &mut |reader| {
                let number = match reader.peek()? {
                    Kind::Number => reader.number()?,
                    kind => return Err(not_a(name, values.len(), &format!("{kind:?}"), datatype)),
                };
                let value = match number {
                    Number::Int(it) => <$type>::try_from(it).ok(),
                    Number::Uint(it) => <$type>::try_from(it).ok(),
                    Number::Float(_) => None,
                };
                match (value, number) {
                    (Some(value), _) => values.push(value),
                    (None, Number::Int(it)) => {
                        return Err(not_a(name, values.len(), &it.to_string(), datatype));
                    }
                    (None, Number::Uint(it)) => {
                        return Err(not_a(name, values.len(), &it.to_string(), datatype));
                    }
                    (None, Number::Float(it)) => {
                        return Err(not_a(name, values.len(), &it.to_string(), datatype));
                    }
                }
                Ok(())
            })?;
            Data::$variant(values.into())
        }};
    }
    let data = match datatype {
        DataType::Fp64 => Data::Fp64(floats(reader, name, datatype)?.into()),
        DataType::Fp32 => Data::Fp32(
            floats(reader, name, datatype)?.into_iter().map(|v| v as f32).collect::<Vec<_>>().into(),
        ),
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

fn floats(reader: &mut Reader<'_>, name: &str, datatype: DataType) -> Result<Vec<f64>, Error> {
    let mut values = Vec::new();
    let mut nesting = 0_usize;
    // The same walk as `leaves`, with the tight loop of the reader at the innermost lists.
    list(reader, "data")?;
    loop {
        let ended = reader.numbers(&mut values)?.closed || !reader.next_element()?;
        if ended {
            match nesting.checked_sub(1) {
                Some(outer) => nesting = outer,
                None => return Ok(values),
            }
            continue;
        }
        match reader.peek()? {
            Kind::Array => {
                reader.begin_array()?;
                nesting += 1;
            }
            Kind::Number => values.push(reader.float()?),
            // As numbers that are not finite are written.
            Kind::Null => {
                reader.null()?;
                values.push(f64::NAN);
            }
            kind => return Err(not_a(name, values.len(), &format!("{kind:?}"), datatype)),
        }
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
