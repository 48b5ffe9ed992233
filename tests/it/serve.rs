//! The chain on real models: what it answers is what the frameworks answer.

use std::path::Path;

use serde_json::{Value, json};

use crate::harness::{Answer, client, get, manifest, mesh, post, post_with, root, shared};

fn expected() -> Value {
    let text = std::fs::read_to_string(root().join("deploy/samples/models/expected.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

pub(crate) fn numbers(value: &Value) -> Vec<f64> {
    match value {
        Value::Array(items) => items.iter().flat_map(numbers).collect(),
        other => vec![other.as_f64().unwrap_or_else(|| panic!("no number: {other}"))],
    }
}

#[track_caller]
pub(crate) fn assert_close(got: &Value, want: &Value, tolerance: f64) {
    let (got, want) = (numbers(got), numbers(want));
    assert_eq!(got.len(), want.len(), "{got:?} against {want:?}");
    for (at, (a, b)) in got.iter().zip(&want).enumerate() {
        assert!((a - b).abs() <= tolerance, "number {at} is {a}, expected {b} within {tolerance}");
    }
}

async fn predict(url: &str, instances: &Value) -> Answer {
    post(url, json!({ "instances": instances }).to_string()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn iris_answers_as_scikit_learn_does_through_the_chain() {
    let mesh = mesh("deploy/samples/iris.yaml").await;
    let base = format!("http://{}", mesh.http());
    let want = &expected()["iris"];
    let answer = predict(&format!("{base}/v1/models/iris:predict"), &want["instances"]).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let names: Vec<_> = want["predict"]
        .as_array()
        .unwrap()
        .iter()
        .map(|class| want["classes"][usize::try_from(class.as_u64().unwrap()).unwrap()].clone())
        .collect();
    assert_eq!(answer.json(), json!({ "predictions": names }));

    // V2, with the output that holds the probabilities.
    let body = json!({
        "id": "7",
        "inputs": [{"name": "x", "shape": [4, 4], "datatype": "FP64", "data": want["instances"]}],
        "outputs": [{"name": "predict_proba"}, {"name": "predict"}],
    });
    let answer = post(&format!("{base}/v2/models/iris/infer"), body.to_string()).await.json();
    assert_eq!(answer["id"], "7");
    assert_eq!(answer["model_name"], "iris");
    assert_eq!(answer["outputs"][0]["name"], "predict_proba");
    assert_eq!(answer["outputs"][0]["shape"], json!([4, 3]));
    assert_close(&answer["outputs"][0]["data"], &want["predict_proba"], 1e-9);
    assert_eq!(answer["outputs"][1]["data"], json!(names));
}

#[tokio::test(flavor = "multi_thread")]
async fn penguins_answer_as_xgboost_does_with_categories_by_name() {
    let mesh = mesh("deploy/samples/penguins.yaml").await;
    let base = format!("http://{}/v1/models/penguins", mesh.http());
    let want = &expected()["penguins"];
    let columns: Vec<_> = want["columns"].as_array().unwrap().iter().map(|it| it.as_str().unwrap()).collect();
    let rows: Vec<Value> = want["instances"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| {
            columns
                .iter()
                .zip(row.as_array().unwrap())
                .map(|(name, cell)| ((*name).to_owned(), cell.clone()))
                .collect()
        })
        .collect();
    let answer = predict(&format!("{base}:predict"), &json!(rows)).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert_close(&answer.json()["predictions"], &want["predict_proba"], 1e-6);

    let explained = predict(&format!("{base}:explain"), &json!([rows[0]])).await;
    assert_eq!(explained.status, 200, "{}", explained.text);
    assert_additive(&explained.json(), 1e-6);
    assert_eq!(explained.json()["data"]["feature_names"], json!(columns));

    let mut strange = rows[0].clone();
    strange["island"] = json!("Atlantis");
    let refused = predict(&format!("{base}:predict"), &json!([strange])).await;
    assert_eq!((refused.status, refused.header("x-error-origin")), (400, Some("transformer")));
    assert!(refused.text.contains("Atlantis") && refused.text.contains("Biscoe"), "{}", refused.text);
}

/// The values of each class and the class's base sum to what the model answered.
#[track_caller]
fn assert_additive(explained: &Value, tolerance: f64) {
    let data = &explained["data"];
    let classes = data["shap_values"].as_array().unwrap();
    assert!(!classes.is_empty());
    for (class, instances) in classes.iter().enumerate() {
        for (instance, values) in instances.as_array().unwrap().iter().enumerate() {
            let sum: f64 =
                numbers(values).iter().sum::<f64>() + data["expected_value"][class].as_f64().unwrap();
            let raw = data["raw"]["raw_prediction"][instance][class].as_f64().unwrap();
            assert!((sum - raw).abs() <= tolerance, "class {class}: {sum} against {raw}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn iris_explanations_sum_to_the_models_output() {
    let mesh = mesh("deploy/samples/iris.yaml").await;
    let base = format!("http://{}", mesh.http());
    let want = &expected()["iris"];
    let explained = predict(&format!("{base}/v1/models/iris:explain"), &json!([want["instances"][0]])).await;
    assert_eq!(explained.status, 200, "{}", explained.text);
    let explained = explained.json();
    assert_additive(&explained, 1e-6);
    assert_close(&explained["data"]["raw"]["raw_prediction"][0], &want["predict_proba"][0], 1e-6);
    assert_eq!(explained["data"]["quality"]["exact"], true);

    // The same explanation in the V2 protocol: one string that holds the JSON.
    let body =
        json!({"inputs": [{"name": "x", "shape": [1, 4], "datatype": "FP64", "data": want["instances"][0]}]});
    let answer = post(&format!("{base}/v2/models/iris/explain"), body.to_string()).await.json();
    let inner: Value = serde_json::from_str(answer["outputs"][0]["data"][0].as_str().unwrap()).unwrap();
    assert_eq!(inner["data"]["shap_values"], explained["data"]["shap_values"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn shapley_values_of_a_real_model_equal_brute_force() {
    let Some(case) = shared("golden/explain/cases/iris_lr") else { return };
    let spec = format!(
        "  predictor: {{model: {{modelFormat: {{name: sklearn}}, storageUri: {0}/model.joblib}}}}\n  \
           explainer: {{method: kernel_shap, storageUri: {0}, config: {{data: train.csv, rows: 50, output: predict_proba}}}}",
        case.display()
    );
    let (_folder, file) = manifest("iris-lr", &spec);
    let mesh = mesh(&file).await;
    let want: Value =
        serde_json::from_str(&std::fs::read_to_string(case.join("shapley_exact.json")).unwrap()).unwrap();
    let rows: Vec<Vec<f64>> = csv_rows(&case.join("instances.csv"));
    let count = want["shap_values"].as_array().unwrap().len();
    let url = format!("http://{}/v1/models/iris-lr:explain", mesh.http());
    let explained = predict(&url, &json!(rows[..count])).await;
    assert_eq!(explained.status, 200, "{}", explained.text);
    let explained = explained.json();
    assert_additive(&explained, 1e-6);
    let tolerance = want["atol"].as_f64().unwrap_or(1e-6);
    assert_close(&explained["data"]["expected_value"], &want["base"], tolerance);
    for instance in 0..count {
        for (class, values) in explained["data"]["shap_values"].as_array().unwrap().iter().enumerate() {
            let golden: Vec<_> = want["shap_values"][instance]
                .as_array()
                .unwrap()
                .iter()
                .map(|feature| feature[class].clone())
                .collect();
            assert_close(&values[instance], &json!(golden), tolerance);
        }
    }
}

fn csv_rows(path: &Path) -> Vec<Vec<f64>> {
    let text = std::fs::read_to_string(path).unwrap();
    text.lines()
        .skip(1)
        .map(|line| line.split(',').map(|cell| cell.trim().parse().unwrap()).collect())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn real_models_that_nobody_here_made_are_served() {
    for (path, format) in [
        ("models/sklearn/kserve-iris-svc", "sklearn"),
        ("models/sklearn/kfserving-iris-svc", "sklearn"),
        ("models/xgboost/kserve-iris-json", "xgboost"),
        ("models/lightgbm/kserve-iris", "lightgbm"),
    ] {
        let Some(folder) = shared(path) else { return };
        let spec = format!(
            "  predictor: {{model: {{modelFormat: {{name: {format}}}, storageUri: {}}}}}",
            folder.display()
        );
        let (_folder, file) = manifest("real", &spec);
        let mesh = mesh(&file).await;
        let rows = json!([[6.8, 2.8, 4.8, 1.4], [6.0, 3.4, 4.5, 1.6]]);
        let answer = predict(&format!("http://{}/v1/models/real:predict", mesh.http()), &rows).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text);
        // A booster of softprob answers probabilities; every other answers the class.
        let classes: Vec<usize> = answer.json()["predictions"]
            .as_array()
            .unwrap()
            .iter()
            .map(|it| match it {
                Value::Array(_) => {
                    let row = numbers(it);
                    (0..row.len()).max_by(|&a, &b| row[a].total_cmp(&row[b])).unwrap()
                }
                class => class.as_f64().unwrap() as usize,
            })
            .collect();
        assert_eq!(classes, [1, 1], "{path}: {}", answer.text);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lightgbm_model_answers_rows_by_position_and_by_name_to_the_last_bit() {
    let testdata = root().join("predictor/testdata/lightgbm/4.7.0");
    let folder = tempfile::tempdir().unwrap();
    std::fs::copy(testdata.join("binary.txt"), folder.path().join("model.bst")).unwrap();
    let spec = format!("  predictor: {{lightgbm: {{storageUri: {}}}}}", folder.path().display());
    let (_folder, file) = manifest("titanic", &spec);
    let mesh = mesh(&file).await;
    // The first row of the file that has no value missing.
    let answers = std::fs::read_to_string(testdata.join("binary.answers")).unwrap();
    let parse = |it: &str| f64::from_bits(u64::from_str_radix(it, 16).unwrap());
    let parts = answers.lines().map(|line| line.split(';').map(|part| part.split(' ').map(parse).collect()));
    let mut rows = parts.map(|line| line.collect::<Vec<Vec<f64>>>());
    let row = rows.find(|row| row[0].iter().all(|it| it.is_finite())).unwrap();
    let named: serde_json::Map<_, _> = ["age", "fare", "größe", "class", "sibsp"]
        .into_iter()
        .zip(&row[0])
        .map(|(name, &value)| (name.to_owned(), json!(value)))
        .collect();
    let url = format!("http://{}/v1/models/titanic:predict", mesh.http());
    for instances in [json!([row[0]]), json!([named])] {
        let answer = predict(&url, &instances).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        assert_eq!(numbers(&answer.json()["predictions"]), row[2], "{}", answer.text);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_v1alpha2_canary_gets_its_share() {
    let folder = tempfile::tempdir().unwrap();
    let models = root().join("deploy/samples/models");
    let text = format!(
        "apiVersion: serving.kubeflow.org/v1alpha2\nkind: InferenceService\nmetadata: {{name: both}}\nspec:\n  \
           canaryTrafficPercent: 20\n  default: {{predictor: {{sklearn: {{storageUri: {0}/iris}}}}}}\n  \
           canary: {{predictor: {{xgboost: {{storageUri: {0}/penguins}}}}}}\n",
        models.display()
    );
    let file = folder.path().join("both.yaml");
    std::fs::write(&file, text).unwrap();
    let mesh = mesh(&file).await;
    let url = format!("http://{}/v1/models/both:predict", mesh.http());
    let (mut iris, mut penguins) = (0, 0);
    for _ in 0..100 {
        // Four features: the model of six says so.
        match predict(&url, &json!([[1, 2, 3, 4]])).await {
            Answer { status: 200, .. } => iris += 1,
            Answer { status: 400, text, .. } if text.contains("expects 6") => penguins += 1,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!((iris, penguins), (80, 20));
}

#[tokio::test(flavor = "multi_thread")]
async fn metadata_listing_and_health_are_told() {
    let mesh = mesh("deploy/samples/iris.yaml").await;
    let base = format!("http://{}", mesh.http());
    let json = |path: &str| {
        let url = format!("{base}{path}");
        async move { get(&url).await.unwrap().json() }
    };
    assert_eq!(json("/").await, json!({"status": "alive"}));
    assert_eq!(json("/v1/models").await, json!({"models": ["iris"]}));
    let status =
        json!({"version": "1", "state": "AVAILABLE", "status": {"error_code": "OK", "error_message": ""}});
    let want = json!({"name": "iris", "ready": true, "model_version_status": [status]});
    for path in ["/v1/models/iris", "/v1/models/iris/versions/1"] {
        assert_eq!(json(path).await, want);
    }
    assert_eq!(json("/v2/health/live").await, json!({"live": true}));
    assert_eq!(json("/v2/health/ready").await, json!({"ready": true}));
    assert_eq!(json("/v2/models/iris/ready").await, json!({"name": "iris", "ready": true}));
    assert_eq!(json("/v2").await["name"], "weir");
    let metadata = json("/v2/models/iris").await;
    assert_eq!(metadata["platform"], "sklearn_joblib");
    assert_eq!(metadata["inputs"], json!([{"name": "input-0", "datatype": "FP64", "shape": [-1, 4]}]));
    assert_eq!(metadata["outputs"][0], json!({"name": "predict", "datatype": "INT64", "shape": [-1]}));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_id_comes_back_and_nothing_else_does() {
    let mesh = mesh("deploy/samples/iris.yaml").await;
    let url = format!("http://{}/v1/models/iris:predict", mesh.http());
    let body = r#"{"instances": [[6.8, 2.8, 4.8, 1.4]]}"#;
    let headers = [
        ("x-request-id", "abc"),
        ("authorization", "secret"),
        ("cookie", "c=1"),
        ("content-type", "text/plain"),
    ];
    let answer = post_with(&url, body, &headers).await;
    assert_eq!((answer.status, answer.header("x-request-id")), (200, Some("abc")));
    assert!(answer.header("authorization").is_none() && answer.header("cookie").is_none());
    let answer = client().post(&url).body(body).send().await.unwrap();
    assert_eq!(answer.headers()["x-request-id"].len(), 36);
}
