//! Operators that choose elements by indices or by truths.

use weir_sdk::{Data, Tensor};

use super::super::super::super::Fault;
use super::super::attributes::Setting;
use super::super::value::{
    Args, Join, Outcome, Run, as_doubles, as_integers, at_places, axis, integers, same, same_of_all, tensor,
};
use super::binary::together;
use super::order::{index, lanes};
use super::shape::{spread_to, strides};

pub(in super::super) fn gather(setting: &mut Setting) -> Result<Run, Fault> {
    let along = setting.int("axis")?.unwrap_or(0);
    Ok(Box::new(move |args| {
        let (it, indices) = (args.get(0)?, args.get(1)?);
        let at = axis(along, it.shape.len())?;
        if it.shape.is_empty() {
            return Err("it takes no scalar".into());
        }
        let (before, length, after) = lanes(&it.shape, at);
        let places =
            as_integers(indices)?.iter().map(|&it| index(it, length)).collect::<Outcome<Vec<_>>>()?;
        let mut shape = it.shape[..at].to_vec();
        shape.extend(&indices.shape);
        shape.extend(&it.shape[at + 1..]);
        let count = args.allow(&shape)?;
        let data = same!(&it.data, values => {
            let mut made = Vec::with_capacity(count);
            for outer in 0..before {
                for &place in &places {
                    let start = (outer * length + place) * after;
                    made.extend_from_slice(&values[start..start + after]);
                }
            }
            made
        });
        Ok(vec![tensor(shape, data)])
    }))
}

pub(in super::super) fn gather_elements(setting: &mut Setting) -> Result<Run, Fault> {
    let along = setting.int("axis")?.unwrap_or(0);
    Ok(Box::new(move |args| {
        let (it, indices) = (args.get(0)?, args.get(1)?);
        let at = axis(along, it.shape.len())?;
        let fits = it.shape.len() == indices.shape.len()
            && it
                .shape
                .iter()
                .zip(&indices.shape)
                .enumerate()
                .all(|(axis, (size, wanted))| axis == at || wanted <= size);
        if !fits || it.shape.is_empty() {
            return Err(
                format!("the shapes {:?} and {:?} do not go together", it.shape, indices.shape).into()
            );
        }
        let places = as_integers(indices)?;
        let places = places.iter().map(|&place| index(place, it.shape[at])).collect::<Outcome<Vec<_>>>()?;
        let (own, steps) = (strides(&indices.shape), strides(&it.shape));
        let place = |(order, &chosen): (usize, &usize)| -> usize {
            let sizes = own.iter().zip(&indices.shape).map(|(step, size)| order / step % size);
            let sizes = sizes.enumerate().map(|(axis, it)| if axis == at { chosen } else { it });
            sizes.zip(&steps).map(|(at, step)| at * step).sum()
        };
        let places: Vec<usize> = places.iter().enumerate().map(place).collect();
        let data = same!(&it.data, values => at_places(values, places.iter().copied()));
        Ok(vec![tensor(indices.shape.clone(), data)])
    }))
}

pub(in super::super) fn gather_nd(setting: &mut Setting) -> Result<Run, Fault> {
    let batched = usize::try_from(setting.int("batch_dims")?.unwrap_or(0)).unwrap_or(usize::MAX);
    Ok(Box::new(move |args| {
        let (it, indices) = (args.get(0)?, args.get(1)?);
        let depth = *indices.shape.last().ok_or("its indices are a scalar")?;
        let together = it.shape.get(..batched).filter(|front| indices.shape.get(..batched) == Some(*front));
        if together.is_none()
            || batched >= indices.shape.len()
            || batched.saturating_add(depth) > it.shape.len()
        {
            return Err(format!("indices of the shape {:?} do not fit {:?}", indices.shape, it.shape).into());
        }
        let batches: usize = it.shape[..batched].iter().product();
        let after: usize = it.shape[batched + depth..].iter().product();
        let within: usize = it.shape[batched..].iter().product();
        let mut shape = indices.shape[..indices.shape.len() - 1].to_vec();
        shape.extend(&it.shape[batched + depth..]);
        args.allow(&shape)?;
        let numbers = as_integers(indices)?;
        let tuples: usize = indices.shape[batched..indices.shape.len() - 1].iter().product();
        let sizes = &it.shape[batched..batched + depth];
        let mut starts = Vec::with_capacity(batches.saturating_mul(tuples).min(numbers.len() + 1));
        for batch in 0..batches {
            for tuple in 0..tuples {
                let tuple = numbers.get((batch * tuples + tuple) * depth..).and_then(|it| it.get(..depth));
                let mut start = 0;
                for (&at, &size) in tuple.ok_or("it has too few indices")?.iter().zip(sizes) {
                    start = start * size + index(at, size)?;
                }
                starts.push(batch * within + start * after);
            }
        }
        let data = same!(&it.data, values => {
            let mut made = Vec::with_capacity(starts.len() * after);
            starts.iter().for_each(|&start| made.extend_from_slice(&values[start..start + after]));
            made
        });
        Ok(vec![tensor(shape, data)])
    }))
}

