//! What becomes of a predicted number: limits, another scale, rounding (Targets).

use super::Fault;
use super::compiled::{Target, Task};
use super::plan::Loader;
use super::value::{Kind, Value};
use super::xml::Element;

/// The treatment of a predicted value.
pub(super) struct Rescale {
    low: f64,
    high: f64,
    factor: f64,
    constant: f64,
    cast: Option<Cast>,
    /// What is predicted where the model has no answer.
    default: Value,
    /// How numbers are rounded.
    math: Kind,
}

#[derive(Clone, Copy)]
enum Cast {
    Round,
    Ceiling,
    Floor,
}

impl Rescale {
    /// Reads the targets of a model.
    pub(super) fn read(
        targets: Element<'_>,
        target: &Target,
        loader: &mut Loader,
    ) -> Result<Option<Self>, Fault> {
        let mut all = targets.named("Target").filter(|it| {
            it.get("field").is_none() || it.get("field") == target.name.as_deref() || target.name.is_none()
        });
        let Some(element) = all.next() else { return Ok(None) };
        let mut default = Value::Missing;
        let mut highest = f64::NEG_INFINITY;
        for value in element.named("TargetValue") {
            if target.task == Task::Regression {
                if let Some(number) = value.parsed("defaultValue")? {
                    default = Value::Number(number);
                }
            } else if let (Some(prior), Some(text)) =
                (value.parsed::<f64>("priorProbability")?, value.get("value"))
                && prior > highest
            {
                highest = prior;
                default = target.value(text, value, loader)?;
            }
        }
        let cast = element.word(
            "castInteger",
            &[("round", Cast::Round), ("ceiling", Cast::Ceiling), ("floor", Cast::Floor)],
        )?;
        let low = element.number_or("min", f64::NEG_INFINITY)?;
        let high = element.number_or("max", f64::INFINITY)?;
        if low.is_nan() || high.is_nan() || low > high {
            return Err(element.malformed("has a `min` above its `max`"));
        }
        let factor = element.number_or("rescaleFactor", 1.0)?;
        let constant = element.number_or("rescaleConstant", 0.0)?;
        Ok(Some(Self { low, high, factor, constant, cast, default, math: Kind::Double }))
    }

    /// Rounds as the model does.
    pub(super) fn rounding(mut self, math: Kind) -> Self {
        self.math = math;
        self.factor = math.round(self.factor);
        self.constant = math.round(self.constant);
        self
    }

    /// Whether it makes integers.
    pub(super) fn is_rounded(&self) -> bool {
        self.cast.is_some()
    }

    /// Treats a prediction.
    pub(super) fn apply(&self, value: Value) -> Value {
        let value = if value.is_missing() { self.default } else { value };
        match value {
            Value::Number(number) if !number.is_nan() => {
                let scaled = self.math.round(number.clamp(self.low, self.high) * self.factor);
                let moved = self.math.round(scaled + self.constant);
                Value::Number(match self.cast {
                    None => moved,
                    Some(Cast::Round) => (moved + 0.5).floor(),
                    Some(Cast::Ceiling) => moved.ceil(),
                    Some(Cast::Floor) => moved.floor(),
                })
            }
            other => other,
        }
    }
}
