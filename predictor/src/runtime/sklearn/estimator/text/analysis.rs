//! From a document to its terms, as scikit-learn's analyzers cut it.

use std::borrow::Cow;

use icu_normalizer::DecomposingNormalizerBorrowed;
use icu_normalizer::properties::CanonicalCombiningClassMapBorrowed;
use unicode_properties::{GeneralCategoryGroup, UnicodeGeneralCategory};

use crate::runtime::texts::Lexicon;

/// How a document is cut.
pub(super) struct Analysis {
    pub(super) lowercase: bool,
    pub(super) accents: Accents,
    pub(super) unit: Unit,
    /// The least and the greatest number of units in a term.
    pub(super) ngrams: (usize, usize),
    /// Words that are left out before terms are made.
    pub(super) stop_words: Lexicon,
}

/// What becomes of accents, once letters are small.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Accents {
    Kept,
    /// Each character is taken apart (NFKD), and marks are left out.
    Dropped,
    /// Each character is taken apart, and all but ASCII is left out.
    Ascii,
}

impl Accents {
    fn strip(self, text: &str) -> Cow<'_, str> {
        if self == Self::Kept || text.is_ascii() {
            return Cow::Borrowed(text);
        }
        let classes = CanonicalCombiningClassMapBorrowed::new();
        let apart = DecomposingNormalizerBorrowed::new_nfkd();
        let kept = |it: &char| match self {
            Self::Ascii => it.is_ascii(),
            Self::Dropped | Self::Kept => classes.get_u8(*it) == 0,
        };
        Cow::Owned(apart.normalize_iter(text.chars()).filter(kept).collect())
    }
}

/// What a term is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    /// Runs of letters, digits and underscores of at least so many characters.
    Word { least: usize },
    /// Characters, white space put together.
    Char,
    /// Characters of one word with a space at both of its ends.
    CharInWord,
}

impl Analysis {
    /// Calls with each term, in order.
    pub(super) fn terms(&self, document: &str, mut call: impl FnMut(&str)) {
        let lowered;
        let text = if self.lowercase {
            lowered = document.to_lowercase();
            lowered.as_str()
        } else {
            document
        };
        let text = &*self.accents.strip(text);
        match self.unit {
            Unit::Word { least } => self.words(text, least, call),
            Unit::Char => self.characters(&together(text), &mut call),
            Unit::CharInWord => {
                let mut padded = String::new();
                for word in text.split(is_space).filter(|it| !it.is_empty()) {
                    padded.clear();
                    padded.push(' ');
                    padded.push_str(word);
                    padded.push(' ');
                    self.within(&padded, &mut call);
                }
            }
        }
    }

    fn words(&self, text: &str, least: usize, mut call: impl FnMut(&str)) {
        let words: Vec<&str> = text
            .split(|it| !is_word(it))
            .filter(|it| !it.is_empty() && (least <= 1 || it.chars().nth(least - 1).is_some()))
            .filter(|it| self.stop_words.get(it.as_bytes()).is_none())
            .collect();
        let mut term = String::new();
        for length in self.ngrams.0..=self.ngrams.1.min(words.len()) {
            if length == 1 {
                words.iter().for_each(|it| call(it));
                continue;
            }
            for group in words.windows(length) {
                term.clear();
                for (at, word) in group.iter().enumerate() {
                    if at > 0 {
                        term.push(' ');
                    }
                    term.push_str(word);
                }
                call(&term);
            }
        }
    }

    /// Every run of so many characters.
    fn characters(&self, text: &str, call: &mut impl FnMut(&str)) {
        let ends = ends(text);
        let count = ends.len() - 1;
        for length in self.ngrams.0..=self.ngrams.1.min(count) {
            for start in 0..=count - length {
                call(&text[ends[start]..ends[start + length]]);
            }
        }
    }

    /// The same within one word; a word that is too short is a term by itself, once.
    fn within(&self, word: &str, call: &mut impl FnMut(&str)) {
        let ends = ends(word);
        let count = ends.len() - 1;
        for length in self.ngrams.0..=self.ngrams.1 {
            if length >= count {
                call(word);
                return;
            }
            for start in 0..=count - length {
                call(&word[ends[start]..ends[start + length]]);
            }
        }
    }
}

/// Returns where each character begins, and where the last one ends.
fn ends(text: &str) -> Vec<usize> {
    text.char_indices().map(|(at, _)| at).chain([text.len()]).collect()
}

/// Puts a space in the place of each run of two or more characters of white space.
fn together(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(first) = chars.next() {
        if !is_space(first) || !chars.peek().is_some_and(|&next| is_space(next)) {
            out.push(first);
            continue;
        }
        while chars.next_if(|&next| is_space(next)).is_some() {}
        out.push(' ');
    }
    out
}

/// What Python takes for a character of a word: a letter, a number, or an underscore. Marks are none, though Unicode counts
/// some of them as alphabetic.
fn is_word(it: char) -> bool {
    if it.is_ascii() {
        return it.is_ascii_alphanumeric() || it == '_';
    }
    matches!(it.general_category_group(), GeneralCategoryGroup::Letter | GeneralCategoryGroup::Number)
}

/// What Python takes for white space: four separators of ASCII beside Unicode's.
fn is_space(it: char) -> bool {
    it.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&it)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn terms(unit: Unit, ngrams: (usize, usize), text: &str) -> Vec<String> {
        let analysis = Analysis {
            lowercase: true,
            accents: Accents::Kept,
            unit,
            ngrams,
            stop_words: crate::runtime::texts::tests::lexicon(&["the"]),
        };
        let mut terms = Vec::new();
        analysis.terms(text, |it| terms.push(it.to_owned()));
        terms
    }

    #[test]
    fn accents_are_stripped_as_python_strips_them() {
        let text = "\u{e9}t\u{e9} \u{fb01}n \u{df} \u{2460} \u{ac00} e\u{301}";
        assert_eq!(Accents::Kept.strip(text), text);
        assert_eq!(Accents::Dropped.strip(text), "ete fin \u{df} 1 \u{1100}\u{1161} e");
        assert_eq!(Accents::Ascii.strip(text), "ete fin  1  e");
    }

    #[test]
    fn documents_are_cut_as_scikit_learn_cuts_them() {
        let word = Unit::Word { least: 2 };
        assert_eq!(terms(word, (1, 1), "The quick_brown f0x, ÉTÉ x!"), ["quick_brown", "f0x", "été"]);
        assert_eq!(
            terms(word, (1, 2), "red the green blue"),
            ["red", "green", "blue", "red green", "green blue"]
        );
        assert_eq!(terms(word, (2, 3), "one"), Vec::<String>::new());
        assert_eq!(terms(Unit::Char, (2, 3), "a  b"), ["a ", " b", "a b"]);
        assert_eq!(terms(Unit::CharInWord, (3, 4), "ab c"), [" ab", "ab ", " ab ", " c "]);
    }
}
