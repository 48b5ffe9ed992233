//! Every shape that crosses a process boundary: tensors, the V1 and V2 protocols, the mesh's own messages, manifests.
//!
//! This crate never awaits, reads no file, opens no socket and logs nothing: bytes in, typed values or an [`Error`] out.

pub mod batch;
pub mod document;
mod element;
pub mod error;
pub mod event;
pub mod face;
pub mod form;
pub mod half;
pub mod infer;
pub mod json;
#[cfg(test)]
mod laws;
pub mod limits;
pub mod manifest;
pub mod oip;
pub mod signature;
pub mod tensor;
pub mod v1;
pub mod v2;

pub use error::{Code, Error, Origin};
pub use face::{Face, Payload};
pub use form::{Form, Layout, Method};
pub use infer::{InferRequest, InferResponse, Parameter, Parameters, RequestedOutput};
pub use limits::DecodeLimits;
pub use signature::{Signature, TensorSpec, text_in_row};
pub use tensor::{Buffer, Data, DataType, Tensor};

/// Messages generated from `proto/*.proto`; a test proves them fresh.
#[allow(missing_docs, clippy::all, rustdoc::all)]
pub mod generated {
    /// The Open Inference Protocol.
    #[rustfmt::skip]
    #[path = "inference.rs"]
    pub mod inference;
    /// gRPC's health checking.
    #[rustfmt::skip]
    #[path = "grpc.health.v1.rs"]
    pub mod health;
    /// gRPC's server reflection; version 1alpha has the same messages.
    #[rustfmt::skip]
    #[path = "grpc.reflection.v1.rs"]
    pub mod reflection;
    /// What Weir's services say to each other.
    #[rustfmt::skip]
    #[path = "weir.mesh.v1.rs"]
    pub mod mesh;

    /// The file descriptors of what clients speak, as server reflection hands them out: an encoded `FileDescriptorSet`.
    pub static DESCRIPTORS: &[u8] = include_bytes!("generated/descriptors.bin");
}
