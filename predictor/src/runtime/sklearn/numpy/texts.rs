//! Texts, one behind the other, so that a short one costs little more than its bytes.

use super::super::refusal::Refusal;
use super::super::view::View;

/// A list of texts.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct Texts {
    bytes: Vec<u8>,
    /// Where each ends.
    ends: Vec<u32>,
}

impl Texts {
    /// Writes each of some things as a text; `None` where one is none. Who writes appends to what it is given, the same each time.
    /// `view` is where they come from.
    ///
    /// # Errors
    /// `Malformed` for more texts than the file is worth, or of more bytes than 32 bits count.
    pub(crate) fn of<T>(
        things: impl ExactSizeIterator<Item = T> + Clone,
        view: View<'_>,
        write: impl Fn(T, &mut Vec<u8>) -> Option<()>,
    ) -> Result<Option<Self>, Refusal> {
        let count = things.len();
        view.charge(count.saturating_mul(size_of::<u32>()))?;
        let mut ends = Vec::with_capacity(count);
        let mut scratch = Vec::new();
        let mut end = 0_u32;
        for thing in things.clone() {
            scratch.clear();
            if write(thing, &mut scratch).is_none() {
                return Ok(None);
            }
            view.charge(scratch.len())?;
            end = u32::try_from(scratch.len())
                .ok()
                .and_then(|it| end.checked_add(it))
                .ok_or_else(|| Refusal::malformed("texts of more than 4 GiB"))?;
            ends.push(end);
        }
        let mut bytes = Vec::with_capacity(end as usize);
        for thing in things {
            // It was one the first time.
            let _ = write(thing, &mut bytes);
        }
        Ok(Some(Self { bytes, ends }))
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
