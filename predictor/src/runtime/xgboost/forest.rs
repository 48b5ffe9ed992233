//! Trees as files hold them, checked and laid out for walking.

use super::Fault;
use super::columns::{Column, key};
use super::fold;
use super::walk::{CATEGORICAL, EXITS, Forest, MAX_WORDS, NOWHERE, Node, Shape, Test, Tree};

/// The most that a feature's number can be.
const FEATURE: u32 = (1 << 30) - 1;
/// The deepest tree that is laid out with a place for every node that it could have.
const DEEPEST: u32 = 16;

/// A tree as files hold it: an array for each property of its nodes, the first node being the root.
#[derive(Default)]
pub(super) struct Arrays {
    pub(super) left: Vec<i32>,
    pub(super) right: Vec<i32>,
    pub(super) feature: Vec<i32>,
    /// The threshold of a split, the value of a leaf.
    pub(super) condition: Vec<f32>,
    pub(super) default_left: Vec<i32>,
    /// 1 where the split is by category; empty in old files, which have none.
    pub(super) split_type: Vec<i32>,
    pub(super) categories: Vec<i32>,
    /// The nodes that split by category, and where in `categories` each one's begin and how many there are.
    pub(super) category_nodes: Vec<i32>,
    pub(super) category_starts: Vec<i32>,
    pub(super) category_counts: Vec<i32>,
    /// How many numbers a leaf holds; 0 and 1 are one.
    pub(super) leaf_size: usize,
    /// Of leaves that are vectors: those of every leaf, whose places the right children tell (since 3.1), or, before, those of
    /// every node.
    pub(super) leaf_weights: Vec<f32>,
    pub(super) weights: Vec<f32>,
}

impl Forest {
    /// Returns how many trees there are.
    pub(super) fn len(&self) -> usize {
        self.trees.len()
    }

    /// Returns whether a leaf adds to all outputs.
    pub(super) fn has_vectors(&self) -> bool {
        self.leaf_size > 1
    }

    /// Forgets all trees but the first.
    pub(super) fn truncate(&mut self, trees: usize) {
        self.trees.truncate(trees);
    }

    /// Returns one past the highest feature that is tested.
    pub(super) fn features(&self) -> usize {
        self.features
    }

    /// Returns the most steps that a row can take through all trees.
    pub(super) fn steps(&self) -> usize {
        self.depth + self.trees.len()
    }

    /// Says which output each tree adds to, and with what share when that is not 1.
    pub(super) fn assign(&mut self, outputs: &[i32], weights: &[f32], count: usize) -> Result<(), Fault> {
        let trees = self.trees.len();
        if outputs.len() != trees {
            return Err(Fault::malformed(format!(
                "`tree_info` is about {} trees, the file has {trees}",
                outputs.len()
            )));
        }
        if self.has_vectors() && self.leaf_size != count {
            let met = self.leaf_size;
            return Err(Fault::malformed(format!("the leaves hold {met} numbers for {count} outputs")));
        }
        // A model that went on training without dropping has no shares for its last trees.
        if weights.len() > trees {
            return Err(Fault::malformed(format!(
                "`weight_drop` is about {} trees, the file has {trees}",
                weights.len()
            )));
        }
        for (at, (tree, &output)) in self.trees.iter_mut().zip(outputs).enumerate() {
            tree.output =
                u32::try_from(output).ok().filter(|&it| (it as usize) < count).ok_or_else(|| {
                    Fault::malformed(format!("tree {at} belongs to output {output}, the model has {count}"))
                })?;
            tree.weight = weights.get(at).copied().unwrap_or(1.0);
        }
        self.settle();
        Ok(())
    }

    /// Adds a tree.
    ///
    /// # Errors
    /// When the arrays do not describe one.
    pub(super) fn push(&mut self, arrays: &Arrays) -> Result<(), Fault> {
        let tree = self.trees.len();
        arrays.check(tree)?;
        let leaf_size = arrays.leaf_size.max(1);
        if tree > 0 && leaf_size != self.leaf_size {
            let before = self.leaf_size;
            return Err(Fault::malformed(format!(
                "the leaves of tree {tree} hold {leaf_size} numbers, those of the trees before it {before}"
            )));
        }
        self.leaf_size = leaf_size;
        let order = arrays.order(tree)?;
        self.depth += order.depth as usize;
        // With a place for every node, none has to say where its children are. A lopsided tree would take too much memory.
        let leaves = order.nodes.len() / 2 + 1;
        let shape = if order.depth <= DEEPEST && 1 << order.depth <= 4 * leaves {
            self.push_full(arrays, &order, tree)?
        } else {
            self.push_linked(arrays, &order, tree)?
        };
        self.room = self.room.max(fold::room(shape));
        self.trees.push(Tree { shape, output: 0, weight: 1.0 });
        Ok(())
    }

