//! What XGBoost and LightGBM offer to scikit-learn: `XGBClassifier`, `LGBMRegressor` and the like. Such an object holds a whole
//! model in the format of its own library, which is read by that library's reader; around it stand the names of the classes,
//! what counts as missing, and how many iterations early stopping found to be the best.

use std::borrow::Cow;

use weir_proto::Error;

use super::super::refusal::Refusal;
use super::fitted::Fitted;
use super::registry::{Class, Family};
use super::{Answer, Batch, Classifier, Labels, Regressor, Steps, Wanted, argmax};
use crate::runtime::{Fault, lightgbm, xgboost};

const XGBOOST: &[&str] = &["xgboost.sklearn"];
const LIGHTGBM: &[&str] = &["lightgbm.sklearn"];

pub(crate) static FAMILY: Family = Family {
    title: "XGBoost and LightGBM in a pickle",
    classes: &[
        Class { name: "XGBClassifier", modules: XGBOOST, read: xgb_classifier },
        Class { name: "XGBRFClassifier", modules: XGBOOST, read: xgb_classifier },
        Class { name: "XGBRegressor", modules: XGBOOST, read: xgb_regressor },
        Class { name: "XGBRFRegressor", modules: XGBOOST, read: xgb_regressor },
        Class { name: "XGBRanker", modules: XGBOOST, read: xgb_regressor },
        Class { name: "LGBMClassifier", modules: LIGHTGBM, read: lgbm_classifier },
        Class { name: "LGBMRegressor", modules: LIGHTGBM, read: lgbm_regressor },
        Class { name: "LGBMRanker", modules: LIGHTGBM, read: lgbm_regressor },
    ],
};

fn xgb_classifier(fitted: &Fitted<'_>, steps: &mut Steps) -> Result<(), Refusal> {
    let booster = Xgb::read(fitted)?;
    let count = count_of(fitted, "n_classes_")?;
    let known = match (count, booster.booster.objective()) {
        (2, "binary:logistic") => booster.booster.outputs() == 1,
        (3.., "multi:softprob") => booster.booster.outputs() == count,
        _ => false,
    };
    if !known {
        let what = format!("of {count} classes with the objective `{}`", booster.booster.objective());
        return Err(
            fitted.unsupported(what, "serve its booster: `model.get_booster().save_model(\"model.ubj\")`")
        );
    }
    // Since 1.6 the classes are numbers from zero on.
    let classes = match fitted.optional("_le") {
        Some(_) => Labels::read(&fitted.part("_le")?)?,
        None => Labels::Ints((0..).take(count).collect()),
    };
    end_classifier(fitted, steps, Box::new(booster), classes, count)
}

fn lgbm_classifier(fitted: &Fitted<'_>, steps: &mut Steps) -> Result<(), Refusal> {
    let booster = Lgbm::read(fitted)?;
    let count = count_of(fitted, "_n_classes")?;
    if booster.booster.outputs() != if count == 2 { 1 } else { count } {
        let what = format!("of {count} classes whose booster answers {} numbers", booster.booster.outputs());
        return Err(fitted.unsupported(what, "serve its booster: `model.booster_.save_model(\"model.txt\")`"));
    }
    let classes = Labels::read(&fitted.part("_le")?)?;
    end_classifier(fitted, steps, Box::new(booster), classes, count)
}

fn end_classifier(
    fitted: &Fitted<'_>,
    steps: &mut Steps,
    booster: Box<dyn Boosted>,
    classes: Labels,
    count: usize,
) -> Result<(), Refusal> {
    if classes.len() != count {
        return Err(fitted.malformed(format!("has {count} classes, of which {} have labels", classes.len())));
    }
    let columns = booster.columns();
    let may_have_scores = booster.may_have_scores();
    steps.add_classifier(fitted, Box::new(BoostedClassifier { booster, may_have_scores, classes }))?;
    name_columns(steps, columns);
    Ok(())
}

fn xgb_regressor(fitted: &Fitted<'_>, steps: &mut Steps) -> Result<(), Refusal> {
    let booster = Xgb::read(fitted)?;
    let targets = Some(booster.booster.outputs()).filter(|&it| it != 1);
    end_regressor(fitted, steps, Box::new(booster), targets)
}

fn lgbm_regressor(fitted: &Fitted<'_>, steps: &mut Steps) -> Result<(), Refusal> {
    let booster = Lgbm::read(fitted)?;
    let targets = Some(booster.booster.outputs()).filter(|&it| it != 1);
    end_regressor(fitted, steps, Box::new(booster), targets)
}

