//! Starts what is tested: a mesh in this process, or as processes.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use weir::{Mesh, MeshOptions, Plan};
use weir_sdk::ServerFlags;

/// The repository's root.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// A file beside the checkout that this project does not carry; `None`, with the reason printed, where it is absent.
pub(crate) fn shared(path: &str) -> Option<PathBuf> {
    let path = root().join("../shared").join(path);
    if path.exists() {
        return Some(path);
    }
    println!("skipped: {} is not there", path.display());
    None
}

/// The command, built from this tree.
pub(crate) fn weir() -> Command {
    Command::new(env!("CARGO_BIN_EXE_weir-under-test"))
}

/// Starts the manifest's mesh in this process, on free ports, and waits until it is ready.
pub(crate) async fn mesh(manifest: impl AsRef<Path>) -> Mesh {
    let mesh = unready_mesh(manifest).await;
    let url = format!("http://{}/v2/health/ready", mesh.http());
    wait_for(Duration::from_secs(20), || async { get(&url).await.is_ok_and(|answer| answer.status == 200) })
        .await;
    mesh
}

/// Starts the manifest's mesh in this process and does not wait.
pub(crate) async fn unready_mesh(manifest: impl AsRef<Path>) -> Mesh {
    let plan = Plan::of_files(&[root().join(manifest)]).unwrap_or_else(|problems| panic!("{problems}"));
    Mesh::start(&plan, &MeshOptions { door: ServerFlags::loopback() }).await.unwrap()
}

/// Writes a manifest of an InferenceService with that spec (indented by two spaces) into a new folder.
pub(crate) fn manifest(name: &str, spec: &str) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("service.yaml");
    let text = format!(
        "apiVersion: serving.kserve.io/v1beta1\nkind: InferenceService\nmetadata: {{name: {name}}}\nspec:\n{spec}\n"
    );
    std::fs::write(&file, text).unwrap();
    (folder, file)
}

/// An HTTP answer.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: reqwest::header::HeaderMap,
    pub(crate) text: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|it| it.to_str().ok())
    }

    async fn of(response: reqwest::Response) -> reqwest::Result<Self> {
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Ok(Self { status, headers, text: response.text().await? })
    }
}

/// A client that trusts no proxy and waits no longer than a test should.
pub(crate) fn client() -> reqwest::Client {
    reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(30)).build().unwrap()
}

pub(crate) async fn get(url: &str) -> reqwest::Result<Answer> {
    Answer::of(client().get(url).send().await?).await
}

pub(crate) async fn post(url: &str, body: impl Into<reqwest::Body>) -> Answer {
    post_with(url, body, &[]).await
}

pub(crate) async fn post_with(url: &str, body: impl Into<reqwest::Body>, headers: &[(&str, &str)]) -> Answer {
    let mut request = client().post(url).body(body);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    Answer::of(request.send().await.unwrap()).await.unwrap()
}

/// Waits until something holds; panics when it does not in time.
pub(crate) async fn wait_for<F: Future<Output = bool>>(within: Duration, mut holds: impl FnMut() -> F) {
    let until = Instant::now() + within;
    while !holds().await {
        assert!(Instant::now() < until, "what was waited for did not come within {within:?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// `weir run` as a process. Dropping it ends it.
pub(crate) struct Process {
    child: Child,
    /// The lines it wrote to standard output before it invited the first request.
    pub(crate) lines: Vec<String>,
    /// The front door, such as `http://127.0.0.1:40000`.
    pub(crate) door: String,
}

impl Process {
    /// Starts `weir run` with these arguments on free ports, and waits until it invites requests.
    pub(crate) fn start(args: &[&str], env: &[(&str, &str)]) -> Self {
        let mut child = weir()
            .current_dir(root())
            // Were this process to abort, what it started must not outlive it.
            .args(["run", "--until-stdin-ends", "--http-port", "0"])
            .stdin(Stdio::piped())
            .args(args)
            .envs(env.iter().copied())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = Vec::new();
        let mut door = None;
        for line in BufReader::new(child.stdout.take().unwrap()).lines() {
            let line = line.unwrap();
            if let Some((address, _)) =
                line.strip_prefix("http://").and_then(|it| it.split_once("/v1/models/"))
            {
                door = Some(format!("http://{address}"));
                break;
            }
            lines.push(line);
        }
        Self { child, lines, door: door.expect("`weir run` ended before it invited a request") }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.door)
    }

    pub(crate) async fn ready(&self) {
        let url = self.url("/v2/health/ready");
        wait_for(Duration::from_secs(20), || async {
            get(&url).await.is_ok_and(|answer| answer.status == 200)
        })
        .await;
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends SIGTERM and returns the exit status.
    pub(crate) fn terminate(self) -> std::process::ExitStatus {
        signal(self.pid(), "TERM");
        self.wait()
    }

    /// Waits for its end.
    pub(crate) fn wait(mut self) -> std::process::ExitStatus {
        // Taken out, since to wait for a child closes its standard input, which would be a second word to end.
        let _stdin = self.child.stdin.take();
        self.child.wait().unwrap()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Asked first, since what is killed leaves its sockets' folder behind.
        drop(self.child.stdin.take());
        let until = Instant::now() + Duration::from_secs(3);
        while Instant::now() < until && matches!(self.child.try_wait(), Ok(None)) {
            std::thread::yield_now();
        }
        // Fails only when it has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Sends a signal to a process.
pub(crate) fn signal(pid: u32, name: &str) {
    let status = Command::new("kill").args([format!("-{name}"), pid.to_string()]).status().unwrap();
    assert!(status.success(), "kill -{name} {pid}");
}
