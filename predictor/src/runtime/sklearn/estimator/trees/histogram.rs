//! `HistGradientBoostingClassifier` and `HistGradientBoostingRegressor`: trees that compare 64-bit floats, send missing values
//! where they were told to, and ask whether a category is in a set.

use std::borrow::Cow;

use weir_proto::Error;

use super::super::super::numpy::Array;
use super::super::super::refusal::Refusal;
use super::super::super::view::View;
use super::super::categories::Categories;
use super::super::fitted::Fitted;
use super::super::linear::class;
use super::super::weights::{logistic, softmax};
use super::super::{
    Answer, Batch, Cell, Classifier, Column, Labels, Missing, Regressor, Scores, Steps, Takes, Wanted,
    argmax, check_finite,
};
use super::walk::{Set, Table, Trees};

pub(super) fn regressor(fitted: &Fitted<'_>, steps: &mut Steps) -> Result<(), Refusal> {
    let exponential = match fitted.text("loss") {
        Some("poisson" | "gamma") => true,
        Some(
            "squared_error" | "least_squares" | "absolute_error" | "least_absolute_deviation" | "quantile",
        ) => false,
        other => {
            let what = format!("with loss `{:.40}`", other.unwrap_or("of one's own"));
            return Err(fitted.unsupported(what, "use a loss of scikit-learn's"));
        }
    };
    let boosted = Boosted::read(fitted, 1)?;
    steps.add_regressor(fitted, Box::new(Regression { boosted, exponential }))
}

pub(super) fn classifier(fitted: &Fitted<'_>, steps: &mut Steps) -> Result<(), Refusal> {
    let loss = fitted.text("loss").unwrap_or("of one's own");
    if !matches!(loss, "log_loss" | "auto" | "binary_crossentropy" | "categorical_crossentropy") {
        return Err(fitted.unsupported(format!("with loss `{loss:.40}`"), "use log_loss"));
    }
    let classes = Labels::read(fitted)?;
    let outputs = match classes.len() {
        0 | 1 => return Err(fitted.unsupported("fitted on one class", "fit it on two or more")),
        2 => 1,
        many => many,
    };
    let boosted = Boosted::read(fitted, outputs)?;
    // Classes were compared by probability once, which two nearly equal scores may share.
    let by_scores = !fitted.older_than(1, 4);
    steps.add_classifier(fitted, Box::new(Classification { boosted, classes, by_scores }))
}

struct Boosted {
    columns: Columns,
    /// Before 0.22 missing values were refused.
    finite: bool,
    /// A number for each output.
    baseline: Vec<f64>,
    trees: Trees<f64>,
    /// What a leaf adds, and to which output.
    leaves: Vec<(f64, u32)>,
}

impl Boosted {
    fn read(fitted: &Fitted<'_>, outputs: usize) -> Result<Self, Refusal> {
        // Before 0.23 it was no secret.
        let name = if fitted.optional("_bin_mapper").is_some() { "_bin_mapper" } else { "bin_mapper_" };
        let bins = fitted.part(name)?;
        let known = known(&bins)?;
        let columns = Columns::read(fitted, known.len())?;
        let baseline = fitted.need("_baseline_prediction")?;
        let baseline = match baseline.number() {
            Some(one) => vec![one],
            None => fitted.floats("_baseline_prediction")?,
        };
        if baseline.len() != outputs {
            return Err(fitted.malformed(format!("begins with {} numbers for {outputs}", baseline.len())));
        }
        let mut boosted = Self {
            columns,
            finite: fitted.older_than(0, 22),
            baseline,
            trees: Trees::default(),
            leaves: Vec::new(),
        };
        boosted.trees.negative_wraps = fitted.older_than(1, 3);
        let wrong = || fitted.malformed("has `_predictors` that are no lists of trees for each output");
        let rounds = fitted.need("_predictors")?.items().ok_or_else(wrong)?;
        for (round, trees) in rounds.enumerate() {
            let trees = trees.items().filter(|it| it.len() == outputs).ok_or_else(wrong)?;
            for (output, tree) in trees.enumerate() {
                let tree = fitted.part_of(tree, &format!("tree {} of round {}", output + 1, round + 1));
                boosted.add(&tree, &known, output as u32)?;
            }
        }
        Ok(boosted)
    }

