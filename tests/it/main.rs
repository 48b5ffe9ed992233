//! Every test that crosses a crate: real servers on free ports, real model files, real processes.

mod compose;
mod fuzz;
mod grpc;
mod harness;
mod mistakes;
mod separate;
mod serve;
mod telemetry;
mod tidy;
