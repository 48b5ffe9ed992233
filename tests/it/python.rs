//! Models that Python serves: somebody's own `kserve.Model`, and files that native runtimes refuse. A worker that dies costs its
//! request, one that hangs is ended, and none outlives the predictor.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};
use weir_sdk::{Env, Launch, Running, ServerFlags, Sockets};

use crate::harness::{Answer, Process, get, manifest, post, post_with, root, shared, signal, wait_for, weir};
use crate::serve::assert_close;

/// A model that does what its rows say, with nothing but the standard library.
const OWN: &str = r#"
import asyncio, ctypes, os, signal, sys, threading, time
import kserve
from kserve.errors import InvalidInput


class Base(kserve.Model):
    pass


class Own(Base):
    def __init__(self, name):
        super().__init__(name)
        self.load()

    def load(self):
        print("the model is loaded", flush=True)
        self.ready = True
        return self.ready

    async def preprocess(self, payload, headers=None):
        await asyncio.sleep(0)
        return {**payload, "headers": dict(headers)}

    def predict(self, payload, headers=None):
        rows = payload["instances"]
        do = rows[0] if isinstance(rows[0], str) else ""
        if do == "crash":
            ctypes.string_at(0)
        if do == "exit":
            os._exit(3)
        if do == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if do == "hang":
            time.sleep(600)
        if do == "raise":
            raise RuntimeError("the model is unwell")
        if do == "refuse":
            raise InvalidInput("no such row")
        if do == "leave":
            sys.exit(1)
        if do == "fork":
            if os.fork() == 0:
                time.sleep(30)
            os._exit(4)
        return {"predictions": rows, "pid": os.getpid(), "headers": payload["headers"]}

    async def postprocess(self, result, headers=None, response_headers=None):
        return {**result, "nan": float("nan")}

    def explain(self, payload, headers=None):
        return {"explanations": payload["instances"]}


if __name__ == "__main__":
    kserve.ModelServer().start([Own("own")])
"#;

/// Any Python will do; `None`, with the reason printed, where there is none.
fn any_python() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).map(|it| it.join("python3")).find(|it| it.is_file());
    if found.is_none() {
        println!("skipped: there is no python3 on the path");
    }
    found
}

/// A Python with frameworks; `None`, with the reason printed, where there is none.
pub(crate) fn python_with(packages: &[&str]) -> Option<PathBuf> {
    let Some(python) = std::env::var_os("WEIR_WORKER_PYTHON").map(PathBuf::from) else {
        println!(
            "skipped: WEIR_WORKER_PYTHON names no Python with the packages of tests/worker/requirements.txt"
        );
        return None;
    };
    let code = format!("import {}", packages.join(", "));
    let out = std::process::Command::new(&python).args(["-c", &code]).output().unwrap();
    if !out.status.success() {
        println!("skipped: {} cannot import {}", python.display(), packages.join(", "));
        return None;
    }
    Some(python)
}

/// A predictor in this process, which serves what lies there.
pub(crate) async fn predictor(args: &[&str], env: &[(&str, &str)]) -> (Running, String) {
    let launch = Launch {
        args: args.iter().map(|&it| it.to_owned()).collect(),
        env: env.iter().copied().collect::<Env>(),
    };
    let mut service = weir_predictor::build(&launch).unwrap();
    service.flags = ServerFlags::loopback();
    let sockets = Sockets::bind(&service.flags, &Env::default()).await.unwrap();
    let running = service.start(sockets);
    let url = format!("http://{}", running.http);
    (running, url)
}

pub(crate) async fn ready(url: &str) {
    let url = format!("{url}/v2/health/ready");
    wait_for(Duration::from_secs(120), || async { get(&url).await.is_ok_and(|it| it.status == 200) }).await;
}

/// The reason a model was not loaded.
pub(crate) async fn refusal(url: &str) -> String {
    let health = format!("{url}/v2/health/ready");
    wait_for(Duration::from_secs(120), || async {
        get(&health).await.is_ok_and(|it| it.status == 503 && !it.text.contains("loading"))
    })
    .await;
    let answer = post(&format!("{url}/v1/models/model:predict"), r#"{"instances": [1]}"#).await;
    assert_eq!(answer.status, 503, "{}", answer.text);
    answer.json()["error"].as_str().unwrap().to_owned()
}

fn folder(files: &[(&str, &[u8])]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, bytes) in files {
        std::fs::write(folder.path().join(name), bytes).unwrap();
    }
    folder
}

