//! Operators on shapes: elements keep their values and change their places.

use weir_sdk::{Data, Tensor};

use super::super::super::super::Fault;
use super::super::super::element::of_onnx;
use super::super::attributes::{Setting, unsupported};
use super::super::value::{
    Args, Join, Outcome, Run, as_doubles, as_integers, at_places, axis, integers, same, same_of_all, tensor,
    unserved,
};
use super::cast;

pub(in super::super) fn constant(setting: &mut Setting) -> Result<Run, Fault> {
    let made = if let Some(it) = setting.tensor("value")? {
        it
    } else if let Some(it) = setting.float("value_float")? {
        tensor([], Data::Fp32(vec![it].into()))
    } else if let Some(it) = setting.int("value_int")? {
        integers([], vec![it])
    } else if let Some(it) = setting.bytes("value_string")? {
        tensor([], Data::Bytes(vec![it]))
    } else if setting.has("value_floats") {
        let values = setting.floats("value_floats")?;
        tensor([values.len()], Data::Fp32(values.into()))
    } else if setting.has("value_ints") {
        let values = setting.ints("value_ints")?;
        integers([values.len()], values)
    } else if setting.has("value_strings") {
        let values = setting.texts("value_strings")?;
        tensor([values.len()], Data::Bytes(values))
    } else {
        return Err(Fault::malformed("it has no value that is served"));
    };
    Ok(Box::new(move |_| Ok(vec![made.clone()])))
}

/// Repeats the one element of a tensor.
fn filled(it: &Tensor, shape: Vec<usize>, count: usize) -> Outcome<Tensor> {
    if it.data.is_empty() {
        return Err("it has no value to fill with".into());
    }
    let data = same!(&it.data, values => at_places(values, std::iter::repeat_n(0, count)));
    Ok(tensor(shape, data))
}

pub(in super::super) fn constant_of_shape(setting: &mut Setting) -> Result<Run, Fault> {
    let value = setting.tensor("value")?.unwrap_or_else(|| tensor([1], Data::Fp32(vec![0.0].into())));
    Ok(Box::new(move |args| {
        let shape = sizes(&as_integers(args.get(0)?)?)?;
        let count = args.allow(&shape)?;
        Ok(vec![filled(&value, shape, count)?])
    }))
}

/// Whole numbers as sizes.
pub(in super::super) fn sizes(numbers: &[i64]) -> Outcome<Vec<usize>> {
    let sizes = numbers.iter().map(|&it| usize::try_from(it).ok()).collect::<Option<Vec<_>>>();
    sizes.ok_or_else(|| format!("{numbers:?} are no sizes").into())
}

pub(in super::super) fn reshape(setting: &mut Setting) -> Result<Run, Fault> {
    let keep_noughts = setting.int("allowzero")?.unwrap_or(0) != 0;
    let told = setting.ints("shape")?;
    Ok(Box::new(move |args| {
        let wanted = match args.optional(1) {
            Some(it) => as_integers(it)?.into_owned(),
            None => told.clone(),
        };
        let mut it = args.take(0)?;
        it.shape = reshaped(&it, &wanted, keep_noughts)?;
        Ok(vec![it])
    }))
}

fn reshaped(it: &Tensor, wanted: &[i64], keep_noughts: bool) -> Outcome<Vec<usize>> {
    let refused = || format!("the shape {:?} does not become {wanted:?}", it.shape);
    let mut shape = Vec::with_capacity(wanted.len());
    let mut open = None;
    for (at, &size) in wanted.iter().enumerate() {
        shape.push(match size {
            0 if !keep_noughts => *it.shape.get(at).ok_or_else(refused)?,
            -1 if open.is_none() => {
                open = Some(at);
                1
            }
            size => usize::try_from(size).map_err(|_| refused())?,
        });
    }
    let known = shape.iter().try_fold(1_usize, |all, &it| all.checked_mul(it)).ok_or_else(refused)?;
    if let Some(at) = open {
        shape[at] = it.data.len().checked_div(known).unwrap_or(0);
    }
    let fits = weir_sdk::proto::tensor::elements(&shape) == Some(it.data.len());
    if fits && shape.len() <= weir_sdk::proto::tensor::MAX_RANK { Ok(shape) } else { Err(refused().into()) }
}