    fn add(&mut self, tree: &Fitted<'_>, known: &[[u32; 8]], output: u32) -> Result<(), Refusal> {
        let nodes = tree.array("nodes")?;
        let (table, values) = table(tree, &nodes, known)?;
        let leaves = &mut self.leaves;
        let leaf = |row: usize| {
            let number = u32::try_from(leaves.len()).map_err(|_| "more leaves than 32 bits can count")?;
            leaves.push((values[row], output));
            Ok(number)
        };
        let added = self.trees.add(&table, known.len(), leaf);
        added.map_err(|reason| tree.malformed(format!("has {reason}")))
    }

    /// Returns a number for each output of each row.
    fn sums(&self, batch: &Batch<'_>) -> Result<Vec<f64>, Error> {
        let matrix = self.columns.numbers(batch)?;
        if self.finite {
            check_finite(&matrix, self.columns.features(), Missing::Refused, f64::MAX)?;
        }
        let outputs = self.baseline.len();
        let mut sums = self.baseline.repeat(batch.rows());
        self.trees.walk(&matrix, self.columns.features(), |row, leaf| {
            let (value, output) = self.leaves[leaf as usize];
            sums[row * outputs + output as usize] += value;
        });
        Ok(sums)
    }

    fn row_ns(&self) -> f64 {
        let columns = if let Columns::Encoded { encoders, .. } = &self.columns { encoders.len() } else { 0 };
        30.0 * columns as f64 + 1.5 * self.trees.steps() as f64 + self.trees.len() as f64
    }
}

/// Reads the nodes, of which a leaf has `is_leaf`, and the value of each.
fn table(tree: &Fitted<'_>, nodes: &Array<'_>, known: &[[u32; 8]]) -> Result<(Table, Vec<f64>), Refusal> {
    let field =
        |name: &str| nodes.field(name).ok_or_else(|| tree.malformed(format!("has nodes without `{name}`")));
    if nodes.shape.len() != 1 {
        return Err(tree.malformed(format!("has nodes of shape {:?}, a list is expected", nodes.shape)));
    }
    // Before 0.24 there was one kind of threshold.
    let threshold = nodes.field("num_threshold").map_or_else(|| field("threshold"), Ok)?;
    let (mut left, leaf) = (field("left")?.ints()?, field("is_leaf")?.ints()?);
    for (left, leaf) in left.iter_mut().zip(leaf) {
        if leaf != 0 {
            *left = -1;
        }
    }
    let table = Table {
        left,
        right: field("right")?.ints()?,
        feature: field("feature_idx")?.ints()?,
        threshold: threshold.floats()?,
        missing_left: nodes.field("missing_go_to_left").map_or(Ok(Vec::new()), |it| it.ints())?,
        sets: Vec::new(),
    };
    let sets = sets(tree, nodes, &table, known)?;
    Ok((Table { sets, ..table }, field("value")?.floats()?))
}

fn sets(
    tree: &Fitted<'_>,
    nodes: &Array<'_>,
    table: &Table,
    known: &[[u32; 8]],
) -> Result<Vec<Option<Set>>, Refusal> {
    let Some(asks) = nodes.field("is_categorical") else { return Ok(Vec::new()) };
    let asks = asks.ints()?;
    if asks.iter().all(|&it| it == 0) {
        return Ok(Vec::new());
    }
    let wrong = || tree.malformed("asks for a set of categories that is not there");
    let at = nodes.field("bitset_idx").ok_or_else(wrong)?.ints()?;
    let bits = tree.array("raw_left_cat_bitsets")?;
    if bits.shape.get(1) != Some(&8) || bits.shape.len() != 2 {
        return Err(wrong());
    }
    let bits = words(&bits)?;
    let set = |row: usize| {
        if asks[row] == 0 || table.left[row] < 0 {
            return Ok(None);
        }
        let left = usize::try_from(at[row]).ok().and_then(|at| bits.get(at)).ok_or_else(wrong)?;
        let known = usize::try_from(table.feature[row]).ok().and_then(|at| known.get(at));
        Ok(Some(Set { left: *left, known: *known.ok_or_else(wrong)? }))
    };
    (0..asks.len()).map(set).collect()
}

