//! Folding trees: every test is made for many rows at once, whether they come by or not, and the answers are folded from below
//! into the leaves. With wide registers that is less work than to follow each row, as long as a tree is small.

use rten_simd::ops::{BitOps, NumOps};
use rten_simd::{Isa, SimdOp};

use super::columns::{ABREAST, Lanes, NARROW};
use super::walk::{BITS, CATEGORICAL, Cells, Forest, Node, Shape, Test, Tree};

/// Nodes of the largest linked tree that is folded.
pub(super) const NODES: usize = 128;
/// Levels of the deepest full tree that is.
const DEEPEST: u32 = 6;
/// Levels of a deeper one that are.
pub(super) const FIRST: u32 = 5;
/// The places where rows come out of those.
const EXITS: [f32; 1 << FIRST] = {
    let mut exits = [0.0; 1 << FIRST];
    let mut at = 0;
    while at < exits.len() {
        exits[at] = f32::from_bits(at as u32);
        at += 1;
    }
    exits
};
/// Levels that stay in registers.
const STEP: u32 = 3;
/// Registers that go through a tree together, so that what a test is read for is done once.
const TOGETHER: usize = 4;

/// A node of a linked tree in the order of folding: splits come after their children, and leaves behind all of them.
#[derive(Clone, Copy)]
pub(super) struct Step {
    /// The node, and its left child, counted from the root.
    at: u8,
    left: u8,
    /// 0 for a child that is a leaf, which is the same for all rows, and 1 for another.
    spread: [u8; 2],
}

/// Returns the steps of a linked tree; none where it is too large.
pub(super) fn steps(nodes: &[Node], root: usize) -> impl Iterator<Item = Step> {
    let small = if nodes.len() <= NODES { nodes } else { &[] };
    let left = move |at: usize| small[at].left as usize - root;
    let is_leaf = move |at: usize| left(at) == at;
    // The numbers are below that of nodes.
    let step = move |at: usize| {
        let child = |it: usize| u8::from(!is_leaf(it));
        let spread = if is_leaf(at) { [0; 2] } else { [child(left(at)), child(left(at) + 1)] };
        Step { at: at as u8, left: left(at) as u8, spread }
    };
    let splits = (0..small.len()).rev().filter(move |at| !is_leaf(*at));
    splits.chain((0..small.len()).filter(move |at| is_leaf(*at))).map(step)
}

/// The levels of a tree that are folded.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Levels {
    None,
    /// The first ones of a full tree: so many that the bits of a leaf tell where a row comes out of them, counted from the left.
    First,
    All,
}

/// Returns which levels of a tree are folded by registers of so many lanes.
pub(super) fn levels(shape: Shape, lanes: usize) -> Levels {
    match shape {
        _ if lanes < 8 => Levels::None,
        Shape::Full { depth, .. } if depth <= if lanes < 16 { 5 } else { DEEPEST } => Levels::All,
        Shape::Full { .. } if lanes >= 16 => Levels::First,
        Shape::Linked { nodes, .. } if nodes as usize <= NODES => Levels::All,
        Shape::Full { .. } | Shape::Linked { .. } => Levels::None,
    }
}

/// Returns how many registers a tree of this shape is folded in.
pub(super) fn room(shape: Shape) -> usize {
    let places = match shape {
        Shape::Full { .. } => 1 << (DEEPEST - STEP),
        Shape::Linked { nodes, .. } if nodes as usize <= NODES => nodes as usize,
        Shape::Linked { .. } => 0,
    };
    places * TOGETHER
}

/// Folds a tree for groups of rows.
pub(super) struct Fold<'a, const SETS: u8> {
    pub(super) forest: &'a Forest,
    pub(super) tree: &'a Tree,
    /// So many for each group, and as many as are looked at behind the last.
    pub(super) cells: &'a [Lanes],
    pub(super) length: usize,
    pub(super) room: &'a mut [[f32; ABREAST]],
    /// Of each group.
    pub(super) leaves: &'a mut [[f32; ABREAST]],
}

