//! `TreeEnsembleClassifier`, `TreeEnsembleRegressor` and `TreeEnsemble`.

use weir_sdk::Data;

use super::super::super::super::Fault;
use super::super::attributes::{Setting, unsupported};
use super::super::plain::binary::{Wrap, wrap};
use super::super::value::{Args, Outcome, Run, as_doubles, as_singles, matrix, singles, tensor};
use super::scores::{Labels, Transform};
use super::tree_file::{File, Laid};
use super::walk::Tested;

/// How what the trees say becomes one number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Aggregate {
    Sum,
    Average,
    Least,
    Greatest,
}

/// Trees, and what is done with what they say.
struct Ensemble<T> {
    laid: Laid<T>,
    targets: usize,
    aggregate: Aggregate,
    base: Vec<T>,
    transform: Transform,
}

/// Sums of one row, and whether any tree had something to say.
struct Sums<T> {
    values: Vec<T>,
    told: Vec<bool>,
}

impl<T: Tested + Wrap> Ensemble<T> {
    fn new(file: &File, targets: usize, aggregate: Aggregate, transform: Transform) -> Result<Self, Fault> {
        let base = file.base.iter().map(|&it| T::of_double(it)).collect();
        Ok(Self { laid: file.lay()?, targets, aggregate, base, transform })
    }

    /// Adds up what the trees say, the targets of a row together.
    fn sums(&self, rows: &[T], width: usize, limit: usize) -> Outcome<Sums<T>> {
        let count = rows.len().checked_div(width).unwrap_or(0);
        if width < self.laid.forest.features {
            return Err(
                format!("rows of {width} columns meet a model of {}", self.laid.forest.features).into()
            );
        }
        let all = super::super::value::allow(&[count, self.targets], limit)?;
        let mut sums = Sums { values: vec![T::ZERO; all], told: vec![false; all] };
        let forest = &self.laid.forest;
        match self.aggregate {
            Aggregate::Sum | Aggregate::Average if self.targets == 1 => {
                let nodes = &forest.nodes;
                forest.walk(rows, width, |row, at| {
                    sums.values[row] = sums.values[row].add(nodes[at as usize].threshold);
                });
                sums.told.fill(true);
            }
            Aggregate::Sum | Aggregate::Average => {
                forest.walk(rows, width, |row, at| {
                    for &(target, weight) in self.laid.leaf(at) {
                        let place = row * self.targets + target as usize;
                        sums.values[place] = sums.values[place].add(weight);
                        sums.told[place] = true;
                    }
                });
            }
            Aggregate::Least | Aggregate::Greatest => {
                let least = self.aggregate == Aggregate::Least;
                forest.walk(rows, width, |row, at| {
                    for &(target, weight) in self.laid.leaf(at) {
                        let place = row * self.targets + target as usize;
                        let before = sums.values[place];
                        let better = if least { weight < before } else { weight > before };
                        if !sums.told[place] || better {
                            sums.values[place] = weight;
                        }
                        sums.told[place] = true;
                    }
                });
            }
        }
        Ok(sums)
    }

    fn regress(&self, rows: &[T], width: usize, limit: usize) -> Outcome<Vec<T>> {
        let mut sums = self.sums(rows, width, limit)?.values;
        if self.aggregate == Aggregate::Average {
            let trees = T::of_double(self.laid.forest.trees.len() as f64);
            sums.iter_mut().for_each(|it| *it = it.divide(trees));
        }
        if self.base.len() == self.targets {
            for row in sums.chunks_exact_mut(self.targets) {
                row.iter_mut().zip(&self.base).for_each(|(it, base)| *it = it.add(*base));
            }
        }
        if self.transform != Transform::Nothing && (self.targets > 1 || self.transform == Transform::Probit) {
            for row in sums.chunks_exact_mut(self.targets) {
                let mut scores: Vec<f32> = row.iter().map(|it| it.double() as f32).collect();
                self.transform.apply(&mut scores);
                row.iter_mut().zip(scores).for_each(|(it, score)| *it = T::of_double(score.into()));
            }
        }
        Ok(sums)
    }
}

impl<T> Laid<T> {
    fn leaf(&self, at: u32) -> &[(u32, T)] {
        &self.weights[self.spans[at as usize] as usize..self.spans[at as usize + 1] as usize]
    }
}

/// Trees over singles, or over doubles where their numbers are written so.
enum Either {
    Singles(Ensemble<f32>),
    Doubles(Ensemble<f64>),
}

