//! The operators of `ai.onnx` that classical models are written with.

pub(super) mod binary;
pub(super) mod cast;
pub(super) mod choose;
pub(super) mod matmul;
pub(super) mod order;
pub(super) mod reduce;
pub(super) mod shape;
pub(super) mod texts;
pub(super) mod unary;