    /// Puts the children of each node where its own place tells them to be.
    fn push_full(&mut self, arrays: &Arrays, order: &Order, tree: usize) -> Result<Shape, Fault> {
        let size = 1_usize << order.depth;
        let (tests, values) = (self.tests.len(), self.values.len());
        let (first_test, first_value) = (index(tests)?, index(values)?);
        index(values + size)?;
        // Below a leaf every test fails, and so the leaf's value stands at the left end.
        self.tests.resize(tests + size, NOWHERE);
        self.values.resize(values + size, 0.0);
        let mut places = Vec::with_capacity(order.nodes.len());
        places.push(1_usize);
        for (at, &node) in order.nodes.iter().enumerate() {
            let place = places[at];
            if arrays.left[node] < 0 {
                let leaf = (place << (order.depth - place.ilog2())) - size;
                self.values[values + leaf] = self.leaf(arrays, node, tree)?;
            } else {
                places.extend([2 * place, 2 * place + 1]);
                self.tests[tests + place] = self.test(arrays, node, tree)?;
            }
        }
        Ok(Shape::Full { tests: first_test, values: first_value, depth: order.depth })
    }

    /// Puts the nodes one after the other, breadth first.
    fn push_linked(&mut self, arrays: &Arrays, order: &Order, tree: usize) -> Result<Shape, Fault> {
        let root = self.nodes.len();
        index(root + order.nodes.len())?;
        let mut children = root + 1;
        for (at, &node) in order.nodes.iter().enumerate() {
            if arrays.left[node] < 0 {
                // A walk that arrived stays where it is.
                self.nodes.push(Node { test: NOWHERE, left: index(root + at)? });
                let value = self.leaf(arrays, node, tree)?;
                self.ends.push(value);
            } else {
                let test = self.test(arrays, node, tree)?;
                self.nodes.push(Node { test, left: index(children)? });
                self.ends.push(0.0);
                children += 2;
            }
        }
        self.push_top(index(root)?, index(order.nodes.len())?)
    }

    /// Lays the first levels of a linked tree out as if it were full.
    fn push_top(&mut self, root: u32, count: u32) -> Result<Shape, Fault> {
        let (top, exits) = (index(self.tests.len())?, index(self.exits.len())?);
        let mut nodes = [root; 2 * EXITS];
        for at in 1..EXITS {
            let Node { test, left } = self.nodes[nodes[at] as usize];
            // Every test of a leaf fails, and its left child is itself.
            let right = if left == nodes[at] { left } else { left + 1 };
            (nodes[2 * at], nodes[2 * at + 1]) = (left, right);
            self.tests.extend((at == 1).then_some(NOWHERE).into_iter().chain([test]));
        }
        self.exits.extend_from_slice(&nodes[EXITS..]);
        let steps = index(self.steps.len())?;
        self.steps.extend(fold::steps(&self.nodes[root as usize..], root as usize));
        Ok(Shape::Linked { root, nodes: count, top, exits, steps })
    }

    /// Ends the planting: what tests look at gets its place.
    fn settle(&mut self) {
        let scale = self.sets.settle();
        let words = self.sets.words();
        let places = self.columns.settle(self.sets.limit(), if words > MAX_WORDS { 0 } else { words });
        let tests = self.tests.iter_mut().chain(self.nodes.iter_mut().map(|it| &mut it.test));
        for Test { cell, threshold } in tests {
            let categorical = *cell & CATEGORICAL;
            // A leaf looks at the first column, which there may not be.
            *cell = places.get((*cell & !CATEGORICAL) as usize).copied().unwrap_or(0) | categorical;
            if categorical != 0 {
                *threshold = threshold.cast_unsigned().wrapping_mul(scale).cast_signed();
            }
        }
    }

    /// Returns what stands in `values` for a leaf.
    fn leaf(&mut self, arrays: &Arrays, node: usize, tree: usize) -> Result<f32, Fault> {
        let value = if self.has_vectors() { self.vector(arrays, node) } else { Some(arrays.condition[node]) };
        value.ok_or_else(|| fail(node, tree, "has no leaf vector"))
    }

    /// Adds a leaf's numbers to the vectors and returns where they are, or `None` when they are not in the arrays.
    fn vector(&mut self, arrays: &Arrays, node: usize) -> Option<f32> {
        let (weights, leaf) = if arrays.leaf_weights.is_empty() {
            (&arrays.weights, node)
        } else {
            (&arrays.leaf_weights, usize::try_from(arrays.right[node]).ok()?)
        };
        let start = leaf.checked_mul(self.leaf_size)?;
        let vector = weights.get(start..start.checked_add(self.leaf_size)?)?;
        let place = u32::try_from(self.vectors.len()).ok()?;
        self.vectors.extend_from_slice(vector);
        Some(f32::from_bits(place))
    }