pub(in super::super) fn flatten(setting: &mut Setting) -> Result<Run, Fault> {
    let told = setting.int("axis")?.unwrap_or(1);
    Ok(Box::new(move |args| {
        let mut it = args.take(0)?;
        let rank = it.shape.len();
        let at = if told == rank as i64 { rank } else { axis(told, rank)? };
        let (before, after) = it.shape.split_at(at.min(rank));
        it.shape = vec![before.iter().product(), after.iter().product()];
        Ok(vec![it])
    }))
}

/// Axes are an attribute up to version 12 and an input from 13 on.
fn axes(told: &[i64], args: &Args<'_>, at: usize) -> Outcome<Vec<i64>> {
    Ok(match args.optional(at) {
        Some(it) => as_integers(it)?.into_owned(),
        None => told.to_vec(),
    })
}

pub(in super::super) fn squeeze(setting: &mut Setting) -> Result<Run, Fault> {
    let told = setting.ints("axes")?;
    Ok(Box::new(move |args| {
        let wanted = axes(&told, args, 1)?;
        let mut it = args.take(0)?;
        let rank = it.shape.len();
        let gone = wanted.iter().map(|&at| axis(at, rank)).collect::<Outcome<Vec<_>>>()?;
        if gone.iter().any(|&at| it.shape.get(at) != Some(&1)) {
            return Err(format!("axes {wanted:?} of the shape {:?} are not of size 1", it.shape).into());
        }
        let stays = |&(at, &size): &(usize, &usize)| {
            if gone.is_empty() { size != 1 } else { !gone.contains(&at) }
        };
        it.shape = it.shape.iter().enumerate().filter(stays).map(|(_, &size)| size).collect();
        Ok(vec![it])
    }))
}

pub(in super::super) fn unsqueeze(setting: &mut Setting) -> Result<Run, Fault> {
    let told = setting.ints("axes")?;
    Ok(Box::new(move |args| {
        let wanted = axes(&told, args, 1)?;
        let mut it = args.take(0)?;
        let rank = it.shape.len() + wanted.len();
        if rank > weir_sdk::proto::tensor::MAX_RANK {
            return Err("a tensor of too many sizes would come of it".into());
        }
        let mut new = wanted.iter().map(|&at| axis(at, rank)).collect::<Outcome<Vec<_>>>()?;
        new.sort_unstable();
        new.dedup();
        if new.len() != wanted.len() {
            return Err(format!("axes {wanted:?} name one twice").into());
        }
        new.into_iter().for_each(|at| it.shape.insert(at, 1));
        Ok(vec![it])
    }))
}

pub(in super::super) fn shape(setting: &mut Setting) -> Result<Run, Fault> {
    let start = setting.int("start")?.unwrap_or(0);
    let end = setting.int("end")?;
    Ok(Box::new(move |args| {
        let shape = &args.get(0)?.shape;
        let rank = shape.len() as i64;
        let bound = |at: i64| (if at < 0 { at.saturating_add(rank) } else { at }).clamp(0, rank) as usize;
        let (start, end) = (bound(start), bound(end.unwrap_or(rank)));
        let sizes = shape.get(start..end.max(start)).unwrap_or_default();
        let sizes: Vec<i64> = sizes.iter().map(|&it| i64::try_from(it).unwrap_or(i64::MAX)).collect();
        Ok(vec![integers([sizes.len()], sizes)])
    }))
}

pub(in super::super) fn size(_: &mut Setting) -> Result<Run, Fault> {
    Ok(Box::new(|args| {
        let count = args.get(0)?.data.len();
        Ok(vec![integers([], vec![i64::try_from(count).unwrap_or(i64::MAX)])])
    }))
}

