//! Models made of models: segments that vote, are summed, or follow one another.

use weir_sdk::proto::Error;

use super::Fault;
use super::compiled::{Compiled, Context, Outcome, Scorer, Shown, Task};
use super::frame::Frame;
use super::function::median;
use super::plan::{Loader, Scope};
use super::predicate::{self, Predicate};
use super::value::{Kind, Value};
use super::xml::Element;

/// Segments, and how their answers become one.
struct Mining {
    segments: Vec<Segment>,
    method: Method,
    list: usize,
    classifies: bool,
    math: Kind,
    missing: Missing,
    threshold: f64,
}

struct Segment {
    predicate: Predicate,
    model: Compiled,
    weight: f64,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Method {
    Vote,
    Average,
    Sum,
    Median,
    Max,
    First,
    Chain,
}

/// What becomes of a segment that has no answer.
#[derive(Clone, Copy, PartialEq)]
enum Missing {
    Continue,
    Skip,
    Return,
}

/// Reads a mining model, and what its segments give.
pub(super) fn read(
    element: Element<'_>,
    context: &Context<'_, '_>,
    loader: &mut Loader,
) -> Result<(Box<dyn Scorer>, Vec<Shown>), Fault> {
    let segmentation = element.needed("Segmentation")?;
    // The methods, and whether each looks at weights.
    let method = segmentation.word(
        "multipleModelMethod",
        &[
            ("majorityVote", (Method::Vote, false)),
            ("weightedMajorityVote", (Method::Vote, true)),
            ("average", (Method::Average, false)),
            ("weightedAverage", (Method::Average, true)),
            ("sum", (Method::Sum, false)),
            ("weightedSum", (Method::Sum, true)),
            ("x-weightedSum", (Method::Sum, true)),
            ("median", (Method::Median, false)),
            ("max", (Method::Max, false)),
            ("selectFirst", (Method::First, false)),
            ("modelChain", (Method::Chain, false)),
        ],
    )?;
    let (method, is_weighted) =
        method.ok_or_else(|| segmentation.malformed("has no `multipleModelMethod`"))?;
    let classifies = context.target.task == Task::Classification;
    let fits = match method {
        Method::Vote => context.target.task != Task::Regression,
        Method::Average | Method::Max => context.target.task != Task::Clustering,
        Method::Sum | Method::Median => context.target.task == Task::Regression,
        Method::First | Method::Chain => true,
    };
    if !fits {
        return Err(segmentation.unsupported("`multipleModelMethod` for such a target"));
    }
    let missing = segmentation.word(
        "missingPredictionTreatment",
        &[
            ("continue", Missing::Continue),
            ("skipSegment", Missing::Skip),
            ("returnMissing", Missing::Return),
        ],
    )?;
    let mut mining = Mining {
        segments: Vec::new(),
        method,
        list: context.target.list,
        classifies: classifies || method == Method::Vote,
        math: if segmentation.get("x-mathContext") == Some("float") { Kind::Float } else { context.math },
        missing: missing.unwrap_or(Missing::Continue),
        threshold: segmentation.number_or("missingThreshold", 1.0)?,
    };
    let mut scope = Scope::new(Some(context.scope));
    let mut exports = Vec::new();
    for child in segmentation.children() {
        match child.name() {
            "LocalTransformations" => return Err(child.unknown()),
            "Segment" => {}
            _ => return Err(child.unknown()),
        }
        let predicate = predicate::within(child, &scope, loader)?;
        let model = super::compiled::within(child)?;
        let model = Compiled::read(model, &scope, Some(context.target), loader, None)?;
        for (name, slot) in model.exports() {
            scope.name(name, slot);
        }
        // Callers are told what the models of a chain give; of models that vote, only what comes of it.
        exports.extend(model.shown.iter().filter(|_| method == Method::Chain).cloned());
        let weight = if is_weighted { child.number_or("weight", 1.0)? } else { 1.0 };
        mining.segments.push(Segment { predicate, model, weight });
    }
    if mining.segments.is_empty() {
        return Err(segmentation.malformed("has no segment"));
    }
    Ok((Box::new(mining), exports))
}

impl Mining {
    /// The answer of the first segment whose predicate holds, or of the last one in a chain.
    fn one<'m>(&'m self, frame: &mut Frame<'m, '_>) -> Result<Outcome<'m>, Error> {
        let mut outcome = Outcome::of(Value::Missing);
        for segment in &self.segments {
            if segment.predicate.holds(frame)? == Some(true) {
                outcome = segment.model.evaluate(frame)?;
                let skipped = outcome.value.is_missing() && self.missing == Missing::Skip;
                if self.method == Method::First && !skipped {
                    break;
                }
            }
        }
        Ok(outcome)
    }

    /// Hands on each answer with its weight, and returns whether enough segments had one.
    fn each<'m>(
        &'m self,
        frame: &mut Frame<'m, '_>,
        mut take: impl FnMut(&Outcome<'m>, f64),
    ) -> Result<bool, Error> {
        let (mut asked, mut without) = (0.0, 0.0);
        for Segment { predicate, model, weight } in &self.segments {
            if predicate.holds(frame)? != Some(true) {
                continue;
            }
            asked += weight;
            let outcome = model.evaluate(frame)?;
            if !outcome.value.is_missing() {
                take(&outcome, *weight);
                continue;
            }
            without += weight;
            let enough = match self.missing {
                Missing::Return => false,
                Missing::Continue => self.method == Method::Vote,
                Missing::Skip => true,
            };
            if !enough {
                return Ok(false);
            }
        }
        Ok(asked > 0.0 && without < asked && without <= self.threshold * asked)
    }

    fn class<'m>(&'m self, frame: &mut Frame<'m, '_>) -> Result<Outcome<'m>, Error> {
        let classes = frame.classes(self.list);
        let mut sums = vec![0.0; classes.len()];
        let mut weights = 0.0;
        let mut top = f64::NEG_INFINITY;
        let place = |value: Value| classes.iter().position(|it| *it == value);
        let enough = self.each(frame, |outcome, weight| match self.method {
            Method::Vote => {
                if let Some(at) = place(outcome.value) {
                    sums[at] += weight;
                    weights += weight;
                }
            }
            Method::Max => {
                let highest = outcome.scores.highest().unwrap_or(f64::NEG_INFINITY);
                if highest > top {
                    top = highest;
                    sums.fill(0.0);
                    weights = 0.0;
                }
                // Those that are equally sure count alike.
                if highest == top {
                    outcome.scores.add_to(&mut sums, 1.0);
                    weights += 1.0;
                }
            }
            _ => {
                outcome.scores.add_to(&mut sums, weight);
                weights += weight;
            }
        })?;
        if !enough || weights == 0.0 {
            return Ok(Outcome::of(Value::Missing));
        }
        sums.iter_mut().for_each(|it| *it /= weights);
        Ok(Outcome::highest(sums, classes))
    }

    fn number<'m>(&'m self, frame: &mut Frame<'m, '_>) -> Result<Outcome<'m>, Error> {
        let math = self.math;
        let mut sum = 0.0;
        let mut weights = 0.0;
        let mut numbers = Vec::new();
        let keeps = self.method == Method::Median;
        let enough = self.each(frame, |outcome, weight| {
            let number = outcome.value.number().unwrap_or(f64::NAN);
            weights += weight;
            match self.method {
                Method::Max => sum = if weights == weight { number } else { sum.max(number) },
                _ => sum = math.round(sum + math.round(number * weight)),
            }
            if keeps {
                numbers.push(number);
            }
        })?;
        if !enough {
            return Ok(Outcome::of(Value::Missing));
        }
        Ok(Outcome::number(match self.method {
            Method::Median => median(&mut numbers),
            Method::Average => math.round(sum / weights),
            _ => sum,
        }))
    }
}

impl Scorer for Mining {
    fn score<'m>(&'m self, frame: &mut Frame<'m, '_>) -> Result<Outcome<'m>, Error> {
        match self.method {
            Method::First | Method::Chain => self.one(frame),
            _ if self.classifies => self.class(frame),
            _ => self.number(frame),
        }
    }

    fn has_scores(&self) -> bool {
        match self.method {
            Method::Vote => true,
            Method::Chain => self.segments.last().is_some_and(|it| it.model.has_scores()),
            _ => self.segments.iter().all(|it| it.model.has_scores()),
        }
    }

    fn row_ns(&self) -> f64 {
        self.segments.iter().map(|it| 10.0 + it.model.row_ns()).sum()
    }
}
