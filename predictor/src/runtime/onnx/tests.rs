//! Each operator against what ONNX Runtime answers: `testdata/onnx/operators.txt`, which `make.py` beside it makes.

use std::collections::BTreeMap;

use serde_json::Value;
use weir_sdk::{Data, DataType, InferRequest, Model, Tensor};

use super::embedded;

const CASES: &str = include_str!("../../../testdata/onnx/operators.txt");

fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len() / 2).map(|at| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).unwrap()).collect()
}

fn tensor(name: &str, told: &Value) -> Tensor {
    let shape: Vec<usize> = serde_json::from_value(told["shape"].clone()).unwrap();
    let datatype = DataType::parse(told["datatype"].as_str().unwrap()).unwrap();
    let data = match &told["data"] {
        Value::String(hex) => {
            Data::from_raw(datatype, bytes(hex).into(), shape.iter().product(), name).unwrap()
        }
        texts => {
            let texts = texts.as_array().unwrap().iter();
            Data::Bytes(texts.map(|it| bytes(it.as_str().unwrap()).into()).collect())
        }
    };
    Tensor::new(name, shape, data)
}

fn tensors(side: &Value) -> BTreeMap<String, Tensor> {
    side.as_object().unwrap().iter().map(|(name, it)| (name.clone(), tensor(name, it))).collect()
}

fn model(file: &[u8]) -> Result<Box<dyn Model>, String> {
    embedded::read_bounded(file, 1 << 24).map_err(|fault| format!("{fault:?}"))
}

fn answers(model: &dyn Model, inputs: &Value) -> Result<Vec<Tensor>, String> {
    let inputs = tensors(inputs);
    let inputs: Vec<Tensor> = model.signature().inputs.iter().map(|it| inputs[&it.name].clone()).collect();
    let all: Vec<usize> = (0..model.signature().outputs.len()).collect();
    model.predict(&inputs, &all).map_err(|error| error.message)
}

fn differ(got: &Tensor, want: &Tensor, tolerance: f64) -> Option<String> {
    if (got.datatype(), &got.shape) != (want.datatype(), &want.shape) {
        return Some(format!(
            "{} {:?}, expected {} {:?}",
            got.datatype(),
            got.shape,
            want.datatype(),
            want.shape
        ));
    }
    let (Some(a), Some(b)) = (got.data.to_f64(), want.data.to_f64()) else {
        return (got.data != want.data).then(|| format!("{:?}, expected {:?}", got.data, want.data));
    };
    let close = |(a, b): (&f64, &f64)| {
        a == b || (a.is_nan() && b.is_nan()) || (a - b).abs() <= tolerance * b.abs().max(0.1)
    };
    let at = a.iter().zip(&b).position(|pair| !close(pair))?;
    Some(format!("value {at} is {}, expected {}", a[at], b[at]))
}

#[test]
fn every_operator_answers_as_onnx_runtime() {
    let mut wrong = Vec::new();
    let mut count = 0;
    for line in CASES.lines() {
        let (name, told) = line.split_once('\t').unwrap();
        let told: Value = serde_json::from_str(told).unwrap();
        count += 1;
        let made =
            model(&bytes(told["model"].as_str().unwrap())).and_then(|it| answers(&*it, &told["inputs"]));
        let wanted = tensors(&told["outputs"]);
        // Near its middle the quantile is a difference of nearly equal numbers, of which few digits are left.
        let tolerance = if name.contains("PROBIT") { 1e-3 } else { 1e-5 };
        match made {
            Err(text) => wrong.push(format!("{name}: {text}")),
            Ok(made) => {
                assert_eq!(made.len(), wanted.len(), "{name}");
                let parts = made
                    .iter()
                    .filter_map(|it| differ(it, &wanted[&it.name], tolerance).map(|text| (it, text)));
                wrong.extend(parts.map(|(it, text)| format!("{name}/{}: {text}", it.name)));
            }
        }
    }
    assert!(count > 400, "only {count} cases");
    assert!(wrong.is_empty(), "{} of {count} are wrong:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn every_operator_has_a_case() {
    let names: Vec<&str> = CASES.lines().map(|it| it.split(['-', '\t']).next().unwrap()).collect();
    // A constant is in the branches of `If`: a graph of it alone has no inputs.
    let missing: Vec<_> =
        embedded::operators().filter(|(_, name)| !names.contains(name) && *name != "Constant").collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn an_input_that_a_case_does_not_take_is_refused_in_words() {
    let line = CASES.lines().find(|it| it.starts_with("LinearClassifier-NONE\t")).unwrap();
    let told: Value = serde_json::from_str(line.split_once('\t').unwrap().1).unwrap();
    let model = model(&bytes(told["model"].as_str().unwrap())).unwrap();
    let narrow = Tensor::new("x0", [1, 2], Data::Fp32(vec![1.0, 2.0].into()));
    let bound = model.signature().bind(&mut InferRequest::of(vec![narrow])).unwrap();
    let text = model.predict(&bound, &[0]).unwrap_err().message;
    assert_eq!(text, "node `it` (ai.onnx.ml.LinearClassifier): rows of 2 columns meet a model of 3");
}
