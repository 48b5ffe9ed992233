//! `Scaler`, `Normalizer`, `Imputer`, `Binarizer`, `ArrayFeatureExtractor` and `FeatureVectorizer`: numbers made ready for a model.

use std::collections::HashMap;

use bytes::Bytes;
use weir_sdk::{Data, Tensor};

use super::super::super::super::Fault;
use super::super::attributes::{Setting, unsupported};
use super::super::plain::binary::{Wrap, wrap};
use super::super::plain::order::index;
use super::super::value::{
    Outcome, Run, as_integers, as_singles, at_places, matrix, same, singles, tensor, unserved,
};

pub(in super::super) fn scaler(setting: &mut Setting) -> Result<Run, Fault> {
    let (offsets, scales) = (setting.floats("offset")?, setting.floats("scale")?);
    if offsets.is_empty() || offsets.len() != scales.len() {
        return Err(Fault::malformed(format!("{} offsets and {} scales", offsets.len(), scales.len())));
    }
    Ok(Box::new(move |args| {
        let it = args.take(0)?;
        let width = matrix(&it).1;
        if offsets.len() != 1 && offsets.len() != width {
            return Err(format!("rows of {width} columns meet a model of {}", offsets.len()).into());
        }
        let mut values = match it.data {
            Data::Fp32(values) => values.into_vec(),
            data => as_singles(&tensor(it.shape.clone(), data))?.into_owned(),
        };
        if let ([offset], [scale]) = (offsets.as_slice(), scales.as_slice()) {
            values.iter_mut().for_each(|it| *it = (*it - offset) * scale);
        } else if width > 0 {
            for row in values.chunks_exact_mut(width) {
                let told = offsets.iter().zip(&scales);
                row.iter_mut().zip(told).for_each(|(it, (offset, scale))| *it = (*it - offset) * scale);
            }
        }
        Ok(vec![singles(it.shape, values)])
    }))
}

pub(in super::super) fn normalizer(setting: &mut Setting) -> Result<Run, Fault> {
    let norm = setting.text("norm")?.unwrap_or_else(|| "MAX".to_owned());
    let size: fn(&[f32]) -> f32 = match norm.as_str() {
        // The largest as it is, not its magnitude, as ONNX Runtime has it.
        "MAX" => |row| row.iter().copied().fold(f32::MIN, f32::max),
        "L1" => |row| row.iter().map(|it| it.abs()).sum(),
        "L2" => |row| row.iter().map(|it| it * it).sum::<f32>().sqrt(),
        _ => return Err(unsupported(format!("the norm `{norm}`"))),
    };
    Ok(Box::new(move |args| {
        let it = args.get(0)?;
        let width = matrix(it).1;
        let mut values = as_singles(it)?.into_owned();
        if width > 0 {
            for row in values.chunks_exact_mut(width) {
                let size = size(row);
                if size != 0.0 {
                    row.iter_mut().for_each(|it| *it /= size);
                }
            }
        }
        Ok(vec![singles(it.shape.clone(), values)])
    }))
}

pub(in super::super) fn imputer(setting: &mut Setting) -> Result<Run, Fault> {
    let (floats, whole) = (setting.floats("imputed_value_floats")?, setting.ints("imputed_value_int64s")?);
    let gap = setting.float("replaced_value_float")?.unwrap_or(0.0);
    let whole_gap = setting.int("replaced_value_int64")?.unwrap_or(0);
    Ok(Box::new(move |args| {
        fn filled<T: Copy + Wrap>(
            values: &[T],
            width: usize,
            by: &[T],
            missing: impl Fn(T) -> bool,
        ) -> Outcome<Data> {
            if by.is_empty() || (by.len() != 1 && by.len() != width) {
                return Err(format!("rows of {width} columns meet a model of {}", by.len()).into());
            }
            let one = |(at, &it): (usize, &T)| match missing(it) {
                true if by.len() == 1 => by[0],
                true => by[at % width],
                false => it,
            };
            Ok(wrap(values.iter().enumerate().map(one).collect()))
        }
        let it = args.get(0)?;
        let width = matrix(it).1;
        let data = match &it.data {
            Data::Fp32(values) => {
                filled(values, width, &floats, |it| it == gap || (gap.is_nan() && it.is_nan()))?
            }
            Data::Fp64(values) => {
                let by: Vec<f64> = floats.iter().map(|&it| it.into()).collect();
                filled(values, width, &by, |it| it == f64::from(gap) || (gap.is_nan() && it.is_nan()))?
            }
            Data::Int64(values) => filled(values, width, &whole, |it| it == whole_gap)?,
            other => return Err(unserved(other.datatype())),
        };
        Ok(vec![tensor(it.shape.clone(), data)])
    }))
}

