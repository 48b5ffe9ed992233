//! Walking trees: sixteen rows, or eight trees, abreast, so that the wait for one's memory is the others' work, and few
//! instructions a step.
//!
//! Many rows go through the first levels of a tree together: each test there is made for all of them at once, whether they come by
//! or not, and the answers are folded from below into the places where the rows come out. That is less work than to follow each row
//! as long as a level has less than about sixteen tests, and wide registers do it well. From there on each row walks by itself.

use rten_simd::ops::{BitOps, NumOps};
use rten_simd::{Isa, SimdOp};

use super::columns::{ABREAST, Columns, Lanes, NARROW};
use super::fold::{self, Fold, Levels, Step};
use super::sets::Sets;
use crate::runtime::wide::Lines;

/// The bit of [`Test::cell`] that makes the test one of membership in a set of categories.
pub(super) const CATEGORICAL: u32 = 1 << 31;
/// A test that nothing passes.
pub(super) const NOWHERE: Test = Test { cell: 0, threshold: i32::MAX };
/// Levels that are walked together.
pub(super) const LEVELS: u32 = 4;
/// Places where rows come out of them.
pub(super) const EXITS: usize = 1 << LEVELS;
/// Trees that a row alone walks through side by side, and rows of a group that do so below its first levels: a processor has
/// registers for so many.
const SIDE_BY_SIDE: usize = 8;
/// Rows that are too few to fill a group.
const FEW: usize = 2;
/// Memory for the cells of the rows that go through a tree before the next tree is fetched into the cache, in bytes.
const BLOCK: usize = 56 << 10;
/// The most groups that are worth that.
const GROUPS: usize = 8;
/// How the sets of a model are asked: there are none, all are bits, or they are lists.
const NO_SETS: u8 = 0;
pub(super) const BITS: u8 = 1;
const LISTS: u8 = 2;
/// More words than that are not looked through for rows that may not come by.
pub(super) const MAX_WORDS: usize = 4;

/// Walks rows down the rest of a full tree of so many tests, from where they came out of its first levels.
#[inline(always)]
fn descend<const SIZE: usize>(
    exits: usize,
    tests: &[Test],
    values: &[f32],
    passes: impl Fn(Test, usize) -> bool,
    leaves: &mut [f32; ABREAST],
) {
    let (Some(tests), Some(values)) = (tests.first_chunk::<SIZE>(), values.first_chunk::<SIZE>()) else {
        return;
    };
    for first in (0..ABREAST).step_by(SIDE_BY_SIDE) {
        let mut at = [0; SIDE_BY_SIDE];
        for lane in 0..SIDE_BY_SIDE {
            at[lane] = exits + leaves[first + lane].to_bits() as usize % exits;
        }
        // With the depth known, no step has to check that it stays in the tree.
        for _ in exits.ilog2()..SIZE.ilog2() {
            for lane in 0..SIDE_BY_SIDE {
                at[lane] = 2 * at[lane] + usize::from(passes(tests[at[lane] % SIZE], first + lane));
            }
        }
        for lane in 0..SIDE_BY_SIDE {
            leaves[first + lane] = values[at[lane] % SIZE];
        }
    }
}

/// What a row, or a group, is spread into.
pub(super) trait Cells<T> {
    fn at(&self, cell: u32) -> &T;
}

impl<T> Cells<T> for [T] {
    #[inline(always)]
    fn at(&self, cell: u32) -> &T {
        &self[cell as usize]
    }
}

/// Of models with few columns.
impl<T> Cells<T> for [T; NARROW] {
    #[inline(always)]
    fn at(&self, cell: u32) -> &T {
        &self[usize::from(cell as u8)]
    }
}