fn end_regressor(
    fitted: &Fitted<'_>,
    steps: &mut Steps,
    booster: Box<dyn Boosted>,
    targets: Option<usize>,
) -> Result<(), Refusal> {
    let columns = booster.columns();
    steps.add_regressor(fitted, Box::new(BoostedRegressor { booster, targets }))?;
    name_columns(steps, columns);
    Ok(())
}

/// Takes the names that the booster has for its columns, where it is the first step.
fn name_columns(steps: &mut Steps, columns: Vec<String>) {
    if steps.width().is_none() && steps.columns.is_empty() {
        steps.columns = columns;
    }
}

fn count_of(fitted: &Fitted<'_>, name: &str) -> Result<usize, Refusal> {
    let count = fitted.need(name)?.int().and_then(|it| usize::try_from(it).ok());
    count.ok_or_else(|| fitted.malformed(format!("has no number of classes for `{name}`")))
}

/// A booster of either library.
trait Boosted: Send + Sync {
    fn features(&self) -> usize;

    /// The names of the features, where it was trained on a data frame.
    fn columns(&self) -> Vec<String>;

    /// What `Booster.predict` answers, flat.
    fn answer(&self, batch: &Batch<'_>) -> Result<Vec<f64>, Error>;

    /// Whether the estimator around it has a `decision_function` in some versions of the library.
    fn may_have_scores(&self) -> bool;

    /// One less the probability, in the booster's own floats.
    fn rest_of(&self, probability: f64) -> f64;

    fn row_ns(&self) -> f64;
}

/// A booster of XGBoost: it computes in 32 bits, and is asked up to its best iteration.
struct Xgb {
    booster: xgboost::Booster,
    /// A number that stands for a missing one, beside NaN.
    missing: Option<f32>,
}

impl Xgb {
    fn read(fitted: &Fitted<'_>) -> Result<Self, Refusal> {
        let holder = fitted.part("_Booster")?;
        let bytes = holder.need("handle")?.bytes();
        let bytes = bytes.ok_or_else(|| holder.malformed("has no bytes for `handle`"))?;
        let booster = xgboost::from_bytes(&bytes).map_err(|fault| match fault {
            Fault::Malformed(reason) => holder.malformed(format!("has a model in which {reason}")),
            Fault::Unsupported { what, advice } => holder.unsupported(format!("with {what}"), advice),
        });
        let mut booster = booster?;
        if let Some(best) = booster.best_iteration() {
            booster.truncate(best.saturating_add(1));
        }
        let missing = match fitted.optional("missing") {
            Some(_) => Some(fitted.number("missing")? as f32).filter(|it| !it.is_nan()),
            None => None,
        };
        Ok(Self { booster, missing })
    }

    /// Makes 32-bit floats of the rows. What a sparse row does not hold is missing.
    fn rows(&self, batch: &Batch<'_>) -> Result<Vec<f32>, Error> {
        let mut rows = match batch {
            Batch::Sparse(sparse) => {
                let mut rows = vec![f32::NAN; sparse.rows() * sparse.width];
                for (at, row) in rows.chunks_exact_mut(sparse.width).enumerate() {
                    let (columns, values) = sparse.row(at);
                    columns.iter().zip(values).for_each(|(&column, &it)| row[column as usize] = it as f32);
                }
                rows
            }
            Batch::Dense(_) | Batch::Table(_) => batch.numbers()?.iter().map(|&it| it as f32).collect(),
        };
        if let Some(missing) = self.missing {
            rows.iter_mut().filter(|it| **it == missing).for_each(|it| *it = f32::NAN);
        }
        Ok(rows)
    }
}

impl Boosted for Xgb {
    fn features(&self) -> usize {
        self.booster.features()
    }

    fn columns(&self) -> Vec<String> {
        weir_sdk::Model::signature(&self.booster).columns.clone()
    }

    fn answer(&self, batch: &Batch<'_>) -> Result<Vec<f64>, Error> {
        let answer = self.booster.answer(&self.rows(batch)?, false).map_err(|(row, column)| {
            Error::invalid(format!(
                "input contains infinity, or a value too large for its 32-bit floats, in row {row}, column {column}; \
                 the model takes finite or missing numbers only"
            ))
        })?;
        Ok(answer.into_iter().map(f64::from).collect())
    }

    fn may_have_scores(&self) -> bool {
        false
    }

    fn rest_of(&self, probability: f64) -> f64 {
        (1.0 - probability as f32).into()
    }

