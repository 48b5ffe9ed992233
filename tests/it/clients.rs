//! Clients that others wrote, unmodified, from PyPI: Weir understands what they send, and they understand what it answers. Each
//! script in `tests/clients` says what it checks; it runs against the samples, and against echoes behind a router, through which
//! every data type passes.

use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use weir_sdk::{BuildError, Env, Launch, Running, ServerFlags, Service, Sockets};
use weir_tests::echo;

use crate::harness::{get, mesh, root, wait_for};

/// No script takes longer; one that does hangs.
const PATIENCE: Duration = Duration::from_secs(180);

/// The Python that has the clients; `None`, with the reason printed, where there is none.
fn python() -> Option<PathBuf> {
    if let Some(python) = std::env::var_os("WEIR_TEST_PYTHON").filter(|it| !it.is_empty()) {
        return Some(python.into());
    }
    let venv = root().join("target/clients-venv");
    let python = venv.join("bin/python");
    if python.exists() {
        return Some(python);
    }
    println!(
        "skipped: no Python with the clients; `python3 -m venv {0} && {0}/bin/pip install -r tests/clients/requirements.txt` \
           makes one, and WEIR_TEST_PYTHON names another",
        venv.display()
    );
    None
}

/// Runs a script of `tests/clients` with these base URLs, and shows what it printed when it fails.
async fn passes(python: PathBuf, script: &str, urls: &[String]) {
    let mut command = tokio::process::Command::new(python);
    command
        .current_dir(root())
        .arg(root().join("tests/clients").join(script))
        .args(urls)
        // The tree stays as it is, and nothing stands between a client and its server.
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .stdin(Stdio::null())
        .kill_on_drop(true);
    for (name, _) in std::env::vars_os() {
        let lower = name.to_string_lossy().to_ascii_lowercase();
        if lower.ends_with("_proxy") || lower.starts_with("python") && name != OsStr::new("PYTHONHOME") {
            command.env_remove(name);
        }
    }
    let output = tokio::time::timeout(PATIENCE, command.output());
    let output = output.await.unwrap_or_else(|_| panic!("{script} did not end within {PATIENCE:?}")).unwrap();
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{script}: {}\n{text}", output.status);
    let checks = text.lines().filter(|line| line.starts_with("ok ")).count();
    assert!(checks > 0, "{script} has checked nothing:\n{text}");
    println!("{script}: {checks} checks");
}

async fn start(build: fn(&Launch) -> Result<Service, BuildError>, args: &[&str]) -> Running {
    let launch = Launch { args: args.iter().map(|&it| it.to_owned()).collect(), env: Env::default() };
    let mut service = build(&launch).unwrap();
    service.flags = ServerFlags::loopback();
    let sockets = Sockets::bind(&service.flags, &Env::default()).await.unwrap();
    service.start(sockets)
}

/// Echoes, each a predictor, behind one router.
struct Echoes {
    door: Running,
    _models: Vec<Running>,
}

impl Echoes {
    /// Starts an echo for each name and those of its flags that are not the defaults.
    async fn start(echoes: &[(&str, &[&str])]) -> Self {
        let (mut models, mut routes) = (Vec::new(), Vec::new());
        for (name, flags) in echoes {
            let model = start(echo::build, &[&["--model_name", name], *flags].concat()).await;
            routes.push(format!("{{name: \"{name}\", predictor: \"{}\"}}", model.http));
            models.push(model);
        }
        let door = start(weir_router::build, &["--routes", &format!("[{}]", routes.join(", "))]).await;
        let url = format!("http://{}/v2/health/ready", door.http);
        wait_for(Duration::from_secs(20), || async { get(&url).await.is_ok_and(|it| it.status == 200) }).await;
        Self { door, _models: models }
    }

    fn url(&self) -> String {
        format!("http://{}", self.door.http)
    }
}

/// Runs a script against the samples alone.
async fn on_samples(script: &str) {
    let Some(python) = python() else { return };
    let mesh = mesh("deploy/samples").await;
    passes(python, script, &[format!("http://{}", mesh.http())]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn kserves_clients() {
    let Some(python) = python() else { return };
    let mesh = mesh("deploy/samples").await;
    // KServe has no BF16, and FP16 only in bytes.
    let kserve = "BOOL,UINT8,UINT16,UINT32,UINT64,INT8,INT16,INT32,INT64,FP16,FP32,FP64,BYTES";
    let typed = "BOOL,UINT8,UINT16,UINT32,UINT64,INT8,INT16,INT32,INT64,FP32,FP64,BYTES";
    let echoes = [("echo", &["--datatypes", kserve][..]), ("typed", &["--datatypes", typed])];
    let echoes = Echoes::start(&echoes).await;
    passes(python, "kserve_client.py", &[format!("http://{}", mesh.http()), echoes.url()]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tritons_clients() {
    let Some(python) = python() else { return };
    let mesh = mesh("deploy/samples").await;
    let echoes = [
        ("echo", &[][..]),
        ("raw", &["--datatypes", "FP32", "--shape=-1,2"]),
        ("blob", &["--datatypes", "BYTES", "--shape=1"]),
    ];
    let echoes = Echoes::start(&echoes).await;
    passes(python, "triton_client.py", &[format!("http://{}", mesh.http()), echoes.url()]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn cloud_events() {
    on_samples("cloud_events.py").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn grpc_health() {
    on_samples("health.py").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn grpc_reflection() {
    on_samples("reflection.py").await;
}
