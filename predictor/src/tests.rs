//! Which runtime reads a file, and which file of a folder is the model.

use std::path::PathBuf;

use super::*;

fn testdata(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata").join(file)
}

/// A new folder with these files: a name, and what is copied there or written.
fn folder(name: &str, files: &[(&str, Result<&str, &str>)]) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("weir-predictor-{}-{name}", std::process::id()));
    // It is there only if a process of that number died before it cleaned up.
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).unwrap();
    for (file, content) in files {
        let bytes = match content {
            Ok(from) => std::fs::read(testdata(from)).unwrap(),
            Err(text) => text.as_bytes().to_vec(),
        };
        std::fs::write(folder.join(file), bytes).unwrap();
    }
    folder
}

/// The platform of the model that is found, or the error.
fn loaded(format: Option<&str>, files: &[(&str, Result<&str, &str>)]) -> String {
    static COUNT: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);
    let name = COUNT.fetch_add(1, std::sync::atomic::Ordering::Relaxed).to_string();
    let folder = folder(&name, files);
    let runtime = format.map(|it| find(it).unwrap());
    let outcome = match load(&folder, runtime, &LoadOptions::default()) {
        Ok(model) => model.signature().platform.clone(),
        Err(error) => error.to_string().replace(&folder.display().to_string(), "FOLDER"),
    };
    std::fs::remove_dir_all(folder).unwrap();
    outcome
}

#[test]
fn a_shared_ending_is_told_apart_by_content() {
    let table = [
        ("model.bst", "lightgbm/4.7.0/binary.txt", "lightgbm_text"),
        ("model.bst", "lightgbm/3.3.5/binary.json", "lightgbm_json"),
        ("model.json", "lightgbm/4.7.0/binary.json", "lightgbm_json"),
        ("model.txt", "lightgbm/4.7.0/binary.txt", "lightgbm_text"),
        ("model.bst", "xgboost/3.2.0/binary.ubj", "xgboost_ubjson"),
        ("model.bst", "xgboost/1.7.6/binary.json", "xgboost_json"),
        ("model.json", "xgboost/3.2.0/binary.json", "xgboost_json"),
    ];
    for (file, content, platform) in table {
        assert_eq!(loaded(None, &[(file, Ok(content))]), platform, "{content} as {file}");
        let (format, _) = content.split_once('/').unwrap();
        assert_eq!(loaded(Some(format), &[(file, Ok(content))]), platform, "{content} as {file}");
    }
}

#[test]
fn files_that_are_no_models_do_not_count() {
    let model = ("model.bst", Ok("lightgbm/4.7.0/binary.txt"));
    let beside =
        [model, ("requirements.txt", Err("numpy\n")), ("model-settings.json", Err("{\"name\": \"iris\"}"))];
    assert_eq!(loaded(None, &beside), "lightgbm_text");
    assert_eq!(loaded(Some("lightgbm"), &beside), "lightgbm_text");
    let two = [model, ("other.json", Ok("xgboost/3.2.0/binary.json"))];
    assert_eq!(
        loaded(None, &two),
        "FOLDER holds 2 model files; exactly one is needed, ending in .joblib, .pkl, .pickle, .bst, .json, .ubj, .txt, .pmml, .pb, .pbtxt, .onnx, .pt, .pth, .pt2, .mar"
    );
    assert_eq!(loaded(Some("lightgbm"), &two), "lightgbm_text");
    assert_eq!(loaded(Some("xgboost"), &two), "xgboost_json");
}

#[test]
fn what_no_format_knows_is_told_format_by_format() {
    let met = loaded(None, &[("model.bst", Err("booster\n"))]);
    let wanted = "FOLDER/model.bst: not xgboost: the model's parameters, 136 bytes from byte 0 on, run past the end of the file \
                  at 8; expected a model in the binary format of XGBoost until 3.0, JSON or UBJSON; \
                  not lightgbm: its first line is not `tree`, so it is not a model that";
    assert!(met.starts_with(wanted), "{met}");
    let old = loaded(None, &[("model.bst", Ok("xgboost/0.72.1/binary.bst"))]);
    assert_eq!(old, "xgboost_binary");
    let named = loaded(Some("lightgbm"), &[("model.bst", Ok("xgboost/3.2.0/binary.ubj"))]);
    assert!(named.starts_with("FOLDER/model.bst: "), "{named}");
    assert!(!named.contains("not xgboost"), "{named}");
}
