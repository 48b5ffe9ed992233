//! Casts from one element type to another, texts included.

use bytes::Bytes;
use weir_sdk::proto::half;
use weir_sdk::{Data, DataType, Tensor};

use super::super::super::super::Fault;
use super::super::super::element::of_onnx;
use super::super::attributes::{Setting, unsupported};
use super::super::value::{Outcome, Run, Trouble, tensor, unserved};

pub(in super::super) fn cast(setting: &mut Setting) -> Result<Run, Fault> {
    // How numbers of eight bits round, which are not served.
    setting.ignore(&["saturate", "round_mode"]);
    let wanted = setting.int("to")?.unwrap_or(0);
    let wanted = of_onnx(wanted.cast_unsigned())
        .ok_or_else(|| unsupported(format!("a cast to ONNX's element type {wanted}")))?;
    Ok(Box::new(move |args| Ok(vec![to(args.take(0)?, wanted)?])))
}

pub(in super::super) fn cast_like(setting: &mut Setting) -> Result<Run, Fault> {
    setting.ignore(&["saturate", "round_mode"]);
    Ok(Box::new(|args| {
        let wanted = args.get(1)?.datatype();
        Ok(vec![to(args.take(0)?, wanted)?])
    }))
}

/// Casts a tensor: floats to integers towards nought, anything to a truth by whether it is nought.
pub(in super::super) fn to(it: Tensor, wanted: DataType) -> Outcome<Tensor> {
    if it.datatype() == wanted {
        return Ok(it);
    }
    let data = match (&it.data, wanted) {
        (Data::Bytes(texts), _) => of_texts(texts, wanted)?,
        (data, DataType::Bytes) => Data::Bytes(texts(data)?),
        (data, _) => numbers(data, wanted)?,
    };
    Ok(tensor(it.shape, data))
}

/// Numbers as numbers of another type.
macro_rules! converted {
    ($values:expr, $wanted:expr) => {
        match $wanted {
            DataType::Bool => {
                Data::Bool($values.map(|it| u8::from(it as f64 != 0.0)).collect::<Vec<_>>().into())
            }
            DataType::Uint8 => Data::Uint8($values.map(|it| it as u8).collect::<Vec<_>>().into()),
            DataType::Uint16 => Data::Uint16($values.map(|it| it as u16).collect::<Vec<_>>().into()),
            DataType::Uint32 => Data::Uint32($values.map(|it| it as u32).collect::<Vec<_>>().into()),
            DataType::Uint64 => Data::Uint64($values.map(|it| it as u64).collect::<Vec<_>>().into()),
            DataType::Int8 => Data::Int8($values.map(|it| it as i8).collect::<Vec<_>>().into()),
            DataType::Int16 => Data::Int16($values.map(|it| it as i16).collect::<Vec<_>>().into()),
            DataType::Int32 => Data::Int32($values.map(|it| it as i32).collect::<Vec<_>>().into()),
            DataType::Int64 => Data::Int64($values.map(|it| it as i64).collect::<Vec<_>>().into()),
            DataType::Fp32 => Data::Fp32($values.map(|it| it as f32).collect::<Vec<_>>().into()),
            DataType::Fp64 => Data::Fp64($values.map(|it| it as f64).collect::<Vec<_>>().into()),
            other => return Err(unserved(other)),
        }
    };
}

fn numbers(data: &Data, wanted: DataType) -> Outcome<Data> {
    Ok(match data {
        Data::Bool(it) | Data::Uint8(it) => converted!(it.iter().copied(), wanted),
        Data::Uint16(it) => converted!(it.iter().copied(), wanted),
        Data::Uint32(it) => converted!(it.iter().copied(), wanted),
        Data::Uint64(it) => converted!(it.iter().copied(), wanted),
        Data::Int8(it) => converted!(it.iter().copied(), wanted),
        Data::Int16(it) => converted!(it.iter().copied(), wanted),
        Data::Int32(it) => converted!(it.iter().copied(), wanted),
        Data::Int64(it) => converted!(it.iter().copied(), wanted),
        Data::Fp32(it) => converted!(it.iter().copied(), wanted),
        Data::Fp64(it) => converted!(it.iter().copied(), wanted),
        Data::Fp16(it) => converted!(it.iter().map(|&it| half::from_fp16(it)), wanted),
        Data::Bf16(it) => converted!(it.iter().map(|&it| half::from_bf16(it)), wanted),
        Data::Bytes(_) => return Err(unserved(wanted)),
    })
}

