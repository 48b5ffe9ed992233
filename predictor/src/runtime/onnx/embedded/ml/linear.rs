//! `LinearClassifier` and `LinearRegressor`.

use super::super::super::super::Fault;
use super::super::attributes::Setting;
use super::super::plain::matmul::Product;
use super::super::value::{Args, Outcome, Run, as_singles, matrix, singles};
use super::scores::{Labels, Transform, largest, logistic, probit};

/// A matrix of weights, a row a target, and what is added to each.
struct Weights {
    coefficients: Vec<f32>,
    intercepts: Vec<f32>,
    targets: usize,
}

impl Weights {
    fn scores(&self, args: &Args<'_>) -> Outcome<(usize, Vec<f32>)> {
        let it = args.get(0)?;
        let (rows, width) = matrix(it);
        let wanted = self.coefficients.len() / self.targets;
        if width != wanted {
            return Err(format!("rows of {width} columns meet a model of {wanted}").into());
        }
        args.allow(&[rows, self.targets])?;
        let values = as_singles(it)?;
        let mut made = f32::product_turned(&values, &self.coefficients, rows, width, self.targets);
        if !self.intercepts.is_empty() {
            for row in made.chunks_exact_mut(self.targets) {
                row.iter_mut().zip(&self.intercepts).for_each(|(it, add)| *it += add);
            }
        }
        Ok((rows, made))
    }
}

fn checked(coefficients: Vec<f32>, intercepts: Vec<f32>, targets: usize) -> Result<Weights, Fault> {
    let whole = targets > 0 && coefficients.len().is_multiple_of(targets) && !coefficients.is_empty();
    if !whole || !(intercepts.is_empty() || intercepts.len() == targets) {
        return Err(Fault::malformed(format!(
            "{} coefficients and {} intercepts for {targets} targets",
            coefficients.len(),
            intercepts.len()
        )));
    }
    Ok(Weights { coefficients, intercepts, targets })
}

pub(in super::super) fn regressor(setting: &mut Setting) -> Result<Run, Fault> {
    let targets = usize::try_from(setting.int("targets")?.unwrap_or(1)).unwrap_or(0);
    let weights = checked(setting.floats("coefficients")?, setting.floats("intercepts")?, targets)?;
    let transform = Transform::take(setting)?;
    Ok(Box::new(move |args| {
        let (rows, mut scores) = weights.scores(args)?;
        scores.chunks_exact_mut(targets).for_each(|row| transform.apply(row));
        Ok(vec![singles([rows, targets], scores)])
    }))
}

pub(in super::super) fn classifier(setting: &mut Setting) -> Result<Run, Fault> {
    // How it was trained.
    setting.ignore(&["multi_class"]);
    let labels = Labels::take(setting, "classlabels_ints", "classlabels_strings")?;
    let coefficients = setting.floats("coefficients")?;
    let intercepts = setting.floats("intercepts")?;
    let targets = if intercepts.is_empty() { labels.len() } else { intercepts.len() };
    let weights = checked(coefficients, intercepts, targets)?;
    let transform = Transform::take(setting)?;
    if targets > 1 && labels.len() < targets {
        return Err(Fault::malformed(format!("{} classes for {targets} scores", labels.len())));
    }
    Ok(Box::new(move |args| {
        let (rows, scores) = weights.scores(args)?;
        if targets > 1 {
            let mut scores = scores;
            let places: Vec<usize> = scores.chunks_exact(targets).map(largest).collect();
            scores.chunks_exact_mut(targets).for_each(|row| transform.apply(row));
            return Ok(vec![labels.chosen(&places), singles([rows, targets], scores)]);
        }
        let places: Vec<usize> = scores.iter().map(|&it| usize::from(it > 0.0)).collect();
        if labels.len() != 2 {
            let mut scores = scores;
            if transform == Transform::Probit {
                scores.iter_mut().for_each(|it| *it = probit(*it));
            }
            return Ok(vec![labels.chosen(&places), singles([rows, 1], scores)]);
        }
        // Of two classes one has a score, and the other what is left.
        let both = |&it: &f32| match transform {
            Transform::Probit => [probit(1.0 - it), probit(it)],
            Transform::Logistic => [logistic(-it), logistic(it)],
            _ => {
                let mut both = [1.0 - it, it];
                transform.apply(&mut both);
                both
            }
        };
        let scores = scores.iter().flat_map(both).collect();
        Ok(vec![labels.chosen(&places), singles([rows, 2], scores)])
    }))
}
