//! The compose deployment: it says what the sample's manifest says; and with a container engine at hand it answers, one of its
//! services is replaced while requests keep coming, and its containers end well.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use weir::Plan;
use weir_proto::document::{self, Node};
use weir_sdk::{BuildError, Launch, Service};

use crate::harness::{get, post, root, wait_for};

const COMPOSE: &str = "deploy/compose.yaml";
const SERVICES: [&str; 4] = ["router", "predictor", "transformer", "explainer"];
/// Where a container finds its model.
const MODELS: &str = "/mnt/models";
const BODY: &str = r#"{"instances": [[6.8, 2.8, 4.8, 1.4]]}"#;
/// What is said in `deploy/compose.yaml` alone: where the others are, and how to end.
const COMPOSE_ONLY: [&str; 2] = ["--predictor_host", "--lame_duck_seconds"];

#[test]
fn compose_says_what_the_manifest_says() {
    let compose = Compose::read();
    let plan = Plan::of_files(&[root().join("deploy/samples/iris.yaml")]).unwrap();
    let [service] = plan.services.as_slice() else { panic!("one service expected") };
    let [revision] = service.revisions.as_slice() else { panic!("one revision expected") };
    assert_eq!(revision.components.len(), 3);
    for (name, component) in ["predictor", "transformer", "explainer"].into_iter().zip(&revision.components) {
        let mut said = settings(&compose.launch(name));
        said.retain(|flag, _| !COMPOSE_ONLY.contains(&flag.as_str()));
        assert_eq!(said, settings(&component.launch), "{name}");
    }
    let router = settings(&compose.launch("router"));
    assert_eq!(router["--model_name"], service.name);
    for name in ["predictor", "transformer", "explainer"] {
        assert_eq!(router[&format!("--{name}_host")], format!("{name}:8080"));
    }
    // Explanations ask through the router, as in a mesh of `weir run`.
    assert_eq!(settings(&compose.launch("explainer"))["--predictor_host"], "router:8080");
}

