//! Decision trees laid out for walking: the two children of a node stand side by side, a leaf leads to itself, and eight
//! walks go abreast, so that the processor waits for eight loads from memory at once instead of one after the other.
//! scikit-learn's trees compare 32-bit floats, its histogram trees 64-bit ones, which may also ask for sets of categories.

use std::collections::VecDeque;

/// How many walks go abreast.
pub(super) const LANES: usize = 8;

/// Set beside a feature's number when a missing value goes left.
const MISSING_LEFT: u32 = 1 << 31;

/// Set beside a feature's number when the node asks for a set, whose number stands in for the threshold.
const BY_SET: u32 = 1 << 30;

/// What is left of the feature's number.
const FEATURE: u32 = !(MISSING_LEFT | BY_SET);

/// What a tree compares: `f32` or `f64`.
pub(super) trait Real: Copy + PartialOrd {
    const INFINITY: Self;
    /// Returns the greatest value that is not above the threshold, or the threshold itself.
    fn threshold(value: f64) -> Self;
    fn missing(self) -> bool;
    fn wide(self) -> f64;
}

impl Real for f32 {
    const INFINITY: Self = Self::INFINITY;

    fn threshold(value: f64) -> Self {
        floor(value)
    }

    fn missing(self) -> bool {
        self.is_nan()
    }

    fn wide(self) -> f64 {
        self.into()
    }
}

impl Real for f64 {
    const INFINITY: Self = Self::INFINITY;

    fn threshold(value: f64) -> Self {
        value
    }

    fn missing(self) -> bool {
        self.is_nan()
    }

    fn wide(self) -> f64 {
        self
    }
}

/// The categories, 0 to 255, that go left at a node, and those that its feature was fitted on; any other counts as missing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Set {
    pub(super) left: [u32; 8],
    pub(super) known: [u32; 8],
}

impl Set {
    /// Returns whether it goes right.
    fn right(&self, category: Option<u8>, missing_left: bool) -> bool {
        let has = |set: &[u32; 8], at: u8| set[usize::from(at >> 5)] >> (at & 31) & 1 != 0;
        match category {
            Some(at) if has(&self.left, at) => false,
            Some(at) if has(&self.known, at) => true,
            Some(_) | None => !missing_left,
        }
    }
}

/// One tree as scikit-learn stores it: a column for each field, a row for each node.
#[derive(Debug, Default)]
pub(super) struct Table {
    /// -1 at a leaf.
    pub(super) left: Vec<i64>,
    pub(super) right: Vec<i64>,
    pub(super) feature: Vec<i64>,
    pub(super) threshold: Vec<f64>,
    /// Empty before scikit-learn 1.3, which knew no missing values.
    pub(super) missing_left: Vec<i64>,
    /// What a node asks for in place of a threshold; empty where none does.
    pub(super) sets: Vec<Option<Set>>,
}

#[derive(Debug, Clone, Copy)]
struct Node<T> {
    threshold: T,
    feature: u32,
    /// The left child; the right one stands behind it.
    left: u32,
}

/// Trees of one model. Each leaf bears a number, given by whoever added it.
#[derive(Debug)]
pub(super) struct Trees<T> {
    nodes: Vec<Node<T>>,
    sets: Vec<Set>,
    /// Before scikit-learn 1.3 a negative category was taken for the one 256 above, since then it is missing.
    pub(super) negative_wraps: bool,
    /// The number of each leaf; 0 at a split.
    leaves: Vec<u32>,
    trees: Vec<Tree>,
}

#[derive(Debug, Clone, Copy)]
struct Tree {
    root: u32,
    depth: u32,
}

impl<T> Default for Trees<T> {
    fn default() -> Self {
        Self {
            nodes: Vec::new(),
            sets: Vec::new(),
            negative_wraps: false,
            leaves: Vec::new(),
            trees: Vec::new(),
        }
    }
}

