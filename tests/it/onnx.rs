//! ONNX models on the engine that is built in: the answers of ONNX Runtime, and what is refused.

use std::path::{Path, PathBuf};

use serde_json::Value;
use weir_predictor::runtime::LoadOptions;
use weir_predictor::runtime::onnx::Engine;
use weir_sdk::{InferRequest, Model, Tensor};

use crate::answers::tensors;

/// The folders of golden ONNX models; none, with the reason printed, where there are none.
fn golden() -> Vec<PathBuf> {
    let folder = std::env::var_os("WEIR_GOLDEN").map(PathBuf::from);
    let entries = folder.iter().filter_map(|it| it.read_dir().ok()).flatten().flatten().map(|it| it.path());
    let named = |it: &PathBuf| it.file_name().is_some_and(|it| it.to_string_lossy().starts_with("onnx-"));
    let found: Vec<_> = entries.filter(named).collect();
    if found.is_empty() {
        println!(
            "skipped: WEIR_GOLDEN names no folder of golden ONNX models; predictor/testdata/golden/make.py makes them"
        );
    }
    found
}

fn embedded() -> LoadOptions {
    LoadOptions { onnx_engine: Engine::Embedded, ..LoadOptions::default() }
}

#[test]
fn every_golden_model_answers_as_onnx_runtime_on_the_embedded_engine() {
    let (mut models, mut asked, mut wrong) = (0, 0, Vec::new());
    let folders = golden();
    for folder in &folders {
        let mut files: Vec<_> = folder.read_dir().unwrap().map(|it| it.unwrap().path()).collect();
        files.sort();
        for file in files.iter().filter(|it| it.extension().is_some_and(|it| it == "answers")) {
            models += 1;
            let name = file.file_stem().unwrap().to_string_lossy().into_owned();
            match check(file) {
                Ok(count) => asked += count,
                Err(text) => wrong.push(format!("{name}: {text}")),
            }
        }
    }
    println!("{models} golden ONNX models, {asked} questions, {} models wrong", wrong.len());
    assert!(folders.is_empty() || models >= 25, "only {models} models");
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

/// Asks a model what its file of answers asks, and returns how many questions that were.
fn check(answers: &Path) -> Result<usize, String> {
    let model = weir_predictor::load(&answers.with_extension("onnx"), None, &embedded());
    let model = model.map_err(|error| error.to_string())?;
    let mut asked = 0;
    let name = answers.file_stem().unwrap().to_string_lossy();
    // The scores of this one are what is left of sums forty times their size.
    let tolerance = if name == "one-class" { 1e-4 } else { 1e-5 };
    for line in std::fs::read_to_string(answers).unwrap().lines() {
        let sides: Value = serde_json::from_str(line.split_once('\t').unwrap().1).unwrap();
        for got in ask(&*model, &sides["inputs"])? {
            let wanted = tensors(&sides["outputs"]);
            let want = wanted.iter().find(|it| it.name == got.name).ok_or("an output too many")?;
            same(&got, want, tolerance).map_err(|text| format!("{}: {text}", got.name))?;
        }
        asked += 1;
    }
    Ok(asked)
}

fn ask(model: &dyn Model, inputs: &Value) -> Result<Vec<Tensor>, String> {
    let mut request = InferRequest::of(tensors(inputs));
    let bound = model.signature().bind(&mut request).map_err(|error| error.message)?;
    let all: Vec<_> = (0..model.signature().outputs.len()).collect();
    model.predict(&bound, &all).map_err(|error| error.message)
}

/// Numbers may be off by a hundred-thousandth, as those of singles summed in another order are; all else is equal.
fn same(got: &Tensor, want: &Tensor, tolerance: f64) -> Result<(), String> {
    if (got.datatype(), &got.shape) != (want.datatype(), &want.shape) {
        return Err(format!(
            "{} {:?}, expected {} {:?}",
            got.datatype(),
            got.shape,
            want.datatype(),
            want.shape
        ));
    }
    let float = got.datatype().name().starts_with("FP");
    let (Some(a), Some(b)) = (got.data.to_f64().filter(|_| float), want.data.to_f64()) else {
        return if got.data == want.data {
            Ok(())
        } else {
            Err(format!("{:?}, expected {:?}", got.data, want.data))
        };
    };
    for (at, (a, b)) in a.iter().zip(&b).enumerate() {
        // Near nought the error is that of a difference of larger numbers.
        let close = a == b || (a.is_nan() && b.is_nan()) || (a - b).abs() <= tolerance * b.abs().max(0.1);
        if !close {
            return Err(format!("value {at} is {a:?}, expected {b:?}"));
        }
    }
    Ok(())
}
