//! Predicates: true, false, or unknown where a value is missing.

use weir_sdk::proto::Error;

use super::Fault;
use super::frame::Frame;
use super::plan::{Loader, Scope};
use super::value::{Kind, Value};
use super::xml::Element;

/// The deepest that compounds may be nested.
const MAX_DEPTH: usize = 64;

/// A predicate.
pub(super) enum Predicate {
    True,
    False,
    Simple { slot: usize, operator: Operator, value: Value },
    Missing { slot: usize, wanted: bool },
    Set { slot: usize, within: bool, values: Box<Set> },
    Compound { operator: Junction, parts: Vec<Predicate> },
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Operator {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Junction {
    And,
    Or,
    Xor,
    /// The first that is known.
    Surrogate,
}

/// Values of one kind, sorted.
#[derive(Default)]
pub(super) struct Set {
    numbers: Vec<f64>,
    texts: Vec<u32>,
    truths: [bool; 2],
}

impl Set {
    fn read(array: Element<'_>, kind: Kind, loader: &mut Loader) -> Result<Self, Fault> {
        let mut set = Self::default();
        let (words, bytes) = array.size();
        if kind == Kind::Text {
            set.texts.reserve_exact(words);
            loader.symbols.reserve(words, bytes);
        } else if kind != Kind::Bool {
            set.numbers.reserve_exact(words);
        }
        array.words(|word| {
            match loader.symbols.parse(word, kind, array)? {
                Value::Number(it) => set.numbers.push(it + 0.0),
                Value::Text(it) => set.texts.push(it),
                Value::Bool(it) => set.truths[usize::from(it)] = true,
                Value::Missing => {}
            }
            Ok(())
        })?;
        set.numbers.sort_unstable_by(f64::total_cmp);
        set.texts.sort_unstable();
        Ok(set)
    }

    fn holds(&self, value: Value) -> bool {
        match value {
            Value::Number(it) => self.numbers.binary_search_by(|one| one.total_cmp(&(it + 0.0))).is_ok(),
            Value::Text(it) => self.texts.binary_search(&it).is_ok(),
            Value::Bool(it) => self.truths[usize::from(it)],
            Value::Missing => false,
        }
    }
}

/// Whether an element is a predicate.
pub(super) fn is(element: Element<'_>) -> bool {
    matches!(
        element.name(),
        "True" | "False" | "SimplePredicate" | "SimpleSetPredicate" | "CompoundPredicate"
    )
}

/// Reads the predicate in an element.
pub(super) fn within(
    element: Element<'_>,
    scope: &Scope<'_>,
    loader: &mut Loader,
) -> Result<Predicate, Fault> {
    let found = element.children().find(|it| is(*it));
    read(found.ok_or_else(|| element.malformed("has no predicate"))?, scope, loader, 0)
}

fn read(
    element: Element<'_>,
    scope: &Scope<'_>,
    loader: &mut Loader,
    depth: usize,
) -> Result<Predicate, Fault> {
    if depth > MAX_DEPTH {
        return Err(element.malformed(format!("lies deeper than {MAX_DEPTH} predicates")));
    }
    match element.name() {
        "True" => Ok(Predicate::True),
        "False" => Ok(Predicate::False),
        "SimplePredicate" => simple(element, scope, loader),
        "SimpleSetPredicate" => {
            let slot = scope.field(element, "field")?;
            let kind = loader.kind(slot);
            let within = element.word("booleanOperator", &[("isIn", true), ("isNotIn", false)])?;
            let within = within.ok_or_else(|| element.malformed("has no `booleanOperator`"))?;
            let values = Box::new(Set::read(element.needed("Array")?, kind, loader)?);
            Ok(Predicate::Set { slot, within, values })
        }
        "CompoundPredicate" => {
            let operator = element.word(
                "booleanOperator",
                &[
                    ("and", Junction::And),
                    ("or", Junction::Or),
                    ("xor", Junction::Xor),
                    ("surrogate", Junction::Surrogate),
                ],
            )?;
            let operator = operator.ok_or_else(|| element.malformed("has no `booleanOperator`"))?;
            let parts: Result<Vec<_>, _> =
                element.children().map(|it| read(it, scope, loader, depth + 1)).collect();
            Ok(Predicate::Compound { operator, parts: parts? })
        }
        _ => Err(element.unknown()),
    }
}

fn simple(element: Element<'_>, scope: &Scope<'_>, loader: &mut Loader) -> Result<Predicate, Fault> {
    let slot = scope.field(element, "field")?;
    let operator = match element.require("operator")? {
        "equal" => Operator::Equal,
        "notEqual" => Operator::NotEqual,
        "lessThan" => Operator::Less,
        "lessOrEqual" => Operator::LessOrEqual,
        "greaterThan" => Operator::Greater,
        "greaterOrEqual" => Operator::GreaterOrEqual,
        "isMissing" => return Ok(Predicate::Missing { slot, wanted: true }),
        "isNotMissing" => return Ok(Predicate::Missing { slot, wanted: false }),
        other => return Err(element.unsupported(&format!("`operator` `{other}`"))),
    };
    let text = element.require("value")?;
    let kind = loader.kind(slot);
    // A threshold of an integer need not be one.
    let kind = if kind == Kind::Integer { Kind::Double } else { kind };
    Ok(Predicate::Simple { slot, operator, value: loader.symbols.parse(text, kind, element)? })
}

impl Predicate {
    /// Whether it holds; `None` where that is not known.
    #[inline]
    pub(super) fn holds(&self, frame: &mut Frame<'_, '_>) -> Result<Option<bool>, Error> {
        Ok(match self {
            Self::True => Some(true),
            Self::False => Some(false),
            Self::Simple { slot, operator, value } => match (frame.get(*slot)?, *value) {
                (Value::Missing, _) => None,
                (Value::Number(met), Value::Number(than)) => Some(match operator {
                    Operator::Equal => met == than,
                    Operator::NotEqual => met != than,
                    Operator::Less => met < than,
                    Operator::LessOrEqual => met <= than,
                    Operator::Greater => met > than,
                    Operator::GreaterOrEqual => met >= than,
                }),
                (met, than) => compare(*operator, met, than, frame),
            },
            Self::Missing { slot, wanted } => Some(frame.get(*slot)?.is_missing() == *wanted),
            Self::Set { slot, within, values } => match frame.get(*slot)? {
                Value::Missing => None,
                met => Some(values.holds(met) == *within),
            },
            Self::Compound { operator, parts } => return compound(*operator, parts, frame),
        })
    }
}

fn compare(operator: Operator, met: Value, than: Value, frame: &Frame<'_, '_>) -> Option<bool> {
    match operator {
        Operator::Equal => return Some(frame.texts.equal(met, than)),
        Operator::NotEqual => return Some(!frame.texts.equal(met, than)),
        _ => {}
    }
    let order = frame.texts.compare(met, than)?;
    Some(match operator {
        Operator::Less => order.is_lt(),
        Operator::LessOrEqual => order.is_le(),
        Operator::Greater => order.is_gt(),
        _ => order.is_ge(),
    })
}

fn compound(
    operator: Junction,
    parts: &[Predicate],
    frame: &mut Frame<'_, '_>,
) -> Result<Option<bool>, Error> {
    let mut unknown = false;
    let mut odd = false;
    for part in parts {
        match (part.holds(frame)?, operator) {
            (Some(false), Junction::And) => return Ok(Some(false)),
            (Some(true), Junction::Or) => return Ok(Some(true)),
            (Some(known), Junction::Surrogate) => return Ok(Some(known)),
            (Some(known), Junction::Xor) => odd ^= known,
            (Some(_), Junction::And | Junction::Or) => {}
            (None, _) => unknown = true,
        }
    }
    Ok(match operator {
        _ if unknown => None,
        Junction::And => Some(true),
        Junction::Or => Some(false),
        Junction::Xor => Some(odd),
        Junction::Surrogate => None,
    })
}