#[test]
fn every_compose_service_starts_so_and_is_locked_down() {
    let compose = Compose::read();
    for (name, build) in builds() {
        let launch = compose.launch(name);
        if let Err(error) = build(&launch) {
            panic!("{name}: {error}");
        }
        // An unknown flag is a warning only, and a misspelt one would be lost.
        let help = Launch { args: vec!["--help".to_owned()], ..Launch::default() };
        let help = build(&help).err().unwrap().to_string();
        for flag in settings(&launch).keys() {
            assert!(help.contains(&format!("{flag} ")), "{name} has no flag {flag}");
        }
        let text = |field: &str| compose.service(name).get(field).map(Node::to_json).unwrap_or_default();
        assert_eq!(text("read_only"), "true", "{name}");
        assert_eq!(text("cap_drop"), r#"["ALL"]"#, "{name}");
        assert_eq!(text("security_opt"), r#"["no-new-privileges:true"]"#, "{name}");
        assert!(compose.service(name).get("healthcheck").is_some(), "{name}");
        assert_eq!(
            compose.service(name).get("ports").is_some(),
            name == "router",
            "only the router is published"
        );
    }
}

type Build = fn(&Launch) -> Result<Service, BuildError>;

fn builds() -> [(&'static str, Build); 4] {
    [
        ("router", weir_router::build),
        ("predictor", weir_predictor::build),
        ("transformer", weir_transformer::build),
        ("explainer", weir_explainer::build),
    ]
}

/// `deploy/compose.yaml`, as far as it says how services are started.
struct Compose(Node);

impl Compose {
    fn read() -> Self {
        let text = std::fs::read_to_string(root().join(COMPOSE)).unwrap();
        Self(document::parse_one(&text, COMPOSE).unwrap())
    }

    fn service(&self, name: &str) -> &Node {
        self.0.get("services").and_then(|it| it.get(name)).unwrap_or_else(|| panic!("no service {name}"))
    }

    /// How the service is started, with the folder on this machine where the container has a mounted one.
    fn launch(&self, name: &str) -> Launch {
        let service = self.service(name);
        let mut args = strings(service.get("command").unwrap());
        for mount in service.get("volumes").map(strings).unwrap_or_default() {
            let folder = mount.strip_suffix(&format!(":{MODELS}:ro")).expect("models are mounted read-only");
            let folder = root().join("deploy").join(folder).canonicalize().unwrap();
            for arg in &mut args {
                *arg = arg.replace(MODELS, &folder.display().to_string());
            }
        }
        let env = match service.get("environment").map(|it| &it.value) {
            Some(document::Value::Map(entries)) => {
                entries.iter().map(|it| (it.key.clone(), it.value.as_str().unwrap().to_owned())).collect()
            }
            _ => weir_sdk::Env::default(),
        };
        Launch { args, env }
    }
}

fn strings(list: &Node) -> Vec<String> {
    let document::Value::List(items) = &list.value else { panic!("a list expected at {}", list.at) };
    items.iter().map(|it| it.as_str().unwrap().to_owned()).collect()
}

/// Flags with their values, however they are written; a variable that stands for a flag counts as one. Values that are YAML
/// are compared as what they mean.
fn settings(launch: &Launch) -> BTreeMap<String, String> {
    let mut settings = BTreeMap::new();
    let mut args = launch.args.iter();
    while let Some(arg) = args.next() {
        let (flag, value) = match arg.split_once('=') {
            Some((flag, value)) => (flag, value),
            None => (arg.as_str(), args.next().expect("a flag has a value").as_str()),
        };
        settings.insert(flag.to_owned(), value.to_owned());
    }
    for (name, value) in launch.env.iter() {
        settings.insert(format!("--{}", name.to_lowercase()), value.to_owned());
    }
    for flag in ["--steps", "--config"] {
        if let Some(text) = settings.get_mut(flag) {
            *text = document::parse_one(text, flag).unwrap().to_json();
        }
    }
    settings
}

#[tokio::test(flavor = "multi_thread")]
async fn docker_compose_chain_answers_and_one_service_is_swapped() {
    let deployment = match Deployment::planned() {
        Ok(deployment) => deployment,
        Err(reason) => return println!("skipped: {reason}"),
    };
    deployment.build("one", &SERVICES);
    deployment.compose(&["up", "-d"]);
    deployment.ready().await;
    deployment.answers().await;

    let before = deployment.containers();
    let traffic = Traffic::start(&deployment.url(":predict"));
    traffic.seen_again(200).await;
    deployment.build("two", &["predictor"]);
    deployment.compose(&["up", "-d", "--no-deps", "--force-recreate", "predictor"]);
    deployment.ready().await;
    traffic.seen_again(200).await;
    let seen = traffic.stop().await;
    println!("while the predictor was replaced: {seen:?}");
    assert!(seen.keys().all(|status| matches!(status, 200 | 502 | 503 | 504)), "{seen:?}");
    let after = deployment.containers();
    for name in SERVICES {
        let same = before[name].id == after[name].id;
        assert_eq!(same, name != "predictor", "{name}: only the predictor is another container");
    }
    assert_ne!(before["predictor"].image, after["predictor"].image);
    deployment.answers().await;

    for name in SERVICES {
        let container = deployment.inspect(&after[name].id);
        assert_eq!(container["Config"]["User"], "65532:65532", "{name}");
        assert_eq!(container["HostConfig"]["ReadonlyRootfs"], true, "{name}");
        assert_eq!(container["HostConfig"]["CapDrop"], json!(["ALL"]), "{name}");
        assert_eq!(container["RestartCount"], 0, "{name}");
        // As the first process of its container a service would ignore SIGTERM if it had no handler; 137 is SIGKILL's.
        deployment.docker(&["stop", "-t", "20", &after[name].id]);
        assert_eq!(deployment.inspect(&after[name].id)["State"]["ExitCode"], 0, "{name}");
    }
}

/// The deployment under names and a port of its own. Dropping it removes its containers and images.
struct Deployment {
    compose: &'static [&'static str],
    binaries: PathBuf,
    /// The project's name and the images' tag.
    name: String,
    port: u16,
}

struct Container {
    id: String,
    image: String,
}

impl Deployment {
    /// Finds what it takes, or tells what is missing.
    fn planned() -> Result<Self, String> {
        run(Command::new("docker").arg("info")).map_err(|error| {
            format!("no container engine answers: {}", error.lines().last().unwrap_or_default())
        })?;
        let known: [&[&str]; 2] = [&["docker-compose"], &["docker", "compose"]];
        let works = |it: &&&[&str]| run(Command::new(it[0]).args(&it[1..]).arg("version")).is_ok();
        let compose =
            known.iter().find(works).ok_or("neither `docker-compose` nor `docker compose` is there")?;
        let target =
            std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from);
        let binaries = std::env::var_os("WEIR_BIN_DIR").map_or_else(|| target.join("release"), PathBuf::from);
        for service in SERVICES {
            fresh(&binaries.join(service)).map_err(|reason| {
                let packages = SERVICES.map(|it| format!(" -p weir-{it}")).concat();
                format!("{reason}; build it with: cargo build --release{packages}")
            })?;
        }
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        Ok(Self { compose, binaries, name: format!("weir-it-{}", std::process::id()), port })
    }

    fn build(&self, id: &str, services: &[&str]) {
        let id = format!("{}-{id}", self.name);
        let mut command = Command::new(root().join("deploy/images/build.sh"));
        command
            .arg("--bin-dir")
            .arg(&self.binaries)
            .args(["--tag", &self.name, "--build-id", &id])
            .args(services);
        run(&mut command).unwrap();
    }

    fn compose_command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(self.compose[0]);
        command
            .args(&self.compose[1..])
            .arg("-f")
            .arg(root().join(COMPOSE))
            .args(["-p", &self.name])
            .args(args);
        command.env("WEIR_TAG", &self.name).env("WEIR_PORT", format!("127.0.0.1:{}", self.port));
        command
    }

    fn compose(&self, args: &[&str]) -> String {
        run(&mut self.compose_command(args)).unwrap()
    }

    fn docker(&self, args: &[&str]) -> String {
        run(Command::new("docker").args(args)).unwrap()
    }

    fn inspect(&self, id: &str) -> Value {
        let told: Value = serde_json::from_str(&self.docker(&["inspect", id])).unwrap();
        told[0].clone()
    }

    fn containers(&self) -> BTreeMap<&'static str, Container> {
        let container = |name| {
            let id = self.compose(&["ps", "-q", name]).trim().to_owned();
            let image = self.inspect(&id)["Image"].as_str().unwrap().to_owned();
            (name, Container { id, image })
        };
        SERVICES.into_iter().map(container).collect()
    }

    fn url(&self, verb: &str) -> String {
        format!("http://127.0.0.1:{}/v1/models/iris{verb}", self.port)
    }

    async fn ready(&self) {
        let url = format!("http://127.0.0.1:{}/v2/health/ready", self.port);
        let ready = || async { get(&url).await.is_ok_and(|answer| answer.status == 200) };
        wait_for(Duration::from_secs(60), ready).await;
    }

    /// The whole chain: the transformer standardises and names the class, the explainer asks through the router.
    async fn answers(&self) {
        let predicted = post(&self.url(":predict"), BODY).await;
        assert_eq!(predicted.json(), json!({"predictions": ["versicolor"]}), "{}", predicted.text);
        let explained = post(&self.url(":explain"), BODY).await;
        let classes = explained.json()["data"]["shap_values"].as_array().map(Vec::len);
        assert_eq!(classes, Some(3), "{}", explained.text);
    }
}

