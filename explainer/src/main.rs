//! The `explainer` binary.

fn main() -> std::process::ExitCode {
    weir_sdk::main("explainer", weir_explainer::build)
}
