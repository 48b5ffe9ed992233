//! Operators on pairs of elements, whose shapes are spread over one another.

use weir_sdk::{Data, Tensor};

use super::super::super::super::Fault;
use super::super::attributes::{Setting, unsupported};
use super::super::value::{Args, Outcome, Run, as_doubles, tensor, unserved};
use super::cast;

/// Arithmetic as ONNX Runtime does it: integers wrap around.
pub(in super::super) trait Number:
    Copy + PartialOrd + Default + Send + Sync + 'static
{
    const ZERO: Self;
    const WHOLE: bool;
    fn add(self, other: Self) -> Self;
    fn subtract(self, other: Self) -> Self;
    fn multiply(self, other: Self) -> Self;
    /// Of integers towards nought; the divisor is not nought.
    fn divide(self, other: Self) -> Self;
    /// With the divisor's sign.
    fn modulo(self, other: Self) -> Self;
    /// With the dividend's sign.
    fn remainder(self, other: Self) -> Self;
    fn least(self, other: Self) -> Self;
    fn greatest(self, other: Self) -> Self;
    fn double(self) -> f64;
    fn of_double(value: f64) -> Self;
}

macro_rules! floats {
    ($($kind:ident)*) => {$(
        impl Number for $kind {
            const ZERO: Self = 0.0;
            const WHOLE: bool = false;
            fn add(self, other: Self) -> Self { self + other }
            fn subtract(self, other: Self) -> Self { self - other }
            fn multiply(self, other: Self) -> Self { self * other }
            fn divide(self, other: Self) -> Self { self / other }
            fn modulo(self, other: Self) -> Self {
                let rest = self % other;
                if rest != 0.0 && (rest < 0.0) != (other < 0.0) { rest + other } else { rest }
            }
            fn remainder(self, other: Self) -> Self { self % other }
            // What is no number stays none.
            fn least(self, other: Self) -> Self {
                if self.is_nan() || self < other { self } else { other }
            }
            fn greatest(self, other: Self) -> Self {
                if self.is_nan() || self > other { self } else { other }
            }
            fn double(self) -> f64 { f64::from(self) }
            fn of_double(value: f64) -> Self { value as $kind }
        }
    )*};
}
floats!(f32 f64);

macro_rules! whole {
    ($($kind:ident)*) => {$(
        impl Number for $kind {
            const ZERO: Self = 0;
            const WHOLE: bool = true;
            fn add(self, other: Self) -> Self { self.wrapping_add(other) }
            fn subtract(self, other: Self) -> Self { self.wrapping_sub(other) }
            fn multiply(self, other: Self) -> Self { self.wrapping_mul(other) }
            fn divide(self, other: Self) -> Self { self.wrapping_div(other) }
            #[allow(unused_comparisons)]
            fn modulo(self, other: Self) -> Self {
                let rest = self.wrapping_rem(other);
                if rest != 0 && (rest < 0) != (other < 0) { rest.wrapping_add(other) } else { rest }
            }
            fn remainder(self, other: Self) -> Self { self.wrapping_rem(other) }
            fn least(self, other: Self) -> Self { self.min(other) }
            fn greatest(self, other: Self) -> Self { self.max(other) }
            fn double(self) -> f64 { self as f64 }
            fn of_double(value: f64) -> Self { value as $kind }
        }
    )*};
}
whole!(i8 i16 i32 i64 u8 u16 u32 u64);

/// How two shapes are spread over one another.
enum Spread {
    Same,
    /// The second repeats itself within the first: it is that long.
    Cycle(usize),
    /// The first repeats itself within the second.
    CycleFirst(usize),
    /// Steps through both for each size of the result.
    Steps(Vec<(usize, usize)>),
}

/// Returns the shape that two have together.
pub(in super::super) fn together(a: &[usize], b: &[usize]) -> Outcome<Vec<usize>> {
    let rank = a.len().max(b.len());
    let size = |shape: &[usize], at: usize| (at + shape.len()).checked_sub(rank).map_or(1, |it| shape[it]);
    let sizes = (0..rank).map(|at| match (size(a, at), size(b, at)) {
        (x, y) if x == y => Some(x),
        (1, y) => Some(y),
        (x, 1) => Some(x),
        _ => None,
    });
    sizes
        .collect::<Option<Vec<_>>>()
        .ok_or_else(|| format!("the shapes {a:?} and {b:?} do not go together").into())
}