pub(in super::super) fn transpose(setting: &mut Setting) -> Result<Run, Fault> {
    let told = setting.ints("perm")?;
    Ok(Box::new(move |args| {
        let rank = args.get(0)?.shape.len();
        let order: Vec<usize> = if told.is_empty() { (0..rank).rev().collect() } else { sizes(&told)? };
        let mut sorted = order.clone();
        sorted.sort_unstable();
        if !sorted.iter().copied().eq(0..rank) {
            return Err(format!("{told:?} is no order of {rank} axes").into());
        }
        let it = args.take(0)?;
        let shape: Vec<usize> = order.iter().map(|&at| it.shape[at]).collect();
        // Axes of size 1 move without any element moving.
        let moving: Vec<_> = order.iter().filter(|&&at| it.shape[at] != 1).collect();
        if moving.is_sorted() {
            return Ok(vec![tensor(shape, it.data)]);
        }
        let own = strides(&it.shape);
        let steps: Vec<usize> = order.iter().map(|&at| own[at]).collect();
        let data = same!(&it.data, values => strided(values, &shape, &steps, 0));
        Ok(vec![tensor(shape, data)])
    }))
}

/// How far each size's next element is.
pub(in super::super) fn strides(shape: &[usize]) -> Vec<usize> {
    let mut strides = vec![1; shape.len()];
    for at in (1..shape.len()).rev() {
        strides[at - 1] = strides[at] * shape[at];
    }
    strides
}

/// Collects elements that lie steps apart. Every place that is met is within the values, which the caller has checked.
pub(in super::super) fn strided<T: Clone>(
    values: &[T],
    shape: &[usize],
    steps: &[usize],
    start: usize,
) -> Vec<T> {
    let count: usize = shape.iter().product();
    if count == 0 {
        return Vec::new();
    }
    let (&inner, outer) = shape.split_last().unwrap_or((&1, &[]));
    let (&step, outer_steps) = steps.split_last().unwrap_or((&1, &[]));
    let mut made = Vec::with_capacity(count);
    let mut at = vec![0; outer.len()];
    let mut place = start;
    for _ in 0..count / inner {
        if step == 1 {
            made.extend_from_slice(&values[place..place + inner]);
        } else {
            made.extend((0..inner).map(|it| values[place + it * step].clone()));
        }
        for axis in (0..outer.len()).rev() {
            at[axis] += 1;
            place += outer_steps[axis];
            if at[axis] < outer[axis] {
                break;
            }
            place -= outer_steps[axis] * outer[axis];
            at[axis] = 0;
        }
    }
    made
}

struct Blocks {
    /// Elements of each input that come together.
    lengths: Vec<usize>,
    times: usize,
}

impl Join for Blocks {
    fn join<T: Clone + Default>(&self, slices: &[&[T]]) -> Vec<T> {
        let mut made = Vec::with_capacity(slices.iter().map(|it| it.len()).sum());
        for time in 0..self.times {
            for (slice, &length) in slices.iter().zip(&self.lengths) {
                made.extend_from_slice(&slice[time * length..][..length]);
            }
        }
        made
    }
}

pub(in super::super) fn concat(setting: &mut Setting) -> Result<Run, Fault> {
    let told = setting.int("axis")?.unwrap_or(1);
    Ok(Box::new(move |args| {
        if args.values.len() == 1 {
            return Ok(vec![args.take(0)?]);
        }
        let all = (0..args.values.len()).map(|at| args.get(at)).collect::<Outcome<Vec<_>>>()?;
        Ok(vec![joined(&all, told, args.limit)?])
    }))
}

/// Puts tensors one behind another along an axis.
pub(in super::super) fn joined(all: &[&Tensor], along: i64, limit: usize) -> Outcome<Tensor> {
    let first = all.first().ok_or("it has no inputs")?;
    let at = axis(along, first.shape.len())?;
    let mut shape = first.shape.clone();
    if shape.is_empty() {
        return Err("scalars cannot be put one behind another".into());
    }
    shape[at] = 0;
    for it in all {
        let fits = it.shape.len() == shape.len()
            && it.shape.iter().zip(&first.shape).enumerate().all(|(axis, (a, b))| axis == at || a == b);
        if !fits {
            return Err(format!(
                "the shapes {:?} and {:?} do not fit one behind another",
                first.shape, it.shape
            )
            .into());
        }
        shape[at] = shape[at].saturating_add(it.shape[at]);
    }
    super::super::value::allow(&shape, limit)?;
    let times: usize = shape[..at].iter().product();
    let lengths = all.iter().map(|it| it.shape[at..].iter().product()).collect();
    let data: Vec<&Data> = all.iter().map(|it| &it.data).collect();
    Ok(tensor(shape, same_of_all(&data, &Blocks { lengths, times })?))
}

