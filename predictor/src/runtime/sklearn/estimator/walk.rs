//! Decision trees laid out for walking: the two children of a node stand side by side, a leaf leads to itself, and eight
//! walks go abreast, so that the processor waits for eight loads from memory at once instead of one after the other.

use std::collections::VecDeque;

/// How many walks go abreast.
pub(super) const LANES: usize = 8;

/// Set beside a feature's number when a missing value goes left.
const MISSING_LEFT: u32 = 1 << 31;

/// One tree as scikit-learn stores it: a column for each field, a row for each node.
pub(super) struct Table {
    /// -1 at a leaf.
    pub(super) left: Vec<i64>,
    pub(super) right: Vec<i64>,
    pub(super) feature: Vec<i64>,
    pub(super) threshold: Vec<f64>,
    /// Empty before scikit-learn 1.3, which knew no missing values.
    pub(super) missing_left: Vec<i64>,
}

#[derive(Debug, Clone, Copy)]
struct Node {
    threshold: f32,
    feature: u32,
    /// The left child; the right one stands behind it.
    left: u32,
}

/// Trees of one model. Each leaf bears a number, given by whoever added it.
#[derive(Debug, Default)]
pub(super) struct Trees {
    nodes: Vec<Node>,
    /// The number of each leaf; 0 at a split.
    leaves: Vec<u32>,
    trees: Vec<Tree>,
}

#[derive(Debug, Clone, Copy)]
struct Tree {
    root: u32,
    depth: u32,
}

impl Trees {
    /// Adds a tree. `leaf` gives the number of the leaf in that row of the table.
    ///
    /// # Errors
    /// What is wrong with the tree.
    pub(super) fn add(
        &mut self,
        table: &Table,
        features: usize,
        mut leaf: impl FnMut(usize) -> Result<u32, String>,
    ) -> Result<(), String> {
        let root = self.grow(1)?;
        let mut placed = 1;
        let mut depth = 0;
        // Breadth first, so that the top of the tree, which every walk crosses, lies together.
        let mut queue = VecDeque::from([(0, root, 0)]);
        while let Some((row, at, level)) = queue.pop_front() {
            depth = depth.max(level);
            let Some((split, left, right)) = table.split(row, features)? else {
                self.nodes[at as usize] = Node { threshold: f32::INFINITY, feature: MISSING_LEFT, left: at };
                self.leaves[at as usize] = leaf(row)?;
                continue;
            };
            placed += 2;
            if placed > table.left.len() {
                return Err("nodes that form no tree".to_owned());
            }
            let children = self.grow(2)?;
            self.nodes[at as usize] = Node { left: children, ..split };
            queue.extend([(left, children, level + 1), (right, children + 1, level + 1)]);
        }
        self.trees.push(Tree { root, depth });
        Ok(())
    }

    fn grow(&mut self, count: usize) -> Result<u32, String> {
        let first = self.nodes.len();
        let end = first + count;
        let fits = u32::try_from(end).is_ok();
        let first = u32::try_from(first).ok().filter(|_| fits).ok_or("more nodes than 32 bits can count")?;
        self.nodes.resize(end, Node { threshold: 0.0, feature: 0, left: 0 });
        self.leaves.resize(end, 0);
        Ok(first)
    }

    /// Returns how many trees there are.
    pub(super) fn len(&self) -> usize {
        self.trees.len()
    }

    /// Returns the steps of a walk through every tree, at most.
    pub(super) fn steps(&self) -> usize {
        self.trees.iter().map(|tree| tree.depth as usize + 1).sum()
    }

    /// Calls with each row, in order, and the leaf it comes to in each tree. For one row, trees come in order. `matrix` is
    /// row-major and has as many columns as the trees were checked against.
    pub(super) fn walk(&self, matrix: &[f32], width: usize, mut call: impl FnMut(usize, u32)) {
        let rows = matrix.len() / width;
        let row = |at: usize| &matrix[at * width..][..width];
        let whole = rows - rows % LANES;
        for tree in &self.trees {
            for first in (0..whole).step_by(LANES) {
                let lanes = std::array::from_fn(|lane| row(first + lane));
                let leaves = self.walk_abreast([*tree; LANES], lanes);
                leaves.into_iter().enumerate().for_each(|(lane, leaf)| call(first + lane, leaf));
            }
        }
        // Too few rows to go abreast: now the trees do.
        for at in whole..rows {
            for group in self.trees.chunks(LANES) {
                let trees = std::array::from_fn(|lane| group[lane.min(group.len() - 1)]);
                let leaves = self.walk_abreast(trees, [row(at); LANES]);
                leaves.into_iter().take(group.len()).for_each(|leaf| call(at, leaf));
            }
        }
    }

