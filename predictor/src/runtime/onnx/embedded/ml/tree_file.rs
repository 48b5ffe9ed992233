//! Trees as the attributes of `TreeEnsembleClassifier`, `TreeEnsembleRegressor` and `TreeEnsemble` write them, checked to be trees,
//! and laid out for walking.

use std::collections::HashMap;

use bytes::Bytes;
use weir_sdk::Tensor;

use super::super::super::super::Fault;
use super::super::attributes::{Setting, unsupported};
use super::super::value::{as_doubles, as_integers};
use super::walk::{EQUAL, FEATURE, Forest, NAN_YES, Node, Tested, Tree};

/// How a node tests a feature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    AtMost,
    Below,
    AtLeast,
    Above,
    Equal,
    NotEqual,
    Leaf,
}

/// A node as it is written. Children and leaves are places in lists.
#[derive(Debug, Clone, Copy)]
pub(super) struct Written {
    pub(super) mode: Mode,
    pub(super) feature: u32,
    pub(super) threshold: f64,
    pub(super) nan_yes: bool,
    pub(super) yes: usize,
    pub(super) no: usize,
}

/// What a leaf adds to a target.
#[derive(Debug, Clone, Copy)]
pub(super) struct Weight {
    pub(super) target: u32,
    pub(super) value: f64,
}

/// Trees as they are written.
pub(super) struct File {
    pub(super) nodes: Vec<Written>,
    pub(super) roots: Vec<usize>,
    /// For each node the weights it adds as a leaf.
    pub(super) weights: Vec<Vec<Weight>>,
    pub(super) base: Vec<f64>,
    /// Numbers were written as doubles.
    pub(super) doubles: bool,
}

/// Trees laid out, and what their leaves add.
pub(super) struct Laid<T> {
    pub(super) forest: Forest<T>,
    /// For each node the weights it adds: from this place to that of the next.
    pub(super) spans: Vec<u32>,
    pub(super) weights: Vec<(u32, T)>,
}

/// Takes a list of numbers that may be written as a tensor.
fn numbers(setting: &mut Setting, name: &str, doubles: &mut bool) -> Result<Vec<f64>, Fault> {
    let singles = setting.floats(name)?;
    match setting.tensor(&format!("{name}_as_tensor"))? {
        Some(it) => {
            *doubles |= it.datatype() == weir_sdk::DataType::Fp64;
            listed(&it)
        }
        None => Ok(singles.into_iter().map(f64::from).collect()),
    }
}

pub(super) fn listed(it: &Tensor) -> Result<Vec<f64>, Fault> {
    as_doubles(it).map(std::borrow::Cow::into_owned).map_err(|trouble| Fault::malformed(trouble.text()))
}

impl File {
    /// Takes the attributes of versions 1 to 3; `kind` is `class` or `target`.
    pub(super) fn take(setting: &mut Setting, kind: &str, targets: usize) -> Result<Self, Fault> {
        setting.ignore(&["nodes_hitrates", "nodes_hitrates_as_tensor"]);
        let mut doubles = false;
        let trees = setting.ints("nodes_treeids")?;
        let ids = setting.ints("nodes_nodeids")?;
        let features = setting.ints("nodes_featureids")?;
        let thresholds = numbers(setting, "nodes_values", &mut doubles)?;
        let modes = setting.texts("nodes_modes")?;
        let (yes, no) = (setting.ints("nodes_truenodeids")?, setting.ints("nodes_falsenodeids")?);
        let missing = setting.ints("nodes_missing_value_tracks_true")?;
        let count = trees.len();
        let lengths = [ids.len(), features.len(), thresholds.len(), modes.len(), yes.len(), no.len()];
        if count == 0
            || lengths.iter().any(|&it| it != count)
            || !(missing.is_empty() || missing.len() == count)
        {
            return Err(Fault::malformed(format!(
                "its lists of nodes have the lengths {count} and {lengths:?}"
            )));
        }
        let mut places = HashMap::with_capacity(count);
        for (at, key) in trees.iter().copied().zip(ids.iter().copied()).enumerate() {
            if places.insert(key, at).is_some() {
                return Err(Fault::malformed(format!("node {} of tree {} is there twice", key.1, key.0)));
            }
        }
        let mut nodes = Vec::with_capacity(count);
        for at in 0..count {
            let mode = mode(&modes[at])?;
            let child = |id: i64| -> Result<usize, Fault> {
                if mode == Mode::Leaf {
                    return Ok(at);
                }
                let found = places.get(&(trees[at], id)).copied();
                found.ok_or_else(|| Fault::malformed(format!("tree {} has no node {id}", trees[at])))
            };
            nodes.push(Written {
                mode,
                feature: if mode == Mode::Leaf { 0 } else { feature(features[at])? },
                threshold: thresholds[at],
                nan_yes: missing.get(at).is_some_and(|&it| it != 0),
                yes: child(yes[at])?,
                no: child(no[at])?,
            });
        }
        let roots = (0..count).filter(|&at| at == 0 || trees[at] != trees[at - 1]).collect();
        let weights = leaf_weights(setting, kind, targets, &places, &mut doubles)?;
        let base = numbers(setting, "base_values", &mut doubles)?;
        Ok(Self { nodes, roots, weights, base, doubles })
    }

