//! Lists of numbers nested as a grid, which is what images and batches are: all of one read in one loop.
//!
//! The loop knows nothing but sound grids. At anything else it gives up, and the caller reads the text from its beginning
//! with the rest of the reader, which finds out what it is or says what is wrong with it.

use super::Reader;
use super::usual::{Element, word};

/// Numbers that are kept as integers for as long as all of them are written so.
#[derive(Debug, Clone, PartialEq)]
pub enum Numbers {
    /// All were written as integers.
    Integers(Vec<i64>),
    /// One was not. The integers before it are doubles now, and all of them as exact as they were.
    Floats(Vec<f64>),
}

/// The most numbers that room is made for at a time.
const BATCH: usize = 64;

/// The most levels of a grid.
const LEVELS: usize = 16;

impl Reader<'_> {
    /// Reads a whole list of numbers, nested so that all lists of a level have the same length; appends them to `out` row by
    /// row and returns the lengths, outermost first. For floats a `null` is NaN.
    ///
    /// Returns `None`, and neither reads nor appends anything, when it is not that, or not surely so: when a number does not
    /// fit the type, when a list is empty, when `out` would have more than `max`, or when the text is wrong. To find out which
    /// is for the other functions.
    pub fn grid<T: Element>(&mut self, out: &mut Vec<T>, max: usize) -> Option<Vec<usize>> {
        let before = out.len();
        let mut grid = Grid::begin(self, max)?;
        if !matches!(grid.run(out), Stop::End) {
            out.truncate(before);
            return None;
        }
        self.pass(&grid);
        Some(grid.lengths())
    }

    /// [`Reader::grid`] for numbers of any kind.
    pub fn grid_of_any(&mut self, out: &mut Numbers, max: usize) -> Option<Vec<usize>> {
        let mut grid = Grid::begin(self, max)?;
        if out.is_empty() && i64::any(self.text, grid.at).is_none() {
            *out = Numbers::Floats(Vec::new());
        }
        if let Numbers::Integers(integers) = out {
            let before = integers.len();
            match grid.run(integers) {
                Stop::End => {
                    self.pass(&grid);
                    return Some(grid.lengths());
                }
                // What cannot be an integer may still be a number.
                Stop::Number => {
                    if out.floats().is_none() {
                        out.truncate(before);
                        return None;
                    }
                }
                Stop::Other => {
                    out.truncate(before);
                    return None;
                }
            }
        }
        let Numbers::Floats(floats) = out else { return None };
        let before = floats.len() - grid.leaves;
        if !matches!(grid.run(floats), Stop::End) {
            floats.truncate(before);
            return None;
        }
        self.pass(&grid);
        Some(grid.lengths())
    }

    fn pass(&mut self, grid: &Grid<'_>) {
        self.at = grid.at;
        self.fresh = false;
    }
}

impl Numbers {
    /// How many there are.
    pub fn len(&self) -> usize {
        match self {
            Self::Integers(integers) => integers.len(),
            Self::Floats(floats) => floats.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Forgets all but the first.
    pub fn truncate(&mut self, len: usize) {
        match self {
            Self::Integers(integers) => integers.truncate(len),
            Self::Floats(floats) => floats.truncate(len),
        }
    }

    /// Makes doubles of integers and lends them. Returns `None`, and changes nothing, when a double does not hold one of
    /// them.
    pub fn floats(&mut self) -> Option<&mut Vec<f64>> {
        if let Self::Integers(integers) = self {
            if integers.iter().any(|it| it.unsigned_abs() > 1 << 53) {
                return None;
            }
            let mut floats = Vec::with_capacity(integers.capacity());
            floats.extend(integers.iter().map(|&it| it as f64));
            *self = Self::Floats(floats);
        }
        match self {
            Self::Floats(floats) => Some(floats),
            Self::Integers(_) => None,
        }
    }
}

/// Why the loop stopped.
enum Stop {
    /// The grid is over.
    End,
    /// It stands before a value that the type cannot hold.
    Number,
    /// This is no grid.
    Other,
}

/// How many bytes a comma and a space take, as Python writes them, or a comma alone, if a word begins with them.
#[inline(always)]
fn comma(word: u64) -> Option<usize> {
    if word & 0xffff == u64::from(u16::from_le_bytes(*b", ")) {
        return Some(2);
    }
    (word & 0xff == u64::from(b',') && word >> 8 & 0xff > u64::from(b' ')).then_some(1)
}

/// How many bytes the end of a list, such a comma and the beginning of another list take.
#[inline(always)]
fn row(word: u64) -> Option<usize> {
    if word & 0xffff_ffff == u64::from(u32::from_le_bytes(*b"], [")) {
        return Some(4);
    }
    (word & 0x00ff_ffff == u64::from(u32::from_le_bytes(*b"],[\0"))).then_some(3)
}

/// A grid as far as it was read.
struct Grid<'a> {
    text: &'a [u8],
    /// Before a value, or behind the grid.
    at: usize,
    /// How many lists a number is nested in.
    levels: usize,
    /// The length of each level's lists, outermost first; 0 as long as it is not known.
    lengths: [usize; LEVELS],
    /// How many elements each level's open list has. The innermost has as many as there are leaves after `row`.
    counts: [usize; LEVELS],
    /// How many numbers were read.
    leaves: usize,
    /// How many of them there were before the innermost list.
    row: usize,
    /// The length of innermost lists, if there are others around them and it is known; otherwise 0.
    width: usize,
    /// How many innermost lists ended that `counts` has not got yet.
    rows: usize,
    /// The most numbers there may be, with those that were there before.
    max: usize,
}

impl<'a> Grid<'a> {
    /// Goes to the first number.
    fn begin(reader: &Reader<'a>, max: usize) -> Option<Self> {
        let text = reader.text;
        let mut at = past_space(text, reader.at);
        let mut levels = 0;
        while text.get(at) == Some(&b'[') {
            levels += 1;
            at = past_space(text, at + 1);
        }
        let fits = (1..=LEVELS).contains(&levels) && reader.depth + levels <= reader.max_depth;
        let (lengths, counts) = ([0; LEVELS], [0; LEVELS]);
        fits.then_some(Self { text, at, levels, lengths, counts, leaves: 0, row: 0, width: 0, rows: 0, max })
    }

