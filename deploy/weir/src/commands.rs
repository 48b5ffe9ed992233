//! What the subcommands do.

use std::path::PathBuf;
use std::process::ExitCode;

use weir_proto::document::Problem;
use weir_sdk::run::Signals;
use weir_sdk::telemetry::Telemetry;
use weir_sdk::{Env, Events, ServerFlags};

use crate::cli::{RunArgs, complain, say};
use crate::mesh::{self, Mesh, MeshOptions};
use crate::plan::{self, Plan};
use crate::separate::Separate;
use crate::sources;

type AnyError = Box<dyn std::error::Error + Send + Sync>;

/// `weir validate`.
pub(crate) fn validate(files: &[PathBuf]) -> ExitCode {
    let Some((plan, problems)) = read(files) else { return ExitCode::FAILURE };
    if plan::has_errors(&problems) {
        return ExitCode::FAILURE;
    }
    for service in &plan.services {
        say(&format!("{}: ok", service.name));
        for revision in &service.revisions {
            for component in &revision.components {
                let note = if component.note.is_empty() { "built in" } else { &component.note };
                say(&format!("  {} {} ({}%): {note}", revision.name, component.kind.name(), revision.weight));
            }
        }
        if !service.models.is_empty() {
            say(&format!("  further models: {}", service.models.join(", ")));
        }
    }
    ExitCode::SUCCESS
}

/// Reads the manifests and tells their problems; `None` when they cannot be read at all.
fn read(files: &[PathBuf]) -> Option<(Plan, Vec<Problem>)> {
    match sources::read(files) {
        Ok(sources) => {
            let (plan, problems) = plan::read(&sources, &Env::of_process());
            for problem in &problems {
                complain(&problem.to_string());
            }
            Some((plan, problems))
        }
        Err(error) => {
            complain(&format!("weir: {error}"));
            None
        }
    }
}

/// `weir run`.
pub(crate) fn run(args: &RunArgs) -> ExitCode {
    let Some((plan, problems)) = read(&args.files) else { return ExitCode::FAILURE };
    if plan::has_errors(&problems) {
        return ExitCode::FAILURE;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let outcome = runtime.map_err(AnyError::from).and_then(|runtime| runtime.block_on(serve(&plan, args)));
    match outcome {
        Ok(clean) => ExitCode::from(u8::from(!clean)),
        Err(error) => {
            complain(&format!("weir: {error}"));
            ExitCode::FAILURE
        }
    }
}

async fn serve(plan: &Plan, args: &RunArgs) -> Result<bool, AnyError> {
    let mut signals = Signals::listen()?;
    let options = MeshOptions { door: door(args) };
    let telemetry = Telemetry::start("weir", &Env::of_process())?;
    let clean = if args.separate {
        let separate = Separate::start(plan, &options).await?;
        for (name, address, pid) in &separate.processes {
            say(&format!("{name:<24} {address}  pid {pid}"));
        }
        invite(plan, separate.http);
        told_to_end(&mut signals, args).await;
        tokio::select! {
            () = separate.drain() => true,
            () = signals.next() => false,
        }
    } else {
        let mesh = Mesh::start(plan, &options).await?;
        for (name, running) in mesh.components() {
            say(&format!("{name:<24} {}", running.http));
        }
        let router = mesh.router();
        let admin = router.admin.map(|it| format!("  metrics {it}")).unwrap_or_default();
        say(&format!("{:<24} {}  also {}{admin}", "router", router.http, router.grpc));
        invite(plan, mesh.http());
        told_to_end(&mut signals, args).await;
        tokio::select! {
            clean = mesh.drain() => clean,
            () = signals.next() => false,
        }
    };
    // The exporter's last words may block for a while.
    let _ = tokio::task::spawn_blocking(move || telemetry.shutdown()).await;
    Ok(clean)
}

/// Waits for the first signal, or for the end of standard input where that was asked for.
async fn told_to_end(signals: &mut Signals, args: &RunArgs) {
    tokio::select! {
        () = signals.next() => {}
        () = weir_sdk::run::stdin_ended(), if args.until_stdin_ends => {}
    }
}

/// Tells where to send the first request.
fn invite(plan: &Plan, http: std::net::SocketAddr) {
    let http = mesh::reachable(http);
    for service in &plan.services {
        let own = service.has_own.then_some(&service.name);
        for name in own.into_iter().chain(&service.models) {
            say(&format!("http://{http}/v1/models/{name}:predict"));
        }
    }
}

/// The flags of the front door. Ports nobody named are the next ones, or any when those are taken: two meshes on one machine
/// should not need to be told about each other.
fn door(args: &RunArgs) -> ServerFlags {
    let free = |port: u16| std::net::TcpListener::bind((args.host.as_str(), port)).is_ok();
    let next = |named: Option<u16>, step: u16| {
        named.unwrap_or_else(|| match args.http_port.checked_add(step) {
            Some(port) if args.http_port != 0 && free(port) => port,
            _ => 0,
        })
    };
    ServerFlags {
        host: args.host.clone(),
        http_port: Some(args.http_port),
        grpc_port: next(args.grpc_port, 1),
        admin_port: next(args.admin_port, 2),
        lame_duck_seconds: args.lame_duck_seconds,
        events: Events::of(&Env::of_process()),
        ..ServerFlags::loopback()
    }
}