    /// Lays the trees out. Each node is reached once from its root, so that every walk ends.
    pub(super) fn lay<T: Tested>(&self) -> Result<Laid<T>, Fault> {
        let mut laid = Laid {
            forest: Forest {
                nodes: Vec::with_capacity(self.nodes.len()),
                trees: Vec::new(),
                features: 0,
                equal: false,
            },
            spans: vec![0],
            weights: Vec::new(),
        };
        let mut reached = vec![false; self.nodes.len()];
        for &root in &self.roots {
            let mut depth = 0;
            let first = laid.forest.nodes.len() as u32;
            // What is yet to be laid: a node, its depth, and the place that is to lead to it.
            let mut open = vec![(root, 0_u32, None)];
            while let Some((at, level, from)) = open.pop() {
                if std::mem::replace(&mut reached[at], true) {
                    return Err(Fault::malformed("a node of its trees is reached by two ways"));
                }
                depth = depth.max(level);
                let place = laid.forest.nodes.len() as u32;
                if let Some((parent, side)) = from {
                    let parent: &mut Node<T> = &mut laid.forest.nodes[parent as usize];
                    parent.next[side as usize] = place;
                }
                let written = &self.nodes[at];
                let (node, swapped) = self.node(at, written, place);
                laid.forest.nodes.push(node);
                laid.weights.extend(self.weights[at].iter().map(|it| (it.target, T::of_double(it.value))));
                laid.spans.push(laid.weights.len() as u32);
                if written.mode != Mode::Leaf {
                    laid.forest.features = laid.forest.features.max(written.feature as usize + 1);
                    laid.forest.equal |= node.feature & EQUAL != 0;
                    let (yes, no) =
                        if swapped { (written.no, written.yes) } else { (written.yes, written.no) };
                    open.push((yes, level + 1, Some((place, 1_u32))));
                    // It comes next, right behind its parent.
                    open.push((no, level + 1, Some((place, 0))));
                }
            }
            laid.forest.trees.push(Tree { root: first, depth });
        }
        Ok(laid)
    }

    /// A node for walking, and whether its sides change places.
    fn node<T: Tested>(&self, at: usize, it: &Written, place: u32) -> (Node<T>, bool) {
        let threshold = T::of_double(it.threshold);
        let (threshold, flag, swapped) = match it.mode {
            Mode::Leaf => {
                let value = self.weights[at].first().map_or(0.0, |it| it.value);
                return (Node { threshold: T::of_double(value), feature: 0, next: [place; 2] }, false);
            }
            Mode::AtMost => (threshold, 0, false),
            Mode::Below => (threshold.below(), 0, false),
            Mode::Above => (threshold, 0, true),
            Mode::AtLeast => (threshold.below(), 0, true),
            Mode::Equal => (threshold, EQUAL, false),
            Mode::NotEqual => (threshold, EQUAL, true),
        };
        // What is no number goes the way of no, unless it is told otherwise; but it is equal to nothing.
        let yes = match it.mode {
            Mode::NotEqual => false,
            _ => it.nan_yes != swapped,
        };
        (
            Node { threshold, feature: it.feature | flag | if yes { NAN_YES } else { 0 }, next: [place; 2] },
            swapped,
        )
    }
}