    fn lengths(&self) -> Vec<usize> {
        self.lengths[..self.levels].to_vec()
    }

    /// Reads on from a value to the end of the grid.
    fn run<T: Element>(&mut self, out: &mut Vec<T>) -> Stop {
        let (begin, unread) = (self.at, self.leaves);
        let mut guessed = !out.is_empty();
        loop {
            let (before, leaves) = (out.len(), self.leaves);
            // Few at first: a hostile text may hold a great many short lists.
            out.resize(before + if before == 0 { BATCH / 8 } else { BATCH }, T::default());
            let stop = self.batch(&mut out[before..]);
            out.truncate(before + self.leaves - leaves);
            if out.len() > self.max {
                return Stop::Other;
            }
            if let Some(stop) = stop {
                if out.capacity() / 2 > out.len() + BATCH {
                    out.shrink_to_fit();
                }
                return stop;
            }
            let read = self.leaves - unread;
            if !guessed && read >= BATCH {
                // If the rest of the text is like its beginning; if not, what is too much is given back above.
                let rest = (self.text.len() - self.at) * read / (self.at - begin);
                out.reserve((rest * 17 / 16).min(self.max - out.len()) + BATCH);
                guessed = true;
            }
        }
    }

    /// Reads numbers, and what follows each, until there is one in each slot. Returns `None` before the next one.
    #[inline(always)]
    fn batch<T: Element>(&mut self, slots: &mut [T]) -> Option<Stop> {
        let text = self.text;
        let mut at = self.at;
        let leaves = self.leaves;
        let count = slots.len();
        for (index, slot) in slots.iter_mut().enumerate() {
            let read = leaves + index + 1;
            let usual = text.get(at..).and_then(|rest| rest.first_chunk()).and_then(|bytes| {
                let (value, length) = T::usual(bytes)?;
                Some((value, length, word(bytes, length)))
            });
            if let Some((value, length, gap)) = usual {
                *slot = value;
                if let Some(bytes) = comma(gap) {
                    at += length + bytes;
                    continue;
                }
                if let (Some(bytes), true) = (row(gap), read - self.row == self.width) {
                    at += length + bytes;
                    self.row = read;
                    self.rows += 1;
                    continue;
                }
                if !matches!(gap as u8, b'.' | b'e' | b'E') {
                    (self.at, self.leaves) = (at + length, read);
                    if let Some(stop) = self.next() {
                        return Some(stop);
                    }
                    at = self.at;
                    continue;
                }
                // The number goes on, and was no usual one.
            }
            (self.at, self.leaves) = (at, read - 1);
            if let Some(stop) = self.unusual(slot) {
                return Some(stop);
            }
            at = self.at;
        }
        (self.at, self.leaves) = (at, leaves + count);
        None
    }

    /// Reads a number that is written in an unusual way, has unusual space before it, or stands near the end of the text.
    #[cold]
    fn unusual<T: Element>(&mut self, slot: &mut T) -> Option<Stop> {
        self.at = past_space(self.text, self.at);
        let Some((value, end)) = T::any(self.text, self.at) else { return Some(Stop::Number) };
        *slot = value;
        self.at = end;
        self.leaves += 1;
        self.next()
    }

    /// Goes from the end of a number to the next one, out of lists and into others. Returns `None` when it is there.
    #[inline(never)]
    fn next(&mut self) -> Option<Stop> {
        let text = self.text;
        let mut at = past_space(text, self.at);
        // How many lists `at` is in.
        let mut level = self.levels;
        if level > 1 {
            self.counts[level - 2] += self.rows;
            self.rows = 0;
        }
        self.counts[level - 1] = self.leaves - self.row;
        while text.get(at) == Some(&b']') {
            level -= 1;
            let length = &mut self.lengths[level];
            if *length == 0 {
                *length = self.counts[level];
            } else if *length != self.counts[level] {
                return Some(Stop::Other);
            }
            self.counts[level] = 0;
            at += 1;
            if level == 0 {
                self.at = at;
                return Some(Stop::End);
            }
            self.row = self.leaves;
            self.width = self.lengths[self.levels - 1];
            self.counts[level - 1] += 1;
            at = past_space(text, at);
        }
        if text.get(at) != Some(&b',') {
            return Some(Stop::Other);
        }
        at = past_space(text, at + 1);
        while level < self.levels {
            if text.get(at) != Some(&b'[') {
                return Some(Stop::Other);
            }
            level += 1;
            at = past_space(text, at + 1);
        }
        self.at = at;
        None
    }
}

#[inline(always)]
fn past_space(text: &[u8], mut at: usize) -> usize {
    while let Some(b' ' | b'\n' | b'\t' | b'\r') = text.get(at) {
        at += 1;
    }
    at
}
