//! A model file's contents, whichever of the two formats it is in: straight into the forest, no tree of values in between.
//!
//! The layout is XGBoost's `doc/model.schema`; files from 1.0 on are read, and what predicting does not need is skipped.

use weir_sdk::proto::Categories;

use super::Fault;
use super::Scorer;
use super::forest::Arrays;
use super::linear::Linear;
use super::objective;
use super::source::Source;
use super::walk::Forest;
use crate::runtime::MAX_COLUMNS;

/// More outputs than any model has; what a row's answer may take.
const MAX_OUTPUTS: usize = 1 << 16;

/// All that predicting needs.
pub(super) struct File {
    pub(super) scorer: Scorer,
    /// Margins a row.
    pub(super) outputs: usize,
    pub(super) features: usize,
    /// One, or one an output.
    pub(super) base_scores: Vec<f32>,
    pub(super) objective: String,
    /// They are margins already, and not in the space of the answers.
    pub(super) scores_are_margins: bool,
    /// Major and minor version of the XGBoost that wrote it.
    pub(super) version: (u32, u32),
    /// The features' names, or none.
    pub(super) columns: Vec<String>,
    /// The names of categories, of those columns that have any.
    pub(super) categories: Vec<(usize, Categories)>,
    pub(super) rounds: Rounds,
    /// The round, counted from zero, that early stopping found to be the best.
    pub(super) best_iteration: Option<usize>,
}

/// Which trees a round of training added.
#[derive(Debug, Default)]
pub(super) struct Rounds {
    /// Where the trees of each round begin, and where those of the last end; empty in files before 2.0.
    starts: Vec<i32>,
    /// How many a round has in files that do not tell where they begin.
    trees: usize,
}

impl Rounds {
    /// Returns how many trees the first rounds have.
    pub(super) fn trees(&self, rounds: usize) -> usize {
        match self.starts.get(rounds).or(self.starts.last()) {
            Some(&end) => usize::try_from(end).unwrap_or(0),
            None => self.trees.saturating_mul(rounds),
        }
    }
}

/// What was met so far; the keys of a file come in any order.
#[derive(Default)]
pub(super) struct Parts {
    pub(super) version: Vec<i32>,
    pub(super) objective: Option<String>,
    pub(super) params: Params,
    /// Empty where `params` has them as text.
    pub(super) base_scores: Vec<f32>,
    pub(super) scores_are_margins: bool,
    columns: Vec<String>,
    categories: Vec<(usize, Categories)>,
    /// How many features have names.
    named: usize,
    pub(super) booster: Option<String>,
    pub(super) forest: Forest,
    pub(super) tree_outputs: Vec<i32>,
    pub(super) tree_weights: Vec<f32>,
    pub(super) linear_weights: Vec<f32>,
    round_starts: Vec<i32>,
    /// Trees of a round for the same output; 0 where the file does not tell.
    pub(super) parallel: usize,
    pub(super) best_iteration: Option<usize>,
}

/// `learner_model_param`, in which numbers are strings.
#[derive(Default)]
pub(super) struct Params {
    base_score: Option<String>,
    pub(super) classes: usize,
    pub(super) targets: usize,
    pub(super) features: usize,
}

/// Reads a whole document.
pub(super) fn read<'a>(source: &mut impl Source<'a>) -> Result<File, Fault> {
    let mut parts = Parts::default();
    let mut found = false;
    source.begin_object()?;
    while let Some(key) = source.next_key()? {
        match &*key {
            // What a pickled booster holds: the model, and the settings of the moment.
            "Model" => {
                source.begin_object()?;
                while let Some(key) = source.next_key()? {
                    found |= parts.document(source, &key)?;
                }
            }
            "Config" => parts.config(source)?,
            _ => found |= parts.document(source, &key)?,
        }
    }
    source.finish()?;
    if !found {
        return Err(Fault::malformed("there is no `learner` in it, so it is not a model that XGBoost saved"));
    }
    parts.assemble()
}

