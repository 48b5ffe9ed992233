//! Every test that crosses a crate: real servers on free ports, real model files, real processes.

// Every module here is a test's; what fails shall say so at once.
#![allow(clippy::print_stdout, clippy::unwrap_used)]

mod answers;
mod batching;
mod clients;
mod compose;
mod compression;
mod docs;
mod engines;
mod events;
mod flags;
mod fuzz;
mod golden;
mod grpc;
mod harness;
mod headers;
mod hop;
mod hostile;
mod limits;
mod memory;
mod mistakes;
mod mutations;
mod onnx;
mod onnxruntime;
mod openapi;
mod pmml;
mod python;
mod pytorch;
mod readme;
mod registry;
mod repository;
mod schema;
mod separate;
mod serve;
mod storage;
mod telemetry;
mod tensorflow;
mod tensorrt;
mod tidy;
mod upstream;