pub(in super::super) fn split(setting: &mut Setting) -> Result<Run, Fault> {
    let along = setting.int("axis")?.unwrap_or(0);
    let told = setting.ints("split")?;
    let parts = setting.int("num_outputs")?.and_then(|it| usize::try_from(it).ok());
    let parts = parts.unwrap_or(setting.outputs).min(setting.outputs).max(1);
    Ok(Box::new(move |args| {
        let wanted = sizes(&axes(&told, args, 1)?)?;
        let it = args.get(0)?;
        let at = axis(along, it.shape.len())?;
        let whole = *it.shape.get(at).ok_or("a scalar cannot be split")?;
        let wanted = if wanted.is_empty() {
            let each = whole.div_ceil(parts);
            (0..parts).map(|part| whole.saturating_sub(part * each).min(each)).collect()
        } else {
            wanted
        };
        if wanted.iter().try_fold(0_usize, |sum, &it| sum.checked_add(it)) != Some(whole)
            || wanted.len() < parts
        {
            return Err(format!("{whole} cannot be split into {wanted:?}").into());
        }
        let mut start = 0;
        let part = |&size: &usize| {
            let made = cut(it, at, start, size);
            start += size;
            made
        };
        Ok(wanted.iter().map(part).collect())
    }))
}

/// A piece along an axis, within it.
pub(in super::super) fn cut(it: &Tensor, at: usize, start: usize, size: usize) -> Tensor {
    let mut shape = it.shape.clone();
    shape[at] = size;
    let steps = strides(&it.shape);
    let data = same!(&it.data, values => strided(values, &shape, &steps, start * steps[at]));
    tensor(shape, data)
}

/// Starts and ends are attributes up to version 9 and inputs from 10 on.
pub(in super::super) fn slice(setting: &mut Setting) -> Result<Run, Fault> {
    let (starts, ends, along) = (setting.ints("starts")?, setting.ints("ends")?, setting.ints("axes")?);
    Ok(Box::new(move |args| {
        let list = |told: &[i64], at: usize| axes(told, args, at);
        let (starts, ends) = (list(&starts, 1)?, list(&ends, 2)?);
        let (along, paces) = (list(&along, 3)?, list(&[], 4)?);
        let it = args.get(0)?;
        let rank = it.shape.len();
        let mut shape = it.shape.clone();
        let mut first = vec![0_usize; rank];
        let mut pace = vec![1_i64; rank];
        for (at, (&start, &end)) in starts.iter().zip(&ends).enumerate() {
            let axis = match along.get(at) {
                Some(&it) => axis(it, rank)?,
                None if along.is_empty() => at,
                None => return Err("it has fewer axes than starts".into()),
            };
            let size = *it.shape.get(axis).ok_or("it has more starts than the tensor has axes")?;
            let step = paces.get(at).copied().unwrap_or(1);
            (first[axis], shape[axis]) = range(start, end, step, size)?;
            pace[axis] = step;
        }
        let data = same!(&it.data, values => picked(values, &it.shape, &shape, &first, &pace));
        Ok(vec![tensor(shape, data)])
    }))
}