impl Parts {
    /// Reads what stands beside that key in a model; returns whether it was the learner.
    fn document<'a>(&mut self, source: &mut impl Source<'a>, key: &str) -> Result<bool, Fault> {
        match key {
            "learner" => self.learner(source)?,
            "version" => self.version = source.integers()?,
            _ => source.skip()?,
        }
        Ok(key == "learner")
    }

    /// Reads the settings for how many trees a round has, which models before 1.6 do not tell.
    pub(super) fn config<'a>(&mut self, source: &mut impl Source<'a>) -> Result<(), Fault> {
        source.begin_object()?;
        while let Some(key) = source.next_key()? {
            match &*key {
                // The depth of the document bounds the recursion.
                "learner" | "gradient_booster" | "gbtree" => self.config(source)?,
                "gbtree_train_param" => self.parallel(source)?,
                _ => source.skip()?,
            }
        }
        Ok(())
    }

    fn parallel<'a>(&mut self, source: &mut impl Source<'a>) -> Result<(), Fault> {
        source.begin_object()?;
        while let Some(key) = source.next_key()? {
            match &*key {
                "num_parallel_tree" => self.parallel = count(source, &key)?,
                _ => source.skip()?,
            }
        }
        Ok(())
    }

    fn attributes<'a>(&mut self, source: &mut impl Source<'a>) -> Result<(), Fault> {
        source.begin_object()?;
        while let Some(key) = source.next_key()? {
            match &*key {
                "best_iteration" => self.best_iteration = Some(count(source, &key)?),
                _ => source.skip()?,
            }
        }
        Ok(())
    }

    fn learner<'a>(&mut self, source: &mut impl Source<'a>) -> Result<(), Fault> {
        source.begin_object()?;
        while let Some(key) = source.next_key()? {
            match &*key {
                "learner_model_param" => self.params(source)?,
                "gradient_booster" => self.booster(source)?,
                "objective" => self.objective = name(source)?,
                "attributes" => self.attributes(source)?,
                "feature_names" => {
                    source.begin_array()?;
                    let mut ahead = source.clone();
                    let mut names = 0;
                    while ahead.next_element()? {
                        ahead.skip()?;
                        names += 1;
                    }
                    self.named = names;
                    let wanted = if names <= MAX_COLUMNS { names } else { 0 };
                    self.columns = Vec::with_capacity(wanted);
                    while source.next_element()? {
                        let name = source.string()?;
                        if wanted > 0 {
                            self.columns.push(name.into_owned());
                        }
                    }
                }
                _ => source.skip()?,
            }
        }
        Ok(())
    }

    fn params<'a>(&mut self, source: &mut impl Source<'a>) -> Result<(), Fault> {
        source.begin_object()?;
        while let Some(key) = source.next_key()? {
            match &*key {
                "base_score" => self.params.base_score = Some(source.string()?.into_owned()),
                "num_class" => self.params.classes = count(source, &key)?,
                "num_target" => self.params.targets = count(source, &key)?,
                "num_feature" => self.params.features = count(source, &key)?,
                _ => source.skip()?,
            }
        }
        Ok(())
    }

    fn booster<'a>(&mut self, source: &mut impl Source<'a>) -> Result<(), Fault> {
        source.begin_object()?;
        while let Some(key) = source.next_key()? {
            match &*key {
                "name" => self.booster = Some(source.string()?.into_owned()),
                "model" => self.model(source)?,
                "weight_drop" => self.tree_weights = source.floats()?,
                // The trees of `dart` lie one level deeper.
                "gbtree" => {
                    source.begin_object()?;
                    while let Some(key) = source.next_key()? {
                        match &*key {
                            "model" => self.model(source)?,
                            _ => source.skip()?,
                        }
                    }
                }
                _ => source.skip()?,
            }
        }
        Ok(())
    }

    fn model<'a>(&mut self, source: &mut impl Source<'a>) -> Result<(), Fault> {
        source.begin_object()?;
        while let Some(key) = source.next_key()? {
            match &*key {
                "trees" => {
                    source.begin_array()?;
                    while source.next_element()? {
                        tree(source, &mut self.forest)?;
                    }
                }
                "tree_info" => self.tree_outputs = source.integers()?,
                // XGBoost after 3.4 writes it here and calls the booster `gbtree`.
                "weight_drop" => self.tree_weights = source.floats()?,
                "weights" => self.linear_weights = source.floats()?,
                "iteration_indptr" => self.round_starts = source.integers()?,
                "cats" => self.categories(source)?,
                "gbtree_model_param" => self.parallel(source)?,
                _ => source.skip()?,
            }
        }
        Ok(())
    }

    /// Reads the names of categories, which are there since 3.1 when the model was trained on a data frame.
    fn categories<'a>(&mut self, source: &mut impl Source<'a>) -> Result<(), Fault> {
        source.begin_object()?;
        while let Some(key) = source.next_key()? {
            if &*key != "enc" {
                source.skip()?;
                continue;
            }
            source.begin_array()?;
            let mut column = 0;
            while source.next_element()? {
                if let Some(categories) = categories(source)? {
                    self.categories.push((column, categories));
                }
                column += 1;
            }
        }
        Ok(())
    }

    pub(super) fn assemble(mut self) -> Result<File, Fault> {
        let features = self.params.features;
        if features == 0 {
            return Err(Fault::malformed("`num_feature` is missing or 0"));
        }
        let outputs = self.params.classes.max(self.params.targets).max(1);
        if outputs > MAX_OUTPUTS || (self.params.classes > 1 && self.params.targets > 1) {
            let Params { classes, targets, .. } = self.params;
            return Err(Fault::malformed(format!(
                "a model of {classes} classes and {targets} targets cannot be"
            )));
        }
        if self.named > 0 && self.named != features {
            let named = self.named;
            return Err(Fault::malformed(format!("`feature_names` names {named} of {features} features")));
        }
        let scorer = match self.booster.as_deref() {
            Some("gbtree" | "dart") => {
                if self.forest.features() > features {
                    let tested = self.forest.features() - 1;
                    return Err(Fault::malformed(format!(
                        "a tree tests feature {tested}, `num_feature` is {features}"
                    )));
                }
                self.forest.assign(&self.tree_outputs, &self.tree_weights, outputs)?;
                Scorer::Forest(Box::new(self.forest))
            }
            Some("gblinear") => Scorer::Linear(Linear::new(self.linear_weights, features, outputs)?),
            Some(other) => {
                return Err(Fault::Unsupported {
                    what: format!("the booster `{other}`"),
                    advice: "train the model with `gbtree`, `dart` or `gblinear`",
                });
            }
            None => return Err(Fault::malformed("`gradient_booster` is missing or has no `name`")),
        };
        let number = |at: usize| self.version.get(at).and_then(|&it| u32::try_from(it).ok()).unwrap_or(0);
        let version = (number(0), number(1));
        // Until 3.2 texts that are not ASCII are cut off in the file, which counts their characters where it means bytes.
        let is_whole = |it: &Categories| version > (3, 2) || it.are_ascii();
        self.categories.retain(|(column, it)| *column < self.columns.len() && is_whole(it));
        let objective =
            self.objective.ok_or_else(|| Fault::malformed("`objective` is missing or has no `name`"))?;
        // Said before anything else is found wrong: a new objective may come with parts that make no sense here.
        objective::find(&objective, version)?;
        let base_scores = match self.base_scores {
            none if none.is_empty() => base_scores(self.params.base_score.as_deref().unwrap_or("5E-1"))?,
            some => some,
        };
        let trees = match &scorer {
            Scorer::Forest(forest) if forest.has_vectors() => self.parallel.max(1),
            Scorer::Forest(_) | Scorer::Linear(_) => self.parallel.max(1).saturating_mul(outputs),
        };
        Ok(File {
            scorer,
            outputs,
            features,
            base_scores,
            scores_are_margins: self.scores_are_margins,
            objective,
            version,
            columns: self.columns,
            categories: self.categories,
            rounds: Rounds { starts: self.round_starts, trees },
            best_iteration: self.best_iteration,
        })
    }
}

