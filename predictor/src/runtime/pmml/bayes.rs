//! Naive Bayes models.

use std::collections::HashMap;

use weir_sdk::proto::Error;

use super::Fault;
use super::compiled::{Context, Outcome, Scorer, Task};
use super::expression::{self, Expression};
use super::frame::Frame;
use super::plan::Loader;
use super::regression::softmax;
use super::schema::key;
use super::value::{Kind, Value};
use super::xml::Element;

/// A naive Bayes model; logarithms of shares, a class each.
struct Bayes {
    priors: Vec<f64>,
    inputs: Vec<Input>,
    threshold: f64,
    list: usize,
}

struct Input {
    slot: usize,
    /// What makes a value of the field, where there is something to be made.
    made: Option<Expression>,
    evidence: Evidence,
}

enum Evidence {
    /// By value, the logarithm of its share in each class.
    Counts(HashMap<(u8, u64), Vec<f64>>),
    /// The distribution in each class.
    Distributions(Vec<Option<Distribution>>),
}

enum Distribution {
    Gaussian { mean: f64, variance: f64 },
    Poisson { mean: f64 },
}

/// Reads a naive Bayes model.
pub(super) fn read(
    element: Element<'_>,
    context: &Context<'_, '_>,
    loader: &mut Loader,
) -> Result<Box<dyn Scorer>, Fault> {
    if context.target.task != Task::Classification {
        return Err(element.malformed("is no classifier"));
    }
    let threshold = element.number("threshold")?;
    let output = element.needed("BayesOutput")?.needed("TargetValueCounts")?;
    // All classes first: a class that is met only later has no prior.
    let priors = counts(output, context, loader)?;
    let total: f64 = priors.iter().sum();
    let mut inputs = Vec::new();
    let mut cells = 0;
    for input in element.needed("BayesInputs")?.named("BayesInput") {
        let slot = context.scope.field(input, "fieldName")?;
        let mut kind = loader.kind(slot);
        let mut made = None;
        if let Some(field) = input.child("DerivedField") {
            kind = Kind::of(field)?.unwrap_or(Kind::Text);
            made = expression::within(field, context.scope, loader, Some(kind))?;
        }
        let evidence = match input.child("TargetValueStats") {
            Some(stats) => Evidence::Distributions(distributions(stats, context, loader)?),
            None => Evidence::Counts(pairs(input, kind, threshold, &mut cells, context, loader)?),
        };
        inputs.push(Input { slot, made, evidence });
    }
    let priors = priors.iter().map(|it| (it / total).ln()).collect();
    Ok(Box::new(Bayes { priors, inputs, threshold: threshold.ln(), list: context.target.list }))
}

fn counts(element: Element<'_>, context: &Context<'_, '_>, loader: &mut Loader) -> Result<Vec<f64>, Fault> {
    let classes = loader.classes[context.target.list].values.len();
    loader.charge(classes * size_of::<f64>())?;
    let mut counts = vec![0.0; classes];
    for count in element.named("TargetValueCount") {
        let class = context.target.class(count.require("value")?, count, loader)?;
        if class >= counts.len() {
            counts.resize(class + 1, 0.0);
        }
        counts[class] += count.number("count")?;
    }
    Ok(counts)
}

/// The most shares: tables of values by classes.
const MAX_SHARES: usize = 1 << 24;

