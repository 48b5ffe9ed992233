//! When a place is asked what is there now: what is on this machine at every look, a store when somebody asks.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::Router;
use axum::extract::State;
use axum::http::header::ETAG;
use axum::routing::get;
use serde_json::json;

use super::{LATE, POLL, ask, model, place, ready, url};
use crate::harness::{post, wait_for};

/// A web server's file: the model that answers `number`, and how often it was asked for.
#[derive(Default)]
struct File {
    number: AtomicU64,
    asked: AtomicU64,
}

async fn answer(State(file): State<Arc<File>>) -> ([(axum::http::HeaderName, String); 1], String) {
    file.asked.fetch_add(1, Ordering::SeqCst);
    let number = file.number.load(Ordering::SeqCst);
    ([(ETAG, format!("\"{number}\""))], model(number, 1))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_is_asked_by_load_and_not_as_time_passes() {
    let folder = tempfile::tempdir().unwrap();
    let file = Arc::new(File::default());
    file.number.store(1, Ordering::SeqCst);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let far = format!("http://{}/model.json", listener.local_addr().unwrap());
    let router = Router::new().route("/model.json", get(answer)).with_state(Arc::clone(&file));
    let server = tokio::spawn(async move { axum::serve(listener, router).await });
    let near = folder.path().join("near");
    place(&near.join("1"), 10, 1);
    let entry = |name: &str, uri: &str| json!({"modelName": name, "modelSpec": {"storageUri": uri, "framework": "xgboost", "memory": "1Mi"}});
    let models = json!([entry("far", &far), entry("near", &near.display().to_string())]);
    let models = format!("--models={models}");
    let cache = format!("--storage_cache={}", folder.path().join("cache").display());
    let running = ready(&[&models, &cache, POLL]).await;
    assert_eq!(ask(&running, "/v1/models/far:predict").await.unwrap(), 1);
    let asked = file.asked.load(Ordering::SeqCst);
    file.number.store(2, Ordering::SeqCst);
    // Two of these take four looks or more.
    for version in [11, 12] {
        place(&near.join(version.to_string()), version, 1);
        wait_for(LATE, || async {
            ask(&running, "/v1/models/near:predict").await.is_ok_and(|it| it == version)
        })
        .await;
    }
    assert_eq!(file.asked.load(Ordering::SeqCst), asked, "the store was asked as time passed");
    assert_eq!(ask(&running, "/v1/models/far:predict").await.unwrap(), 1);
    let load = post(&url(&running, "/v2/repository/models/far/load"), "").await;
    assert_eq!((load.status, ask(&running, "/v1/models/far:predict").await.unwrap()), (200, 2));
    server.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_that_leads_elsewhere_is_followed() {
    let folder = tempfile::tempdir().unwrap();
    let lies = |path: &str| folder.path().join(path);
    let lead = |to: &str| {
        std::os::unix::fs::symlink(lies(to), lies("new")).unwrap();
        std::fs::rename(lies("new"), lies("current")).unwrap();
    };
    place(&lies("a/m"), 1, 1);
    place(&lies("b/m"), 2, 1);
    lead("a/m");
    let dir = format!("--model_dir={}", lies("current").display());
    let running = ready(&["--model_name=m", &dir, POLL]).await;
    assert_eq!(ask(&running, "/v1/models/m:predict").await.unwrap(), 1);
    lead("b/m");
    wait_for(LATE, || async { ask(&running, "/v1/models/m:predict").await.is_ok_and(|it| it == 2) }).await;
}
