//! What each format says of what computes it: that it needs nothing, or what is missing on this machine and how to get it, to
//! whoever asks the runtime and to whoever validates a manifest.

use weir_predictor::runtime::RUNTIMES;
use weir_sdk::Env;

use crate::harness::{manifest, weir};

/// What `engine` says in an empty environment: what it begins with and holds where nothing is missing, and what it holds where
/// something is.
const TEXTS: [(&str, &str, &[&str]); 10] = [
    ("sklearn", "this build itself", &[]),
    ("xgboost", "this build itself", &[]),
    ("lightgbm", "this build itself", &[]),
    ("pmml", "this build itself", &[]),
    ("python", "processes of", &["there is no Python", "install Python 3.8 or newer", "--python"]),
    (
        "tensorflow",
        "TensorFlow's library at",
        &["TensorFlow's library is not here", "pip install tensorflow-cpu", "TENSORFLOW_LIBRARY"],
    ),
    ("onnx", "ONNX Runtime at", &["this build itself", "pip install onnxruntime", "ORT_DYLIB_PATH"]),
    (
        "tensorrt",
        "ONNX models",
        &[
            "for engines, TensorRT is not here",
            "pip install tensorrt-cu12",
            "WEIR_LIBNVINFER",
            "build.sh tensorrt",
            "for ONNX models, ONNX Runtime",
            "libonnxruntime_providers_tensorrt.so",
            "onnxruntime-gpu",
            "--upstream=HOST:PORT",
        ],
    ),
    ("triton", "another server", &["no Triton runs here", "--upstream=HOST:PORT"]),
    (
        "pytorch",
        "libtorch at",
        &["PyTorch is not here", "pip install torch", "WEIR_LIBTORCH", "build.sh torch python3"],
    ),
];

#[test]
fn each_format_says_what_is_missing_and_how_to_get_it_or_that_it_needs_nothing() {
    assert_eq!(RUNTIMES.len(), TEXTS.len(), "a runtime has no line here");
    for (format, here, missing) in TEXTS {
        let runtime = weir_predictor::find(format).unwrap();
        let told = runtime.engine(&Env::default());
        let text = told.clone().unwrap_or_else(|it| it);
        // A Python of the machine may have a library.
        if told.is_ok() && text.contains(here) {
            assert!(!missing.is_empty() || text == here, "{format}: {text}");
            println!("{format} is here: {text}");
            continue;
        }
        for part in missing {
            assert!(text.contains(part), "{format}: `{part}` is not in: {text}");
        }
        assert!(!missing.is_empty(), "{format}: {text}");
        assert_eq!(told.is_ok(), format == "onnx", "{format}: {text}");
    }
}

#[test]
fn validate_says_of_each_format_what_the_runtime_does() {
    for (format, ..) in TEXTS {
        let spec = format!("  predictor: {{model: {{modelFormat: {{name: {format}}}, storageUri: .}}}}");
        let (_folder, file) = manifest("m", &spec);
        let out = weir().args(["validate", "-f"]).arg(&file).output().unwrap();
        let (said, warned) = (String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
        assert!(out.status.success(), "{format}: {warned}");
        match weir_predictor::find(format).unwrap().engine(&Env::default()) {
            Ok(engine) => assert!(said.contains(&format!("served by {engine}")), "{format}: {said}"),
            Err(missing) => {
                let told = format!("the model will not be loaded here: {missing}");
                assert!(
                    warned.contains(&told) && said.contains("nothing on this machine"),
                    "{format}: {warned}"
                );
            }
        }
    }
}

#[test]
fn a_gpu_among_the_resources_is_told_where_args_do_not_say_it() {
    let told = |format: &str, args: &str, count: &str| {
        let spec = format!(
            "  predictor: {{model: {{modelFormat: {{name: {format}}}, storageUri: ., args: [{args}], resources: {{limits: \
             {{nvidia.com/gpu: {count}}}}}}}}}"
        );
        let (_folder, file) = manifest("m", &spec);
        let out = weir().args(["validate", "-f"]).arg(&file).output().unwrap();
        let text = String::from_utf8_lossy(&out.stderr).into_owned();
        text.lines().find(|it| it.contains("asks for a GPU")).map(str::to_owned)
    };
    let text = told("pytorch", "", "1").unwrap();
    assert!(
        text.contains("resources: asks for a GPU") && text.contains("`--pytorch_device=cuda` in args"),
        "{text}"
    );
    assert!(told("onnx", "", "\"2\"").unwrap().contains("`--onnx_providers=cuda`"));
    for (format, args, count) in [
        ("pytorch", "--pytorch_device=cuda", "1"),
        ("onnx", "--onnx_providers, cuda", "1"),
        ("onnx", "", "0"),
        ("sklearn", "", "1"),
    ] {
        assert_eq!(told(format, args, count), None, "{format} {args} {count}");
    }
}

/// No engine without ONNX Runtime or CUDA computes on a GPU: what there is for processors does not count then.
#[test]
fn validate_says_what_is_missing_of_a_gpu_that_args_ask_for() {
    for (format, args, part) in [
        ("onnx", "--onnx_providers=cuda", "libonnxruntime_providers_cuda.so"),
        ("onnx", "--onnx_providers=tensorrt", "libonnxruntime_providers_tensorrt.so"),
        ("pytorch", "--pytorch_device=cuda:1", "libtorch_cuda.so"),
    ] {
        let runtime = weir_predictor::find(format).unwrap();
        let engine = runtime.gpu_engine(&Env::default(), args.split_once('=').unwrap().1);
        let text = engine.clone().unwrap_or_else(|it| it);
        // What computes is named by its file, where it is and where it is not.
        assert!(text.contains(part), "{args}: {text}");
        let spec = format!(
            "  predictor: {{model: {{modelFormat: {{name: {format}}}, storageUri: ., args: [{args}]}}}}"
        );
        let (_folder, file) = manifest("m", &spec);
        let out = weir().args(["validate", "-f"]).arg(&file).output().unwrap();
        let said = if engine.is_ok() { out.stdout } else { out.stderr };
        let said = String::from_utf8_lossy(&said);
        assert!(said.contains(&text), "{args}: {said}");
    }
}
