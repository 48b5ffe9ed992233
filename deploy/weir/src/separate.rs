//! The mesh as processes: each service this program again, as its subcommand. One that dies is started again; the others
//! stay up.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use tokio::process::{Child, Command};
use tokio::sync::watch;

use crate::component::Kind;
use crate::mesh::{MeshOptions, Placed, SocketFolder, addresses, components, routes};
use crate::plan::Plan;

/// Waits between two starts of a service that dies: from the first to the last.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(5));
/// A service that lived this long died of something new.
const STABLE: Duration = Duration::from_secs(10);

/// Processes that run.
pub(crate) struct Separate {
    stop: watch::Sender<bool>,
    tasks: Vec<tokio::task::JoinHandle<()>>,
    /// The front door.
    pub(crate) http: SocketAddr,
    /// Every process: its kind and model, its address, its number.
    pub(crate) processes: Vec<(String, String, u32)>,
    _folder: SocketFolder,
}

struct Process {
    name: String,
    command: Command,
}

impl Separate {
    /// Starts every service as a process. `env` is given to each of them beside what the manifest says.
    pub(crate) async fn start(plan: &Plan, options: &MeshOptions) -> io::Result<Self> {
        let folder = SocketFolder::new()?;
        let (door, door_socket) = (door_ports(options)?, folder.path("router"));
        let mut placed = Vec::new();
        for (index, (service, revision, component)) in components(plan).enumerate() {
            let socket = folder.path(&index.to_string());
            placed.push(Placed { service, revision, plan: component.clone(), socket, seat: () });
        }
        let mut processes = Vec::with_capacity(placed.len() + 1);
        let router_args = vec!["--routes".to_owned(), routes(plan, &placed)];
        for it in placed {
            let mut args = it.plan.launch.args.clone();
            args.extend(addresses(it.plan.kind, &door_socket));
            let mut command = command(it.plan.kind, args, &ANY, &it.socket)?;
            command.envs(it.plan.launch.env.iter());
            let name = format!("{} {}", it.plan.kind.name(), plan.services[it.service].name);
            processes.push((Process { name, command }, format!("unix:{}", it.socket.display())));
        }
        let mut command = command(Kind::Router, router_args, &door, &door_socket)?;
        command.args(["--max_body_bytes", &options.door.max_body_bytes.to_string()]);
        command.args(["--max_in_flight", &options.door.max_in_flight.to_string()]);
        command.envs(options.door.events.variables());
        processes.push((Process { name: "router".to_owned(), command }, door.http.to_string()));
        Self::supervise_all(processes, door.http, folder)
    }

    fn supervise_all(
        processes: Vec<(Process, String)>,
        http: SocketAddr,
        folder: SocketFolder,
    ) -> io::Result<Self> {
        let (stop, stopping) = watch::channel(false);
        let mut all = Self { stop, tasks: Vec::new(), http, processes: Vec::new(), _folder: folder };
        for (mut process, address) in processes {
            let child = process.command.spawn()?;
            all.processes.push((process.name.clone(), address, child.id().unwrap_or_default()));
            all.tasks.push(tokio::spawn(supervise(process, child, stopping.clone())));
        }
        Ok(all)
    }

    /// Ends every process well: SIGTERM, and time to drain.
    pub(crate) async fn drain(self) {
        // Fails only when every supervisor is gone already.
        let _ = self.stop.send(true);
        for task in self.tasks {
            let _ = task.await;
        }
    }
}

