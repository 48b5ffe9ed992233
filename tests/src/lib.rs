//! What tests, benches and fuzz targets share.
