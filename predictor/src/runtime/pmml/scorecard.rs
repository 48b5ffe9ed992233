//! Scorecards: a sum of partial scores, and the reasons for it.

use weir_sdk::proto::Error;

use super::Fault;
use super::compiled::{Context, Outcome, Scorer};
use super::expression::{self, Expression};
use super::frame::Frame;
use super::plan::Loader;
use super::predicate::{self, Predicate};
use super::value::Value;
use super::xml::Element;

/// A scorecard.
struct Scorecard {
    initial: f64,
    characteristics: Vec<Characteristic>,
    gives_reasons: bool,
    /// Whether a reason weighs more the more points are lacking, rather than the more there are.
    below: bool,
}

struct Characteristic {
    baseline: f64,
    attributes: Vec<Attribute>,
}

struct Attribute {
    predicate: Predicate,
    score: Score,
    reason: String,
}

enum Score {
    Number(f64),
    Made(Expression),
}

/// Reads a scorecard.
pub(super) fn read(
    element: Element<'_>,
    context: &Context<'_, '_>,
    loader: &mut Loader,
) -> Result<Box<dyn Scorer>, Fault> {
    let gives_reasons = element.get("useReasonCodes") != Some("false");
    let below = element.word("reasonCodeAlgorithm", &[("pointsBelow", true), ("pointsAbove", false)])?;
    let baseline: Option<f64> = element.parsed("baselineScore")?;
    let mut characteristics = Vec::new();
    for child in element.needed("Characteristics")?.named("Characteristic") {
        let own: Option<f64> = child.parsed("baselineScore")?;
        let baseline = match own.or(baseline) {
            Some(baseline) => baseline,
            None if gives_reasons => {
                return Err(child.malformed("has no `baselineScore`, nor has the scorecard"));
            }
            None => 0.0,
        };
        let mut attributes = Vec::new();
        for attribute in child.named("Attribute") {
            let score = match attribute.child("ComplexPartialScore") {
                Some(complex) => {
                    let made = expression::within(complex, context.scope, loader, None)?;
                    Score::Made(made.ok_or_else(|| complex.malformed("has no expression"))?)
                }
                None => Score::Number(attribute.number("partialScore")?),
            };
            let reason = attribute.get("reasonCode").or_else(|| child.get("reasonCode"));
            let reason = match reason {
                Some(reason) => reason.to_owned(),
                None if gives_reasons => return Err(attribute.malformed("has no `reasonCode`")),
                None => String::new(),
            };
            let predicate = predicate::within(attribute, context.scope, loader)?;
            attributes.push(Attribute { predicate, score, reason });
        }
        characteristics.push(Characteristic { baseline, attributes });
    }
    let initial = element.number_or("initialScore", 0.0)?;
    Ok(Box::new(Scorecard { initial, characteristics, gives_reasons, below: below.unwrap_or(true) }))
}

impl Scorer for Scorecard {
    fn score<'m>(&'m self, frame: &mut Frame<'m, '_>) -> Result<Outcome<'m>, Error> {
        let mut total = self.initial;
        let mut reasons: Vec<(f64, &'m str)> = Vec::new();
        for Characteristic { baseline, attributes } in &self.characteristics {
            let mut met = None;
            for attribute in attributes {
                if attribute.predicate.holds(frame)? == Some(true) {
                    met = Some(attribute);
                    break;
                }
            }
            let score = match met.map(|it| &it.score) {
                Some(Score::Number(score)) => Some(*score),
                Some(Score::Made(expression)) => expression.value(frame)?.number(),
                None => None,
            };
            // What no attribute is for has no score at all.
            let (Some(score), Some(attribute)) = (score, met) else { return Ok(Outcome::of(Value::Missing)) };
            total += score;
            if self.gives_reasons {
                let lacking = if self.below { baseline - score } else { score - baseline };
                match reasons.iter_mut().find(|it| it.1 == attribute.reason) {
                    Some(before) => before.0 += lacking,
                    None => reasons.push((lacking, &attribute.reason)),
                }
            }
        }
        reasons.retain(|it| it.0 >= 0.0);
        reasons.sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| a.1.cmp(b.1)));
        let reasons = reasons.into_iter().map(|it| it.1).collect();
        Ok(Outcome { reasons, ..Outcome::number(total) })
    }

    fn row_ns(&self) -> f64 {
        let attributes: usize = self.characteristics.iter().map(|it| it.attributes.len()).sum();
        50.0 + 8.0 * attributes as f64
    }
}