/// What a model in that folder is served with.
fn args<'a>(folder: &'a Path, python: &'a Path, more: &[&'a str]) -> Vec<&'a str> {
    let own =
        ["--runtime=python", "--model_dir", folder.to_str().unwrap(), "--python", python.to_str().unwrap()];
    [&own, more].concat()
}

async fn ask(url: &str, row: Value) -> Answer {
    post(&format!("{url}/v1/models/model:predict"), json!({ "instances": [row] }).to_string()).await
}

fn pid_of(answer: &Answer) -> u32 {
    assert_eq!(answer.status, 200, "{}", answer.text);
    u32::try_from(answer.json()["pid"].as_u64().unwrap()).unwrap()
}

/// Whether anything of a process is left. What is dead and not waited for is a zombie; but its first thread is one already while
/// another still ends, which holds the socket until then.
fn lives(pid: u32) -> bool {
    let threads = std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let state = |thread: &std::fs::DirEntry| {
        let stat = std::fs::read_to_string(thread.path().join("stat")).unwrap_or_default();
        stat.rsplit(')').next().and_then(|it| it.trim_start().chars().next())
    };
    threads.into_iter().any(|it| state(&it).is_some_and(|it| it != 'Z' && it != 'X'))
}

#[tokio::test(flavor = "multi_thread")]
async fn somebodys_own_model_is_served_unchanged() {
    let Some(python) = any_python() else { return };
    let folder = folder(&[("model.py", OWN.as_bytes())]);
    let (_running, url) = predictor(&args(folder.path(), &python, &[]), &[]).await;
    ready(&url).await;
    let body = r#"{"instances": [{"a": [1, null, {"b": "ü"}]}, 2.5], "more": 18446744073709551615}"#;
    let predict = format!("{url}/v1/models/model:predict");
    let answer = post_with(&predict, body, &[("x-request-id", "seven")]).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let got = answer.json();
    assert_eq!(got["predictions"], json!([{"a": [1, null, {"b": "ü"}]}, 2.5]));
    assert_eq!((&got["headers"]["x-request-id"], &got["nan"]), (&json!("seven"), &Value::Null));
    let explained = post(&format!("{url}/v1/models/model:explain"), r#"{"instances": [7]}"#).await;
    assert_eq!(explained.json()["explanations"], json!([7]), "{}", explained.text);
    for (body, status, part) in [
        ("{", 400, "the body is no JSON"),
        (r#"{"instances": ["raise"]}"#, 500, "RuntimeError: the model is unwell"),
        (r#"{"instances": ["refuse"]}"#, 400, "no such row"),
        (r#"{"instances": ["leave"]}"#, 500, "SystemExit: 1"),
    ] {
        let answer = post(&predict, body).await;
        assert_eq!(answer.status, status, "{body}: {}", answer.text);
        assert!(answer.text.contains(part), "{body}: {}", answer.text);
    }
    // None of those cost a process.
    let first = pid_of(&ask(&url, json!(1)).await);
    assert_eq!(u64::from(first), got["pid"].as_u64().unwrap());
    assert!(!folder.path().join("__pycache__").exists(), "the model's folder was written to");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_dies_costs_its_request_only() {
    let Some(python) = any_python() else { return };
    let folder = folder(&[("model.py", OWN.as_bytes())]);
    let (_running, url) = predictor(&args(folder.path(), &python, &["--workers=2"]), &[]).await;
    ready(&url).await;
    for (row, part) in [
        ("crash", "crashed (SIGSEGV"),
        ("exit", "ended with exit code 3"),
        ("kill", "was killed (SIGKILL"),
        ("fork", "ended with exit code 4"),
    ] {
        // Those that are asked at the same time do not notice.
        let others = async {
            for at in 0..20 {
                let answer = ask(&url, json!(at)).await;
                assert_eq!(answer.status, 200, "beside {row}: {}", answer.text);
            }
        };
        let (answer, ()) = tokio::join!(ask(&url, json!(row)), others);
        assert_eq!(answer.status, 500, "{row}: {}", answer.text);
        assert!(
            answer.text.contains(part) && answer.text.contains("while it answered"),
            "{row}: {}",
            answer.text
        );
        ready(&url).await;
    }
    // One that dies while it waits costs nothing at all.
    for _ in 0..3 {
        let pid = pid_of(&ask(&url, json!(1)).await);
        signal(pid, "KILL");
        wait_for(Duration::from_secs(10), || async { !lives(pid) }).await;
        assert_ne!(pid_of(&ask(&url, json!(1)).await), pid);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hang_is_ended_at_the_callers_deadline() {
    let Some(python) = any_python() else { return };
    let folder = folder(&[("model.py", OWN.as_bytes())]);
    let (_running, url) = predictor(&args(folder.path(), &python, &[]), &[]).await;
    ready(&url).await;
    let before = pid_of(&ask(&url, json!(1)).await);
    let predict = format!("{url}/v1/models/model:predict");
    let body = r#"{"instances": ["hang"]}"#;
    let answer = post_with(&predict, body, &[("x-request-timeout-ms", "300")]).await;
    assert_eq!(answer.status, 504, "{}", answer.text);
    wait_for(Duration::from_secs(10), || async { !lives(before) }).await;
    assert_ne!(pid_of(&ask(&url, json!(1)).await), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_ends_with_its_predictor_and_prints_to_its_log() {
    let Some(python) = any_python() else { return };
    let models = folder(&[("model.py", OWN.as_bytes())]);
    let spec = format!(
        "  predictor: {{model: {{modelFormat: {{name: python}}, runtime: python, storageUri: {}, args: [--python={}]}}}}",
        models.path().display(),
        python.display()
    );
    let (_folder, file) = manifest("model", &spec);
    for ending in ["TERM", "KILL"] {
        let process = Process::start(&["-f", file.to_str().unwrap()], &[]);
        process.ready().await;
        let pid = pid_of(&ask(&process.door, json!(1)).await);
        let url = process.url("/v1/models/model:predict");
        let hanging = tokio::spawn(async move {
            let request = crate::harness::client().post(url).body(r#"{"instances": ["hang"]}"#);
            request.timeout(Duration::from_millis(300)).send().await.is_err()
        });
        // It is busy with a request that nobody waits for any more.
        assert!(hanging.await.unwrap());
        assert!(lives(pid));
        signal(process.pid(), ending);
        if ending == "TERM" {
            // Twice: at once.
            signal(process.pid(), ending);
        }
        process.wait();
        wait_for(Duration::from_secs(10), || async { !lives(pid) }).await;
    }
}

#[test]
fn who_validates_is_told_that_code_will_run() {
    let models = folder(&[("model.py", b"raise SystemExit")]);
    let spec = |more: &str| {
        let place = models.path().display();
        format!("  predictor: {{model: {{modelFormat: {{name: sklearn}}, storageUri: {place}{more}}}}}")
    };
    let validate = |spec: &str| {
        let (_folder, file) = manifest("m", spec);
        let out = weir().args(["validate", "-f", file.to_str().unwrap()]).output().unwrap();
        format!("{}{}", String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr))
    };
    for more in [", runtime: python", ", args: [--runtime=python]"] {
        let text = validate(&spec(more));
        assert!(text.contains("warning: predictor.model.runtime: `python` runs code"), "{text}");
        assert!(text.contains("runtime `python`, because the manifest says so"), "{text}");
    }
    let text = validate(&spec(", runtime: python, args: [--python=/nowhere/python]"));
    assert!(text.contains("there is no Python at `/nowhere/python`"), "{text}");
    assert!(!validate(&spec("")).contains("python"));
}

#[tokio::test(flavor = "multi_thread")]
async fn no_code_runs_unless_python_is_named() {
    let Some(python) = any_python() else { return };
    let models = folder(&[("model.py", b"import os\nopen('ran', 'w').close()\nimport kserve\n")]);
    let place = models.path().to_str().unwrap();
    let (_running, url) = predictor(&["--model_dir", place], &[]).await;
    assert!(refusal(&url).await.contains("holds 0 model files"));
    assert!(!models.path().join("ran").exists());
    let (_running, url) = predictor(&args(models.path(), &python, &[]), &[]).await;
    let text = refusal(&url).await;
    assert!(text.contains("holds 0 files that end in .joblib"), "{text}");
    assert!(models.path().join("ran").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_missing_is_told() {
    let models = folder(&[("model.py", OWN.as_bytes())]);
    let gone = Path::new("/nowhere/python");
    let (_running, url) = predictor(&args(models.path(), gone, &[]), &[]).await;
    assert!(refusal(&url).await.contains("there is no Python at `/nowhere/python`"));
    let Some(python) = any_python() else { return };
    let lacking = folder(&[("model.joblib", b"csurely_not_a_package\nThing\n.")]);
    let (_running, url) = predictor(&args(lacking.path(), &python, &[]), &[]).await;
    let text = refusal(&url).await;
    assert!(
        text.contains("needs the package `surely_not_a_package`") && text.contains("pip install"),
        "{text}"
    );
    let two = folder(&[("a.pkl", b""), ("b.pkl", b"")]);
    let (_running, url) = predictor(&args(two.path(), &python, &[]), &[]).await;
    assert!(refusal(&url).await.contains("holds 2 files that end in .joblib, .pkl, .pickle"));
}

#[tokio::test(flavor = "multi_thread")]
async fn scikit_learn_answers_as_the_native_runtime_does() {
    let Some(python) = python_with(&["sklearn", "joblib"]) else { return };
    let models = root().join("deploy/samples/models/iris");
    let (_python, worker) = predictor(&args(&models, &python, &[]), &[]).await;
    let (_native, native) = predictor(&["--model_dir", models.to_str().unwrap()], &[]).await;
    let mut answers = Vec::new();
    let rows = json!([[6.8, 2.8, 4.8, 1.4], [6.0, 3.4, 4.5, 1.6], [5.1, 3.5, 1.4, 0.2]]);
    let body = json!({
        "inputs": [{"name": "x", "shape": [3, 4], "datatype": "FP64", "data": rows}],
        "outputs": [{"name": "predict_proba"}, {"name": "predict"}],
    });
    for url in [&worker, &native] {
        ready(url).await;
        let predict =
            post(&format!("{url}/v1/models/model:predict"), json!({"instances": rows}).to_string()).await;
        assert_eq!(predict.status, 200, "{}", predict.text);
        let infer = post(&format!("{url}/v2/models/model/infer"), body.to_string()).await;
        assert_eq!(infer.status, 200, "{}", infer.text);
        let mut told = get(&format!("{url}/v2/models/model")).await.unwrap().json();
        told["platform"].take();
        let short = post(&format!("{url}/v1/models/model:predict"), r#"{"instances": [[1]]}"#).await;
        assert_eq!(short.status, 400, "{}", short.text);
        answers.push((predict.json(), infer.json(), told, short.text));
    }
    assert_eq!(answers[0].0, answers[1].0);
    assert_eq!(answers[0].2, answers[1].2);
    assert_eq!(answers[0].3, answers[1].3);
    let [python, native] = [&answers[0].1, &answers[1].1].map(|it| it["outputs"].clone());
    assert_close(&python[0]["data"], &native[0]["data"], 1e-12);
    assert_eq!(python[1], native[1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pipeline_of_mixed_columns_takes_rows_as_they_come() {
    let Some(python) = python_with(&["sklearn", "joblib", "pandas"]) else { return };
    let script = r#"
import sys, joblib, pandas
from sklearn.compose import ColumnTransformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder
import numpy
frame = pandas.DataFrame({"age": [1.0, 50.0, 3.0, 60.0], "sex": ["f", "m", "m", "f"]})
steps = ColumnTransformer([("n", FunctionTransformer(numpy.log1p), ["age"]), ("c", OneHotEncoder(), ["sex"])])
joblib.dump(make_pipeline(steps, LogisticRegression()).fit(frame, ["no", "yes", "no", "yes"]), sys.argv[1])
"#;
    let models = tempfile::tempdir().unwrap();
    let file = models.path().join("model.joblib");
    let out = std::process::Command::new(&python).args(["-c", script]).arg(&file).output().unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let (_running, url) = predictor(&args(models.path(), &python, &[]), &[]).await;
    ready(&url).await;
    let predict = format!("{url}/v1/models/model:predict");
    for rows in [r#"[{"sex": "m", "age": 55}, {"age": 2, "sex": "f"}]"#, r#"[[55, "m"], [2, "f"]]"#] {
        let answer = post(&predict, format!("{{\"instances\": {rows}}}")).await;
        assert_eq!(answer.json(), json!({"predictions": ["yes", "no"]}), "{}", answer.text);
    }
    let answer = post(&predict, r#"{"instances": [{"age": 1}]}"#).await;
    assert_eq!(answer.status, 400);
    assert!(answer.text.contains("column `sex` is missing"), "{}", answer.text);
    let body = json!({"inputs": [
        {"name": "sex", "shape": [1], "datatype": "BYTES", "data": ["m"]},
        {"name": "age", "shape": [1], "datatype": "FP64", "data": [55.0]},
    ]});
    let answer = post(&format!("{url}/v2/models/model/infer"), body.to_string()).await.json();
    assert_eq!(answer["outputs"][0]["data"], json!(["yes"]), "{answer}");
}

/// The class that KFServing's example of a state dict belongs to.
pub(crate) const NET: &str = r#"
import torch
import torch.nn as nn
import torch.nn.functional as F


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 6, 5)
        self.pool = nn.MaxPool2d(2, 2)
        self.conv2 = nn.Conv2d(6, 16, 5)
        self.fc1 = nn.Linear(16 * 5 * 5, 120)
        self.fc2 = nn.Linear(120, 84)
        self.fc3 = nn.Linear(84, 10)

    def forward(self, x):
        x = self.pool(F.relu(self.conv1(x)))
        x = self.pool(F.relu(self.conv2(x)))
        x = x.view(-1, 16 * 5 * 5)
        return self.fc3(F.relu(self.fc2(F.relu(self.fc1(x)))))
"#;

#[tokio::test(flavor = "multi_thread")]
async fn weights_and_their_class_are_served_as_kfserving_did() {
    let Some(python) = python_with(&["torch", "numpy"]) else { return };
    let Some(weights) = shared("models/pytorch/kfserving-cifar10-state-dict/model.pt") else { return };
    let models = folder(&[("cifar10.py", NET.as_bytes()), ("model.pt", &std::fs::read(weights).unwrap())]);
    let script = r#"
import json, sys, torch
sys.path.insert(0, sys.argv[1])
from cifar10 import Net
net = Net().eval()
net.load_state_dict(torch.load(sys.argv[1] + "/model.pt"))
rows = ((torch.arange(2 * 3072) * 37 % 251).float() / 251).reshape(2, 3, 32, 32)
with torch.no_grad():
    print(json.dumps([rows.tolist(), net(rows).tolist()]))
"#;
    let out = std::process::Command::new(&python).args(["-c", script]).arg(models.path()).output().unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let want: Value = serde_json::from_slice(&out.stdout).unwrap();
    let spec = format!(
        "  predictor: {{pytorch: {{storageUri: {}, modelClassName: Net, runtime: python, args: [--python={}]}}}}",
        models.path().display(),
        python.display()
    );
    let (_folder, file) = manifest("cifar", &spec);
    let mesh = crate::harness::unready_mesh(&file).await;
    let url = format!("http://{}", mesh.http());
    ready(&url).await;
    let body = json!({ "instances": want[0] });
    let answer = post(&format!("{url}/v1/models/cifar:predict"), body.to_string()).await;
    // To the bit: the numbers print as floats of 32 bits there, and as doubles here.
    let single = |it: &Value| -> Vec<u32> {
        crate::serve::numbers(it).into_iter().map(|it| (it as f32).to_bits()).collect()
    };
    assert_eq!(single(&answer.json()["predictions"]), single(&want[1]), "{}", answer.text);
    let wrong =
        json!({"inputs": [{"name": "x", "shape": [1, 5], "datatype": "FP32", "data": [1, 2, 3, 4, 5]}]});
    let answer = post(&format!("{url}/v2/models/cifar/infer"), wrong.to_string()).await;
    assert_eq!(answer.status, 500);
    assert!(answer.text.contains("RuntimeError: "), "{}", answer.text);
}