impl<T: Real> Trees<T> {
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
            let Some((mut split, left, right)) = table.split(row, features)? else {
                self.nodes[at as usize] = Node { threshold: T::INFINITY, feature: MISSING_LEFT, left: at };
                self.leaves[at as usize] = leaf(row)?;
                continue;
            };
            placed += 2;
            if placed > table.left.len() {
                return Err("nodes that form no tree".to_owned());
            }
            if let Some(set) = table.sets.get(row).copied().flatten() {
                // Every whole number below 2^24 is a `f32`, and the file holds fewer sets: each takes 32 bytes.
                split.threshold = T::threshold(self.sets.len() as f64);
                split.feature |= BY_SET;
                if self.sets.len() >= 1 << 24 {
                    return Err("too many sets of categories".to_owned());
                }
                self.sets.push(set);
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
        self.nodes.resize(end, Node { threshold: T::INFINITY, feature: 0, left: 0 });
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
    pub(super) fn walk(&self, matrix: &[T], width: usize, call: impl FnMut(usize, u32)) {
        if self.sets.is_empty() {
            self.walk_all::<false>(matrix, width, call);
        } else {
            self.walk_all::<true>(matrix, width, call);
        }
    }

    fn walk_all<const SETS: bool>(&self, matrix: &[T], width: usize, mut call: impl FnMut(usize, u32)) {
        let rows = matrix.len() / width;
        let row = |at: usize| &matrix[at * width..][..width];
        let whole = rows - rows % LANES;
        for tree in &self.trees {
            for first in (0..whole).step_by(LANES) {
                let lanes = std::array::from_fn(|lane| row(first + lane));
                let leaves = self.walk_abreast::<SETS>([*tree; LANES], lanes);
                leaves.into_iter().enumerate().for_each(|(lane, leaf)| call(first + lane, leaf));
            }
        }
        // Too few rows to go abreast: now the trees do.
        for at in whole..rows {
            for group in self.trees.chunks(LANES) {
                let trees = std::array::from_fn(|lane| group[lane.min(group.len() - 1)]);
                let leaves = self.walk_abreast::<SETS>(trees, [row(at); LANES]);
                leaves.into_iter().take(group.len()).for_each(|leaf| call(at, leaf));
            }
        }
    }

    fn walk_abreast<const SETS: bool>(&self, trees: [Tree; LANES], rows: [&[T]; LANES]) -> [u32; LANES] {
        let mut at = trees.map(|tree| tree.root);
        let depth = trees.iter().map(|tree| tree.depth).max().unwrap_or(0);
        for _ in 0..depth {
            let mut moved = 0;
            for (at, row) in at.iter_mut().zip(rows) {
                let node = self.nodes[*at as usize];
                let value = row[(node.feature & FEATURE) as usize];
                let missing_left = node.feature & MISSING_LEFT != 0;
                let right = if SETS && node.feature & BY_SET != 0 {
                    let set = &self.sets[node.threshold.wide() as usize];
                    set.right(category(value.wide(), self.negative_wraps), missing_left)
                } else {
                    (value > node.threshold) | (value.missing() & !missing_left)
                };
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

/// A node, and the rows of its children.
type Split<T> = (Node<T>, usize, usize);

impl Table {
    /// Returns the split in that row and the rows of its children, or `None` at a leaf.
    fn split<T: Real>(&self, row: usize, features: usize) -> Result<Option<Split<T>>, String> {
        let column = |values: &[i64]| values.get(row).copied().ok_or("a child outside of the tree");
        let left = column(&self.left)?;
        if left < 0 {
            return Ok(None);
        }
        let child = |value: i64| usize::try_from(value).map_err(|_| "a split with one child");
        let feature = usize::try_from(column(&self.feature)?).ok().filter(|&it| it < features);
        let feature = feature.and_then(|it| u32::try_from(it).ok()).filter(|it| it & !FEATURE == 0);
        let feature = feature.ok_or("a split on a feature that the model does not take")?;
        let threshold = self
            .threshold
            .get(row)
            .copied()
            .filter(|it| !it.is_nan())
            .ok_or("a split without a threshold")?;
        let missing = if self.missing_left.get(row).is_some_and(|&it| it != 0) { MISSING_LEFT } else { 0 };
        let node = Node { threshold: T::threshold(threshold), feature: feature | missing, left: 0 };
        Ok(Some((node, child(left)?, child(column(&self.right)?)?)))
    }
}

/// Returns the category that a number stands for, as C makes a byte of it: what a byte cannot hold loses its higher bits.
fn category(value: f64, negative_wraps: bool) -> Option<u8> {
    if value.is_nan() || (value < 0.0 && !negative_wraps) {
        return None;
    }
    // Beyond 32 bits the processor answers with the least integer, whose lowest byte is 0.
    if value.abs() >= 2_147_483_648.0 { Some(0) } else { Some(value as i32 as u8) }
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
                ..Table::default()
            };
            Trees::<f32>::default().add(&table, 1, |_| Ok(0)).err()
        };
        assert_eq!(check(&[1, -1, -1], &[2, -1, -1]), None);
        assert_eq!(check(&[1, 0, -1], &[2, 0, -1]).as_deref(), Some("nodes that form no tree"));
        assert_eq!(check(&[1, 2, -1], &[1, 2, -1]).as_deref(), Some("nodes that form no tree"));
        assert_eq!(check(&[1, -1, -1], &[3, -1, -1]).as_deref(), Some("a child outside of the tree"));
        assert_eq!(check(&[1, -1, -1], &[-1, -1, -1]).as_deref(), Some("a split with one child"));
        assert_eq!(check(&[], &[]).as_deref(), Some("a child outside of the tree"));
    }

    #[test]
    fn sets_send_known_categories_and_the_rest_goes_where_missing_values_go() {
        let set =
            Set { left: [1 << 3, 0, 0, 0, 0, 0, 0, 0], known: [1 << 3 | 1 << 5, 0, 0, 0, 0, 0, 0, 1 << 31] };
        for missing_left in [false, true] {
            let table = Table {
                left: vec![1, -1, -1],
                right: vec![2, -1, -1],
                feature: vec![0; 3],
                threshold: vec![0.0; 3],
                missing_left: vec![missing_left.into(), 0, 0],
                sets: vec![Some(set), None, None],
            };
            let mut trees = Trees::<f64>::default();
            trees.add(&table, 1, |row| Ok(row as u32)).unwrap();
            let mut leaves = Vec::new();
            trees.walk(&[3.0, 3.9, 5.0, 255.0, 4.0, -1.0, f64::NAN, 1e20, 259.0], 1, |_, leaf| {
                leaves.push(leaf)
            });
            let lost = if missing_left { 1 } else { 2 };
            assert_eq!(leaves, [1, 1, 2, 2, lost, lost, lost, lost, 1]);
        }
        assert_eq!(category(-1.0, true), Some(255));
    }
}