struct Chosen<'t> {
    truths: &'t [u8],
}

impl Join for Chosen<'_> {
    fn join<T: Clone + Default>(&self, slices: &[&[T]]) -> Vec<T> {
        let [yes, no] = slices else { return Vec::new() };
        let repeated = |it: &[T], at: usize| if it.len() == 1 { it[0].clone() } else { it[at].clone() };
        let chosen = self.truths.iter().enumerate();
        chosen.map(|(at, &truth)| if truth != 0 { repeated(yes, at) } else { repeated(no, at) }).collect()
    }
}

pub(in super::super) fn by_truth(_: &mut Setting) -> Result<Run, Fault> {
    Ok(Box::new(|args| {
        let (truths, yes, no) = (args.get(0)?, args.get(1)?, args.get(2)?);
        let shape = together(&together(&truths.shape, &yes.shape)?, &no.shape)?;
        args.allow(&shape)?;
        let whole = |it: &Tensor| -> Outcome<Option<Tensor>> {
            if it.shape == shape || it.data.len() == 1 {
                return Ok(None);
            }
            spread_to(it, shape.clone(), args.limit).map(Some)
        };
        let (spread_yes, spread_no) = (whole(yes)?, whole(no)?);
        let (yes, no) = (spread_yes.as_ref().unwrap_or(yes), spread_no.as_ref().unwrap_or(no));
        let spread_truths;
        let truths = if truths.shape == shape {
            truths
        } else {
            spread_truths = spread_to(truths, shape.clone(), args.limit)?;
            &spread_truths
        };
        let Data::Bool(truths) = &truths.data else { return Err("it chooses by truths".into()) };
        let data = same_of_all(&[&yes.data, &no.data], &Chosen { truths })?;
        Ok(vec![tensor(shape, data)])
    }))
}

pub(in super::super) fn one_hot(setting: &mut Setting) -> Result<Run, Fault> {
    let along = setting.int("axis")?.unwrap_or(-1);
    Ok(Box::new(move |args| {
        let (indices, depth, values) = (args.get(0)?, args.get(1)?, args.get(2)?);
        let depth = as_doubles(depth)?.first().copied().unwrap_or(0.0) as usize;
        if values.data.len() != 2 || depth == 0 {
            return Err("it takes a depth from 1 on and two values".into());
        }
        let at = axis(along, indices.shape.len() + 1)?;
        let mut shape = indices.shape.clone();
        shape.insert(at, depth);
        let count = args.allow(&shape)?;
        let after: usize = shape[at + 1..].iter().product();
        // Of each element which of the two values it is.
        let mut which = vec![0_usize; count];
        for (place, &it) in as_doubles(indices)?.iter().enumerate() {
            let it = if it < 0.0 { it + depth as f64 } else { it };
            if it >= 0.0 && it < depth as f64 {
                let (outer, inner) = (place / after, place % after);
                which[(outer * depth + it as usize) * after + inner] = 1;
            }
        }
        let data = same!(&values.data, values => at_places(values, which.iter().copied()));
        Ok(vec![tensor(shape, data)])
    }))
}

pub(in super::super) fn not_nought(_: &mut Setting) -> Result<Run, Fault> {
    Ok(Box::new(|args| {
        let it = args.get(0)?;
        let values = as_doubles(it)?;
        let found: Vec<usize> =
            values.iter().enumerate().filter(|(_, it)| **it != 0.0).map(|(at, _)| at).collect();
        args.allow(&[it.shape.len(), found.len()])?;
        let steps = strides(&it.shape);
        let along = |(step, size): (&usize, &usize)| {
            found.iter().map(|at| (at / step % size) as i64).collect::<Vec<_>>()
        };
        let places: Vec<i64> = steps.iter().zip(&it.shape).flat_map(along).collect();
        Ok(vec![integers([it.shape.len(), found.len()], places)])
    }))
}