fn feature(number: i64) -> Result<u32, Fault> {
    let found = u32::try_from(number).ok().filter(|&it| it < FEATURE);
    found.ok_or_else(|| Fault::malformed(format!("a node tests the feature {number}")))
}

fn mode(name: &Bytes) -> Result<Mode, Fault> {
    Ok(match &name[..] {
        b"BRANCH_LEQ" => Mode::AtMost,
        b"BRANCH_LT" => Mode::Below,
        b"BRANCH_GTE" => Mode::AtLeast,
        b"BRANCH_GT" => Mode::Above,
        b"BRANCH_EQ" => Mode::Equal,
        b"BRANCH_NEQ" => Mode::NotEqual,
        b"LEAF" => Mode::Leaf,
        other => return Err(unsupported(format!("the mode `{}`", other.escape_ascii()))),
    })
}

fn leaf_weights(
    setting: &mut Setting,
    kind: &str,
    targets: usize,
    places: &HashMap<(i64, i64), usize>,
    doubles: &mut bool,
) -> Result<Vec<Vec<Weight>>, Fault> {
    let trees = setting.ints(&format!("{kind}_treeids"))?;
    let nodes = setting.ints(&format!("{kind}_nodeids"))?;
    let ids = setting.ints(&format!("{kind}_ids"))?;
    let values = numbers(setting, &format!("{kind}_weights"), doubles)?;
    if [nodes.len(), ids.len(), values.len()].iter().any(|&it| it != trees.len()) {
        return Err(Fault::malformed("its lists of leaves differ in their lengths"));
    }
    let mut weights = vec![Vec::new(); places.len()];
    for at in 0..trees.len() {
        let found = places.get(&(trees[at], nodes[at]));
        let place = *found
            .ok_or_else(|| Fault::malformed(format!("tree {} has no leaf {}", trees[at], nodes[at])))?;
        weights[place].push(Weight { target: target(ids[at], targets)?, value: values[at] });
    }
    Ok(weights)
}

pub(super) fn target(id: i64, targets: usize) -> Result<u32, Fault> {
    let found = u32::try_from(id).ok().filter(|&it| (it as usize) < targets);
    found.ok_or_else(|| Fault::malformed(format!("a leaf adds to the target {id} of {targets}")))
}

impl File {
    /// Takes the attributes of `TreeEnsemble` of version 5.
    pub(super) fn take_fifth(setting: &mut Setting, targets: usize) -> Result<Self, Fault> {
        setting.ignore(&["nodes_hitrates"]);
        let tensor = |name: &str, setting: &mut Setting| -> Result<Tensor, Fault> {
            setting
                .tensor(name)?
                .ok_or_else(|| Fault::malformed(format!("its attribute `{name}` is missing")))
        };
        let splits = tensor("nodes_splits", setting)?;
        let doubles = splits.datatype() == weir_sdk::DataType::Fp64;
        let splits = listed(&splits)?;
        let modes = tensor("nodes_modes", setting)?;
        let modes = as_integers(&modes).map_err(|it| Fault::malformed(it.text()))?.into_owned();
        let values = listed(&tensor("leaf_weights", setting)?)?;
        let ids = setting.ints("leaf_targetids")?;
        let features = setting.ints("nodes_featureids")?;
        let (yes, no) = (setting.ints("nodes_truenodeids")?, setting.ints("nodes_falsenodeids")?);
        let (yes_leaf, no_leaf) = (setting.ints("nodes_trueleafs")?, setting.ints("nodes_falseleafs")?);
        let missing = setting.ints("nodes_missing_value_tracks_true")?;
        let roots = setting.ints("tree_roots")?;
        let members =
            setting.tensor("membership_values")?.map(|it| listed(&it)).transpose()?.unwrap_or_default();
        let count = splits.len();
        let lengths = [modes.len(), features.len(), yes.len(), no.len(), yes_leaf.len(), no_leaf.len()];
        let odd = lengths.iter().any(|&it| it != count) || !(missing.is_empty() || missing.len() == count);
        if count == 0 || odd || ids.len() != values.len() {
            return Err(Fault::malformed(format!(
                "its lists of nodes have the lengths {count} and {lengths:?}"
            )));
        }
        let mut builder = Fifth { nodes: Vec::new(), weights: Vec::new() };
        let mut sets = members.split(|it| it.is_nan());
        let mut leaves = Vec::with_capacity(values.len());
        for (&id, &value) in ids.iter().zip(&values) {
            leaves.push(Weight { target: target(id, targets)?, value });
        }
        // Inner nodes keep their places, leaves and the further members of sets come after.
        for at in 0..count {
            builder.nodes.push(Written {
                mode: mode_of_number(modes[at])?,
                feature: feature(features[at])?,
                threshold: splits[at],
                nan_yes: missing.get(at).is_some_and(|&it| it != 0),
                yes: at,
                no: at,
            });
            builder.weights.push(Vec::new());
        }
        for at in 0..count {
            let yes = builder.child(yes[at], yes_leaf[at] != 0, count, &leaves)?;
            let no = builder.child(no[at], no_leaf[at] != 0, count, &leaves)?;
            builder.nodes[at].yes = yes;
            builder.nodes[at].no = no;
            if modes[at] == MEMBER {
                builder.members(at, sets.next().unwrap_or_default())?;
            }
        }
        let roots = roots.iter().map(|&it| usize::try_from(it).ok().filter(|&it| it < count));
        let roots =
            roots.collect::<Option<Vec<_>>>().ok_or_else(|| Fault::malformed("its roots are no nodes"))?;
        Ok(Self { nodes: builder.nodes, roots, weights: builder.weights, base: Vec::new(), doubles })
    }
}

