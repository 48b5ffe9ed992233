//! ONNX models by ONNX Runtime: bit for bit what it answers in Python, lists of maps as matrices, and what is said where its
//! library, or a provider of it, is not there.

use std::path::PathBuf;

use serde_json::json;
use weir_predictor::runtime::LoadOptions;
use weir_predictor::runtime::gpu::GpuFlags;
use weir_predictor::runtime::onnx::Engine;
use weir_sdk::{Batching, Data, Env, Model, Tensor};

use crate::answers;
use crate::flags::Predictor;
use crate::harness::{get, manifest, mesh, post, root, shared};

fn golden() -> Option<(PathBuf, String)> {
    answers::golden("onnxruntime", "ONNX models with the library that made them")
}

fn options(library: &str) -> LoadOptions {
    let env: Env = [("ORT_DYLIB_PATH", library)].into_iter().collect();
    LoadOptions { env, ..LoadOptions::default() }
}

fn small(name: &str) -> PathBuf {
    root().join("predictor/testdata/onnxruntime").join(name)
}

#[test]
fn golden_models_answer_to_the_bit_as_onnx_runtime() {
    let Some((folder, library)) = golden() else { return };
    let load =
        |name: &str| weir_predictor::load(&folder.join(format!("{name}.onnx")), None, &options(&library));
    let asked = answers::check(&folder, load);
    println!("{asked} questions to golden ONNX models");
    assert!(asked >= 18, "{asked}");
}

#[test]
fn what_a_model_takes_and_gives_is_told() {
    let Some((folder, library)) = golden() else { return };
    let load = |path: PathBuf| weir_predictor::load(&path, None, &options(&library)).unwrap();
    let told = |model: &dyn Model| -> Vec<String> {
        let signature = model.signature();
        let all = signature.inputs.iter().chain(&signature.outputs);
        all.map(|it| format!("{} {} {:?} {}", it.name, it.datatype, it.shape, it.labels.join(","))).collect()
    };
    let model = load(small("classifier.onnx"));
    let probabilities = "probabilities FP32 [-1, 3] setosa,virginica,maple";
    assert_eq!(told(&*model), ["x FP32 [-1, 2] ", "label BYTES [-1] ", probabilities]);
    assert_eq!(
        (model.signature().platform.as_str(), model.batching()),
        ("onnxruntime_onnx", Batching::Gains)
    );
    let model = load(small("numbered.onnx"));
    assert_eq!(model.signature().outputs[1].labels, ["7", "3", "10"]);
    let model = load(small("unranked.onnx"));
    assert!(model.signature().inputs[0].unranked && model.batching() == Batching::Never);
    // A list of tensors is no tensor: it is left out, the rest is served.
    assert_eq!(told(&*load(small("sequence.onnx"))), ["x FP32 [-1] ", "same FP32 [-1] "]);
    let model = load(folder.join("beside.onnx"));
    assert!(model.memory().unwrap() > 64 * 64 * 4, "{:?}", model.memory());
}

