//! Every test that crosses a crate: real servers on free ports, real model files, real processes.

// Every module here is a test's; what fails shall say so at once.
#![allow(clippy::print_stdout, clippy::unwrap_used)]

mod compose;
mod docs;
mod fuzz;
mod golden;
mod grpc;
mod harness;
mod hop;
mod hostile;
mod mistakes;
mod readme;
mod registry;
mod separate;
mod serve;
mod telemetry;
mod tidy;
