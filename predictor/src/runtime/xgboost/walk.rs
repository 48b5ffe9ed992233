//! Walking trees: eight walks abreast, so that the wait for one's memory is the others' work, and few instructions a step.
//!
//! Rows are first spread into cells, two a feature: in one a missing value is the least of all, which no test lets pass, in the
//! other it is the greatest, which passes all. A test names the cell whose way is the node's, and so asks nothing but `>=`. Cells
//! and thresholds are integers in the order of the singles that they stand for, since comparing those takes less time.

/// The bit of [`Test::cell`] that makes the test one of membership in a set of categories.
pub(super) const CATEGORICAL: u32 = 1 << 31;
/// A test that nothing passes.
pub(super) const NOWHERE: Test = Test { cell: 0, threshold: i32::MAX };
/// A missing value where it goes left, and where it goes right.
const MISSING: [i32; 2] = [i32::MIN, i32::MAX - 1];
/// The first integer that is not a category: from here on a single is no longer exact.
const CATEGORY_LIMIT: f32 = 16_777_216.0;
/// Walks that go on side by side.
const ABREAST: usize = 8;
/// Rows that go through a tree before the next tree is fetched into the cache.
const BLOCK: usize = 64;

/// Cells that the bytes can tell apart: so many are there to be looked at, used or not, that no step has to check it.
const NARROW: usize = 256;

/// Walks down a full tree of so many tests, a step for each token.
macro_rules! descend {
    ($size:literal, $tests:ident, $values:ident, $passes:ident, $($level:literal)*) => {{
        let (Some(tests), Some(values)) = ($tests.first_chunk::<$size>(), $values.first_chunk::<$size>()) else {
            return;
        };
        let mut at = [1; ABREAST];
        $(
            let _: u32 = $level;
            for lane in 0..ABREAST {
                at[lane] = 2 * at[lane] + usize::from($passes(tests[at[lane]], lane));
            }
        )*
        let mut leaves = [0.0; ABREAST];
        for lane in 0..ABREAST {
            leaves[lane] = values[at[lane] - $size];
        }
        leaves
    }};
}

/// What a row, or eight, are spread into.
trait Cells<T> {
    fn at(&self, cell: u32) -> &T;
}

impl<T> Cells<T> for [T] {
    #[inline(always)]
    fn at(&self, cell: u32) -> &T {
        &self[cell as usize]
    }
}

/// Of models with few features.
impl<T> Cells<T> for [T; NARROW] {
    #[inline(always)]
    fn at(&self, cell: u32) -> &T {
        &self[usize::from(cell as u8)]
    }
}

/// What sends a row to the right.
#[derive(Debug, Clone, Copy)]
pub(super) struct Test {
    /// Twice the feature, and one more where a missing value goes right; and a bit.
    pub(super) cell: u32,
    /// The key of the value from which on it is right; of a categorical test the bits are its index into the sets.
    pub(super) threshold: i32,
}

