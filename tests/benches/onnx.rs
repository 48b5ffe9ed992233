//! ONNX models on the engine that is built in beside ONNX Runtime, one thread each, in the same process and called alike: the time of
//! a prediction of one, eight and thirty-two rows, and their ratio. The two take turns, and the best of many turns counts, since
//! what else runs only ever adds.
//!
//! `ORT_DYLIB_PATH=... cargo bench -p weir-tests --bench onnx -- FOLDER [NAME...]`, a folder that `make.py onnx` made.

// A bench prints, and has nobody to hand an error to.
#![allow(clippy::print_stdout, clippy::unwrap_used)]

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::Value;
use weir_predictor::runtime::LoadOptions;
use weir_predictor::runtime::onnx::Engine;
use weir_sdk::{Data, DataType, Env, Model, Tensor, Threads};

const TURNS: usize = 15;
const TURN: Duration = Duration::from_millis(20);
/// Of each kind of model one or two.
const NAMES: [&str; 24] = [
    "logistic-raw",
    "logistic",
    "text-logistic",
    "two-boosting",
    "forest",
    "forest-raw",
    "forest-regressor",
    "boosting-raw",
    "lightgbm-three-raw",
    "xgboost-three",
    "svc",
    "svr",
    "knn",
    "gaussian-nb-raw",
    "mlp-raw",
    "mixed-logistic",
    "mixed-forest",
    "text-tf-idf",
    "net-perceptron",
    "net-cifar",
    "net-resnet",
    "net-encoder",
    "net-recurrent",
    "resnet",
];

fn main() {
    let args: Vec<String> = std::env::args().skip(1).filter(|it| !it.starts_with("--")).collect();
    let Some((folder, names)) = args.split_first() else {
        println!("skipped: no folder of golden ONNX models is named");
        return;
    };
    let names: Vec<&str> =
        if names.is_empty() { NAMES.to_vec() } else { names.iter().map(String::as_str).collect() };
    println!("| model | computed by | 1 row: embedded us, ratio | 8 rows | 32 rows |\n|---|---|---|---|---|");
    for name in names {
        compare(&Path::new(folder).join(format!("{name}.onnx")), name);
    }
}

fn compare(file: &Path, name: &str) {
    let load = |onnx_engine| {
        let threads = Threads { workers: 1, intra_op: 1, inter_op: 1 };
        let options = LoadOptions { env: Env::of_process(), threads, onnx_engine, ..LoadOptions::default() };
        weir_predictor::load(file, None, &options)
    };
    let Ok(embedded) = load(Engine::Embedded) else {
        println!("| {name} | not served | | | |");
        return;
    };
    let library = load(Engine::Onnxruntime).unwrap();
    let asked = question(file);
    let mut cells = Vec::new();
    for rows in [1, 8, 32] {
        let inputs: Vec<Tensor> = asked.iter().map(|it| repeated(it, rows)).collect();
        let all: Vec<usize> = (0..library.signature().outputs.len()).collect();
        let own = ordered(embedded.as_ref(), &inputs);
        let theirs = ordered(library.as_ref(), &inputs);
        if embedded.predict(&own, &all).is_err() || library.predict(&theirs, &all).is_err() {
            cells.push("-".to_owned());
            continue;
        }
        let (mut best, mut best_of_library) = (f64::MAX, f64::MAX);
        for _ in 0..TURNS {
            best = best.min(turn(embedded.as_ref(), &own, &all));
            best_of_library = best_of_library.min(turn(library.as_ref(), &theirs, &all));
        }
        cells.push(format!("{:.1}, {:.2}", best * 1e6, best / best_of_library));
    }
    println!("| {name} | {} | {} |", by(file), cells.join(" | "));
}

/// The seconds of a prediction.
fn turn(model: &dyn Model, inputs: &[Tensor], all: &[usize]) -> f64 {
    let started = Instant::now();
    let mut count = 0_u32;
    while started.elapsed() < TURN {
        std::hint::black_box(model.predict(inputs, all).unwrap());
        count += 1;
    }
    started.elapsed().as_secs_f64() / f64::from(count)
}

/// What of the engine computes it.
fn by(file: &Path) -> &'static str {
    let name: PathBuf = file.file_stem().unwrap().into();
    let name = name.to_string_lossy();
    if name.starts_with("net-") || name == "resnet" { "rten" } else { "interpreter" }
}

/// The inputs of the last question, which has the most rows.
fn question(file: &Path) -> Vec<Tensor> {
    let text = std::fs::read_to_string(file.with_extension("answers")).unwrap();
    let told: Value = serde_json::from_str(text.lines().last().unwrap().split_once('\t').unwrap().1).unwrap();
    told["inputs"].as_object().unwrap().iter().map(|(name, it)| tensor(name, it)).collect()
}

fn tensor(name: &str, told: &Value) -> Tensor {
    let bytes = |hex: &str| -> Vec<u8> {
        (0..hex.len() / 2).map(|at| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).unwrap()).collect()
    };
    let shape: Vec<usize> = serde_json::from_value(told["shape"].clone()).unwrap();
    let datatype = DataType::parse(told["datatype"].as_str().unwrap()).unwrap();
    let data = match &told["data"] {
        Value::String(hex) => {
            Data::from_raw(datatype, bytes(hex).into(), shape.iter().product(), name).unwrap()
        }
        texts => Data::Bytes(
            texts.as_array().unwrap().iter().map(|it| bytes(it.as_str().unwrap()).into()).collect(),
        ),
    };
    Tensor::new(name, shape, data)
}

fn repeated(it: &Tensor, rows: usize) -> Tensor {
    let count = it.row_len() * rows;
    let mut shape = it.shape.clone();
    shape[0] = rows;
    let raw =
        |bytes: &[u8], size: usize| bytes.iter().copied().cycle().take(count * size).collect::<Vec<u8>>();
    let data = match (&it.data, it.datatype().size()) {
        (Data::Bytes(texts), _) => Data::Bytes(texts.iter().cycle().take(count).cloned().collect()),
        (data, Some(size)) => {
            Data::from_raw(it.datatype(), raw(&data.clone().into_raw(), size).into(), count, &it.name)
                .unwrap()
        }
        (_, None) => unreachable!("only texts have no size"),
    };
    Tensor::new(it.name.clone(), shape, data)
}

fn ordered(model: &dyn Model, inputs: &[Tensor]) -> Vec<Tensor> {
    let named = |name: &str| inputs.iter().find(|it| it.name == name).unwrap().clone();
    model.signature().inputs.iter().map(|it| named(&it.name)).collect()
}
