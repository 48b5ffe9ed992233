//! The shapes in which KServe starts its servers, and what of them is told in the log.

use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::json;

use crate::harness::{get, manifest, mesh, post, post_with, root, wait_for, weir};

const LATE: Duration = Duration::from_secs(20);
const INPUTS: &str = r#"{"inputs": [[6.8, 2.8, 4.8, 1.4]]}"#;

/// A predictor as a process of its own, and what it logs.
pub(crate) struct Predictor {
    child: Child,
    lines: Arc<Mutex<Vec<String>>>,
    pub(crate) url: String,
}

impl Predictor {
    pub(crate) async fn start(args: &[&str], env: &[(&str, &str)]) -> Self {
        let mut child = weir()
            .args(["predictor", "--host=127.0.0.1", "--admin_port=0", "--lame_duck_seconds=0"])
            .args(args)
            .envs(env.iter().copied())
            .env_remove("WEIR_LOG")
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = Arc::new(Mutex::new(Vec::new()));
        let (log, heard) = (BufReader::new(child.stderr.take().unwrap()), Arc::clone(&lines));
        std::thread::spawn(move || {
            log.lines().map_while(Result::ok).for_each(|it| heard.lock().unwrap().push(it))
        });
        let mut it = Self { child, lines, url: String::new() };
        wait_for(LATE, || async { it.has("model loaded") || it.has("model not loaded") }).await;
        let listens = it.line("predictor listens").unwrap();
        let address = listens.split_once("http=").unwrap().1.split(' ').next().unwrap();
        it.url = format!("http://{address}");
        if it.has("model loaded") {
            // It is logged a moment before it answers.
            let ready = format!("{}/v2/health/ready", it.url);
            wait_for(LATE, || async { get(&ready).await.is_ok_and(|it| it.status == 200) }).await;
        }
        it
    }

    fn line(&self, part: &str) -> Option<String> {
        self.lines.lock().unwrap().iter().find(|it| it.contains(part)).cloned()
    }

    fn has(&self, part: &str) -> bool {
        self.line(part).is_some()
    }

    async fn predict(&self, body: &str) -> serde_json::Value {
        let answer = post(&format!("{}/v1/models/iris:predict", self.url), body.to_owned()).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        answer.json()
    }

    /// Every line of the log.
    pub(crate) fn log(&self) -> String {
        self.lines.lock().unwrap().join("\n")
    }
}

