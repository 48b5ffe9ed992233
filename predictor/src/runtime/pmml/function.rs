//! The functions that come with PMML.

use std::cmp::Ordering;

use weir_sdk::proto::Error;

use super::frame::Frame;
use super::value::{Kind, Value};

/// A function.
#[derive(Debug, Clone, Copy)]
pub(super) enum Function {
    Add,
    Subtract,
    Multiply,
    Divide,
    Modulo,
    Power,
    Threshold,
    Hypot,
    Atan2,
    Min,
    Max,
    Sum,
    Average,
    Median,
    Product,
    /// A function of one number.
    Plain(fn(f64) -> f64),
    /// The same, whose value is an integer.
    Whole(fn(f64) -> f64),
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    And,
    Or,
    Not,
    IsIn,
    IsNotIn,
    IsMissing,
    IsNotMissing,
    If,
    Uppercase,
    Lowercase,
    Substring,
    Trim,
    Concat,
    Length,
}

impl Function {
    /// Whether it looks at missing values; the others have none where an argument has none.
    pub(super) fn takes_missing(self) -> bool {
        use Function as F;
        matches!(
            self,
            F::Min
                | F::Max
                | F::Sum
                | F::Average
                | F::Median
                | F::Product
                | F::And
                | F::Or
                | F::IsMissing
                | F::IsNotMissing
                | F::If
                | F::Concat
        )
    }
}

fn sign(number: f64) -> f64 {
    if number == 0.0 { 0.0 } else { number.signum() }
}

static FUNCTIONS: &[(&str, Function)] = &[
    ("+", Function::Add),
    ("-", Function::Subtract),
    ("*", Function::Multiply),
    ("/", Function::Divide),
    ("modulo", Function::Modulo),
    ("x-modulo", Function::Modulo),
    ("pow", Function::Power),
    ("threshold", Function::Threshold),
    ("hypot", Function::Hypot),
    ("x-hypot", Function::Hypot),
    ("atan2", Function::Atan2),
    ("x-atan2", Function::Atan2),
    ("min", Function::Min),
    ("max", Function::Max),
    ("sum", Function::Sum),
    ("avg", Function::Average),
    ("median", Function::Median),
    ("product", Function::Product),
    ("log10", Function::Plain(f64::log10)),
    ("ln", Function::Plain(f64::ln)),
    ("sqrt", Function::Plain(f64::sqrt)),
    ("exp", Function::Plain(f64::exp)),
    ("expm1", Function::Plain(f64::exp_m1)),
    ("x-expm1", Function::Plain(f64::exp_m1)),
    ("ln1p", Function::Plain(f64::ln_1p)),
    ("x-ln1p", Function::Plain(f64::ln_1p)),
    ("sin", Function::Plain(f64::sin)),
    ("cos", Function::Plain(f64::cos)),
    ("tan", Function::Plain(f64::tan)),
    ("asin", Function::Plain(f64::asin)),
    ("acos", Function::Plain(f64::acos)),
    ("atan", Function::Plain(f64::atan)),
    ("sinh", Function::Plain(f64::sinh)),
    ("cosh", Function::Plain(f64::cosh)),
    ("tanh", Function::Plain(f64::tanh)),
    ("abs", Function::Plain(f64::abs)),
    ("x-sin", Function::Plain(f64::sin)),
    ("x-cos", Function::Plain(f64::cos)),
    ("x-tan", Function::Plain(f64::tan)),
    ("rint", Function::Plain(f64::round_ties_even)),
    ("x-rint", Function::Plain(f64::round_ties_even)),
    ("floor", Function::Whole(f64::floor)),
    ("ceil", Function::Whole(f64::ceil)),
    ("round", Function::Whole(|it| (it + 0.5).floor())),
    ("sign", Function::Whole(sign)),
    ("equal", Function::Equal),
    ("notEqual", Function::NotEqual),
    ("lessThan", Function::Less),
    ("lessOrEqual", Function::LessOrEqual),
    ("greaterThan", Function::Greater),
    ("greaterOrEqual", Function::GreaterOrEqual),
    ("and", Function::And),
    ("or", Function::Or),
    ("not", Function::Not),
    ("isIn", Function::IsIn),
    ("isNotIn", Function::IsNotIn),
    ("isMissing", Function::IsMissing),
    ("isNotMissing", Function::IsNotMissing),
    ("isValid", Function::IsNotMissing),
    ("isNotValid", Function::IsMissing),
    ("if", Function::If),
    ("uppercase", Function::Uppercase),
    ("lowercase", Function::Lowercase),
    ("substring", Function::Substring),
    ("trimBlanks", Function::Trim),
    ("concat", Function::Concat),
    ("stringLength", Function::Length),
];

