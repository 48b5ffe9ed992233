//! Engines of TensorRT, where there are its library, ours that joins the two, a GPU, and a Python that builds an engine; and what
//! is said where one of them is missing.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::json;
use weir_predictor::runtime::LoadOptions;
use weir_sdk::Env;

use crate::harness::{get, post};
use crate::python::{predictor, ready, refusal};
use crate::serve::assert_close;

fn plan(bytes: &[u8]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("model.plan"), bytes).unwrap();
    folder
}

fn refused(folder: &Path, env: &[(&str, &str)]) -> String {
    let env: Env = env.iter().copied().collect();
    let options = LoadOptions { env, ..LoadOptions::default() };
    let runtime = weir_predictor::find("tensorrt").unwrap();
    weir_predictor::load(folder, Some(runtime), &options).err().unwrap().to_string()
}

#[test]
fn an_engine_without_its_library_is_refused_with_all_that_serves_it() {
    let folder = plan(b"ftrt");
    let nowhere = ("WEIR_LIBNVINFER", "/nowhere");
    if weir_predictor::find("tensorrt")
        .unwrap()
        .engine(&[nowhere].into_iter().collect())
        .is_ok_and(|it| it.contains("for engines,"))
    {
        println!("skipped: TensorRT is here");
        return;
    }
    let text = refused(folder.path(), &[nowhere]);
    for part in [
        "libnvinfer.so where WEIR_LIBNVINFER says (`/nowhere`)",
        "pip install tensorrt-cu12",
        "libweir_tensorrt.so",
        "--tensorrt_engine_cache",
        "--upstream=HOST:PORT",
    ] {
        assert!(text.contains(part), "`{part}` is not in: {text}");
    }
    // A file that is none of its libraries is told for what it is.
    let file = folder.path().join("model.plan").display().to_string();
    let text = refused(folder.path(), &[("WEIR_LIBNVINFER", &file), ("WEIR_TENSORRT_SHIM", &file)]);
    assert!(text.contains(&format!("cannot open {file}")), "{text}");
}

/// Builds an engine of `y = x @ w`, `sum = x + z` for batches of 1 to 4 and of 5 to 8, and prints what numpy makes of some rows.
const BUILD: &str = r#"
import json, sys
import numpy, tensorrt as trt
log = trt.Logger(trt.Logger.ERROR)
builder = trt.Builder(log)
network = builder.create_network(0)
x = network.add_input("x", trt.float32, (-1, 3))
z = network.add_input("z", trt.float32, (-1, 3))
w = numpy.array([[1, -2], [0.5, 3], [-1, 0.25]], numpy.float32)
weights = network.add_constant((3, 2), w).get_output(0)
y = network.add_matrix_multiply(x, trt.MatrixOperation.NONE, weights, trt.MatrixOperation.NONE).get_output(0)
total = network.add_elementwise(x, z, trt.ElementWiseOperation.SUM).get_output(0)
for tensor, name in ((y, "y"), (total, "sum")):
    tensor.name = name
    network.mark_output(tensor)
config = builder.create_builder_config()
for least, best, most in ((1, 2, 4), (5, 6, 8)):
    profile = builder.create_optimization_profile()
    for name in ("x", "z"):
        profile.set_shape(name, (least, 3), (best, 3), (most, 3))
    config.add_optimization_profile(profile)
with open(sys.argv[1], "wb") as file:
    file.write(builder.build_serialized_network(network, config))
rows = numpy.random.default_rng(5).normal(size=(8, 3)).astype(numpy.float32)
print(json.dumps([rows.tolist(), (rows @ w).tolist(), (rows + rows).tolist()]))
"#;

/// An engine in its folder, what numpy answers, and the environment that serves it.
struct Built {
    folder: tempfile::TempDir,
    numbers: serde_json::Value,
    env: Vec<(String, String)>,
}

impl Built {
    fn env(&self) -> Vec<(&str, &str)> {
        self.env.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
    }
}