fn spread(a: &[usize], b: &[usize], shape: &[usize]) -> Spread {
    let count = |it: &[usize]| it.iter().product::<usize>();
    if a == b {
        return Spread::Same;
    }
    let suffix = |long: &[usize], short: &[usize]| {
        let bare: &[usize] = &short[short.iter().take_while(|it| **it == 1).count()..];
        long == shape && long.ends_with(bare)
    };
    if suffix(a, b) {
        return Spread::Cycle(count(b));
    }
    if suffix(b, a) {
        return Spread::CycleFirst(count(a));
    }
    let steps = |of: &[usize]| {
        let mut steps = vec![0; shape.len()];
        let mut step = 1;
        for (at, &size) in of.iter().enumerate().rev() {
            if size != 1 {
                steps[at + shape.len() - of.len()] = step;
            }
            step *= size;
        }
        steps
    };
    Spread::Steps(steps(a).into_iter().zip(steps(b)).collect())
}

/// Goes through pairs of elements.
pub(in super::super) fn pairs<T: Copy, U>(
    args: &Args<'_>,
    (a, a_shape): (&[T], &[usize]),
    (b, b_shape): (&[T], &[usize]),
    made: impl Fn(T, T) -> U,
) -> Outcome<(Vec<usize>, Vec<U>)> {
    let shape = together(a_shape, b_shape)?;
    let count = args.allow(&shape)?;
    if count == 0 {
        return Ok((shape, Vec::new()));
    }
    let values = match spread(a_shape, b_shape, &shape) {
        Spread::Same => a.iter().zip(b).map(|(&x, &y)| made(x, y)).collect(),
        Spread::Cycle(1) => a.iter().map(|&x| made(x, b[0])).collect(),
        Spread::CycleFirst(1) => b.iter().map(|&y| made(a[0], y)).collect(),
        Spread::Cycle(length) => {
            let mut values = Vec::with_capacity(count);
            for row in a.chunks_exact(length) {
                values.extend(row.iter().zip(b).map(|(&x, &y)| made(x, y)));
            }
            values
        }
        Spread::CycleFirst(length) => {
            let mut values = Vec::with_capacity(count);
            for row in b.chunks_exact(length) {
                values.extend(a.iter().zip(row).map(|(&x, &y)| made(x, y)));
            }
            values
        }
        Spread::Steps(steps) => {
            let mut values = Vec::with_capacity(count);
            let mut at = vec![0; shape.len()];
            let (mut x, mut y) = (0, 0);
            for _ in 0..count {
                values.push(made(a[x], b[y]));
                for axis in (0..shape.len()).rev() {
                    at[axis] += 1;
                    x += steps[axis].0;
                    y += steps[axis].1;
                    if at[axis] < shape[axis] {
                        break;
                    }
                    x -= steps[axis].0 * shape[axis];
                    y -= steps[axis].1 * shape[axis];
                    at[axis] = 0;
                }
            }
            values
        }
    };
    Ok((shape, values))
}

/// Runs an expression on the numbers of two tensors of one type.
macro_rules! numbers {
    ($a:expr, $b:expr, ($x:ident, $y:ident) => $made:expr) => {
        match (&$a.data, &$b.data) {
            (Data::Fp32($x), Data::Fp32($y)) => $made,
            (Data::Fp64($x), Data::Fp64($y)) => $made,
            (Data::Int64($x), Data::Int64($y)) => $made,
            (Data::Int32($x), Data::Int32($y)) => $made,
            (Data::Int16($x), Data::Int16($y)) => $made,
            (Data::Int8($x), Data::Int8($y)) => $made,
            (Data::Uint64($x), Data::Uint64($y)) => $made,
            (Data::Uint32($x), Data::Uint32($y)) => $made,
            (Data::Uint16($x), Data::Uint16($y)) => $made,
            (Data::Uint8($x), Data::Uint8($y)) => $made,
            (x, y) if x.datatype() == y.datatype() => Err(unserved(x.datatype())),
            (x, y) => Err(format!("its inputs are of {} and {}", x.datatype(), y.datatype()).into()),
        }
    };
}

macro_rules! arithmetic {
    ($name:ident, $method:ident, $divides:literal) => {
        pub(in super::super) fn $name(setting: &mut Setting) -> Result<Run, Fault> {
            if setting.version < 7 {
                return Err(unsupported("the version of before 7"));
            }
            Ok(Box::new(|args| {
                let made = both(args.get(0)?, args.get(1)?, args, $divides, arithmetic_of::$method())?;
                Ok(vec![made])
            }))
        }
    };
}

