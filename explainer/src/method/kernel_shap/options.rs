//! The options of KernelSHAP, and their limits.

use std::path::{Component, Path};

use weir_proto::Error;
use weir_proto::document::{Fields, Node, Problems};

use super::answer::Link;
use super::work::Budget;
use crate::background::Background;

/// The regression of a sample holds a matrix of this many features squared.
pub(super) const MAX_SAMPLED_FEATURES: usize = 1_024;
/// Coalitions times background rows of one instance: each costs four bytes while it is explained.
const MAX_MIXED_ROWS: usize = 1 << 23;
const MAX_EXACT: i64 = 20;
const MAX_SAMPLES: i64 = 1 << 20;
const MAX_ROWS_PER_CALL: i64 = 1 << 20;
const MAX_BACKGROUND_ROWS: i64 = 100_000;

/// What a manifest may say.
#[derive(Debug)]
pub(super) struct Options {
    /// The CSV file in the folder.
    pub(super) data: String,
    /// At most so many rows of it, from the first.
    pub(super) rows: usize,
    /// The output to explain; empty for the model's default.
    pub(super) output: String,
    /// The names of the classes, when they are known.
    pub(super) classes: Option<Vec<String>>,
    /// The scale the values add up on.
    pub(super) link: Link,
    /// How many coalitions are asked.
    pub(super) budget: Budget,
    /// At most so many rows in one call to the predictor.
    pub(super) rows_per_call: usize,
}

impl Options {
    /// Reads the options; what is absent has its default.
    ///
    /// # Errors
    /// `InvalidInput` naming every field that is wrong or unknown.
    pub(super) fn read(config: Option<&Node>) -> Result<Self, Error> {
        let mut options = Self {
            data: "background.csv".to_owned(),
            rows: 100,
            output: String::new(),
            classes: None,
            link: Link::Identity,
            budget: Budget { samples: None, exact_up_to: 12, seed: 0 },
            rows_per_call: 8192,
        };
        let Some(config) = config else { return Ok(options) };
        let problems = Problems::new("kernel_shap config");
        if let Some(fields) = Fields::of(config, "", &problems) {
            options.take(&fields);
            fields.finish();
        }
        problems.into_result()?;
        Ok(options)
    }

    fn take(&mut self, fields: &Fields<'_>) {
        if let Some(data) = fields.string("data") {
            if data.is_empty() || Path::new(data).components().any(|it| !matches!(it, Component::Normal(_))) {
                fields.error("data", format!("got `{data}`, expected a file inside the explainer's folder"));
            }
            data.clone_into(&mut self.data);
        }
        if let Some(output) = fields.string("output") {
            output.clone_into(&mut self.output);
        }
        self.classes = fields.strings("classes");
        if let Some(name) = fields.string("link") {
            match Link::ALL.into_iter().find(|(known, _)| *known == name) {
                Some((_, link)) => self.link = link,
                None => fields.error("link", format!("got `{name}`, expected `identity` or `logit`")),
            }
        }
        let count = |name, range| fields.integer_in(name, range).map(|value| value as usize);
        self.rows = count("rows", 1..=MAX_BACKGROUND_ROWS).unwrap_or(self.rows);
        self.rows_per_call = count("rows_per_call", 1..=MAX_ROWS_PER_CALL).unwrap_or(self.rows_per_call);
        self.budget.samples = count("samples", 2..=MAX_SAMPLES);
        self.budget.exact_up_to = count("exact_up_to", 0..=MAX_EXACT).unwrap_or(self.budget.exact_up_to);
        self.budget.seed = fields.integer("seed").map_or(0, i64::cast_unsigned);
    }

    /// Checks that the worst instance stays within what one explanation may hold.
    ///
    /// # Errors
    /// `InvalidInput` naming the options that would have to be smaller.
    pub(super) fn check(&self, background: &Background) -> Result<(), Error> {
        let features = background.names.len();
        let exact = 1 << features.min(self.budget.exact_up_to);
        let sampled = if features > self.budget.exact_up_to { self.budget.samples(features) } else { 0 };
        let rows = exact.max(sampled).saturating_mul(background.rows());
        if rows > MAX_MIXED_ROWS {
            return Err(Error::invalid(format!(
                "kernel_shap config: {} coalitions of {features} features and {} background rows make {rows} rows an \
                 instance, the limit is {MAX_MIXED_ROWS}; lower `rows`, `samples` or `exact_up_to`",
                exact.max(sampled),
                background.rows()
            )));
        }
        Ok(())
    }
}