impl Either {
    fn new(file: &File, targets: usize, aggregate: Aggregate, transform: Transform) -> Result<Self, Fault> {
        Ok(if file.doubles {
            Self::Doubles(Ensemble::new(file, targets, aggregate, transform)?)
        } else {
            Self::Singles(Ensemble::new(file, targets, aggregate, transform)?)
        })
    }
}

fn aggregate(name: Option<&str>) -> Result<Aggregate, Fault> {
    Ok(match name {
        None | Some("SUM") => Aggregate::Sum,
        Some("AVERAGE") => Aggregate::Average,
        Some("MIN") => Aggregate::Least,
        Some("MAX") => Aggregate::Greatest,
        Some(other) => return Err(unsupported(format!("the aggregate `{other}`"))),
    })
}

fn count(number: i64) -> Result<usize, Fault> {
    let found = usize::try_from(number).ok().filter(|it| (1..=1 << 24).contains(it));
    found.ok_or_else(|| Fault::malformed(format!("it has {number} targets")))
}

pub(in super::super) fn regressor(setting: &mut Setting) -> Result<Run, Fault> {
    let targets = count(setting.int("n_targets")?.unwrap_or(1))?;
    let aggregate = aggregate(setting.text("aggregate_function")?.as_deref())?;
    let transform = Transform::take(setting)?;
    let file = File::take(setting, "target", targets)?;
    let ensemble = Either::new(&file, targets, aggregate, transform)?;
    Ok(Box::new(move |args| {
        let (rows, made) = regressed(&ensemble, args)?;
        Ok(vec![match made {
            Data::Fp64(it) => singles([rows, targets], it.iter().map(|&it| it as f32).collect()),
            data => tensor([rows, targets], data),
        }])
    }))
}

fn regressed(ensemble: &Either, args: &Args<'_>) -> Outcome<(usize, Data)> {
    let it = args.get(0)?;
    let (rows, width) = matrix(it);
    let made = match ensemble {
        Either::Singles(trees) => wrap(trees.regress(&as_singles(it)?, width, args.limit)?),
        Either::Doubles(trees) => wrap(trees.regress(&as_doubles(it)?, width, args.limit)?),
    };
    Ok((rows, made))
}

/// Version 5: what comes out is of the type that goes in.
pub(in super::super) fn ensemble(setting: &mut Setting) -> Result<Run, Fault> {
    let targets = count(setting.int("n_targets")?.unwrap_or(1))?;
    let names = ["AVERAGE", "SUM", "MIN", "MAX"];
    let number = setting.int("aggregate_function")?.unwrap_or(1);
    let name = usize::try_from(number).ok().and_then(|it| names.get(it).copied());
    let aggregate = aggregate(Some(name.ok_or_else(|| unsupported(format!("the aggregate {number}")))?))?;
    let number = setting.int("post_transform")?.unwrap_or(0);
    let transform =
        Transform::of_number(number).ok_or_else(|| unsupported(format!("the transform {number}")))?;
    let file = File::take_fifth(setting, targets)?;
    let ensemble = Either::new(&file, targets, aggregate, transform)?;
    Ok(Box::new(move |args| {
        let (rows, made) = regressed(&ensemble, args)?;
        Ok(vec![tensor([rows, targets], made)])
    }))
}

/// How a classifier of two classes whose trees speak of one makes two scores of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Second {
    /// What is left to 1.
    Rest,
    /// The opposite.
    Opposite,
    /// None: the transform sees what there is.
    Nothing,
}

pub(in super::super) fn classifier(setting: &mut Setting) -> Result<Run, Fault> {
    let labels = Labels::take(setting, "classlabels_int64s", "classlabels_strings")?;
    let classes = count(i64::try_from(labels.len()).unwrap_or(0))?;
    let transform = Transform::take(setting)?;
    let file = File::take(setting, "class", classes)?;
    if file.base.len() > classes {
        return Err(Fault::malformed(format!("{} base values for {classes} classes", file.base.len())));
    }
    let mut targets: Vec<u32> = file.weights.all().iter().map(|it| it.target).collect();
    let positive = file.weights.all().iter().all(|it| it.value >= 0.0);
    targets.sort_unstable();
    targets.dedup();
    let rule = Rule { binary: classes == 2 && targets.len() == 1, positive, classes };
    let ensemble = Either::new(&file, classes, Aggregate::Sum, transform)?;
    Ok(Box::new(move |args| {
        let it = args.get(0)?;
        let (rows, width) = matrix(it);
        let (places, scores) = match &ensemble {
            Either::Singles(trees) => trees.classify(&as_singles(it)?, width, rule, args.limit)?,
            Either::Doubles(trees) => trees.classify(&as_doubles(it)?, width, rule, args.limit)?,
        };
        // Where trees speak of both of two classes, ONNX Runtime tells their places and not their numbers.
        let numbered = classes == 2 && !rule.binary;
        let chosen = if numbered { labels.places(&places) } else { labels.chosen(&places) };
        Ok(vec![chosen, singles([rows, classes], scores)])
    }))
}