/// What is done to two numbers, whatever their type.
trait Pairwise: Copy {
    fn of<T: Number>(self, x: T, y: T) -> T;
}

mod arithmetic_of {
    use super::{Number, Pairwise};
    macro_rules! pairwise {
        ($($name:ident $type:ident $method:ident)*) => {$(
            #[derive(Clone, Copy)]
            pub(super) struct $type;
            impl Pairwise for $type {
                #[inline(always)]
                fn of<T: Number>(self, x: T, y: T) -> T { x.$method(y) }
            }
            pub(super) const fn $name() -> $type { $type }
        )*};
    }
    pairwise!(
        add Add add
        subtract Subtract subtract
        multiply Multiply multiply
        divide Divide divide
        modulo Modulo modulo
        remainder Remainder remainder
        least Least least
        greatest Greatest greatest
    );
}

fn both<P: Pairwise>(a: &Tensor, b: &Tensor, args: &Args<'_>, divides: bool, pairwise: P) -> Outcome<Tensor> {
    fn of<T: Number, P: Pairwise>(
        args: &Args<'_>,
        a: (&[T], &[usize]),
        b: (&[T], &[usize]),
        divides: bool,
        pairwise: P,
    ) -> Outcome<(Vec<usize>, Vec<T>)> {
        if T::WHOLE && divides && b.0.contains(&T::ZERO) {
            return Err("it divides a whole number by nought".into());
        }
        pairs(args, a, b, |x, y| pairwise.of(x, y))
    }
    numbers!(a, b, (x, y) => {
        let (shape, values) = of(args, (x, &a.shape), (y, &b.shape), divides, pairwise)?;
        Ok(tensor(shape, wrap(values)))
    })
}

/// Elements of a type as data.
pub(in super::super) trait Wrap: Sized {
    fn wrap(values: Vec<Self>) -> Data;
}

macro_rules! wraps {
    ($($kind:ident $variant:ident)*) => {$(
        impl Wrap for $kind {
            fn wrap(values: Vec<Self>) -> Data { Data::$variant(values.into()) }
        }
    )*};
}
wraps!(f32 Fp32 f64 Fp64 i64 Int64 i32 Int32 i16 Int16 i8 Int8 u64 Uint64 u32 Uint32 u16 Uint16 u8 Uint8);

pub(in super::super) fn wrap<T: Wrap>(values: Vec<T>) -> Data {
    T::wrap(values)
}

arithmetic!(add, add, false);
arithmetic!(subtract, subtract, false);
arithmetic!(multiply, multiply, false);
arithmetic!(divide, divide, true);

pub(in super::super) fn modulo(setting: &mut Setting) -> Result<Run, Fault> {
    let fmod = setting.int("fmod")?.unwrap_or(0) != 0;
    Ok(Box::new(move |args| {
        let (a, b) = (args.get(0)?, args.get(1)?);
        let made = if fmod {
            both(a, b, args, true, arithmetic_of::remainder())
        } else {
            both(a, b, args, true, arithmetic_of::modulo())
        };
        Ok(vec![made?])
    }))
}

/// Folds any number of inputs.
fn folded<P: Pairwise + Send + Sync + 'static>(pairwise: P) -> Run {
    Box::new(move |args| {
        let count = args.values.len();
        let mut made = args.take(0)?;
        for at in 1..count {
            made = both(&made, args.get(at)?, args, false, pairwise)?;
        }
        Ok(vec![made])
    })
}

pub(in super::super) fn sum(_: &mut Setting) -> Result<Run, Fault> {
    Ok(folded(arithmetic_of::add()))
}

pub(in super::super) fn least(_: &mut Setting) -> Result<Run, Fault> {
    Ok(folded(arithmetic_of::least()))
}

pub(in super::super) fn greatest(_: &mut Setting) -> Result<Run, Fault> {
    Ok(folded(arithmetic_of::greatest()))
}

pub(in super::super) fn mean(_: &mut Setting) -> Result<Run, Fault> {
    Ok(Box::new(|args| {
        let count = args.values.len();
        let mut made = args.take(0)?;
        for at in 1..count {
            made = both(&made, args.get(at)?, args, false, arithmetic_of::add())?;
        }
        let by = match made.data {
            Data::Fp32(_) => Data::Fp32(vec![count as f32].into()),
            Data::Fp64(_) => Data::Fp64(vec![count as f64].into()),
            other => return Err(unserved(other.datatype())),
        };
        let made = both(&made, &tensor([], by), args, true, arithmetic_of::divide())?;
        Ok(vec![made])
    }))
}

