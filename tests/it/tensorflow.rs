//! SavedModels: bit for bit what TensorFlow itself answers, TensorFlow Serving's own requests, and what is said where there is
//! no library or no SavedModel.

use std::path::{Path, PathBuf};

use serde_json::json;
use weir_predictor::runtime::LoadOptions;
use weir_predictor::runtime::gpu::GpuFlags;
use weir_sdk::proto::{DataType, Tensor};
use weir_sdk::{Batching, Data, Env};

use crate::answers;
use crate::flags::Predictor;
use crate::harness::{get, manifest, mesh, post, shared};

fn golden() -> Option<(PathBuf, String)> {
    answers::golden("library", "SavedModels with the TensorFlow that made them")
}

fn options(library: &str) -> LoadOptions {
    let env: Env = [("TENSORFLOW_LIBRARY", library)].into_iter().collect();
    LoadOptions { env, ..LoadOptions::default() }
}

/// The one version in a model's folder.
fn version(folder: &Path) -> PathBuf {
    folder.read_dir().unwrap().map(|it| it.unwrap().path()).next().unwrap()
}

#[test]
fn every_signature_of_golden_models_answers_to_the_bit_as_tensorflow() {
    let Some((folder, library)) = golden() else { return };
    let load = |name: &str| weir_predictor::load(&version(&folder.join(name)), None, &options(&library));
    let asked = answers::check(&folder, load);
    println!("{asked} questions to golden SavedModels");
    assert!(asked >= 19, "{asked}");
}

#[test]
fn what_a_saved_model_says_of_itself_is_told() {
    let Some((folder, library)) = golden() else { return };
    let load =
        |name: &str| weir_predictor::load(&version(&folder.join(name)), None, &options(&library)).unwrap();
    let model = load("keras_several");
    let signature = model.signature();
    assert_eq!(signature.platform, "tensorflow_savedmodel");
    let told = |specs: &[weir_sdk::TensorSpec]| -> Vec<_> {
        specs.iter().map(|it| format!("{} {} {:?}", it.name, it.datatype, it.shape)).collect()
    };
    assert_eq!(told(&signature.inputs), ["numbers FP32 [-1, 4]", "tokens INT32 [-1, 6]"]);
    assert_eq!(told(&signature.outputs), ["kind FP32 [-1, 4]", "score FP32 [-1, 1]"]);
    assert_eq!(model.batching(), Batching::Gains);
    assert!(model.memory().unwrap() > 1000);
    let model = load("module_unknown_rank");
    assert!(model.signature().inputs[0].unranked && model.batching() == Batching::Never);
    let model = load("module_two_signatures");
    assert_eq!(model.signature_names(), ["serving_default", "upper"]);
    assert!(model.under("__saved_model_init_op").is_none());
    assert_eq!(version(&folder.join("tf1_versions")).file_name().unwrap(), "3");
}

#[test]
fn inputs_lent_by_a_message_answer_as_those_that_are_copied_whatever_their_place() {
    let Some((folder, library)) = golden() else { return };
    let model = weir_predictor::load(&version(&folder.join("module_control_flow")), None, &options(&library));
    let model = model.unwrap();
    let numbers: Vec<u8> = (0..64).flat_map(|it| (it as f32 / 100.0).to_le_bytes()).collect();
    let answer = |data: Data| {
        let inputs = [Tensor::new("x", [16, 4], data)];
        let mut outputs = model.predict(&inputs, &[0, 1]).unwrap();
        // The answer outlives what it was made of.
        drop(inputs);
        (outputs.pop().unwrap().data.into_raw(), outputs.pop().unwrap().data.into_raw())
    };
    let floats = numbers.chunks_exact(4).map(|it| f32::from_le_bytes(it.try_into().unwrap()));
    let owned = answer(Data::Fp32(floats.collect::<Vec<_>>().into()));
    for offset in 0..16 {
        let mut message = vec![0; 4 * offset];
        message.extend_from_slice(&numbers);
        let lent = bytes::Bytes::from(message).slice(4 * offset..);
        assert_eq!(answer(Data::from_raw(DataType::Fp32, lent, 64, "x").unwrap()), owned, "{offset}");
    }
}

/// TensorFlow's own kernel for a fused convolution ended the process here.
#[test]
fn predictions_side_by_side_answer_as_one_alone() {
    let Some((folder, library)) = golden() else { return };
    for name in ["keras_conv", "keras_mlp", "tf1_versions"] {
        let model = weir_predictor::load(&version(&folder.join(name)), None, &options(&library)).unwrap();
        let spec = &model.signature().inputs[0];
        let shape: Vec<usize> = spec.shape.iter().map(|&it| usize::try_from(it).unwrap_or(2)).collect();
        let values: Vec<f32> = (0..shape.iter().product()).map(|it| (it * 7919 % 256) as f32).collect();
        let input = Tensor::new(spec.name.clone(), shape, Data::Fp32(values.into()));
        answers::side_by_side(&*model, &input, 200);
    }
}