/// Builds an engine; `None`, with the reason printed, where something is missing.
fn built() -> Option<Built> {
    let skip = |what: &str| -> Option<_> {
        println!("skipped: {what}; engines of TensorRT need a GPU, and were not run");
        None
    };
    if !Path::new("/dev/nvidiactl").exists() {
        return skip("there is no NVIDIA GPU");
    }
    let Some(python) = std::env::var_os("WEIR_TENSORRT_PYTHON").map(PathBuf::from) else {
        return skip("WEIR_TENSORRT_PYTHON names no Python with `tensorrt` and `numpy`");
    };
    let environment = python.parent().and_then(Path::parent).unwrap().display().to_string();
    let names = ["WEIR_LIBNVINFER", "WEIR_TENSORRT_SHIM"];
    let told = names.iter().filter_map(|&it| Some((it.to_owned(), std::env::var(it).ok()?)));
    let env: Vec<_> = told.chain([("VIRTUAL_ENV".to_owned(), environment)]).collect();
    let runtime = weir_predictor::find("tensorrt").unwrap();
    match runtime.engine(&env.iter().cloned().collect()) {
        Ok(text) if text.contains("for engines,") => {}
        Ok(text) | Err(text) => return skip(&text),
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("model.plan");
    let out = Command::new(&python).args(["-c", BUILD]).arg(&file).output().unwrap();
    if !out.status.success() {
        return skip(&format!(
            "{} builds no engine: {}",
            python.display(),
            String::from_utf8_lossy(&out.stderr)
        ));
    }
    Some(Built { folder, numbers: serde_json::from_slice(&out.stdout).unwrap(), env })
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_answers_what_numpy_does_within_its_profiles() {
    let Some(built) = built() else { return };
    let Built { folder, numbers, .. } = &built;
    let told = ["--model_format=tensorrt", "--model_dir", folder.path().to_str().unwrap()];
    let (_running, url) = predictor(&told, &built.env()).await;
    ready(&url).await;
    let told = get(&format!("{url}/v2/models/model")).await.unwrap().json();
    assert_eq!(
        (&told["platform"], &told["inputs"][0]["shape"]),
        (&json!("tensorrt_plan"), &json!([-1, 3])),
        "{told}"
    );
    let ask = |rows: usize| {
        let data = numbers[0].as_array().unwrap().iter().cycle().take(rows).collect::<Vec<_>>();
        let input = |name: &str| json!({"name": name, "datatype": "FP32", "shape": [rows, 3], "data": data});
        let body = json!({"inputs": [input("x"), input("z")], "outputs": [{"name": "sum"}, {"name": "y"}]});
        let url = format!("{url}/v2/models/model/infer");
        async move { post(&url, body.to_string()).await }
    };
    // Both profiles, several at once: more than there are contexts.
    let mut asked = tokio::task::JoinSet::new();
    for turn in 0..64 {
        let (rows, answer) = (1 + turn % 8, ask(1 + turn % 8));
        asked.spawn(async move { (rows, answer.await) });
    }
    for (rows, answer) in asked.join_all().await {
        assert_eq!(answer.status, 200, "{}", answer.text);
        let outputs = answer.json()["outputs"].clone();
        assert_eq!(outputs[0]["name"], "sum", "{outputs}");
        let first = |at: usize| json!(numbers[at].as_array().unwrap()[..rows]);
        assert_close(&outputs[0]["data"], &first(2), 1e-5);
        assert_close(&outputs[1]["data"], &first(1), 1e-2);
    }
    let answer = ask(9).await;
    assert_eq!(answer.status, 400, "{}", answer.text);
    assert!(answer.text.contains("built for [1 to 4, 3] or [5 to 8, 3]"), "{}", answer.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_that_is_cut_off_is_refused_in_tensorrts_words() {
    let Some(built) = built() else { return };
    let folder = &built.folder;
    let file = folder.path().join("model.plan");
    let whole = std::fs::read(&file).unwrap();
    std::fs::write(&file, &whole[..whole.len() / 2]).unwrap();
    let told = ["--model_format=tensorrt", "--model_dir", folder.path().to_str().unwrap()];
    let (_running, url) = predictor(&told, &built.env()).await;
    let text = refusal(&url).await;
    assert!(text.contains("TensorRT does not take the engine: "), "{text}");
}
