//! Operators on single elements.

use weir_sdk::{Data, Tensor};

use super::super::super::super::Fault;
use super::super::attributes::Setting;
use super::super::value::{Outcome, Run, as_singles, tensor, unserved};
use super::binary::{Number, Wrap, wrap};

/// An operator on floats: the same for both sizes of them.
macro_rules! floats {
    ($($name:ident $made:expr;)*) => {$(
        pub(in super::super) fn $name(_: &mut Setting) -> Result<Run, Fault> {
            Ok(Box::new(|args| {
                let it = args.take(0)?;
                let shape = it.shape;
                let data = match it.data {
                    Data::Fp32(values) => {
                        let mut values = values.into_vec();
                        let made: fn(f32) -> f32 = $made;
                        values.iter_mut().for_each(|it| *it = made(*it));
                        wrap(values)
                    }
                    Data::Fp64(values) => {
                        let mut values = values.into_vec();
                        let made: fn(f64) -> f64 = $made;
                        values.iter_mut().for_each(|it| *it = made(*it));
                        wrap(values)
                    }
                    other => return Err(unserved(other.datatype())),
                };
                Ok(vec![tensor(shape, data)])
            }))
        }
    )*};
}

floats! {
    exp |it| it.exp();
    log |it| it.ln();
    square_root |it| it.sqrt();
    reciprocal |it| 1.0 / it;
    floor |it| it.floor();
    ceil |it| it.ceil();
    round |it| it.round_ties_even();
    sine |it| it.sin();
    cosine |it| it.cos();
    tangent |it| it.tan();
    arc_tangent |it| it.atan();
    arc_sine |it| it.asin();
    arc_cosine |it| it.acos();
    hyperbolic_sine |it| it.sinh();
    hyperbolic_cosine |it| it.cosh();
    hyperbolic_tangent |it| it.tanh();
    softplus |it| if it > 0.0 { it + (-it).exp().ln_1p() } else { it.exp().ln_1p() };
    softsign |it| it / (1.0 + it.abs());
    error_function erf;
    sigmoid_of sigmoid;
}

/// What the two sizes of floats have in common here.
pub(in super::super) trait Float: Number + Wrap {
    fn exp_of(self) -> Self;
    fn of(value: f64) -> Self;
}

impl Float for f32 {
    fn exp_of(self) -> Self {
        self.exp()
    }
    fn of(value: f64) -> Self {
        value as f32
    }
}

impl Float for f64 {
    fn exp_of(self) -> Self {
        self.exp()
    }
    fn of(value: f64) -> Self {
        value
    }
}

/// The logistic function, without overflow on either side.
pub(in super::super) fn sigmoid<T: Float>(value: T) -> T {
    let one = T::of(1.0);
    if value >= T::ZERO {
        one.divide(one.add(T::ZERO.subtract(value).exp_of()))
    } else {
        let power = value.exp_of();
        power.divide(one.add(power))
    }
}

/// The error function, to the last bits of a double: its series near nought, the continued fraction of its complement beyond.
fn erf<T: Float>(value: T) -> T {
    let x = value.double();
    let size = x.abs();
    if x.is_nan() || size > 6.0 {
        return T::of(if x.is_nan() { x } else { x.signum() });
    }
    let made = if size < 2.5 {
        let (mut term, mut sum, mut at) = (size, size, 0.0);
        while term.abs() > sum * 1e-17 && at < 200.0 {
            at += 1.0;
            term *= -size * size / at;
            sum += term / (2.0 * at + 1.0);
        }
        sum * std::f64::consts::FRAC_2_SQRT_PI
    } else {
        // From the innermost fraction out; sixty are plenty from 2.5 on.
        let fraction = (1..=60).rev().fold(size, |inner, at| size + f64::from(at) * 0.5 / inner);
        1.0 - (-size * size).exp() / (fraction * std::f64::consts::PI.sqrt())
    };
    T::of(made.copysign(x))
}

/// Operators on numbers of any type.
fn numbers(made: impl Each) -> Run {
    Box::new(move |args| {
        let it = args.take(0)?;
        let shape = it.shape;
        macro_rules! each {
            ($values:ident) => {{
                let mut values = $values.into_vec();
                values.iter_mut().for_each(|it| *it = made.of(*it));
                wrap(values)
            }};
        }
        let data = match it.data {
            Data::Fp32(it) => each!(it),
            Data::Fp64(it) => each!(it),
            Data::Int64(it) => each!(it),
            Data::Int32(it) => each!(it),
            Data::Int16(it) => each!(it),
            Data::Int8(it) => each!(it),
            Data::Uint64(it) => each!(it),
            Data::Uint32(it) => each!(it),
            Data::Uint16(it) => each!(it),
            Data::Uint8(it) => each!(it),
            other => return Err(unserved(other.datatype())),
        };
        Ok(vec![tensor(shape, data)])
    })
}

trait Each: Send + Sync + 'static {
    fn of<T: Number>(&self, value: T) -> T;
}

struct Magnitude;
impl Each for Magnitude {
    fn of<T: Number>(&self, value: T) -> T {
        if value < T::ZERO { T::ZERO.subtract(value) } else { value }
    }
}

