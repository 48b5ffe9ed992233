//! Trees laid out for walking, and the walk: eight walks abreast, so that the wait for one's memory is the others' work.

use super::Fault;

/// The bit of [`Node::feature`] that sends a missing value to the right.
const MISSING_RIGHT: u32 = 1 << 31;
/// The bit of [`Node::feature`] that makes the test one of membership in a set of categories.
const CATEGORICAL: u32 = 1 << 30;
const FEATURE: u32 = CATEGORICAL - 1;
/// The first integer that is not a category: from here on a single is no longer exact.
const CATEGORY_LIMIT: f32 = 16_777_216.0;
/// Walks that go on side by side.
const ABREAST: usize = 8;
/// Rows that go through a tree before the next tree is fetched into the cache.
const BLOCK: usize = 64;

/// A node. Its right child follows its left one. A leaf is its own left child under a test that no value passes, so that a
/// walk that arrived stays where it is.
#[derive(Debug, Clone, Copy)]
struct Node {
    /// The feature that is tested, and two bits.
    feature: u32,
    /// Right from here on; of a categorical node the bits are its index into the sets.
    threshold: f32,
    left: u32,
}

struct Tree {
    root: u32,
    /// The output it adds to.
    output: u32,
    /// Its share (dart), else 1, which changes no bit.
    weight: f32,
}

/// All trees of a model.
#[derive(Default)]
pub(super) struct Forest {
    nodes: Vec<Node>,
    /// Of each node; only leaves have one. Where leaves are vectors, the bits are the place of the vector's first number.
    values: Vec<f32>,
    /// The numbers of leaves that are vectors, one for each output; empty where leaves are single numbers.
    vectors: Vec<f32>,
    /// How many numbers a leaf holds; 0 before the first tree.
    leaf_size: usize,
    trees: Vec<Tree>,
    /// The categories that go right, ascending. A list cannot be made to take more memory than the file that wrote it, which
    /// a set of bits can.
    sets: Vec<Vec<u32>>,
    /// One past the highest feature that any node tests.
    features: usize,
    /// The sum of the trees' depths.
    depth: usize,
}

/// A tree as files hold it: an array for each property of its nodes, the first node being the root.
#[derive(Default)]
pub(super) struct Arrays {
    pub(super) left: Vec<i64>,
    pub(super) right: Vec<i64>,
    pub(super) feature: Vec<i64>,
    /// The threshold of a split, the value of a leaf.
    pub(super) condition: Vec<f32>,
    pub(super) default_left: Vec<i64>,
    /// 1 where the split is by category; empty in old files, which have none.
    pub(super) split_type: Vec<i64>,
    pub(super) categories: Vec<i64>,
    /// The nodes that split by category, and where in `categories` each one's begin and how many there are.
    pub(super) category_nodes: Vec<i64>,
    pub(super) category_starts: Vec<i64>,
    pub(super) category_counts: Vec<i64>,
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
    pub(super) fn assign(&mut self, outputs: &[i64], weights: &[f32], count: usize) -> Result<(), Fault> {
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
        Ok(())
    }

