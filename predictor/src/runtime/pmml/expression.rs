//! Expressions: what derived fields and outputs are made of.

use std::collections::HashMap;

use weir_sdk::proto::Error;

use super::Fault;
use super::frame::Frame;
use super::function::{self, Function};
use super::plan::{Loader, Scope, Source};
use super::schema::Interval;
use super::value::{Kind, Value};
use super::xml::Element;

/// The deepest that expressions may be nested.
const MAX_DEPTH: usize = 64;
/// The most expressions, those of a function counted each time it is called.
const MAX_EXPRESSIONS: usize = 1 << 22;
/// The most functions that a file may define.
const MAX_FUNCTIONS: usize = 1 << 10;

/// The error about a value that is none of its field.
pub(super) fn no_value(name: &str, shown: &str, row: usize) -> Error {
    let shown: String = shown.chars().take(60).collect();
    Error::invalid(format!("column `{name}` holds `{shown}` in row {row}, which is no valid value of it"))
}

/// An expression, with the kind of what it gives.
pub(super) struct Expression {
    op: Op,
    kind: Kind,
    depth: u32,
}

enum Op {
    Constant(Value),
    Field {
        slot: usize,
        missing: Value,
    },
    /// Lines between points, in the order of `orig`.
    Lines(Box<Lines>),
    /// 1 where the field has the value.
    Indicator(Box<Indicator>),
    Bins(Box<Bins>),
    Table(Box<Table>),
    Apply(Box<Apply>),
}

struct Lines {
    slot: usize,
    points: Vec<(f64, f64)>,
    outliers: Outliers,
    missing: Value,
}

struct Indicator {
    slot: usize,
    value: Value,
    missing: Value,
}

struct Bins {
    slot: usize,
    bins: Vec<(Interval, Value)>,
    otherwise: Value,
    missing: Value,
}

struct Table {
    slots: Vec<usize>,
    rows: HashMap<Vec<u64>, Value>,
    otherwise: Value,
    missing: Value,
}

struct Apply {
    name: &'static str,
    function: Function,
    arguments: Vec<Expression>,
    missing: Value,
    otherwise: Value,
    invalid_is_missing: bool,
}

#[derive(Clone, Copy)]
enum Outliers {
    Extend,
    Missing,
    Clamp,
}

/// The expression in an element, if there is one.
pub(super) fn within(
    element: Element<'_>,
    scope: &Scope<'_>,
    loader: &mut Loader,
    kind: Option<Kind>,
) -> Result<Option<Expression>, Fault> {
    const NAMES: [&str; 10] = [
        "Constant",
        "FieldRef",
        "NormContinuous",
        "NormDiscrete",
        "Discretize",
        "MapValues",
        "Apply",
        "Aggregate",
        "TextIndex",
        "Lag",
    ];
    let found = element.children().find(|it| NAMES.contains(&it.name()));
    found.map(|it| Expression::read(it, scope, loader, kind, 0)).transpose()
}