/// Reads the categories of a column: UTF-8 and where each text begins, or numbers. `None` where there are none, or what makes no
/// texts, or numbers of more than 32 bits: those are then known by their places alone.
fn categories<'a>(source: &mut impl Source<'a>) -> Result<Option<Categories>, Fault> {
    let (mut starts, mut values) = (Vec::new(), Some(Vec::new()));
    source.begin_object()?;
    while let Some(key) = source.next_key()? {
        match &*key {
            "offsets" => starts = source.integers()?,
            "values" => {
                let mut ahead = source.clone();
                values = source.integers().ok();
                if values.is_none() {
                    ahead.skip()?;
                    *source = ahead;
                }
            }
            _ => source.skip()?,
        }
    }
    let Some(values) = values.filter(|it| !it.is_empty()) else { return Ok(None) };
    let read = if starts.is_empty() {
        Categories::numbers(values.into_iter().map(f64::from))
    } else {
        // Files have the bytes of texts as numbers with a sign.
        let bytes = values.into_iter().map(|it| i8::try_from(it).map(i8::cast_unsigned).ok());
        let ends = starts.iter().skip(1).map(|&it| u32::try_from(it).ok());
        let parts = bytes.collect::<Option<_>>().zip(ends.collect::<Option<_>>());
        parts.filter(|_| starts[0] == 0).and_then(|(bytes, ends)| Categories::texts(bytes, ends))
    };
    Ok(read.map(Categories::closed))
}

