//! XGBoost models in JSON, UBJSON and the binary format before them: an own reader and an own walker, bit for bit what the
//! framework answers.
//!
//! Answers are those of `Booster.predict`, which is what KServe's server calls: every tree counts, so `best_iteration`, which
//! only XGBoost's scikit-learn wrapper looks at, changes nothing. Where versions of XGBoost disagree, the one that wrote the
//! file is followed.

mod columns;
mod file;
mod fold;
mod forest;
mod legacy;
mod linear;
mod objective;
mod sets;
mod source;
#[cfg(test)]
mod tests;
mod ubjson;
mod walk;

use std::path::Path;
use std::time::Duration;

use weir_sdk::Model;
use weir_sdk::proto::json::{JsonError, Kind, Reader};
use weir_sdk::proto::{Data, DataType, Error, Signature, Tensor, TensorSpec};

use self::linear::Linear;
use self::objective::Transform;
use self::walk::Forest;
use super::fault::{self, Fault};
use super::{LoadError, LoadOptions, Runtime};

/// The XGBoost runtime.
pub struct Xgboost;

impl Runtime for Xgboost {
    fn name(&self) -> &'static str {
        "xgboost"
    }

    fn extensions(&self) -> &'static [&'static str] {
        &["bst", "json", "ubj"]
    }

    fn recognizes(&self, head: &[u8]) -> bool {
        begins(head) || legacy::begins(head)
    }

    fn load(&self, file: &Path, _options: &LoadOptions) -> Result<Box<dyn Model>, LoadError> {
        fault::load(file, read)
    }
}

/// A booster: what sums up a row's margins, and what makes an answer of them.
pub struct Booster {
    signature: Signature,
    scorer: Scorer,
    objective: String,
    rounds: file::Rounds,
    best_iteration: Option<usize>,
    features: usize,
    /// The margin that every row begins with, one for each output.
    base: Vec<f32>,
    /// The base is added to the sum of the trees, and is not what the sum begins with. It is a matter of the last bit.
    base_last: bool,
    transform: Transform,
}

enum Scorer {
    Forest(Box<Forest>),
    Linear(Linear),
}

/// Reads a model of any format; which one it is, its content tells, for `.bst` may be anything.
fn read(bytes: &[u8]) -> Result<Booster, Fault> {
    let mut rest = bytes.iter().copied().skip_while(u8::is_ascii_whitespace);
    match (rest.next(), rest.next()) {
        (Some(b'{'), Some(b'L' | b'l' | b'I' | b'i' | b'U')) => {
            Booster::new(file::read(&mut ubjson::Reader::new(bytes))?, "xgboost_ubjson")
        }
        (Some(b'{'), Some(b'"' | b'}' | b' ' | b'\n' | b'\r' | b'\t')) => {
            Booster::new(file::read(&mut source::Json::new(bytes))?, "xgboost_json")
        }
        // The first bytes of a binary file are those of a number, and may be any.
        (Some(0x80), Some(2..=5)) if !legacy::is_model(bytes) => Err(Fault::Unsupported {
            what: "a pickled Python object".to_owned(),
            advice: "serve it with the runtime `sklearn`, or write the model with `booster.save_model(\"model.ubj\")`",
        }),
        (None, _) => Err(Fault::malformed("the file is empty")),
        _ if bytes.starts_with(b"bs64") => Err(Fault::Unsupported {
            what: "the binary format in base64 of XGBoost before 0.6".to_owned(),
            advice: "decode it, or write the model with `booster.save_model(\"model.ubj\")`",
        }),
        _ => Booster::new(legacy::read(bytes)?, "xgboost_binary"),
    }
}

/// Returns whether a file begins as XGBoost's do: UBJSON, or JSON with a key that no other framework's has.
fn begins(head: &[u8]) -> bool {
    let mut bytes = head.iter().filter(|it| !it.is_ascii_whitespace());
    if let (Some(b'{'), Some(b'L' | b'l' | b'I' | b'i' | b'U')) = (bytes.next(), bytes.next()) {
        return true;
    }
    let mut reader = Reader::new(head);
    let mut begin = || -> Result<bool, JsonError> {
        reader.begin_object()?;
        Ok(match reader.next_key()?.as_deref() {
            Some("learner") => true,
            // Of LightGBM it is a text.
            Some("version") => reader.peek()? == Kind::Array,
            _ => false,
        })
    };
    begin().unwrap_or(false)
}