/// Where a slice begins, and how many there are in it.
fn range(start: i64, end: i64, step: i64, size: usize) -> Outcome<(usize, usize)> {
    let length = i64::try_from(size).map_err(|_| "a size is too large")?;
    let wrapped = |at: i64| if at < 0 { at.saturating_add(length) } else { at };
    if step == 0 || step == i64::MIN {
        return Err(format!("it goes in steps of {step}").into());
    }
    let (low, high) = if step > 0 { (0, length) } else { (-1, length - 1) };
    let (start, end) = (wrapped(start).clamp(low.max(0).min(high), high), {
        // Before the first, counted from the end, stays before the first.
        wrapped(end).clamp(low, high)
    });
    if length == 0 {
        return Ok((0, 0));
    }
    let span = if step > 0 { end - start } else { start - end };
    let count = if span <= 0 { 0 } else { (span - 1) / step.abs() + 1 };
    Ok((usize::try_from(start).unwrap_or(0), usize::try_from(count).unwrap_or(0)))
}

fn picked<T: Clone>(values: &[T], own: &[usize], shape: &[usize], first: &[usize], pace: &[i64]) -> Vec<T> {
    let steps = strides(own);
    if pace.iter().all(|&it| it > 0) {
        let start = first.iter().zip(&steps).map(|(at, step)| at * step).sum();
        let steps: Vec<usize> =
            steps.iter().zip(pace).map(|(step, &it)| step.saturating_mul(it as usize)).collect();
        return strided(values, shape, &steps, start);
    }
    let count: usize = shape.iter().product();
    let mut at = vec![0; shape.len()];
    let mut made = Vec::with_capacity(count);
    for _ in 0..count {
        let place: i64 = (0..shape.len())
            .map(|axis| (first[axis] as i64 + at[axis] as i64 * pace[axis]) * steps[axis] as i64)
            .sum();
        made.extend(usize::try_from(place).ok().and_then(|it| values.get(it)).cloned());
        for axis in (0..shape.len()).rev() {
            at[axis] += 1;
            if at[axis] < shape[axis] {
                break;
            }
            at[axis] = 0;
        }
    }
    made
}

/// Repeats a tensor until it has that shape.
pub(in super::super) fn spread_to(it: &Tensor, shape: Vec<usize>, limit: usize) -> Outcome<Tensor> {
    super::super::value::allow(&shape, limit)?;
    let own = strides(&it.shape);
    let before = shape.len() - it.shape.len();
    let step = |at: usize| match at.checked_sub(before) {
        Some(at) if it.shape[at] != 1 => own[at],
        _ => 0,
    };
    let steps: Vec<usize> = (0..shape.len()).map(step).collect();
    let data = same!(&it.data, values => strided(values, &shape, &steps, 0));
    Ok(tensor(shape, data))
}

pub(in super::super) fn expand(_: &mut Setting) -> Result<Run, Fault> {
    Ok(Box::new(|args| {
        let wanted = sizes(&as_integers(args.get(1)?)?)?;
        let it = args.get(0)?;
        let shape = super::binary::together(&it.shape, &wanted)?;
        if it.shape == shape {
            return Ok(vec![args.take(0)?]);
        }
        Ok(vec![spread_to(it, shape, args.limit)?])
    }))
}

pub(in super::super) fn tile(_: &mut Setting) -> Result<Run, Fault> {
    Ok(Box::new(|args| {
        let times = sizes(&as_integers(args.get(1)?)?)?;
        let it = args.get(0)?;
        if times.len() != it.shape.len() {
            return Err(format!("{times:?} are no repeats of {} axes", it.shape.len()).into());
        }
        // Each size becomes two: how often, and how many.
        let pairs: Vec<usize> =
            times.iter().zip(&it.shape).flat_map(|(&times, &size)| [times, size]).collect();
        let shape: Option<Vec<usize>> = times.iter().zip(&it.shape).map(|(a, &b)| a.checked_mul(b)).collect();
        let shape = shape.ok_or("too large a tensor would come of it")?;
        args.allow(&shape)?;
        let steps: Vec<usize> = strides(&it.shape).into_iter().flat_map(|step| [0, step]).collect();
        let data = same!(&it.data, values => strided(values, &pairs, &steps, 0));
        Ok(vec![tensor(shape, data)])
    }))
}

