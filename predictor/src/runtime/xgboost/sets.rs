//! The sets of categories that nodes ask for, of all trees of a model.

use super::columns::CATEGORY_LIMIT;

/// Bits for each set cost at most so many times what a list of its categories does.
const GENEROUS: usize = 4;

/// The sets. Read one by one; then [`Sets::settle`] decides how they are kept.
#[derive(Default)]
pub(super) struct Sets {
    /// The categories of each set, ascending; gone where there are bits.
    list: Vec<u32>,
    /// Where those of each set end.
    ends: Vec<u32>,
    count: usize,
    /// A bit a category, each set with as many words.
    bits: Vec<u32>,
    /// How many words that are; 0 where sets are lists.
    words: usize,
    /// The first number that is in no set.
    limit: u32,
}

impl Sets {
    /// Adds a set of categories, ascending, and returns its number; `None` when there are more than can be counted.
    pub(super) fn push(&mut self, set: &[u32]) -> Option<u32> {
        let at = u32::try_from(self.ends.len()).ok()?;
        self.list.extend(set.iter().filter(|&&it| it < CATEGORY_LIMIT));
        self.ends.push(u32::try_from(self.list.len()).ok()?);
        self.count += 1;
        Some(at)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Returns how many words a set has; 0 where sets are lists.
    pub(super) fn words(&self) -> usize {
        self.words
    }

    /// Returns the first number that is in no set. The one after it stands for a missing value that is in each.
    pub(super) fn limit(&self) -> u32 {
        self.limit
    }

    /// Makes bits of them where that takes little more memory: then nothing has to be looked for. Returns by what the number of a
    /// set is to be multiplied.
    pub(super) fn settle(&mut self) -> u32 {
        self.limit = self.list.iter().max().map_or(0, |most| most + 1);
        let words = (self.limit as usize + 2).div_ceil(32);
        let count = self.count;
        if self.is_empty() || words.saturating_mul(count) > GENEROUS * (self.list.len() + count) {
            self.limit = CATEGORY_LIMIT;
            return 1;
        }
        self.words = words;
        self.bits = vec![0; words * count];
        let mut start = 0;
        for (&end, bits) in self.ends.iter().zip(self.bits.chunks_exact_mut(words)) {
            let missing = self.limit + 1;
            for category in self.list[start..end as usize].iter().copied().chain([missing]) {
                bits[category as usize / 32] |= 1 << (category % 32);
            }
            start = end as usize;
        }
        (self.list, self.ends) = Default::default();
        words as u32
    }

    /// Returns the words of a set, by its number times how many they are.
    #[inline(always)]
    pub(super) fn bits(&self, set: u32) -> &[u32] {
        &self.bits[set as usize..][..self.words]
    }

    /// Returns the word of a set where a category's bit is. Of the set 0 and any category where `asked` is 0, and not all bits.
    #[inline(always)]
    pub(super) fn word(&self, set: u32, category: u32, asked: u32) -> u32 {
        self.bits[(set.wrapping_add(category / 32) & asked) as usize]
    }

    /// Returns whether a list holds a category, or what stands for a missing value.
    pub(super) fn lists(&self, set: u32, category: u32) -> bool {
        let set = set as usize;
        let start = set.checked_sub(1).map_or(0, |before| self.ends[before] as usize);
        category == self.limit + 1
            || self.list[start..self.ends[set] as usize].binary_search(&category).is_ok()
    }
}