/// What sends a row to the right.
#[derive(Debug, Clone, Copy)]
pub(super) struct Test {
    /// The column, and a bit.
    pub(super) cell: u32,
    /// The key of the value from which on it is right; of a categorical test the bits are its set.
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
    /// So many nodes that say where their children are. Tests as of a full tree of some levels begin at `top`, and at `exits` the
    /// nodes where those come out.
    /// Its steps of folding begin at `steps`, if it is small.
    Linked { root: u32, nodes: u32, top: u32, exits: u32, steps: u32 },
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Tree {
    pub(super) shape: Shape,
    /// The output it adds to.
    pub(super) output: u32,
    /// Its share (dart), else 1, which changes no bit.
    pub(super) weight: f32,
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
    /// The nodes that rows come to from the first levels of linked trees.
    pub(super) exits: Vec<u32>,
    /// How small linked trees are folded.
    pub(super) steps: Vec<Step>,
    /// The most registers that folding a tree takes.
    pub(super) room: usize,
    /// The categories that go right.
    pub(super) sets: Sets,
    pub(super) columns: Columns,
    /// One past the highest feature that any node tests.
    pub(super) features: usize,
    /// The sum of the trees' depths.
    pub(super) depth: usize,
}

impl Forest {
    /// Adds each row's leaves to its margins, in the order of the trees, for the last bit of the sums. No value is infinite.
    pub(super) fn add(&self, rows: &[f32], width: usize, margins: &mut [f32], outputs: usize) {
        match (self.sets.is_empty(), self.sets.words()) {
            (true, _) => self.add_rows::<NO_SETS>(rows, width, margins, outputs),
            (false, 0) => self.add_rows::<LISTS>(rows, width, margins, outputs),
            (false, _) => self.add_rows::<BITS>(rows, width, margins, outputs),
        }
    }

    fn add_rows<const SETS: u8>(&self, rows: &[f32], width: usize, margins: &mut [f32], outputs: usize) {
        let count = rows.len() / width;
        let alone = if count % ABREAST <= FEW { count % ABREAST } else { 0 };
        let (many, few) = rows.split_at((count - alone) * width);
        let (many_margins, few_margins) = margins.split_at_mut((count - alone) * outputs);
        if !many.is_empty() {
            Groups::<SETS> { forest: self, rows: many, width, margins: many_margins, outputs }.dispatch();
        }
        // With few rows it is the trees that go abreast; the sums still take them in order.
        let length = self.columns.cells();
        let mut cells = vec![[0]; if few.is_empty() { 0 } else { length.max(NARROW) }];
        for (row, margins) in few.chunks_exact(width).zip(few_margins.chunks_exact_mut(outputs)) {
            self.columns.fill(row, width, &mut cells[..length]);
            for trees in self.trees.chunks(SIDE_BY_SIDE) {
                let leaves = match cells.first_chunk::<NARROW>() {
                    Some(cells) if length <= NARROW => self.walk_trees::<SETS, _>(trees, cells),
                    _ => self.walk_trees::<SETS, _>(trees, cells.as_slice()),
                };
                for (tree, leaf) in trees.iter().zip(leaves) {
                    self.add_leaf(tree, leaf, margins);
                }
            }
        }
    }