fn words(bits: &Array<'_>) -> Result<Vec<[u32; 8]>, Refusal> {
    let words: Vec<u32> = bits.ints()?.into_iter().map(|it| it as u32).collect();
    Ok(words.as_chunks::<8>().0.to_vec())
}

/// Returns for each feature the categories it was fitted on; none where it has none.
fn known(bins: &Fitted<'_>) -> Result<Vec<[u32; 8]>, Refusal> {
    let list = bins.need("bin_thresholds_")?;
    let columns: Vec<View<'_>> = match list.items() {
        Some(items) => items.collect(),
        None => {
            let array = bins.array("bin_thresholds_")?;
            let members = array.members();
            members.ok_or_else(|| bins.malformed("has `bin_thresholds_` that are no list"))?.collect()
        }
    };
    let mut known = vec![[0; 8]; columns.len()];
    if bins.optional("is_categorical_").is_none() {
        return Ok(known);
    }
    let categorical = bins.array("is_categorical_")?.ints()?;
    if categorical.len() != columns.len() {
        return Err(bins.malformed("has an `is_categorical_` that does not fit its columns"));
    }
    for ((set, column), categorical) in known.iter_mut().zip(columns).zip(categorical) {
        if categorical == 0 {
            continue;
        }
        for category in bins.floats_of("bin_thresholds_", column)? {
            if !(0.0..256.0).contains(&category) {
                return Err(bins.malformed(format!("has {category} for a category, 0 to 255 is expected")));
            }
            let category = category as usize;
            set[category / 32] |= 1 << (category % 32);
        }
    }
    Ok(known)
}

/// How the columns of a row become those of the trees.
enum Columns {
    /// As they are.
    Plain(usize),
    /// Since 1.4 categories are encoded, and stand before the numbers.
    Encoded {
        /// The column of the row that stands at each place.
        order: Vec<usize>,
        /// For each of the first places its categories.
        encoders: Vec<Categories>,
    },
}

impl Columns {
    fn read(fitted: &Fitted<'_>, features: usize) -> Result<Self, Refusal> {
        if fitted.optional("_preprocessor").is_none() {
            return Ok(Self::Plain(features));
        }
        let wrong = || fitted.malformed("has a `_preprocessor` that does not fit its columns");
        let columns = fitted.part("_preprocessor")?;
        let list = columns.need("transformers_")?.items().ok_or_else(wrong)?;
        let encoder = list
            .filter(|it| it.item(0).and_then(View::text) == Some("encoder"))
            .find_map(|it| it.item(1))
            .ok_or_else(wrong)?;
        let encoder = columns.part_of(encoder, "the encoder");
        let categorical = fitted.array("is_categorical_")?.ints()?;
        let encoders: Vec<Categories> = encoder
            .need("categories_")?
            .items()
            .ok_or_else(wrong)?
            .map(|it| Categories::read_present(&encoder, it))
            .collect::<Result<_, _>>()?;
        let mut order: Vec<usize> = (0..categorical.len()).filter(|&at| categorical[at] != 0).collect();
        if order.len() != encoders.len() || categorical.len() != features {
            return Err(wrong());
        }
        order.extend((0..features).filter(|&at| categorical[at] == 0));
        Ok(Self::Encoded { order, encoders })
    }

    fn features(&self) -> usize {
        match self {
            Self::Plain(features) => *features,
            Self::Encoded { order, .. } => order.len(),
        }
    }

    fn takes(&self) -> Takes {
        let Self::Encoded { order, encoders } = self else { return Takes::Numbers };
        let mut cells = vec![Cell::Number; order.len()];
        for (&at, encoder) in order.iter().zip(encoders) {
            cells[at] = encoder.cell();
        }
        if cells.iter().all(|it| *it == Cell::Number) { Takes::Numbers } else { Takes::Table(cells) }
    }