/// What ONNX Runtime looks at to tell the class.
#[derive(Clone, Copy)]
struct Rule {
    /// Of two classes the trees speak of one only.
    binary: bool,
    /// No weight is negative.
    positive: bool,
    classes: usize,
}

impl<T: Tested + Wrap> Ensemble<T> {
    fn classify(
        &self,
        rows: &[T],
        width: usize,
        rule: Rule,
        limit: usize,
    ) -> Outcome<(Vec<usize>, Vec<f32>)> {
        let sums = self.sums(rows, width, limit)?;
        let classes = rule.classes;
        let (mut places, mut scores) = (Vec::new(), Vec::with_capacity(sums.values.len()));
        for (values, told) in sums.values.chunks_exact(classes).zip(sums.told.chunks_exact(classes)) {
            if classes == 2 {
                let (place, both) = self.two([values[0], values[1]], [told[0], told[1]], rule);
                places.push(place);
                scores.extend(both);
            } else {
                let (place, mut row) = self.several(values, told);
                places.push(place);
                scores.append(&mut row);
            }
        }
        Ok((places, scores))
    }

    fn several(&self, values: &[T], told: &[bool]) -> (usize, Vec<f32>) {
        let mut best: Option<(usize, T)> = None;
        let mut row = Vec::with_capacity(values.len());
        for (at, (&value, &told)) in values.iter().zip(told).enumerate() {
            let value = self.base.get(at).map_or(value, |&base| value.add(base));
            let counts = told || at < self.base.len();
            if counts && best.is_none_or(|(_, most)| value > most) {
                best = Some((at, value));
            }
            row.push(value.double() as f32);
        }
        if row.len() > 1 {
            self.transform.apply(&mut row);
        }
        (best.map_or(0, |(at, _)| at), row)
    }

    fn two(&self, mut values: [T; 2], told: [bool; 2], rule: Rule) -> (usize, [f32; 2]) {
        let mut second = Second::Nothing;
        let mut alone = false;
        match self.base.as_slice() {
            [_, base] if told[1] => {
                values[1] = base.add(values[0]);
                values[0] = T::ZERO.subtract(values[1]);
            }
            [first, base] => {
                values = [values[0].add(*first), values[1].add(*base)];
            }
            [base, ..] => {
                values[0] = values[0].add(*base);
                alone = !told[1];
            }
            [] => {
                second = Second::Opposite;
                alone = !told[1];
            }
        }
        let weight = if told[1] {
            values[1]
        } else if told[0] {
            values[0]
        } else {
            T::ZERO
        };
        let least = if rule.binary && rule.positive { T::of_double(0.5) } else { T::ZERO };
        if rule.binary {
            second = if rule.positive { Second::Rest } else { Second::Opposite };
        }
        let place = usize::from(weight > least);
        // What no tree spoke of is nought, whatever was added to it.
        let told = |at: usize| if told[at] || (alone && at == 0) { values[at].double() as f32 } else { 0.0 };
        let values = [told(0), told(1)];
        (place, if alone { self.spread(values[0], second) } else { self.both(values) })
    }

    fn both(&self, mut values: [f32; 2]) -> [f32; 2] {
        self.transform.apply(&mut values);
        values
    }

    /// Two scores of one.
    fn spread(&self, value: f32, second: Second) -> [f32; 2] {
        use super::scores::{logistic, probit};
        match (self.transform, second) {
            (Transform::Probit, _) => [probit(value), 0.0],
            (Transform::Logistic, Second::Rest | Second::Opposite) => [logistic(-value), logistic(value)],
            (_, Second::Rest) => [1.0 - value, value],
            (_, Second::Opposite) => [-value, value],
            (_, Second::Nothing) => [value, 0.0],
        }
    }
}
