//! The echo model as a server of its own, to try a client by hand.

fn main() -> std::process::ExitCode {
    weir_sdk::main("echo", weir_tests::echo::build)
}
