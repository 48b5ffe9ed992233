//! Against the answers of the JPMML evaluator (`testdata/pmml/make.py`), and against files that are wrong.

use std::path::{Path, PathBuf};

use weir_sdk::proto::v1;
use weir_sdk::proto::{Data, DecodeLimits, Form, InferRequest, Tensor};

use super::*;

fn testdata() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/pmml")
}

fn decode(rows: &str) -> Result<InferRequest, String> {
    let body = format!("{{\"instances\": {rows}}}");
    let decoded = v1::decode_request(body.as_bytes(), Form::default(), &DecodeLimits::default());
    decoded.map(|(request, _)| request).map_err(|error| error.message)
}

/// Asks for an output by its name, by the way a V1 request goes.
fn ask(model: &dyn Model, rows: &str, output: &str) -> Result<Tensor, String> {
    let mut request = decode(rows)?;
    let signature = model.signature();
    let at = signature.outputs.iter().position(|it| it.name == output);
    let at = at.ok_or_else(|| format!("there is no output `{output}`"))?;
    let inputs = signature.bind(&mut request).map_err(|error| error.message)?;
    let mut outputs = model.predict(&inputs, &[at]).map_err(|error| error.message)?;
    let tensor = outputs.pop().unwrap();
    assert_eq!(tensor.datatype(), signature.outputs[at].datatype);
    Ok(tensor)
}

fn load(file: &str) -> Result<Evaluator, Fault> {
    read(&std::fs::read(testdata().join(file)).unwrap(), false)
}

/// What is wrong with the answers to the rows of a golden file.
fn differences(golden: &Path) -> Result<(), String> {
    let bytes = std::fs::read(golden.with_extension("pmml")).unwrap();
    let model = read(&bytes, false).map_err(|fault| format!("{fault:?}"))?;
    let text = std::fs::read_to_string(golden).unwrap();
    let mut lines = text.lines().map(|line| line.split_once('\t').unwrap());
    let rows = lines.next().unwrap().1;
    // The steps of a float are 1.2e-7, and Java's functions take other steps than C's.
    let is_float = String::from_utf8_lossy(&bytes).contains("x-mathContext=\"float\"");
    let tolerance = if is_float { 1.2e-7 } else { 1e-12 };
    for (output, want) in lines {
        let got = ask(&model, rows, output)?;
        let wanted: serde_json::Value = serde_json::from_str(&want.replace("NaN", "null")).unwrap();
        for (row, want) in wanted.as_array().unwrap().iter().enumerate() {
            same(&got, row, want, tolerance).map_err(|text| format!("{output} of row {row}: {text}"))?;
        }
    }
    Ok(())
}

fn same(got: &Tensor, row: usize, want: &serde_json::Value, tolerance: f64) -> Result<(), String> {
    if let Data::Bytes(texts) = &got.data {
        let want = want.as_str().map_or_else(|| want.to_string().replace("null", ""), str::to_owned);
        return if texts[row] == want { Ok(()) } else { Err(format!("{:?}, expected {want:?}", texts[row])) };
    }
    let got = got.data.to_f64().unwrap()[row];
    let want = want.as_f64().or(want.as_bool().map(|it| f64::from(u8::from(it)))).unwrap_or(f64::NAN);
    let is_same = (got.is_nan() && want.is_nan()) || (got - want).abs() <= tolerance * want.abs().max(1.0);
    if is_same { Ok(()) } else { Err(format!("{got:?}, expected {want:?}")) }
}

#[test]
fn answers_are_those_of_the_evaluator() {
    let mut wrong = Vec::new();
    let mut models = 0;
    for folder in [testdata(), testdata().join("written")] {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|it| it == "golden") {
                models += 1;
                if let Err(text) = differences(&path) {
                    wrong.push(format!("{}: {text}", path.file_stem().unwrap().display()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {models} models are wrong\n{}", wrong.len(), wrong.join("\n"));
}
