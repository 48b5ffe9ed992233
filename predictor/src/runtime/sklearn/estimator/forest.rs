//! `RandomForestClassifier`: the mean of what its trees' leaves say of the classes.

use weir_proto::Error;

use super::super::numpy::Array;
use super::super::refusal::Refusal;
use super::super::view::View;
use super::fitted::Fitted;
use super::registry::{Class, Family};
use super::walk::{Table, Trees};
use super::{Answer, Batch, Classifier, Labels, Missing, Scores, Steps, Wanted, argmax, check_finite};

pub(crate) static FAMILY: Family = Family {
    title: "Trees and ensembles",
    classes: &[Class {
        name: "RandomForestClassifier",
        modules: &["sklearn.ensemble._forest", "sklearn.ensemble.forest"],
        read,
    }],
};

/// Reads the trees.
fn read(fitted: &Fitted<'_>, steps: &mut Steps) -> Result<(), Refusal> {
    if fitted.optional("n_outputs_").and_then(View::int).is_some_and(|outputs| outputs != 1) {
        return Err(fitted.unsupported("with several outputs", "save one model for each output"));
    }
    let classes = Labels::read(fitted)?;
    let members = fitted
        .need("estimators_")?
        .items()
        .ok_or_else(|| fitted.malformed("has `estimators_` that are no list"))?;
    if members.len() == 0 {
        return Err(fitted.malformed("has no trees"));
    }
    let mut forest = Forest {
        features: 0,
        missing: missing(fitted),
        trees: Trees::default(),
        values: Vec::new(),
        classes,
    };
    for (at, member) in members.enumerate() {
        forest.add(member).map_err(|reason| match reason {
            Refusal::Malformed(reason) => fitted.malformed(format!("has a tree {}: {reason}", at + 1)),
            other @ Refusal::Unsupported { .. } => other,
        })?;
    }
    steps.add_classifier(fitted, Box::new(forest))
}

/// Forests take missing values since 1.4, unless they are bound to be monotonic.
fn missing(fitted: &Fitted<'_>) -> Missing {
    let taken = !fitted.older_than(1, 4) && fitted.optional("monotonic_cst").is_none();
    if taken { Missing::Allowed } else { Missing::Refused }
}

struct Forest {
    features: usize,
    missing: Missing,
    trees: Trees,
    /// For each leaf a number for each class; they sum to one. A leaf's number counts leaves.
    values: Vec<f64>,
    classes: Labels,
}

impl Forest {
    /// Adds the tree of a fitted `DecisionTreeClassifier`.
    fn add(&mut self, member: View<'_>) -> Result<(), Refusal> {
        let tree = member
            .attribute("tree_")
            .ok_or_else(|| Refusal::malformed(format!("{} without a `tree_`", member.kind())))?;
        let part =
            |name: &str| tree.attribute(name).ok_or_else(|| Refusal::malformed(format!("no `{name}`")));
        let features = tree.object().and_then(|object| tree.at(object.args).item(0)?.int());
        let features = features
            .and_then(|it| usize::try_from(it).ok())
            .ok_or_else(|| Refusal::malformed("no features"))?;
        if self.features != 0 && self.features != features {
            return Err(Refusal::malformed(format!(
                "it takes {features} features, the one before {}",
                self.features
            )));
        }
        self.features = features;
        let table = table(&Array::read(part("nodes")?)?)?;
        let values = Array::read(part("values")?)?;
        if values.shape != [table.left.len(), 1, self.classes.len()] {
            let expected = format!("{} nodes of {} classes", table.left.len(), self.classes.len());
            return Err(Refusal::malformed(format!("`values` of shape {:?} for {expected}", values.shape)));
        }
        let rows = values.floats()?;
        let (width, all) = (self.classes.len(), &mut self.values);
        let leaf = |row: usize| {
            let number =
                u32::try_from(all.len() / width).map_err(|_| "more leaves than 32 bits can count")?;
            all.extend_from_slice(&rows[row * width..][..width]);
            normalise(&mut all[number as usize * width..]);
            Ok(number)
        };
        self.trees.add(&table, features, leaf).map_err(Refusal::Malformed)
    }

    /// Adds up what the leaves say, tree after tree, and divides, as scikit-learn does.
    fn probabilities(&self, matrix: &[f64]) -> Vec<f64> {
        let single: Vec<f32> = matrix.iter().map(|&value| value as f32).collect();
        let width = self.classes.len();
        let mut sums = vec![0.0; matrix.len() / self.features * width];
        self.trees.walk(&single, self.features, |row, leaf| {
            let leaf = &self.values[leaf as usize * width..][..width];
            sums[row * width..][..width].iter_mut().zip(leaf).for_each(|(sum, value)| *sum += value);
        });
        let trees = self.trees.len() as f64;
        sums.iter_mut().for_each(|sum| *sum /= trees);
        sums
    }
}

/// Reads the columns that matter by their names: releases add fields, and padding behind them.
fn table(nodes: &Array<'_>) -> Result<Table, Refusal> {
    let column = |name: &str| {
        nodes.field(name).ok_or_else(|| Refusal::malformed(format!("its nodes have no `{name}`")))
    };
    if nodes.shape.len() != 1 {
        return Err(Refusal::malformed(format!(
            "its nodes have shape {:?}, a list is expected",
            nodes.shape
        )));
    }
    Ok(Table {
        left: column("left_child")?.ints()?,
        right: column("right_child")?.ints()?,
        feature: column("feature")?.ints()?,
        threshold: column("threshold")?.floats()?,
        missing_left: nodes.field("missing_go_to_left").map_or(Ok(Vec::new()), |it| it.ints())?,
    })
}

/// Before 1.3 leaves held weights of samples, since then they hold fractions, which must not be touched again: dividing by
/// a sum that is one but for rounding would change the last bits.
fn normalise(leaf: &mut [f64]) {
    let sum: f64 = leaf.iter().sum();
    if sum != 0.0 && (sum - 1.0).abs() > 1e-9 {
        leaf.iter_mut().for_each(|value| *value /= sum);
    }
}

impl Classifier for Forest {
    fn features(&self) -> usize {
        self.features
    }

    fn classes(&self) -> &Labels {
        &self.classes
    }

    fn has_probabilities(&self) -> bool {
        true
    }

    fn scores(&self) -> Option<Scores> {
        None
    }

    fn classify(&self, batch: &Batch<'_>, wanted: Wanted) -> Result<Answer, Error> {
        let matrix = &*batch.numbers()?;
        check_finite(matrix, self.features, self.missing, f32::MAX.into())?;
        let mut answer = Answer::default();
        let probabilities = self.probabilities(matrix);
        if wanted.classes {
            answer.classes =
                probabilities.chunks_exact(self.classes.len()).map(|row| argmax(row) as u32).collect();
        }
        if wanted.probabilities {
            answer.probabilities = probabilities;
        }
        Ok(answer)
    }

    fn row_ns(&self) -> f64 {
        1.5 * self.trees.steps() as f64 + (self.trees.len() * self.classes.len()) as f64
    }
}
