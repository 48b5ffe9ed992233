//! Which versions are served, by which names, and how they come and go.

use serde_json::json;

use super::{LATE, POLL, ask, held, index, model, place, predictor, ready, serves, states, until, url};
use crate::harness::{get, post, wait_for};

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_and_labels_say_which_version_answers() {
    let folder = tempfile::tempdir().unwrap();
    let base = folder.path().join("m");
    for version in [1, 2, 3] {
        place(&base.join(format!("{version:02}")), version, 1);
    }
    let dir = format!("--model_dir={}", base.display());
    let running = ready(&[
        "--model_name=m",
        &dir,
        "--model_version_policy=latest:2",
        "--version_labels=stable=2,canary=3,old=1",
    ])
    .await;
    assert!(serves(&running, "m", &["2", "3"]).await, "{:?}", states(&running, "m").await);
    for (path, wanted) in [
        ("/v1/models/m:predict", 3),
        ("/v1/models/m/versions/2:predict", 2),
        ("/v1/models/m/labels/stable:predict", 2),
        ("/v1/models/m/labels/canary:predict", 3),
    ] {
        assert_eq!(ask(&running, path).await.map_err(|it| it.text), Ok(wanted), "{path}");
    }
    for path in ["/v1/models/m/versions/1:predict", "/v1/models/m/labels/old:predict"] {
        let refused = ask(&running, path).await.unwrap_err();
        assert_eq!(refused.json()["error"], "Could not find version 1 of model m; it has versions 2, 3");
        assert_eq!(refused.status, 404);
    }
    let metadata = |path: &str| {
        let url = url(&running, path);
        async move { get(&url).await.unwrap().json() }
    };
    assert_eq!(metadata("/v2/models/m").await["versions"], json!(["2", "3"]));
    assert_eq!(metadata("/v1/models/m/metadata").await["model_spec"]["version"], "3");
    assert_eq!(metadata("/v1/models/m/labels/stable/metadata").await["model_spec"]["version"], "2");
    let one = metadata("/v1/models/m/labels/stable").await;
    assert_eq!(one["model_version_status"].as_array().unwrap().len(), 1);
    assert_eq!(one["model_version_status"][0]["version"], "2");
    let rows: Vec<_> =
        index(&running).await.iter().map(|it| (it["version"].clone(), it["state"].clone())).collect();
    assert_eq!(rows, [(json!("2"), json!("READY")), (json!("3"), json!("READY"))]);
    let ready = |version: &str| {
        let url = url(&running, &format!("/v2/models/m/versions/{version}/ready"));
        async move { get(&url).await.unwrap().status }
    };
    assert_eq!((ready("2").await, ready("3").await, ready("1").await), (200, 200, 404));
}

