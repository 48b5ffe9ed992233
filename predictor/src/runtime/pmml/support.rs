//! Support vector machines.

use std::collections::HashMap;

use weir_sdk::proto::Error;

use super::Fault;
use super::compiled::{Context, Outcome, Scorer, Task};
use super::frame::Frame;
use super::plan::Loader;
use super::value::Value;
use super::xml::Element;

/// The most numbers of all vectors, with the noughts that sparse ones leave out.
const MAX_NUMBERS: usize = 1 << 25;

/// Machines that share their vectors.
struct Support {
    fields: Vec<Field>,
    vectors: Vec<Vec<f64>>,
    kernel: Kernel,
    machines: Vec<Machine>,
    method: Method,
    max_wins: bool,
    list: usize,
}

enum Field {
    Number(usize),
    /// 1 where the field has the value.
    Indicator(usize, Value),
}

struct Machine {
    /// Where the vectors are among all; empty where the coefficients are of the fields themselves.
    vectors: Vec<usize>,
    coefficients: Vec<f64>,
    constant: f64,
    threshold: f64,
    class: Option<usize>,
    alternate: Option<usize>,
}

#[derive(Clone, Copy, PartialEq)]
enum Method {
    Number,
    Two,
    OneAgainstAll,
    OneAgainstOne,
}

#[derive(Clone, Copy)]
enum Kernel {
    Linear,
    Polynomial { gamma: f64, coef0: f64, degree: f64 },
    RadialBasis { gamma: f64 },
    Sigmoid { gamma: f64, coef0: f64 },
}

/// Reads support vector machines.
pub(super) fn read(
    element: Element<'_>,
    context: &Context<'_, '_>,
    loader: &mut Loader,
) -> Result<Box<dyn Scorer>, Fault> {
    let by_fields = element
        .word("svmRepresentation", &[("SupportVectors", false), ("Coefficients", true)])?
        .unwrap_or(false);
    let dictionary = element.needed("VectorDictionary")?;
    let fields = fields(dictionary.needed("VectorFields")?, context, loader)?;
    let (vectors, names) = vectors(dictionary, fields.len(), loader)?;
    let kernel = kernel(element)?;
    let threshold = element.number_or("threshold", 0.0)?;
    let mut machines = Vec::new();
    for child in element.named("SupportVectorMachine") {
        let coefficients = child.needed("Coefficients")?;
        let numbers: Vec<f64> = coefficients
            .named("Coefficient")
            .map(|it| it.number_or("value", 0.0))
            .collect::<Result<_, _>>()?;
        let mut used = Vec::new();
        for vector in child
            .child("SupportVectors")
            .filter(|_| !by_fields)
            .into_iter()
            .flat_map(|it| it.named("SupportVector"))
        {
            let name = vector.require("vectorId")?;
            let at = names.get(name);
            used.push(
                *at.ok_or_else(|| {
                    vector.malformed(format!("names the vector `{name}`, which is not there"))
                })?,
            );
        }
        let expected = if by_fields { fields.len() } else { used.len() };
        if numbers.len() != expected {
            return Err(child.malformed(format!("has {} coefficients, expected {expected}", numbers.len())));
        }
        let mut class =
            |name: &str| child.get(name).map(|it| context.target.class(it, child, loader)).transpose();
        machines.push(Machine {
            class: class("targetCategory")?,
            alternate: class("alternateTargetCategory")?,
            vectors: used,
            coefficients: numbers,
            constant: coefficients.number_or("absoluteValue", 0.0)?,
            threshold: child.number_or("threshold", threshold)?,
        });
    }
    let is_one =
        element.word("classificationMethod", &[("OneAgainstOne", true), ("OneAgainstAll", false)])?;
    let all_alternate = machines.iter().all(|it| it.alternate.is_some());
    let method = match (context.target.task, machines.as_slice()) {
        (Task::Regression, [_]) => Method::Number,
        (Task::Classification, [only]) if only.alternate.is_some() => Method::Two,
        (Task::Classification, [_, ..]) if is_one.unwrap_or(all_alternate) => Method::OneAgainstOne,
        (Task::Classification, [_, ..]) => Method::OneAgainstAll,
        _ => return Err(element.malformed(format!("has {} machines", machines.len()))),
    };
    let needs_alternate = matches!(method, Method::Two | Method::OneAgainstOne);
    let whole = machines.iter().all(|it| it.class.is_some() && (!needs_alternate || it.alternate.is_some()));
    if method != Method::Number && !whole {
        return Err(element.malformed("has machines without a class"));
    }
    let max_wins = element.flag("maxWins")?;
    Ok(Box::new(Support { fields, vectors, kernel, machines, method, max_wins, list: context.target.list }))
}

fn kernel(element: Element<'_>) -> Result<Kernel, Fault> {
    let is_kernel = |it: &Element<'_>| it.name().ends_with("KernelType");
    let kernel = element.children().find(is_kernel).ok_or_else(|| element.malformed("has no kernel"))?;
    let gamma = kernel.number_or("gamma", 1.0)?;
    let coef0 = kernel.number_or("coef0", 1.0)?;
    match kernel.name() {
        "LinearKernelType" => Ok(Kernel::Linear),
        "PolynomialKernelType" => {
            Ok(Kernel::Polynomial { gamma, coef0, degree: kernel.number_or("degree", 1.0)? })
        }
        "RadialBasisKernelType" => Ok(Kernel::RadialBasis { gamma }),
        "SigmoidKernelType" => Ok(Kernel::Sigmoid { gamma, coef0 }),
        _ => Err(kernel.unknown()),
    }
}

