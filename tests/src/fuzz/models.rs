//! Files that models and explainers are made of.

use std::path::PathBuf;

use bytes::Bytes;
use weir_explainer::background::Background;
use weir_predictor::runtime::lightgbm::Lightgbm;
use weir_predictor::runtime::pmml::Pmml;
use weir_predictor::runtime::python::frame::Frame;
use weir_predictor::runtime::pytorch;
use weir_predictor::runtime::sklearn::Sklearn;
use weir_predictor::runtime::xgboost::Xgboost;
use weir_predictor::runtime::{LoadError, LoadOptions, Runtime};
use weir_proto::{Data, DataType, InferRequest, Tensor, TensorSpec};
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

/// LightGBM files.
pub fn lightgbm(data: &[u8]) -> bool {
    load(&Lightgbm, "bst", data)
}

/// Zip archives, and what TorchServe's say of their model: no file is longer than its list says, or than is allowed.
pub fn model_archive(data: &[u8]) -> bool {
    const MOST: u64 = 1 << 16;
    let Ok(mut archive) = pytorch::Archive::read(std::io::Cursor::new(data)) else { return false };
    for entry in archive.entries().to_vec().iter().take(16) {
        if let Ok(bytes) = archive.bytes(entry, MOST) {
            assert_eq!(bytes.len() as u64, entry.length);
            assert!(entry.length <= MOST);
        }
    }
    let manifest = pytorch::manifest(&mut archive);
    assert!(manifest.as_ref().map_or(true, |it| !it.serialized.is_empty()));
    manifest.is_ok()
}

/// Messages of Python workers: what is read is written as it was.
pub fn worker(data: &[u8]) -> bool {
    let Ok(frame) = Frame::read(&mut &*data) else { return false };
    assert_whole(&frame.tensors);
    let mut written = Vec::new();
    frame.write(&mut written).expect("a vector takes what is within the limits");
    let again = Frame::read(&mut written.as_slice()).expect("what is written is read");
    super::assert_same(&frame, &again);
    true
}

/// What we read ourselves of ONNX models: no more classes and names than the bytes can hold.
pub fn onnx_graph(data: &[u8]) -> bool {
    let Ok(graph) = weir_predictor::runtime::onnx::graph::Graph::read(data) else { return false };
    let classes: usize = graph.zipped.iter().map(|(_, classes)| classes.len()).sum();
    assert!(classes + graph.zipped.len() + graph.unranked.len() <= data.len());
    true
}

/// ONNX models on the interpreter that is built in: what it computes is whole and of the types that the file says.
pub fn onnx(data: &[u8]) -> bool {
    const MOST_ELEMENTS: usize = 1 << 14;
    let Ok(model) = weir_predictor::runtime::onnx::embedded::read_bounded(data, MOST_ELEMENTS) else {
        return false;
    };
    let signature = model.signature();
    let size = |it: &i64| usize::try_from(*it).unwrap_or(2);
    let specs = signature.inputs.iter().map(|it| (it, it.shape.iter().map(size).collect::<Vec<_>>()));
    let specs: Vec<_> = specs.collect();
    if specs.iter().any(|(_, it)| weir_proto::tensor::elements(it).is_none_or(|it| it > MOST_ELEMENTS)) {
        return true;
    }
    for (value, text) in [(0, "a"), (1, "1"), (0xff, "\u{fffd}")] {
        let inputs: Vec<Tensor> = specs
            .iter()
            .map(|(spec, shape)| {
                let count = weir_proto::tensor::elements(shape).unwrap_or(0);
                let data = match spec.datatype.size() {
                    None => Data::Bytes(vec![Bytes::from_static(text.as_bytes()); count]),
                    Some(_) if spec.datatype == DataType::Bool => Data::Bool(vec![value & 1; count].into()),
                    Some(size) => Data::from_raw(spec.datatype, vec![value; count * size].into(), count, "")
                        .expect("there are as many bytes as elements need"),
                };
                Tensor::new(spec.name.clone(), shape.clone(), data)
            })
            .collect();
        let all: Vec<_> = (0..signature.outputs.len()).collect();
        let Ok(outputs) = model.predict(&inputs, &all) else { continue };
        assert_whole(&outputs);
        for (output, spec) in outputs.iter().zip(&signature.outputs) {
            assert_eq!(output.datatype(), spec.datatype, "output `{}`", spec.name);
        }
    }
    true
}

/// What we read ourselves of TensorFlow's SavedModels: names in order, each once, and no more than the bytes can hold.
pub fn saved_model(data: &[u8]) -> bool {
    let Ok(graphs) = weir_predictor::runtime::tensorflow::saved_model::graphs(data) else { return false };
    assert!(!graphs.is_empty());
    for signature in graphs.iter().flat_map(|it| &it.signatures) {
        assert!(!signature.name.starts_with("__saved_model_"));
        for tensors in [&signature.inputs, &signature.outputs] {
            assert!(tensors.is_sorted_by(|a, b| a.name < b.name), "{tensors:?}");
            assert!(tensors.iter().filter_map(|it| it.shape.as_ref()).flatten().all(|&it| it >= -1));
        }
    }
    let held: usize =
        graphs.iter().flat_map(|it| &it.signatures).map(|it| it.inputs.len() + it.outputs.len()).sum();
    assert!(2 * held <= data.len(), "{held} tensors of {} bytes", data.len());
    assert!(graphs.iter().all(|it| it.signatures.is_sorted_by(|a, b| a.name < b.name)));
    true
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
    let Ok(model) = open(runtime, ending, data) else { return false };
    ask(model.as_ref());
    true
}

/// Loads a model out of a file that holds those bytes.
///
/// # Errors
/// What the runtime says is wrong with it.
pub fn open(runtime: &dyn Runtime, ending: &str, data: &[u8]) -> Result<Box<dyn Model>, LoadError> {
    let file = scratch(ending, data);
    let loaded = runtime.load(&file, &LoadOptions::default());
    // Fails only when somebody else has removed it.
    let _ = std::fs::remove_file(file);
    loaded
}

/// Asks a model a few times for two rows.
///
/// # Panics
/// When it does not keep what its signature promises.
pub fn ask(model: &dyn Model) {
    let signature = model.signature();
    let width =
        |spec: &TensorSpec| spec.shape[1..].iter().map(|&it| it.unsigned_abs() as usize).product::<usize>();
    // What a model of many features costs is known before it is asked; here it would only cost time.
    if signature.inputs.iter().map(width).sum::<usize>() > 4096 {
        return;
    }
    for (value, text) in [(0.0, ""), (-1.5, "a b"), (f64::NAN, "nan")] {
        let tensor = |spec: &TensorSpec| {
            assert!(spec.shape.len() <= 2 && spec.shape[0] == -1, "rows expected, met {spec:?}");
            let shape: Vec<usize> =
                std::iter::once(2).chain((spec.shape.len() == 2).then(|| width(spec))).collect();
            let data = match spec.datatype {
                DataType::Bytes => Data::Bytes(vec![Bytes::from_static(text.as_bytes()); 2 * width(spec)]),
                _ => Data::Fp64(vec![value; 2 * width(spec)].into()),
            };
            Tensor::new(spec.name.clone(), shape, data)
        };
        let mut request = InferRequest::of(signature.inputs.iter().map(tensor).collect());
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

/// A file with those bytes, one for each thread.
fn scratch(ending: &str, data: &[u8]) -> PathBuf {
    let name = format!("weir-fuzz-{}-{:?}.{ending}", std::process::id(), std::thread::current().id());
    let file = std::env::temp_dir().join(name);
    std::fs::write(&file, data).expect("a temporary file can be written");
    file
}