impl Expression {
    /// Reads an expression; `kind` is what it will be cast to.
    fn read(
        element: Element<'_>,
        scope: &Scope<'_>,
        loader: &mut Loader,
        kind: Option<Kind>,
        depth: usize,
    ) -> Result<Self, Fault> {
        if depth > MAX_DEPTH {
            return Err(element.malformed(format!("lies deeper than {MAX_DEPTH} expressions")));
        }
        loader.expressions += 1;
        loader.charge(size_of::<Self>())?;
        if loader.expressions > MAX_EXPRESSIONS {
            return Err(element.malformed(format!("is one of more than {MAX_EXPRESSIONS} expressions")));
        }
        let missing = |loader: &mut Loader, kind: Kind| match element.get("mapMissingTo") {
            Some(text) => loader.symbols.parse(text, kind, element),
            None => Ok(Value::Missing),
        };
        let leaf = |op, kind| Ok(Self { op, kind, depth: 1 });
        match element.name() {
            "Constant" => {
                let (value, kind) = constant(element, loader)?;
                leaf(Op::Constant(value), kind)
            }
            "FieldRef" => {
                let slot = scope.field(element, "field")?;
                let kind = loader.kind(slot);
                leaf(Op::Field { slot, missing: missing(loader, kind)? }, kind)
            }
            "NormContinuous" => {
                let slot = scope.field(element, "field")?;
                let points = points(element)?;
                let outliers = element.word(
                    "outliers",
                    &[
                        ("asIs", Outliers::Extend),
                        ("asMissingValues", Outliers::Missing),
                        ("asExtremeValues", Outliers::Clamp),
                    ],
                )?;
                let missing = missing(loader, Kind::Double)?;
                let outliers = outliers.unwrap_or(Outliers::Extend);
                leaf(Op::Lines(Box::new(Lines { slot, points, outliers, missing })), Kind::Double)
            }
            "NormDiscrete" => {
                let slot = scope.field(element, "field")?;
                let kind = loader.kind(slot);
                let value = loader.symbols.parse(element.require("value")?, kind, element)?;
                let missing = missing(loader, Kind::Double)?;
                leaf(Op::Indicator(Box::new(Indicator { slot, value, missing })), Kind::Double)
            }
            "Discretize" => {
                let slot = scope.field(element, "field")?;
                let kind = Kind::of(element)?.or(kind).unwrap_or(Kind::Text);
                let mut bins = Vec::new();
                for bin in element.named("DiscretizeBin") {
                    let value = loader.symbols.parse(bin.require("binValue")?, kind, bin)?;
                    bins.push((Interval::read(bin.needed("Interval")?)?, value));
                }
                let otherwise = default(element, loader, kind)?;
                let missing = missing(loader, kind)?;
                leaf(Op::Bins(Box::new(Bins { slot, bins, otherwise, missing })), kind)
            }
            "MapValues" => {
                let kind = Kind::of(element)?.or(kind).unwrap_or(Kind::Text);
                let (slots, rows) = table(element, scope, loader, kind)?;
                let otherwise = default(element, loader, kind)?;
                let missing = missing(loader, kind)?;
                leaf(Op::Table(Box::new(Table { slots, rows, otherwise, missing })), kind)
            }
            "Apply" => Self::apply(element, scope, loader, kind, depth),
            _ => Err(element.unknown()),
        }
    }

    fn apply(
        element: Element<'_>,
        scope: &Scope<'_>,
        loader: &mut Loader,
        kind: Option<Kind>,
        depth: usize,
    ) -> Result<Self, Fault> {
        let name = element.require("function")?;
        let mut arguments = Vec::with_capacity(element.children().count());
        for argument in element.children() {
            arguments.push(Self::read(argument, scope, loader, None, depth + 1)?);
        }
        let kinds: Vec<Kind> = arguments.iter().map(Self::kind).collect();
        let Some((name, function, made)) = function::find(name, &kinds) else {
            return defined(element, arguments, loader, depth);
        };
        if !function::takes(function, arguments.len()) {
            return Err(element.malformed(format!("gives `{name}` {} arguments", arguments.len())));
        }
        let made = made.or(kind).unwrap_or(Kind::Double);
        let value = |loader: &mut Loader, name: &str| match element.get(name) {
            Some(text) => loader.symbols.parse(text, made, element),
            None => Ok(Value::Missing),
        };
        let invalid = element.word(
            "invalidValueTreatment",
            &[("returnInvalid", false), ("asIs", false), ("asMissing", true)],
        )?;
        let apply = Apply {
            name,
            function,
            missing: value(loader, "mapMissingTo")?,
            otherwise: value(loader, "defaultValue")?,
            invalid_is_missing: invalid.unwrap_or(false),
            arguments,
        };
        let depth = 1 + apply.arguments.iter().map(|it| it.depth).max().unwrap_or(0);
        Ok(Self { op: Op::Apply(Box::new(apply)), kind: made, depth })
    }

    /// The kind of what it gives.
    pub(super) fn kind(&self) -> Kind {
        self.kind
    }

    /// How deep it is, and the slots it looks at.
    pub(super) fn fields(&self) -> (usize, Vec<usize>) {
        let mut found = Vec::new();
        let mut waiting = vec![self];
        while let Some(expression) = waiting.pop() {
            match &expression.op {
                Op::Constant(_) => {}
                Op::Field { slot, .. } => found.push(*slot),
                Op::Lines(it) => found.push(it.slot),
                Op::Indicator(it) => found.push(it.slot),
                Op::Bins(it) => found.push(it.slot),
                Op::Table(it) => found.extend(&it.slots),
                Op::Apply(apply) => waiting.extend(&apply.arguments),
            }
        }
        (self.depth as usize, found)
    }

