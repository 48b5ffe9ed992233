//! Texts, one behind the other, so that a short one costs little more than its bytes; and the place of a text among them.

use std::hash::{BuildHasher, RandomState};

/// No place.
const NONE: u32 = u32::MAX;
/// The least room of a table of hashes.
const LEAST: usize = 16;

/// A list of texts.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct Texts {
    bytes: Vec<u8>,
    /// Where each ends.
    ends: Vec<u32>,
}

impl Texts {
    /// Makes room for so many texts of so many bytes in all, no more and no less.
    pub(crate) fn reserve(&mut self, texts: usize, bytes: usize) {
        self.ends.reserve_exact(texts);
        self.bytes.reserve_exact(bytes);
    }

    /// Appends what `write` appends to the bytes; false, and nothing is appended, when it fails or more than 32 bits count.
    pub(crate) fn push_with(&mut self, write: impl FnOnce(&mut Vec<u8>) -> Option<()>) -> bool {
        let start = self.bytes.len();
        let written = write(&mut self.bytes);
        let end =
            u32::try_from(self.bytes.len()).ok().filter(|_| written.is_some() && self.len() < NONE as usize);
        match end {
            Some(end) => self.ends.push(end),
            None => self.bytes.truncate(start),
        }
        end.is_some()
    }

    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    /// Returns the text at a place below [`Texts::len`].
    pub(crate) fn at(&self, place: usize) -> &[u8] {
        let start = if place == 0 { 0 } else { self.ends[place - 1] };
        &self.bytes[start as usize..self.ends[place] as usize]
    }

    pub(crate) fn iter(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        (0..self.len()).map(|place| self.at(place))
    }

    /// Returns the bytes of all, and where each ends.
    pub(crate) fn into_parts(self) -> (Vec<u8>, Vec<u32>) {
        (self.bytes, self.ends)
    }
}

impl std::fmt::Debug for Texts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

/// Texts that are looked up: twelve to sixteen bytes each, beside their own. Whoever made a file does not know the hashes, so cannot
/// make them equal.
#[derive(Default)]
pub(crate) struct Lexicon {
    texts: Texts,
    /// For each hash the last text that has it.
    heads: Vec<u32>,
    /// For each text the one before that has its hash.
    before: Vec<u32>,
    hasher: RandomState,
    /// Some text is there twice.
    repeats: bool,
}

impl Lexicon {
    /// Takes a whole list. Of equal texts the last counts.
    pub(crate) fn new(texts: Texts) -> Self {
        let count = texts.len();
        let mut lexicon = Self { texts, ..Self::default() };
        lexicon.heads = vec![NONE; count];
        lexicon.before = vec![NONE; count];
        for at in 0..count {
            let hash = lexicon.hash(lexicon.texts.at(at));
            lexicon.repeats |= lexicon.find(hash, lexicon.texts.at(at)).is_some();
            lexicon.before[at] = std::mem::replace(&mut lexicon.heads[hash], at as u32);
        }
        lexicon
    }

    /// What the table of a list of so many texts takes, in bytes.
    pub(crate) fn cost(texts: usize) -> usize {
        texts.saturating_mul(2 * size_of::<u32>())
    }

    /// Makes room for so many texts more of so many bytes in all.
    pub(crate) fn reserve(&mut self, texts: usize, bytes: usize) {
        self.texts.reserve(texts, bytes);
        self.before.reserve_exact(texts);
        if self.len() + texts > self.heads.len() {
            self.widen(self.len() + texts);
        }
    }

    /// Returns the place of a text, a new one where it is new; `None` where there is no more room for one.
    pub(crate) fn intern(&mut self, text: &[u8]) -> Option<u32> {
        if let Some(place) = self.get(text) {
            return Some(place);
        }
        if self.len() == self.heads.len() {
            self.widen((self.len() * 2).max(LEAST));
        }
        let hash = self.hash(text);
        let place = self.len() as u32;
        let add = |bytes: &mut Vec<u8>| {
            bytes.extend_from_slice(text);
            Some(())
        };
        if !self.texts.push_with(add) {
            return None;
        }
        self.before.push(std::mem::replace(&mut self.heads[hash], place));
        Some(place)
    }

    /// Makes a table of so many hashes.
    fn widen(&mut self, hashes: usize) {
        self.heads = Vec::new();
        self.heads = vec![NONE; hashes];
        for at in 0..self.before.len() {
            let hash = self.hash(self.texts.at(at));
            self.before[at] = std::mem::replace(&mut self.heads[hash], at as u32);
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.before.len()
    }

    /// Returns whether no text is there twice.
    pub(crate) fn is_distinct(&self) -> bool {
        !self.repeats
    }

    /// Returns the text at a place.
    pub(crate) fn at(&self, place: usize) -> Option<&[u8]> {
        (place < self.len()).then(|| self.texts.at(place))
    }

    /// Returns the place of a text.
    pub(crate) fn get(&self, text: &[u8]) -> Option<u32> {
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

    /// Returns the hash, below the number of heads.
    fn hash(&self, text: &[u8]) -> usize {
        let hash = self.hasher.hash_one(text);
        // The high half of the product is below the number, as evenly as the hash is.
        ((u128::from(hash) * self.heads.len() as u128) >> 64) as usize
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn lexicon(words: &[&str]) -> Lexicon {
        let mut texts = Texts::default();
        for word in words {
            assert!(texts.push_with(|out| {
                out.extend_from_slice(word.as_bytes());
                Some(())
            }));
        }
        Lexicon::new(texts)
    }

    #[test]
    fn texts_are_found_at_their_places() {
        let numbers: Vec<String> = (0..1000).map(|it| it.to_string()).collect();
        let words: Vec<&str> = numbers.iter().map(String::as_str).collect();
        let mut grown = Lexicon::default();
        let places: Vec<_> = words.iter().chain(&words).map(|it| grown.intern(it.as_bytes())).collect();
        assert!(places.iter().zip((0..1000).chain(0..1000)).all(|(place, at)| *place == Some(at)));
        for found in [lexicon(&words), grown] {
            assert!(words.iter().zip(0..).all(|(word, at)| found.get(word.as_bytes()) == Some(at)));
            assert_eq!((found.get(b"1000"), found.get(b""), found.is_distinct()), (None, None, true));
            assert_eq!((found.at(7), found.at(1000)), (Some(&b"7"[..]), None));
        }
        let twice = lexicon(&["a", "", "a"]);
        assert_eq!((twice.get(b"a"), twice.get(b""), twice.is_distinct()), (Some(2), Some(1), false));
        assert_eq!(lexicon(&[]).get(b""), None);
    }
}
