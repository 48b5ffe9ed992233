//! Operators that look for the largest, sort, or sum up along an axis.

use std::cmp::Ordering;

use weir_sdk::{Data, Tensor};

use super::super::super::super::Fault;
use super::super::attributes::Setting;
use super::super::value::{Args, Outcome, Run, as_integers, axis, integers, tensor, unserved};
use super::binary::{Number, Wrap, wrap};

/// A tensor as rows along an axis: how many before, how long, how many after.
pub(in super::super) fn lanes(shape: &[usize], at: usize) -> (usize, usize, usize) {
    let before = shape[..at.min(shape.len())].iter().product();
    let length = shape.get(at).copied().unwrap_or(1);
    let after = shape.get(at + 1..).unwrap_or_default().iter().product();
    (before, length, after)
}

/// Runs an expression on numbers of any type.
macro_rules! numbers {
    ($data:expr, $values:ident => $made:expr) => {
        match $data {
            Data::Fp32($values) => $made,
            Data::Fp64($values) => $made,
            Data::Int64($values) => $made,
            Data::Int32($values) => $made,
            Data::Uint8($values) => $made,
            Data::Int8($values) => $made,
            other => return Err(unserved(other.datatype())),
        }
    };
}
pub(in super::super) use numbers;

fn extreme(setting: &mut Setting, greatest: bool) -> Result<Run, Fault> {
    fn best<T: PartialOrd + Copy>(
        values: &[T],
        lanes: (usize, usize, usize),
        greatest: bool,
        last: bool,
    ) -> Vec<i64> {
        let (before, length, after) = lanes;
        let mut made = Vec::with_capacity(before * after);
        for outer in 0..before {
            for inner in 0..after {
                let start = outer * length * after + inner;
                let mut found = 0;
                for at in 1..length {
                    let (it, best) = (values[start + at * after], values[start + found * after]);
                    let better = if greatest { it > best } else { it < best };
                    if better || (last && it == best) {
                        found = at;
                    }
                }
                made.push(found as i64);
            }
        }
        made
    }
    let along = setting.int("axis")?.unwrap_or(0);
    let keeps = setting.int("keepdims")?.unwrap_or(1) != 0;
    let last = setting.int("select_last_index")?.unwrap_or(0) != 0;
    Ok(Box::new(move |args| {
        let it = args.get(0)?;
        let at = axis(along, it.shape.len())?;
        let lanes = lanes(&it.shape, at);
        if lanes.1 == 0 {
            return Err("it looks for the largest of none".into());
        }
        let values = numbers!(&it.data, values => best(values, lanes, greatest, last));
        Ok(vec![integers(without(&it.shape, &[at], keeps), values)])
    }))
}

/// A shape whose axes are summed up.
pub(in super::super) fn without(shape: &[usize], gone: &[usize], keeps: bool) -> Vec<usize> {
    let sizes = shape.iter().enumerate();
    sizes
        .filter(|(at, _)| keeps || !gone.contains(at))
        .map(|(at, &size)| if gone.contains(&at) { 1 } else { size })
        .collect()
}

pub(in super::super) fn greatest(setting: &mut Setting) -> Result<Run, Fault> {
    extreme(setting, true)
}

pub(in super::super) fn least(setting: &mut Setting) -> Result<Run, Fault> {
    extreme(setting, false)
}

pub(in super::super) fn top(setting: &mut Setting) -> Result<Run, Fault> {
    let along = setting.int("axis")?.unwrap_or(-1);
    let largest = setting.int("largest")?.unwrap_or(1) != 0;
    let told = setting.int("k")?;
    setting.ignore(&["sorted"]);
    Ok(Box::new(move |args| {
        let wanted = match args.optional(1) {
            Some(it) => as_integers(it)?.first().copied(),
            None => told,
        };
        let it = args.get(0)?;
        let at = axis(along, it.shape.len())?;
        let lanes = lanes(&it.shape, at);
        let wanted = wanted.and_then(|it| usize::try_from(it).ok()).filter(|it| *it <= lanes.1);
        let wanted = wanted.ok_or_else(|| format!("it wants more than the {} there are", lanes.1))?;
        let mut shape = it.shape.clone();
        *shape.get_mut(at).ok_or("it takes no scalar")? = wanted;
        let (data, places) = numbers!(&it.data, values => {
            let (values, places) = best_of(values, lanes, wanted, largest);
            (wrap(values), places)
        });
        Ok(vec![tensor(shape.clone(), data), integers(shape, places)])
    }))
}

