//! Trees laid out for walking, and the walk: several walks abreast, so that the wait for one's memory is the others' work.

use std::ops::Range;

use super::Fault;
use super::columns::{ABREAST, Columns, Kind, Lanes};
use super::linear::Linear;

/// The bit of [`Node::column`] that makes the test one of membership in a set of categories.
const CATEGORICAL: u32 = 1 << 31;
/// The bits of a leaf's threshold, which is NaN; the low half is its index into the values.
const LEAF: u64 = 0x7ff8 << 48;
/// The bit of [`Set::len`] that makes its words the categories, ascending, in place of bits.
const LISTED: u32 = 1 << 31;
/// The most words of a set: a category is a 32-bit integer that is not negative.
const MAX_WORDS: usize = 1 << 26;
/// How the sets of a model are looked at: there are none, all are bits, or some are lists.
const NO_SETS: u8 = 0;
const BITS: u8 = 1;
const LISTS: u8 = 2;
/// Rows that go through a tree before the next tree is fetched into the cache.
const BLOCK: usize = 8 * ABREAST;

/// A node. Its right child follows its left one. A leaf is its own left child, and nothing is greater than its threshold, so
/// that a walk that arrived stays where it is.
#[derive(Debug, Clone, Copy)]
struct Node {
    /// Right above it; of a categorical node the bits are its set.
    threshold: f64,
    /// The column that is tested, and a bit. While trees are planted, the key of the column to be.
    column: u32,
    left: u32,
}

/// Categories that go left. A categorical node has it in the place of its threshold.
#[derive(Debug, Clone, Copy)]
pub(super) struct Set {
    /// Where its words begin.
    start: u32,
    /// How many there are, and a bit.
    len: u32,
}

/// All trees of a model.
#[derive(Default)]
pub(super) struct Forest {
    nodes: Vec<Node>,
    roots: Vec<u32>,
    /// Of each leaf.
    values: Vec<f64>,
    /// What leaves add up instead of their values, in models that have such leaves.
    linear: Option<Linear>,
    words: Vec<u32>,
    /// Some set is a list.
    listed: bool,
    /// What nodes and leaves look at.
    columns: Columns,
    /// The sum of the trees' depths.
    depth: usize,
    /// Scores a row; trees take turns.
    outputs: usize,
}

/// Where missing values go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Missing {
    /// None are: NaN counts as zero.
    None,
    /// NaN and zero are.
    Zero,
    /// NaN is.
    Nan,
}

/// A split as files hold it.
pub(super) struct Split {
    pub(super) feature: i64,
    pub(super) test: Test,
    /// The number of a split, or of a leaf as -1 less its number.
    pub(super) left: i64,
    pub(super) right: i64,
}

pub(super) enum Test {
    /// Left up to the threshold.
    Threshold { threshold: f64, missing: Missing, default_left: bool },
    /// Left if the set holds it.
    Set(Set),
}

/// What is known of a split before it is read: where its node is, and how deep.
#[derive(Clone, Copy)]
struct Place {
    slot: u32,
    depth: u32,
}

const NOWHERE: Place = Place { slot: u32::MAX, depth: 0 };

impl Forest {
    /// Returns how many trees there are.
    pub(super) fn len(&self) -> usize {
        self.roots.len()
    }

    /// Returns the most steps that a row can take through all trees, the terms of leaves included, and the columns before.
    pub(super) fn steps(&self) -> usize {
        let terms = self.linear.as_ref().map_or(0, |it| it.longest().saturating_mul(self.len()));
        (self.depth + self.len() + self.columns.len()).saturating_add(terms)
    }

    /// Makes room for what is planted next: no more and no less than that much, where the caller can tell.
    pub(super) fn reserve(&mut self, leaves: usize, words: usize) {
        self.nodes.reserve_exact(leaves.saturating_mul(2));
        self.values.reserve_exact(leaves);
        self.words.reserve_exact(words);
    }