struct Opposite;
impl Each for Opposite {
    fn of<T: Number>(&self, value: T) -> T {
        T::ZERO.subtract(value)
    }
}

struct Sign;
impl Each for Sign {
    fn of<T: Number>(&self, value: T) -> T {
        if value > T::ZERO {
            T::of_double(1.0)
        } else if value < T::ZERO {
            T::of_double(-1.0)
        } else {
            value
        }
    }
}

struct Rectified;
impl Each for Rectified {
    fn of<T: Number>(&self, value: T) -> T {
        if value < T::ZERO { T::ZERO } else { value }
    }
}

pub(in super::super) fn magnitude(_: &mut Setting) -> Result<Run, Fault> {
    Ok(numbers(Magnitude))
}

pub(in super::super) fn opposite(_: &mut Setting) -> Result<Run, Fault> {
    Ok(numbers(Opposite))
}

pub(in super::super) fn sign(_: &mut Setting) -> Result<Run, Fault> {
    Ok(numbers(Sign))
}

pub(in super::super) fn rectified(_: &mut Setting) -> Result<Run, Fault> {
    Ok(numbers(Rectified))
}

pub(in super::super) fn leaky(setting: &mut Setting) -> Result<Run, Fault> {
    let slope = setting.float("alpha")?.unwrap_or(0.01);
    Ok(with_singles(move |it| if it < 0.0 { it * slope } else { it }))
}

pub(in super::super) fn exponential_linear(setting: &mut Setting) -> Result<Run, Fault> {
    let scale = setting.float("alpha")?.unwrap_or(1.0);
    Ok(with_singles(move |it| if it < 0.0 { scale * it.exp_m1() } else { it }))
}

fn with_singles(made: impl Fn(f32) -> f32 + Send + Sync + 'static) -> Run {
    Box::new(move |args| {
        let it = args.get(0)?;
        let Data::Fp32(values) = &it.data else { return Err(unserved(it.datatype())) };
        Ok(vec![tensor(it.shape.clone(), wrap(values.iter().map(|&it| made(it)).collect()))])
    })
}

struct Bounds(Option<f64>, Option<f64>);
impl Each for Bounds {
    fn of<T: Number>(&self, value: T) -> T {
        let value = self.0.map_or(value, |it| value.greatest(T::of_double(it)));
        self.1.map_or(value, |it| value.least(T::of_double(it)))
    }
}

/// Bounds are attributes up to version 10 and inputs from 11 on.
pub(in super::super) fn clip(setting: &mut Setting) -> Result<Run, Fault> {
    let told = (setting.float("min")?.map(f64::from), setting.float("max")?.map(f64::from));
    Ok(Box::new(move |args| {
        let bound = |it: Option<&Tensor>| -> Outcome<Option<f64>> {
            let value = it.map(|it| it.data.to_f64().and_then(|it| it.first().copied()));
            value.map(|it| it.ok_or_else(|| "a bound is no number".into())).transpose()
        };
        let (low, high) = (bound(args.optional(1))?.or(told.0), bound(args.optional(2))?.or(told.1));
        args.values.truncate(1);
        numbers(Bounds(low, high))(args)
    }))
}

pub(in super::super) fn not(_: &mut Setting) -> Result<Run, Fault> {
    Ok(Box::new(|args| {
        let it = args.get(0)?;
        let Data::Bool(values) = &it.data else { return Err("it takes truths".into()) };
        let values: Vec<u8> = values.iter().map(|&it| 1 - it.min(1)).collect();
        Ok(vec![tensor(it.shape.clone(), Data::Bool(values.into()))])
    }))
}

fn questioned(singles: fn(f32) -> bool, doubles: fn(f64) -> bool) -> Run {
    Box::new(move |args| {
        let it = args.get(0)?;
        let values: Vec<u8> = match &it.data {
            Data::Fp64(values) => values.iter().map(|&it| doubles(it).into()).collect(),
            _ => as_singles(it)?.iter().map(|&it| singles(it).into()).collect(),
        };
        Ok(vec![tensor(it.shape.clone(), Data::Bool(values.into()))])
    })
}

pub(in super::super) fn is_not_a_number(_: &mut Setting) -> Result<Run, Fault> {
    Ok(questioned(f32::is_nan, f64::is_nan))
}

pub(in super::super) fn is_infinite(setting: &mut Setting) -> Result<Run, Fault> {
    let positive = setting.int("detect_positive")?.unwrap_or(1) != 0;
    let negative = setting.int("detect_negative")?.unwrap_or(1) != 0;
    Ok(match (positive, negative) {
        (true, true) => questioned(f32::is_infinite, f64::is_infinite),
        (true, false) => questioned(|it| it == f32::INFINITY, |it| it == f64::INFINITY),
        (false, true) => questioned(|it| it == f32::NEG_INFINITY, |it| it == f64::NEG_INFINITY),
        (false, false) => questioned(|_| false, |_| false),
    })
}

pub(in super::super) fn identity(_: &mut Setting) -> Result<Run, Fault> {
    Ok(Box::new(|args| Ok(vec![args.take(0)?])))
}