#[tokio::test(flavor = "multi_thread")]
async fn versions_come_and_go_as_their_folders_do() {
    let folder = tempfile::tempdir().unwrap();
    let base = folder.path().join("m");
    place(&base.join("1"), 1, 1);
    let dir = format!("--model_dir={}", base.display());
    let running = ready(&["--model_name=m", &dir, "--model_version_policy=all", POLL]).await;
    place(&base.join("2"), 2, 1);
    wait_for(LATE, || serves(&running, "m", &["1", "2"])).await;
    std::fs::remove_dir_all(base.join("2")).unwrap();
    wait_for(LATE, || serves(&running, "m", &["1"])).await;
    assert_eq!(ask(&running, "/v1/models/m:predict").await.unwrap(), 1);
    // The last one is taken back, and another comes.
    std::fs::remove_dir_all(base.join("1")).unwrap();
    until(&running, "/v2/health/ready", |it| {
        it.status == 503 && it.text.contains("no version that is wanted")
    })
    .await;
    place(&base.join("5"), 5, 1);
    until(&running, "/v2/health/ready", |it| it.status == 200).await;
    assert_eq!(ask(&running, "/v1/models/m:predict").await.unwrap(), 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_version_is_told_and_the_good_one_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let base = folder.path().join("m");
    place(&base.join("1"), 1, 1);
    let dir = format!("--model_dir={}", base.display());
    let running = ready(&["--model_name=m", &dir, POLL]).await;
    std::fs::create_dir(base.join("2")).unwrap();
    std::fs::write(base.join("2/model.json"), &model(2, 1)[..900]).unwrap();
    let failed = ("2".to_owned(), "END".to_owned());
    wait_for(LATE, || async { states(&running, "m").await.contains(&failed) }).await;
    assert_eq!(ask(&running, "/v1/models/m:predict").await.unwrap(), 1);
    let status = get(&url(&running, "/v1/models/m/versions/2")).await.unwrap();
    assert_eq!((status.status, status.json()["ready"].clone()), (200, json!(false)));
    let why = status.json()["model_version_status"][0]["status"]["error_message"].clone();
    assert!(why.as_str().unwrap().starts_with("model.json: "), "{why}");
    assert_eq!(get(&url(&running, "/v2/models/m/versions/2/ready")).await.unwrap().status, 503);
    assert_eq!(get(&url(&running, "/v2/models/m/versions/1/ready")).await.unwrap().status, 200);
    assert_eq!(get(&url(&running, "/v2/health/ready")).await.unwrap().status, 200);
    let refused = ask(&running, "/v1/models/m/versions/2:predict").await.unwrap_err();
    assert!(refused.status == 503 && refused.text.contains("Version 2: model.json"), "{}", refused.text);
    // The rest of the file arrives.
    std::fs::write(base.join("2/model.json"), model(2, 1)).unwrap();
    wait_for(LATE, || serves(&running, "m", &["2"])).await;
    assert_eq!(ask(&running, "/v1/models/m:predict").await.unwrap(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_changes_is_loaded_again_and_a_broken_one_is_not_taken() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("model.json");
    std::fs::write(&file, model(7, 1)).unwrap();
    let dir = format!("--model_dir={}", file.display());
    let running = ready(&["--model_name=m", &dir, POLL]).await;
    assert_eq!(ask(&running, "/v1/models/m:predict").await.unwrap(), 7);
    std::fs::write(&file, model(80, 1)).unwrap();
    wait_for(LATE, || async { ask(&running, "/v1/models/m:predict").await.unwrap() == 80 }).await;
    std::fs::write(&file, "{").unwrap();
    let load = post(&url(&running, "/v2/repository/models/m/load"), "").await;
    assert_eq!(load.status, 503, "{}", load.text);
    assert_eq!(ask(&running, "/v1/models/m:predict").await.unwrap(), 80);
    std::fs::write(&file, model(9, 1)).unwrap();
    wait_for(LATE, || async { ask(&running, "/v1/models/m:predict").await.unwrap() == 9 }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn warm_up_requests_are_answered_first_or_the_version_is_not_taken() {
    let folder = tempfile::tempdir().unwrap();
    let base = folder.path().join("m");
    place(&base.join("1"), 1, 1);
    let v1 = r#"{"instances": [[1, 2, 3, 4, 5]]}"#;
    let v2 =
        r#"{"inputs": [{"name": "input-0", "shape": [1, 5], "datatype": "FP32", "data": [1, 2, 3, 4, 5]}]}"#;
    std::fs::write(base.join("1/warmup.json"), format!("[{v1}, {v2}]")).unwrap();
    let dir = format!("--model_dir={}", base.display());
    let running = ready(&["--model_name=m", &dir, POLL]).await;
    assert_eq!(ask(&running, "/v1/models/m:predict").await.unwrap(), 1);
    for (version, warmup, wanted) in [
        ("2", format!("[{v1}, {{\"instances\": [[1, 2]]}}]"), "its warm-up request 2 failed: "),
        ("3", "[1]".to_owned(), "warmup.json: expected a request"),
    ] {
        let number = version.parse().unwrap();
        let half = folder.path().join(format!("half-{version}")).join(version);
        place(&half, number, 1);
        std::fs::write(half.join("warmup.json"), warmup).unwrap();
        std::fs::rename(&half, base.join(version)).unwrap();
        let path = format!("/v1/models/m/versions/{version}");
        until(&running, &path, |it| it.status == 200 && it.text.contains(wanted)).await;
        assert_eq!(ask(&running, "/v1/models/m:predict").await.unwrap(), 1);
    }
    // The folder of all versions has them for those that have none of their own.
    std::fs::write(base.join("warmup.json"), "{\"instances\": [[1, 2]]}").unwrap();
    place(&base.join("4"), 4, 1);
    until(&running, "/v1/models/m/versions/4", |it| it.text.contains("its warm-up request 1 failed: ")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_idle_is_freed_and_loaded_once_by_whoever_asks() {
    let folder = tempfile::tempdir().unwrap();
    let base = folder.path().join("m");
    place(&base.join("3"), 3, 200);
    let dir = format!("--model_dir={}", base.display());
    let running = ready(&["--model_name=m", &dir, POLL, "--unload_idle_seconds=0.3"]).await;
    let admin = running.admin.unwrap().to_string();
    let asleep = || async { held(&admin).await.is_empty() };
    wait_for(LATE, asleep).await;
    // It is ready, for it answers whoever asks, and what it takes is known.
    assert_eq!(get(&url(&running, "/v2/health/ready")).await.unwrap().status, 200);
    assert_eq!(get(&url(&running, "/v2/models/m")).await.unwrap().json()["versions"], json!(["3"]));
    assert_eq!(index(&running).await[0]["reason"], "idle: its next request loads it");
    assert!(asleep().await);
    let both =
        tokio::join!(ask(&running, "/v1/models/m:predict"), ask(&running, "/v1/models/m/versions/3:predict"));
    assert_eq!((both.0.unwrap(), both.1.unwrap()), (3, 3));
    assert_eq!(held(&admin).await.len(), 1);
    wait_for(LATE, asleep).await;
    // What cannot be loaded is told to whoever asks.
    std::fs::write(base.join("3/model.json"), "{").unwrap();
    let refused = ask(&running, "/v1/models/m:predict").await.unwrap_err();
    assert!(refused.status == 503 && refused.text.contains("model.json"), "{}", refused.text);
    std::fs::write(base.join("3/model.json"), model(3, 1)).unwrap();
    wait_for(LATE, || async { ask(&running, "/v1/models/m:predict").await.is_ok() }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn memory_is_counted_and_a_load_over_the_limit_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let base = folder.path().join("m");
    place(&base.join("1"), 1, 100);
    let size = base.join("1/model.json").metadata().unwrap().len();
    let (dir, limit) =
        (format!("--model_dir={}", base.display()), format!("--memory_limit_bytes={}", size * 3 / 2));
    let running = ready(&["--model_name=m", &dir, &limit, "--model_version_policy=all", POLL]).await;
    let admin = running.admin.unwrap().to_string();
    assert_eq!(held(&admin).await, [("model_name=\"m\",version=\"1\"".to_owned(), size)]);
    assert_eq!(index(&running).await[0]["memory_bytes"], json!(size));
    place(&base.join("2"), 2, 100);
    let holder = format!("are held: by `m` version 1 {size}");
    until(&running, "/v1/models/m/versions/2", |it| it.text.contains(&holder)).await;
    assert_eq!(ask(&running, "/v1/models/m:predict").await.unwrap(), 1);
    // Once there is room, it is loaded.
    std::fs::remove_dir_all(base.join("1")).unwrap();
    std::fs::remove_dir_all(base.join("2")).unwrap();
    wait_for(LATE, || async { held(&admin).await.is_empty() }).await;
    place(&base.join("3"), 3, 100);
    wait_for(LATE, || async { ask(&running, "/v1/models/m:predict").await.is_ok_and(|it| it == 3) }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_unloaded_stays_so_until_it_is_loaded() {
    let folder = tempfile::tempdir().unwrap();
    let base = folder.path().join("m");
    place(&base.join("1"), 1, 1);
    let dir = format!("--model_dir={}", base.display());
    let running = predictor(&["--model_name=m", &dir, POLL]).await;
    until(&running, "/v2/health/ready", |it| it.status == 200).await;
    assert_eq!(post(&url(&running, "/v2/repository/models/m/unload"), "").await.status, 200);
    place(&base.join("2"), 2, 1);
    let admin = running.admin.unwrap().to_string();
    wait_for(LATE, || async { held(&admin).await.is_empty() }).await;
    // Several looks later it is still away.
    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    assert_eq!(ask(&running, "/v1/models/m:predict").await.unwrap_err().status, 404);
    assert_eq!(post(&url(&running, "/v2/repository/models/m/load"), "").await.status, 200);
    assert_eq!(ask(&running, "/v1/models/m:predict").await.unwrap(), 2);
}