impl<const SETS: u8> SimdOp for Fold<'_, SETS> {
    type Output = ();

    #[inline(always)]
    fn eval<I: Isa>(mut self, isa: I) {
        match isa.i32().len() {
            ABREAST => {
                if SETS != BITS {
                    self.groups::<I, TOGETHER>(isa);
                }
                self.groups::<I, 2>(isa);
                self.groups::<I, 1>(isa);
            }
            8 => self.groups::<I, 2>(isa),
            _ => self.groups::<I, 4>(isa),
        }
    }
}

impl<const SETS: u8> Fold<'_, SETS> {
    /// Folds as many groups as fill so many registers, as long as there are.
    #[inline(always)]
    fn groups<I: Isa, const N: usize>(&mut self, isa: I) {
        let groups = N * isa.i32().len() / ABREAST;
        while self.leaves.len() >= groups {
            let (leaves, rest) = std::mem::take(&mut self.leaves).split_at_mut(groups);
            self.fold::<I, N>(isa, leaves);
            self.leaves = rest;
            self.cells = &self.cells[groups * self.length..];
        }
    }

    #[inline(always)]
    fn fold<I: Isa, const N: usize>(&mut self, isa: I, leaves: &mut [[f32; ABREAST]]) {
        let ops = isa.f32();
        // A group may fill several registers.
        let group = |register: usize| register * ops.len() / ABREAST;
        let folded = if let Some(windows) = narrow(self.cells, self.length, group) {
            self.tree::<I, _, N>(isa, windows)
        } else {
            let windows = std::array::from_fn(|it| &self.cells[group(it) * self.length..][..self.length]);
            self.tree::<I, [Lanes], N>(isa, windows)
        };
        for register in 0..N {
            let from = register * ops.len() % ABREAST;
            ops.store(folded[register], &mut leaves[group(register)][from..]);
        }
    }

    #[inline(always)]
    fn tree<I: Isa, C: Cells<Lanes> + ?Sized, const N: usize>(
        &mut self,
        isa: I,
        windows: [&C; N],
    ) -> [I::F32; N] {
        let forest = self.forest;
        let windows = Windows { forest, windows };
        match self.tree.shape {
            Shape::Full { tests, depth, .. } if depth > DEEPEST => {
                let tests = &forest.tests[tests as usize..][..1 << FIRST];
                windows.full::<I, SETS>(isa, tests, &EXITS, self.room)
            }
            Shape::Full { tests, values, depth } => {
                let tests = &forest.tests[tests as usize..][..1 << depth];
                let values = &forest.values[values as usize..][..1 << depth];
                windows.full::<I, SETS>(isa, tests, values, self.room)
            }
            Shape::Linked { root, nodes, steps, .. } => {
                let range = root as usize..(root + nodes) as usize;
                let (nodes, ends) = (&forest.nodes[range.clone()], &forest.ends[range]);
                let steps = &forest.steps[steps as usize..][..nodes.len()];
                windows.linked::<I, SETS>(isa, steps, nodes, ends, self.room)
            }
        }
    }
}

/// Returns the cells of each register's group when they are few.
#[inline(always)]
fn narrow<const N: usize>(
    cells: &[Lanes],
    length: usize,
    group: impl Fn(usize) -> usize,
) -> Option<[&[Lanes; NARROW]; N]> {
    let mut windows = [cells.first_chunk().filter(|_| length <= NARROW)?; N];
    for (register, window) in windows.iter_mut().enumerate() {
        *window = cells.get(group(register) * length..)?.first_chunk()?;
    }
    Some(windows)
}

/// What the rows of some registers are spread into: for each register the cells of its group.
#[derive(Clone, Copy)]
struct Windows<'a, C: ?Sized, const N: usize> {
    forest: &'a Forest,
    windows: [&'a C; N],
}

