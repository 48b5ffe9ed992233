//! Filters: each sees every request before it is routed on, and may change or refuse it. To add one, write a file beside this
//! one and name it in [`FILTERS`].

mod deadline;
mod headers;

use weir_sdk::{Call, Error};

use crate::route::Route;

/// Every filter, in the order they run.
pub static FILTERS: &[&dyn Filter] = &[&deadline::Deadline, &headers::Headers];

/// A filter of requests.
pub trait Filter: Sync {
    /// Its name, for messages.
    fn name(&self) -> &'static str;

    /// Changes a request, or refuses it.
    ///
    /// # Errors
    /// What the client is answered instead.
    fn request(&self, call: &mut Call, route: &Route) -> Result<(), Error>;
}
