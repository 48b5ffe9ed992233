//! TorchScript by libtorch: what it answers is what PyTorch answers in Python, to the bit; and what else PyTorch writes is told
//! for what it is. Needs a PyTorch and the library of `predictor/native/shim/build.sh torch` with it.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use crate::harness::{get, post, shared};
use crate::python::{NET, predictor, python_with, ready, refusal};
use crate::serve::{assert_close, numbers};

/// Makes the models, and answers of PyTorch's to questions of its own: lines of the model, its inputs and its outputs.
const MAKE: &str = r#"
import json, sys, warnings
from typing import Dict, List, Tuple
import torch
warnings.simplefilter("ignore")
folder = sys.argv[1]
torch.manual_seed(3)
# As many as the predictor gives to one operation: how rows are shared among threads decides last bits.
torch.set_num_threads(1)

class Multi(torch.nn.Module):
    def forward(self, x: torch.Tensor, y: torch.Tensor) -> Tuple[torch.Tensor, torch.Tensor]:
        return x.matmul(y.t()), (x * 10).long()

class Named(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> Dict[str, torch.Tensor]:
        return {"sum": x.sum(-1), "positive": x > 0, "short": (x * 100).to(torch.int16)}

class Listed(torch.nn.Module):
    def forward(self, x: torch.Tensor, times: int) -> List[torch.Tensor]:
        return [x * it for it in range(times)]

class Writes(torch.nn.Module):
    def forward(self, x):
        x.add_(1.0)
        return x

class Same(torch.nn.Module):
    def forward(self, x):
        return x[1:]

def ask(name, module, *inputs):
    given = [it.tolist() if isinstance(it, torch.Tensor) else [it] for it in inputs]
    with torch.no_grad():
        value = module(*[it.clone() if isinstance(it, torch.Tensor) else it for it in inputs])
    if isinstance(value, torch.Tensor):
        value = {"output-0": value}
    elif not isinstance(value, dict):
        value = {"output-%d" % at: it for at, it in enumerate(value)}
    value = {name: [list(it.shape), it.double().flatten().tolist()] for name, it in value.items()}
    print(json.dumps([name, given, value]))

x, y = torch.randn(3, 4), torch.randn(2, 4)
for name, module, inputs in (("multi", Multi(), (x, y)), ("named", Named(), (x,)), ("listed", Listed(), (x, 3)),
                             ("writes", Writes(), (x,)), ("same", Same(), (x,))):
    scripted = torch.jit.script(module.eval())
    scripted.save("%s/%s.pt" % (folder, name))
    ask(name, scripted, *inputs)
torch.save(torch.nn.Linear(2, 2).state_dict(), folder + "/state.pt")
torch.save(torch.nn.Linear(2, 2).state_dict(), folder + "/legacy.pt", _use_new_zipfile_serialization=False)
torch.save(torch.nn.Linear(2, 2), folder + "/whole.pt")
torch.export.save(torch.export.export(torch.nn.Linear(2, 2), (torch.ones(1, 2),)), folder + "/exported.pt2")
if len(sys.argv) > 2:
    sys.path.insert(0, folder)
    from net import Net
    net = Net().eval()
    net.load_state_dict(torch.load(sys.argv[2]))
    rows = torch.rand(5, 3, 32, 32)
    for name, it in (("traced", torch.jit.trace(net, rows[:1])), ("scripted", torch.jit.script(net))):
        it.save("%s/%s.pt" % (folder, name))
        ask(name, net, rows)
"#;

/// The folder of models that a Python with PyTorch has made, and what it said of them.
fn made() -> Option<(PathBuf, tempfile::TempDir, Vec<Value>)> {
    let python = python_with(&["torch", "numpy"])?;
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("net.py"), NET).unwrap();
    // A file, since TorchScript is made of a class's source.
    let script = folder.path().join("make.py");
    std::fs::write(&script, MAKE).unwrap();
    let mut command = Command::new(&python);
    command
        .arg(script)
        .arg(folder.path())
        .args(shared("models/pytorch/kfserving-cifar10-state-dict/model.pt"));
    let out = command.output().unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let lines = String::from_utf8(out.stdout).unwrap();
    Some((python, folder, lines.lines().map(|it| serde_json::from_str(it).unwrap()).collect()))
}

/// The environment that the Python belongs to; `None`, with the reason printed, where it has no shim.
fn environment(python: &Path) -> Option<String> {
    let environment = python.parent().and_then(Path::parent).unwrap();
    let libraries = environment.join("lib").read_dir().unwrap().flatten();
    let shim = "site-packages/torch/lib/libweir_torch.so";
    if libraries.into_iter().any(|it| it.path().join(shim).is_file()) {
        return Some(environment.display().to_string());
    }
    println!(
        "skipped: no libweir_torch.so with {}; predictor/native/shim/build.sh torch makes it",
        python.display()
    );
    None
}

