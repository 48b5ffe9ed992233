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
pub(crate) fn python() -> Option<PathBuf> {
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
    let text =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{script}: {}\n{text}", output.status);
    let checks = text.lines().filter(|line| line.starts_with("ok ")).count();
    assert!(checks > 0, "{script} has checked nothing:\n{text}");
    println!("{script}: {checks} checks");
}

type Build = fn(&Launch) -> Result<Service, BuildError>;

async fn start(build: Build, args: &[&str]) -> Running {
    let launch = Launch { args: args.iter().map(|&it| it.to_owned()).collect(), env: Env::default() };
    let mut service = build(&launch).unwrap();
    service.flags = ServerFlags::loopback();
    let sockets = Sockets::bind(&service.flags, &Env::default()).await.unwrap();
    service.start(sockets)
}

/// Models, each in a server of its own, behind one router.
struct Models {
    door: Running,
    _models: Vec<Running>,
}

impl Models {
    /// Starts a server for each name, with these flags beside its name.
    async fn start(build: Build, models: &[(&str, &[&str])]) -> Self {
        let (mut running, mut routes) = (Vec::new(), Vec::new());
        for (name, flags) in models {
            let model = start(build, &[&["--model_name", name], *flags].concat()).await;
            routes.push(format!("{{name: \"{name}\", predictor: \"{}\"}}", model.http));
            running.push(model);
        }
        let door = start(weir_router::build, &["--routes", &format!("[{}]", routes.join(", "))]).await;
        let models = Self { door, _models: running };
        let url = format!("{}/v2/health/ready", models.url());
        wait_for(Duration::from_secs(20), || async { get(&url).await.is_ok_and(|it| it.status == 200) })
            .await;
        models
    }

    fn url(&self) -> String {
        format!("http://{}", self.door.http)
    }
}

/// Every data type of KServe, which has no BF16.
const KSERVE: &str = "BOOL,UINT8,UINT16,UINT32,UINT64,INT8,INT16,INT32,INT64,FP16,FP32,FP64,BYTES";
/// Those of them that have typed contents, and numbers in JSON.
const TYPED: &str = "BOOL,UINT8,UINT16,UINT32,UINT64,INT8,INT16,INT32,INT64,FP32,FP64,BYTES";

/// Runs a script against the samples, and against those models.
async fn on(script: &str, build: Build, models: &[(&str, &[&str])]) {
    let Some(python) = python() else { return };
    let mesh = mesh("deploy/samples").await;
    let mut urls = vec![format!("http://{}", mesh.http())];
    if models.is_empty() {
        return passes(python, script, &urls).await;
    }
    let models = Models::start(build, models).await;
    urls.push(models.url());
    passes(python, script, &urls).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn kserves_clients() {
    let echoes = [("echo", &["--datatypes", KSERVE][..]), ("typed", &["--datatypes", TYPED])];
    on("kserve_client.py", echo::build, &echoes).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tritons_clients() {
    let echoes = [
        ("echo", &[][..]),
        ("raw", &["--datatypes", "FP32", "--shape=-1,2"]),
        ("blob", &["--datatypes", "BYTES", "--shape=1"]),
    ];
    on("triton_client.py", echo::build, &echoes).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn v2_as_the_documents_write_it() {
    on("v2_rest.py", echo::build, &[("typed", &["--datatypes", TYPED])]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tensorflow_serving() {
    let file = |path: &str| root().join(path).to_string_lossy().into_owned();
    let logistic = file("predictor/testdata/sklearn/1.9/logistic.joblib");
    let regression = file("predictor/testdata/xgboost/3.2.0/squarederror.json");
    let penguins = file("deploy/samples/models/penguins");
    let models = [
        ("logistic", &["--model_dir", logistic.as_str()][..]),
        ("regression", &["--model_dir", regression.as_str()]),
        ("penguins", &["--model_dir", penguins.as_str()]),
    ];
    on("tensorflow_serving.py", weir_predictor::build, &models).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn cloud_events() {
    on("cloud_events.py", echo::build, &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn grpc_health() {
    on("health.py", echo::build, &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn grpc_reflection() {
    on("reflection.py", echo::build, &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn schemathesis() {
    on("open_api.py", echo::build, &[]).await;
}