impl<C: Cells<Lanes> + ?Sized, const N: usize> Windows<'_, C, N> {
    #[inline(always)]
    fn load<I: Isa>(&self, isa: I, register: usize, cell: u32) -> I::I32 {
        let ops = isa.i32();
        ops.load(&self.windows[register].at(cell)[register * ops.len() % ABREAST..])
    }

    /// Takes of each row the left one of two numbers if it fails a test, else the right one.
    #[inline(always)]
    fn choose<I: Isa, const SETS: u8>(
        &self,
        isa: I,
        test: Test,
        left: [I::F32; N],
        right: [I::F32; N],
    ) -> [I::F32; N] {
        let (ops, floats) = (isa.i32(), isa.f32());
        let mut chosen = left;
        if SETS == BITS && test.cell & CATEGORICAL != 0 {
            let (first, sets) = ((test.cell & !CATEGORICAL) + 1, &self.forest.sets);
            for register in 0..N {
                let mut held = ops.zero();
                for (bits, word) in (first..).zip(sets.bits(test.threshold.cast_unsigned())) {
                    let word = ops.splat(word.cast_signed());
                    held = ops.or(held, ops.and(self.load(isa, register, bits), word));
                }
                let fails = ops.eq(held, ops.zero());
                chosen[register] = floats.select(left[register], right[register], fails);
            }
        } else {
            let threshold = ops.splat(test.threshold);
            for register in 0..N {
                let fails = ops.lt(self.load(isa, register, test.cell), threshold);
                chosen[register] = floats.select(left[register], right[register], fails);
            }
        }
        chosen
    }

    /// Makes neighbouring tests, each of which chooses one of two.
    #[inline(always)]
    fn row<I: Isa, const SETS: u8, const TESTS: usize>(
        &self,
        isa: I,
        tests: &[Test],
        ends: &[[I::F32; N]],
    ) -> [[I::F32; N]; TESTS] {
        let mut row = [[isa.f32().zero(); N]; TESTS];
        let (Some(tests), (pairs, _)) = (tests.first_chunk::<TESTS>(), ends.as_chunks::<2>()) else {
            return row;
        };
        for at in 0..TESTS {
            row[at] = self.choose::<I, SETS>(isa, tests[at], pairs[at][0], pairs[at][1]);
        }
        row
    }

    /// Folds a full tree.
    #[inline(always)]
    fn full<I: Isa, const SETS: u8>(
        &self,
        isa: I,
        tests: &[Test],
        values: &[f32],
        room: &mut [[f32; ABREAST]],
    ) -> [I::F32; N] {
        let depth = tests.len().ilog2();
        let mut level = depth.saturating_sub(STEP);
        if depth < STEP {
            return self.levels::<I, SETS>(isa, tests, depth, 1, &Values(values));
        }
        for at in 0..1 << level {
            let folded = self.levels::<I, SETS>(isa, tests, STEP, (1 << level) + at, &Values(values));
            put::<I, N>(isa, room, at, folded);
        }
        while level > 0 {
            let levels = level.min(STEP);
            level -= levels;
            for at in 0..1 << level {
                let folded = self.levels::<I, SETS>(isa, tests, levels, (1 << level) + at, &Room(room));
                // What is written here was read before.
                put::<I, N>(isa, room, at, folded);
            }
        }
        Ends::<I, N>::ends::<1>(&Room(room), isa, 0)[0]
    }

    /// Folds so many levels from a root on.
    #[inline(always)]
    fn levels<I: Isa, const SETS: u8>(
        &self,
        isa: I,
        tests: &[Test],
        levels: u32,
        root: usize,
        below: &impl Ends<I, N>,
    ) -> [I::F32; N] {
        let first = (root - (1 << root.ilog2())) << levels;
        match levels {
            0 => below.ends::<1>(isa, first)[0],
            1 => self.row::<I, SETS, 1>(isa, &tests[root..], &below.ends::<2>(isa, first))[0],
            2 => {
                let ends = self.row::<I, SETS, 2>(isa, &tests[2 * root..], &below.ends::<4>(isa, first));
                self.row::<I, SETS, 1>(isa, &tests[root..], &ends)[0]
            }
            _ => {
                let ends = self.row::<I, SETS, 4>(isa, &tests[4 * root..], &below.ends::<8>(isa, first));
                let ends = self.row::<I, SETS, 2>(isa, &tests[2 * root..], &ends);
                self.row::<I, SETS, 1>(isa, &tests[root..], &ends)[0]
            }
        }
    }

    /// Folds a linked tree.
    #[inline(always)]
    fn linked<I: Isa, const SETS: u8>(
        &self,
        isa: I,
        steps: &[Step],
        nodes: &[Node],
        ends: &[f32],
        room: &mut [[f32; ABREAST]],
    ) -> [I::F32; N] {
        let ops = isa.f32();
        let count = steps.len();
        let room = &mut room[..count * N];
        let (splits, leaves) = steps.split_at(steps.len() / 2);
        for step in leaves {
            let end = ends[usize::from(step.at)];
            ops.store(ops.splat(end), &mut room[usize::from(step.at) % NODES * N]);
        }
        for step in splits {
            let (at, left) = (usize::from(step.at) % NODES, usize::from(step.left) % NODES);
            let [spread, spread_right] = step.spread.map(|it| usize::from(it & 1));
            let right = (left + 1) % NODES;
            let mut children = [[ops.zero(); N]; 2];
            for register in 0..N {
                children[0][register] = ops.load(&room[left * N + register * spread]);
                children[1][register] = ops.load(&room[right * N + register * spread_right]);
            }
            let test = nodes[usize::from(step.at)].test;
            put::<I, N>(isa, room, at, self.choose::<I, SETS>(isa, test, children[0], children[1]));
        }
        // A tree that is one leaf is not linked.
        Ends::<I, N>::ends::<1>(&Room(room), isa, 0)[0]
    }
}

