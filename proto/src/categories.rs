//! The names of a column's categories: a model knows their places, clients their names.

/// The categories of a column, texts or numbers, each of which stands for its place from zero on.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Categories {
    /// Their bytes, one behind the other; of a number those of its double.
    bytes: Vec<u8>,
    /// Where each ends.
    ends: Vec<u32>,
    /// Their places in the order of their bytes.
    order: Vec<u32>,
    numbers: bool,
    /// What is no category is refused, and not taken as a missing value.
    closed: bool,
}

impl Categories {
    /// Makes the list of the texts, which stand in `bytes` and end where `ends` says; `None` where they do not.
    #[must_use]
    pub fn texts(bytes: Vec<u8>, ends: Vec<u32>) -> Option<Self> {
        let whole = ends.last().map_or(0, |&it| it as usize) == bytes.len() && ends.is_sorted();
        let count =
            u32::try_from(ends.len()).ok().filter(|_| whole && std::str::from_utf8(&bytes).is_ok())?;
        let mut categories = Self { bytes, ends, order: (0..count).collect(), ..Self::default() };
        categories.sort();
        // A text that ended within a character would be none.
        (0..categories.len()).all(|at| std::str::from_utf8(categories.at(at)).is_ok()).then_some(categories)
    }

    /// Makes the list of the numbers; `None` where they are more than 32 bits count.
    #[must_use]
    pub fn numbers(numbers: impl Iterator<Item = f64>) -> Option<Self> {
        let bytes: Vec<u8> = numbers.flat_map(key).collect();
        let count = u32::try_from(bytes.len()).ok()? / 8;
        let ends = (1..=count).map(|it| it * 8).collect();
        let mut categories = Self { bytes, ends, order: (0..count).collect(), numbers: true, closed: false };
        categories.sort();
        Some(categories)
    }

    fn sort(&mut self) {
        let mut order = std::mem::take(&mut self.order);
        order.sort_unstable_by(|&a, &b| self.at(a as usize).cmp(self.at(b as usize)).then(a.cmp(&b)));
        self.order = order;
    }

    /// Returns how many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Returns whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Returns whether they are numbers, and not texts.
    #[must_use]
    pub fn are_numbers(&self) -> bool {
        self.numbers
    }

    /// Returns the texts in the order of their places; none where they are numbers.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let count = if self.numbers { 0 } else { self.len() };
        (0..count).map(|at| std::str::from_utf8(self.at(at)).unwrap_or_default())
    }

    /// Refuses what is no category, where it would be a missing value otherwise.
    #[must_use]
    pub fn closed(self) -> Self {
        Self { closed: true, ..self }
    }

    /// Returns whether each text is ASCII.
    #[must_use]
    pub fn are_ascii(&self) -> bool {
        self.numbers || self.bytes.is_ascii()
    }

    /// Returns the place of a text as a number. What is no category is NaN, a missing value, as is an empty text that is none; or
    /// `None` where others are refused.
    #[must_use]
    pub fn place_of_text(&self, text: &[u8]) -> Option<f64> {
        let place = if self.numbers { None } else { self.place(text) };
        place.or(if self.closed && !text.is_empty() { None } else { Some(f64::NAN) })
    }

    /// Returns the place of a number. NaN is a missing value, as is what is no category; `None` where others are refused.
    #[must_use]
    pub fn place_of_number(&self, number: f64) -> Option<f64> {
        let place = if self.numbers { self.place(&key(number)) } else { None };
        place.or(if self.closed && !number.is_nan() { None } else { Some(f64::NAN) })
    }

    fn place(&self, key: &[u8]) -> Option<f64> {
        let found = self.order.binary_search_by(|&at| self.at(at as usize).cmp(key)).ok()?;
        Some(self.order[found].into())
    }

    fn at(&self, place: usize) -> &[u8] {
        let start = if place == 0 { 0 } else { self.ends[place - 1] };
        &self.bytes[start as usize..self.ends[place] as usize]
    }
}

impl std::fmt::Debug for Categories {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries((0..self.len()).map(|at| String::from_utf8_lossy(self.at(at)))).finish()
    }
}

/// Both zeros are the same number.
fn key(number: f64) -> [u8; 8] {
    (number + 0.0).to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stand_for_their_places_and_what_is_none_is_missing() {
        let texts = Categories::texts("UlmBonnKöln".into(), vec![3, 7, 12]).unwrap();
        let places = ["Ulm", "Bonn", "Köln"].map(|it| texts.place_of_text(it.as_bytes()));
        assert_eq!(places, [Some(0.0), Some(1.0), Some(2.0)]);
        assert!(["Rom", ""].iter().all(|it| texts.place_of_text(it.as_bytes()).unwrap().is_nan()));
        assert!(texts.place_of_number(0.0).unwrap().is_nan());
        assert_eq!(texts.names().collect::<Vec<_>>(), ["Ulm", "Bonn", "Köln"]);
        let closed = texts.closed();
        assert_eq!((closed.place_of_text(b"Rom"), closed.place_of_text(b"Ulm")), (None, Some(0.0)));
        assert!(closed.place_of_text(b"").unwrap().is_nan());
        let numbers = Categories::numbers([20.0, -0.0, 0.5].into_iter()).unwrap();
        let places = [0.5, 0.0, 20.0].map(|it| numbers.place_of_number(it));
        assert_eq!(places, [Some(2.0), Some(1.0), Some(0.0)]);
        assert!(numbers.place_of_number(1.0).unwrap().is_nan());
        assert_eq!(numbers.clone().closed().place_of_number(1.0), None);
        assert!(numbers.closed().place_of_number(f64::NAN).unwrap().is_nan());
    }

    #[test]
    fn what_does_not_fit_together_is_no_list() {
        assert!(Categories::texts(b"ab".to_vec(), vec![1]).is_none());
        assert!(Categories::texts(b"ab".to_vec(), vec![2, 1, 2]).is_none());
        assert!(Categories::texts("ö".into(), vec![1, 2]).is_none());
        assert!(Categories::texts(vec![0xff], vec![1]).is_none());
        assert!(Categories::texts(Vec::new(), Vec::new()).is_some_and(|it| it.is_empty()));
    }
}