    fn walk_abreast(&self, trees: [Tree; LANES], rows: [&[f32]; LANES]) -> [u32; LANES] {
        let mut at = trees.map(|tree| tree.root);
        let depth = trees.iter().map(|tree| tree.depth).max().unwrap_or(0);
        for _ in 0..depth {
            let mut moved = 0;
            for (at, row) in at.iter_mut().zip(rows) {
                let node = self.nodes[*at as usize];
                let value = row[(node.feature & !MISSING_LEFT) as usize];
                let right = (value > node.threshold) | (value.is_nan() & (node.feature & MISSING_LEFT == 0));
                let next = node.left + u32::from(right);
                moved |= next ^ *at;
                *at = next;
            }
            if moved == 0 {
                break;
            }
        }
        at.map(|at| self.leaves[at as usize])
    }
}

impl Table {
    /// Returns the split in that row and the rows of its children, or `None` at a leaf.
    fn split(&self, row: usize, features: usize) -> Result<Option<(Node, usize, usize)>, String> {
        let column = |values: &[i64]| values.get(row).copied().ok_or("a child outside of the tree");
        let left = column(&self.left)?;
        if left < 0 {
            return Ok(None);
        }
        let child = |value: i64| usize::try_from(value).map_err(|_| "a split with one child");
        let feature = usize::try_from(column(&self.feature)?).ok().filter(|&it| it < features);
        let feature = feature.and_then(|it| u32::try_from(it).ok()).filter(|it| it & MISSING_LEFT == 0);
        let feature = feature.ok_or("a split on a feature that the model does not take")?;
        let threshold = self
            .threshold
            .get(row)
            .copied()
            .filter(|it| !it.is_nan())
            .ok_or("a split without a threshold")?;
        let missing = if self.missing_left.get(row).is_some_and(|&it| it != 0) { MISSING_LEFT } else { 0 };
        let node = Node { threshold: floor(threshold), feature: feature | missing, left: 0 };
        Ok(Some((node, child(left)?, child(column(&self.right)?)?)))
    }
}

/// Returns the greatest `f32` that is not above: no `f32` lies between the two, so comparisons with either agree.
fn floor(threshold: f64) -> f32 {
    let near = threshold as f32;
    if f64::from(near) > threshold { near.next_down() } else { near }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thresholds_split_the_same_floats() {
        for threshold in
            [0.1, 0.3, -0.1, 1e-50, -1e-50, 1e300, -1e300, f64::INFINITY, 2.449_999_928_474_426_3]
        {
            let floor = floor(threshold);
            for value in [floor, floor.next_up(), floor.next_down(), 0.0, -0.0] {
                assert_eq!(value > floor, f64::from(value) > threshold, "{value} against {threshold}");
            }
        }
    }

    #[test]
    fn tables_that_are_no_tree_are_refused() {
        let check = |left: &[i64], right: &[i64]| {
            let table = Table {
                left: left.to_vec(),
                right: right.to_vec(),
                feature: vec![0; left.len()],
                threshold: vec![0.5; left.len()],
                missing_left: Vec::new(),
            };
            Trees::default().add(&table, 1, |_| Ok(0)).err()
        };
        assert_eq!(check(&[1, -1, -1], &[2, -1, -1]), None);
        assert_eq!(check(&[1, 0, -1], &[2, 0, -1]).as_deref(), Some("nodes that form no tree"));
        assert_eq!(check(&[1, 2, -1], &[1, 2, -1]).as_deref(), Some("nodes that form no tree"));
        assert_eq!(check(&[1, -1, -1], &[3, -1, -1]).as_deref(), Some("a child outside of the tree"));
        assert_eq!(check(&[1, -1, -1], &[-1, -1, -1]).as_deref(), Some("a split with one child"));
        assert_eq!(check(&[], &[]).as_deref(), Some("a child outside of the tree"));
    }
}