/// Reads a model out of memory, such as the attribute `handle` of a pickled `xgboost.Booster`: what `save_model`, `save_raw` or
/// `serialize` wrote, in any format.
///
/// # Errors
/// What is wrong with the bytes.
pub fn from_bytes(bytes: &[u8]) -> Result<Booster, Fault> {
    read(bytes)
}

impl Booster {
    fn new(file: file::File, platform: &str) -> Result<Self, Fault> {
        let file::File {
            scorer,
            outputs,
            features,
            base_scores,
            objective,
            version,
            columns,
            categories,
            ..
        } = file;
        let rule = objective::find(&objective, version)?;
        let link = if file.scores_are_margins { objective::Link::Identity } else { rule.link };
        let base: Vec<f32> = base_scores.iter().map(|&score| link.margin(score)).collect();
        if let Some(at) = base.iter().position(|margin| !margin.is_finite()) {
            let score = base_scores[at];
            return Err(Fault::malformed(format!(
                "`base_score` holds {score}, which `{objective}` has no margin for"
            )));
        }
        // One score does for all outputs, but for a linear model even many do not: XGBoost adds its first everywhere.
        let base = match (&scorer, base.as_slice()) {
            (_, &[]) => return Err(Fault::malformed("`base_score` holds no number")),
            (Scorer::Linear(_), &[first, ..]) | (Scorer::Forest(_), &[first]) => vec![first; outputs],
            (Scorer::Forest(_), many) if many.len() == outputs => base,
            (Scorer::Forest(_), many) => {
                let met = many.len();
                return Err(Fault::malformed(format!(
                    "`base_score` holds {met} numbers for {outputs} outputs"
                )));
            }
        };
        let width = i64::try_from(features).unwrap_or(i64::MAX);
        let row = |outputs: usize| {
            if outputs == 1 { vec![-1] } else { vec![-1, i64::try_from(outputs).unwrap_or(-1)] }
        };
        let predicted = if rule.transform == Transform::Class { 1 } else { outputs };
        let labels = match rule.transform {
            Transform::Softmax => (0..outputs).map(|class| class.to_string()).collect(),
            // Of its two classes it tells the probability of the second.
            Transform::Sigmoid if objective == "binary:logistic" && outputs == 1 => {
                vec!["0".to_owned(), "1".to_owned()]
            }
            _ => Vec::new(),
        };
        let signature = Signature {
            platform: platform.to_owned(),
            inputs: vec![TensorSpec::new("input-0", DataType::Fp32, [-1, width])],
            outputs: vec![
                TensorSpec::new("predict", DataType::Fp32, row(predicted)).with_labels(labels),
                TensorSpec::new("margin", DataType::Fp32, row(outputs)),
            ],
            default_outputs: 1,
            columns,
            categories,
            ..Signature::default()
        };
        let (rounds, best_iteration) = (file.rounds, file.best_iteration);
        let transform = rule.transform;
        // Since 1.3 the sum begins with it. Linear models always did so.
        let base_last = version < (1, 3) && matches!(scorer, Scorer::Forest(_));
        Ok(Self {
            signature,
            scorer,
            objective,
            rounds,
            best_iteration,
            features,
            base,
            base_last,
            transform,
        })
    }

    /// Returns the objective's name, such as `binary:logistic`.
    pub fn objective(&self) -> &str {
        &self.objective
    }

    /// Returns how many features a row has.
    pub fn features(&self) -> usize {
        self.features
    }

    /// Returns how many margins a row gets: the classes, the targets, or 1.
    pub fn outputs(&self) -> usize {
        self.base.len()
    }

    /// Returns the round of training, counted from zero, that early stopping found to be the best, when it was used.
    /// `Booster.predict` asks all trees all the same; XGBoost's scikit-learn wrappers ask those up to this round.
    pub fn best_iteration(&self) -> Option<usize> {
        self.best_iteration
    }

