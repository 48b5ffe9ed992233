//! Decision trees.

use std::ops::Range;

use weir_sdk::proto::Error;

use super::Fault;
use super::compiled::{Context, Outcome, Scorer, Scores, Task};
use super::frame::Frame;
use super::plan::Loader;
use super::predicate::{self, Predicate};
use super::value::Value;
use super::xml::Element;

/// A tree: the root first, the children of a node side by side.
struct Tree {
    nodes: Vec<Node>,
    scores: Vec<(u32, f64)>,
    ids: Vec<Option<String>>,
    classes: bool,
    list: usize,
    missing: Missing,
    keeps_last: bool,
    depth: usize,
}

struct Node {
    predicate: Predicate,
    children: Range<usize>,
    score: Value,
    /// Its part of `scores`.
    scores: Range<usize>,
    records: f64,
    default: Option<usize>,
}

/// What becomes of a row where a predicate is unknown.
#[derive(Clone, Copy)]
enum Missing {
    /// The predicate counts as false.
    Ignored,
    Last,
    Null,
    Default,
    /// All children that may be right count by their records.
    Weighted,
    /// The records of all nodes that are reached are one set.
    Aggregated,
}

/// Reads a tree.
pub(super) fn read(
    element: Element<'_>,
    context: &Context<'_, '_>,
    loader: &mut Loader,
) -> Result<Box<dyn Scorer>, Fault> {
    let missing = element.word(
        "missingValueStrategy",
        &[
            ("none", Missing::Ignored),
            ("lastPrediction", Missing::Last),
            ("nullPrediction", Missing::Null),
            ("defaultChild", Missing::Default),
            ("weightedConfidence", Missing::Weighted),
            ("aggregateNodes", Missing::Aggregated),
        ],
    )?;
    let keeps_last = element
        .word("noTrueChildStrategy", &[("returnNullPrediction", false), ("returnLastPrediction", true)])?;
    let classes = context.target.task == Task::Classification;
    let missing = missing.unwrap_or(Missing::Ignored);
    if matches!(missing, Missing::Weighted | Missing::Aggregated) && !classes {
        return Err(element.unsupported("`missingValueStrategy` for a tree that is no classifier"));
    }
    let mut tree = Tree {
        nodes: Vec::new(),
        scores: Vec::new(),
        ids: Vec::new(),
        classes,
        list: context.target.list,
        missing,
        keeps_last: keeps_last.unwrap_or(false),
        depth: 0,
    };
    let mut waiting = vec![(element.needed("Node")?, 1)];
    tree.plant(waiting[0].0, context, loader)?;
    let mut at = 0;
    // Level by level, so that siblings stand together.
    while at < waiting.len() {
        let (node, depth) = waiting[at];
        tree.depth = tree.depth.max(depth);
        let first = tree.nodes.len();
        for child in node.named("Node") {
            tree.plant(child, context, loader)?;
            waiting.push((child, depth + 1));
        }
        let children = first..tree.nodes.len();
        if let Some(wanted) = node.get("defaultChild") {
            let place = children.clone().find(|it| tree.ids[*it].as_deref() == Some(wanted));
            if place.is_none() && !children.is_empty() {
                return Err(node.malformed(format!("has no child `{wanted}`, its `defaultChild`")));
            }
            tree.nodes[at].default = place;
        }
        tree.nodes[at].children = children;
        if let Some(partition) = node.children().find(|it| matches!(it.name(), "Regression" | "DecisionTree"))
        {
            return Err(partition.unknown());
        }
        at += 1;
    }
    Ok(Box::new(tree))
}

impl Tree {
    fn plant(
        &mut self,
        node: Element<'_>,
        context: &Context<'_, '_>,
        loader: &mut Loader,
    ) -> Result<(), Fault> {
        let predicate = predicate::within(node, context.scope, loader)?;
        let mut score = match node.get("score") {
            Some(text) => context.target.value(text, node, loader)?,
            None => Value::Missing,
        };
        if let Value::Number(number) = score {
            score = Value::Number(context.math.round(number));
        }
        let start = self.scores.len();
        let mut records = 0.0;
        if self.classes {
            let mut best = (f64::NEG_INFINITY, Value::Missing);
            let mut exact = true;
            for part in node.named("ScoreDistribution") {
                let text = part.require("value")?;
                let class = context.target.class(text, part, loader)?;
                let count = part.number("recordCount")?;
                records += count;
                let probability: Option<f64> = part.parsed("probability")?;
                exact &= probability.is_some();
                if count > best.0 {
                    best = (count, context.target.value(text, part, loader)?);
                }
                let class = u32::try_from(class).unwrap_or(u32::MAX);
                self.scores.push((class, probability.unwrap_or(count)));
            }
            if !exact && records > 0.0 {
                self.scores[start..].iter_mut().for_each(|it| it.1 /= records);
            }
            if self.scores.len() == start
                && let Some(text) = node.get("score")
            {
                let class = context.target.class(text, node, loader)?;
                self.scores.push((u32::try_from(class).unwrap_or(u32::MAX), 1.0));
            }
            if score.is_missing() {
                score = best.1;
            }
        }
        let records = node.parsed("recordCount")?.unwrap_or(records);
        let scores = start..self.scores.len();
        self.ids.push(node.get("id").map(str::to_owned));
        self.nodes.push(Node { predicate, children: 0..0, score, scores, records, default: None });
        Ok(())
    }