/// Writes what registers hold to a place.
#[inline(always)]
fn put<I: Isa, const N: usize>(isa: I, room: &mut [[f32; ABREAST]], at: usize, values: [I::F32; N]) {
    let Some(place) = room[at * N..].first_chunk_mut::<N>() else { return };
    for register in 0..N {
        isa.f32().store(values[register], &mut place[register]);
    }
}

/// What stands below the levels that are folded, counted from the left of the tree.
trait Ends<I: Isa, const N: usize> {
    fn ends<const COUNT: usize>(&self, isa: I, at: usize) -> [[I::F32; N]; COUNT];
}

/// Leaves, which are the same for all rows.
struct Values<'a>(&'a [f32]);

impl<I: Isa, const N: usize> Ends<I, N> for Values<'_> {
    #[inline(always)]
    fn ends<const COUNT: usize>(&self, isa: I, at: usize) -> [[I::F32; N]; COUNT] {
        let mut ends = [[isa.f32().zero(); N]; COUNT];
        let Some(values) = self.0[at..].first_chunk::<COUNT>() else { return ends };
        for it in 0..COUNT {
            ends[it] = [isa.f32().splat(values[it]); N];
        }
        ends
    }
}

/// What was folded before.
struct Room<'a>(&'a [[f32; ABREAST]]);

impl<I: Isa, const N: usize> Ends<I, N> for Room<'_> {
    #[inline(always)]
    fn ends<const COUNT: usize>(&self, isa: I, at: usize) -> [[I::F32; N]; COUNT] {
        let mut ends = [[isa.f32().zero(); N]; COUNT];
        let places = self.0[at * N..].as_chunks::<N>().0;
        let Some(places) = places.first_chunk::<COUNT>() else { return ends };
        for it in 0..COUNT {
            for register in 0..N {
                ends[it][register] = isa.f32().load(&places[it][register]);
            }
        }
        ends
    }
}