/// The largest of each lane in falling order, of equal ones the first; and their places.
fn best_of<T: Number>(
    values: &[T],
    (before, length, after): (usize, usize, usize),
    wanted: usize,
    largest: bool,
) -> (Vec<T>, Vec<i64>) {
    let count = before * wanted * after;
    let (mut made, mut places) = (vec![T::default(); count], vec![0; count]);
    let mut order: Vec<usize> = Vec::new();
    for outer in 0..before {
        for inner in 0..after {
            let value = |at: usize| values[outer * length * after + at * after + inner];
            order.clear();
            order.extend(0..length);
            let compare = |&a: &usize, &b: &usize| {
                let (x, y) = (value(a), value(b));
                let by_value = if largest { y.partial_cmp(&x) } else { x.partial_cmp(&y) };
                // What is no number comes last; an order there must be, for the sort to end.
                let by_value = by_value.unwrap_or_else(|| (x.double().is_nan()).cmp(&y.double().is_nan()));
                by_value.then(a.cmp(&b))
            };
            if wanted > 0 && wanted < length {
                order.select_nth_unstable_by(wanted - 1, compare);
                order.truncate(wanted);
            }
            order.sort_unstable_by(compare);
            for (rank, &at) in order.iter().take(wanted).enumerate() {
                let place = (outer * wanted + rank) * after + inner;
                made[place] = value(at);
                places[place] = at as i64;
            }
        }
    }
    (made, places)
}

pub(in super::super) fn running_sum(setting: &mut Setting) -> Result<Run, Fault> {
    fn summed<T: Number + Wrap>(
        values: &[T],
        (before, length, after): (usize, usize, usize),
        exclusive: bool,
        reverse: bool,
    ) -> Data {
        let mut made = vec![T::ZERO; values.len()];
        for outer in 0..before {
            for inner in 0..after {
                let mut sum = T::ZERO;
                for at in 0..length {
                    let at = if reverse { length - 1 - at } else { at };
                    let place = (outer * length + at) * after + inner;
                    if exclusive {
                        made[place] = sum;
                    }
                    sum = sum.add(values[place]);
                    if !exclusive {
                        made[place] = sum;
                    }
                }
            }
        }
        wrap(made)
    }
    let exclusive = setting.int("exclusive")?.unwrap_or(0) != 0;
    let reverse = setting.int("reverse")?.unwrap_or(0) != 0;
    Ok(Box::new(move |args| {
        let along = as_integers(args.get(1)?)?.first().copied().ok_or("it has no axis")?;
        let it = args.get(0)?;
        let lanes = lanes(&it.shape, axis(along, it.shape.len())?);
        let data = numbers!(&it.data, values => summed(values, lanes, exclusive, reverse));
        Ok(vec![tensor(it.shape.clone(), data)])
    }))
}

/// The elements that differ, sorted unless they are wanted as they come; where each first is, which one each element is, and how
/// often it is there. Of a flat list.
pub(in super::super) fn unique(setting: &mut Setting) -> Result<Run, Fault> {
    let sorted = setting.int("sorted")?.unwrap_or(1) != 0;
    if setting.int("axis")?.is_some() {
        return Err(super::super::attributes::unsupported("an axis"));
    }
    Ok(Box::new(move |args| {
        let it = args.get(0)?;
        Ok(match &it.data {
            Data::Bytes(values) => {
                let (kept, rest) = distinct(values, sorted, Ord::cmp);
                with_places(tensor([kept.len()], Data::Bytes(kept)), rest)
            }
            data => numbers!(data, values => {
                let compare = |a: &_, b: &_| PartialOrd::partial_cmp(a, b).unwrap_or(Ordering::Equal);
                let (kept, rest) = distinct(values, sorted, compare);
                with_places(tensor([kept.len()], wrap(kept)), rest)
            }),
        })
    }))
}