pub(in super::super) fn compress(setting: &mut Setting) -> Result<Run, Fault> {
    let along = setting.int("axis")?;
    Ok(Box::new(move |args: &mut Args<'_>| {
        let (it, truths) = (args.get(0)?, args.get(1)?);
        let Data::Bool(truths) = &truths.data else { return Err("it chooses by truths".into()) };
        let flat = vec![it.data.len()];
        let (own, at) = match along {
            Some(along) => (&it.shape, axis(along, it.shape.len())?),
            None => (&flat, 0),
        };
        if own.is_empty() {
            return Err("it takes no scalar".into());
        }
        let (before, length, after) = lanes(own, at);
        let kept: Vec<usize> = (0..length.min(truths.len())).filter(|&at| truths[at] != 0).collect();
        let mut shape = own.clone();
        shape[at] = kept.len();
        let data = same!(&it.data, values => {
            let mut made = Vec::with_capacity(before * kept.len() * after);
            for outer in 0..before {
                for &at in &kept {
                    made.extend_from_slice(&values[(outer * length + at) * after..][..after]);
                }
            }
            made
        });
        Ok(vec![tensor(shape, data)])
    }))
}

/// Elements put in the places of others: of whole slices, by tuples of indices.
pub(in super::super) fn scatter_nd(setting: &mut Setting) -> Result<Run, Fault> {
    only_replaces(setting)?;
    Ok(Box::new(|args| {
        let (it, indices, updates) = (args.get(0)?, args.get(1)?, args.get(2)?);
        let depth = *indices.shape.last().ok_or("its indices are a scalar")?;
        let fits = depth <= it.shape.len()
            && updates.shape.len() + 1 == indices.shape.len() + it.shape.len() - depth
            && updates.shape.starts_with(&indices.shape[..indices.shape.len() - 1])
            && updates.shape.ends_with(&it.shape[depth..]);
        if !fits {
            return Err(format!("updates of the shape {:?} do not fit {:?}", updates.shape, it.shape).into());
        }
        let numbers = as_integers(indices)?;
        let after: usize = it.shape[depth..].iter().product();
        let count = updates.data.len().checked_div(after).unwrap_or(0);
        let mut starts = Vec::with_capacity(count);
        for tuple in 0..count {
            let mut start = 0;
            for (&at, &size) in numbers[tuple * depth..(tuple + 1) * depth].iter().zip(&it.shape) {
                start = start * size + index(at, size)?;
            }
            starts.push(start * after);
        }
        let placed = Placed { starts, length: after };
        let data = same_of_all(&[&it.data, &updates.data], &placed)?;
        Ok(vec![tensor(it.shape.clone(), data)])
    }))
}

/// Elements put in the places of others along an axis.
pub(in super::super) fn scatter_elements(setting: &mut Setting) -> Result<Run, Fault> {
    only_replaces(setting)?;
    let along = setting.int("axis")?.unwrap_or(0);
    Ok(Box::new(move |args| {
        let (it, indices, updates) = (args.get(0)?, args.get(1)?, args.get(2)?);
        let at = axis(along, it.shape.len())?;
        let within = |(axis, (size, wanted)): (usize, (&usize, &usize))| axis == at || wanted <= size;
        let fits = indices.shape == updates.shape
            && it.shape.len() == indices.shape.len()
            && !it.shape.is_empty()
            && it.shape.iter().zip(&indices.shape).enumerate().all(within);
        if !fits {
            return Err(format!("updates of the shape {:?} do not fit {:?}", updates.shape, it.shape).into());
        }
        let (own, steps) = (strides(&indices.shape), strides(&it.shape));
        let mut starts = Vec::with_capacity(indices.data.len());
        for (order, &place) in as_integers(indices)?.iter().enumerate() {
            let place = index(place, it.shape[at])?;
            let sizes = (0..own.len()).map(|axis| {
                let own = order / own[axis] % indices.shape[axis];
                steps[axis] * if axis == at { place } else { own }
            });
            starts.push(sizes.sum());
        }
        let data = same_of_all(&[&it.data, &updates.data], &Placed { starts, length: 1 })?;
        Ok(vec![tensor(it.shape.clone(), data)])
    }))
}

fn only_replaces(setting: &mut Setting) -> Result<(), Fault> {
    match setting.text("reduction")?.as_deref() {
        None | Some("none") => Ok(()),
        Some(other) => Err(super::super::attributes::unsupported(format!("the reduction `{other}`"))),
    }
}

struct Placed {
    starts: Vec<usize>,
    length: usize,
}

impl Join for Placed {
    fn join<T: Clone + Default>(&self, slices: &[&[T]]) -> Vec<T> {
        let [whole, updates] = slices else { return Vec::new() };
        let mut made = whole.to_vec();
        for (update, &start) in updates.chunks_exact(self.length.max(1)).zip(&self.starts) {
            made[start..start + self.length].clone_from_slice(update);
        }
        made
    }
}