    /// Ends the planting: that many trees stay, and give that many scores a row.
    ///
    /// # Errors
    /// With the highest feature that is looked at, when it is beyond the number of features.
    pub(super) fn finish(&mut self, trees: usize, outputs: usize, features: usize) -> Result<(), usize> {
        self.roots.truncate(trees);
        self.outputs = outputs;
        if let Some(linear) = &mut self.linear {
            linear.fill(&self.values);
        }
        let splits = self.nodes.iter().filter(|it| !it.is_leaf()).map(|it| it.column);
        let terms = self.linear.as_ref().map(Linear::columns).unwrap_or_default();
        self.columns = Columns::new(splits.chain(terms.iter().copied()), features)?;
        for node in self.nodes.iter_mut().filter(|it| !it.is_leaf()) {
            let category = if Columns::kind(node.column) == Kind::Category { CATEGORICAL } else { 0 };
            node.column = self.columns.index(node.column) | category;
        }
        if let Some(linear) = &mut self.linear {
            linear.settle(&self.columns);
        }
        self.nodes.shrink_to_fit();
        self.values.shrink_to_fit();
        self.words.shrink_to_fit();
        Ok(())
    }

    /// Adds a tree of that many leaves, one split fewer and a value a leaf. The caller has made sure that the file is as
    /// large as the number says.
    ///
    /// # Errors
    /// When they do not make a tree.
    pub(super) fn plant(
        &mut self,
        leaves: usize,
        splits: impl Iterator<Item = Result<Split, Fault>>,
        values: impl Iterator<Item = Result<f64, Fault>>,
    ) -> Result<(), Fault> {
        let (tree, base, first) = (self.roots.len(), self.nodes.len(), self.values.len());
        // The second half of the numbers stays free for what stands for no node.
        let room = base.checked_add(leaves * 2).filter(|&it| it < u32::MAX as usize / 2);
        let base = u32::try_from(room.map_or(usize::MAX, |_| base))
            .map_err(|_| Fault::malformed("there are more than 2^31 nodes"))?;
        self.nodes.resize(self.nodes.len() + leaves * 2 - 1, Node { threshold: 0.0, column: 0, left: 0 });
        self.roots.push(base);
        let mut places = vec![NOWHERE; leaves - 1];
        let mut met = vec![false; leaves];
        if let Some(root) = places.first_mut() {
            *root = Place { slot: base, depth: 1 };
        } else {
            self.leaf(base, first, 0);
        }
        let mut deepest = 0;
        for (at, split) in splits.enumerate() {
            let Split { feature, test, left, right } = split?;
            let fail = |what: &str| Fault::malformed(format!("split {at} of tree {tree} {what}"));
            let Some(&Place { slot, depth }) = places.get(at).filter(|it| it.slot != u32::MAX) else {
                return Err(fail("is the child of none before it"));
            };
            deepest = deepest.max(depth);
            let (column, threshold) = place_of(feature, &test).map_err(|what| fail(&what))?;
            let pair = base + 1 + 2 * at as u32;
            self.nodes[slot as usize] = Node { threshold, column, left: pair };
            for (child, slot) in [(left, pair), (right, pair + 1)] {
                let fresh = match usize::try_from(child) {
                    Ok(split) => {
                        let place = places.get_mut(split).filter(|it| split > at && it.slot == u32::MAX);
                        place.map(|it| *it = Place { slot, depth: depth + 1 })
                    }
                    Err(_) => {
                        let leaf = usize::try_from(!child).unwrap_or(usize::MAX);
                        let fresh = met.get_mut(leaf).filter(|it| !**it);
                        fresh.map(|it| *it = true).map(|()| self.leaf(slot, first, leaf))
                    }
                };
                fresh.ok_or_else(|| {
                    fail(&format!(
                        "has the children {left} and {right}, expected later splits or leaves that no other has"
                    ))
                })?;
            }
        }
        self.depth += deepest as usize;
        for value in values {
            self.values.push(value?);
        }
        Ok(())
    }

    fn leaf(&mut self, slot: u32, first: usize, leaf: usize) {
        // There are fewer leaves than nodes, which were counted.
        self.nodes[slot as usize] =
            Node { threshold: f64::from_bits(LEAF | (first + leaf) as u64), column: 0, left: slot };
    }

    /// Makes the leaves of the tree that is planted next linear; the caller ends that many.
    pub(super) fn linear(&mut self) -> &mut Linear {
        let linear = self.linear.get_or_insert_default();
        linear.fill(&self.values);
        linear
    }

    /// Makes a set of words that hold a bit a category.
    pub(super) fn set(&mut self, words: Range<usize>) -> Option<Set> {
        let len = words.end.checked_sub(words.start).filter(|_| words.end <= self.words.len())?;
        Set::new(words.start, len, 0)
    }