/// The function of a name, and the kind of what it gives for arguments of those kinds; `None` as a kind where any would do.
pub(super) fn find(name: &str, kinds: &[Kind]) -> Option<(&'static str, Function, Option<Kind>)> {
    use Function as F;
    let (name, function) = *FUNCTIONS.iter().find(|(it, _)| *it == name)?;
    let common = || kinds.iter().copied().reduce(Kind::with);
    let kind = match function {
        F::Add
        | F::Subtract
        | F::Multiply
        | F::Divide
        | F::Min
        | F::Max
        | F::Sum
        | F::Product
        | F::Modulo
        | F::Power => common().filter(|it| it.is_number()).or(Some(Kind::Double)),
        F::Plain(_) if name == "abs" => common().filter(|it| it.is_number()).or(Some(Kind::Double)),
        F::Average | F::Median | F::Hypot | F::Atan2 => Some(Kind::Double),
        // Floats stay floats.
        F::Plain(_) if kinds == [Kind::Float] => Some(Kind::Float),
        F::Plain(_) => Some(Kind::Double),
        F::Whole(_) | F::Threshold | F::Length => Some(Kind::Integer),
        F::Equal
        | F::NotEqual
        | F::Less
        | F::LessOrEqual
        | F::Greater
        | F::GreaterOrEqual
        | F::And
        | F::Or
        | F::Not
        | F::IsIn
        | F::IsNotIn
        | F::IsMissing
        | F::IsNotMissing => Some(Kind::Bool),
        F::If => match kinds.get(1..) {
            Some([only]) => Some(*only),
            Some([first, second]) if first == second => Some(*first),
            Some([first, second]) if first.is_number() && second.is_number() => Some(first.with(*second)),
            Some([first, ..]) => Some(*first),
            _ => None,
        },
        F::Uppercase | F::Lowercase | F::Substring | F::Trim | F::Concat => Some(Kind::Text),
    };
    Some((name, function, kind))
}

/// Whether a function takes so many arguments.
pub(super) fn takes(function: Function, count: usize) -> bool {
    use Function as F;
    match function {
        F::Subtract
        | F::Divide
        | F::Modulo
        | F::Power
        | F::Threshold
        | F::Hypot
        | F::Atan2
        | F::Equal
        | F::NotEqual
        | F::Less
        | F::LessOrEqual
        | F::Greater
        | F::GreaterOrEqual
        | F::Add
        | F::Multiply => count == 2,
        F::Plain(_)
        | F::Whole(_)
        | F::Not
        | F::IsMissing
        | F::IsNotMissing
        | F::Uppercase
        | F::Lowercase
        | F::Trim
        | F::Length => count == 1,
        F::If => count == 2 || count == 3,
        F::Substring => count == 3,
        F::IsIn | F::IsNotIn | F::And | F::Or => count >= 2,
        F::Min | F::Max | F::Sum | F::Average | F::Median | F::Product | F::Concat => count >= 1,
    }
}

/// An argument with its kind.
type Argument = (Value, Kind);

/// Calls a function; `kind` is that of what it gives. `None` where it has no value for those arguments.
pub(super) fn call(
    function: Function,
    arguments: &[Argument],
    kind: Kind,
    frame: &mut Frame<'_, '_>,
) -> Result<Option<Value>, Error> {
    use Function as F;
    let first = arguments.first().map_or(Value::Missing, |it| it.0);
    let second = arguments.get(1).map_or(Value::Missing, |it| it.0);
    Ok(match function {
        F::IsMissing => Some(Value::Bool(first.is_missing())),
        F::IsNotMissing => Some(Value::Bool(!first.is_missing())),
        F::Equal => Some(Value::Bool(frame.texts.equal(first, second))),
        F::NotEqual => Some(Value::Bool(!frame.texts.equal(first, second))),
        F::Less | F::LessOrEqual | F::Greater | F::GreaterOrEqual => {
            frame.texts.compare(first, second).map(|it| Value::Bool(ordered(function, it)))
        }
        F::IsIn | F::IsNotIn => {
            let found = arguments[1..].iter().any(|it| frame.texts.equal(first, it.0));
            Some(Value::Bool(found == matches!(function, F::IsIn)))
        }
        F::And | F::Or => junction(arguments, matches!(function, F::Or)),
        F::Not => match first {
            Value::Bool(it) => Some(Value::Bool(!it)),
            _ => None,
        },
        F::Uppercase | F::Lowercase | F::Trim | F::Substring | F::Concat | F::Length => {
            return text(function, arguments, frame);
        }
        F::Min | F::Max | F::Sum | F::Average | F::Median | F::Product => {
            let numbers: Option<Vec<f64>> =
                arguments.iter().filter(|it| !it.0.is_missing()).map(|it| it.0.number()).collect();
            numbers.and_then(|it| aggregate(function, it, kind))
        }
        _ => {
            let Some(left) = first.number() else { return Ok(None) };
            let right = second.number();
            arithmetic(function, left, right, kind).map(|it| Value::Number(kind.round(it)))
        }
    })
}

