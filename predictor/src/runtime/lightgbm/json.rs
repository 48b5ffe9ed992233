//! The JSON of `Booster.dump_model`, in which trees are nested objects. LightGBM itself cannot read it back.

use weir_sdk::proto::json::{JsonError, Kind, Limits, Reader};

use super::forest::{Forest, Missing, Set, Split, Test};
use super::header::Header;
use super::{Booster, Fault};

/// Returns whether a file begins as a dump does: with a key that other files have not, or with a value that is a dump's.
pub(super) fn begins(head: &[u8]) -> bool {
    let mut reader = Reader::new(head);
    let mut begin = || -> Result<bool, JsonError> {
        reader.begin_object()?;
        Ok(match reader.next_key()?.as_deref() {
            Some("name") => reader.string()? == "tree",
            Some("version") => reader.peek()? == Kind::String && reader.string()?.starts_with('v'),
            Some(key) => KEYS.contains(&key),
            None => false,
        })
    };
    begin().unwrap_or(false)
}

const KEYS: [&str; 14] = [
    "name",
    "version",
    "num_class",
    "num_tree_per_iteration",
    "max_feature_idx",
    "objective",
    "average_output",
    "feature_names",
    "tree_info",
    // What training has seen, which no answer depends on.
    "label_index",
    "feature_infos",
    "feature_importances",
    "monotone_constraints",
    "pandas_categorical",
];

/// Reads a whole document.
pub(super) fn read(bytes: &[u8]) -> Result<Booster, Fault> {
    let mut reader = Reader::with_limits(bytes, Limits { depth: Limits::MAX_DEPTH });
    let mut header = Header::default();
    let mut forest = Forest::default();
    reader.begin_object()?;
    while let Some(key) = reader.next_key()? {
        match &*key {
            "version" => header.version = Some(reader.string()?.into_owned()),
            "num_class" => header.classes = Some(integer(&mut reader)?),
            "num_tree_per_iteration" => header.per_iteration = Some(integer(&mut reader)?),
            "max_feature_idx" => header.last_feature = Some(integer(&mut reader)?),
            "objective" => header.objective = Some(reader.string()?.into_owned()),
            "average_output" => header.average = reader.boolean()?,
            "feature_names" => {
                reader.begin_array()?;
                let mut ahead = reader.clone();
                let mut names = 0;
                while ahead.next_element()? {
                    ahead.skip()?;
                    names += 1;
                }
                header.reserve(names);
                while reader.next_element()? {
                    header.column(&reader.string()?);
                }
            }
            "tree_info" => {
                reader.begin_array()?;
                while reader.next_element()? {
                    tree(&mut reader, &mut forest)?;
                }
            }
            known if KEYS.contains(&known) => reader.skip()?,
            unknown => return Err(unsupported(unknown, &reader)),
        }
    }
    reader.finish()?;
    header.finish(forest, "lightgbm_json")
}

fn integer(reader: &mut Reader<'_>) -> Result<i64, Fault> {
    let wrong = reader.clone();
    match reader.number()? {
        weir_sdk::proto::json::Number::Int(value) => Ok(value),
        _ => Err(wrong.expected("an integer").into()),
    }
}

fn unsupported(key: &str, reader: &Reader<'_>) -> Fault {
    let key: String = key.chars().take(40).collect();
    Fault::Unsupported {
        what: format!("`{key}` before byte {}", reader.offset()),
        advice: "it may change what the model answers; write the model with LightGBM 2.2 to 4",
    }
}

/// Reads one element of `tree_info` and plants it.
fn tree(reader: &mut Reader<'_>, forest: &mut Forest) -> Result<(), Fault> {
    let at = forest.len();
    let mut planted = false;
    reader.begin_object()?;
    while let Some(key) = reader.next_key()? {
        match &*key {
            "tree_structure" if !planted => {
                planted = true;
                Tree::default().read(reader, forest)?.plant(forest)?;
            }
            // The values are scaled by `shrinkage` already.
            "tree_index" | "num_leaves" | "num_cat" | "shrinkage" => reader.skip()?,
            unknown => return Err(unsupported(unknown, reader)),
        }
    }
    if planted { Ok(()) } else { Err(Fault::malformed(format!("tree {at} has no `tree_structure`"))) }
}

/// What was read of a tree: children before their parents.
#[derive(Default)]
struct Tree {
    splits: Vec<Split>,
    values: Vec<f64>,
    /// How many leaves are linear: none or all.
    linear: usize,
}

/// What was read of a node.
#[derive(Default)]
struct Node {
    feature: Option<i64>,
    threshold: Option<f64>,
    set: Option<Set>,
    by_category: bool,
    default_left: bool,
    missing: Option<Missing>,
    left: Option<i64>,
    right: Option<i64>,
    value: Option<f64>,
    constant: Option<f64>,
    /// Terms of a linear leaf: how many features there were, and how many coefficients.
    terms: [usize; 2],
    /// It is its parent's right child.
    is_right: bool,
}

impl Tree {
    /// Reads the nodes, which are nested, without nesting calls.
    fn read(mut self, reader: &mut Reader<'_>, forest: &mut Forest) -> Result<Self, Fault> {
        let mut open = Vec::new();
        let mut node = Node::default();
        reader.begin_object()?;
        loop {
            match reader.next_key()?.as_deref() {
                Some(side @ ("left_child" | "right_child")) => {
                    reader.begin_object()?;
                    let child = Node { is_right: side == "right_child", ..Node::default() };
                    open.push(std::mem::replace(&mut node, child));
                }
                Some(key) => node.read(key, reader, forest)?,
                None => {
                    let is_right = node.is_right;
                    let number = self.close(&node, forest).map_err(|what| {
                        Fault::Malformed(format!(
                            "the node of tree {} before byte {} {what}",
                            forest.len(),
                            reader.offset()
                        ))
                    })?;
                    let Some(parent) = open.pop() else { return Ok(self) };
                    node = parent;
                    *(if is_right { &mut node.right } else { &mut node.left }) = Some(number);
                }
            }
        }
    }