    /// The words of all sets.
    pub(super) fn words(&mut self) -> &mut Vec<u32> {
        if self.words.is_empty() {
            // What no set holds is looked for here.
            self.words.push(0);
        }
        &mut self.words
    }

    /// Makes a set of these categories, ascending.
    pub(super) fn list(&mut self, categories: &[u32]) -> Option<Set> {
        let start = self.words().len();
        let len = categories.last().map_or(0, |&it| it as usize / 32 + 1);
        // Bits are faster to look at, but a large category alone must not cost megabytes.
        if len > MAX_WORDS || len > categories.len().saturating_mul(2).max(32) {
            self.words.extend_from_slice(categories);
            self.listed = true;
            return Set::new(start, categories.len(), LISTED).filter(|_| len <= MAX_WORDS);
        }
        self.words.resize(start + len, 0);
        for &category in categories {
            self.words[start + category as usize / 32] |= 1 << (category % 32);
        }
        Set::new(start, len, 0)
    }

    /// Returns whether a set of either kind holds a category.
    fn holds(&self, set: Set, category: u32) -> bool {
        let Set { start, len } = set;
        let words = &self.words[start as usize..start as usize + (len & !LISTED) as usize];
        if len & LISTED != 0 {
            return words.binary_search(&category).is_ok();
        }
        words.get(category as usize / 32).is_some_and(|it| it >> (category % 32) & 1 == 1)
    }

    /// Adds each row's leaves to its scores, in the order of the trees, for the last bit of the sums.
    pub(super) fn add(&self, rows: &[f64], width: usize, scores: &mut [f64]) {
        let columns = self.columns.len();
        let groups = (rows.len() / width).min(BLOCK).div_ceil(ABREAST);
        let mut block = vec![[0.0; ABREAST]; columns * groups];
        let rows = rows.chunks(BLOCK.saturating_mul(width));
        for (rows, scores) in rows.zip(scores.chunks_mut(BLOCK * self.outputs)) {
            let groups = rows.chunks(ABREAST * width).zip(block.chunks_exact_mut(columns));
            groups.for_each(|(rows, group)| self.columns.gather(rows, width, group));
            match (self.words.len(), self.listed) {
                (0, _) => self.add_block::<NO_SETS, ABREAST>(&block, scores),
                // Looking into sets takes registers, of which half the walks leave enough.
                (_, false) => self.add_block::<BITS, { ABREAST / 2 }>(&block, scores),
                (_, true) => self.add_block::<LISTS, { ABREAST / 2 }>(&block, scores),
            }
        }
    }

    fn add_block<const SETS: u8, const WALKS: usize>(&self, block: &[Lanes], scores: &mut [f64]) {
        let (outputs, columns) = (self.outputs, self.columns.len());
        let full = scores.len() / (ABREAST * outputs);
        let (many, few) = block.split_at(full * columns);
        let (many_scores, few_scores) = scores.split_at_mut(full * ABREAST * outputs);
        let mut output = 0;
        for &root in &self.roots {
            let groups = many.chunks_exact(columns).zip(many_scores.chunks_exact_mut(ABREAST * outputs));
            for (group, scores) in groups {
                for first in (0..ABREAST).step_by(WALKS) {
                    let ends = self.walk::<SETS, WALKS>(group, |walk| first + walk, [root; WALKS]);
                    for (lane, end) in (first..).zip(ends) {
                        scores[lane * outputs + output] += self.value(end, group, lane);
                    }
                }
            }
            output = if output + 1 == outputs { 0 } else { output + 1 };
        }
        // With few rows it is the trees that go abreast; the sums still take them in order.
        for (row, scores) in few_scores.chunks_exact_mut(outputs).enumerate() {
            let mut output = 0;
            for roots in self.roots.chunks(WALKS) {
                // A walk without a tree repeats the first one.
                let starts = std::array::from_fn(|walk| *roots.get(walk).unwrap_or(&roots[0]));
                let ends = self.walk::<SETS, WALKS>(few, |_| row % ABREAST, starts);
                for &end in &ends[..roots.len()] {
                    scores[output] += self.value(end, few, row);
                    output = if output + 1 == outputs { 0 } else { output + 1 };
                }
            }
        }
    }