/// Reads an object for its `name`.
fn name<'a>(source: &mut impl Source<'a>) -> Result<Option<String>, Fault> {
    let mut name = None;
    source.begin_object()?;
    while let Some(key) = source.next_key()? {
        match &*key {
            "name" => name = Some(source.string()?.into_owned()),
            _ => source.skip()?,
        }
    }
    Ok(name)
}

/// Reads a count that is written as a string.
fn count<'a>(source: &mut impl Source<'a>, key: &str) -> Result<usize, Fault> {
    let text = source.string()?;
    text.parse().map_err(|_| Fault::malformed(format!("`{key}` is `{text}`, expected a count")))
}

/// Reads `5E-1` (until 3.0) or `[5E-1,2.5E-1]` (since 3.1).
fn base_scores(text: &str) -> Result<Vec<f32>, Fault> {
    let list = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    list.split(',').map(|number| number.trim().parse().ok()).collect::<Option<Vec<f32>>>().ok_or_else(|| {
        Fault::malformed(format!("`base_score` is `{text}`, expected a number or several in brackets"))
    })
}

/// Reads one tree and plants it.
fn tree<'a>(source: &mut impl Source<'a>, forest: &mut Forest) -> Result<(), Fault> {
    let mut arrays = Arrays::default();
    source.begin_object()?;
    while let Some(key) = source.next_key()? {
        match &*key {
            "left_children" => arrays.left = source.integers()?,
            "right_children" => arrays.right = source.integers()?,
            "split_indices" => arrays.feature = source.integers()?,
            "split_conditions" => arrays.condition = source.floats()?,
            "default_left" => arrays.default_left = source.integers()?,
            "split_type" => arrays.split_type = source.integers()?,
            "categories" => arrays.categories = source.integers()?,
            "categories_nodes" => arrays.category_nodes = source.integers()?,
            "categories_segments" => arrays.category_starts = source.integers()?,
            "categories_sizes" => arrays.category_counts = source.integers()?,
            "base_weights" => arrays.weights = source.floats()?,
            "leaf_weights" => arrays.leaf_weights = source.floats()?,
            "tree_param" => arrays.leaf_size = leaf_size(source)?,
            _ => source.skip()?,
        }
    }
    forest.push(&arrays)
}

/// Reads `tree_param` for how many numbers a leaf holds.
fn leaf_size<'a>(source: &mut impl Source<'a>) -> Result<usize, Fault> {
    let mut size = 0;
    source.begin_object()?;
    while let Some(key) = source.next_key()? {
        match &*key {
            "size_leaf_vector" => size = count(source, &key)?,
            _ => source.skip()?,
        }
    }
    Ok(size)
}
