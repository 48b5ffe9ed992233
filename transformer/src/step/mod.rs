//! The steps a transformer is made of. To add one, write a file beside this one and name it in [`STEPS`].

pub mod encode;
pub mod labels;
pub mod scale;

mod column;

use weir_proto::document::{Entry, Fields, Node, Problems, Value, nearest};
use weir_proto::{Error, InferRequest, InferResponse};
use weir_sdk::{Implements, Transform};

/// Every step this build knows.
pub static STEPS: &[&dyn StepKind] = &[&encode::Kind, &labels::Kind, &scale::Kind];

/// A kind of step: reads its options.
pub trait StepKind: Sync {
    /// Its name in a manifest, such as `scale`.
    fn name(&self) -> &'static str;

    /// Reads the options; what is wrong with them goes to the problems of `fields`, and then there is no step.
    fn build(&self, fields: &Fields<'_>) -> Option<Box<dyn Step>>;
}

/// Which way a step stands in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// On the way to the model: it reshapes requests.
    Pre,
    /// On the way back: it reshapes answers.
    Post,
}

/// One step with its options. It does one of the two; the other leaves everything as it is.
pub trait Step: Send + Sync {
    /// Which of the two.
    fn stage(&self) -> Stage;

    /// Reshapes a request, in place.
    ///
    /// # Errors
    /// `InvalidInput` naming what was met and what was expected.
    fn preprocess(&self, request: &mut InferRequest) -> Result<(), Error> {
        let _ = request;
        Ok(())
    }

    /// Reshapes an answer, in place.
    ///
    /// # Errors
    /// `Inference` when the answer is not what the step was told to expect.
    fn postprocess(&self, response: &mut InferResponse) -> Result<(), Error> {
        let _ = response;
        Ok(())
    }
}

/// A transformer made of steps, each stage in the order they are written.
pub struct Steps {
    pre: Vec<Box<dyn Step>>,
    post: Vec<Box<dyn Step>>,
}

impl Steps {
    /// Builds the steps of a list such as `[{scale: {mean: [5.8], scale: [0.8]}}]`. `what` names the text in errors.
    ///
    /// # Errors
    /// `InvalidInput` naming everything that is wrong with them.
    pub fn build(node: &Node, what: &str) -> Result<Self, Error> {
        let problems = Problems::new(what);
        let mut steps = Self { pre: Vec::new(), post: Vec::new() };
        match &node.value {
            Value::List(items) if !items.is_empty() => {
                for step in items.iter().enumerate().filter_map(|(at, item)| build(at, item, &problems)) {
                    match step.stage() {
                        Stage::Pre => steps.pre.push(step),
                        Stage::Post => steps.post.push(step),
                    }
                }
            }
            Value::List(_) => problems.error(node.at, "", format!("got no steps; {}", known())),
            _ => problems.error(node.at, "", format!("got a {}, expected a list of steps", node.kind())),
        }
        problems.into_result()?;
        Ok(steps)
    }
}

impl Transform for Steps {
    fn implements(&self) -> Implements {
        Implements { preprocess: !self.pre.is_empty(), postprocess: !self.post.is_empty() }
    }

    fn preprocess(&self, request: &mut InferRequest) -> Result<(), Error> {
        self.pre.iter().try_for_each(|step| step.preprocess(request))
    }

    fn postprocess(&self, response: &mut InferResponse) -> Result<(), Error> {
        self.post.iter().try_for_each(|step| step.postprocess(response))
    }
}

/// Builds one item of the list: a map whose one key names the step.
fn build(at: usize, item: &Node, problems: &Problems) -> Option<Box<dyn Step>> {
    let Value::Map(entries) = &item.value else {
        let text = format!("got a {}, expected a map of one step to its options; {}", item.kind(), known());
        problems.error(item.at, format!("[{at}]"), text);
        return None;
    };
    let [Entry { key, at: place, value }] = entries.as_slice() else {
        let text = format!("has {} keys, expected one step; begin each step with a dash", entries.len());
        problems.error(item.at, format!("[{at}]"), text);
        return None;
    };
    let Some(kind) = STEPS.iter().find(|kind| kind.name() == key) else {
        let meant = nearest(key, STEPS.iter().map(|kind| kind.name()));
        let hint = meant.map_or_else(known, |name| format!("did you mean `{name}`?"));
        problems.error(*place, format!("[{at}].{key}"), format!("unknown step; {hint}"));
        return None;
    };
    let fields = Fields::of(value, &format!("[{at}].{key}"), problems)?;
    let step = kind.build(&fields);
    fields.finish();
    step
}

fn known() -> String {
    let names: Vec<_> = STEPS.iter().map(|kind| format!("`{}`", kind.name())).collect();
    format!("this build knows {}", names.join(", "))
}

/// Joins names for a text.
fn quoted<'a>(names: impl IntoIterator<Item = &'a String>) -> String {
    let names: Vec<_> = names.into_iter().map(|name| format!("`{name}`")).collect();
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

/// Reads a list of names that has to be there, not empty, each name once.
fn names(fields: &Fields<'_>, field: &str) -> Option<Vec<String>> {
    if !fields.has(field) {
        fields.error(field, "is missing");
        return None;
    }
    let names = fields.strings(field)?;
    if names.is_empty() {
        fields.error(field, "got an empty list, expected at least one name");
        return None;
    }
    if let Some(twice) = twice(&names) {
        fields.error(field, format!("`{twice}` is there twice"));
        return None;
    }
    Some(names)
}

/// Returns a name that is there twice.
fn twice(names: &[String]) -> Option<&String> {
    let mut seen = std::collections::HashSet::new();
    names.iter().find(|name| !seen.insert(*name))
}

#[cfg(test)]
mod tests;