fn with_places(first: Tensor, [firsts, which, counts]: [Vec<i64>; 3]) -> Vec<Tensor> {
    let list = |it: Vec<i64>| integers([it.len()], it);
    vec![first, list(firsts), list(which), list(counts)]
}

fn distinct<T: Clone>(
    values: &[T],
    sorted: bool,
    compare: impl Fn(&T, &T) -> Ordering,
) -> (Vec<T>, [Vec<i64>; 3]) {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&a, &b| compare(&values[a], &values[b]));
    let mut groups: Vec<Vec<usize>> = Vec::new();
    for at in order {
        match groups.last_mut() {
            Some(group) if compare(&values[group[0]], &values[at]).is_eq() => group.push(at),
            _ => groups.push(vec![at]),
        }
    }
    if !sorted {
        groups.sort_by_key(|group| group[0]);
    }
    let mut which = vec![0; values.len()];
    for (index, group) in groups.iter().enumerate() {
        group.iter().for_each(|&at| which[at] = index as i64);
    }
    let kept = groups.iter().map(|group| values[group[0]].clone()).collect();
    let firsts = groups.iter().map(|group| group[0] as i64).collect();
    let counts = groups.iter().map(|group| group.len() as i64).collect();
    (kept, [firsts, which, counts])
}

/// Checks that an index, which may count from the end, is within.
pub(in super::super) fn index(at: i64, size: usize) -> Outcome<usize> {
    let wrapped = if at < 0 { at.saturating_add(size as i64) } else { at };
    let found = usize::try_from(wrapped).ok().filter(|&it| it < size);
    found.ok_or_else(|| format!("its index {at} is not within the {size} there are").into())
}

/// The softmax along an axis; up to version 12 over all from the axis on.
pub(in super::super) fn softmax(setting: &mut Setting) -> Result<Run, Fault> {
    soft(setting, false)
}

pub(in super::super) fn log_softmax(setting: &mut Setting) -> Result<Run, Fault> {
    soft(setting, true)
}

fn soft(setting: &mut Setting, logarithm: bool) -> Result<Run, Fault> {
    fn of<T: super::unary::Float>(
        values: &mut [T],
        (before, length, after): (usize, usize, usize),
        logarithm: bool,
        log: fn(T) -> T,
    ) {
        for outer in 0..before {
            for inner in 0..after {
                let place = |at: usize| (outer * length + at) * after + inner;
                let most =
                    (0..length).map(|at| values[place(at)]).fold(T::of(f64::NEG_INFINITY), T::greatest);
                let mut sum = T::ZERO;
                for at in 0..length {
                    let shifted = values[place(at)].subtract(most);
                    let power = shifted.exp_of();
                    sum = sum.add(power);
                    values[place(at)] = if logarithm { shifted } else { power };
                }
                for at in 0..length {
                    let it = values[place(at)];
                    values[place(at)] = if logarithm { it.subtract(log(sum)) } else { it.divide(sum) };
                }
            }
        }
    }
    let old = setting.version < 13;
    let along = setting.int("axis")?.unwrap_or(if old { 1 } else { -1 });
    Ok(Box::new(move |args: &mut Args<'_>| {
        let it = args.take(0)?;
        let at = axis(along, it.shape.len())?;
        let (before, length, after) = lanes(&it.shape, at);
        let lanes = if old { (before, length * after, 1) } else { (before, length, after) };
        let data = match it.data {
            Data::Fp32(values) => {
                let mut values = values.into_vec();
                of(&mut values, lanes, logarithm, f32::ln);
                wrap(values)
            }
            Data::Fp64(values) => {
                let mut values = values.into_vec();
                of(&mut values, lanes, logarithm, f64::ln);
                wrap(values)
            }
            other => return Err(unserved(other.datatype())),
        };
        Ok(vec![tensor(it.shape, data)])
    }))
}
