//! The operators of `ai.onnx.ml`: classical models.

pub(super) mod encode;
pub(super) mod linear;
pub(super) mod scale;
pub(super) mod scores;
pub(super) mod svm;
pub(super) mod tree_file;
pub(super) mod trees;
pub(super) mod walk;
