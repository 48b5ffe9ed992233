//! What a file says of the whole model, in either format, and the check that its trees fit.

use weir_sdk::proto::Categories;
use weir_sdk::proto::json::{JsonError, Kind, Reader};

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
    /// The features that were trained by category.
    pub(super) categorical: Vec<usize>,
    /// The categories of the columns of a data frame that had any, in order; `None` where they are no texts and no numbers.
    categories: Vec<Option<Categories>>,
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

    /// Reads `pandas_categorical`.
    ///
    /// # Errors
    /// When it is not a list of lists.
    pub(super) fn categories(&mut self, reader: &mut Reader<'_>) -> Result<(), JsonError> {
        if reader.peek()? == Kind::Null {
            return reader.null();
        }
        reader.begin_array()?;
        while reader.next_element()? {
            let categories = categories(reader)?;
            self.categories.push(categories);
        }
        Ok(())
    }

    /// Returns the categories of each column that has any. The file does not say which columns those are: they are the categorical
    /// ones, unless there are more or fewer of them, as where a data frame had ordered categories.
    fn named_categories(&mut self) -> Vec<(usize, Categories)> {
        let (columns, lists) = (&self.categorical, std::mem::take(&mut self.categories));
        let fit = columns.len() == lists.len()
            && columns.is_sorted_by(|a, b| a < b)
            && columns.iter().all(|it| *it < self.columns.len());
        let named = columns.iter().zip(lists).filter(|_| fit);
        named.filter_map(|(&column, list)| list.map(|it| (column, it))).collect()
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
        let categories = self.named_categories();
        let columns = std::mem::take(&mut self.columns);
        let average = if self.average { Some(iterations as f64) } else { None };
        let mut booster = Booster::new(forest, outputs, features, columns, rule, average, format);
        booster.signature.categories = categories;
        Ok(booster)
    }
}

/// Reads the categories of one column.
fn categories(reader: &mut Reader<'_>) -> Result<Option<Categories>, JsonError> {
    let (mut bytes, mut ends, mut numbers, mut others) = (Vec::new(), Vec::new(), Vec::new(), false);
    reader.begin_array()?;
    while reader.next_element()? {
        match reader.peek()? {
            Kind::String => {
                bytes.extend_from_slice(reader.string()?.as_bytes());
                ends.push(u32::try_from(bytes.len()).unwrap_or(u32::MAX));
            }
            Kind::Number => numbers.push(reader.number()?.as_f64()),
            // As in Python.
            Kind::Bool => numbers.push(f64::from(u8::from(reader.boolean()?))),
            Kind::Null | Kind::Array | Kind::Object => {
                others = true;
                reader.skip()?;
            }
        }
    }
    Ok(match (ends.is_empty(), numbers.is_empty()) {
        _ if others => None,
        (_, true) => Categories::texts(bytes, ends),
        (true, false) => Categories::numbers(numbers.into_iter()),
        (false, false) => None,
    })
}

fn missing(key: &str) -> Fault {
    Fault::malformed(format!("`{key}` is missing"))
}