    /// Walks down; `Ok(None)` where there is no answer, and `Err` of the node where several ways are to be gone.
    fn walk(&self, start: usize, frame: &mut Frame<'_, '_>) -> Result<Result<Option<usize>, usize>, Error> {
        let mut at = start;
        let mut last = None;
        loop {
            let node = &self.nodes[at];
            if node.children.is_empty() {
                return Ok(Ok(Some(at)));
            }
            if !node.score.is_missing() {
                last = Some(at);
            }
            let mut next = None;
            for child in node.children.clone() {
                match (self.nodes[child].predicate.holds(frame)?, self.missing) {
                    (Some(true), _) => next = Some(child),
                    (Some(false), _) | (None, Missing::Ignored) => continue,
                    (None, Missing::Last) => return Ok(Ok(last)),
                    (None, Missing::Null) => return Ok(Ok(None)),
                    (None, Missing::Default) => match node.default {
                        Some(default) => next = Some(default),
                        None => return Ok(Ok(None)),
                    },
                    (None, Missing::Weighted | Missing::Aggregated) => return Ok(Err(at)),
                }
                break;
            }
            match next {
                Some(child) => at = child,
                None if self.keeps_last => return Ok(Ok(last)),
                None => return Ok(Ok(None)),
            }
        }
    }

    /// The scores of all nodes that may be right.
    fn several(&self, at: usize, count: usize, frame: &mut Frame<'_, '_>) -> Result<Vec<f64>, Error> {
        let mut sums = vec![0.0; count];
        let mut waiting = vec![(at, 1.0)];
        while let Some((at, weight)) = waiting.pop() {
            let mut kept = Vec::new();
            for child in self.nodes[at].children.clone() {
                match self.nodes[child].predicate.holds(frame)? {
                    Some(true) => {
                        kept.push(child);
                        break;
                    }
                    Some(false) => {}
                    None => kept.push(child),
                }
            }
            let total: f64 = kept.iter().map(|it| self.nodes[*it].records).sum();
            for child in kept {
                let share = self.nodes[child].records / if total > 0.0 { total } else { 1.0 };
                match self.walk(child, frame)? {
                    Ok(Some(leaf)) => {
                        let weight = match self.missing {
                            Missing::Aggregated => self.nodes[leaf].records,
                            _ => weight * share,
                        };
                        Scores::Sparse(&self.scores[self.nodes[leaf].scores.clone()])
                            .add_to(&mut sums, weight);
                    }
                    Ok(None) => {}
                    Err(fork) => waiting.push((fork, weight * share)),
                }
            }
        }
        let total: f64 = sums.iter().sum();
        if total > 0.0 {
            sums.iter_mut().for_each(|it| *it /= total);
        }
        Ok(sums)
    }
}

impl Scorer for Tree {
    fn score<'m>(&'m self, frame: &mut Frame<'m, '_>) -> Result<Outcome<'m>, Error> {
        if self.nodes[0].predicate.holds(frame)? != Some(true) {
            return Ok(Outcome::of(Value::Missing));
        }
        let at = match self.walk(0, frame)? {
            Ok(Some(at)) => at,
            Ok(None) => return Ok(Outcome::of(Value::Missing)),
            Err(fork) => {
                let classes = frame.classes(self.list);
                let scores = self.several(fork, classes.len(), frame)?;
                return Ok(Outcome::highest(scores, classes));
            }
        };
        let node = &self.nodes[at];
        let scores =
            if self.classes { Scores::Sparse(&self.scores[node.scores.clone()]) } else { Scores::None };
        Ok(Outcome { scores, entity: self.ids[at].as_deref(), ..Outcome::of(node.score) })
    }

    fn row_ns(&self) -> f64 {
        40.0 + 14.0 * self.depth as f64
    }
}
