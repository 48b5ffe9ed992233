//! The mesh in this process: every service on loopback ports of its own, the router at the front door. Hops between them go
//! over Unix sockets, which cost half of what loopback TCP does.

use std::net::SocketAddr;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use weir_sdk::server::BindError;
use weir_sdk::{BuildError, Drain, Env, Events, Pool, Running, ServerFlags, Sockets};

use crate::component::Kind;
use crate::plan::{ComponentPlan, Plan};

/// Where the front door is.
#[derive(Debug, Clone)]
pub struct MeshOptions {
    /// The flags of the router's server.
    pub door: ServerFlags,
}

/// Why the mesh cannot start.
#[derive(Debug, thiserror::Error)]
pub enum MeshError {
    /// A port cannot be had.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// There is no place for sockets.
    #[error("cannot make a folder for sockets: {0}")]
    Folder(#[from] std::io::Error),
    /// A component cannot be built.
    #[error("{component}: {source}")]
    Build {
        /// Which one.
        component: &'static str,
        /// Why.
        source: BuildError,
    },
}

/// A mesh that runs.
pub struct Mesh {
    router: Running,
    others: Vec<(String, Running)>,
    drain: Drain,
    _folder: SocketFolder,
}

/// A component, and the socket it will have.
pub(crate) struct Placed<S> {
    pub(crate) service: usize,
    pub(crate) revision: usize,
    pub(crate) plan: ComponentPlan,
    pub(crate) socket: PathBuf,
    pub(crate) seat: S,
}

impl Mesh {
    /// Starts every service. It returns when all listen; models load meanwhile.
    ///
    /// # Errors
    /// [`MeshError`].
    pub async fn start(plan: &Plan, options: &MeshOptions) -> Result<Self, MeshError> {
        let folder = SocketFolder::new()?;
        let door_socket = folder.path("router");
        let flags = ServerFlags { unix_socket: Some(door_socket.clone()), ..options.door.clone() };
        let door = Sockets::bind(&flags, &Env::default()).await?;
        let mut placed = Vec::new();
        for (index, (service, revision, component)) in components(plan).enumerate() {
            let socket = folder.path(&index.to_string());
            let flags = ServerFlags { unix_socket: Some(socket.clone()), ..ServerFlags::loopback() };
            let sockets = Sockets::bind(&flags, &Env::default()).await?;
            placed.push(Placed { service, revision, plan: component.clone(), socket, seat: sockets });
        }
        let routes = routes(plan, &placed);
        let pool = Pool::default();
        let mut others = Vec::with_capacity(placed.len());
        for it in placed {
            let kind = it.plan.kind;
            let mut launch = it.plan.launch;
            launch.args.extend(addresses(kind, &door_socket));
            let built = kind.build()(&launch);
            let mut service = built.map_err(|source| MeshError::Build { component: kind.name(), source })?;
            service.flags.events = Events::of(&launch.env);
            others.push((
                format!("{} {}", kind.name(), plan.services[it.service].name),
                service.start_beside(it.seat, &pool),
            ));
        }
        let launch = weir_sdk::Launch { args: vec!["--routes".to_owned(), routes], env: Env::default() };
        let built = weir_router::build(&launch);
        let mut service = built.map_err(|source| MeshError::Build { component: "router", source })?;
        // What the routes want to travel has to come in by the door.
        let (propagate_headers, drop_headers) = (service.flags.propagate_headers, service.flags.drop_headers);
        service.flags = ServerFlags { propagate_headers, drop_headers, ..options.door.clone() };
        Ok(Self {
            router: service.start_beside(door, &pool),
            others,
            drain: (&options.door).into(),
            _folder: folder,
        })
    }

    /// The address of the front door.
    pub fn http(&self) -> SocketAddr {
        self.router.http
    }

    /// The router's server.
    pub fn router(&self) -> &Running {
        &self.router
    }