pub(in super::super) fn binarizer(setting: &mut Setting) -> Result<Run, Fault> {
    let threshold = setting.float("threshold")?.unwrap_or(0.0);
    Ok(Box::new(move |args| {
        let it = args.get(0)?;
        let values = as_singles(it)?.iter().map(|&it| f32::from(u8::from(it > threshold))).collect();
        Ok(vec![singles(it.shape.clone(), values)])
    }))
}

/// The columns, which are the last axis, at these places.
pub(in super::super) fn extractor(_: &mut Setting) -> Result<Run, Fault> {
    Ok(Box::new(|args| {
        let (it, places) = (args.get(0)?, as_integers(args.get(1)?)?);
        let width = *it.shape.last().ok_or("it takes no scalar")?;
        let places = places.iter().map(|&at| index(at, width)).collect::<Outcome<Vec<_>>>()?;
        // A list becomes a row.
        let mut shape = if it.shape.len() == 1 { vec![1, width] } else { it.shape.clone() };
        if let Some(last) = shape.last_mut() {
            *last = places.len();
        }
        args.allow(&shape)?;
        let starts = (0..it.data.len()).step_by(width.max(1));
        let chosen: Vec<usize> = starts.flat_map(|start| places.iter().map(move |&at| start + at)).collect();
        let data = same!(&it.data, values => at_places(values, chosen.iter().copied()));
        Ok(vec![tensor(shape, data)])
    }))
}

pub(in super::super) fn vectorizer(setting: &mut Setting) -> Result<Run, Fault> {
    let widths = setting.ints("inputdimensions")?;
    let widths = widths.iter().map(|&it| usize::try_from(it).ok()).collect::<Option<Vec<_>>>();
    let widths = widths.ok_or_else(|| Fault::malformed("its widths make no sense"))?;
    Ok(Box::new(move |args| {
        let all = (0..args.values.len()).map(|at| args.get(at)).collect::<Outcome<Vec<&Tensor>>>()?;
        let rows = all.first().map_or(0, |it| matrix(it).0);
        if all.len() != widths.len() || all.iter().any(|it| matrix(it).0 != rows) {
            return Err("its inputs differ in their rows".into());
        }
        let width =
            widths.iter().try_fold(0_usize, |sum, &it| sum.checked_add(it)).ok_or("it is too wide")?;
        let count = args.allow(&[rows, width])?;
        let values = all.iter().map(|it| as_singles(it)).collect::<Outcome<Vec<_>>>()?;
        let mut made = Vec::with_capacity(count);
        for row in 0..rows {
            for ((it, values), &wanted) in all.iter().zip(&values).zip(&widths) {
                let own = matrix(it).1;
                let row = &values[row * own..(row + 1) * own];
                made.extend_from_slice(&row[..own.min(wanted)]);
                made.resize(made.len() + wanted.saturating_sub(own), 0.0);
            }
        }
        Ok(vec![singles([rows, width], made)])
    }))
}

/// Texts to numbers and back.
pub(in super::super) fn category_mapper(setting: &mut Setting) -> Result<Run, Fault> {
    let (texts, numbers) = (setting.texts("cats_strings")?, setting.ints("cats_int64s")?);
    let unknown_text = setting.bytes("default_string")?.unwrap_or_else(|| Bytes::from_static(b"_Unused"));
    let unknown = setting.int("default_int64")?.unwrap_or(-1);
    if texts.len() != numbers.len() {
        return Err(Fault::malformed(format!("{} texts for {} numbers", texts.len(), numbers.len())));
    }
    let to_number: HashMap<Bytes, i64> = texts.iter().cloned().zip(numbers.iter().copied()).collect();
    let to_text: HashMap<i64, Bytes> = numbers.into_iter().zip(texts).collect();
    Ok(Box::new(move |args| {
        let it = args.get(0)?;
        let data = match &it.data {
            Data::Bytes(values) => {
                wrap(values.iter().map(|it| to_number.get(it).copied().unwrap_or(unknown)).collect())
            }
            Data::Int64(values) => Data::Bytes(
                values
                    .iter()
                    .map(|it| to_text.get(it).cloned().unwrap_or_else(|| unknown_text.clone()))
                    .collect(),
            ),
            other => return Err(unserved(other.datatype())),
        };
        Ok(vec![tensor(it.shape.clone(), data)])
    }))
}