fn pairs(
    input: Element<'_>,
    kind: Kind,
    threshold: f64,
    cells: &mut usize,
    context: &Context<'_, '_>,
    loader: &mut Loader,
) -> Result<HashMap<(u8, u64), Vec<f64>>, Fault> {
    let mut table = HashMap::new();
    let mut totals: Vec<f64> = Vec::new();
    for pair in input.named("PairCounts") {
        let value = loader.symbols.parse(pair.require("value")?, kind, pair)?;
        let counts = counts(pair.needed("TargetValueCounts")?, context, loader)?;
        *cells += counts.len();
        if *cells > MAX_SHARES {
            return Err(input.malformed(format!("has more than {MAX_SHARES} counts")));
        }
        totals.resize(totals.len().max(counts.len()), 0.0);
        totals.iter_mut().zip(&counts).for_each(|(total, it)| *total += it);
        table.insert(key(value), counts);
    }
    for counts in table.values_mut() {
        counts.resize(totals.len(), 0.0);
        for (count, total) in counts.iter_mut().zip(&totals) {
            *count = if *count == 0.0 { threshold.ln() } else { (*count / total).ln() };
        }
    }
    Ok(table)
}

fn distributions(
    stats: Element<'_>,
    context: &Context<'_, '_>,
    loader: &mut Loader,
) -> Result<Vec<Option<Distribution>>, Fault> {
    let mut all = Vec::new();
    for stat in stats.named("TargetValueStat") {
        let class = context.target.class(stat.require("value")?, stat, loader)?;
        let inner = stat.children().next().ok_or_else(|| stat.malformed("is empty"))?;
        let distribution = match inner.name() {
            "GaussianDistribution" => {
                Distribution::Gaussian { mean: inner.number("mean")?, variance: inner.number("variance")? }
            }
            "PoissonDistribution" => Distribution::Poisson { mean: inner.number("mean")? },
            _ => return Err(inner.unknown()),
        };
        if class >= all.len() {
            all.resize_with(class + 1, || None);
        }
        all[class] = Some(distribution);
    }
    Ok(all)
}

impl Distribution {
    /// The logarithm of its density.
    fn density(&self, x: f64) -> f64 {
        match *self {
            Self::Gaussian { mean, variance } => {
                -((x - mean).powi(2) / variance + (2.0 * std::f64::consts::PI * variance).ln()) / 2.0
            }
            Self::Poisson { mean } => x * mean.ln() - mean - log_factorial(x),
        }
    }
}

/// The logarithm of a factorial: few are multiplied, more have Stirling's series.
fn log_factorial(n: f64) -> f64 {
    if n < 32.0 {
        return (2..=n.max(0.0) as u32).map(|it| f64::from(it).ln()).sum();
    }
    let series = 1.0 / (12.0 * n) - 1.0 / (360.0 * n.powi(3)) + 1.0 / (1260.0 * n.powi(5));
    n * n.ln() - n + (2.0 * std::f64::consts::PI * n).ln() / 2.0 + series
}

impl Scorer for Bayes {
    fn score<'m>(&'m self, frame: &mut Frame<'m, '_>) -> Result<Outcome<'m>, Error> {
        let classes = frame.classes(self.list);
        let mut scores = self.priors.clone();
        scores.resize(classes.len(), f64::NEG_INFINITY);
        for input in &self.inputs {
            let value = match &input.made {
                Some(expression) => expression.value(frame)?,
                None => frame.get(input.slot)?,
            };
            match &input.evidence {
                Evidence::Counts(table) => {
                    // A value that was never seen says nothing, as one that is missing.
                    let Some(shares) = table.get(&key(value)).filter(|_| value != Value::Missing) else {
                        continue;
                    };
                    for (at, score) in scores.iter_mut().enumerate() {
                        *score += shares.get(at).copied().unwrap_or(self.threshold);
                    }
                }
                Evidence::Distributions(distributions) => {
                    let Some(number) = value.number() else { continue };
                    for (score, distribution) in scores.iter_mut().zip(distributions) {
                        if let Some(distribution) = distribution {
                            *score += distribution.density(number).max(self.threshold);
                        }
                    }
                }
            }
        }
        softmax(&mut scores, Kind::Double);
        Ok(Outcome::highest(scores, classes))
    }

    fn row_ns(&self) -> f64 {
        50.0 + (self.inputs.len() * (10 + 6 * self.priors.len())) as f64
    }
}