    /// Works it out.
    pub(super) fn value(&self, frame: &mut Frame<'_, '_>) -> Result<Value, Error> {
        let or = |value: Value, missing: Value| if value.is_missing() { missing } else { value };
        Ok(match &self.op {
            Op::Constant(value) => *value,
            Op::Field { slot, missing } => or(frame.get(*slot)?, *missing),
            Op::Lines(it) => match frame.number(it.slot)? {
                Some(number) => lines(&it.points, number, it.outliers).map_or(it.missing, Value::Number),
                None => it.missing,
            },
            Op::Indicator(it) => match frame.get(it.slot)? {
                Value::Missing => it.missing,
                met => Value::Number(f64::from(u8::from(met == it.value))),
            },
            Op::Bins(it) => match frame.number(it.slot)? {
                Some(number) => {
                    let found = it.bins.iter().find(|(interval, _)| interval.holds(number));
                    found.map_or(it.otherwise, |it| it.1)
                }
                None => it.missing,
            },
            Op::Table(it) => {
                let mut key = Vec::with_capacity(it.slots.len());
                for &slot in &it.slots {
                    match frame.get(slot)? {
                        Value::Missing => return Ok(it.missing),
                        value => key.push(bits(value)),
                    }
                }
                it.rows.get(&key).copied().unwrap_or(it.otherwise)
            }
            Op::Apply(apply) => return self.applied(apply, frame),
        })
    }

    fn applied(&self, apply: &Apply, frame: &mut Frame<'_, '_>) -> Result<Value, Error> {
        let value = match apply.function {
            Function::If => {
                let chosen = match apply.arguments[0].value(frame)? {
                    Value::Missing => None,
                    Value::Bool(true) => apply.arguments.get(1),
                    _ => apply.arguments.get(2),
                };
                match chosen {
                    Some(expression) => {
                        let value = expression.value(frame)?;
                        frame.texts.cast(value, expression.kind, self.kind)
                    }
                    None => Some(Value::Missing),
                }
            }
            function => {
                let mut few = [(Value::Missing, Kind::Double); 4];
                let mut many = Vec::new();
                let count = apply.arguments.len();
                let arguments = if count <= few.len() {
                    &mut few[..count]
                } else {
                    many.resize(count, (Value::Missing, Kind::Double));
                    &mut many[..]
                };
                for (place, argument) in arguments.iter_mut().zip(&apply.arguments) {
                    *place = (argument.value(frame)?, argument.kind);
                }
                if !function.takes_missing() && arguments.iter().any(|it| it.0.is_missing()) {
                    return Ok(apply.missing);
                }
                function::call(function, arguments, self.kind, frame)?
            }
        };
        match value {
            Some(Value::Missing) => Ok(apply.otherwise),
            Some(value) => Ok(value),
            None if apply.invalid_is_missing => Ok(apply.otherwise),
            None => {
                let name = apply.name;
                let row = frame.row;
                Err(Error::invalid(format!("the model's function `{name}` has no value for row {row}")))
            }
        }
    }
}

/// A call of a function that the file defines: its arguments and what it gives become fields without a name.
fn defined(
    element: Element<'_>,
    arguments: Vec<Expression>,
    loader: &mut Loader,
    depth: usize,
) -> Result<Expression, Fault> {
    let name = element.require("function")?;
    let dictionary = element.outermost().child("TransformationDictionary");
    let mut functions = dictionary.into_iter().flat_map(|it| it.named("DefineFunction")).take(MAX_FUNCTIONS);
    let Some(function) = functions.find(|it| it.get("name") == Some(name)) else {
        return Err(element.unsupported(&format!("the function `{name}`")));
    };
    let parameters: Vec<_> = function.named("ParameterField").collect();
    if parameters.len() != arguments.len() {
        let (met, want) = (arguments.len(), parameters.len());
        return Err(element.malformed(format!("gives `{name}` {met} arguments, expected {want}")));
    }
    let mut scope = Scope::new(None);
    for (parameter, argument) in parameters.into_iter().zip(arguments) {
        let name = parameter.require("name")?;
        let kind = Kind::of(parameter)?.unwrap_or(argument.kind);
        let slot = loader.slot(name, kind, Source::Derived(argument))?;
        scope.name(name, slot);
    }
    let kind = Kind::of(function)?;
    let body = function.children().find(|it| it.name() != "ParameterField");
    let body = body.ok_or_else(|| function.malformed("has no expression"))?;
    let body = Expression::read(body, &scope, loader, kind, depth + 1)?;
    let kind = kind.unwrap_or(body.kind);
    let slot = loader.slot(name, kind, Source::Derived(body))?;
    let missing = match element.get("mapMissingTo") {
        Some(_) => return Err(element.unsupported("`mapMissingTo`")),
        None => default(element, loader, kind)?,
    };
    Ok(Expression { op: Op::Field { slot, missing }, kind, depth: 1 })
}