    /// Adds the leaves of a group to its sums, each output's side by side.
    #[inline(always)]
    fn add_leaves(&self, tree: &Tree, leaves: &[f32; ABREAST], sums: &mut [[f32; ABREAST]]) {
        if self.has_vectors() {
            for (lane, leaf) in leaves.iter().enumerate() {
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
    fn add_leaf(&self, tree: &Tree, value: f32, margins: &mut [f32]) {
        if self.has_vectors() {
            let vector = &self.vectors[value.to_bits() as usize..];
            margins.iter_mut().zip(vector).for_each(|(margin, value)| *margin += value * tree.weight);
        } else {
            margins[tree.output as usize] += value * tree.weight;
        }
    }

    /// Walks a group through a tree and writes its leaves down.
    #[inline(always)]
    fn walk_group<I: Isa, const SETS: u8, C: Cells<Lanes> + ?Sized>(
        &self,
        isa: I,
        tree: &Tree,
        folded: Levels,
        group: &[Lanes],
        cells: &C,
        leaves: &mut [f32; ABREAST],
    ) {
        match tree.shape {
            Shape::Full { .. } if folded == Levels::First => {
                self.walk_rest::<SETS, C>(tree, fold::FIRST, cells, leaves);
            }
            Shape::Full { tests, values, depth } => {
                let first = &self.tests[tests as usize..][..1 << depth];
                let exits = match depth {
                    0 => [0; ABREAST],
                    1 => self.top::<I, SETS, 1>(isa, first, group),
                    2 => self.top::<I, SETS, 2>(isa, first, group),
                    3 => self.top::<I, SETS, 3>(isa, first, group),
                    _ => self.top::<I, SETS, 4>(isa, first, group),
                };
                *leaves = exits.map(|it| f32::from_bits(it.cast_unsigned()));
                match depth {
                    0..=LEVELS => {
                        let values = &self.values[values as usize..][..1 << depth];
                        leaves.iter_mut().zip(exits).for_each(|(leaf, at)| *leaf = values[at as usize]);
                    }
                    _ => self.walk_rest::<SETS, C>(tree, LEVELS, cells, leaves),
                }
            }
            Shape::Linked { top, exits, .. } => {
                let tests = &self.tests[top as usize..][..EXITS];
                let nodes = &self.exits[exits as usize..][..EXITS];
                let exits = self.top::<I, SETS, 4>(isa, tests, group);
                for first in (0..ABREAST).step_by(SIDE_BY_SIDE) {
                    let nodes = std::array::from_fn(|lane| nodes[exits[first + lane] as usize]);
                    let ends = self.walk_linked::<SETS>(nodes, |lane, it| cells.at(it)[first + lane]);
                    leaves[first..first + SIDE_BY_SIDE].copy_from_slice(&ends);
                }
            }
        }
    }

    /// Walks a group down a full tree from below so many levels, where the bits of its leaves tell where each row came out.
    #[inline(always)]
    fn walk_rest<const SETS: u8, C: Cells<Lanes> + ?Sized>(
        &self,
        tree: &Tree,
        levels: u32,
        cells: &C,
        leaves: &mut [f32; ABREAST],
    ) {
        let Shape::Full { tests, values, depth } = tree.shape else { return };
        let exits = 1 << levels;
        let tests = &self.tests[tests as usize..][..1 << depth];
        let values = &self.values[values as usize..][..1 << depth];
        let passes = |test: Test, lane: usize| self.passes::<SETS>(test, |it| cells.at(it)[lane]);
        match depth {
            5 => descend::<32>(exits, tests, values, passes, leaves),
            6 => descend::<64>(exits, tests, values, passes, leaves),
            7 => descend::<128>(exits, tests, values, passes, leaves),
            8 => descend::<256>(exits, tests, values, passes, leaves),
            9 => descend::<512>(exits, tests, values, passes, leaves),
            10 => descend::<1024>(exits, tests, values, passes, leaves),
            _ => {
                let mut at = leaves.map(|at| exits + at.to_bits() as usize);
                for _ in levels..depth {
                    for (lane, at) in at.iter_mut().enumerate() {
                        *at = 2 * *at + usize::from(passes(tests[*at], lane));
                    }
                }
                leaves.iter_mut().zip(at).for_each(|(leaf, at)| *leaf = values[at - tests.len()]);
            }
        }
    }

    /// Takes a group through so many levels of a tree, and returns where the rows come out, counted from the left.
    #[inline(always)]
    fn top<I: Isa, const SETS: u8, const DEPTH: u32>(
        &self,
        isa: I,
        tests: &[Test],
        group: &[Lanes],
    ) -> Lanes {
        let mut exits = [0; ABREAST];
        if !self.is_foldable::<SETS>() {
            let mut at = [1; ABREAST];
            for _ in 0..DEPTH {
                for (lane, at) in at.iter_mut().enumerate() {
                    let passes = self.passes::<SETS>(tests[*at], |it| group[it as usize][lane]);
                    *at = 2 * *at + usize::from(passes);
                }
            }
            // There are at most sixteen.
            return at.map(|at| (at - (1 << DEPTH)) as i32);
        }
        let ops = isa.i32();
        let low = 1 << (DEPTH - 1);
        let mut room = [ops.zero(); EXITS / 2];
        for from in (0..ABREAST).step_by(ops.len()) {
            let tests = &tests[..2 * low];
            for at in 0..low {
                let exit = 2 * at as i32;
                room[at] = ops.select(
                    ops.splat(exit),
                    ops.splat(exit + 1),
                    self.fail::<I, SETS>(isa, tests[low + at], group, from),
                );
            }
            let mut level = low;
            while level > 1 {
                level /= 2;
                for at in 0..level {
                    room[at] = ops.select(
                        room[2 * at],
                        room[2 * at + 1],
                        self.fail::<I, SETS>(isa, tests[level + at], group, from),
                    );
                }
            }
            ops.store(room[0], &mut exits[from..]);
        }
        exits
    }

    /// Returns whether tests can be made of many rows at once.
    #[inline(always)]
    fn is_foldable<const SETS: u8>(&self) -> bool {
        SETS == NO_SETS || SETS == BITS && self.sets.words() <= MAX_WORDS
    }

    /// Tells which rows of a group, from one on, do not pass a test.
    #[inline(always)]
    fn fail<I: Isa, const SETS: u8>(&self, isa: I, test: Test, group: &[Lanes], from: usize) -> I::M32 {
        let ops = isa.i32();
        if SETS == BITS && test.cell & CATEGORICAL != 0 {
            let bits = &group[(test.cell & !CATEGORICAL) as usize + 1..];
            let mut held = ops.zero();
            for (word, bits) in self.sets.bits(test.threshold.cast_unsigned()).iter().zip(bits) {
                let word = ops.splat(word.cast_signed());
                held = ops.or(held, ops.and(ops.load(&bits[from..]), word));
            }
            return ops.eq(held, ops.zero());
        }
        ops.lt(ops.load(&group[test.cell as usize][from..]), ops.splat(test.threshold))
    }

    /// Walks a row through eight trees, or fewer, and returns the values of its leaves.
    #[inline(always)]
    fn walk_trees<const SETS: u8, C: Cells<[i32; 1]> + ?Sized>(
        &self,
        trees: &[Tree],
        cells: &C,
    ) -> [f32; SIDE_BY_SIDE] {
        let cell = |_: usize, cell: u32| cells.at(cell)[0];
        let shapes: [Shape; SIDE_BY_SIDE] =
            std::array::from_fn(|lane| trees.get(lane).unwrap_or(&trees[0]).shape);
        let mut together = u32::MAX;
        let mut lanes: [(&[Test], u32); SIDE_BY_SIDE] = [(&[], 0); SIDE_BY_SIDE];
        for (lane, shape) in lanes.iter_mut().zip(shapes) {
            let Shape::Full { tests, depth, .. } = shape else {
                return self.walk_shapes::<SETS, C>(shapes, cells);
            };
            *lane = (&self.tests[tests as usize..][..1 << depth], depth);
            together = together.min(depth);
        }
        let mut at = [1_usize; SIDE_BY_SIDE];
        for _ in 0..together {
            for lane in 0..SIDE_BY_SIDE {
                let test = lanes[lane].0[at[lane]];
                at[lane] = 2 * at[lane] + usize::from(self.passes::<SETS>(test, |it| cell(lane, it)));
            }
        }
        std::array::from_fn(|lane| {
            let Shape::Full { values, .. } = shapes[lane] else { return 0.0 };
            let (tests, depth) = lanes[lane];
            let mut at = at[lane];
            for _ in together..depth {
                at = 2 * at + usize::from(self.passes::<SETS>(tests[at], |it| cell(lane, it)));
            }
            self.values[values as usize + at - (1 << depth)]
        })
    }

    /// Walks a row through trees of which one is linked: abreast when all are.
    #[inline(never)]
    fn walk_shapes<const SETS: u8, C: Cells<[i32; 1]> + ?Sized>(
        &self,
        shapes: [Shape; SIDE_BY_SIDE],
        cells: &C,
    ) -> [f32; SIDE_BY_SIDE] {
        let mut roots = [0; SIDE_BY_SIDE];
        for (root, shape) in roots.iter_mut().zip(shapes) {
            let Shape::Linked { root: known, .. } = shape else {
                return shapes.map(|shape| self.walk_alone::<SETS, C>(shape, cells));
            };
            *root = known;
        }
        self.walk_linked::<SETS>(roots, |_, it| cells.at(it)[0])
    }

    /// Walks a row through one tree.
    fn walk_alone<const SETS: u8, C: Cells<[i32; 1]> + ?Sized>(&self, shape: Shape, cells: &C) -> f32 {
        let cell = |it: u32| cells.at(it)[0];
        match shape {
            Shape::Full { tests, values, depth } => {
                let mut at = 1;
                for _ in 0..depth {
                    let test = self.tests[tests as usize + at];
                    at = 2 * at + usize::from(self.passes::<SETS>(test, cell));
                }
                self.values[values as usize + at - (1 << depth)]
            }
            Shape::Linked { root, .. } => {
                let mut at = root;
                loop {
                    let node = self.nodes[at as usize];
                    let next = node.left + u32::from(self.passes::<SETS>(node.test, cell));
                    if next == at {
                        return self.ends[at as usize];
                    }
                    at = next;
                }
            }
        }
    }

    #[inline(always)]
    fn walk_linked<const SETS: u8>(
        &self,
        mut at: [u32; SIDE_BY_SIDE],
        cell: impl Fn(usize, u32) -> i32,
    ) -> [f32; SIDE_BY_SIDE] {
        loop {
            let mut moved = 0;
            for (lane, at) in at.iter_mut().enumerate() {
                let node = self.nodes[*at as usize];
                let right = self.passes::<SETS>(node.test, |it| cell(lane, it));
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
    fn passes<const SETS: u8>(&self, test: Test, cell: impl Fn(u32) -> i32) -> bool {
        if SETS == NO_SETS {
            return cell(test.cell) >= test.threshold;
        }
        let (value, set) = (cell(test.cell & !CATEGORICAL), test.threshold.cast_unsigned());
        let above = value >= test.threshold;
        let categorical = test.cell & CATEGORICAL != 0;
        let category = value.cast_unsigned();
        if SETS == LISTS {
            return if categorical { self.sets.lists(set, category) } else { above };
        }
        // Without a branch, which nobody could foretell: half of the nodes of a tree may be categorical.
        let word = self.sets.word(set, category, u32::from(categorical).wrapping_neg());
        (word >> (category % 32) & 1 == 1) & categorical | above & !categorical
    }
}

/// Rows that go through trees side by side, in groups.
struct Groups<'a, const SETS: u8> {
    forest: &'a Forest,
    rows: &'a [f32],
    width: usize,
    margins: &'a mut [f32],
    outputs: usize,
}

impl<const SETS: u8> SimdOp for Groups<'_, SETS> {
    type Output = ();

    #[inline(always)]
    fn eval<I: Isa>(self, isa: I) {
        let Self { forest, rows, width, margins, outputs } = self;
        let length = forest.columns.cells();
        let groups = (BLOCK / (size_of::<Lanes>() * length)).clamp(1, GROUPS);
        let most = rows.len() / width;
        // Whoever looks at a group's cells as many sees those of the next too, and at last what is put here behind them.
        let groups = groups.min(most.div_ceil(ABREAST));
        let mut cells = Lines::new((length * groups + NARROW) * ABREAST);
        let cells = &mut cells.of_mut()[..length * groups + NARROW];
        let mut numbers = Lines::new(groups * (outputs + 1) * ABREAST);
        let (leaves, sums) = numbers.of_mut().split_at_mut(groups);
        let foldable = forest.is_foldable::<SETS>();
        let mut room = Lines::new(if foldable { forest.room * ABREAST } else { 0 });
        let room = room.of_mut();
        let blocks = rows.chunks((groups * ABREAST).saturating_mul(width));
        for (rows, margins) in blocks.zip(margins.chunks_mut(groups * ABREAST * outputs)) {
            for (rows, cells) in rows.chunks(ABREAST * width).zip(cells.chunks_exact_mut(length)) {
                forest.columns.fill(rows, width, cells);
            }
            let groups = margins.len().div_ceil(ABREAST * outputs);
            let (leaves, sums) = (&mut leaves[..groups], &mut sums[..groups * outputs]);
            turn(margins, outputs, sums);
            for tree in &forest.trees {
                // All walk first, and are summed then: what was written piece by piece is not yet there to be read as a whole.
                let folded = if foldable { fold::levels(tree.shape, isa.i32().len()) } else { Levels::None };
                if folded != Levels::None {
                    Fold::<SETS> { forest, tree, cells, length, room, leaves }.dispatch();
                }
                if folded != Levels::All {
                    for (group, leaves) in leaves.iter_mut().enumerate() {
                        let cells = &cells[group * length..];
                        let group = &cells[..length];
                        match cells.first_chunk::<NARROW>() {
                            Some(cells) if length <= NARROW => {
                                forest.walk_group::<I, SETS, _>(isa, tree, folded, group, cells, leaves);
                            }
                            _ => forest.walk_group::<I, SETS, _>(isa, tree, folded, group, group, leaves),
                        }
                    }
                }
                for (leaves, sums) in leaves.iter().zip(sums.chunks_exact_mut(outputs)) {
                    forest.add_leaves(tree, leaves, sums);
                }
            }
            turn_back(sums, outputs, margins);
        }
    }
}

/// Puts margins, outputs innermost, so that those of a group are side by side.
#[inline(always)]
fn turn(margins: &[f32], outputs: usize, sums: &mut [[f32; ABREAST]]) {
    for (margins, sums) in margins.chunks(ABREAST * outputs).zip(sums.chunks_exact_mut(outputs)) {
        for (lane, margins) in margins.chunks_exact(outputs).enumerate() {
            margins.iter().zip(&mut *sums).for_each(|(margin, sums)| sums[lane] = *margin);
        }
    }
}

/// Puts them back.
#[inline(always)]
fn turn_back(sums: &[[f32; ABREAST]], outputs: usize, margins: &mut [f32]) {
    for (margins, sums) in margins.chunks_mut(ABREAST * outputs).zip(sums.chunks_exact(outputs)) {
        for (lane, margins) in margins.chunks_exact_mut(outputs).enumerate() {
            margins.iter_mut().zip(sums).for_each(|(margin, sums)| *margin = sums[lane]);
        }
    }
}
