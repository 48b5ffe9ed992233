//! Models and answers made by the frameworks themselves, several versions of each: `predictor/testdata/golden/make.py` writes
//! them, a folder a version, and `WEIR_GOLDEN` says where the folders are.

use std::path::{Path, PathBuf};

use weir_predictor::runtime::LoadOptions;
use weir_sdk::proto::v1;
use weir_sdk::{Data, DecodeLimits, Form, InferRequest, Model, Tensor};

#[test]
fn every_golden_model_answers_as_its_framework() {
    let Some(folder) = std::env::var_os("WEIR_GOLDEN").map(PathBuf::from) else {
        println!(
            "skipped: WEIR_GOLDEN names no folder of golden files; predictor/testdata/golden/make.py makes them"
        );
        return;
    };
    let mut wrong = Vec::new();
    let mut models = 0;
    for version in folders(&folder) {
        let name = version.file_name().unwrap().to_string_lossy().into_owned();
        let framework = name.split('-').next().unwrap().to_owned();
        for golden in files(&version) {
            models += 1;
            if let Err(text) = check(&golden, &framework) {
                wrong.push(format!("{name}/{}: {text}", golden.file_stem().unwrap().to_string_lossy()));
            }
        }
    }
    println!("{models} golden models, {} of them wrong", wrong.len());
    assert!(models > 0, "{} holds no golden files", folder.display());
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

/// The folders `FRAMEWORK-VERSION`.
fn folders(folder: &Path) -> Vec<PathBuf> {
    let mut all: Vec<_> =
        folder.read_dir().unwrap().map(|it| it.unwrap().path()).filter(|it| it.is_dir()).collect();
    all.sort();
    all
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let is_golden = |it: &PathBuf| it.extension().is_some_and(|it| it == "golden");
    let mut all: Vec<_> = folder.read_dir().unwrap().map(|it| it.unwrap().path()).filter(is_golden).collect();
    all.sort();
    all
}

fn check(golden: &Path, framework: &str) -> Result<(), String> {
    let runtime = weir_predictor::find(framework).unwrap();
    let options = LoadOptions::default();
    let model = weir_predictor::load(&golden.with_extension(""), Some(runtime), &options);
    let model = model.map_err(|error| error.to_string())?;
    let text = std::fs::read_to_string(golden).unwrap();
    let lines: Vec<_> = text.lines().map(|line| line.split_once('\t').unwrap()).collect();
    let rows = lines.iter().find(|(word, _)| *word == "rows").unwrap().1;
    let tolerance =
        lines.iter().find(|(word, _)| *word == "tolerance").map_or(1e-12, |(_, it)| it.parse().unwrap());
    for (output, want) in lines.iter().filter(|(word, _)| !matches!(*word, "rows" | "tolerance")) {
        let got = ask(&*model, rows, output)?;
        let want = listed(want).ok_or_else(|| format!("{output}: the golden answer is no tensor"))?;
        same(&got, &want, tolerance).map_err(|text| format!("{output}: {text}"))?;
        check_batches(&*model, rows, output, &got)?;
    }
    Ok(())
}

/// A row is answered alone as among others, and among a thousand.
fn check_batches(model: &dyn Model, rows: &str, output: &str, whole: &Tensor) -> Result<(), String> {
    const TIMES: usize = 20;
    let (inputs, at) = bound(model, rows, output)?;
    let answer = |inputs: Vec<Tensor>| {
        let answer = model.predict(&inputs, &[at]).map_err(|error| error.message);
        answer.map(|mut it| it.pop().unwrap())
    };
    let count = inputs[0].rows();
    let alone = answer(inputs.iter().map(|it| times(it, 1.0 / count as f64)).collect())?;
    let many = answer(inputs.iter().map(|it| times(it, TIMES as f64)).collect())?;
    for (got, factor, what) in
        [(alone, 1.0 / count as f64, "alone"), (many, TIMES as f64, "among a thousand")]
    {
        // Sums of another order may differ in the last bits.
        same(&got, &times(whole, factor), 1e-12).map_err(|text| format!("{output} {what}: {text}"))?;
    }
    Ok(())
}

/// Repeats the rows of a tensor; below one, that part of them is kept.
fn times(tensor: &Tensor, factor: f64) -> Tensor {
    fn repeated<T: Clone>(values: &[T], factor: f64) -> Vec<T> {
        let wanted = (values.len() as f64 * factor).round() as usize;
        values.iter().cycle().take(wanted).cloned().collect()
    }
    let data = match &tensor.data {
        Data::Bool(it) => Data::Bool(repeated(it, factor).into()),
        Data::Int32(it) => Data::Int32(repeated(it, factor).into()),
        Data::Int64(it) => Data::Int64(repeated(it, factor).into()),
        Data::Fp32(it) => Data::Fp32(repeated(it, factor).into()),
        Data::Fp64(it) => Data::Fp64(repeated(it, factor).into()),
        Data::Bytes(it) => Data::Bytes(repeated(it, factor)),
        other => panic!("a golden model of {}", other.datatype()),
    };
    let mut shape = tensor.shape.clone();
    shape[0] = (shape[0] as f64 * factor).round() as usize;
    Tensor::new(&tensor.name, shape, data)
}

/// Asks for one output, by the way a V1 request goes.
fn ask(model: &dyn Model, rows: &str, output: &str) -> Result<Tensor, String> {
    let (inputs, at) = bound(model, rows, output)?;
    let mut outputs = model.predict(&inputs, &[at]).map_err(|error| error.message)?;
    let tensor = outputs.pop().unwrap();
    if tensor.datatype() != model.signature().outputs[at].datatype {
        return Err(format!("{output} has another datatype than the signature says"));
    }
    Ok(tensor)
}

/// Returns what the model takes of the rows, and which of its outputs is meant.
fn bound(model: &dyn Model, rows: &str, output: &str) -> Result<(Vec<Tensor>, usize), String> {
    let signature = model.signature();
    let at = signature.outputs.iter().position(|it| it.name == output);
    let at = at.ok_or_else(|| format!("there is no output `{output}`"))?;
    let inputs = signature.bind(&mut decode(rows)?).map_err(|error| error.message)?;
    Ok((inputs, at))
}

fn decode(rows: &str) -> Result<InferRequest, String> {
    let body = format!("{{\"instances\": {rows}}}");
    let decoded = v1::decode_request(body.as_bytes(), Form::default(), &DecodeLimits::default());
    decoded.map(|(request, _)| request).map_err(|error| error.message)
}

/// Reads a golden answer as a tensor.
fn listed(json: &str) -> Option<Tensor> {
    decode(json).ok()?.inputs.pop()
}

fn same(got: &Tensor, want: &Tensor, tolerance: f64) -> Result<(), String> {
    if got.shape != want.shape {
        return Err(format!("shape {:?}, expected {:?}", got.shape, want.shape));
    }
    if let (Data::Bytes(got), Data::Bytes(want)) = (&got.data, &want.data) {
        return if got == want { Ok(()) } else { Err(format!("{got:?}, expected {want:?}")) };
    }
    let (Some(got), Some(want)) = (got.data.to_f64(), want.data.to_f64()) else {
        return Err(format!("{}, expected {}", got.datatype(), want.datatype()));
    };
    for (at, (got, want)) in got.iter().zip(&want).enumerate() {
        // Below a hundredth the error is that of a difference of larger numbers.
        let close = got == want
            || (got.is_nan() && want.is_nan())
            || (got - want).abs() <= tolerance * want.abs().max(1e-2);
        if !close {
            return Err(format!("value {at} is {got:?}, expected {want:?}"));
        }
    }
    Ok(())
}
