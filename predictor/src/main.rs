//! The `predictor` binary.

fn main() -> std::process::ExitCode {
    weir_sdk::main("predictor", weir_predictor::build)
}
