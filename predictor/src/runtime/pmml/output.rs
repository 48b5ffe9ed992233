//! The output fields of a model.

use weir_sdk::proto::Error;

use super::Fault;
use super::compiled::{Outcome, Target, Task};
use super::expression::{self, Expression, no_value};
use super::frame::Frame;
use super::plan::{Loader, Scope, Source};
use super::value::{Kind, Value};
use super::xml::Element;

/// An output field.
pub(super) struct Output {
    pub(super) name: String,
    pub(super) kind: Kind,
    pub(super) slot: usize,
    /// Whether callers are told it.
    pub(super) is_final: bool,
    feature: Feature,
}

enum Feature {
    Predicted,
    /// The score of a class.
    Probability(usize),
    /// The score of the class that is predicted, of that list of classes.
    Winner(usize),
    Entity,
    Reason(usize),
    /// The affinity of a cluster; of the one that won where it has no name.
    Affinity(Option<String>),
    Made(Expression),
    /// An output or a prediction of a model within this one.
    Other(usize),
}

impl Output {
    pub(super) fn read(
        element: Element<'_>,
        scope: &Scope<'_>,
        target: &Target,
        loader: &mut Loader,
    ) -> Result<Self, Fault> {
        let name = element.require("name")?.to_owned();
        let said = Kind::of(element)?;
        if let Some(segment) = element.get("segmentId") {
            return Err(element.unsupported(&format!("`segmentId` `{segment}`")));
        }
        let rank: usize = element.parsed("rank")?.unwrap_or(1);
        let feature = element.get("feature").unwrap_or("predictedValue");
        let (feature, kind) = match feature {
            "predictedValue" | "predictedDisplayValue" => (Feature::Predicted, target.kind),
            "probability" if target.task != Task::Regression => {
                let feature = match element.get("value") {
                    Some(text) => Feature::Probability(target.class(text, element, loader)?),
                    None => Feature::Winner(target.list),
                };
                (feature, Kind::Double)
            }
            "entityId" | "clusterId" if rank == 1 => (Feature::Entity, Kind::Text),
            "reasonCode" => (Feature::Reason(rank.max(1) - 1), Kind::Text),
            "affinity" | "clusterAffinity" | "entityAffinity" if rank == 1 => {
                (Feature::Affinity(element.get("value").map(str::to_owned)), Kind::Double)
            }
            "transformedValue" | "decision" => {
                let source = element.child("Decisions").unwrap_or(element);
                match expression::within(source, scope, loader, said)?
                    .or(expression::within(element, scope, loader, said)?)
                {
                    Some(expression) => {
                        let kind = expression.kind();
                        (Feature::Made(expression), kind)
                    }
                    None => {
                        let slot = scope.field(element, "targetField")?;
                        (Feature::Other(slot), loader.kind(slot))
                    }
                }
            }
            other => return Err(element.unsupported(&format!("`feature` `{other}`"))),
        };
        let kind = said.unwrap_or(kind);
        let slot = loader.slot(&name, kind, Source::Given)?;
        let is_final = element.get("isFinalResult") != Some("false");
        Ok(Self { name, kind, slot, is_final, feature })
    }

    /// What it is of a row.
    pub(super) fn value(&self, outcome: &Outcome<'_>, frame: &mut Frame<'_, '_>) -> Result<Value, Error> {
        let text = |text: Option<&str>, frame: &mut Frame<'_, '_>| {
            text.map_or(Value::Missing, |it| frame.texts.intern(it))
        };
        let number = |number: Option<f64>| number.map_or(Value::Missing, Value::Number);
        let (value, kind) = match &self.feature {
            Feature::Predicted => (outcome.value, Kind::Double),
            Feature::Probability(class) => (number(outcome.scores.of(*class)), Kind::Double),
            Feature::Winner(list) => {
                let won = frame.classes(*list).iter().position(|it| *it == outcome.value);
                (number(won.and_then(|class| outcome.scores.of(class))), Kind::Double)
            }
            Feature::Entity => (text(outcome.entity, frame), Kind::Text),
            Feature::Reason(rank) => (text(outcome.reasons.get(*rank).copied(), frame), Kind::Text),
            Feature::Affinity(name) => {
                let name = name.as_deref().or(outcome.entity);
                let found = outcome.affinities.iter().find(|it| Some(it.0) == name);
                (number(found.map(|it| it.1)), Kind::Double)
            }
            Feature::Made(expression) => (expression.value(frame)?, expression.kind()),
            Feature::Other(slot) => (frame.get(*slot)?, frame.kind(*slot)),
        };
        let shown = (value, kind);
        frame
            .texts
            .cast(value, kind, self.kind)
            .ok_or_else(|| no_value(&self.name, &frame.texts.show(shown.0, shown.1), frame.row))
    }
}
