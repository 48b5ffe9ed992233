//! Operators that make one number of all along some axes.

use weir_sdk::{Data, Tensor};

use super::super::super::super::Fault;
use super::super::attributes::Setting;
use super::super::value::{Args, Outcome, Run, as_integers, axis, tensor, unserved};
use super::binary::{Number, Wrap, pairs, wrap};
use super::order::{numbers, without};
use super::shape::{strided, strides};

/// How numbers become one.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    Sum,
    Mean,
    Most,
    Least,
    Product,
    Magnitudes,
    Euclidean,
    Squares,
    LogSum,
    LogSumExp,
}

macro_rules! ways {
    ($($name:ident $way:ident;)*) => {$(
        pub(in super::super) fn $name(setting: &mut Setting) -> Result<Run, Fault> {
            reduced(setting, Way::$way)
        }
    )*};
}

ways! {
    sum Sum;
    mean Mean;
    most Most;
    least Least;
    product Product;
    magnitudes Magnitudes;
    euclidean Euclidean;
    squares Squares;
    log_sum LogSum;
    log_sum_exp LogSumExp;
}

/// Axes are an attribute, or an input: of ReduceSum from version 13 on, of the others from 18 on.
fn reduced(setting: &mut Setting, way: Way) -> Result<Run, Fault> {
    let told = setting.ints("axes")?;
    let keeps = setting.int("keepdims")?.unwrap_or(1) != 0;
    let nothing = setting.int("noop_with_empty_axes")?.unwrap_or(0) != 0;
    Ok(Box::new(move |args: &mut Args<'_>| {
        let wanted = match args.optional(1) {
            Some(it) => as_integers(it)?.into_owned(),
            None => told.clone(),
        };
        if wanted.is_empty() && nothing {
            return Ok(vec![args.take(0)?]);
        }
        let it = args.get(0)?;
        let rank = it.shape.len();
        let gone = if wanted.is_empty() {
            (0..rank).collect()
        } else {
            wanted.iter().map(|&at| axis(at, rank)).collect::<Outcome<Vec<_>>>()?
        };
        Ok(vec![along(it, &gone, keeps, way)?])
    }))
}

fn along(it: &Tensor, gone: &[usize], keeps: bool, way: Way) -> Outcome<Tensor> {
    let rank = it.shape.len();
    let shape = without(&it.shape, gone, keeps);
    // The axes that go away come last, so that what becomes one number lies together.
    let kept: Vec<usize> = (0..rank).filter(|at| !gone.contains(at)).collect();
    let last: Vec<usize> = (0..rank).filter(|at| gone.contains(at)).collect();
    let length: usize = last.iter().map(|&at| it.shape[at]).product();
    let count: usize = kept.iter().map(|&at| it.shape[at]).product();
    let order: Vec<usize> = kept.into_iter().chain(last).collect();
    let ordered = order.is_sorted();
    let own = strides(&it.shape);
    let data = numbers!(&it.data, values => {
        if ordered {
            wrap(each(values, count, length, way))
        } else {
            let sizes: Vec<usize> = order.iter().map(|&at| it.shape[at]).collect();
            let steps: Vec<usize> = order.iter().map(|&at| own[at]).collect();
            wrap(each(&strided(values, &sizes, &steps, 0), count, length, way))
        }
    });
    Ok(tensor(shape, data))
}

fn each<T: Number + Wrap>(values: &[T], count: usize, length: usize, way: Way) -> Vec<T> {
    if length == 0 {
        return vec![one(&[], way); count];
    }
    values.chunks_exact(length).map(|it| one(it, way)).collect()
}

fn one<T: Number>(values: &[T], way: Way) -> T {
    let doubles = || values.iter().map(|it| it.double());
    match way {
        Way::Sum => values.iter().fold(T::ZERO, |sum, &it| sum.add(it)),
        Way::Mean if T::WHOLE && values.is_empty() => T::ZERO,
        Way::Mean if T::WHOLE => {
            values.iter().fold(T::ZERO, |sum, &it| sum.add(it)).divide(T::of_double(values.len() as f64))
        }
        Way::Mean => T::of_double(doubles().sum::<f64>() / values.len() as f64),
        Way::Most => values.iter().copied().reduce(T::greatest).unwrap_or(T::of_double(f64::NEG_INFINITY)),
        Way::Least => values.iter().copied().reduce(T::least).unwrap_or(T::of_double(f64::INFINITY)),
        Way::Product => values.iter().fold(T::of_double(1.0), |product, &it| product.multiply(it)),
        Way::Magnitudes => T::of_double(doubles().map(f64::abs).sum()),
        Way::Euclidean => T::of_double(doubles().map(|it| it * it).sum::<f64>().sqrt()),
        Way::Squares => values.iter().fold(T::ZERO, |sum, &it| sum.add(it.multiply(it))),
        Way::LogSum => T::of_double(doubles().sum::<f64>().ln()),
        Way::LogSumExp => {
            let most = doubles().fold(f64::NEG_INFINITY, f64::max);
            let most = if most.is_finite() { most } else { 0.0 };
            T::of_double(doubles().map(|it| (it - most).exp()).sum::<f64>().ln() + most)
        }
    }
}

/// Rows along an axis, brought to the length 1.
pub(in super::super) fn normalized(setting: &mut Setting) -> Result<Run, Fault> {
    let told = setting.int("axis")?.unwrap_or(-1);
    let way = match setting.int("p")?.unwrap_or(2) {
        1 => Way::Magnitudes,
        2 => Way::Euclidean,
        other => return Err(super::super::attributes::unsupported(format!("the norm {other}"))),
    };
    Ok(Box::new(move |args: &mut Args<'_>| {
        let it = args.get(0)?;
        let at = axis(told, it.shape.len())?;
        let lengths = along(it, &[at], true, way)?;
        fn divided<T: Number + Wrap>(
            args: &Args<'_>,
            a: (&[T], &[usize]),
            b: (&[T], &[usize]),
        ) -> Outcome<Tensor> {
            let (shape, values) = pairs(args, a, b, |x, y| if y == T::ZERO { T::ZERO } else { x.divide(y) })?;
            Ok(tensor(shape, wrap(values)))
        }
        Ok(vec![match (&it.data, &lengths.data) {
            (Data::Fp32(x), Data::Fp32(y)) => divided(args, (x, &it.shape), (y, &lengths.shape))?,
            (Data::Fp64(x), Data::Fp64(y)) => divided(args, (x, &it.shape), (y, &lengths.shape))?,
            (other, _) => return Err(unserved(other.datatype())),
        }])
    }))
}