/// Keeps one service alive until it is told to stop.
async fn supervise(mut process: Process, mut child: Child, mut stopping: watch::Receiver<bool>) {
    let mut backoff = BACKOFF.0;
    loop {
        let started = Instant::now();
        // Taken out, since to wait for a child closes its standard input, and that is the word to drain.
        let lifeline = child.stdin.take();
        tokio::select! {
            status = child.wait() => match status {
                Ok(status) => tracing::warn!("{} ended ({status}); it is started again", process.name),
                Err(error) => tracing::error!(%error, "cannot wait for {}", process.name),
            },
            () = stopped(&mut stopping) => {
                drop(lifeline);
                return end(&process.name, child).await;
            }
        }
        backoff = if started.elapsed() > STABLE { BACKOFF.0 } else { backoff };
        loop {
            tokio::select! {
                () = tokio::time::sleep(backoff) => {}
                () = stopped(&mut stopping) => return,
            }
            backoff = (backoff * 2).min(BACKOFF.1);
            match process.command.spawn() {
                Ok(again) => {
                    tracing::info!(pid = again.id(), "{} is started again", process.name);
                    child = again;
                    break;
                }
                Err(error) => tracing::error!(%error, "cannot start {}", process.name),
            }
        }
    }
}

/// Waits for the word to stop, or for the last one who could give it to be gone.
async fn stopped(stopping: &mut watch::Receiver<bool>) {
    let _ = stopping.wait_for(|stop| *stop).await;
}

/// Ends one process, which has been given the word to drain.
async fn end(name: &str, mut child: Child) {
    if tokio::time::timeout(Duration::from_secs(35), child.wait()).await.is_err() {
        tracing::warn!("{name} did not end in time and is killed");
        let _ = child.kill().await;
    }
}

fn command(kind: Kind, args: Vec<String>, ports: &Ports, socket: &Path) -> io::Result<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg(kind.name()).args(args);
    command.args(["--host", &ports.http.ip().to_string()]);
    command.args(["--http_port", &ports.http.port().to_string()]);
    command.args(["--grpc_port", &ports.grpc.to_string(), "--admin_port", &ports.admin.to_string()]);
    command.arg("--unix_socket").arg(socket);
    command.args(["--lame_duck_seconds", "0", "--until_stdin_ends"]);
    // What is set in this shell is not the services' to read, but for where things are, logs and traces.
    command.env_clear();
    command.envs(std::env::vars_os().filter(|(name, _)| {
        let name = name.to_string_lossy();
        matches!(&*name, "PATH" | "HOME" | "TMPDIR" | "KSERVE_LOGLEVEL" | "TZ")
            || ["OTEL_", "WEIR_LOG", "RUST_", "TOKIO_", "LLVM_"].iter().any(|it| name.starts_with(it))
    }));
    command.stdin(Stdio::piped()).kill_on_drop(true);
    // Ctrl-C on a terminal reaches the whole group; the supervisor alone decides who ends when.
    command.process_group(0);
    Ok(command)
}

struct Ports {
    http: SocketAddr,
    grpc: u16,
    admin: u16,
}

/// Whatever ports are free when the service starts: its peers reach it by its socket, and nobody else needs to.
const ANY: Ports = Ports { http: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0), grpc: 0, admin: 0 };

/// The front door's ports. The main one is settled here, since it must be the same after a restart.
fn door_ports(options: &MeshOptions) -> io::Result<Ports> {
    let host = options.door.host.as_str();
    let listener = match options.door.http_port.unwrap_or(8080) {
        0 => steady_port(host)?,
        port => TcpListener::bind((host, port))?,
    };
    Ok(Ports { http: listener.local_addr()?, grpc: options.door.grpc_port, admin: options.door.admin_port })
}

/// A free port below those that the system lends to clients: one of theirs may be taken while the router is started again, even
/// by a client that tries to reach it.
fn steady_port(host: &str) -> io::Result<TcpListener> {
    let first = 10_000 + std::process::id() % 10_000;
    let ports = (0..10_000).map(|step| 10_000 + (first - 10_000 + step * 7) % 20_000);
    let mut last = io::ErrorKind::AddrInUse.into();
    for port in ports.filter_map(|it| u16::try_from(it).ok()) {
        match TcpListener::bind((host, port)) {
            Ok(listener) => return Ok(listener),
            Err(error) => last = error,
        }
    }
    Err(last)
}
