//! LightGBM models as text (`Booster.save_model`) and JSON (`Booster.dump_model`): an own reader and an own walker, bit for
//! bit what the framework answers.
//!
//! Answers are those of `Booster.predict` on a model read from a file: every tree in it counts, since what is saved ends with
//! the best iteration. Rows are matrices of numbers: where categories have names (`pandas_categorical`), rows hold their codes.

mod columns;
mod forest;
mod header;
mod json;
mod linear;
mod objective;
#[cfg(test)]
mod tests;
mod text;

use std::path::Path;
use std::time::Duration;

use weir_sdk::Model;
use weir_sdk::proto::{Data, DataType, Error, Signature, Tensor, TensorSpec};

use self::columns::ABREAST;
use self::forest::Forest;
use self::objective::Transform;
use super::fault::{self, Fault};
use super::{LoadError, LoadOptions, Runtime};

/// The LightGBM runtime.
pub struct Lightgbm;

impl Runtime for Lightgbm {
    fn name(&self) -> &'static str {
        "lightgbm"
    }

    fn extensions(&self) -> &'static [&'static str] {
        &["bst", "txt", "json"]
    }

    fn recognizes(&self, head: &[u8]) -> bool {
        text::begins(head) || json::begins(head)
    }

    fn load(&self, file: &Path, _options: &LoadOptions) -> Result<Box<dyn Model>, LoadError> {
        fault::load(file, read)
    }
}

/// A booster: what sums up a row's raw scores, and what makes an answer of them.
pub(super) struct Booster {
    signature: Signature,
    forest: Forest,
    features: usize,
    outputs: usize,
    /// What the sums are divided by before they become answers (random forests): the number of iterations.
    average: Option<f64>,
    transform: Transform,
}

/// Reads a model of either format; which one it is, its content tells.
fn read(bytes: &[u8]) -> Result<Booster, Fault> {
    let first = bytes.iter().copied().find(|it| !it.is_ascii_whitespace());
    match first {
        None => Err(Fault::malformed("the file is empty")),
        Some(b'{') => json::read(bytes),
        Some(0x80) => Err(Fault::Unsupported {
            what: "a pickled Python object".to_owned(),
            advice: "write the model with `booster.save_model(\"model.txt\")`",
        }),
        Some(_) if text::begins(bytes) => text::read(bytes, usize::MAX),
        Some(_) => Err(Fault::malformed(
            "its first line is not `tree`, so it is not a model that LightGBM saved; expected the file of \
             `booster.save_model` or the JSON of `booster.dump_model`",
        )),
    }
}

/// Reads a model out of memory, as a pickled `lightgbm.Booster` holds it: the text of all its iterations. Those behind the
/// first `iterations` are left out.
///
/// # Errors
/// What is wrong with the text.
pub(super) fn from_text(text: &[u8], iterations: usize) -> Result<Booster, Fault> {
    if text::begins(text) { text::read(text, iterations) } else { read(text) }
}

impl Booster {
    /// Returns how many features a row has.
    pub(super) fn features(&self) -> usize {
        self.features
    }

    /// Returns how many numbers it answers a row.
    pub(super) fn outputs(&self) -> usize {
        self.outputs
    }

    /// Answers rows, `features` numbers each, as `Booster.predict` does: `outputs` numbers a row, flat.
    pub(super) fn answer(&self, rows: &[f64]) -> Vec<f64> {
        self.answers(self.scores(rows))
    }

    fn new(
        forest: Forest,
        outputs: usize,
        features: usize,
        columns: Vec<String>,
        rule: objective::Rule,
        average: Option<f64>,
        platform: &str,
    ) -> Self {
        let width = i64::try_from(features).unwrap_or(i64::MAX);
        let row = if outputs == 1 { vec![-1] } else { vec![-1, i64::try_from(outputs).unwrap_or(i64::MAX)] };
        let labels = match outputs {
            _ if !rule.classes => Vec::new(),
            // Of its two classes it tells the probability of the second.
            1 => vec!["0".to_owned(), "1".to_owned()],
            _ => (0..outputs).map(|class| class.to_string()).collect(),
        };
        let signature = Signature {
            platform: platform.to_owned(),
            inputs: vec![TensorSpec::new("input-0", DataType::Fp64, [-1, width])],
            outputs: vec![
                TensorSpec::new("predict", DataType::Fp64, row.clone()).with_labels(labels),
                TensorSpec::new("raw_score", DataType::Fp64, row),
            ],
            default_outputs: 1,
            columns,
            ..Signature::default()
        };
        Self { signature, forest, features, outputs, average, transform: rule.transform }
    }

    /// Returns the raw scores of the rows, outputs innermost.
    fn scores(&self, rows: &[f64]) -> Vec<f64> {
        let mut scores = vec![0.0; rows.len() / self.features * self.outputs];
        self.forest.add(rows, self.features, &mut scores);
        scores
    }

    /// Makes answers of raw scores.
    fn answers(&self, mut scores: Vec<f64>) -> Vec<f64> {
        if let Some(iterations) = self.average {
            scores.iter_mut().for_each(|it| *it /= iterations);
        }
        self.transform.apply(&mut scores, self.outputs);
        scores
    }

    fn tensor(&self, output: usize, rows: usize, values: Vec<f64>) -> Tensor {
        let spec = &self.signature.outputs[output];
        let shape = if spec.shape.len() == 1 { vec![rows] } else { vec![rows, self.outputs] };
        Tensor::new(&spec.name, shape, Data::Fp64(values.into()))
    }
}

impl Model for Booster {
    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn predict(&self, inputs: &[Tensor], wanted: &[usize]) -> Result<Vec<Tensor>, Error> {
        let [Tensor { data: Data::Fp64(rows), .. }] = inputs else {
            return Err(Error::invalid("the model takes one tensor of datatype FP64"));
        };
        let count = rows.len() / self.features;
        let scores = self.scores(rows);
        // The usual request wants one output, which needs no copy.
        if let &[output] = wanted {
            let values = if output == 0 { self.answers(scores) } else { scores };
            return Ok(vec![self.tensor(output, count, values)]);
        }
        let answer = |&output: &usize| {
            let values = if output == 0 { self.answers(scores.clone()) } else { scores.clone() };
            self.tensor(output, count, values)
        };
        Ok(wanted.iter().map(answer).collect())
    }

    fn cost(&self, rows: usize) -> Duration {
        // About 2 ns a step down a tree where it is trees that go abreast, 1 ns where it is rows. No row goes all the way.
        let step = if rows < ABREAST { 2 } else { 1 };
        let nanos = rows.saturating_mul(self.forest.steps().saturating_mul(step).saturating_add(20));
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }
}
