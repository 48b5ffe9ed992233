//! Texts out of a pickle.

use super::super::refusal::Refusal;
use super::super::view::View;
use crate::runtime::texts::Texts;

/// Writes each of some things as a text; `None` where one is none. Who writes appends to what it is given, the same each time.
/// `view` is where they come from.
///
/// # Errors
/// `Malformed` for more texts than the file is worth, or of more bytes than 32 bits count.
pub(crate) fn texts_of<T>(
    things: impl ExactSizeIterator<Item = T> + Clone,
    view: View<'_>,
    write: impl Fn(T, &mut Vec<u8>) -> Option<()>,
) -> Result<Option<Texts>, Refusal> {
    let count = things.len();
    view.charge(count.saturating_mul(size_of::<u32>()))?;
    let mut scratch = Vec::new();
    let mut bytes = 0;
    for thing in things.clone() {
        scratch.clear();
        if write(thing, &mut scratch).is_none() {
            return Ok(None);
        }
        view.charge(scratch.len())?;
        bytes += scratch.len();
    }
    let mut texts = Texts::default();
    texts.reserve(count, bytes);
    for thing in things {
        if !texts.push_with(|out| write(thing, out)) {
            return Err(Refusal::malformed("texts of more than 4 GiB"));
        }
    }
    Ok(Some(texts))
}
