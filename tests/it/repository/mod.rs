//! Models and versions that come and go while requests are answered: real servers, and model files that say their version.

mod config;
mod far;
mod swaps;
mod versions;

use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use weir_sdk::{Env, Launch, Running, ServerFlags, Sockets};

use crate::harness::{Answer, get, post, root, wait_for};

const LATE: Duration = Duration::from_secs(30);
/// Looks often, so that a test need not wait long.
const POLL: &str = "--file_system_poll_wait_seconds=0.02";
const BODY: &str = r#"{"instances": [[0.5, 0.5, 0.5, 0.5, 0.5]]}"#;
/// What a model answers beyond its number, all trees of it together.
const TREES: f64 = 0.0;

/// A model of XGBoost that answers `number`, with so many trees that add nothing.
fn model(number: u64, trees: usize) -> String {
    let path = root().join("predictor/testdata/xgboost/3.2.0/squarederror.json");
    let mut model: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let learner = &mut model["learner"];
    learner["learner_model_param"]["base_score"] = json!(format!("[{number}E0]"));
    let booster = &mut learner["gradient_booster"]["model"];
    let mut tree = booster["trees"][0].clone();
    for field in ["base_weights", "split_conditions"] {
        let left = tree["left_children"].clone();
        for (at, value) in tree[field].as_array_mut().unwrap().iter_mut().enumerate() {
            if left[at] == json!(-1) {
                *value = json!(0.0);
            }
        }
    }
    let numbered = |id: usize| {
        let mut tree = tree.clone();
        tree["id"] = json!(id);
        tree
    };
    booster["trees"] = (0..trees).map(numbered).collect();
    booster["tree_info"] = json!(vec![0; trees]);
    booster["iteration_indptr"] = (0..=trees).collect();
    booster["gbtree_model_param"]["num_trees"] = json!(trees.to_string());
    model.to_string()
}

/// Puts a model into a folder at once, as whoever is careful does.
fn place(folder: &Path, number: u64, trees: usize) {
    let parent = folder.parent().unwrap();
    std::fs::create_dir_all(parent).unwrap();
    let half = tempfile::tempdir_in(parent.parent().unwrap()).unwrap();
    std::fs::write(half.path().join("model.json"), model(number, trees)).unwrap();
    std::fs::rename(half.path(), folder).unwrap();
}

/// A predictor in this process, which may still be loading.
async fn predictor(args: &[&str]) -> Running {
    let launch = Launch { args: args.iter().map(|&it| it.to_owned()).collect(), env: Env::default() };
    let service = weir_predictor::build(&launch).unwrap_or_else(|error| panic!("{error}"));
    let sockets = Sockets::bind(&ServerFlags::loopback(), &Env::default()).await.unwrap();
    service.start(sockets)
}

/// The same, once it is ready.
async fn ready(args: &[&str]) -> Running {
    let running = predictor(args).await;
    until(&running, "/v2/health/ready", |it| it.status == 200).await;
    running
}

fn url(running: &Running, path: &str) -> String {
    format!("http://{}{path}", running.http)
}

/// Waits until what a path answers is what is wanted.
async fn until(running: &Running, path: &str, is: impl Fn(&Answer) -> bool) {
    let url = url(running, path);
    wait_for(LATE, || async { get(&url).await.is_ok_and(|it| is(&it)) }).await;
}

/// What a model answers: its number.
async fn ask(running: &Running, path: &str) -> Result<u64, Answer> {
    let answer = post(&url(running, path), BODY).await;
    if answer.status != 200 {
        return Err(answer);
    }
    Ok((answer.json()["predictions"][0].as_f64().unwrap() - TREES).round() as u64)
}

/// A model's versions and their states.
async fn states(running: &Running, model: &str) -> Vec<(String, String)> {
    let answer = get(&url(running, &format!("/v1/models/{model}"))).await.unwrap();
    assert_eq!(answer.status, 200, "{}", answer.text);
    let text = |it: &Value| it.as_str().unwrap().to_owned();
    let status = answer.json()["model_version_status"].clone();
    status.as_array().unwrap().iter().map(|it| (text(&it["version"]), text(&it["state"]))).collect()
}

/// Whether just these versions answer.
async fn serves(running: &Running, model: &str, versions: &[&str]) -> bool {
    let told = states(running, model).await;
    let ready: Vec<_> = told.iter().filter(|it| it.1 == "AVAILABLE").map(|it| it.0.as_str()).collect();
    ready == versions
}

/// The repository's index.
async fn index(running: &Running) -> Vec<Value> {
    post(&url(running, "/v2/repository/index"), "").await.json().as_array().unwrap().clone()
}

/// The lines of the metrics that tell who holds how much memory: labels and bytes.
async fn held(admin: &str) -> Vec<(String, u64)> {
    let text = get(&format!("http://{admin}/metrics")).await.unwrap().text;
    let lines = text.lines().filter_map(|it| it.strip_prefix("weir_model_memory_bytes{")?.split_once("} "));
    lines.map(|(labels, bytes)| (labels.to_owned(), bytes.parse().unwrap())).collect()
}
