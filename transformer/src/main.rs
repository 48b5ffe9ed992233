//! The `transformer` binary.

fn main() -> std::process::ExitCode {
    weir_sdk::main("transformer", weir_transformer::build)
}
