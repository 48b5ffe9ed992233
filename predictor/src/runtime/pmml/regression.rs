//! Regression models: sums of terms, and what makes probabilities of them.

use weir_sdk::proto::Error;

use super::Fault;
use super::compiled::{Context, Outcome, Scorer, Task};
use super::frame::Frame;
use super::link::Link;
use super::plan::Loader;
use super::value::{Kind, Value};
use super::xml::Element;

/// One table, or one for each class.
struct Regression {
    tables: Vec<Table>,
    normalization: Normalization,
    /// None for a number.
    classes: Option<Classes>,
    math: Kind,
}

struct Classes {
    list: usize,
    /// The class of each table.
    places: Vec<usize>,
    is_ordinal: bool,
}

#[derive(Default)]
struct Table {
    intercept: f64,
    numeric: Vec<(usize, f64, f64)>,
    categorical: Vec<(usize, Value, f64)>,
    products: Vec<(Vec<usize>, f64)>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Normalization {
    None,
    Simplemax,
    Softmax,
    Link(Link),
}

/// Reads a regression model.
pub(super) fn read(
    element: Element<'_>,
    context: &Context<'_, '_>,
    loader: &mut Loader,
) -> Result<Box<dyn Scorer>, Fault> {
    let link = |link| Normalization::Link(link);
    let normalization = element.word(
        "normalizationMethod",
        &[
            ("none", Normalization::None),
            ("simplemax", Normalization::Simplemax),
            ("softmax", Normalization::Softmax),
            ("logit", link(Link::Logit)),
            ("probit", link(Link::Probit)),
            ("cloglog", link(Link::Cloglog)),
            ("loglog", link(Link::Loglog)),
            ("cauchit", link(Link::Cauchit)),
            ("exp", link(Link::Log)),
        ],
    )?;
    let mut tables = Vec::new();
    let mut places = Vec::new();
    let is_classifier = context.target.task == Task::Classification;
    for child in element.named("RegressionTable") {
        tables.push(table(child, context, loader)?);
        if is_classifier {
            places.push(context.target.class(child.require("targetCategory")?, child, loader)?);
        }
    }
    if tables.is_empty() || (!is_classifier && tables.len() > 1) {
        return Err(element.malformed(format!("has {} tables", tables.len())));
    }
    let field = context.target.name.as_deref().and_then(|it| loader.data.get(it));
    let is_ordinal = field.is_some_and(|it| it.is_ordinal);
    let classes = is_classifier.then_some(Classes { list: context.target.list, places, is_ordinal });
    let normalization = normalization.unwrap_or(Normalization::None);
    Ok(Box::new(Regression { tables, normalization, classes, math: context.math }))
}

fn table(element: Element<'_>, context: &Context<'_, '_>, loader: &mut Loader) -> Result<Table, Fault> {
    let intercept = context.math.round(element.number_or("intercept", 0.0)?);
    let mut table = Table { intercept, ..Table::default() };
    for term in element.children() {
        let coefficient = context.math.round(term.number("coefficient")?);
        match term.name() {
            "NumericPredictor" => {
                let slot = context.scope.field(term, "name")?;
                table.numeric.push((slot, term.number_or("exponent", 1.0)?, coefficient));
            }
            "CategoricalPredictor" => {
                let slot = context.scope.field(term, "name")?;
                let kind = loader.kind(slot);
                let value = loader.symbols.parse(term.require("value")?, kind, term)?;
                table.categorical.push((slot, value, coefficient));
            }
            "PredictorTerm" => {
                let fields = term.named("FieldRef").map(|it| context.scope.field(it, "field"));
                table.products.push((fields.collect::<Result<_, _>>()?, coefficient));
            }
            _ => return Err(term.unknown()),
        }
    }
    Ok(table)
}

impl Table {
    /// The sum of its terms, `None` where a number is missing.
    fn sum(&self, math: Kind, frame: &mut Frame<'_, '_>) -> Result<Option<f64>, Error> {
        let mut sum = 0.0;
        let mut add = |term: f64| sum = math.round(sum + math.round(term));
        for &(slot, exponent, coefficient) in &self.numeric {
            let Some(number) = frame.number(slot)? else { return Ok(None) };
            add(coefficient * if exponent == 1.0 { number } else { number.powf(exponent) });
        }
        for &(slot, value, coefficient) in &self.categorical {
            // Where there is no value, none of the categories has it.
            if frame.get(slot)? == value {
                add(coefficient);
            }
        }
        for (slots, coefficient) in &self.products {
            let mut product = *coefficient;
            for &slot in slots {
                let Some(number) = frame.number(slot)? else { return Ok(None) };
                product *= number;
            }
            add(product);
        }
        add(self.intercept);
        Ok(Some(sum))
    }
}

/// Makes shares of scores, the largest taken away first so that none overflows.
pub(super) fn softmax(scores: &mut [f64], math: Kind) {
    let highest = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    scores.iter_mut().for_each(|it| *it = math.round(math.round(*it - highest).exp()));
    simplemax(scores, math);
}

/// Makes the sum 1.
pub(super) fn simplemax(scores: &mut [f64], math: Kind) {
    let sum = scores.iter().fold(0.0, |sum, it| math.round(sum + it));
    scores.iter_mut().for_each(|it| *it = math.round(*it / sum));
}

impl Regression {
    fn number(&self, sum: f64) -> f64 {
        match self.normalization {
            Normalization::None | Normalization::Simplemax => sum,
            Normalization::Softmax => Link::Logit.inverse(sum),
            Normalization::Link(link) => link.inverse(sum),
        }
    }

