//! Files that models and explainers are made of.

use std::path::PathBuf;

use weir_explainer::background::Background;
use weir_predictor::runtime::pmml::Pmml;
use weir_predictor::runtime::sklearn::Sklearn;
use weir_predictor::runtime::xgboost::Xgboost;
use weir_predictor::runtime::{LoadOptions, Runtime};
use weir_proto::{DataType, InferRequest, Signature, Tensor};
use weir_sdk::Model;

use super::assert_whole;

/// scikit-learn files.
pub fn pickle(data: &[u8]) -> bool {
    load(&Sklearn, "joblib", data)
}

/// PMML files.
pub fn pmml(data: &[u8]) -> bool {
    load(&Pmml, "pmml", data)
}

/// XGBoost files.
pub fn xgboost(data: &[u8]) -> bool {
    load(&Xgboost, "bst", data)
}

/// Files of background data: columns of one length, each with a name.
pub fn background(data: &[u8]) -> bool {
    let file = scratch("csv", data);
    let read = Background::read(&file, 100);
    // Fails only when somebody else has removed it.
    let _ = std::fs::remove_file(file);
    let Ok(read) = read else { return false };
    assert_eq!(read.names.len(), read.columns.len());
    let rows = read.columns.first().map_or(0, |it| it.len());
    assert!(rows <= 100 && read.columns.iter().all(|it| it.len() == rows));
    true
}

/// Loads a model and asks it once: what its signature promises must hold.
fn load(runtime: &dyn Runtime, ending: &str, data: &[u8]) -> bool {
    let file = scratch(ending, data);
    let loaded = runtime.load(&file, &LoadOptions::default());
    // Fails only when somebody else has removed it.
    let _ = std::fs::remove_file(file);
    let Ok(model) = loaded else { return false };
    predict(model.as_ref());
    true
}

fn predict(model: &dyn Model) {
    let signature = model.signature();
    for value in [0.0, -1.5, f64::NAN] {
        let Some(inputs) = two_rows(signature, value) else { return };
        let mut request = InferRequest::of(inputs);
        let all: Vec<_> = (0..signature.outputs.len()).collect();
        // No model is without features, and an input without values is refused.
        let Ok(inputs) = signature.bind(&mut request) else { return };
        let Ok(outputs) = model.predict(&inputs, &all) else { continue };
        assert_whole(&outputs);
        for (output, spec) in outputs.iter().zip(&signature.outputs) {
            assert_eq!((output.rows(), output.datatype()), (2, spec.datatype), "output `{}`", spec.name);
        }
    }
    let _ = model.cost(usize::MAX);
}

/// Two rows of one value; `None` for a model of very many features, whose cost is known before it is asked.
fn two_rows(signature: &Signature, value: f64) -> Option<Vec<Tensor>> {
    const MOST: usize = 4096;
    if signature.table {
        let column = |spec: &weir_proto::TensorSpec| match spec.datatype {
            DataType::Bytes => Tensor::strings(&spec.name, [2], vec![value.to_string().into(), "".into()]),
            _ => Tensor::fp64(&spec.name, [2], vec![value; 2]),
        };
        return (signature.inputs.len() <= MOST).then(|| signature.inputs.iter().map(column).collect());
    }
    let [spec] = signature.inputs.as_slice() else {
        panic!("one input expected, met {:?}", signature.inputs)
    };
    let [rows, features] = spec.shape.as_slice() else {
        panic!("rows of features expected, met {:?}", spec.shape)
    };
    assert_eq!(*rows, -1);
    let features = usize::try_from(*features).expect("a model has a number of features");
    (features <= MOST).then(|| vec![Tensor::fp64("", [2, features], vec![value; 2 * features])])
}

/// A file with those bytes, one for each thread.
fn scratch(ending: &str, data: &[u8]) -> PathBuf {
    let name = format!("weir-fuzz-{}-{:?}.{ending}", std::process::id(), std::thread::current().id());
    let file = std::env::temp_dir().join(name);
    std::fs::write(&file, data).expect("a temporary file can be written");
    file
}
