//! `Pipeline`: the steps, one after the other. Those that pass everything through leave no trace.

use super::super::refusal::Refusal;
use super::fitted::Fitted;
use super::{Steps, add};

/// The most steps a model may have, pipelines within pipelines counted together. A pipeline may hold itself in a hostile
/// file; this ends that too.
const MAX_STEPS: usize = 64;

/// Reads the steps.
pub(super) fn read(fitted: &Fitted<'_>, steps: &mut Steps) -> Result<(), Refusal> {
    let list =
        fitted.need("steps")?.items().ok_or_else(|| fitted.malformed("has `steps` that are no list"))?;
    for (at, step) in list.enumerate() {
        let entry = step.item(0).and_then(|name| Some((name.text()?, step.item(1)?)));
        let Some((name, estimator)) = entry else {
            return Err(fitted.malformed(format!("has a step {} that is no name and estimator", at + 1)));
        };
        steps.seen += 1;
        if steps.seen > MAX_STEPS {
            let what = format!("a {} of more than {MAX_STEPS} steps, steps of steps counted,", fitted.class);
            return Err(Refusal::unsupported(what, "combine some of them"));
        }
        if estimator.is_none() || estimator.text() == Some("passthrough") {
            continue;
        }
        add(estimator, fitted.place_of_step(at + 1, name), steps)?;
    }
    Ok(())
}