/// A node of a linked tree. Its right child follows its left one; a leaf is its own left child.
#[derive(Debug, Clone, Copy)]
pub(super) struct Node {
    pub(super) test: Test,
    pub(super) left: u32,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Shape {
    /// All leaves are made to lie at the same depth. Of the tests, the root's is at 1, and the children of that at `i` are at
    /// `2 i` and `2 i + 1`; past the last of them the leaves begin.
    Full { tests: u32, values: u32, depth: u32 },
    /// Nodes that say where their children are.
    Linked { root: u32 },
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Tree {
    pub(super) shape: Shape,
    /// The output it adds to.
    pub(super) output: u32,
    /// Its share (dart), else 1, which changes no bit.
    pub(super) weight: f32,
}

/// A set of categories.
pub(super) enum Set {
    /// A bit each, where all are below 64: there it takes no second look into memory.
    Word(u64),
    /// A bit each.
    Bits(Vec<u32>),
    /// In ascending order, where bits would take more memory than the file that holds them.
    List(Vec<u32>),
}

impl Set {
    /// Makes one of categories in ascending order.
    pub(super) fn new(list: Vec<u32>) -> Self {
        if list.last().is_none_or(|&last| last < u64::BITS) {
            return Self::Word(list.into_iter().fold(0, |bits, category| bits | 1 << category));
        }
        let words = list.last().map_or(0, |&last| last as usize / 32 + 1);
        if words > list.len() + 1 {
            return Self::List(list);
        }
        let mut bits = vec![0; words];
        for category in list {
            bits[category as usize / 32] |= 1 << (category % 32);
        }
        Self::Bits(bits)
    }

    #[inline(always)]
    fn holds(&self, category: u32) -> bool {
        match self {
            Self::Word(bits) => bits.checked_shr(category).is_some_and(|bits| bits & 1 == 1),
            Self::Bits(bits) => {
                bits.get(category as usize / 32).is_some_and(|word| word >> (category % 32) & 1 == 1)
            }
            Self::List(list) => list.binary_search(&category).is_ok(),
        }
    }
}

/// All trees of a model.
#[derive(Default)]
pub(super) struct Forest {
    /// Of full trees, and their leaves. Where leaves are vectors, the bits of a value are the place of the vector.
    pub(super) tests: Vec<Test>,
    pub(super) values: Vec<f32>,
    /// Of linked trees, and the value of each node that is a leaf.
    pub(super) nodes: Vec<Node>,
    pub(super) ends: Vec<f32>,
    pub(super) trees: Vec<Tree>,
    /// The numbers of leaves that are vectors, one for each output; empty where leaves are single numbers.
    pub(super) vectors: Vec<f32>,
    /// How many numbers a leaf holds; 0 before the first tree.
    pub(super) leaf_size: usize,
    /// The categories that go right.
    pub(super) sets: Vec<Set>,
    /// One past the highest feature that any node tests.
    pub(super) features: usize,
    /// The sum of the trees' depths.
    pub(super) depth: usize,
}

impl Forest {
    /// Adds each row's leaves to its margins, in the order of the trees, for the last bit of the sums. No value is infinite.
    pub(super) fn add(&self, rows: &[f32], width: usize, margins: &mut [f32], outputs: usize) {
        match (self.sets.is_empty(), self.has_vectors()) {
            (true, false) => self.add_rows::<false, false>(rows, width, margins, outputs),
            (false, false) => self.add_rows::<true, false>(rows, width, margins, outputs),
            (true, true) => self.add_rows::<false, true>(rows, width, margins, outputs),
            (false, true) => self.add_rows::<true, true>(rows, width, margins, outputs),
        }
    }

    fn add_rows<const CATEGORIES: bool, const VECTORS: bool>(
        &self,
        rows: &[f32],
        width: usize,
        margins: &mut [f32],
        outputs: usize,
    ) {
        let full = rows.len() / width / ABREAST * ABREAST;
        let (many, few) = rows.split_at(full * width);
        let (many_margins, few_margins) = margins.split_at_mut(full * outputs);
        let narrow = 2 * width <= NARROW;
        let (mut cells, mut sums) = (Vec::new(), Vec::new());
        let blocks = many.chunks(BLOCK.saturating_mul(width));
        for (rows, margins) in blocks.zip(many_margins.chunks_mut(BLOCK * outputs)) {
            spread(rows, width, &mut cells);
            turn(margins, outputs, &mut sums);
            for tree in &self.trees {
                for (group, sums) in sums.chunks_exact_mut(outputs).enumerate() {
                    let cells = &cells[group * 2 * width..];
                    match cells.first_chunk::<NARROW>() {
                        Some(cells) if narrow => self.walk_rows::<CATEGORIES, VECTORS, _>(tree, cells, sums),
                        _ => self.walk_rows::<CATEGORIES, VECTORS, _>(tree, cells, sums),
                    }
                }
            }
            turn_back(&sums, outputs, margins);
        }
        // With few rows it is the trees that go abreast; the sums still take them in order.
        let mut cells = Vec::new();
        for (row, margins) in few.chunks_exact(width).zip(few_margins.chunks_exact_mut(outputs)) {
            cells.clear();
            cells.extend(row.iter().flat_map(|&value| pair(value)));
            cells.resize(cells.len().max(NARROW), 0);
            for trees in self.trees.chunks(ABREAST) {
                let leaves = match cells.first_chunk::<NARROW>() {
                    Some(cells) if narrow => self.walk_trees::<CATEGORIES, _>(trees, cells),
                    _ => self.walk_trees::<CATEGORIES, _>(trees, cells.as_slice()),
                };
                for (tree, leaf) in trees.iter().zip(leaves) {
                    self.add_leaf::<VECTORS>(tree, leaf, margins);
                }
            }
        }
    }

    /// Adds the leaves of eight rows to their sums, each output's side by side.
    #[inline(always)]
    fn add_leaves<const VECTORS: bool>(
        &self,
        tree: &Tree,
        leaves: [f32; ABREAST],
        sums: &mut [[f32; ABREAST]],
    ) {
        if VECTORS {
            for (lane, leaf) in leaves.into_iter().enumerate() {
                let vector = &self.vectors[leaf.to_bits() as usize..];
                sums.iter_mut().zip(vector).for_each(|(sums, value)| sums[lane] += value * tree.weight);
            }
        } else {
            let sums = &mut sums[tree.output as usize];
            sums.iter_mut().zip(leaves).for_each(|(sum, leaf)| *sum += leaf * tree.weight);
        }
    }

    /// Adds a leaf to the margins of a row.
    #[inline(always)]
    fn add_leaf<const VECTORS: bool>(&self, tree: &Tree, value: f32, margins: &mut [f32]) {
        if VECTORS {
            let vector = &self.vectors[value.to_bits() as usize..];
            margins.iter_mut().zip(vector).for_each(|(margin, value)| *margin += value * tree.weight);
        } else {
            margins[tree.output as usize] += value * tree.weight;
        }
    }

    /// Walks eight rows through a tree and adds their leaves to their sums.
    #[inline(never)]
    fn walk_rows<const CATEGORIES: bool, const VECTORS: bool, C: Cells<[i32; ABREAST]> + ?Sized>(
        &self,
        tree: &Tree,
        cells: &C,
        sums: &mut [[f32; ABREAST]],
    ) {
        let passes = |test: Test, lane: usize| self.passes::<CATEGORIES>(test, |it| cells.at(it)[lane]);
        let leaves = match tree.shape {
            Shape::Full { tests, values, depth } => {
                let tests = &self.tests[tests as usize..][..1 << depth];
                let values = &self.values[values as usize..][..1 << depth];
                // With the depth known, no step has to check that it stays in the tree.
                match depth {
                    1 => descend!(2, tests, values, passes, 0),
                    2 => descend!(4, tests, values, passes, 0 0),
                    3 => descend!(8, tests, values, passes, 0 0 0),
                    4 => descend!(16, tests, values, passes, 0 0 0 0),
                    5 => descend!(32, tests, values, passes, 0 0 0 0 0),
                    6 => descend!(64, tests, values, passes, 0 0 0 0 0 0),
                    7 => descend!(128, tests, values, passes, 0 0 0 0 0 0 0),
                    8 => descend!(256, tests, values, passes, 0 0 0 0 0 0 0 0),
                    _ => {
                        let mut at = [1; ABREAST];
                        for _ in 0..depth {
                            for (lane, at) in at.iter_mut().enumerate() {
                                *at = 2 * *at + usize::from(passes(tests[*at], lane));
                            }
                        }
                        at.map(|at| values[at - tests.len()])
                    }
                }
            }
            Shape::Linked { root } => {
                self.walk_linked::<CATEGORIES>([root; ABREAST], |lane, it| cells.at(it)[lane])
            }
        };
        self.add_leaves::<VECTORS>(tree, leaves, sums);
    }

    /// Walks a row through eight trees, or fewer, and returns the values of its leaves.
    #[inline(always)]
    fn walk_trees<const CATEGORIES: bool, C: Cells<i32> + ?Sized>(
        &self,
        trees: &[Tree],
        cells: &C,
    ) -> [f32; ABREAST] {
        let cell = |_: usize, cell: u32| *cells.at(cell);
        let shapes: [Shape; ABREAST] = std::array::from_fn(|lane| trees.get(lane).unwrap_or(&trees[0]).shape);
        let mut together = u32::MAX;
        let mut lanes: [(&[Test], u32); ABREAST] = [(&[], 0); ABREAST];
        for (lane, shape) in lanes.iter_mut().zip(shapes) {
            let Shape::Full { tests, depth, .. } = shape else {
                return self.walk_shapes::<CATEGORIES, C>(shapes, cells);
            };
            *lane = (&self.tests[tests as usize..][..1 << depth], depth);
            together = together.min(depth);
        }
        let mut at = [1_usize; ABREAST];
        for _ in 0..together {
            for lane in 0..ABREAST {
                let test = lanes[lane].0[at[lane]];
                at[lane] = 2 * at[lane] + usize::from(self.passes::<CATEGORIES>(test, |it| cell(lane, it)));
            }
        }
        std::array::from_fn(|lane| {
            let Shape::Full { values, .. } = shapes[lane] else { return 0.0 };
            let (tests, depth) = lanes[lane];
            let mut at = at[lane];
            for _ in together..depth {
                at = 2 * at + usize::from(self.passes::<CATEGORIES>(tests[at], |it| cell(lane, it)));
            }
            self.values[values as usize + at - (1 << depth)]
        })
    }

    /// Walks a row through trees of which one is linked: abreast when all are.
    #[inline(never)]
    fn walk_shapes<const CATEGORIES: bool, C: Cells<i32> + ?Sized>(
        &self,
        shapes: [Shape; ABREAST],
        cells: &C,
    ) -> [f32; ABREAST] {
        let mut roots = [0; ABREAST];
        for (root, shape) in roots.iter_mut().zip(shapes) {
            let Shape::Linked { root: known } = shape else {
                return shapes.map(|shape| self.walk_alone::<CATEGORIES, C>(shape, cells));
            };
            *root = known;
        }
        self.walk_linked::<CATEGORIES>(roots, |_, it| *cells.at(it))
    }

    /// Walks a row through one tree.
    fn walk_alone<const CATEGORIES: bool, C: Cells<i32> + ?Sized>(&self, shape: Shape, cells: &C) -> f32 {
        let cell = |it: u32| *cells.at(it);
        match shape {
            Shape::Full { tests, values, depth } => {
                let mut at = 1;
                for _ in 0..depth {
                    let test = self.tests[tests as usize + at];
                    at = 2 * at + usize::from(self.passes::<CATEGORIES>(test, cell));
                }
                self.values[values as usize + at - (1 << depth)]
            }
            Shape::Linked { root } => {
                let mut at = root;
                loop {
                    let node = self.nodes[at as usize];
                    let next = node.left + u32::from(self.passes::<CATEGORIES>(node.test, cell));
                    if next == at {
                        return self.ends[at as usize];
                    }
                    at = next;
                }
            }
        }
    }

    #[inline(always)]
    fn walk_linked<const CATEGORIES: bool>(
        &self,
        mut at: [u32; ABREAST],
        cell: impl Fn(usize, u32) -> i32,
    ) -> [f32; ABREAST] {
        loop {
            let mut moved = 0;
            for (lane, at) in at.iter_mut().enumerate() {
                let node = self.nodes[*at as usize];
                let right = self.passes::<CATEGORIES>(node.test, |it| cell(lane, it));
                let next = node.left + u32::from(right);
                moved |= next ^ *at;
                *at = next;
            }
            if moved == 0 {
                return at.map(|at| self.ends[at as usize]);
            }
        }
    }

    #[inline(always)]
    fn passes<const CATEGORIES: bool>(&self, test: Test, cell: impl Fn(u32) -> i32) -> bool {
        if CATEGORIES && test.cell & CATEGORICAL != 0 {
            self.holds(test.threshold.cast_unsigned(), cell(test.cell & !CATEGORICAL))
        } else {
            cell(test.cell) >= test.threshold
        }
    }

    /// Returns whether the value is one of the categories of a set, or missing where that goes right. What is no category at
    /// all is in none.
    fn holds(&self, set: u32, cell: i32) -> bool {
        let value = value(cell);
        let known = (0.0..CATEGORY_LIMIT).contains(&value) && self.sets[set as usize].holds(value as u32);
        known || cell == MISSING[1]
    }
}

/// Returns an integer that compares to others as the number, which is not NaN, does to theirs.
#[inline(always)]
pub(super) fn key(value: f32) -> i32 {
    // Of the two zeros, which are equal, this makes the positive one.
    let bits = (value + 0.0).to_bits().cast_signed();
    bits ^ ((bits >> 31) & i32::MAX)
}

/// Returns the number of a key; of a missing value's, NaN.
fn value(key: i32) -> f32 {
    f32::from_bits((key ^ ((key >> 31) & i32::MAX)).cast_unsigned())
}

/// The two cells of a value.
#[inline(always)]
fn pair(value: f32) -> [i32; 2] {
    if value.is_nan() { MISSING } else { [key(value); 2] }
}

/// Spreads rows, whose number is a multiple of eight, into the cells of one eight after the other.
fn spread(rows: &[f32], width: usize, cells: &mut Vec<[i32; ABREAST]>) {
    // Whoever looks at a group's cells as many sees those of the next too, and at last what is put here behind them.
    cells.resize(rows.len() / ABREAST * 2 + NARROW, [0; ABREAST]);
    let groups = rows.chunks_exact(ABREAST * width).zip(cells.chunks_exact_mut(2 * width));
    for (rows, cells) in groups {
        for (lane, row) in rows.chunks_exact(width).enumerate() {
            for (value, cells) in row.iter().zip(cells.as_chunks_mut::<2>().0) {
                let [left, right] = pair(*value);
                cells[0][lane] = left;
                cells[1][lane] = right;
            }
        }
    }
}

/// Puts margins, outputs innermost, of rows whose number is a multiple of eight, so that eight rows' are side by side.
fn turn(margins: &[f32], outputs: usize, sums: &mut Vec<[f32; ABREAST]>) {
    sums.resize(margins.len() / ABREAST, [0.0; ABREAST]);
    for (margins, sums) in margins.chunks_exact(ABREAST * outputs).zip(sums.chunks_exact_mut(outputs)) {
        for (lane, margins) in margins.chunks_exact(outputs).enumerate() {
            margins.iter().zip(&mut *sums).for_each(|(margin, sums)| sums[lane] = *margin);
        }
    }
}

/// Puts them back.
fn turn_back(sums: &[[f32; ABREAST]], outputs: usize, margins: &mut [f32]) {
    for (margins, sums) in margins.chunks_exact_mut(ABREAST * outputs).zip(sums.chunks_exact(outputs)) {
        for (lane, margins) in margins.chunks_exact_mut(outputs).enumerate() {
            margins.iter_mut().zip(sums).for_each(|(margin, sums)| *margin = sums[lane]);
        }
    }
}
