//! Decision trees, and forests of them: the mean of what their leaves say.

use weir_proto::{Data, DataType, Error};

use super::super::super::refusal::Refusal;
use super::super::super::view::View;
use super::super::fitted::Fitted;
use super::super::labels::interleave;
use super::super::{
    Answer, Batch, Classifier, Labels, Method, Missing, Offer, Predictor, Regressor, Steps, Wanted, argmax,
    check_finite,
};
use super::grown::{Grown, members, missing, of_tree};
use super::walk::Trees;

/// One tree.
pub(super) fn tree_classifier(fitted: &Fitted<'_>, steps: &mut Steps) -> Result<(), Refusal> {
    classify(fitted, &[fitted.itself()], missing(fitted), steps)
}

pub(super) fn tree_regressor(fitted: &Fitted<'_>, steps: &mut Steps) -> Result<(), Refusal> {
    regress(fitted, &[fitted.itself()], missing(fitted), steps)
}

/// Many trees.
pub(super) fn classifier(fitted: &Fitted<'_>, steps: &mut Steps) -> Result<(), Refusal> {
    let members = members(fitted)?;
    classify(fitted, &members, missing_in_forest(fitted, &members), steps)
}

pub(super) fn regressor(fitted: &Fitted<'_>, steps: &mut Steps) -> Result<(), Refusal> {
    let members = members(fitted)?;
    regress(fitted, &members, missing_in_forest(fitted, &members), steps)
}

/// Forests ask their first tree whether it takes missing values, since 1.4.
fn missing_in_forest(fitted: &Fitted<'_>, members: &[View<'_>]) -> Missing {
    let taken = members.first().is_some_and(|&it| missing(&fitted.part_of(it, "tree 1")) == Missing::Allowed);
    if taken && !fitted.older_than(1, 4) { Missing::Allowed } else { Missing::Refused }
}