    /// Returns what the leaf at a node adds.
    #[inline(always)]
    fn value(&self, node: u32, group: &[Lanes], lane: usize) -> f64 {
        let leaf = self.nodes[node as usize].threshold.to_bits() as u32 as usize;
        match self.linear.as_ref().and_then(|it| it.value(leaf, group, lane)) {
            Some(value) => value,
            None => self.values[leaf],
        }
    }

    /// Walks down from several nodes, each with the row in its lane of the group, and returns the nodes of the leaves.
    #[inline(always)]
    fn walk<const SETS: u8, const WALKS: usize>(
        &self,
        group: &[Lanes],
        lane: impl Fn(usize) -> usize,
        mut at: [u32; WALKS],
    ) -> [u32; WALKS] {
        let mut before = 0;
        loop {
            // Children come after their parents, so the sum grows for as long as any walk goes on.
            let mut sum = 0;
            for (walk, at) in at.iter_mut().enumerate() {
                *at = self.step::<SETS>(group, lane(walk), *at);
                sum += u64::from(*at);
            }
            if sum == before {
                return at;
            }
            before = sum;
        }
    }

    #[inline(always)]
    fn step<const SETS: u8>(&self, group: &[Lanes], lane: usize, at: u32) -> u32 {
        let node = &self.nodes[at as usize];
        let column = if SETS == NO_SETS { node.column } else { node.column & !CATEGORICAL };
        let value = group[column as usize][lane];
        let above = u32::from(value > node.threshold);
        let right = match SETS {
            NO_SETS => above,
            BITS => {
                // Without a branch, which nobody could foretell: half of the nodes of a tree may be categorical.
                let categorical = ((node.column as i32) >> 31) as u32;
                let set = Set::from_bits(node.threshold.to_bits());
                let category = value.to_bits() as u32;
                let word = category / 32;
                // The first word of all holds nothing.
                let inside = u32::from(word < set.len).wrapping_neg() & categorical;
                let held = self.words[(set.start.wrapping_add(word) & inside) as usize] >> (category % 32);
                (above & !categorical) | (!held & 1 & categorical)
            }
            _ if node.column & CATEGORICAL == 0 => above,
            _ => u32::from(!self.holds(Set::from_bits(node.threshold.to_bits()), value.to_bits() as u32)),
        };
        node.left + right
    }
}

impl Set {
    fn new(start: usize, len: usize, kind: u32) -> Option<Self> {
        // The high half of the bits is that of a subnormal or a small number, never of NaN.
        let end = u32::try_from(start.checked_add(len)?).ok()?;
        let len = u32::try_from(len).ok().filter(|&it| it as usize <= MAX_WORDS)?;
        Some(Self { start: end - len, len: len | kind })
    }

    fn to_bits(self) -> u64 {
        u64::from(self.len) << 32 | u64::from(self.start)
    }

    fn from_bits(bits: u64) -> Self {
        // The halves are what they were made of.
        Self { start: bits as u32, len: (bits >> 32) as u32 }
    }
}

impl Node {
    fn is_leaf(&self) -> bool {
        self.threshold.is_nan()
    }
}

/// Returns the column that a split looks at, and the threshold that it has there, or what is wrong with it.
fn place_of(feature: i64, test: &Test) -> Result<(u32, f64), String> {
    let (kind, threshold) = match *test {
        Test::Set(set) => (Kind::Category, f64::from_bits(set.to_bits())),
        Test::Threshold { threshold, missing, default_left } => {
            let kind = match (missing, default_left) {
                (Missing::None, _) => Kind::NanIsZero,
                (Missing::Nan, true) => Kind::NanLeft,
                (Missing::Nan, false) => Kind::NanRight,
                (Missing::Zero, true) => Kind::ZeroLeft,
                (Missing::Zero, false) => Kind::ZeroRight,
            };
            // Nothing is above infinity, so what goes right there needs a column of its own.
            match kind {
                Kind::NanRight if threshold == f64::INFINITY => (Kind::OnlyNan, 0.5),
                Kind::ZeroRight if threshold == f64::INFINITY => (Kind::OnlyZero, 0.5),
                kind => (kind, threshold),
            }
        }
    };
    if threshold.is_nan() {
        return Err("has the threshold NaN, expected a number".to_owned());
    }
    let key = u32::try_from(feature).ok().and_then(|it| Columns::key(it, kind));
    key.map(|it| (it, threshold))
        .ok_or_else(|| format!("tests feature {feature}, expected the number of one"))
}