    /// The shares of the classes, in the order of the tables.
    fn shares(&self, sums: &mut [f64], is_ordinal: bool) {
        let last = sums.len() - 1;
        match self.normalization {
            Normalization::Softmax if !is_ordinal => softmax(sums, self.math),
            Normalization::Simplemax => simplemax(sums, self.math),
            Normalization::None if !is_ordinal => {
                // What the others leave.
                sums[last] = 1.0 - sums[..last].iter().sum::<f64>();
            }
            Normalization::Link(link) if sums.len() == 2 && !is_ordinal => {
                sums[0] = self.math.round(link.inverse(sums[0]));
                sums[1] = 1.0 - sums[0];
            }
            Normalization::Link(link) if !is_ordinal => {
                sums.iter_mut().for_each(|it| *it = self.math.round(link.inverse(*it)));
                simplemax(sums, self.math);
            }
            _ => {
                // Each sum is of its class and of those before it.
                let mut before = 0.0;
                for (at, sum) in sums.iter_mut().enumerate() {
                    let up_to = if at == last { 1.0 } else { self.number(*sum) };
                    *sum = up_to - before;
                    before = up_to;
                }
            }
        }
    }
}

impl Scorer for Regression {
    fn score<'m>(&'m self, frame: &mut Frame<'m, '_>) -> Result<Outcome<'m>, Error> {
        let Some(classes) = &self.classes else {
            let sum = self.tables[0].sum(self.math, frame)?;
            return Ok(sum.map_or(Outcome::of(Value::Missing), |it| {
                Outcome::number(self.math.round(self.number(it)))
            }));
        };
        let mut sums = Vec::with_capacity(self.tables.len());
        for table in &self.tables {
            match table.sum(self.math, frame)? {
                Some(sum) => sums.push(sum),
                None => return Ok(Outcome::of(Value::Missing)),
            }
        }
        self.shares(&mut sums, classes.is_ordinal);
        let all = frame.classes(classes.list);
        let mut scores = vec![0.0; all.len()];
        for (&place, share) in classes.places.iter().zip(sums) {
            scores[place] = share;
        }
        Ok(Outcome::highest(scores, all))
    }

    fn row_ns(&self) -> f64 {
        let terms =
            self.tables.iter().map(|it| it.numeric.len() + it.categorical.len() + 4 * it.products.len());
        20.0 + 6.0 * terms.sum::<usize>() as f64
    }
}
