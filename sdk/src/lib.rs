//! What every service stands on, and all that a custom model, transformer or explainer needs.

pub mod explain;
pub mod model;
pub mod transform;

pub use explain::{Explain, Explanation, Inquiry, Next};
pub use model::Model;
pub use transform::{Implements, Transform};
pub use weir_proto as proto;
