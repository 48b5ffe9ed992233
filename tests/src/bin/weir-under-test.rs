//! The `weir` command, built with the tests.

fn main() -> std::process::ExitCode {
    weir::cli::main()
}
