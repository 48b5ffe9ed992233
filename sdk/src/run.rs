//! The `main` of a service: configuration errors before a port is bound, telemetry, signals, draining.

use std::process::ExitCode;
use std::sync::Arc;

use tokio::signal::unix::{SignalKind, signal};

use crate::flags::{Launch, ServerFlags};
use crate::server::{BindError, Drain, Events, Sockets};
use crate::storage::command;
use crate::telemetry::Telemetry;
use crate::{Handle, Metrics, Pool, Process, Server};

/// The exit code for a command line that makes no sense (`EX_USAGE`).
pub const USAGE: u8 = 64;

/// How long a health check waits for an answer.
const HEALTHCHECK: std::time::Duration = std::time::Duration::from_secs(2);

/// A service, built from its command line and not started yet.
pub struct Service {
    /// What it answers with.
    pub handle: Arc<dyn Handle>,
    /// The flags of its server.
    pub flags: ServerFlags,
    /// Work to do once it listens, such as to load a model; it runs on a thread that may block.
    pub background: Option<Box<dyn FnOnce() + Send>>,
    /// What its models use of the process; told when it starts.
    pub process: Process,
}

impl Service {
    /// Serves on those sockets, alone in its process, and begins the background work.
    pub fn start(self, sockets: Sockets) -> crate::server::Running {
        self.start_beside(sockets, &Pool::default())
    }

    /// The same, beside other services whose models compute in that pool as well.
    pub fn start_beside(self, sockets: Sockets, pool: &Pool) -> crate::server::Running {
        let (flags, metrics) = (&self.flags, Metrics::new());
        self.process.tell(pool, &metrics);
        let server = Server::new(self.handle, flags.into(), metrics)
            .switched(flags.into())
            .propagating(flags.into())
            .events(flags.events.clone());
        let running = server.start(sockets);
        if let Some(work) = self.background {
            tokio::task::spawn_blocking(work);
        }
        running
    }
}

/// Why a service cannot start.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The command line is wrong, or asks for help.
    #[error("{0}")]
    Flags(#[from] clap::Error),
    /// What the command line names is wrong.
    #[error("{0}")]
    Config(String),
}

/// Runs a service with the process's own arguments until SIGTERM or Ctrl-C, then drains it.
pub fn main(name: &'static str, build: fn(&Launch) -> Result<Service, BuildError>) -> ExitCode {
    let launch = Launch::of_process();
    match launch.args.split_first() {
        // An image from scratch has no shell and no curl: the service itself is what its health check runs.
        Some((first, rest)) if first == "healthcheck" => healthcheck(name, rest),
        Some((first, rest)) if command::NAMES.contains(&first.as_str()) => {
            command::run(&Launch { args: rest.to_vec(), env: launch.env.clone() })
        }
        _ => run(name, build, &launch),
    }
}

/// Asks a URL for its health: the one argument, or this service's readiness at its usual port.
pub fn healthcheck(name: &str, args: &[String]) -> ExitCode {
    let url = args.first().map_or("http://127.0.0.1:8080/v2/health/ready", String::as_str);
    let outcome = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let outcome = outcome.map_err(|error| error.to_string()).and_then(|runtime| {
        runtime.block_on(crate::client::healthy(url, HEALTHCHECK)).map_err(|error| error.message)
    });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(text) => {
            complain(name, &text);
            ExitCode::FAILURE
        }
    }
}

/// Runs a service until SIGTERM or Ctrl-C, then drains it.
pub fn run(
    name: &'static str,
    build: fn(&Launch) -> Result<Service, BuildError>,
    launch: &Launch,
) -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return refuse(name, &error),
    };
    // The log is up before anything is read, or the warnings of reading it would be lost.
    let telemetry = match runtime.block_on(async { Telemetry::start(name, &launch.env) }) {
        Ok(telemetry) => telemetry,
        Err(error) => return refuse(name, &error),
    };
    let service = match build(launch) {
        Ok(mut service) => {
            service.flags.events = Events::of(&launch.env);
            service
        }
        Err(BuildError::Flags(error)) if !error.use_stderr() => {
            // --help and --version are answers, not errors.
            let _ = error.print();
            return ExitCode::SUCCESS;
        }
        Err(error) => return refuse(name, &error),
    };
    match runtime.block_on(serve(name, service, launch, telemetry)) {
        Ok(code) => code,
        Err(error) => refuse(name, &error),
    }
}

fn refuse(name: &str, error: &dyn std::error::Error) -> ExitCode {
    complain(name, &error.to_string());
    ExitCode::from(USAGE)
}

/// Writes to standard error: the log may not be up yet, and nobody would look there for a typing error.
fn complain(name: &str, text: &str) {
    use std::io::Write;
    let _ = writeln!(std::io::stderr(), "{name}: {text}");
}

#[derive(Debug, thiserror::Error)]
enum ServeError {
    #[error(transparent)]
    Bind(#[from] BindError),
    #[error("cannot listen for signals: {0}")]
    Signals(#[from] std::io::Error),
}

async fn serve(
    name: &'static str,
    service: Service,
    launch: &Launch,
    telemetry: Telemetry,
) -> Result<ExitCode, ServeError> {
    let mut signals = Signals::listen()?;
    let sockets = Sockets::bind(&service.flags, &launch.env).await?;
    let drain = Drain::from(&service.flags);
    let lifeline = service.flags.until_stdin_ends;
    let running = service.start(sockets);
    tracing::info!(http = %running.http, grpc = %running.grpc, "{name} listens");
    tokio::select! {
        () = signals.next() => {}
        () = stdin_ended(), if lifeline => {}
    }
    tracing::info!("{name} drains");
    let clean = tokio::select! {
        clean = running.drain(drain) => clean,
        // The second signal means: now.
        () = signals.next() => false,
    };
    // The exporter's last words may block for a while.
    let _ = tokio::task::spawn_blocking(move || telemetry.shutdown()).await;
    Ok(if clean { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Waits until standard input is closed at its other end.
pub async fn stdin_ended() {
    let (ended, wait) = tokio::sync::oneshot::channel::<()>();
    // A thread of its own: a read of standard input cannot be given up, and must not keep the runtime from ending.
    std::thread::spawn(move || {
        let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
        drop(ended);
    });
    let _ = wait.await;
}

/// SIGTERM and SIGINT. A handler must be there in any case: as PID 1 a process without one ignores SIGTERM.
pub struct Signals {
    term: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
}

impl Signals {
    /// Installs the handlers.
    ///
    /// # Errors
    /// The system's, when it refuses.
    pub fn listen() -> std::io::Result<Self> {
        Ok(Self { term: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    /// Waits for the next signal.
    pub async fn next(&mut self) {
        tokio::select! {
            _ = self.term.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
