//! What a file says of the whole model, in either format, and the check that its trees fit.

use super::forest::Forest;
use super::objective;
use super::{Booster, Fault};
use crate::runtime::MAX_COLUMNS;

/// More outputs than any model has; what a row's answer may take.
const MAX_OUTPUTS: usize = 1 << 16;

/// What was met so far; the keys of a file come in any order.
#[derive(Default)]
pub(super) struct Header {
    pub(super) version: Option<String>,
    pub(super) classes: Option<i64>,
    pub(super) per_iteration: Option<i64>,
    pub(super) last_feature: Option<i64>,
    pub(super) objective: Option<String>,
    pub(super) average: bool,
    /// How many features have names.
    pub(super) named: usize,
    /// Their names, unless they are too many.
    columns: Vec<String>,
}

impl Header {
    /// Makes room for so many names, no more and no less.
    pub(super) fn reserve(&mut self, names: usize) {
        if names <= MAX_COLUMNS {
            self.columns.reserve_exact(names);
        }
    }

    /// Takes the name of the next feature.
    pub(super) fn column(&mut self, name: &str) {
        self.named += 1;
        if self.named <= MAX_COLUMNS {
            self.columns.push(name.to_owned());
        } else if !self.columns.is_empty() {
            self.columns = Vec::new();
        }
    }

    /// Refuses what a later version of LightGBM may mean otherwise. Files before `v2` are of other trees.
    pub(super) fn check_version(&self) -> Result<(), Fault> {
        match self.version.as_deref() {
            Some("v2" | "v3" | "v4") => Ok(()),
            Some(other) => Err(Fault::Unsupported {
                what: format!("the file version `{other}`"),
                advice: "write the model with LightGBM 2.1 to 4, whose files are of version v2 to v4",
            }),
            None => Err(Fault::malformed(
                "`version` is missing, so it is not a model that LightGBM 2 or later saved",
            )),
        }
    }

    /// Returns how many trees so many iterations grow.
    pub(super) fn trees_of(&self, iterations: usize) -> usize {
        let each = self.per_iteration.or(self.classes).and_then(|it| usize::try_from(it).ok()).unwrap_or(1);
        iterations.saturating_mul(each)
    }

    /// Makes the model.
    pub(super) fn finish(mut self, mut forest: Forest, format: &str) -> Result<Booster, Fault> {
        self.check_version()?;
        let classes = self.classes.ok_or_else(|| missing("num_class"))?;
        let per_iteration = self.per_iteration.unwrap_or(classes);
        let outputs = usize::try_from(per_iteration).ok().filter(|it| (1..=MAX_OUTPUTS).contains(it));
        let outputs = outputs.filter(|_| classes == per_iteration).ok_or_else(|| {
            Fault::malformed(format!(
                "a model of {classes} classes and {per_iteration} trees an iteration cannot be"
            ))
        })?;
        let last = self.last_feature.ok_or_else(|| missing("max_feature_idx"))?;
        let features = last.checked_add(1).and_then(|it| usize::try_from(it).ok()).unwrap_or(0);
        if features == 0 || features != self.named {
            let named = self.named;
            return Err(Fault::malformed(format!(
                "`max_feature_idx` is {last}, but `feature_names` names {named} features"
            )));
        }
        let rule = objective::find(self.objective.as_deref(), outputs)?;
        let iterations = forest.len() / outputs;
        if iterations == 0 {
            let trees = forest.len();
            return Err(Fault::malformed(format!(
                "there are {trees} trees, fewer than {outputs}, one an output"
            )));
        }
        // Trees of an iteration that is not whole do not count.
        forest.finish(iterations * outputs, outputs, features).map_err(|met| {
            Fault::malformed(format!("a tree looks at feature {met}, `max_feature_idx` is {last}"))
        })?;
        let columns = std::mem::take(&mut self.columns);
        let average = if self.average { Some(iterations as f64) } else { None };
        Ok(Booster::new(forest, outputs, features, columns, rule, average, format))
    }
}

fn missing(key: &str) -> Fault {
    Fault::malformed(format!("`{key}` is missing"))
}