impl Drop for Deployment {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let logs = run(&mut self.compose_command(&["logs", "--no-color", "--tail", "50"]));
            println!("{}", logs.unwrap_or_else(|error| error));
        }
        let down = run(&mut self.compose_command(&["down", "-v", "--remove-orphans", "-t", "5"]));
        let images = SERVICES.map(|it| format!("weir-{it}:{}", self.name));
        let removed = run(Command::new("docker").args(["rmi", "-f"]).args(images));
        // The predictor's first image has lost its tag to the second.
        let first = format!("label=org.opencontainers.image.revision={}-one", self.name);
        let pruned = run(Command::new("docker").args(["image", "prune", "-f", "--filter", &first]));
        for error in [down, removed, pruned].into_iter().filter_map(Result::err) {
            println!("{error}");
        }
    }
}

/// Requests that keep coming, and what became of them.
struct Traffic {
    stop: Arc<AtomicBool>,
    seen: Arc<Mutex<Seen>>,
    task: tokio::task::JoinHandle<()>,
}

/// How often each status came, and the text it last came with.
type Seen = BTreeMap<u16, (usize, String)>;

impl Traffic {
    fn start(url: &str) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let seen = Arc::new(Mutex::new(Seen::new()));
        let task = tokio::spawn(keep_asking(url.to_owned(), Arc::clone(&stop), Arc::clone(&seen)));
        Self { stop, seen, task }
    }

    fn count(&self, status: u16) -> usize {
        self.seen.lock().unwrap().get(&status).map_or(0, |(count, _)| *count)
    }

    /// Waits until the status comes twice more: the second of them was asked for after this was.
    async fn seen_again(&self, status: u16) {
        let wanted = self.count(status) + 2;
        wait_for(Duration::from_secs(30), || async {
            self.task.is_finished() || self.count(status) >= wanted
        })
        .await;
    }

    /// Returns what came.
    async fn stop(self) -> Seen {
        self.stop.store(true, Ordering::Relaxed);
        self.task.await.unwrap();
        std::mem::take(&mut *self.seen.lock().unwrap())
    }
}

