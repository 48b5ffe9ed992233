//! The server every component runs in: REST and gRPC on one port, again on a second, metrics and probes on a third.

mod admin;
mod app;
mod body;
mod catch;
mod docs;
mod encoding;
mod grpc;
mod limits;
mod listen;
mod mesh;
mod rest;
mod stall;

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, UnixListener};
use tokio::sync::watch;

use crate::flags::{Env, ServerFlags};
use crate::{Handle, Metrics, Travellers};
use app::App;
use listen::{Doors, Listener};
use mesh::Front;

pub use limits::{Limits, Switches};
pub use rest::Events;

/// A component, ready to be served.
pub struct Server {
    app: App,
}

impl Server {
    /// Puts a component behind a server.
    pub fn new(handle: Arc<dyn Handle>, limits: Limits, metrics: Metrics) -> Self {
        Self { app: App::new(handle, limits, metrics) }
    }

    /// Answers CloudEvents as the environment says.
    #[must_use]
    pub fn events(mut self, events: Events) -> Self {
        self.app.events = events;
        self
    }

    /// Says what is offered beside calls.
    #[must_use]
    pub fn switched(mut self, switches: Switches) -> Self {
        self.app.switches = switches;
        self
    }

    /// Says which headers travel on with a call.
    #[must_use]
    pub fn propagating(mut self, travellers: Travellers) -> Self {
        self.app.travellers = travellers;
        self
    }

    /// Serves on sockets that are bound already.
    pub fn start(self, sockets: Sockets) -> Running {
        let app = Arc::new(self.app);
        let (stop, stopping) = watch::channel(false);
        let front = Front::faces(Arc::clone(&app), rest::router(Arc::clone(&app)));
        let mut tasks = Vec::with_capacity(3);
        let (http, grpc, admin) = (sockets.http_addr(), sockets.grpc_addr(), sockets.admin_addr());
        let local = sockets.unix.map(|it| (Listener::Unix(it), front.clone().local()));
        let faces = sockets.faces.into_iter().map(|it| (Listener::Tcp(it), front.clone())).chain(local);
        let doors = Doors::new(&app.limits);
        for (listener, front) in faces {
            tasks.push(tokio::spawn(listen::serve(listener, front, doors.clone(), stopping.clone())));
        }
        if let Some(listener) = sockets.admin {
            let front = Front::admin(admin::router(Arc::clone(&app)));
            // Places of its own: whoever takes all others must not keep probes out.
            let doors = Doors::new(&app.limits);
            tasks.push(tokio::spawn(listen::serve(Listener::Tcp(listener), front, doors, stopping)));
        }
        Running { app, http, grpc, admin, stop, tasks }
    }
}

/// Bound sockets. They are bound before anything is loaded, so that an address is known and a clash is told at once.
#[derive(Debug)]
pub struct Sockets {
    /// REST and gRPC; the first is the main one.
    faces: Vec<TcpListener>,
    /// REST and gRPC for peers on this host.
    unix: Option<UnixListener>,
    admin: Option<TcpListener>,
}

/// Why a socket cannot be had.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}: {source}")]
pub struct BindError {
    /// The address.
    pub address: String,
    /// Why.
    pub source: io::Error,
}

impl Sockets {
    /// Binds what the flags ask for; the main port is `--http_port`, else `PORT`, else 8080.
    ///
    /// # Errors
    /// [`BindError`].
    pub async fn bind(flags: &ServerFlags, env: &Env) -> Result<Self, BindError> {
        let from_env = env.get("PORT").and_then(|it| it.parse().ok());
        let http = bind(&flags.host, flags.http_port.or(from_env).unwrap_or(8080)).await?;
        let mut faces = vec![http];
        if flags.enable_grpc {
            faces.push(bind(&flags.host, flags.grpc_port).await?);
        }
        let admin = bind(&flags.host, flags.admin_port).await?;
        let unix = flags.unix_socket.as_deref().map(bind_unix).transpose()?;
        Ok(Self { faces, unix, admin: Some(admin) })
    }

    /// Returns the main address.
    pub fn http_addr(&self) -> SocketAddr {
        addr(&self.faces[0])
    }

    /// Returns the second address of REST and gRPC; the main one where there is none.
    pub fn grpc_addr(&self) -> SocketAddr {
        self.faces.get(1).map_or_else(|| self.http_addr(), addr)
    }

    /// Returns the address of metrics and probes.
    pub fn admin_addr(&self) -> Option<SocketAddr> {
        self.admin.as_ref().map(addr)
    }
}

async fn bind(host: &str, port: u16) -> Result<TcpListener, BindError> {
    TcpListener::bind((host, port))
        .await
        .map_err(|source| BindError { address: format!("{host}:{port}"), source })
}

/// Binds a Unix socket. What a service that was killed has left there is removed; a service that lives keeps its connections
/// but gets no new ones.
fn bind_unix(path: &Path) -> Result<UnixListener, BindError> {
    if let Err(error) = std::fs::remove_file(path) {
        tracing::debug!(%error, path = %path.display(), "nothing was left of an earlier socket");
    }
    UnixListener::bind(path).map_err(|source| BindError { address: path.display().to_string(), source })
}

fn addr(listener: &TcpListener) -> SocketAddr {
    listener.local_addr().expect("a bound listener has an address")
}

/// A server that runs. Dropping it closes its sockets at once; [`Running::drain`] ends it well.
pub struct Running {
    app: Arc<App>,
    /// The main address.
    pub http: SocketAddr,
    /// The second address of REST and gRPC.
    pub grpc: SocketAddr,
    /// The address of metrics and probes.
    pub admin: Option<SocketAddr>,
    stop: watch::Sender<bool>,
    tasks: Vec<tokio::task::JoinHandle<()>>,
}

/// How a server ends.
#[derive(Debug, Clone, Copy)]
pub struct Drain {
    /// How long it serves on while it says that it is not ready.
    pub lame_duck: Duration,
    /// How long work in flight may take after that.
    pub grace: Duration,
}

impl From<&ServerFlags> for Drain {
    fn from(flags: &ServerFlags) -> Self {
        let seconds = |it: f64| Duration::try_from_secs_f64(it).unwrap_or_default();
        Self { lame_duck: seconds(flags.lame_duck_seconds), grace: seconds(flags.grace_seconds) }
    }
}

impl Running {
    /// Ends well: not ready, then no new connections, then work in flight ends. Returns whether all of it did in time.
    pub async fn drain(mut self, how: Drain) -> bool {
        self.app.drain();
        tokio::time::sleep(how.lame_duck).await;
        self.app.stop();
        // Fails only when every listener task is gone already.
        let _ = self.stop.send(true);
        let ended = async {
            for task in &mut self.tasks {
                let _ = task.await;
            }
        };
        tokio::time::timeout(how.grace, ended).await.is_ok()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}