    /// Forgets what was trained after so many rounds. A linear model has no rounds to tell apart.
    pub fn truncate(&mut self, rounds: usize) {
        let trees = self.rounds.trees(rounds);
        match &mut self.scorer {
            Scorer::Forest(forest) => forest.truncate(trees),
            Scorer::Linear(_) => {}
        }
    }

    /// Answers rows, `features` numbers each, NaN being a missing value, as `Booster.predict` does: a number a row, or
    /// `outputs` numbers a row, flat. With `margin` as under `output_margin=True`.
    ///
    /// # Errors
    /// The row and the column of an infinite value, which XGBoost refuses.
    pub fn answer(&self, rows: &[f32], margin: bool) -> Result<Vec<f32>, (usize, usize)> {
        if let Some(at) = first_infinite(rows) {
            return Err((at / self.features, at % self.features));
        }
        let margins = self.margins(rows);
        Ok(if margin { margins } else { self.transform.apply(margins, self.base.len()) })
    }

    /// Returns the margins of the rows, outputs innermost.
    fn margins(&self, rows: &[f32]) -> Vec<f32> {
        let outputs = self.base.len();
        let count = rows.len() / self.features;
        let mut margins = if self.base_last { vec![0.0; count * outputs] } else { self.base.repeat(count) };
        match &self.scorer {
            Scorer::Forest(forest) => forest.add(rows, self.features, &mut margins, outputs),
            Scorer::Linear(linear) => linear.add(rows, self.features, &mut margins, outputs),
        }
        if self.base_last {
            for row in margins.chunks_exact_mut(outputs) {
                row.iter_mut().zip(&self.base).for_each(|(sum, base)| *sum += base);
            }
        }
        margins
    }

    fn tensor(&self, output: usize, rows: usize, values: Vec<f32>) -> Tensor {
        let spec = &self.signature.outputs[output];
        let shape = if spec.shape.len() == 1 { vec![rows] } else { vec![rows, self.base.len()] };
        Tensor::new(&spec.name, shape, Data::Fp32(values.into()))
    }
}

/// Returns where the first infinite value is, many being looked at together.
fn first_infinite(values: &[f32]) -> Option<usize> {
    const TOGETHER: usize = 64;
    let any = |values: &[f32]| values.iter().fold(false, |any, it| any | it.is_infinite());
    let chunk = values.chunks(TOGETHER).position(any)?;
    let start = chunk * TOGETHER;
    values[start..].iter().position(|it| it.is_infinite()).map(|at| start + at)
}

impl Model for Booster {
    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn predict(&self, inputs: &[Tensor], wanted: &[usize]) -> Result<Vec<Tensor>, Error> {
        let [Tensor { data: Data::Fp32(rows), .. }] = inputs else {
            return Err(Error::invalid("the model takes one tensor of datatype FP32"));
        };
        // XGBoost refuses them as well. NaN is fine: it means that the value is missing.
        if let Some(at) = first_infinite(rows) {
            let (row, column) = (at / self.features, at % self.features);
            return Err(Error::invalid(format!(
                "input `input-0` holds an infinite value, or one too large for FP32, in row {row}, column {column}; \
                 expected finite numbers, or NaN where a value is missing"
            )));
        }
        let margins = self.margins(rows);
        let count = rows.len() / self.features;
        let answer = |&output: &usize| match output {
            0 => self.tensor(0, count, self.transform.apply(margins.clone(), self.base.len())),
            _ => self.tensor(1, count, margins.clone()),
        };
        Ok(wanted.iter().map(answer).collect())
    }

    fn cost(&self, rows: usize) -> Duration {
        let steps = match &self.scorer {
            Scorer::Forest(forest) => forest.steps(),
            Scorer::Linear(_) => self.features.saturating_mul(self.base.len()),
        };
        // About 2 ns a step down a tree: several walks overlap, and all but the largest forests stay in the cache.
        let nanos = rows.saturating_mul(steps.saturating_mul(2).saturating_add(20));
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }
}