    /// Every other service: its kind and model, and its server.
    pub fn components(&self) -> impl Iterator<Item = (&str, &Running)> {
        self.others.iter().map(|(name, running)| (name.as_str(), running))
    }

    /// Ends well: first the front door, then what stands behind it. Returns whether all work ended in time.
    pub async fn drain(self) -> bool {
        let mut clean = self.router.drain(self.drain).await;
        let behind = Drain { lame_duck: std::time::Duration::ZERO, ..self.drain };
        for (_, running) in self.others {
            clean &= running.drain(behind).await;
        }
        clean
    }
}

/// The sockets of one mesh, in a folder that only its user can enter. Its drop removes them.
pub(crate) struct SocketFolder(PathBuf);

impl SocketFolder {
    pub(crate) fn new() -> std::io::Result<Self> {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        loop {
            let name = format!("weir-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
            let path = std::env::temp_dir().join(name);
            match std::fs::DirBuilder::new().mode(0o700).create(&path) {
                // A process of this number was killed once and left its folder.
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
                made => return made.map(|()| Self(path)),
            }
        }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for SocketFolder {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            tracing::debug!(%error, "cannot remove the sockets");
        }
    }
}

/// Every component of a plan with its service's and revision's index.
pub(crate) fn components(plan: &Plan) -> impl Iterator<Item = (usize, usize, &ComponentPlan)> {
    plan.services.iter().enumerate().flat_map(|(service, it)| {
        it.revisions.iter().enumerate().flat_map(move |(revision, it)| {
            it.components.iter().map(move |component| (service, revision, component))
        })
    })
}

/// The arguments that tell a component where others are.
pub(crate) fn addresses(kind: Kind, door: &Path) -> Vec<String> {
    match kind {
        // Explanations ask through the chain, so that they are made in the space the client sees.
        Kind::Explainer => vec!["--predictor_host".to_owned(), format!("unix:{}", door.display())],
        Kind::Predictor | Kind::Transformer | Kind::Router => Vec::new(),
    }
}

/// The router's `--routes`.
pub(crate) fn routes<S>(plan: &Plan, placed: &[Placed<S>]) -> String {
    let names = plan.services.iter().enumerate().flat_map(|(service, it)| {
        let own = it.has_own.then_some((service, it, &it.name, true));
        own.into_iter().chain(it.models.iter().map(move |name| (service, it, name, false)))
    });
    let routes = names.map(|(service, it, name, is_own)| {
        let revisions = it.revisions.iter().enumerate().map(|(revision, it)| {
            let mine = placed.iter().filter(|it| it.service == service && it.revision == revision);
            // A transformer and an explainer are those of the service's own model.
            let mine = mine.filter(|it| is_own || it.plan.kind == Kind::Predictor);
            let hosts: Vec<_> =
                mine.map(|it| format!("{}: \"unix:{}\"", it.plan.kind.name(), it.socket.display())).collect();
            format!("{{name: \"{}\", weight: {}, {}}}", it.name, it.weight, hosts.join(", "))
        });
        let revisions: Vec<_> = revisions.collect();
        let headers = [("propagate_headers", &it.propagate_headers), ("drop_headers", &it.drop_headers)];
        let headers = headers.into_iter().filter(|(_, list)| !list.is_empty());
        let headers: String = headers.map(|(field, list)| format!("{field}: \"{list}\", ")).collect();
        format!(
            "{{name: \"{name}\", timeout_seconds: {}, {headers}revisions: [{}]}}",
            it.timeout_seconds,
            revisions.join(", ")
        )
    });
    format!("[{}]", routes.collect::<Vec<_>>().join(", "))
}

/// Where a server that listens on every address is reached from this host.
pub(crate) fn reachable(address: SocketAddr) -> SocketAddr {
    if !address.ip().is_unspecified() {
        return address;
    }
    let ip = if address.is_ipv4() {
        std::net::Ipv4Addr::LOCALHOST.into()
    } else {
        std::net::Ipv6Addr::LOCALHOST.into()
    };
    SocketAddr::new(ip, address.port())
}