    /// Returns how a node tests a row.
    fn test(&mut self, arrays: &Arrays, node: usize, tree: usize) -> Result<Test, Fault> {
        let feature = arrays.feature[node];
        let Some(index) = u32::try_from(feature).ok().filter(|&it| it <= FEATURE) else {
            let what = format!("tests the feature {feature}, expected a number from 0 to {FEATURE}");
            return Err(fail(node, tree, &what));
        };
        self.features = self.features.max(index as usize + 1);
        let category = arrays.split_type.get(node).is_some_and(|&it| it != 0);
        let missing_right = arrays.default_left[node] == 0;
        let cell = self.columns.index(Column { feature: index, missing_right, category });
        if !category {
            let threshold = arrays.condition[node];
            if threshold.is_nan() {
                return Err(fail(node, tree, "has the threshold NaN, expected a number"));
            }
            return Ok(Test { cell, threshold: key(threshold) });
        }
        let set = categories(arrays, node)
            .ok_or_else(|| fail(node, tree, "splits by categories that the arrays do not hold"))?;
        let at = self
            .sets
            .push(&set)
            .ok_or_else(|| fail(node, tree, "is one of more than 2^32 sets of categories"))?;
        Ok(Test { cell: cell | CATEGORICAL, threshold: at.cast_signed() })
    }
}

#[cold]
fn fail(node: usize, tree: usize, what: &str) -> Fault {
    Fault::malformed(format!("node {node} of tree {tree} {what}"))
}

fn index(at: usize) -> Result<u32, Fault> {
    u32::try_from(at).map_err(|_| Fault::malformed("there are more than 2^32 nodes"))
}

/// The nodes of a tree breadth first; children come in pairs.
struct Order {
    nodes: Vec<usize>,
    depth: u32,
}

impl Arrays {
    /// Checks what can be told from the lengths alone.
    fn check(&self, tree: usize) -> Result<(), Fault> {
        let count = self.left.len();
        let lengths = [self.right.len(), self.feature.len(), self.condition.len(), self.default_left.len()];
        if count == 0 || lengths.iter().any(|&it| it != count) || ![0, count].contains(&self.split_type.len())
        {
            return Err(Fault::malformed(format!("the arrays of tree {tree} differ in length or are empty")));
        }
        // Nodes that shared their categories could make a small file a large model.
        let counted =
            self.category_counts.iter().try_fold(0, |sum: i64, &it| sum.checked_add(it.max(0).into()));
        if counted.and_then(|it| usize::try_from(it).ok()).is_none_or(|it| it > self.categories.len()) {
            return Err(Fault::malformed(format!("tree {tree} counts more categories than it lists")));
        }
        Ok(())
    }

    /// Returns the nodes in the order in which they are laid out.
    fn order(&self, tree: usize) -> Result<Order, Fault> {
        let mut nodes = vec![0];
        let mut met = vec![false; self.left.len()];
        met[0] = true;
        let (mut depth, mut at, mut level_end) = (0, 0, 1);
        while let Some(&node) = nodes.get(at) {
            if at == level_end {
                depth += 1;
                level_end = nodes.len();
            }
            at += 1;
            let (left, right) = (self.left[node], self.right[node]);
            if left < 0 {
                continue;
            }
            for child in [left, right] {
                // A node that is met twice would make a loop.
                let child = usize::try_from(child).ok().filter(|&child| met.get(child) == Some(&false));
                let Some(child) = child else {
                    let what =
                        format!("has the children {left} and {right}, expected two that no other node has");
                    return Err(fail(node, tree, &what));
                };
                met[child] = true;
                nodes.push(child);
            }
        }
        Ok(Order { nodes, depth })
    }
}

/// Returns the categories of a node, ascending.
fn categories(arrays: &Arrays, node: usize) -> Option<Vec<u32>> {
    let at = arrays.category_nodes.binary_search(&i32::try_from(node).ok()?).ok()?;
    let start = usize::try_from(*arrays.category_starts.get(at)?).ok()?;
    let count = usize::try_from(*arrays.category_counts.get(at)?).ok()?;
    let listed = arrays.categories.get(start..start.checked_add(count)?)?;
    let mut set: Vec<u32> = listed.iter().map(|&it| u32::try_from(it).ok()).collect::<Option<_>>()?;
    set.sort_unstable();
    Some(set)
}