#[test]
fn predictions_side_by_side_answer_as_one_alone() {
    let Some((folder, library)) = golden() else { return };
    let model = weir_predictor::load(&folder.join("resnet.onnx"), None, &options(&library)).unwrap();
    let values: Vec<f32> = (0..2 * 3 * 32 * 32).map(|it| (it * 7919 % 256) as f32 / 255.0).collect();
    let input = Tensor::new("image", [2, 3, 32, 32], Data::Fp32(values.into()));
    answers::side_by_side(&*model, &input, 20);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_classifier_is_asked_for_its_classes_over_http() {
    let Some((_, library)) = golden() else { return };
    let file = small("classifier.onnx").display().to_string();
    let args = ["--model_name=m", "--port=0", "--rest_api_port=0", "--model_dir", &file];
    let predictor = Predictor::start(&args, &[("ORT_DYLIB_PATH", &library)]).await;
    let url = format!("{}/v1/models/m", predictor.url);
    let answer = post(&format!("{url}:predict"), r#"{"instances": [[1.0, 2.0], [3.0, -1.0]]}"#).await.json();
    assert_eq!(answer["predictions"][0]["label"], "maple", "{answer}");
    assert_eq!(answer["predictions"][1]["probabilities"].as_array().unwrap().len(), 3);
    let answer = post(&format!("{url}:classify"), r#"{"examples": [{"x": [3.0, -1.0]}]}"#).await.json();
    assert_eq!(answer["results"][0][0][0], "setosa", "{answer}");
    let answer = post(&format!("{url}:predict"), r#"{"instances": [[1.0, 2.0, 3.0]]}"#).await;
    assert_eq!(answer.status, 400, "{}", answer.text);
    let told = get(&format!("{}/v2/models/m", predictor.url)).await.unwrap().json();
    assert_eq!(told["platform"], "onnxruntime_onnx");
}

#[tokio::test(flavor = "multi_thread")]
async fn tritons_simple_model_is_served_by_a_manifests_onnx_key() {
    let Some((_, library)) = golden() else { return };
    let Some(folder) = shared("models/onnx/triton-simple") else { return };
    let spec = format!(
        "  predictor: {{onnx: {{storageUri: {}, env: [{{name: ORT_DYLIB_PATH, value: {library}}}]}}}}",
        folder.display()
    );
    let (_folder, file) = manifest("simple", &spec);
    let mesh = mesh(&file).await;
    let row: Vec<i32> = (0..16).collect();
    let input = |name: &str| json!({"name": name, "datatype": "INT32", "shape": [1, 16], "data": row});
    let body = json!({"inputs": [input("INPUT0"), input("INPUT1")]});
    let url = format!("http://{}/v2/models/simple/infer", mesh.http());
    let answer = post(&url, body.to_string()).await.json();
    let sums: Vec<i32> = row.iter().map(|it| 2 * it).collect();
    assert_eq!(answer["outputs"][0]["data"], json!(sums), "{answer}");
    assert_eq!(answer["outputs"][1]["data"], json!(vec![0; 16]), "{answer}");
}

#[test]
fn without_the_library_it_is_told_how_to_get_it() {
    let nowhere: Env = [("ORT_DYLIB_PATH", "/nowhere")].into_iter().collect();
    let runtime = weir_predictor::find("tensorrt").unwrap();
    // A Python of the machine may have it; then there is nothing to miss.
    let Err(text) = runtime.engine(&nowhere) else { return };
    assert!(text.contains("pip install onnxruntime"), "{text}");
    // Here is an engine without it; how to get it is told all the same.
    let onnx = weir_predictor::find("onnx").unwrap().engine(&nowhere).unwrap();
    assert!(onnx.starts_with("this build itself") && onnx.contains("pip install onnxruntime"), "{onnx}");
    for (format, onnx_engine) in
        [("tensorrt", Engine::Auto), ("onnx", Engine::Onnxruntime), ("onnx", Engine::Auto)]
    {
        let options = LoadOptions { env: nowhere.clone(), onnx_engine, ..LoadOptions::default() };
        let runtime = weir_predictor::find(format).unwrap();
        match weir_predictor::load(&small("adder.onnx"), Some(runtime), &options) {
            Ok(_) => assert_eq!((format, onnx_engine), ("onnx", Engine::Auto), "loaded without a library"),
            Err(error) => assert!(error.to_string().contains("pip install onnxruntime"), "{error}"),
        }
    }
}

/// A wheel for processors has neither provider: the model is refused, and never computed by the processor instead.
#[test]
fn a_gpu_that_is_asked_for_and_not_there_is_an_error() {
    #[derive(clap::Parser)]
    struct Flags {
        #[command(flatten)]
        gpu: GpuFlags,
    }
    let Some((_, library)) = golden() else { return };
    let gpu = |args: &[&str]| {
        let flags = <Flags as clap::Parser>::parse_from([&["predictor"], args].concat());
        LoadOptions { gpu: flags.gpu.try_into().unwrap(), ..options(&library) }
    };
    for (args, title) in [
        (&["--onnx_providers=cuda,cpu"][..], "CUDA"),
        (&["--onnx_providers=tensorrt,cuda", "--tensorrt_fp16", "--tensorrt_engine_cache=/tmp"], "TensorRT"),
    ] {
        match weir_predictor::load(&small("adder.onnx"), None, &gpu(args)) {
            Ok(model) => println!("skipped: {} is here", model.signature().platform),
            Err(error) => {
                let wanted = format!("the {title} provider is not here: ");
                assert!(error.to_string().contains(&wanted), "{error}");
            }
        }
    }
    assert!(weir_predictor::load(&small("adder.onnx"), None, &gpu(&["--onnx_providers=cpu"])).is_ok());
}

#[test]
fn what_onnx_runtime_refuses_is_told_in_its_words() {
    let Some((_, library)) = golden() else { return };
    let error = weir_predictor::load(&small("sparse.onnx"), None, &options(&library)).err().unwrap();
    assert!(error.to_string().contains("complex64"), "{error}");
}
