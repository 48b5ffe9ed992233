//! Several models in one predictor, by every way to say which.

use std::path::Path;

use serde_json::json;

use super::{LATE, POLL, ask, held, index, place, predictor, ready, serves, until, url};
use crate::harness::{get, post, wait_for};

/// What there is of a list, by name.
async fn names(running: &weir_sdk::Running) -> Vec<String> {
    let told = get(&url(running, "/v1/models")).await.unwrap().json();
    told["models"].as_array().unwrap().iter().map(|it| it.as_str().unwrap().to_owned()).collect()
}

fn predict(model: &str) -> String {
    format!("/v1/models/{model}:predict")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_configuration_of_tensorflow_serving_is_served_and_read_again() {
    let folder = tempfile::tempdir().unwrap();
    let lies = |path: &str| folder.path().join(path);
    for version in [1, 2, 3] {
        place(&lies(&format!("a/{version}")), version, 1);
    }
    place(&lies("b/20"), 20, 1);
    let file = lies("models.config");
    let write = |policy: &str, rest: &str| {
        let text = format!(
            "model_config_list {{\n  config {{ name: 'a' base_path: '{}' model_platform: 'xgboost'\n    model_version_policy \
             {{ {policy} }}\n    version_labels {{ key: 'stable' value: 1 }}\n    version_labels {{ key: 'canary' value: 2 }} }}\n{rest}}}\n",
            lies("a").display()
        );
        std::fs::write(&file, text).unwrap();
    };
    let b = format!("  config {{ name: 'b' base_path: '{}' }}\n", lies("b").display());
    write("specific { versions: 1 versions: 2 }", &b);
    let flag = format!("--model_config_file={}", file.display());
    let running = ready(&[&flag, POLL, "--model_base_path=/nowhere"]).await;
    assert!(serves(&running, "a", &["1", "2"]).await && serves(&running, "b", &["20"]).await);
    assert_eq!(names(&running).await, ["a", "b"]);
    assert_eq!(ask(&running, "/v1/models/a/labels/stable:predict").await.unwrap(), 1);
    assert_eq!(ask(&running, &predict("b")).await.unwrap(), 20);
    assert_eq!(ask(&running, &predict("model")).await.unwrap_err().status, 404);
    write("latest { num_versions: 1 }", "");
    wait_for(LATE, || serves(&running, "a", &["3"])).await;
    wait_for(LATE, || async { names(&running).await == ["a"] }).await;
    assert_eq!(ask(&running, &predict("b")).await.unwrap_err().status, 404);
    // What is no configuration changes nothing.
    std::fs::write(&file, "model_config_list {").unwrap();
    let load = post(&url(&running, "/v2/repository/models/a/load"), "").await;
    assert_eq!((load.status, ask(&running, &predict("a")).await.unwrap()), (200, 3));
    let wrong = weir_predictor::build(&weir_sdk::Launch { args: vec![flag], ..Default::default() });
    let wrong = wrong.map(|_| ()).unwrap_err().to_string();
    assert!(wrong.ends_with("models.config: line 1: the text ends, expected `}`"), "{wrong}");
}

fn entry(name: &str, path: &Path, framework: &str) -> serde_json::Value {
    json!({"modelName": name, "modelSpec": {"storageUri": format!("file://{}", path.display()), "framework": framework, "memory": "1Mi"}})
}

#[tokio::test(flavor = "multi_thread")]
async fn the_agents_models_json_adds_and_removes_models() {
    let folder = tempfile::tempdir().unwrap();
    let lies = |path: &str| folder.path().join(path);
    for (name, number) in [("a", 1), ("b", 2), ("c", 3)] {
        place(&lies(&format!("store/{name}")), number, 1);
    }
    // Kubernetes puts another folder in the place of the one that is linked.
    let write = |generation: &str, models: serde_json::Value| {
        let data = lies(generation);
        std::fs::create_dir(&data).unwrap();
        std::fs::write(data.join("models.json"), models.to_string()).unwrap();
        std::os::unix::fs::symlink(&data, lies("new")).unwrap();
        std::fs::rename(lies("new"), lies("..data")).unwrap();
    };
    write("1", json!([entry("a", &lies("store/a"), "xgboost"), entry("b", &lies("store/b"), "")]));
    let flag = format!("--models_config={}", lies("..data/models.json").display());
    let running = ready(&[&flag, POLL]).await;
    let admin = running.admin.unwrap().to_string();
    assert_eq!(
        (ask(&running, &predict("a")).await.unwrap(), ask(&running, &predict("b")).await.unwrap()),
        (1, 2)
    );
    let declared: Vec<_> = held(&admin).await.iter().map(|it| it.1).collect();
    assert_eq!(declared, [1 << 20; 2]);
    // One goes, one comes, one lies elsewhere, and one is of a format that nobody knows.
    let changed = [
        entry("a", &lies("store/c"), "xgboost"),
        entry("c", &lies("store/c"), "xgboost"),
        entry("d", &lies("store/c"), "prophet"),
    ];
    write("2", json!(changed));
    wait_for(LATE, || async { names(&running).await == ["a", "c", "d"] }).await;
    wait_for(LATE, || async { ask(&running, &predict("a")).await.is_ok_and(|it| it == 3) }).await;
    wait_for(LATE, || async { ask(&running, &predict("c")).await.is_ok_and(|it| it == 3) }).await;
    let refused = ask(&running, &predict("d")).await.unwrap_err();
    assert!(
        refused.status == 503 && refused.text.contains("unknown model format `prophet`"),
        "{}",
        refused.text
    );
    assert_eq!(get(&url(&running, "/v2/models/c/ready")).await.unwrap().status, 200);
    assert_eq!(get(&url(&running, "/v2/models/d/ready")).await.unwrap().status, 503);
    assert_eq!(get(&url(&running, "/v2/health/ready")).await.unwrap().status, 503);
    write("3", json!([]));
    wait_for(LATE, || async { names(&running).await.is_empty() && held(&admin).await.is_empty() }).await;
    assert_eq!(get(&url(&running, "/v2/health/ready")).await.unwrap().status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repositorys_folders_are_models_that_come_by_name_or_by_themselves() {
    let folder = tempfile::tempdir().unwrap();
    let lies = |path: &str| folder.path().join("models").join(path);
    place(&lies("a/1"), 1, 1);
    place(&lies("b"), 2, 1);
    let flag = format!("--model_repository={}", folder.path().join("models").display());
    let running = ready(&[&flag, POLL]).await;
    assert_eq!(names(&running).await, ["a", "b"]);
    place(&lies("c/7"), 7, 1);
    let load = |name: &str| {
        let url = url(&running, &format!("/v2/repository/models/{name}/load"));
        async move { post(&url, "").await.status }
    };
    assert_eq!(ask(&running, &predict("c")).await.unwrap_err().status, 404);
    assert_eq!((load("c").await, load("nobody").await, load("..").await), (200, 404, 404));
    assert_eq!(ask(&running, &predict("c")).await.unwrap(), 7);
    assert_eq!(post(&url(&running, "/v2/repository/models/a/unload"), "").await.status, 200);
    assert_eq!(ask(&running, &predict("a")).await.unwrap_err().status, 404);
    let told: Vec<_> =
        index(&running).await.iter().map(|it| (it["name"].clone(), it["state"].clone())).collect();
    let row = |name: &str, state: &str| (json!(name), json!(state));
    assert_eq!(told, [row("a", "UNAVAILABLE"), row("b", "READY"), row("c", "READY")]);
    // A model whose folder has gone is unloaded, and then it is not there any more.
    assert_eq!(post(&url(&running, "/v2/repository/models/c/unload"), "").await.status, 200);
    std::fs::remove_dir_all(lies("c")).unwrap();
    wait_for(LATE, || async { index(&running).await.len() == 2 }).await;
    let watching = ready(&[&flag, POLL, "--model_control_mode=poll"]).await;
    place(&lies("d"), 9, 1);
    wait_for(LATE, || async { ask(&watching, &predict("d")).await.is_ok_and(|it| it == 9) }).await;
    std::fs::remove_dir_all(lies("a")).unwrap();
    wait_for(LATE, || async { names(&watching).await == ["b", "d"] }).await;
    assert_eq!(post(&url(&watching, "/v2/repository/models/b/unload"), "").await.status, 403);
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_ready_once_every_model_has_loaded_or_has_failed() {
    let folder = tempfile::tempdir().unwrap();
    let lies = |path: &str| folder.path().join("models").join(path);
    for number in 0..12 {
        place(&lies(&format!("m{number:02}")), number, 1);
    }
    let flag = format!("--model_repository={}", folder.path().join("models").display());
    let running = ready(&[&flag, POLL]).await;
    for number in 0..12 {
        assert_eq!(ask(&running, &predict(&format!("m{number:02}"))).await.unwrap(), number);
    }
    std::fs::write(lies("m03/model.json"), "{").unwrap();
    let broken = predictor(&[&flag, POLL]).await;
    until(&broken, "/v2/health/ready", |it| it.status == 503 && it.text.contains("m03: model.json")).await;
    until(&broken, "/v2/models/m04/ready", |it| it.status == 200).await;
    assert_eq!(ask(&broken, &predict("m04")).await.unwrap(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn trained_models_are_served_by_the_predictor_of_their_service() {
    let folder = tempfile::tempdir().unwrap();
    let lies = |path: &str| folder.path().join(path);
    place(&lies("store/a"), 1, 1);
    place(&lies("store/b/4"), 4, 1);
    let trained = |name: &str, service: &str, path: &str| {
        format!(
            "apiVersion: serving.kserve.io/v1alpha1\nkind: TrainedModel\nmetadata: {{name: {name}}}\nspec: {{inferenceService: \
             {service}, model: {{framework: xgboost, storageUri: {path}, memory: 1Mi}}}}\n---\n"
        )
    };
    let service = |name: &str, spec: &str| {
        format!(
            "apiVersion: serving.kserve.io/v1beta1\nkind: InferenceService\nmetadata: {{name: {name}}}\nspec: {{predictor: \
             {{xgboost: {spec}}}}}\n---\n"
        )
    };
    let file = lies("all.yaml");
    let text = [
        trained("a", "host", "store/a"),
        service("host", "{}"),
        service("own", "{storageUri: store/a}"),
        trained("b", "own", "store/b"),
    ];
    std::fs::write(&file, text.concat()).unwrap();
    let mesh = crate::harness::mesh(&file).await;
    let door = format!("http://{}", mesh.http());
    let models = get(&format!("{door}/v1/models")).await.unwrap().json();
    assert_eq!(models, json!({"models": ["a", "own", "b"]}));
    for (model, wanted) in [("a", 1.0), ("own", 1.0), ("b", 4.0)] {
        let answer = post(&format!("{door}{}", predict(model)), super::BODY).await;
        assert_eq!(answer.json(), json!({"predictions": [wanted]}), "{}", answer.text);
    }
    let status = get(&format!("{door}/v1/models/b")).await.unwrap().json();
    assert_eq!(status["model_version_status"][0]["version"], "4");
    let told = post(&format!("{door}/v2/repository/index"), "").await.json();
    assert_eq!((&told[2]["version"], &told[2]["memory_bytes"]), (&json!("4"), &json!(1 << 20)));
    // One is unloaded, and the one beside it is not.
    assert_eq!(post(&format!("{door}/v2/repository/models/b/unload"), "").await.status, 200);
    assert_eq!(post(&format!("{door}{}", predict("b")), super::BODY).await.status, 404);
    assert_eq!(post(&format!("{door}{}", predict("own")), super::BODY).await.status, 200);
    for (text, wanted) in [
        (trained("a", "nobody", "store/a"), "spec.inferenceService: no InferenceService `nobody`"),
        (trained("own", "own", "store/a"), "metadata.name: `own` is the name of another model"),
        (trained("a", "own", "nowhere"), "spec.model.storageUri: storageUri `nowhere`"),
    ] {
        std::fs::write(&file, [text, service("own", "{storageUri: store/a}")].concat()).unwrap();
        let refused = weir::Plan::of_files(std::slice::from_ref(&file)).unwrap_err();
        assert!(refused.contains(wanted), "{refused}");
    }
}