fn fields(element: Element<'_>, context: &Context<'_, '_>, loader: &mut Loader) -> Result<Vec<Field>, Fault> {
    let mut fields = Vec::new();
    for field in element.children() {
        fields.push(match field.name() {
            "FieldRef" => Field::Number(context.scope.field(field, "field")?),
            "CategoricalPredictor" => {
                let slot = context.scope.field(field, "name")?;
                let kind = loader.kind(slot);
                Field::Indicator(slot, loader.symbols.parse(field.require("value")?, kind, field)?)
            }
            _ => return Err(field.unknown()),
        });
    }
    Ok(fields)
}

type Vectors<'a> = (Vec<Vec<f64>>, HashMap<&'a str, usize>);

fn vectors<'a>(dictionary: Element<'a>, width: usize, loader: &mut Loader) -> Result<Vectors<'a>, Fault> {
    let mut vectors = Vec::new();
    let mut names = HashMap::new();
    for instance in dictionary.named("VectorInstance") {
        if vectors.len().saturating_mul(width) > MAX_NUMBERS {
            return Err(dictionary.malformed(format!("holds more than {MAX_NUMBERS} numbers")));
        }
        loader.charge(width * size_of::<f64>())?;
        let array = instance.children().next().ok_or_else(|| instance.malformed("is empty"))?;
        let vector = match array.name() {
            "Array" => array.numbers()?,
            "REAL-SparseArray" => sparse(array, width)?,
            _ => return Err(array.unknown()),
        };
        if vector.len() != width {
            return Err(instance.malformed(format!("has {} numbers for {width} fields", vector.len())));
        }
        names.insert(instance.require("id")?, vectors.len());
        vectors.push(vector);
    }
    Ok((vectors, names))
}

/// The numbers of a sparse array, whose places count from one.
fn sparse(array: Element<'_>, width: usize) -> Result<Vec<f64>, Fault> {
    let numbers = |name: &str| match array.child(name) {
        Some(list) => list.numbers(),
        None => Ok(Vec::new()),
    };
    let (places, entries) = (numbers("Indices")?, numbers("REAL-Entries")?);
    if places.len() != entries.len() {
        return Err(array.malformed(format!("has {} places for {} entries", places.len(), entries.len())));
    }
    let mut vector = vec![array.number_or("defaultValue", 0.0)?; width];
    for (place, entry) in places.into_iter().zip(entries) {
        let cell = vector.get_mut((place as usize).wrapping_sub(1));
        *cell.ok_or_else(|| array.malformed(format!("has an entry at {place}, of {width}")))? = entry;
    }
    Ok(vector)
}

impl Kernel {
    fn of(self, x: &[f64], z: &[f64]) -> f64 {
        let dot = || x.iter().zip(z).map(|(x, z)| x * z).sum::<f64>();
        match self {
            Self::Linear => dot(),
            Self::Polynomial { gamma, coef0, degree } => (gamma * dot() + coef0).powf(degree),
            Self::RadialBasis { gamma } => {
                (-gamma * x.iter().zip(z).map(|(x, z)| (x - z).powi(2)).sum::<f64>()).exp()
            }
            Self::Sigmoid { gamma, coef0 } => (gamma * dot() + coef0).tanh(),
        }
    }
}

impl Support {
    fn value(&self, machine: &Machine, row: &[f64]) -> f64 {
        let terms: f64 = if machine.vectors.is_empty() && machine.coefficients.len() == row.len() {
            machine.coefficients.iter().zip(row).map(|(coefficient, it)| coefficient * it).sum()
        } else {
            let vectors = machine.vectors.iter().map(|it| &self.vectors[*it]);
            vectors.zip(&machine.coefficients).map(|(z, it)| it * self.kernel.of(row, z)).sum()
        };
        terms + machine.constant
    }
}

impl Scorer for Support {
    fn score<'m>(&'m self, frame: &mut Frame<'m, '_>) -> Result<Outcome<'m>, Error> {
        let mut row = Vec::with_capacity(self.fields.len());
        for field in &self.fields {
            row.push(match *field {
                Field::Number(slot) => match frame.number(slot)? {
                    Some(number) => number,
                    None => return Ok(Outcome::of(Value::Missing)),
                },
                Field::Indicator(slot, value) => f64::from(u8::from(frame.get(slot)? == value)),
            });
        }
        let classes = frame.classes(self.list);
        let mut scores = vec![0.0; classes.len()];
        for machine in &self.machines {
            let value = self.value(machine, &row);
            if self.method == Method::Number {
                return Ok(Outcome::number(value));
            }
            let (class, alternate) = (machine.class.unwrap_or(0), machine.alternate.unwrap_or(0));
            if self.method == Method::OneAgainstAll {
                scores[class] = if self.max_wins { value } else { -value };
            } else {
                // The lower side of the threshold is that of the class, but where the highest wins.
                let is_below = value < machine.threshold;
                let winner = if is_below != self.max_wins { class } else { alternate };
                scores[winner] += 1.0;
            }
        }
        Ok(Outcome { scores: super::compiled::Scores::None, ..Outcome::highest(scores, classes) })
    }

    fn has_scores(&self) -> bool {
        false
    }

    fn row_ns(&self) -> f64 {
        let used: usize = self.machines.iter().map(|it| it.coefficients.len()).sum();
        50.0 + (used * (10 + 2 * self.fields.len())) as f64
    }
}