impl Drop for Predictor {
    fn drop(&mut self) {
        // Fails only when it has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn iris() -> String {
    root().join("deploy/samples/models/iris").display().to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn as_kserve_starts_its_own_server() {
    let folder = iris();
    let args = [
        "--model_name=iris",
        "--model_dir",
        &folder,
        "--http_port=1",
        "--http-port=0",
        "--grpc_port=1",
        "--enable_grpc=false",
        "--enable_latency_logging",
        "true",
        "--enable_predictor_health_check",
        "--workers=2",
        "--max_threads=4",
        "--max_asyncio_workers",
        "8",
        "--configure_logging=true",
        "--log_config_file=/tmp/log.yaml",
        "--event-loop=uvloop",
        "--timeout-keep-alive=65",
        "--predictor_host=nowhere",
        "--protocol=v1",
        "--predictor_protocol=v2",
        "--predictor_use_ssl=false",
        "--predictor_request_timeout_seconds=600",
        "--predictor_request_retries=0",
        "--grpc_max_send_message_length=8388608",
        "--grpc_max_receive_message_length=8388608",
        "--nthread=1",
        "--nobody_knows=1",
    ];
    let predictor = Predictor::start(&args, &[]).await;
    let url = format!("{}/v1/models/iris:predict", predictor.url);
    let answer = post_with(&url, INPUTS, &[("x-request-id", "id-7")]).await;
    assert_eq!(answer.json(), json!({"predictions": [0]}), "{}", answer.text);
    wait_for(LATE, || async { predictor.has("requestId: id-7, preprocess_ms: 0.000000000, explain_ms:") })
        .await;
    let unknown = predictor.log().matches("unknown flag").count();
    assert!(unknown == 1 && predictor.has("unknown flag `--nobody_knows`"), "{}", predictor.log());
    for (flag, told) in [
        ("workers=2", true),
        ("max_asyncio_workers=8", true),
        ("log_config_file=/tmp/log.yaml", true),
        ("max_threads=4", false),
        ("nthread=1", false),
        ("predictor_use_ssl=false", false),
    ] {
        let line = format!("flag `--{flag}` has no effect");
        assert_eq!(predictor.has(&line), told, "{flag}: {}", predictor.log());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn as_kserve_starts_tensorflow_serving() {
    let base = format!("--model_base_path={}", iris());
    let shape =
        ["--model_name=iris", "--port=0", "--rest_api_port=0", &base, "--rest_api_timeout_in_ms=60000"];
    let predictor = Predictor::start(&shape, &[]).await;
    assert_eq!(predictor.predict(INPUTS).await, json!({"outputs": [0]}));
    assert!(predictor.has("flag `--rest_api_timeout_in_ms=60000` has no effect"), "{}", predictor.log());
    assert!(!predictor.has("unknown flag"), "{}", predictor.log());

    let told_otherwise = [&shape[..], &["--v1_inputs=auto"]].concat();
    let predictor = Predictor::start(&told_otherwise, &[]).await;
    assert_eq!(predictor.predict(INPUTS).await, json!({"predictions": [0]}));

    // The image itself: two variables make the path.
    let (folder, name) = (iris(), "iris");
    let parent = folder.strip_suffix("/iris").unwrap();
    let env = [("MODEL_BASE_PATH", parent), ("MODEL_NAME", name)];
    let predictor = Predictor::start(&["--port=0", "--rest_api_port=0"], &env).await;
    assert_eq!(predictor.predict(INPUTS).await, json!({"outputs": [0]}));
}

#[tokio::test(flavor = "multi_thread")]
async fn as_kserve_starts_mlserver() {
    let folder = iris();
    let env = [
        ("MLSERVER_HTTP_PORT", "0"),
        ("MLSERVER_GRPC_PORT", "0"),
        ("MLSERVER_METRICS_PORT", "0"),
        ("MLSERVER_MODEL_NAME", "iris"),
        ("MLSERVER_MODEL_URI", folder.as_str()),
        ("MLSERVER_MODEL_IMPLEMENTATION", "mlserver_sklearn.SKLearnModel"),
        ("MLSERVER_DEBUG", "true"),
        // A flag's place in the order: before the service's own variables come flags, behind them this one.
        ("PORT", "1"),
    ];
    let predictor = Predictor::start(&[], &env).await;
    assert_eq!(predictor.predict(INPUTS).await, json!({"predictions": [0]}));
    wait_for(LATE, || async { predictor.has("DEBUG") }).await;

    let env = [("MLSERVER_MODEL_IMPLEMENTATION", "mlserver_nothing.Model")];
    let out = weir().arg("predictor").envs(env).output().unwrap();
    let text = String::from_utf8_lossy(&out.stderr).into_owned();
    assert_eq!(out.status.code(), Some(64), "{text}");
    assert!(text.contains("`mlserver_nothing.Model`; known are mlserver_sklearn.SKLearnModel"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_manifests_arguments_and_variables_reach_its_predictor() {
    let spec = format!(
        "  predictor: {{model: {{modelFormat: {{name: sklearn}}, storageUri: {}, \
           args: [\"--v1_inputs=tfserving\", --version-labels, \"stable=1,next=2\"], \
           env: [{{name: PREDICT_PROBA, value: \"true\"}}]}}}}",
        iris()
    );
    let (_folder, file) = manifest("iris", &spec);
    let mesh = mesh(&file).await;
    let base = format!("http://{}/v1/models/iris", mesh.http());
    let answer = post(&format!("{base}/labels/stable:predict"), INPUTS).await.json();
    assert_eq!(answer["outputs"][0].as_array().unwrap().len(), 3, "{answer}");
    let other = post(&format!("{base}/labels/next:predict"), INPUTS).await;
    assert_eq!(other.status, 404, "{}", other.text);
    let unknown = post(&format!("{base}/labels/nope:predict"), INPUTS).await;
    assert!(unknown.text.contains("known are: stable, next"), "{}", unknown.text);
}

#[test]
fn an_explainer_that_is_to_ask_over_tls_does_not_ask_in_the_clear() {
    let args = ["explainer", "--predictor_host=p", "--predictor_use_ssl=true"];
    let out = weir().args(args).output().unwrap();
    let text = String::from_utf8_lossy(&out.stderr).into_owned();
    assert_eq!(out.status.code(), Some(64), "{text}");
    assert!(text.contains("`--predictor_use_ssl` is true"), "{text}");
}
