//! The `router` binary.

fn main() -> std::process::ExitCode {
    weir_sdk::main("router", weir_router::build)
}
