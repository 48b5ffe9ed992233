//! Walking trees: eight walks side by side, so that the wait for one's memory is the others' work. Every test is made to ask
//! whether a value is at most a threshold, or equal to it; a leaf leads to itself.

use super::super::plain::binary::Number;

/// Walks that go on side by side.
const ABREAST: usize = 8;
/// Rows that go through a tree before the next tree is fetched into the cache.
const BLOCK: usize = 64;
/// The bit of a feature by which what is no number goes the way of yes.
pub(super) const NAN_YES: u32 = 1 << 31;
/// The bit of a feature by which the test is one of equality.
pub(super) const EQUAL: u32 = 1 << 30;
/// The bits that are the feature.
pub(super) const FEATURE: u32 = EQUAL - 1;

/// A node. Of a leaf the threshold is its value, where it has one.
#[derive(Debug, Clone, Copy)]
pub(super) struct Node<T> {
    pub(super) threshold: T,
    pub(super) feature: u32,
    /// Where it goes on: no, yes.
    pub(super) next: [u32; 2],
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Tree {
    pub(super) root: u32,
    pub(super) depth: u32,
}

/// A number that trees test.
pub(in super::super) trait Tested: Number {
    fn is_no_number(self) -> bool;
    /// The next smaller number, such that `x < it` is `x <= it.below()`.
    fn below(self) -> Self;
}

impl Tested for f32 {
    fn is_no_number(self) -> bool {
        self.is_nan()
    }
    fn below(self) -> Self {
        if self == f32::NEG_INFINITY { f32::NAN } else { self.next_down() }
    }
}

impl Tested for f64 {
    fn is_no_number(self) -> bool {
        self.is_nan()
    }
    fn below(self) -> Self {
        if self == f64::NEG_INFINITY { f64::NAN } else { self.next_down() }
    }
}

/// All trees of a model.
pub(super) struct Forest<T> {
    pub(super) nodes: Vec<Node<T>>,
    pub(super) trees: Vec<Tree>,
    /// One past the highest feature that is tested.
    pub(super) features: usize,
    /// Some test is one of equality.
    pub(super) equal: bool,
}

impl<T: Tested> Forest<T> {
    /// Finds the leaf of each tree for each row, and tells of it in the order of the trees, row by row within a block.
    pub(super) fn walk(&self, rows: &[T], width: usize, mut leaf: impl FnMut(usize, u32)) {
        if self.equal {
            self.walk_as::<true>(rows, width, &mut leaf);
        } else {
            self.walk_as::<false>(rows, width, &mut leaf);
        }
    }

    fn walk_as<const EQUALS: bool>(&self, rows: &[T], width: usize, leaf: &mut impl FnMut(usize, u32)) {
        let count = rows.len().checked_div(width).unwrap_or(0);
        let full = count / ABREAST * ABREAST;
        for first in (0..full).step_by(BLOCK) {
            let last = (first + BLOCK).min(full);
            for tree in &self.trees {
                for row in (first..last).step_by(ABREAST) {
                    let lanes: [&[T]; ABREAST] =
                        std::array::from_fn(|lane| &rows[(row + lane) * width..][..width]);
                    let at = self.descend::<EQUALS>([tree.root; ABREAST], tree.depth, lanes);
                    at.into_iter().enumerate().for_each(|(lane, at)| leaf(row + lane, at));
                }
            }
        }
        // With few rows it is the trees that go side by side.
        for row in full..count {
            let own = &rows[row * width..][..width];
            for trees in self.trees.chunks(ABREAST) {
                let roots = std::array::from_fn(|lane| trees.get(lane).map_or(trees[0].root, |it| it.root));
                let depth = trees.iter().map(|it| it.depth).max().unwrap_or(0);
                let at = self.descend::<EQUALS>(roots, depth, [own; ABREAST]);
                at.into_iter().take(trees.len()).for_each(|at| leaf(row, at));
            }
        }
    }

    #[inline(always)]
    fn descend<const EQUALS: bool>(
        &self,
        mut at: [u32; ABREAST],
        depth: u32,
        lanes: [&[T]; ABREAST],
    ) -> [u32; ABREAST] {
        let nodes = self.nodes.as_slice();
        for level in 0..depth {
            let mut moved = 0;
            for lane in 0..ABREAST {
                let node = &nodes[at[lane] as usize];
                let value = lanes[lane][(node.feature & FEATURE) as usize];
                let mut yes = value <= node.threshold;
                if EQUALS && node.feature & EQUAL != 0 {
                    yes = value == node.threshold;
                }
                yes |= node.feature & NAN_YES != 0 && value.is_no_number();
                let next = node.next[usize::from(yes)];
                moved |= next ^ at[lane];
                at[lane] = next;
            }
            // Most leaves lie far above the deepest.
            if level & 3 == 3 && moved == 0 {
                break;
            }
        }
        at
    }
}
