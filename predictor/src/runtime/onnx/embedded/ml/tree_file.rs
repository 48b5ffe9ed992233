//! Trees as the attributes of `TreeEnsembleClassifier`, `TreeEnsembleRegressor` and `TreeEnsemble` write them, checked to be trees,
//! and laid out for walking.

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
    pub(super) yes: u32,
    pub(super) no: u32,
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
    pub(super) roots: Vec<u32>,
    /// What leaves add.
    pub(super) weights: Weights,
    pub(super) base: Vec<f64>,
    /// Numbers were written as doubles.
    pub(super) doubles: bool,
}

/// What leaves add: those of a node lie together.
#[derive(Default)]
pub(super) struct Weights {
    /// For each node where its own begin; one more for the end.
    starts: Vec<u32>,
    list: Vec<Weight>,
}

impl Weights {
    /// Sorts weights by their nodes; those of one stay in their order.
    fn sorted(nodes: &[u32], weights: &[Weight], count: usize) -> Self {
        let mut starts = vec![0_u32; count + 1];
        nodes.iter().for_each(|&at| starts[at as usize + 1] += 1);
        for at in 1..starts.len() {
            starts[at] += starts[at - 1];
        }
        let mut next = starts.clone();
        let mut list = vec![Weight { target: 0, value: 0.0 }; weights.len()];
        for (&at, &weight) in nodes.iter().zip(weights) {
            list[next[at as usize] as usize] = weight;
            next[at as usize] += 1;
        }
        Self { starts, list }
    }

    fn of(&self, node: usize) -> &[Weight] {
        &self.list[self.starts[node] as usize..self.starts[node + 1] as usize]
    }

    pub(super) fn all(&self) -> &[Weight] {
        &self.list
    }
}

/// The places of nodes by tree and number, in order of both.
struct Places<'a> {
    trees: &'a [i64],
    ids: &'a [i64],
    order: Vec<u32>,
}

impl<'a> Places<'a> {
    fn new(trees: &'a [i64], ids: &'a [i64]) -> Result<Self, Fault> {
        let count = u32::try_from(trees.len()).map_err(|_| Fault::malformed("it has too many nodes"))?;
        let mut order: Vec<u32> = (0..count).collect();
        let key = |at: u32| (trees[at as usize], ids[at as usize]);
        // Writers have them in order.
        order.sort_by_key(|&at| key(at));
        if let Some(pair) = order.windows(2).find(|pair| key(pair[0]) == key(pair[1])) {
            let (tree, id) = key(pair[0]);
            return Err(Fault::malformed(format!("node {id} of tree {tree} is there twice")));
        }
        Ok(Self { trees, ids, order })
    }

    fn find(&self, tree: i64, id: i64) -> Result<u32, Fault> {
        let key = |at: &u32| (self.trees[*at as usize], self.ids[*at as usize]);
        let found = self.order.binary_search_by_key(&(tree, id), key);
        let at = found.map_err(|_| Fault::malformed(format!("tree {tree} has no node {id}")))?;
        Ok(self.order[at])
    }
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
        let places = Places::new(&trees, &ids)?;
        let mut nodes = Vec::with_capacity(count);
        for at in 0..count {
            let mode = mode(&modes[at])?;
            let child = |id: i64| match mode {
                Mode::Leaf => Ok(at as u32),
                _ => places.find(trees[at], id),
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
        let roots = (0..count).filter(|&at| at == 0 || trees[at] != trees[at - 1]);
        let roots = roots.map(|at| at as u32).collect();
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
            let mut open = vec![(root as usize, 0_u32, None)];
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
                laid.weights.extend(self.weights.of(at).iter().map(|it| (it.target, T::of_double(it.value))));
                laid.spans.push(laid.weights.len() as u32);
                if written.mode != Mode::Leaf {
                    laid.forest.features = laid.forest.features.max(written.feature as usize + 1);
                    laid.forest.equal |= node.feature & EQUAL != 0;
                    let (yes, no) =
                        if swapped { (written.no, written.yes) } else { (written.yes, written.no) };
                    open.push((yes as usize, level + 1, Some((place, 1_u32))));
                    // It comes next, right behind its parent.
                    open.push((no as usize, level + 1, Some((place, 0))));
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
                let value = self.weights.of(at).first().map_or(0.0, |it| it.value);
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
    places: &Places<'_>,
    doubles: &mut bool,
) -> Result<Weights, Fault> {
    let trees = setting.ints(&format!("{kind}_treeids"))?;
    let nodes = setting.ints(&format!("{kind}_nodeids"))?;
    let ids = setting.ints(&format!("{kind}_ids"))?;
    let values = numbers(setting, &format!("{kind}_weights"), doubles)?;
    if [nodes.len(), ids.len(), values.len()].iter().any(|&it| it != trees.len()) {
        return Err(Fault::malformed("its lists of leaves differ in their lengths"));
    }
    let mut leaves = Vec::with_capacity(trees.len());
    let mut weights = Vec::with_capacity(trees.len());
    for at in 0..trees.len() {
        leaves.push(places.find(trees[at], nodes[at])?);
        weights.push(Weight { target: target(ids[at], targets)?, value: values[at] });
    }
    Ok(Weights::sorted(&leaves, &weights, places.order.len()))
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
        let mut builder = Fifth::default();
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
                yes: at as u32,
                no: at as u32,
            });
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
        let roots = roots.iter().map(|&it| u32::try_from(it).ok().filter(|&it| (it as usize) < count));
        let roots =
            roots.collect::<Option<Vec<_>>>().ok_or_else(|| Fault::malformed("its roots are no nodes"))?;
        let length = builder.nodes.len();
        Ok(Self {
            nodes: builder.nodes,
            roots,
            weights: Weights::sorted(&builder.leaves, &builder.weights, length),
            base: Vec::new(),
            doubles,
        })
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
#[derive(Default)]
struct Fifth {
    nodes: Vec<Written>,
    /// The nodes that are leaves, and what each adds.
    leaves: Vec<u32>,
    weights: Vec<Weight>,
}

impl Fifth {
    fn leaf(&mut self, weight: Weight) -> u32 {
        let at = self.nodes.len() as u32;
        self.nodes.push(Written {
            mode: Mode::Leaf,
            feature: 0,
            threshold: 0.0,
            nan_yes: false,
            yes: at,
            no: at,
        });
        self.leaves.push(at);
        self.weights.push(weight);
        at
    }

    fn child(&mut self, id: i64, is_leaf: bool, count: usize, leaves: &[Weight]) -> Result<u32, Fault> {
        let at = u32::try_from(id).ok();
        // Each side gets a leaf of its own: a tree of one leaf names it on both sides.
        let found = if is_leaf {
            at.and_then(|at| leaves.get(at as usize)).map(|&it| self.leaf(it))
        } else {
            at.filter(|&at| (at as usize) < count)
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
        // Leaves are added in the order of their nodes.
        let shared = self.leaves.binary_search(&yes).ok().map(|it| self.weights[it]);
        let mut last = at;
        for &member in others {
            // What they share may be reached from one of them only.
            let shared =
                shared.ok_or_else(|| unsupported("a test of membership that leads to more tests"))?;
            let copy = self.leaf(shared);
            let next = self.nodes.len();
            self.nodes.push(Written { threshold: member, yes: copy, no, ..self.nodes[at] });
            self.nodes[last].no = next as u32;
            last = next;
        }
        Ok(())
    }
}