fn regress(
    fitted: &Fitted<'_>,
    members: &[View<'_>],
    missing: Missing,
    steps: &mut Steps,
) -> Result<(), Refusal> {
    let forest = Forest::read(fitted, members, missing, |grown| {
        if grown.width == 1 { Ok(()) } else { Err("values of classes in a regression") }
    })?;
    // One target in a column of its own is no list, as in scikit-learn.
    let targets = (forest.outputs > 1).then_some(forest.outputs);
    steps.add_regressor(fitted, Box::new(Regression { forest, targets }))
}

fn classify(
    fitted: &Fitted<'_>,
    members: &[View<'_>],
    missing: Missing,
    steps: &mut Steps,
) -> Result<(), Refusal> {
    let classes = match fitted.need("classes_")?.items() {
        Some(outputs) if fitted.optional("n_outputs_").and_then(View::int).is_some_and(|it| it > 1) => {
            outputs.map(|it| Labels::read_from(fitted, it)).collect::<Result<Vec<_>, _>>()?
        }
        Some(_) | None => vec![Labels::read(fitted)?],
    };
    let most = classes.iter().map(Labels::len).max().unwrap_or(0);
    let mut forest = Forest::read(fitted, members, missing, |grown| {
        if (grown.outputs, grown.width) == (classes.len(), most) {
            Ok(())
        } else {
            Err("values that do not fit the classes")
        }
    })?;
    forest.tell(&classes, fitted.optional("tree_").is_some());
    match <[Labels; 1]>::try_from(classes) {
        Ok([classes]) => steps.add_classifier(fitted, Box::new(Classification { forest, classes })),
        Err(classes) => {
            let datatype = classes.first().map_or(DataType::Int64, Labels::datatype);
            if classes.iter().any(|it| it.datatype() != datatype) {
                let advice = "save one model for each output";
                return Err(fitted.unsupported("whose outputs are of different kinds", advice));
            }
            steps.add_predictor(fitted, Box::new(ManyClasses { forest, classes, datatype }))
        }
    }
}

struct Forest {
    features: usize,
    missing: Missing,
    trees: Trees<f32>,
    outputs: usize,
    /// Numbers of an output: as many as the most classes, or 1.
    width: usize,
    /// For each leaf `outputs` times `width` numbers. A leaf's number counts leaves.
    values: Vec<f64>,
    /// The class of each leaf and output where there is one tree: scikit-learn compares what it stores, not probabilities.
    told: Vec<u32>,
}

impl Forest {
    fn read(
        fitted: &Fitted<'_>,
        members: &[View<'_>],
        missing: Missing,
        check: impl Fn(&Grown) -> Result<(), &'static str>,
    ) -> Result<Self, Refusal> {
        let mut forest: Option<Self> = None;
        for (at, &member) in members.iter().enumerate() {
            let mut add = || {
                let grown = Grown::read(member)?;
                check(&grown).map_err(Refusal::malformed)?;
                let forest = forest.get_or_insert_with(|| Self {
                    features: grown.features,
                    missing,
                    trees: Trees::default(),
                    outputs: grown.outputs,
                    width: grown.width,
                    values: Vec::new(),
                    told: Vec::new(),
                });
                forest.add(&grown)
            };
            add().map_err(|refusal: Refusal| of_tree(fitted, at, refusal))?;
        }
        forest.ok_or_else(|| fitted.malformed("has no trees"))
    }

    fn add(&mut self, grown: &Grown) -> Result<(), Refusal> {
        if (self.features, self.outputs) != (grown.features, grown.outputs) {
            return Err(Refusal::malformed(format!(
                "it takes {} features, the one before {}",
                grown.features, self.features
            )));
        }
        let (size, all) = (self.outputs * self.width, &mut self.values);
        let leaf = |row: usize| {
            let number = u32::try_from(all.len() / size).map_err(|_| "more leaves than 32 bits can count")?;
            all.extend_from_slice(grown.value(row));
            Ok(number)
        };
        self.trees.add(&grown.table, grown.features, leaf).map_err(Refusal::Malformed)
    }

    /// Makes probabilities of what the leaves hold.
    fn tell(&mut self, classes: &[Labels], single: bool) {
        for (at, leaf) in self.values.chunks_exact_mut(self.width).enumerate() {
            let leaf = &mut leaf[..classes[at % self.outputs].len()];
            if single {
                self.told.push(argmax(leaf) as u32);
            }
            normalise(leaf);
        }
    }

    fn single(&self, batch: &Batch<'_>) -> Result<Vec<f32>, Error> {
        let matrix = batch.numbers()?;
        check_finite(&matrix, self.features, self.missing, f32::MAX.into())?;
        Ok(matrix.iter().map(|&value| value as f32).collect())
    }

    /// Adds up what the leaves say, tree after tree, and divides, as scikit-learn does.
    fn means(&self, single: &[f32]) -> Vec<f64> {
        let size = self.outputs * self.width;
        let mut sums = vec![0.0; single.len() / self.features * size];
        if size == 1 {
            self.trees.walk(single, self.features, |row, leaf| sums[row] += self.values[leaf as usize]);
        } else {
            self.trees.walk(single, self.features, |row, leaf| {
                let leaf = &self.values[leaf as usize * size..][..size];
                sums[row * size..][..size].iter_mut().zip(leaf).for_each(|(sum, value)| *sum += value);
            });
        }
        let trees = self.trees.len() as f64;
        sums.iter_mut().for_each(|sum| *sum /= trees);
        sums
    }

    /// Returns the class of each row, for one output after the other.
    fn classes(&self, single: &[f32], means: &[f64], classes: &[Labels]) -> Vec<Vec<u32>> {
        let rows = single.len() / self.features;
        let mut all = vec![vec![0; rows]; classes.len()];
        if !self.told.is_empty() {
            self.trees.walk(single, self.features, |row, leaf| {
                let told = &self.told[leaf as usize * self.outputs..][..self.outputs];
                all.iter_mut().zip(told).for_each(|(column, &class)| column[row] = class);
            });
            return all;
        }
        for (row, means) in means.chunks_exact(self.outputs * self.width).enumerate() {
            for ((column, means), labels) in all.iter_mut().zip(means.chunks_exact(self.width)).zip(classes) {
                column[row] = argmax(&means[..labels.len()]) as u32;
            }
        }
        all
    }

    fn row_ns(&self) -> f64 {
        let numbers = self.trees.len() * self.outputs * self.width;
        1.5 * self.trees.steps() as f64 + numbers as f64
    }
}

/// Before 1.3 leaves held weights of samples, since then they hold fractions, which must not be touched again: dividing by
/// a sum that is one but for rounding would change the last bits.
fn normalise(leaf: &mut [f64]) {
    let sum: f64 = leaf.iter().sum();
    if sum != 0.0 && (sum - 1.0).abs() > 1e-9 {
        leaf.iter_mut().for_each(|value| *value /= sum);
    }
}

struct Classification {
    forest: Forest,
    classes: Labels,
}

impl Classifier for Classification {
    fn features(&self) -> usize {
        self.forest.features
    }

    fn classes(&self) -> &Labels {
        &self.classes
    }

    fn has_probabilities(&self) -> bool {
        true
    }

    fn classify(&self, batch: &Batch<'_>, wanted: Wanted) -> Result<Answer, Error> {
        let single = self.forest.single(batch)?;
        let mut answer = Answer::default();
        if wanted.probabilities || self.forest.told.is_empty() {
            answer.probabilities = self.forest.means(&single);
        }
        if wanted.classes {
            let classes = std::slice::from_ref(&self.classes);
            let mut columns = self.forest.classes(&single, &answer.probabilities, classes);
            answer.classes = columns.pop().unwrap_or_default();
        }
        if !wanted.probabilities {
            answer.probabilities.clear();
        }
        Ok(answer)
    }

    fn row_ns(&self) -> f64 {
        self.forest.row_ns()
    }
}

/// Classes of several outputs.
struct ManyClasses {
    forest: Forest,
    classes: Vec<Labels>,
    datatype: DataType,
}

impl Predictor for ManyClasses {
    fn features(&self) -> usize {
        self.forest.features
    }

    fn offers(&self) -> Vec<Offer> {
        let width = Some(self.classes.len());
        vec![Offer { method: Method::Predict, datatype: self.datatype, width, labels: Vec::new() }]
    }

    fn predict(&self, batch: &Batch<'_>, wanted: &[Method]) -> Result<Vec<Data>, Error> {
        let single = self.forest.single(batch)?;
        let means = if self.forest.told.is_empty() { self.forest.means(&single) } else { Vec::new() };
        let columns = self.forest.classes(&single, &means, &self.classes);
        let columns: Vec<Data> =
            columns.iter().zip(&self.classes).map(|(column, labels)| labels.take(column)).collect();
        Ok(wanted.iter().map(|_| interleave(&columns, batch.rows())).collect())
    }

    fn row_ns(&self) -> f64 {
        self.forest.row_ns() + 5.0 * self.classes.len() as f64
    }
}

struct Regression {
    forest: Forest,
    targets: Option<usize>,
}

impl Regressor for Regression {
    fn features(&self) -> usize {
        self.forest.features
    }

    fn targets(&self) -> Option<usize> {
        self.targets
    }

    fn regress(&self, batch: &Batch<'_>) -> Result<Vec<f64>, Error> {
        Ok(self.forest.means(&self.forest.single(batch)?))
    }

    fn row_ns(&self) -> f64 {
        self.forest.row_ns()
    }
}
