//! Hosts: what turns a [`Model`](crate::Model), a [`Transform`](crate::Transform) or an [`Explain`](crate::Explain) into a
//! component that can be served.

mod batch;
mod dispatch;
mod example;
mod explain;
pub(crate) mod method;
mod model;
pub mod repository;
mod transform;
mod upstream;

pub use batch::{BatchFlags, BatchOptions, BatchParameters};
pub use explain::{ExplainHost, ExplainOptions};
pub use model::{ListedInputs, ModelOptions};
pub use repository::{Loaded, Loader, ModelHost};
pub use transform::TransformHost;
pub use upstream::UpstreamHost;

use weir_proto::Error;

use crate::Call;

/// A host of one model refuses calls for others.
fn check_model(call: &Call, name: &str) -> Result<(), Error> {
    if call.model == name { Ok(()) } else { Err(Error::model_not_found(&call.model)) }
}