/// Requests of TensorFlow Serving's documentation, and those that its code refuses.
#[tokio::test(flavor = "multi_thread")]
async fn half_plus_two_answers_what_tensorflow_servings_documentation_says() {
    let Some((_, library)) = golden() else { return };
    for model in ["saved_model_half_plus_two_cpu", "saved_model_half_plus_two_tf2_cpu"] {
        let Some(folder) = shared(&format!("models/tensorflow/{model}")) else { return };
        let base = format!("--model_base_path={}", folder.display());
        let args = ["--model_name=half_plus_two", "--port=0", "--rest_api_port=0", &base];
        let args = [&args[..], &["--tensorflow_session_parallelism=2"]].concat();
        let predictor = Predictor::start(&args, &[("TENSORFLOW_LIBRARY", &library)]).await;
        let url = format!("{}/v1/models/half_plus_two", predictor.url);
        let good = [
            (":predict", r#"{"instances": [1.0, 2.0, 5.0]}"#, json!({"predictions": [2.5, 3.0, 4.5]})),
            (":predict", r#"{"inputs": [[1.0], [-2]]}"#, json!({"outputs": [[2.5], [1.0]]})),
            (
                "/versions/123:predict",
                r#"{"signature_name": "serving_default", "instances": [{"x": [0.0]}]}"#,
                json!({"predictions": [[2.0]]}),
            ),
            (
                ":classify",
                r#"{"signature_name": "classify_x_to_y", "examples": [{"x": 1.0}, {"x": 2.0}]}"#,
                json!({"results": [[["", 2.5]], [["", 3.0]]]}),
            ),
            (
                ":regress",
                r#"{"signature_name": "regress_x_to_y", "examples": [{"x": 1.0}, {"x": 2.0}]}"#,
                json!({"results": [2.5, 3.0]}),
            ),
            (
                ":regress",
                r#"{"signature_name": "regress_x_to_y2", "context": {"x": 3.0}, "examples": [{}, {"x": 1.0}]}"#,
                json!({"results": [4.5, 3.5]}),
            ),
        ];
        for (path, body, wanted) in good {
            let answer = post(&format!("{url}{path}"), body).await;
            assert_eq!(answer.json(), wanted, "{model}{path} {body}: {}", answer.text);
        }
        let bad = [
            (
                ":predict",
                r#"{"signature_name": "x", "instances": [1.0]}"#,
                "Serving signature name: \"x\" not found in signature def",
            ),
            (
                ":classify",
                r#"{"examples": [{"x": 1.0}]}"#,
                "Expected classification signature outputs to contain at least one of",
            ),
            (
                ":regress",
                r#"{"examples": [{"x": 1.0}]}"#,
                "Expected regression signature outputs to contain \"outputs\"",
            ),
            (
                ":regress",
                r#"{"signature_name": "regress_x_to_y", "examples": [{"z": 1.0}]}"#,
                "Feature: x (data type: float) is required",
            ),
            (":predict", r#"{"instances": ["text"]}"#, "input `"),
        ];
        for (path, body, wanted) in bad {
            let answer = post(&format!("{url}{path}"), body).await;
            assert!(
                answer.status == 400 && answer.text.replace('\\', "").contains(wanted),
                "{model}{path} {body}: {}",
                answer.text
            );
        }
        check_metadata(&url, model).await;
    }
}

async fn check_metadata(url: &str, model: &str) {
    let told = get(&format!("{url}/metadata")).await.unwrap().json();
    assert_eq!(told["model_spec"], json!({"name": "half_plus_two", "signature_name": "", "version": "123"}));
    let signatures = &told["metadata"]["signature_def"]["signature_def"];
    let names: Vec<_> = signatures.as_object().unwrap().keys().collect();
    assert!(names.len() >= 5 && !names.iter().any(|it| it.starts_with("__")), "{names:?}");
    let inputs = &signatures["classify_x_to_y"]["inputs"]["inputs"];
    assert_eq!(inputs["dtype"], "DT_STRING");
    if model.ends_with("two_cpu") {
        assert_eq!(inputs["tensor_shape"]["unknown_rank"], true);
        assert_eq!(inputs["name"], "tf_example:0");
        assert_eq!(signatures["classify_x_to_y"]["method_name"], "tensorflow/serving/classify");
    }
    let status = get(url).await.unwrap().json();
    assert_eq!(status["model_version_status"][0]["version"], "123");
    assert_eq!(status["model_version_status"][0]["state"], "AVAILABLE");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_and_a_column_go_to_the_signature_they_name() {
    let Some((folder, library)) = golden() else { return };
    let base = format!("--model_base_path={}", folder.join("module_two_signatures").display());
    let args = ["--model_name=texts", "--port=0", "--rest_api_port=0", &base];
    let predictor = Predictor::start(&args, &[("TENSORFLOW_LIBRARY", &library)]).await;
    let url = format!("{}/v1/models/texts:predict", predictor.url);
    let rows = r#"{"signature_name": "upper", "instances": ["ab", {"b64": "Yw=="}]}"#;
    let wanted = json!({"predictions": [{"length": 2, "upper": "AB"}, {"length": 1, "upper": "C"}]});
    assert_eq!(post(&url, rows).await.json(), wanted);
    let columns = r#"{"signature_name": "upper", "inputs": {"text": ["ab"]}}"#;
    assert_eq!(post(&url, columns).await.json(), json!({"outputs": {"length": [2], "upper": ["AB"]}}));
    let answer = post(&url, r#"{"instances": [[1.0, 2.0, 3.0]]}"#).await;
    assert_eq!(answer.json(), json!({"predictions": [[3.5, 6.0, 8.5]]}), "a placeholder's shape is not held");
    // NaN and infinities are bare tokens, as TensorFlow Serving reads and writes them.
    let answer = post(&url, r#"{"instances": [[NaN, -Infinity]]}"#).await;
    assert_eq!(answer.text, r#"{"predictions":[[NaN,-Infinity]]}"#);
    let v2 = json!({"parameters": {"signature_name": "upper"}, "inputs": [
        {"name": "text", "datatype": "BYTES", "shape": [1], "data": ["x"]}]});
    let answer = post(&format!("{}/v2/models/texts/infer", predictor.url), v2.to_string()).await.json();
    assert_eq!(answer["outputs"][1]["data"], json!(["X"]), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_manifests_tensorflow_key_serves_through_the_router() {
    let Some((_, library)) = golden() else { return };
    let Some(folder) = shared("models/tensorflow/saved_model_half_plus_two_cpu") else { return };
    let spec = format!(
        "  predictor: {{tensorflow: {{storageUri: {}, env: [{{name: TENSORFLOW_LIBRARY, value: {library}}}]}}}}",
        folder.display()
    );
    let (_folder, file) = manifest("half", &spec);
    let mesh = mesh(&file).await;
    let url = format!("http://{}/v1/models/half", mesh.http());
    let answer = post(&format!("{url}:predict"), r#"{"inputs": [[3.0]]}"#).await;
    assert_eq!(answer.json(), json!({"outputs": [[3.5]]}));
    let body = r#"{"signature_name": "classify_x_to_y", "examples": [{"x": 1.0}]}"#;
    let answer = post(&format!("{url}:classify"), body).await;
    assert_eq!(answer.json(), json!({"results": [[["", 2.5]]]}));
}

#[test]
fn without_the_library_it_is_told_how_to_get_it() {
    let runtime = weir_predictor::find("tensorflow").unwrap();
    let nowhere: Env = [("TENSORFLOW_LIBRARY", "/nowhere")].into_iter().collect();
    // A Python of the machine may have it; then there is nothing to miss.
    if let Err(text) = runtime.engine(&nowhere) {
        assert!(text.contains("pip install tensorflow-cpu") && text.contains("TENSORFLOW_LIBRARY"), "{text}");
        let folder = tempfile::tempdir().unwrap();
        // One graph of the tag `serve`.
        std::fs::write(folder.path().join("saved_model.pb"), b"\x12\x09\x0a\x07\x22\x05serve").unwrap();
        let options = LoadOptions { env: nowhere, ..LoadOptions::default() };
        let error = weir_predictor::load(folder.path(), None, &options).err().unwrap().to_string();
        assert!(error.contains("pip install tensorflow-cpu"), "{error}");
    }
}

/// TensorFlow takes a GPU by itself where it finds one; where one is asked for the processor does not take its place.
#[test]
fn a_gpu_that_is_asked_for_computes_or_the_model_is_refused() {
    #[derive(clap::Parser)]
    struct Flags {
        #[command(flatten)]
        gpu: GpuFlags,
    }
    let Some((folder, library)) = golden() else { return };
    let load = |args: &[&str]| {
        let flags = <Flags as clap::Parser>::parse_from([&["predictor"], args].concat());
        let options = LoadOptions { gpu: flags.gpu.try_into().unwrap(), ..options(&library) };
        weir_predictor::load(&version(&folder.join("keras_mlp")), None, &options)
    };
    // A part of the memory is no word for a GPU: TensorFlow Serving takes it on processors, too.
    assert!(load(&["--per_process_gpu_memory_fraction=0.5"]).is_ok());
    match load(&["--gpu_device=0"]) {
        Ok(_) => println!("skipped: TensorFlow has a GPU here, so there is nothing to refuse"),
        Err(error) => {
            let text = error.to_string();
            assert!(text.contains("GPU 0 is asked for") && text.contains("tensorflow[and-cuda]"), "{text}");
        }
    }
}

#[test]
fn what_keras_and_tensorflow_write_beside_saved_models_is_refused_with_the_line_that_exports_it() {
    let Some((folder, library)) = golden() else { return };
    let refuse = |path: &str| {
        let loaded = weir_predictor::load(&folder.join(path), None, &options(&library));
        loaded.err().unwrap().to_string()
    };
    let text = refuse("refused.keras");
    assert!(text.contains("Keras' own format") && text.contains(".export(\"model/1\")"), "{text}");
    let text = refuse("checkpoint");
    assert!(text.contains("a checkpoint, which holds variables and no graph"), "{text}");
}