fn of_texts(texts: &[Bytes], wanted: DataType) -> Outcome<Data> {
    let parsed = |it: &Bytes| -> Outcome<f64> {
        let text = std::str::from_utf8(it).unwrap_or_default().trim();
        text.parse().map_err(|_| not_a_number(it))
    };
    let whole = |it: &Bytes| -> Outcome<i64> {
        let text = std::str::from_utf8(it).unwrap_or_default().trim();
        text.parse().map_err(|_| not_a_number(it))
    };
    Ok(match wanted {
        DataType::Fp32 => {
            let single = |it: &Bytes| -> Outcome<f32> {
                let text = std::str::from_utf8(it).unwrap_or_default().trim();
                text.parse().map_err(|_| not_a_number(it))
            };
            Data::Fp32(texts.iter().map(single).collect::<Outcome<Vec<_>>>()?.into())
        }
        DataType::Fp64 => Data::Fp64(texts.iter().map(parsed).collect::<Outcome<Vec<_>>>()?.into()),
        DataType::Int64 => Data::Int64(texts.iter().map(whole).collect::<Outcome<Vec<_>>>()?.into()),
        wanted => {
            let numbers_of = Data::Int64(texts.iter().map(whole).collect::<Outcome<Vec<_>>>()?.into());
            numbers(&numbers_of, wanted)?
        }
    })
}

fn not_a_number(text: &Bytes) -> Trouble {
    let text: String = String::from_utf8_lossy(text).chars().take(40).collect();
    format!("the text `{text}` is no number").into()
}

/// Numbers as texts, floats as C's `%.8g` writes them, since the categories of a model were written so.
pub(in super::super) fn texts(data: &Data) -> Outcome<Vec<Bytes>> {
    macro_rules! plain {
        ($values:expr) => {
            $values.iter().map(|it| Bytes::from(it.to_string())).collect()
        };
    }
    Ok(match data {
        Data::Bytes(it) => it.clone(),
        Data::Bool(it) => plain!(it),
        Data::Uint8(it) => plain!(it),
        Data::Uint16(it) => plain!(it),
        Data::Uint32(it) => plain!(it),
        Data::Uint64(it) => plain!(it),
        Data::Int8(it) => plain!(it),
        Data::Int16(it) => plain!(it),
        Data::Int32(it) => plain!(it),
        Data::Int64(it) => plain!(it),
        Data::Fp32(it) => it.iter().map(|&it| general(f64::from(it), 8).into()).collect(),
        Data::Fp64(it) => it.iter().map(|&it| general(it, 8).into()).collect(),
        other => return Err(unserved(other.datatype())),
    })
}

/// A number as C's `%g` writes it with so many digits.
fn general(value: f64, digits: usize) -> String {
    if value.is_nan() {
        return "NaN".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "INF" } else { "-INF" }.to_owned();
    }
    if value == 0.0 {
        return if value.is_sign_negative() { "-0" } else { "0" }.to_owned();
    }
    let scientific = format!("{value:.*e}", digits - 1);
    let (mantissa, power) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let power: i32 = power.parse().unwrap_or(0);
    let trimmed = |text: &str| {
        if text.contains('.') {
            text.trim_end_matches('0').trim_end_matches('.').to_owned()
        } else {
            text.to_owned()
        }
    };
    if power < -4 || power >= digits as i32 {
        let sign = if power < 0 { '-' } else { '+' };
        return format!("{}e{sign}{:02}", trimmed(mantissa), power.abs());
    }
    let places = usize::try_from(digits as i32 - 1 - power).unwrap_or(0);
    trimmed(&format!("{value:.places$}"))
}

#[cfg(test)]
mod tests {
    use super::general;

    #[test]
    fn numbers_are_written_as_c_writes_them() {
        for (value, digits, text) in [
            (1.0, 8, "1"),
            (0.1_f32.into(), 8, "0.1"),
            (1e-5, 8, "1e-05"),
            (123_456_789.0, 8, "1.2345679e+08"),
            (-2.5, 8, "-2.5"),
            (0.1, 17, "0.10000000000000001"),
            (100.0, 17, "100"),
        ] {
            assert_eq!(general(value, digits), text);
        }
    }
}