/// The exponent may be of another type than the base, which is the result's.
pub(in super::super) fn power(_: &mut Setting) -> Result<Run, Fault> {
    Ok(Box::new(|args| {
        let (base, exponent) = (args.get(0)?, args.get(1)?);
        if let (Data::Fp32(x), Data::Fp32(y)) = (&base.data, &exponent.data) {
            let square = y.iter().all(|&it| it == 2.0);
            let (shape, values) = if square {
                pairs(args, (x, &base.shape), (y, &exponent.shape), |x, _| x * x)?
            } else {
                pairs(args, (x, &base.shape), (y, &exponent.shape), f32::powf)?
            };
            return Ok(vec![tensor(shape, wrap(values))]);
        }
        let (x, y) = (as_doubles(base)?, as_doubles(exponent)?);
        let (shape, values) = pairs(args, (&x, &base.shape), (&y, &exponent.shape), f64::powf)?;
        Ok(vec![cast::to(tensor(shape, wrap(values)), base.datatype())?])
    }))
}

/// What is asked of two elements.
#[derive(Clone, Copy)]
enum Question {
    Equal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

fn truths((shape, values): (Vec<usize>, Vec<u8>)) -> Vec<Tensor> {
    vec![tensor(shape, Data::Bool(values.into()))]
}

fn compared(question: Question) -> Run {
    fn of<T: PartialOrd + Copy>(
        question: Question,
        args: &Args<'_>,
        a: (&[T], &[usize]),
        b: (&[T], &[usize]),
    ) -> Outcome<(Vec<usize>, Vec<u8>)> {
        match question {
            Question::Equal => pairs(args, a, b, |x, y| u8::from(x == y)),
            Question::Less => pairs(args, a, b, |x, y| u8::from(x < y)),
            Question::LessOrEqual => pairs(args, a, b, |x, y| u8::from(x <= y)),
            Question::Greater => pairs(args, a, b, |x, y| u8::from(x > y)),
            Question::GreaterOrEqual => pairs(args, a, b, |x, y| u8::from(x >= y)),
        }
    }
    Box::new(move |args| {
        let (a, b) = (args.get(0)?, args.get(1)?);
        let made = match (&a.data, &b.data) {
            (Data::Bool(x), Data::Bool(y)) => of(question, args, (&x[..], &a.shape), (&y[..], &b.shape)),
            (Data::Bytes(x), Data::Bytes(y)) => {
                let (x, y): (Vec<&[u8]>, Vec<&[u8]>) =
                    (x.iter().map(|it| &it[..]).collect(), y.iter().map(|it| &it[..]).collect());
                of(question, args, (&x, &a.shape), (&y, &b.shape))
            }
            _ => numbers!(a, b, (x, y) => of(question, args, (&x[..], &a.shape), (&y[..], &b.shape))),
        };
        made.map(truths)
    })
}

pub(in super::super) fn equal(_: &mut Setting) -> Result<Run, Fault> {
    Ok(compared(Question::Equal))
}

pub(in super::super) fn less(_: &mut Setting) -> Result<Run, Fault> {
    Ok(compared(Question::Less))
}

pub(in super::super) fn less_or_equal(_: &mut Setting) -> Result<Run, Fault> {
    Ok(compared(Question::LessOrEqual))
}

pub(in super::super) fn greater(_: &mut Setting) -> Result<Run, Fault> {
    Ok(compared(Question::Greater))
}

pub(in super::super) fn greater_or_equal(_: &mut Setting) -> Result<Run, Fault> {
    Ok(compared(Question::GreaterOrEqual))
}

fn logical(made: fn(u8, u8) -> u8) -> Result<Run, Fault> {
    Ok(Box::new(move |args| {
        let (a, b) = (args.get(0)?, args.get(1)?);
        let (Data::Bool(x), Data::Bool(y)) = (&a.data, &b.data) else {
            return Err("it takes truths".into());
        };
        pairs(args, (&x[..], &a.shape), (&y[..], &b.shape), made).map(truths)
    }))
}

pub(in super::super) fn and(_: &mut Setting) -> Result<Run, Fault> {
    logical(|x, y| x & y)
}

pub(in super::super) fn or(_: &mut Setting) -> Result<Run, Fault> {
    logical(|x, y| x | y)
}

pub(in super::super) fn exclusive_or(_: &mut Setting) -> Result<Run, Fault> {
    logical(|x, y| x ^ y)
}