async fn keep_asking(url: String, stop: Arc<AtomicBool>, seen: Arc<Mutex<Seen>>) {
    // The router stands all the time: a request that it does not answer, or not soon, is a failure of its own.
    let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(10)).build().unwrap();
    while !stop.load(Ordering::Relaxed) {
        let answer = client.post(&url).body(BODY).send().await.unwrap();
        let (status, text) = (answer.status().as_u16(), answer.text().await.unwrap());
        seen.lock().unwrap().entry(status).and_modify(|it| it.0 += 1).or_insert((1, String::new())).1 = text;
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Returns what a command wrote, or what it complained about.
fn run(command: &mut Command) -> Result<String, String> {
    let out = command.output().map_err(|error| format!("{}: {error}", command.get_program().display()))?;
    if out.status.success() {
        return Ok(String::from_utf8_lossy(&out.stdout).into_owned());
    }
    Err(format!("{command:?}: {}: {}", out.status, String::from_utf8_lossy(&out.stderr).trim_end()))
}

/// A binary must be there, and not be older than what it was built from: cargo lists that beside it.
fn fresh(binary: &Path) -> Result<(), String> {
    let built = binary
        .metadata()
        .and_then(|it| it.modified())
        .map_err(|_| format!("{} is not there", binary.display()))?;
    let list = std::fs::read_to_string(binary.with_extension("d")).unwrap_or_default();
    // A path with a space in it is split here, found nowhere, and passed over.
    for source in list.split_whitespace().skip(1) {
        if std::fs::metadata(source).and_then(|it| it.modified()).is_ok_and(|written| written > built) {
            return Err(format!("{} is older than {source}", binary.display()));
        }
    }
    Ok(())
}