fn ordered(function: Function, order: Ordering) -> bool {
    match function {
        Function::Less => order.is_lt(),
        Function::LessOrEqual => order.is_le(),
        Function::Greater => order.is_gt(),
        _ => order.is_ge(),
    }
}

/// `and`, or `or`: decided by the first value that decides it, unknown where there is none and a value is missing.
fn junction(arguments: &[Argument], decisive: bool) -> Option<Value> {
    let mut unknown = false;
    for (value, _) in arguments {
        match value {
            Value::Bool(it) if *it == decisive => return Some(Value::Bool(decisive)),
            Value::Bool(_) => {}
            Value::Missing => unknown = true,
            Value::Number(_) | Value::Text(_) => return None,
        }
    }
    Some(if unknown { Value::Missing } else { Value::Bool(!decisive) })
}

fn arithmetic(function: Function, left: f64, right: Option<f64>, kind: Kind) -> Option<f64> {
    use Function as F;
    match function {
        F::Plain(of) | F::Whole(of) => return Some(of(left)),
        _ => {}
    }
    let right = right?;
    Some(match function {
        F::Add => left + right,
        F::Subtract => left - right,
        F::Multiply => left * right,
        F::Divide if kind == Kind::Integer && right == 0.0 => return None,
        F::Divide if kind == Kind::Integer => (left / right).trunc(),
        F::Divide => left / right,
        F::Modulo if right == 0.0 => return None,
        F::Modulo => left - (left / right).floor() * right,
        F::Power => left.powf(right),
        F::Threshold => f64::from(u8::from(left > right)),
        F::Hypot => left.hypot(right),
        F::Atan2 => left.atan2(right),
        _ => return None,
    })
}

fn aggregate(function: Function, mut numbers: Vec<f64>, kind: Kind) -> Option<Value> {
    if numbers.is_empty() {
        return Some(Value::Missing);
    }
    let sum = |numbers: &[f64]| numbers.iter().fold(0.0, |sum, it| kind.round(sum + it));
    Some(Value::Number(match function {
        Function::Min => numbers.iter().copied().fold(f64::INFINITY, f64::min),
        Function::Max => numbers.iter().copied().fold(f64::NEG_INFINITY, f64::max),
        Function::Sum => sum(&numbers),
        Function::Average => sum(&numbers) / numbers.len() as f64,
        Function::Median => median(&mut numbers),
        _ => numbers.iter().fold(1.0, |product, it| kind.round(product * it)),
    }))
}

/// The number in the middle, or the middle of the two that are. There must be one.
pub(super) fn median(numbers: &mut [f64]) -> f64 {
    numbers.sort_by(f64::total_cmp);
    let middle = numbers.len() / 2;
    if numbers.len().is_multiple_of(2) {
        f64::midpoint(numbers[middle - 1], numbers[middle])
    } else {
        numbers[middle]
    }
}

fn text(
    function: Function,
    arguments: &[Argument],
    frame: &mut Frame<'_, '_>,
) -> Result<Option<Value>, Error> {
    let mut texts = arguments.iter().map(|&(value, kind)| frame.texts.show(value, kind));
    let first = texts.next().unwrap_or_default();
    let made = match function {
        Function::Uppercase => first.to_uppercase(),
        Function::Lowercase => first.to_lowercase(),
        Function::Trim => first.trim().to_owned(),
        Function::Length => {
            return Ok(Some(Value::Number(first.chars().count() as f64)));
        }
        Function::Concat => {
            let mut made = first;
            for text in texts {
                made.push_str(&text);
            }
            made
        }
        _ => {
            let number = |at: usize| arguments.get(at).and_then(|it| it.0.number());
            match (number(1), number(2)) {
                (Some(start), Some(length)) if start >= 1.0 && length >= 0.0 => {
                    first.chars().skip(start as usize - 1).take(length as usize).collect()
                }
                _ => return Ok(None),
            }
        }
    };
    frame.texts.made(&made).map(Some)
}