pub(in super::super) fn eye_like(setting: &mut Setting) -> Result<Run, Fault> {
    let diagonal = setting.int("k")?.unwrap_or(0);
    let kind =
        setting.int("dtype")?.map(|it| of_onnx(it.cast_unsigned()).ok_or_else(|| unsupported("its type")));
    let kind = kind.transpose()?;
    Ok(Box::new(move |args| {
        let it = args.get(0)?;
        let &[rows, columns] = it.shape.as_slice() else { return Err("it takes a matrix".into()) };
        args.allow(&it.shape)?;
        let mut values = vec![0.0; rows * columns];
        for row in 0..rows {
            let column = usize::try_from((row as i64).saturating_add(diagonal)).unwrap_or(usize::MAX);
            if column < columns {
                values[row * columns + column] = 1.0;
            }
        }
        let made = tensor([rows, columns], Data::Fp64(values.into()));
        Ok(vec![cast::to(made, kind.unwrap_or(it.datatype()))?])
    }))
}

pub(in super::super) fn range_of(_: &mut Setting) -> Result<Run, Fault> {
    Ok(Box::new(|args| {
        let kind = args.get(0)?.datatype();
        let number = |at: usize| -> Outcome<f64> {
            let values = as_doubles(args.get(at)?)?;
            values.first().copied().ok_or_else(|| "it takes numbers".into())
        };
        let (start, limit, step) = (number(0)?, number(1)?, number(2)?);
        let count = ((limit - start) / step).ceil().max(0.0);
        if !count.is_finite() {
            return Err(format!("it goes from {start} to {limit} in steps of {step}").into());
        }
        let count = args.allow(&[count as usize])?;
        let values: Vec<f64> = (0..count).map(|at| start + at as f64 * step).collect();
        Ok(vec![cast::to(tensor([count], Data::Fp64(values.into())), kind)?])
    }))
}

pub(in super::super) fn pad(setting: &mut Setting) -> Result<Run, Fault> {
    let mode = setting.text("mode")?.unwrap_or_else(|| "constant".to_owned());
    if mode != "constant" || setting.version < 11 || setting.has("pads") {
        return Err(unsupported(format!("the mode `{mode}`, or the version of before 11,")));
    }
    Ok(Box::new(move |args| {
        let it = args.get(0)?;
        let rank = it.shape.len();
        let pads = sizes(&as_integers(args.get(1)?)?)?;
        if args.optional(3).is_some() || pads.len() != 2 * rank {
            return Err("it takes two numbers for each axis".into());
        }
        let shape: Vec<usize> = (0..rank)
            .map(|at| it.shape[at].saturating_add(pads[at]).saturating_add(pads[at + rank]))
            .collect();
        let count = args.allow(&shape)?;
        let steps = strides(&shape);
        let start: usize = (0..rank).map(|at| pads[at] * steps[at]).sum();
        let (own, filler) = (strides(&it.shape), args.optional(2));
        let places = places(&it.shape, &own, &steps, start);
        macro_rules! padded {
            ($values:ident, $variant:ident) => {{
                let nought = match filler.map(|it| &it.data) {
                    Some(Data::$variant(it)) => it.first().copied().unwrap_or_default(),
                    _ => Default::default(),
                };
                let mut made = vec![nought; count];
                places.iter().zip($values.iter()).for_each(|(&place, &it)| made[place] = it);
                Data::$variant(made.into())
            }};
        }
        let data = match &it.data {
            Data::Fp32(values) => padded!(values, Fp32),
            Data::Fp64(values) => padded!(values, Fp64),
            Data::Int64(values) => padded!(values, Int64),
            Data::Int32(values) => padded!(values, Int32),
            other => return Err(unserved(other.datatype())),
        };
        Ok(vec![tensor(shape, data)])
    }))
}

/// Where each element of a tensor goes in a larger one.
fn places(shape: &[usize], own: &[usize], steps: &[usize], start: usize) -> Vec<usize> {
    let count: usize = shape.iter().product();
    let place = |index: usize| {
        (0..shape.len()).fold(start, |place, at| place + index / own[at] % shape[at] * steps[at])
    };
    (0..count).map(place).collect()
}