/// The number of a test of membership in a set.
const MEMBER: i64 = 6;

fn mode_of_number(number: i64) -> Result<Mode, Fault> {
    Ok(match number {
        0 => Mode::AtMost,
        1 => Mode::Below,
        2 => Mode::AtLeast,
        3 => Mode::Above,
        4 | MEMBER => Mode::Equal,
        5 => Mode::NotEqual,
        _ => return Err(unsupported(format!("the mode {number}"))),
    })
}

/// Nodes of version 5 while their leaves become nodes as well.
struct Fifth {
    nodes: Vec<Written>,
    weights: Vec<Vec<Weight>>,
}

impl Fifth {
    fn leaf(&mut self, weight: Weight) -> usize {
        let at = self.nodes.len();
        self.nodes.push(Written {
            mode: Mode::Leaf,
            feature: 0,
            threshold: 0.0,
            nan_yes: false,
            yes: at,
            no: at,
        });
        self.weights.push(vec![weight]);
        at
    }

    fn child(&mut self, id: i64, is_leaf: bool, count: usize, leaves: &[Weight]) -> Result<usize, Fault> {
        let at = usize::try_from(id).ok();
        // Each side gets a leaf of its own: a tree of one leaf names it on both sides.
        let found = if is_leaf {
            at.and_then(|at| leaves.get(at)).map(|&it| self.leaf(it))
        } else {
            at.filter(|&at| at < count)
        };
        found.ok_or_else(|| Fault::malformed(format!("a node leads to {id}, which is not there")))
    }

    /// Makes a test of membership a row of tests of equality: each leads to the next, and to a copy of the leaf they share.
    fn members(&mut self, at: usize, members: &[f64]) -> Result<(), Fault> {
        let (yes, no) = (self.nodes[at].yes, self.nodes[at].no);
        let Some((&first, others)) = members.split_first() else {
            return Err(Fault::malformed("a test of membership has no members"));
        };
        self.nodes[at].threshold = first;
        if !others.is_empty() && self.nodes[yes].mode != Mode::Leaf {
            // What they share may be reached from one of them only.
            return Err(unsupported("a test of membership that leads to more tests"));
        }
        let mut last = at;
        for &member in others {
            let copy = self.leaf(self.weights[yes][0]);
            let next = self.nodes.len();
            self.nodes.push(Written { threshold: member, yes: copy, no, ..self.nodes[at] });
            self.weights.push(Vec::new());
            self.nodes[last].no = next;
            last = next;
        }
        self.nodes[last].no = no;
        Ok(())
    }
}
