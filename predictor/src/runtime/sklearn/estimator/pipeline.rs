//! `Pipeline`: the steps, one after the other. Those that pass everything through leave no trace.

use super::super::refusal::Refusal;
use super::fitted::Fitted;
use super::registry::{Class, Family};
use super::steps::Steps;

pub(crate) static FAMILY: Family = Family {
    title: "Composition",
    classes: &[Class { name: "Pipeline", modules: &["sklearn.pipeline"], read }],
};

/// Reads the steps.
fn read(fitted: &Fitted<'_>, steps: &mut Steps) -> Result<(), Refusal> {
    let list =
        fitted.need("steps")?.items().ok_or_else(|| fitted.malformed("has `steps` that are no list"))?;
    for (at, step) in list.enumerate() {
        let entry = step.item(0).and_then(|name| Some((name.text()?, step.item(1)?)));
        let Some((name, estimator)) = entry else {
            return Err(fitted.malformed(format!("has a step {} that is no name and estimator", at + 1)));
        };
        if estimator.is_none() || estimator.text() == Some("passthrough") {
            continue;
        }
        fitted.add(estimator, &format!("step {} ({name:.40})", at + 1), steps)?;
    }
    Ok(())
}
