//! What tests, benches and fuzz targets share.

pub mod fuzz;
