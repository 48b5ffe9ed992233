//! The command and the mesh: one manifest becomes four services, here or in processes of their own.
//!
//! A component is started from arguments and an environment in either case, as a pod would be: no service can tell where it runs.

pub mod cli;
mod commands;
mod component;
pub mod mesh;
pub mod plan;
mod separate;
mod sources;
mod trained;

pub use mesh::{Mesh, MeshOptions};
pub use plan::Plan;