    /// Ends a node and returns its number.
    fn close(&mut self, node: &Node, forest: &mut Forest) -> Result<i64, &'static str> {
        let number = |it: usize| i64::try_from(it).map_err(|_| "is one of too many");
        if let (None, None, Some(value)) = (node.left, node.right, node.value) {
            self.values.push(value);
            if let Some(constant) = node.constant {
                self.linear += 1;
                forest.linear().leaf(constant, node.terms[0]).map_err(|_| "has too many terms")?;
            }
            if node.terms[0] != node.terms[1] || (node.constant.is_none() && node.terms[0] > 0) {
                return Err("has not one `leaf_const` and as many `leaf_coeff` as `leaf_features`");
            }
            return number(self.values.len()).map(|it| -it);
        }
        if node.terms != [0, 0] {
            return Err("has the terms of a leaf, and children");
        }
        let (Some(feature), Some(left), Some(right)) = (node.feature, node.left, node.right) else {
            return Err(
                "is no split (`split_feature`, `left_child`, `right_child`) and no leaf (`leaf_value`)",
            );
        };
        let test = match (node.by_category, node.set, node.threshold, node.missing) {
            (true, Some(set), None, _) => Test::Set(set),
            (false, None, Some(threshold), Some(missing)) => {
                Test::Threshold { threshold, missing, default_left: node.default_left }
            }
            _ => {
                return Err(
                    "has a `threshold` that does not fit its `decision_type`, or lacks its `missing_type`",
                );
            }
        };
        self.splits.push(Split { feature, test, left, right });
        number(self.splits.len() - 1)
    }

    fn plant(self, forest: &mut Forest) -> Result<(), Fault> {
        let tree = forest.len();
        let leaves = self.values.len();
        if self.linear != 0 && self.linear != leaves {
            return Err(Fault::malformed(format!("some leaf of the linear tree {tree} has no `leaf_const`")));
        }
        // A forest takes parents before their children.
        let last = i64::try_from(self.splits.len()).unwrap_or(i64::MAX) - 1;
        let turned = |it: i64| if it < 0 { it } else { last - it };
        let splits = self.splits.into_iter().rev();
        let splits = splits.map(|it| Ok(Split { left: turned(it.left), right: turned(it.right), ..it }));
        forest.plant(leaves, splits, self.values.into_iter().map(Ok))
    }
}

impl Node {
    fn read(&mut self, key: &str, reader: &mut Reader<'_>, forest: &mut Forest) -> Result<(), Fault> {
        match key {
            "split_feature" => self.feature = Some(integer(reader)?),
            "threshold" if reader.peek()? == Kind::String => {
                let place = reader.clone();
                let set = set(&reader.string()?, forest);
                self.set = Some(set.ok_or_else(|| place.expected("ascending categories such as `1||2`"))?);
            }
            "threshold" => {
                // JSON has no infinity; this is what a dump has in its place.
                let threshold = reader.float()?;
                self.threshold = Some(if threshold == 1e300 { f64::INFINITY } else { threshold });
            }
            "decision_type" => {
                let place = reader.clone();
                self.by_category = match &*reader.string()? {
                    "==" => true,
                    "<=" => false,
                    _ => return Err(place.expected("`<=` or `==`").into()),
                }
            }
            "default_left" => self.default_left = reader.boolean()?,
            "missing_type" => {
                let place = reader.clone();
                self.missing = Some(match &*reader.string()? {
                    "None" => Missing::None,
                    "Zero" => Missing::Zero,
                    "NaN" => Missing::Nan,
                    _ => return Err(place.expected("`None`, `Zero` or `NaN`").into()),
                });
            }
            "leaf_value" => self.value = Some(reader.float()?),
            "leaf_const" => self.constant = Some(reader.float()?),
            // Leaves hold no nodes, so the terms come leaf by leaf, as the forest wants them.
            "leaf_features" => {
                reader.begin_array()?;
                while reader.next_element()? {
                    let place = reader.clone();
                    let feature = u32::try_from(integer(reader)?);
                    forest.linear().term(feature.map_err(|_| place.expected("the number of a feature"))?)?;
                    self.terms[0] += 1;
                }
            }
            "leaf_coeff" => {
                reader.begin_array()?;
                while reader.next_element()? {
                    forest.linear().coefficient(reader.float()?);
                    self.terms[1] += 1;
                }
            }
            "split_index" | "split_gain" | "internal_value" | "internal_weight" | "internal_count"
            | "leaf_index" | "leaf_weight" | "leaf_count" => reader.skip()?,
            unknown => return Err(unsupported(unknown, reader)),
        }
        Ok(())
    }
}

/// Reads the categories that go left, such as `1||2||5`.
fn set(text: &str, forest: &mut Forest) -> Option<Set> {
    let numbers = text.split("||").filter(|it| !it.is_empty());
    let categories: Vec<u32> = numbers.map(|it| it.parse().ok()).collect::<Option<_>>()?;
    if categories.is_sorted() { forest.list(&categories) } else { None }
}
