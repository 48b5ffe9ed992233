//! The command line.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use weir_sdk::{Env, Launch};

use crate::commands;
use crate::component::Kind;

/// Runs InferenceServices: the manifest written for KServe, here, in one process or in many.
#[derive(Debug, Parser)]
#[command(name = "weir", version)]
struct Cli {
    #[command(subcommand)]
    command: CliCommand,
}

#[derive(Debug, Subcommand)]
enum CliCommand {
    /// Run every service of the manifests until Ctrl-C
    Run(RunArgs),
    /// Tell what is wrong with the manifests, and which runtime each model would get
    Validate {
        /// A manifest, a folder of manifests, or `-` for standard input; may be given several times
        #[arg(short = 'f', long = "filename", required = true)]
        files: Vec<PathBuf>,
    },
    /// Ask a URL for its health: exit code 0 when it answers with a 2xx status
    Healthcheck {
        /// Such as http://127.0.0.1:8080/v2/health/ready
        url: String,
    },
    /// Fetch models into folders, as KServe's storage initializer does
    #[command(disable_help_flag = true, alias = "storage-initializer")]
    Fetch(ServiceArgs),
    /// Run one predictor, as its own binary would
    #[command(disable_help_flag = true)]
    Predictor(ServiceArgs),
    /// Run one transformer, as its own binary would
    #[command(disable_help_flag = true)]
    Transformer(ServiceArgs),
    /// Run one explainer, as its own binary would
    #[command(disable_help_flag = true)]
    Explainer(ServiceArgs),
    /// Run one router, as its own binary would
    #[command(disable_help_flag = true)]
    Router(ServiceArgs),
}

/// What `weir run` takes.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct RunArgs {
    /// A manifest, a folder of manifests, or `-` for standard input; may be given several times
    #[arg(short = 'f', long = "filename", required = true)]
    pub(crate) files: Vec<PathBuf>,
    /// The address of the front door
    #[arg(long, default_value = "127.0.0.1")]
    pub(crate) host: String,
    /// The port of the front door, for REST and gRPC; 0 takes a free one
    #[arg(long, default_value_t = 8080)]
    pub(crate) http_port: u16,
    /// A second port of the front door, where clients of KServe look for gRPC [default: --http-port + 1, or any when
    /// that is taken]
    #[arg(long)]
    pub(crate) grpc_port: Option<u16>,
    /// The port of the front door's metrics and probes [default: --http-port + 2, or any when that is taken]
    #[arg(long)]
    pub(crate) admin_port: Option<u16>,
    /// Start each service as a process of its own
    #[arg(long)]
    pub(crate) separate: bool,
    /// How long to go on serving after Ctrl-C or SIGTERM, while not ready
    #[arg(long, default_value_t = 0.0)]
    pub(crate) lame_duck_seconds: f64,
    /// End when standard input does: for whoever starts this from a program that may die
    #[arg(long, hide = true)]
    pub(crate) until_stdin_ends: bool,
}

#[derive(Debug, Clone, clap::Args)]
struct ServiceArgs {
    /// The service's own flags; `--help` lists them
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    args: Vec<String>,
}

/// Runs the command line of this process.
pub fn main() -> ExitCode {
    match Cli::parse().command {
        CliCommand::Run(args) => commands::run(&args),
        CliCommand::Validate { files } => commands::validate(&files),
        CliCommand::Healthcheck { url } => weir_sdk::run::healthcheck("weir", &[url]),
        CliCommand::Fetch(it) => {
            weir_sdk::storage::command::run(&Launch { args: it.args, env: Env::of_process() })
        }
        CliCommand::Predictor(it) => service(Kind::Predictor, it),
        CliCommand::Transformer(it) => service(Kind::Transformer, it),
        CliCommand::Explainer(it) => service(Kind::Explainer, it),
        CliCommand::Router(it) => service(Kind::Router, it),
    }
}

fn service(kind: Kind, it: ServiceArgs) -> ExitCode {
    let launch = Launch { args: it.args, env: Env::of_process() };
    weir_sdk::run::run(kind.name(), kind.build(), &launch)
}

/// Writes a line to standard output. A reader who has gone away is no error.
pub(crate) fn say(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}

/// Writes a line to standard error.
pub(crate) fn complain(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}