    /// Adds a tree, laid out breadth first.
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
        let fail = |node: usize, what: String| Fault::malformed(format!("node {node} of tree {tree} {what}"));
        let base = self.nodes.len();
        // Where a node of that order is put.
        let place = |at: usize| {
            u32::try_from(base + at).map_err(|_| Fault::malformed("there are more than 2^32 nodes"))
        };
        let root = place(0)?;
        // The nodes of the file in the order in which they are put; children come in pairs.
        let mut order = vec![0];
        let mut met = vec![false; arrays.left.len()];
        met[0] = true;
        let (mut at, mut level_end) = (0, 1);
        while let Some(&node) = order.get(at) {
            if at == level_end {
                self.depth += 1;
                level_end = order.len();
            }
            let (left, right) = (arrays.left[node], arrays.right[node]);
            if left < 0 {
                self.nodes.push(Node { feature: 0, threshold: f32::INFINITY, left: place(at)? });
                let value = self.leaf(arrays, node);
                self.values.push(value.ok_or_else(|| fail(node, "has no leaf vector".to_owned()))?);
            } else {
                let next = place(order.len())?;
                for child in [left, right] {
                    // A node that is met twice would make a loop.
                    let child = usize::try_from(child).ok().filter(|&child| met.get(child) == Some(&false));
                    let child = child.ok_or_else(|| {
                        fail(
                            node,
                            format!(
                                "has the children {left} and {right}, expected two that no other node has"
                            ),
                        )
                    })?;
                    met[child] = true;
                    order.push(child);
                }
                let (feature, threshold) = self.test(arrays, node).map_err(|what| fail(node, what))?;
                self.nodes.push(Node { feature, threshold, left: next });
                self.values.push(0.0);
            }
            at += 1;
        }
        self.trees.push(Tree { root, output: 0, weight: 1.0 });
        Ok(())
    }

    /// Returns what stands in `values` for a leaf, or `None` when there is nothing in the arrays.
    fn leaf(&mut self, arrays: &Arrays, node: usize) -> Option<f32> {
        if !self.has_vectors() {
            return arrays.condition.get(node).copied();
        }
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

    /// Returns the two fields that say how a node tests a row, or what is wrong with it.
    fn test(&mut self, arrays: &Arrays, node: usize) -> Result<(u32, f32), String> {
        let feature = arrays.feature[node];
        let index = u32::try_from(feature).ok().filter(|&it| it <= FEATURE);
        let index = index
            .ok_or_else(|| format!("tests the feature {feature}, expected a number from 0 to {FEATURE}"))?;
        self.features = self.features.max(index as usize + 1);
        let flag = if arrays.default_left[node] == 0 { MISSING_RIGHT } else { 0 };
        if arrays.split_type.get(node).is_none_or(|&it| it == 0) {
            let threshold = arrays.condition[node];
            if threshold.is_nan() {
                return Err("has the threshold NaN, expected a number".to_owned());
            }
            return Ok((index | flag, threshold));
        }
        let set = categories(arrays, node).ok_or("splits by categories that the arrays do not hold")?;
        let at = u32::try_from(self.sets.len()).map_err(|_| "is one of more than 2^32 sets of categories")?;
        self.sets.push(set);
        Ok((index | flag | CATEGORICAL, f32::from_bits(at)))
    }

    /// Adds each row's leaves to its margins, in the order of the trees, for the last bit of the sums.
    pub(super) fn add(&self, rows: &[f32], width: usize, margins: &mut [f32], outputs: usize) {
        for (rows, margins) in
            rows.chunks(BLOCK.saturating_mul(width)).zip(margins.chunks_mut(BLOCK * outputs))
        {
            match (self.sets.is_empty(), self.has_vectors()) {
                (true, false) => self.add_block::<false, false>(rows, width, margins, outputs),
                (false, false) => self.add_block::<true, false>(rows, width, margins, outputs),
                (true, true) => self.add_block::<false, true>(rows, width, margins, outputs),
                (false, true) => self.add_block::<true, true>(rows, width, margins, outputs),
            }
        }
    }

    fn add_block<const CATEGORIES: bool, const VECTORS: bool>(
        &self,
        rows: &[f32],
        width: usize,
        margins: &mut [f32],
        outputs: usize,
    ) {
        let full = rows.len() / width / ABREAST * ABREAST;
        let (many, few) = rows.split_at(full * width);
        let (many_margins, few_margins) = margins.split_at_mut(full * outputs);
        for tree in &self.trees {
            let groups =
                many.chunks_exact(ABREAST * width).zip(many_margins.chunks_exact_mut(ABREAST * outputs));
            for (rows, margins) in groups {
                let lanes = std::array::from_fn(|lane| &rows[lane * width..(lane + 1) * width]);
                let leaves = self.walk::<CATEGORIES>(lanes, [tree.root; ABREAST]);
                for (leaf, margins) in leaves.into_iter().zip(margins.chunks_exact_mut(outputs)) {
                    self.add_leaf::<VECTORS>(tree, leaf, margins);
                }
            }
        }
        // With few rows it is the trees that go abreast; the sums still take them in order.
        for (row, margins) in few.chunks_exact(width).zip(few_margins.chunks_exact_mut(outputs)) {
            for trees in self.trees.chunks(ABREAST) {
                // A lane without a tree repeats the first one.
                let roots = std::array::from_fn(|lane| trees.get(lane).unwrap_or(&trees[0]).root);
                let leaves = self.walk::<CATEGORIES>([row; ABREAST], roots);
                for (tree, leaf) in trees.iter().zip(leaves) {
                    self.add_leaf::<VECTORS>(tree, leaf, margins);
                }
            }
        }
    }

    /// Adds a leaf to the margins of a row.
    #[inline(always)]
    fn add_leaf<const VECTORS: bool>(&self, tree: &Tree, leaf: u32, margins: &mut [f32]) {
        let value = self.values[leaf as usize];
        if VECTORS {
            let vector = &self.vectors[value.to_bits() as usize..];
            margins.iter_mut().zip(vector).for_each(|(margin, value)| *margin += value * tree.weight);
        } else {
            margins[tree.output as usize] += value * tree.weight;
        }
    }

    /// Walks every lane's row down from its root and returns the leaves.
    #[inline(always)]
    fn walk<const CATEGORIES: bool>(
        &self,
        lanes: [&[f32]; ABREAST],
        mut at: [u32; ABREAST],
    ) -> [u32; ABREAST] {
        loop {
            let mut moved = 0;
            for lane in 0..ABREAST {
                let next = self.step::<CATEGORIES>(lanes[lane], at[lane]);
                moved |= next ^ at[lane];
                at[lane] = next;
            }
            if moved == 0 {
                return at;
            }
        }
    }

    #[inline(always)]
    fn step<const CATEGORIES: bool>(&self, row: &[f32], at: u32) -> u32 {
        let node = self.nodes[at as usize];
        let value = row[(node.feature & FEATURE) as usize];
        let right = if CATEGORIES && node.feature & CATEGORICAL != 0 {
            self.holds(node.threshold.to_bits(), value)
        } else {
            value >= node.threshold
        };
        // No comparison holds for NaN, so this is arithmetic without a branch.
        node.left + (u32::from(right) | (u32::from(value.is_nan()) & (node.feature >> 31)))
    }

    /// Returns whether the value is one of the categories of a set. What is no category at all is in none.
    fn holds(&self, set: u32, value: f32) -> bool {
        (0.0..CATEGORY_LIMIT).contains(&value)
            && self.sets[set as usize].binary_search(&(value as u32)).is_ok()
    }
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
        let counted = self.category_counts.iter().try_fold(0, |sum: i64, &it| sum.checked_add(it.max(0)));
        if counted.and_then(|it| usize::try_from(it).ok()).is_none_or(|it| it > self.categories.len()) {
            return Err(Fault::malformed(format!("tree {tree} counts more categories than it lists")));
        }
        Ok(())
    }
}

/// Returns the categories of a node, ascending.
fn categories(arrays: &Arrays, node: usize) -> Option<Vec<u32>> {
    let at = arrays.category_nodes.binary_search(&i64::try_from(node).ok()?).ok()?;
    let start = usize::try_from(*arrays.category_starts.get(at)?).ok()?;
    let count = usize::try_from(*arrays.category_counts.get(at)?).ok()?;
    let listed = arrays.categories.get(start..start.checked_add(count)?)?;
    let mut set: Vec<u32> = listed.iter().map(|&it| u32::try_from(it).ok()).collect::<Option<_>>()?;
    set.sort_unstable();
    Some(set)
}
