//! Bad input gets the status of the table and a text that tells what was met and what was expected; it costs nothing else.

use serde_json::{Value, json};

use crate::harness::{get, manifest, mesh, post, post_with, root, unready_mesh, wait_for, weir};

/// Sends a body; expects a status, an origin, and a text that holds all of `parts`.
async fn check(url: &str, body: &str, status: u16, origin: &str, parts: &[&str]) {
    let answer = post(url, body.to_owned()).await;
    assert_eq!(answer.status, status, "{body}: {}", answer.text);
    assert_eq!(answer.header("x-error-origin"), Some(origin), "{body}: {}", answer.text);
    let json = answer.json();
    let text = json["error"].as_str().unwrap_or_else(|| panic!("no `error` in {json}"));
    for part in parts {
        assert!(text.contains(part), "{body}: `{part}` is not in `{text}`");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_request_is_refused_by_the_service_that_met_it() {
    let mesh = mesh("deploy/samples/iris.yaml").await;
    let base = format!("http://{}", mesh.http());
    let predict = format!("{base}/v1/models/iris:predict");
    let explain = format!("{base}/v1/models/iris:explain");
    let infer = format!("{base}/v2/models/iris/infer");

    check(&predict, "", 400, "transformer", &["Unrecognized request format: line 1 column 1"]).await;
    check(&predict, "{not json", 400, "transformer", &["Unrecognized request format: line 1 column 2"]).await;
    check(&predict, r#"{"rows": []}"#, 400, "transformer", &["`instances`", "none"]).await;
    check(&predict, r#"{"instances": 5}"#, 400, "transformer", &[r#"Expected "instances" to be a list"#])
        .await;
    check(&predict, r#"{"instances": [[1, 2, 3]]}"#, 400, "transformer", &["3", "4"]).await;
    check(
        &predict,
        r#"{"instances": [[1, 2, 3, "abc"]]}"#,
        400,
        "transformer",
        &["abc", "expected a number"],
    )
    .await;
    check(&predict, r#"{"instances": [[1, 2], [3]]}"#, 400, "transformer", &["ragged"]).await;
    check(&predict, &format!("{{\"instances\": {}", "[".repeat(100_000)), 400, "transformer", &["nested"])
        .await;
    check(&predict, r#"{"instances": [[1e400, 1, 1, 1]]}"#, 400, "transformer", &["out of range"]).await;
    check(&predict, r#"{"instances": []}"#, 400, "transformer", &[]).await;
    // scikit-learn refuses what is not finite, and so do we: the predictor says so through the whole chain.
    check(&predict, r#"{"instances": [[1, 2, 3, NaN]]}"#, 400, "predictor", &["NaN"]).await;
    check(&explain, r#"{"instances": [[1, 2, 3]]}"#, 400, "explainer", &["3", "4"]).await;
    check(
        &infer,
        r#"{"inputs": [{"name": "x", "shape": [2, 4], "datatype": "FP64", "data": [1]}]}"#,
        400,
        "transformer",
        &["1 values", "8"],
    )
    .await;
    let unknown_output = r#"{"inputs": [{"name": "x", "shape": [1, 4], "datatype": "FP64", "data": [1, 2, 3, 4]}], "outputs": [{"name": "nope"}]}"#;
    check(
        &infer,
        unknown_output,
        400,
        "predictor",
        &["Unexpected inference output 'nope' for model 'iris'", "`predict_proba`"],
    )
    .await;

    let other = format!("{base}/v1/models/nope:predict");
    check(
        &other,
        r#"{"instances": [[1, 2, 3, 4]]}"#,
        404,
        "router",
        &["Model with name nope does not exist."],
    )
    .await;
    check(&format!("{base}/v1/models/iris:fly"), "{}", 404, "router", &["`:fly`", "`:predict`"]).await;
    check(&format!("{base}/v3/nope"), "{}", 404, "router", &["/v3/nope"]).await;
    let version = format!("{base}/v2/models/iris/versions/7/infer");
    check(
        &version,
        r#"{"inputs": [{"name": "x", "shape": [1, 4], "datatype": "FP64", "data": [1, 2, 3, 4]}]}"#,
        404,
        "predictor",
        &["version 7"],
    )
    .await;
    let answer = get(&format!("{base}/v1/models/nope")).await.unwrap();
    assert_eq!(
        (answer.status, answer.json()["error"].clone()),
        (404, json!("Model with name nope does not exist."))
    );
    assert_eq!(get(&infer).await.unwrap().status, 405);
    let late =
        post_with(&predict, r#"{"instances": [[1, 2, 3, 4]]}"#, &[("x-request-timeout-ms", "0")]).await;
    assert_eq!(late.status, 504, "{}", late.text);
    let wrong =
        post_with(&predict, r#"{"instances": [[1, 2, 3, 4]]}"#, &[("x-request-timeout-ms", "soon")]).await;
    assert_eq!(wrong.status, 400, "{}", wrong.text);

    // Nothing of all that was lost on the way: the next good request is answered.
    let answer = post(&predict, r#"{"instances": [[6.8, 2.8, 4.8, 1.4]]}"#).await;
    assert_eq!(answer.json(), json!({"predictions": ["versicolor"]}));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_sender_is_ended_by_its_deadline() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let mesh = mesh("deploy/samples/iris.yaml").await;
    let mut stream = tokio::net::TcpStream::connect(mesh.http()).await.unwrap();
    let head = "POST /v1/models/iris:predict HTTP/1.1\r\nhost: x\r\nx-request-timeout-ms: 200\r\ncontent-length: 100\r\n\r\n{";
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = [0; 512];
    let read = stream.read(&mut answer).await.unwrap();
    let answer = String::from_utf8_lossy(&answer[..read]);
    assert!(answer.starts_with("HTTP/1.1 504") && answer.contains("did not arrive"), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn more_than_may_be_in_flight_is_shed_before_its_body_is_read() {
    use tokio::io::AsyncWriteExt;
    let plan = weir::Plan::of_files(&[root().join("deploy/samples/iris.yaml")]).unwrap();
    let door = weir_sdk::ServerFlags { max_in_flight: 1, ..weir_sdk::ServerFlags::loopback() };
    let mesh = weir::Mesh::start(&plan, &weir::MeshOptions { door }).await.unwrap();
    // One request that never sends its body takes the only place.
    let mut holder = tokio::net::TcpStream::connect(mesh.http()).await.unwrap();
    let head = "POST /v1/models/iris:predict HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n";
    holder.write_all(head.as_bytes()).await.unwrap();
    let url = format!("http://{}/v1/models/iris:predict", mesh.http());
    let body = r#"{"instances": [[6.8, 2.8, 4.8, 1.4]]}"#;
    wait_for(std::time::Duration::from_secs(5), || async { post(&url, body).await.status == 429 }).await;
    let answer = post(&url, body).await;
    assert_eq!((answer.status, answer.header("retry-after")), (429, Some("1")), "{}", answer.text);
    drop(holder);
    wait_for(std::time::Duration::from_secs(5), || async { post(&url, body).await.status == 200 }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_over_the_limit_is_refused_before_it_is_kept() {
    let plan = weir::Plan::of_files(&[root().join("deploy/samples/iris.yaml")]).unwrap();
    let door = weir_sdk::ServerFlags { max_body_bytes: 1000, ..weir_sdk::ServerFlags::loopback() };
    let mesh = weir::Mesh::start(&plan, &weir::MeshOptions { door }).await.unwrap();
    let url = format!("http://{}/v1/models/iris:predict", mesh.http());
    let answer = post(&url, "x".repeat(1001)).await;
    assert_eq!((answer.status, answer.header("x-error-origin")), (413, Some("router")), "{}", answer.text);
    assert!(answer.text.contains("1000"), "{}", answer.text);
}

/// A mesh whose one model does not load; returns the text every answer then has.
async fn refused_model(file_name: &str, bytes: &[u8]) -> String {
    let models = tempfile::tempdir().unwrap();
    std::fs::write(models.path().join(file_name), bytes).unwrap();
    let spec = format!("  predictor: {{sklearn: {{storageUri: {}}}}}", models.path().display());
    let (_folder, file) = manifest("broken", &spec);
    let mesh = unready_mesh(&file).await;
    let base = format!("http://{}", mesh.http());
    let ready = format!("{base}/v2/health/ready");
    wait_for(std::time::Duration::from_secs(10), || async {
        get(&ready).await.is_ok_and(|it| it.status == 503 && !it.text.contains("loading"))
    })
    .await;
    let answer = post(&format!("{base}/v1/models/broken:predict"), r#"{"instances": [[1, 2, 3, 4]]}"#).await;
    assert_eq!((answer.status, answer.header("x-error-origin")), (503, Some("predictor")), "{}", answer.text);
    // A model that failed to load is listed all the same.
    assert_eq!(get(&format!("{base}/v1/models")).await.unwrap().json(), json!({"models": ["broken"]}));
    answer.json()["error"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_truncated_joblib_answers_503_with_the_reason() {
    let whole = std::fs::read(root().join("deploy/samples/models/iris/model.joblib")).unwrap();
    let text = refused_model("model.joblib", &whole[..whole.len() / 2]).await;
    assert!(text.starts_with("Model with name broken is not ready."), "{text}");
    assert!(text.contains("model.joblib"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_joblib_that_would_run_a_command_runs_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let witness = folder.path().join("ran");
    let hostile = format!("cposix\nsystem\n(S'touch {}'\ntR.", witness.display());
    let text = refused_model("model.joblib", hostile.as_bytes()).await;
    assert!(text.contains("posix.system"), "{text}");
    assert!(!witness.exists(), "the file ran its command");
}

/// What `weir validate` says of a manifest on standard error, and its exit code.
fn validate(text: &str) -> (i32, String) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("m.yaml");
    std::fs::write(&file, text).unwrap();
    let out = weir().current_dir(folder.path()).args(["validate", "-f", "m.yaml"]).output().unwrap();
    (out.status.code().unwrap(), String::from_utf8(out.stderr).unwrap())
}

#[test]
fn a_mistake_in_a_manifest_is_told_with_file_line_and_field() {
    let head = "apiVersion: serving.kserve.io/v1beta1\nkind: InferenceService\nmetadata: {name: m}\nspec:\n";
    let check = |spec: &str, parts: &[&str]| {
        let (code, text) = validate(&format!("{head}{spec}\n"));
        assert_eq!(code, 1, "{spec}: {text}");
        for part in parts {
            assert!(text.contains(part), "{spec}: `{part}` is not in `{text}`");
        }
    };
    check("  predictor:\n    modle: {}", &["m.yaml:6:", "modle", "did you mean `model`"]);
    check(
        "  predictor: {sklearn: {storageUri: nowhere}}",
        &["m.yaml:5:", "storageUri", "nowhere does not exist"],
    );
    check(
        "  predictor: {sklearn: {storageUri: gcs://b/m}}",
        &["m.yaml:5:", "unknown scheme `gcs`", "`file://`", "`gs://`"],
    );
    check(
        "  predictor: {model: {modelFormat: {name: pmml2}, storageUri: .}}",
        &[
            "m.yaml:5:",
            "unknown model format `pmml2`; this build knows sklearn, xgboost, lightgbm, pmml, python, tensorflow, onnx, tensorrt, \
             triton, pytorch",
        ],
    );
    check(
        "  predictor: {sklearn: {storageUri: .}}\n  transformer: {steps: [{scael: {}}]}",
        &["m.yaml:6:", "scael", "scale"],
    );
    check(
        "  predictor: {sklearn: {storageUri: .}}\n  explainer: {method: magic}",
        &["m.yaml:6:", "unknown explainer `magic`; this build knows kernel_shap"],
    );
    check(
        "  predictor: {containers: [{name: c, image: \"example/app:1\"}]}",
        &["m.yaml:5:", "example/app:1", "container engine"],
    );
}

#[test]
fn validate_tells_what_each_component_gets() {
    let out = weir().current_dir(root()).args(["validate", "-f", "deploy/samples"]).output().unwrap();
    let text = String::from_utf8(out.stdout).unwrap();
    assert!(out.status.success(), "{text}{}", String::from_utf8_lossy(&out.stderr));
    assert!(text.contains("iris: ok") && text.contains("runtime `sklearn`"), "{text}");
    assert!(text.contains("penguins: ok") && text.contains("runtime `xgboost`"), "{text}");
}

#[test]
fn the_command_helps() {
    for args in [vec!["--help"], vec!["run", "--help"], vec!["predictor", "--help"], vec!["router", "--help"]]
    {
        let out = weir().args(&args).output().unwrap();
        assert!(out.status.success(), "{args:?}: {}", String::from_utf8_lossy(&out.stderr));
        assert!(String::from_utf8_lossy(&out.stdout).contains("Usage"), "{args:?}");
    }
    let out = weir().args(["explainer", "--method", "kernel_shap"]).output().unwrap();
    assert_eq!(out.status.code(), Some(64));
    assert!(String::from_utf8_lossy(&out.stderr).contains("--predictor_host"), "{out:?}");
    // A YAML list begins with a dash, and is a value all the same; an unknown flag is told, not silently lost.
    let out = weir()
        .args(["transformer", "--nobody_knows", "4", "--steps", "- labels: {nmaes: [a]}"])
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&out.stderr).into_owned();
    assert_eq!(out.status.code(), Some(64), "{text}");
    assert!(text.contains("nmaes") && text.contains("unknown flag `--nobody_knows`"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn components_as_containers_of_weirs_images_run_here() {
    let models = root().join("deploy/samples/models");
    let iris: Value =
        serde_json::from_str(&std::fs::read_to_string(models.join("iris-scaler.json")).unwrap()).unwrap();
    let steps = json!([{"scale": {"mean": iris["mean"], "scale": iris["scale"]}}]).to_string();
    let spec = format!(
        "  predictor: {{model: {{modelFormat: {{name: sklearn}}, storageUri: {0}/iris}}}}\n  \
           transformer: {{containers: [{{name: kserve-container, image: \"registry/weir-transformer:1\", \
             env: [{{name: STEPS, value: '{steps}'}}]}}]}}\n  \
           explainer: {{containers: [{{name: kserve-container, image: weir-explainer, \
             args: [--method=kernel_shap, --storage_uri=/mnt/models, --config, '{{output: predict_proba}}'], \
             env: [{{name: STORAGE_URI, value: {0}/iris-explainer}}]}}]}}",
        models.display()
    );
    let (_folder, file) = manifest("iris", &spec);
    let mesh = mesh(&file).await;
    let base = format!("http://{}/v1/models/iris", mesh.http());
    let body = r#"{"instances": [[6.8, 2.8, 4.8, 1.4]]}"#;
    assert_eq!(post(&format!("{base}:predict"), body).await.json(), json!({"predictions": [1]}));
    assert_eq!(post(&format!("{base}:explain"), body).await.status, 200);
}