fn bits(value: Value) -> u64 {
    match value {
        Value::Missing => u64::MAX,
        Value::Number(it) => (it + 0.0).to_bits(),
        Value::Text(it) => it.into(),
        Value::Bool(it) => it.into(),
    }
}

fn constant(element: Element<'_>, loader: &mut Loader) -> Result<(Value, Kind), Fault> {
    if element.flag("missing")? {
        return Ok((Value::Missing, Kind::of(element)?.unwrap_or(Kind::Double)));
    }
    let text = element.text();
    let kind = match Kind::of(element)? {
        Some(kind) => kind,
        None if text.trim().parse::<i64>().is_ok() => Kind::Integer,
        None if text.trim().parse::<f64>().is_ok() => Kind::Double,
        None => Kind::Text,
    };
    Ok((loader.symbols.parse(&text, kind, element)?, kind))
}

fn default(element: Element<'_>, loader: &mut Loader, kind: Kind) -> Result<Value, Fault> {
    match element.get("defaultValue") {
        Some(text) => loader.symbols.parse(text, kind, element),
        None => Ok(Value::Missing),
    }
}

/// The points of <NormContinuous>.
pub(super) fn points(element: Element<'_>) -> Result<Vec<(f64, f64)>, Fault> {
    let read = |it: Element<'_>| Ok((it.number("orig")?, it.number("norm")?));
    let points: Vec<(f64, f64)> = element.named("LinearNorm").map(read).collect::<Result<_, Fault>>()?;
    if points.len() < 2 || !points.is_sorted_by(|a, b| a.0 < b.0) {
        return Err(element.malformed("needs two points or more, in the order of `orig`"));
    }
    Ok(points)
}

/// The line between the points around a number.
fn lines(points: &[(f64, f64)], number: f64, outliers: Outliers) -> Option<f64> {
    let last = points.len() - 1;
    let outside = number < points[0].0 || number > points[last].0;
    match outliers {
        Outliers::Missing if outside => return None,
        Outliers::Clamp if number < points[0].0 => return Some(points[0].1),
        Outliers::Clamp if outside => return Some(points[last].1),
        _ => {}
    }
    Some(between(points, number))
}

/// The line through the two points that are nearest. There must be two, in order.
pub(super) fn between(points: &[(f64, f64)], number: f64) -> f64 {
    let at = points.partition_point(|it| it.0 <= number).clamp(1, points.len() - 1);
    let ((x0, y0), (x1, y1)) = (points[at - 1], points[at]);
    y0 + (number - x0) / (x1 - x0) * (y1 - y0)
}

type Rows = HashMap<Vec<u64>, Value>;

fn table(
    element: Element<'_>,
    scope: &Scope<'_>,
    loader: &mut Loader,
    kind: Kind,
) -> Result<(Vec<usize>, Rows), Fault> {
    let output = element.require("outputColumn")?;
    let mut slots = Vec::new();
    let mut columns = Vec::new();
    for pair in element.named("FieldColumnPair") {
        slots.push(scope.field(pair, "field")?);
        columns.push(pair.require("column")?);
    }
    if slots.is_empty() || slots.len() > 64 {
        return Err(element.malformed("has no <FieldColumnPair>, or more than 64"));
    }
    if let Some(locator) = element.child("TableLocator") {
        return Err(locator.unknown());
    }
    let local = |name: &str| name.rsplit(':').next().unwrap_or_default().to_owned();
    let mut rows = Rows::new();
    for row in element.needed("InlineTable")?.named("row") {
        let cells: HashMap<&str, _> = row.children().map(|it| (it.name(), it.text())).collect();
        let cell = |name: &str| {
            let text = cells.get(&*local(name));
            text.ok_or_else(|| row.malformed(format!("has no cell `{name}`")))
        };
        let mut key = Vec::with_capacity(slots.len());
        for (column, &slot) in columns.iter().zip(&slots) {
            let kind = loader.kind(slot);
            key.push(bits(loader.symbols.parse(cell(column)?, kind, row)?));
        }
        let value = loader.symbols.parse(cell(output)?, kind, row)?;
        rows.entry(key).or_insert(value);
    }
    Ok((slots, rows))
}
