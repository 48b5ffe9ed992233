//! What tests, benches and fuzz targets share.

pub mod echo;
pub mod fuzz;
pub mod served;