    /// Returns the columns of the trees, row-major.
    fn numbers<'b>(&self, batch: &'b Batch<'_>) -> Result<Cow<'b, [f64]>, Error> {
        let Self::Encoded { order, encoders } = self else { return batch.numbers() };
        let columns = batch.columns()?;
        let mut out = vec![0.0; batch.rows() * order.len()];
        for (place, &from) in order.iter().enumerate() {
            let values = match (encoders.get(place), &columns[from]) {
                (Some(encoder), column) => Cow::Owned(encode(encoder, column, from)?),
                (None, Column::Numbers(values)) => Cow::Borrowed(&**values),
                (None, Column::Texts(_)) => {
                    return Err(Error::invalid(format!(
                        "column {from} holds strings, the model takes numbers there"
                    )));
                }
            };
            for (row, &value) in out.chunks_exact_mut(order.len()).zip(&*values) {
                row[place] = value;
            }
        }
        Ok(Cow::Owned(out))
    }
}

/// Returns the place of each category; what is missing or none of them is missing to the trees.
fn encode(categories: &Categories, column: &Column<'_>, at: usize) -> Result<Vec<f64>, Error> {
    if let Column::Numbers(values) = column
        && let Some(row) = values.iter().position(|it| it.is_infinite())
    {
        return Err(Error::invalid(format!(
            "input contains infinity in row {row}, column {at}; the model takes finite or missing numbers only"
        )));
    }
    let mut places = categories.find(column, at, |place| place as f64, |_| Ok(f64::NAN))?;
    if let Column::Numbers(values) = column {
        // A missing value may be among the categories, and is missing to the trees all the same.
        places
            .iter_mut()
            .zip(&**values)
            .filter(|(_, value)| value.is_nan())
            .for_each(|(it, _)| *it = f64::NAN);
    }
    Ok(places)
}

struct Regression {
    boosted: Boosted,
    exponential: bool,
}

impl Regressor for Regression {
    fn features(&self) -> usize {
        self.boosted.columns.features()
    }

    fn takes(&self) -> Takes {
        self.boosted.columns.takes()
    }

    fn regress(&self, batch: &Batch<'_>) -> Result<Vec<f64>, Error> {
        let mut sums = self.boosted.sums(batch)?;
        if self.exponential {
            sums.iter_mut().for_each(|it| *it = it.exp());
        }
        Ok(sums)
    }

    fn row_ns(&self) -> f64 {
        self.boosted.row_ns()
    }
}

struct Classification {
    boosted: Boosted,
    classes: Labels,
    by_scores: bool,
}

impl Classification {
    fn probabilities(&self, sums: &[f64]) -> Vec<f64> {
        if self.boosted.baseline.len() == 1 {
            return sums.iter().map(|&it| logistic(it)).flat_map(|second| [1.0 - second, second]).collect();
        }
        let mut all = sums.to_vec();
        all.chunks_exact_mut(self.boosted.baseline.len()).for_each(softmax);
        all
    }
}

impl Classifier for Classification {
    fn features(&self) -> usize {
        self.boosted.columns.features()
    }

    fn takes(&self) -> Takes {
        self.boosted.columns.takes()
    }

    fn classes(&self) -> &Labels {
        &self.classes
    }

    fn has_probabilities(&self) -> bool {
        true
    }

    fn scores(&self) -> Option<Scores> {
        Some(Scores::of(self.boosted.baseline.len()))
    }

    fn classify(&self, batch: &Batch<'_>, wanted: Wanted) -> Result<Answer, Error> {
        let sums = self.boosted.sums(batch)?;
        let mut answer = Answer::default();
        if wanted.probabilities || (wanted.classes && !self.by_scores) {
            answer.probabilities = self.probabilities(&sums);
        }
        if wanted.classes {
            answer.classes = if self.by_scores {
                sums.chunks_exact(self.boosted.baseline.len()).map(class).collect()
            } else {
                let rows = answer.probabilities.chunks_exact(self.classes.len());
                rows.map(|row| argmax(row) as u32).collect()
            };
        }
        if !wanted.probabilities {
            answer.probabilities.clear();
        }
        if wanted.scores {
            answer.scores = sums;
        }
        Ok(answer)
    }

    fn row_ns(&self) -> f64 {
        self.boosted.row_ns() + 10.0 * self.classes.len() as f64
    }
}