fn bits(value: &Value) -> Vec<u64> {
    numbers(value).into_iter().map(f64::to_bits).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn torchscript_answers_as_pytorch_does_to_the_bit() {
    let Some((python, folder, questions)) = made() else { return };
    let Some(environment) = environment(&python) else { return };
    for question in &questions {
        let name = question[0].as_str().unwrap();
        let file = folder.path().join(format!("{name}.pt"));
        let env = [("VIRTUAL_ENV", environment.as_str())];
        let (_running, url) = predictor(&["--model_dir", file.to_str().unwrap()], &env).await;
        ready(&url).await;
        let told = get(&format!("{url}/v2/models/model")).await.unwrap().json();
        let inputs = question[1].as_array().unwrap().iter().zip(told["inputs"].as_array().unwrap());
        let inputs: Vec<Value> = inputs
            .map(|(data, spec)| {
                json!({"name": spec["name"], "datatype": spec["datatype"], "shape": shape(data), "data": data})
            })
            .collect();
        // Twice: what a model does to its inputs must not be seen, and optimized code comes with the second run.
        for _ in 0..2 {
            let answer =
                post(&format!("{url}/v2/models/model/infer"), json!({ "inputs": inputs }).to_string()).await;
            assert_eq!(answer.status, 200, "{name}: {}", answer.text);
            let outputs = answer.json()["outputs"].as_array().unwrap().clone();
            let want = question[2].as_object().unwrap();
            assert_eq!(outputs.len(), want.len(), "{name}: {}", answer.text);
            for output in &outputs {
                let want = &want[output["name"].as_str().unwrap()];
                assert_eq!(output["shape"], want[0], "{name}");
                let data = if output["datatype"] == "BOOL" {
                    truths(&output["data"])
                } else {
                    output["data"].clone()
                };
                let single = output["datatype"] == "FP32";
                let exact = |it: &Value| -> Vec<u64> {
                    if single {
                        numbers(it).into_iter().map(|it| u64::from((it as f32).to_bits())).collect()
                    } else {
                        bits(it)
                    }
                };
                assert_eq!(exact(&data), exact(&want[1]), "{name}: {}", output["name"]);
            }
        }
    }
    println!("{} models of TorchScript answer to the bit", questions.len());
}

/// Where there is no GPU the model is refused, and the processor never takes its place; where there is one the answers are
/// PyTorch's but for rounding.
#[tokio::test(flavor = "multi_thread")]
async fn a_model_that_is_to_compute_on_a_gpu_does_or_is_refused() {
    let Some((python, folder, questions)) = made() else { return };
    let Some(environment) = environment(&python) else { return };
    let mut command = Command::new(&python);
    let there =
        command.args(["-c", "import torch; raise SystemExit(not torch.cuda.is_available())"]).status();
    let there = there.unwrap().success();
    let question = questions.iter().find(|it| it[0] == "multi").unwrap();
    let file = folder.path().join("multi.pt");
    let env = [("VIRTUAL_ENV", environment.as_str())];
    let told = ["--model_dir", file.to_str().unwrap(), "--pytorch_device=cuda"];
    let (_running, url) = predictor(&told, &env).await;
    if !there {
        let text = refusal(&url).await;
        // One for processors has not the library, one for CUDA finds nothing.
        let parts = ["a GPU is asked for", "cannot compute on cuda:0"];
        assert!(parts.iter().any(|it| text.contains(it)), "{text}");
        println!("skipped: PyTorch finds no GPU, where the answers of one could be compared");
        return;
    }
    ready(&url).await;
    let input = |name: &str, data: &Value| json!({"name": name, "datatype": "FP32", "shape": shape(data), "data": data});
    let body = json!({"inputs": [input("x", &question[1][0]), input("y", &question[1][1])]}).to_string();
    // Several at once: each thread has a stream of its own.
    let url = format!("{url}/v2/models/model/infer");
    let mut asked = tokio::task::JoinSet::new();
    for _ in 0..16 {
        let (url, body) = (url.clone(), body.clone());
        asked.spawn(async move { post(&url, body).await });
    }
    for answer in asked.join_all().await {
        assert_eq!(answer.status, 200, "{}", answer.text);
        let told = answer.json();
        assert_close(&told["outputs"][0]["data"], &question[2]["output-0"][1], 1e-4);
    }
}

fn shape(data: &Value) -> Vec<usize> {
    match data {
        Value::Array(items) => {
            let rest = items.first().map(shape).unwrap_or_default();
            [vec![items.len()], rest].concat()
        }
        _ => Vec::new(),
    }
}

fn truths(data: &Value) -> Value {
    data.as_array().unwrap().iter().map(|it| json!(u8::from(it.as_bool().unwrap()))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_libtorch_says_reaches_the_caller() {
    let Some((python, folder, _)) = made() else { return };
    let Some(environment) = environment(&python) else { return };
    let env = [("VIRTUAL_ENV", environment.as_str())];
    let file = folder.path().join("multi.pt");
    let (_running, url) = predictor(&["--model_dir", file.to_str().unwrap()], &env).await;
    ready(&url).await;
    let body = json!({"inputs": [
        {"name": "x", "shape": [1, 3], "datatype": "FP32", "data": [1, 2, 3]},
        {"name": "y", "shape": [1, 2], "datatype": "FP32", "data": [1, 2]},
    ]});
    let answer = post(&format!("{url}/v2/models/model/infer"), body.to_string()).await;
    assert_eq!(answer.status, 500);
    assert!(answer.text.contains("mat1 and mat2 shapes cannot be multiplied"), "{}", answer.text);
    let cut = folder.path().join("cut");
    std::fs::create_dir(&cut).unwrap();
    let whole = std::fs::read(&file).unwrap();
    std::fs::write(cut.join("model.pt"), &whole[..whole.len() / 2]).unwrap();
    let (_running, url) = predictor(&["--model_dir", cut.to_str().unwrap()], &env).await;
    assert!(refusal(&url).await.contains("no zip archive, or it is cut off"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_torchscript_is_told_for_what_it_is() {
    let Some((python, folder, _)) = made() else { return };
    for (file, part) in [
        ("state.pt", "modelClassName"),
        ("legacy.pt", "modelClassName"),
        ("whole.pt", "modelClassName"),
        ("exported.pt2", "a program of `torch.export`"),
    ] {
        let path = folder.path().join(file);
        let (_running, url) = predictor(&["--model_dir", path.to_str().unwrap()], &[]).await;
        let text = refusal(&url).await;
        assert!(text.contains(part) && text.contains("runtime: python"), "{file}: {text}");
    }
    // The advice holds.
    for file in ["whole.pt", "exported.pt2"] {
        let path = folder.path().join(file);
        let told =
            ["--model_dir", path.to_str().unwrap(), "--runtime=python", "--python", python.to_str().unwrap()];
        let (_running, url) = predictor(&told, &[]).await;
        ready(&url).await;
        let answer = post(&format!("{url}/v1/models/model:predict"), r#"{"instances": [[1.0, 2.0]]}"#).await;
        assert_eq!(answer.status, 200, "{file}: {}", answer.text);
        assert_eq!(numbers(&answer.json()["predictions"]).len(), 2, "{file}: {}", answer.text);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn archives_of_torchserve_are_served_where_no_code_of_theirs_is_needed() {
    let Some((python, folder, questions)) = made() else { return };
    let archive = |handler: &str, more: &str| {
        let script = format!(
            r#"
import json, sys, zipfile
with zipfile.ZipFile(sys.argv[2], "w", zipfile.ZIP_DEFLATED) as archive:
    archive.write(sys.argv[1], "model.pt")
    archive.writestr("handler.py", "import torch\nfrom ts.torch_handler.base_handler import BaseHandler\n"
        "class Own(BaseHandler):\n    def postprocess(self, data):\n        return [len(data)] * len(data)\n")
    {more}
    archive.writestr("MAR-INF/MANIFEST.json", json.dumps({{"model": {{"modelName": "m", "modelVersion": "1.0",
        "serializedFile": "model.pt", "handler": "{handler}"}}}}))
"#
        );
        let file = folder.path().join("archive.mar");
        let mut command = Command::new(&python);
        let status =
            command.args(["-c", &script]).args([folder.path().join("same.pt"), file.clone()]).status();
        assert!(status.unwrap().success());
        file
    };
    let file = archive("handler.py", "");
    let (_running, url) = predictor(&["--model_dir", file.to_str().unwrap()], &[]).await;
    let text = refusal(&url).await;
    assert!(
        text.contains("the handler `handler.py`, Python code,") && text.contains("runtime: python"),
        "{text}"
    );
    let told =
        ["--model_dir", file.to_str().unwrap(), "--runtime=python", "--python", python.to_str().unwrap()];
    let (_running, url) = predictor(&told, &[]).await;
    ready(&url).await;
    let body = r#"{"instances": [[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]}"#;
    let answer = post(&format!("{url}/v1/models/model:predict"), body).await;
    // As many answers as rows: this handler's two are one too few.
    assert_eq!(answer.status, 500);
    assert!(answer.text.contains("expected a list of as many"), "{}", answer.text);
    let slipping = archive("handler.py", r#"archive.writestr("../slipped", "x")"#);
    let told =
        ["--model_dir", slipping.to_str().unwrap(), "--runtime=python", "--python", python.to_str().unwrap()];
    let (_running, url) = predictor(&told, &[]).await;
    assert!(refusal(&url).await.contains("leads out of it"));
    let Some(environment) = environment(&python) else { return };
    let file = archive("base_handler", r#"archive.writestr("../slipped", "x")"#);
    let env = [("VIRTUAL_ENV", environment.as_str())];
    let (_running, url) = predictor(&["--model_dir", file.to_str().unwrap()], &env).await;
    ready(&url).await;
    let question = questions.iter().find(|it| it[0] == "same").unwrap();
    let answer =
        post(&format!("{url}/v1/models/model:predict"), json!({"instances": question[1][0]}).to_string())
            .await;
    let single =
        |it: &Value| -> Vec<u32> { numbers(it).into_iter().map(|it| (it as f32).to_bits()).collect() };
    assert_eq!(single(&answer.json()["predictions"]), single(&question[2]["output-0"][1]), "{}", answer.text);
    assert!(!folder.path().parent().unwrap().join("slipped").exists());
}