    fn row_ns(&self) -> f64 {
        cost(&self.booster)
    }
}

/// A booster of LightGBM.
struct Lgbm {
    booster: lightgbm::Booster,
}

impl Lgbm {
    fn read(fitted: &Fitted<'_>) -> Result<Self, Refusal> {
        if fitted.optional("_fobj").is_some()
            || fitted.optional("_objective").is_some_and(|it| it.text().is_none())
        {
            return Err(fitted
                .unsupported("with an objective that is a function", "train it with one of LightGBM's own"));
        }
        let holder = fitted.part("_Booster")?;
        if holder.optional("pandas_categorical").is_some_and(|it| it.items().is_none_or(|it| it.len() > 0)) {
            return Err(holder
                .unsupported("with categories of pandas", "encode them as numbers before it is trained"));
        }
        // 4.0 renamed it.
        let name = if holder.optional("_handle").is_some() { "_handle" } else { "handle" };
        let text = holder.need(name)?.bytes();
        let text: Cow<'_, [u8]> =
            text.ok_or_else(|| holder.malformed(format!("has no text for `{name}`")))?;
        let best = holder.optional("best_iteration").and_then(|it| it.int()).filter(|&it| it > 0);
        let iterations = best.and_then(|it| usize::try_from(it).ok()).unwrap_or(usize::MAX);
        let booster = lightgbm::from_text(&text, iterations).map_err(|fault| match fault {
            Fault::Malformed(reason) => holder.malformed(format!("has a model in which {reason}")),
            Fault::Unsupported { what, advice } => holder.unsupported(format!("with {what}"), advice),
        });
        Ok(Self { booster: booster? })
    }
}

impl Boosted for Lgbm {
    fn features(&self) -> usize {
        self.booster.features()
    }

    /// Names that it has made itself say nothing.
    fn columns(&self) -> Vec<String> {
        let columns = &weir_sdk::Model::signature(&self.booster).columns;
        let own = columns.iter().enumerate().all(|(at, it)| *it == format!("Column_{at}"));
        if own { Vec::new() } else { columns.clone() }
    }

    fn answer(&self, batch: &Batch<'_>) -> Result<Vec<f64>, Error> {
        Ok(self.booster.answer(&batch.numbers()?))
    }

    fn may_have_scores(&self) -> bool {
        true
    }

    fn rest_of(&self, probability: f64) -> f64 {
        1.0 - probability
    }

    fn row_ns(&self) -> f64 {
        cost(&self.booster)
    }
}

fn cost(booster: &impl weir_sdk::Model) -> f64 {
    weir_sdk::Model::cost(booster, 1).as_secs_f64() * 1e9
}

struct BoostedRegressor {
    booster: Box<dyn Boosted>,
    targets: Option<usize>,
}

impl Regressor for BoostedRegressor {
    fn features(&self) -> usize {
        self.booster.features()
    }

    fn targets(&self) -> Option<usize> {
        self.targets
    }

    fn regress(&self, batch: &Batch<'_>) -> Result<Vec<f64>, Error> {
        self.booster.answer(batch)
    }

    fn row_ns(&self) -> f64 {
        self.booster.row_ns()
    }
}

struct BoostedClassifier {
    booster: Box<dyn Boosted>,
    /// LightGBM has scores since 4.7.
    may_have_scores: bool,
    classes: Labels,
}

impl Classifier for BoostedClassifier {
    fn features(&self) -> usize {
        self.booster.features()
    }

    fn classes(&self) -> &Labels {
        &self.classes
    }

    fn has_probabilities(&self) -> bool {
        true
    }

    fn may_have_scores(&self) -> bool {
        self.may_have_scores
    }

    fn classify(&self, batch: &Batch<'_>, wanted: Wanted) -> Result<Answer, Error> {
        let mut probabilities = self.booster.answer(batch)?;
        let count = self.classes.len();
        if count == 2 {
            let both = |it: f64| [self.booster.rest_of(it), it];
            probabilities = probabilities.into_iter().flat_map(both).collect();
        }
        let mut answer = Answer::default();
        if wanted.classes {
            // Of two that are equal both libraries take the first.
            answer.classes = probabilities.chunks_exact(count).map(|it| argmax(it) as u32).collect();
        }
        if wanted.probabilities {
            answer.probabilities = probabilities;
        }
        Ok(answer)
    }

    fn row_ns(&self) -> f64 {
        self.booster.row_ns()
    }
}
