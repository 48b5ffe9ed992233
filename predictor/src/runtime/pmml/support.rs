//! Stub.

use super::Fault;
use super::compiled::{Context, Scorer};
use super::plan::Loader;
use super::xml::Element;

pub(super) fn read(
    element: Element<'_>,
    _context: &Context<'_, '_>,
    _loader: &mut Loader,
) -> Result<Box<dyn Scorer>, Fault> {
    Err(element.unknown())
}
