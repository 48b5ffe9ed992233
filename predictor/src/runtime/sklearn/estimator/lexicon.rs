//! Texts that are looked up: the place of each in a list. It costs twelve bytes a text beside the text's own.

use std::hash::{BuildHasher, RandomState};

use super::super::numpy::Texts;

/// No place.
const NONE: u32 = u32::MAX;

/// The texts of a list, and a table of their hashes. Whoever made the file does not know the hashes, so cannot make them equal.
#[derive(Default)]
pub(super) struct Lexicon {
    texts: Texts,
    /// For each hash the last text that has it.
    heads: Vec<u32>,
    /// For each text the one before that has its hash.
    before: Vec<u32>,
    hasher: RandomState,
    /// No text is there twice.
    distinct: bool,
}

impl Lexicon {
    /// Makes the table. Of equal texts the last counts.
    pub(super) fn new(texts: Texts) -> Self {
        let count = texts.len();
        let mut lexicon = Self {
            heads: vec![NONE; count],
            before: vec![NONE; count],
            hasher: RandomState::new(),
            distinct: true,
            texts,
        };
        for at in 0..count {
            let text = lexicon.texts.at(at);
            let hash = lexicon.hash(text);
            if lexicon.find(hash, text).is_some() {
                lexicon.distinct = false;
            }
            // There are fewer than 2^32, which their offsets are counted in.
            lexicon.before[at] = std::mem::replace(&mut lexicon.heads[hash], at as u32);
        }
        lexicon
    }

    /// What a table for so many texts takes, in bytes.
    pub(super) fn cost(texts: usize) -> usize {
        texts.saturating_mul(2 * size_of::<u32>())
    }

    pub(super) fn len(&self) -> usize {
        self.before.len()
    }

    pub(super) fn is_distinct(&self) -> bool {
        self.distinct
    }

    /// Returns the place of a text.
    pub(super) fn get(&self, text: &[u8]) -> Option<u32> {
        if self.heads.is_empty() { None } else { self.find(self.hash(text), text) }
    }

    fn find(&self, hash: usize, text: &[u8]) -> Option<u32> {
        let mut at = self.heads[hash];
        while at != NONE {
            if self.texts.at(at as usize) == text {
                return Some(at);
            }
            at = self.before[at as usize];
        }
        None
    }

    /// Returns the hash, below the number of texts.
    fn hash(&self, text: &[u8]) -> usize {
        let hash = self.hasher.hash_one(text);
        // The high half of the product is below the number, as evenly as the hash is.
        ((u128::from(hash) * self.heads.len() as u128) >> 64) as usize
    }
}

#[cfg(test)]
impl Lexicon {
    /// Makes one of a few words.
    pub(super) fn of(words: &[&str]) -> Self {
        let doc = super::super::pickle::read(b"N.", 2).unwrap();
        let write = |it: &&str, out: &mut Vec<u8>| {
            out.extend_from_slice(it.as_bytes());
            Some(())
        };
        Self::new(Texts::of(words.iter(), doc.root(), write).unwrap().unwrap())
    }
}

#[cfg(test)]
mod tests {
    use super::Lexicon;

    #[test]
    fn texts_are_found_at_their_places() {
        let numbers: Vec<String> = (0..1000).map(|it| it.to_string()).collect();
        let words: Vec<&str> = numbers.iter().map(String::as_str).collect();
        let found = Lexicon::of(&words);
        assert!(words.iter().zip(0..).all(|(word, at)| found.get(word.as_bytes()) == Some(at)));
        assert_eq!((found.get(b"1000"), found.get(b""), found.is_distinct()), (None, None, true));
        let twice = Lexicon::of(&["a", "", "a"]);
        assert_eq!((twice.get(b"a"), twice.get(b""), twice.is_distinct()), (Some(2), Some(1), false));
        assert_eq!(Lexicon::of(&[]).get(b""), None);
    }
}
