//! What every service stands on, and all that a custom model, transformer or explainer needs.
//!
//! This crate alone names axum and tonic: whoever implements [`Model`], [`Transform`] or [`Explain`] never sees HTTP, gRPC or
//! JSON. It keeps no state of the process but the tracing subscriber: registries, configuration and clients are passed in.

pub mod call;
pub mod client;
pub mod explain;
pub mod flags;
mod grpc;
pub mod host;
mod id;
pub mod metrics;
pub mod model;
pub mod pool;
mod process;
mod properties;
mod repoll;
pub mod run;
pub mod server;
pub mod storage;
pub mod telemetry;
pub mod text_proto;
pub mod threads;
pub mod transform;
mod wire;
pub mod zip;

pub use call::{
    BoxFuture, Call, Context, Handle, MemoryHeld, Metadata, ModelState, ModelStatus, RepositoryVerb,
    Travellers, Verb, VersionStatus,
};
pub use client::{Peer, Target};
pub use explain::{Explain, Explanation, Inquiry, Next};
pub use flags::{Env, HeaderList, Launch, ServerFlags};
pub use metrics::Metrics;
pub use model::{Asked, Batching, Model, Question, Reply, Whole};
pub use pool::Pool;
pub use process::Process;
pub use run::{BuildError, Service, main};
pub use server::{Drain, Events, Limits, Running, Server, Sockets, Switches};
pub use threads::Threads;
pub use transform::{Implements, Transform};
pub use weir_proto as proto;
pub use weir_proto::{
    Code, Data, DataType, DecodeLimits, Error, Face, Form, InferRequest, InferResponse, Layout, Method,
    Origin, Parameter, Parameters, Payload, Signature, Tensor, TensorSpec,
};
