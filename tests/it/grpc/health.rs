//! gRPC's own health checking.

use std::time::Duration;

use tonic::Code;
use weir_proto::generated::health::health_check_response::ServingStatus;
use weir_proto::generated::health::*;
use weir_proto::generated::inference::*;
use weir_sdk::Drain;

use super::{Client, Stream, predictor};
use crate::harness::{manifest, mesh, unready_mesh, wait_for};

type Watch = Stream<HealthCheckRequest, HealthCheckResponse>;

const CHECK: &str = "grpc.health.v1.Health/Check";

async fn check(client: &mut Client, service: &str) -> Result<ServingStatus, Code> {
    let message = HealthCheckRequest { service: service.to_owned() };
    let answer = client.ask::<_, HealthCheckResponse>(CHECK, message).await;
    answer.map(|it| it.status()).map_err(|it| it.code())
}

async fn watch(client: &mut Client, service: &str) -> Watch {
    let message = HealthCheckRequest { service: service.to_owned() };
    client.open_closed("grpc.health.v1.Health/Watch", message).await.unwrap()
}

async fn next(watch: &mut Watch) -> ServingStatus {
    watch.next().await.unwrap().unwrap().status()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_server_and_each_model_are_checked() {
    let mesh = mesh("deploy/samples/iris.yaml").await;
    let mut client = Client::connect(mesh.http()).await;
    for service in ["", super::SERVICE, "iris"] {
        assert_eq!(check(&mut client, service).await, Ok(ServingStatus::Serving), "{service}");
    }
    assert_eq!(check(&mut client, "nope").await, Err(Code::NotFound));
    let list: HealthListResponse =
        client.ask("grpc.health.v1.Health/List", HealthListRequest {}).await.unwrap();
    let mut names: Vec<_> = list.statuses.keys().map(String::as_str).collect();
    names.sort_unstable();
    assert_eq!(names, ["", super::SERVICE, "iris"]);
    assert!(list.statuses.values().all(|it| it.status() == ServingStatus::Serving));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_that_does_not_load_is_not_serving_and_the_server_neither() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("model.joblib"), b"nothing").unwrap();
    let (_folder, file) =
        manifest("broken", &format!("  predictor: {{sklearn: {{storageUri: {}}}}}", folder.path().display()));
    let mesh = unready_mesh(&file).await;
    let mut client = Client::connect(mesh.http()).await;
    for service in ["", "broken"] {
        assert_eq!(check(&mut client, service).await, Ok(ServingStatus::NotServing), "{service}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watcher_is_told_what_changes_and_nothing_else() {
    let mesh = mesh("deploy/samples/iris.yaml").await;
    let mut client = Client::connect(mesh.http()).await;
    let mut model = watch(&mut client, "iris").await;
    let mut unknown = watch(&mut client, "nope").await;
    assert_eq!(next(&mut model).await, ServingStatus::Serving);
    assert_eq!(next(&mut unknown).await, ServingStatus::ServiceUnknown);
    let name = || "iris".to_owned();
    let unload = RepositoryModelUnloadRequest { model_name: name(), ..Default::default() };
    let _: RepositoryModelUnloadResponse = client.ask("RepositoryModelUnload", unload).await.unwrap();
    assert_eq!(next(&mut model).await, ServingStatus::NotServing);
    let load = RepositoryModelLoadRequest { model_name: name(), ..Default::default() };
    let _: RepositoryModelLoadResponse = client.ask("RepositoryModelLoad", load).await.unwrap();
    // Were the same told twice, it would have come before this.
    assert_eq!(next(&mut model).await, ServingStatus::Serving);
    // One who asks for what is not there is kept: it may come to be.
    let more = tokio::time::timeout(Duration::from_millis(50), unknown.answers.message()).await;
    assert!(more.is_err(), "{more:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watcher_is_told_of_draining_at_once_and_then_let_go() {
    let predictor = predictor(|_| {}).await;
    let mut client = Client::connect(predictor.http).await;
    let mut server = watch(&mut client, "").await;
    assert_eq!(next(&mut server).await, ServingStatus::Serving);
    let drain = Drain { lame_duck: Duration::ZERO, grace: Duration::from_secs(10) };
    let drained = tokio::spawn(predictor.drain(drain));
    assert_eq!(next(&mut server).await, ServingStatus::NotServing);
    let status = server.next().await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable, "{status}");
    assert!(drained.await.unwrap(), "the server did not end in time");
}

#[tokio::test(flavor = "multi_thread")]
async fn watchers_are_bounded_and_those_who_leave_make_room() {
    let predictor = predictor(|_| {}).await;
    let mut watchers = Vec::new();
    let mut client = Client::connect(predictor.http).await;
    for _ in 0..256 {
        let mut watcher = watch(&mut client, "").await;
        assert_eq!(next(&mut watcher).await, ServingStatus::Serving);
        watchers.push(watcher);
    }
    let full = |client: &Client| {
        let mut client = Client(client.0.clone());
        async move {
            let opened = client
                .open::<weir_proto::generated::reflection::ServerReflectionRequest, HealthCheckResponse>(
                    "grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
                    &[],
                )
                .await;
            opened.err().map(|it| it.code()) == Some(Code::ResourceExhausted)
        }
    };
    assert!(full(&client).await);
    // The probe itself is never refused.
    assert_eq!(check(&mut client, "").await, Ok(ServingStatus::Serving));
    watchers.truncate(200);
    wait_for(Duration::from_secs(10), || async { !full(&client).await }).await;
}
