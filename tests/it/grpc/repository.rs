//! The model repository, as clients of Triton, MLServer and KServe ask for it.

use tonic::{Code, Status};
use weir_proto::generated::inference::*;

use super::{Client, request};
use crate::harness::mesh;

async fn index(client: &mut Client, service: &str, ready: bool) -> Vec<(String, String, String)> {
    let message = RepositoryIndexRequest { ready, ..RepositoryIndexRequest::default() };
    let answer: RepositoryIndexResponse =
        client.ask(&format!("{service}/RepositoryIndex"), message).await.unwrap();
    answer.models.into_iter().map(|it| (it.name, it.version, it.state)).collect()
}

async fn load(client: &mut Client, first: &str, second: &str) -> Result<RepositoryModelLoadResponse, Status> {
    let (repository_name, model_name) = (first.to_owned(), second.to_owned());
    let message = RepositoryModelLoadRequest { repository_name, model_name, parameters: Default::default() };
    client.ask("RepositoryModelLoad", message).await
}

async fn unload(
    client: &mut Client,
    first: &str,
    second: &str,
) -> Result<RepositoryModelUnloadResponse, Status> {
    let (repository_name, model_name) = (first.to_owned(), second.to_owned());
    let message =
        RepositoryModelUnloadRequest { repository_name, model_name, parameters: Default::default() };
    client.ask("RepositoryModelUnload", message).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_is_unloaded_and_loaded_in_either_dialect() {
    let mesh = mesh("deploy/samples/iris.yaml").await;
    let mut client = Client::connect(mesh.http()).await;
    let entry = |version: &str, state: &str| vec![("iris".to_owned(), version.to_owned(), state.to_owned())];
    // The name in field 1 is KServe's, in field 2 Triton's and MLServer's.
    for (first, second) in [("iris", ""), ("", "iris")] {
        let unloaded = unload(&mut client, first, second).await.unwrap();
        assert_eq!((unloaded.model_name.as_str(), unloaded.is_unloaded), ("iris", true));
        let status = client.ask::<_, ModelInferResponse>("ModelInfer", request("iris")).await.unwrap_err();
        assert!(matches!(status.code(), Code::NotFound | Code::Unavailable), "{status}");
        for service in [super::SERVICE, "inference.model_repository.ModelRepositoryService"] {
            assert_eq!(index(&mut client, service, false).await, entry("", "UNAVAILABLE"));
            assert_eq!(index(&mut client, service, true).await, []);
        }
        let loaded = load(&mut client, first, second).await.unwrap();
        assert_eq!((loaded.model_name.as_str(), loaded.is_loaded), ("iris", true));
        assert_eq!(index(&mut client, super::SERVICE, true).await, entry("1", "READY"));
        let _: ModelInferResponse = client.ask("ModelInfer", request("iris")).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repository_has_no_name_and_a_model_has_one() {
    let mesh = mesh("deploy/samples/iris.yaml").await;
    let mut client = Client::connect(mesh.http()).await;
    let named = "'repository_name' specification is not supported";
    let check = |status: Status, code: Code, text: &str| {
        assert_eq!((status.code(), status.message()), (code, text));
        assert_eq!(status.metadata().get("x-error-origin").unwrap(), "router");
    };
    check(load(&mut client, "mine", "iris").await.unwrap_err(), Code::InvalidArgument, named);
    check(unload(&mut client, "mine", "iris").await.unwrap_err(), Code::InvalidArgument, named);
    let mine = RepositoryIndexRequest { repository_name: "mine".to_owned(), ready: false };
    let status = client.ask::<_, RepositoryIndexResponse>("RepositoryIndex", mine).await.unwrap_err();
    check(status, Code::InvalidArgument, named);
    let missing = "the message names no model; set `model_name`";
    check(load(&mut client, "", "").await.unwrap_err(), Code::InvalidArgument, missing);
    let unknown = "Model with name nope does not exist.";
    check(load(&mut client, "", "nope").await.unwrap_err(), Code::NotFound, unknown);
    check(unload(&mut client, "nope", "").await.unwrap_err(), Code::NotFound, unknown);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_without_models_of_its_own_says_so() {
    let args = ["--model_name", "iris", "--steps", "[{labels: {names: [a]}}]"].map(str::to_owned).to_vec();
    let mut service =
        weir_transformer::build(&weir_sdk::Launch { args, env: weir_sdk::Env::default() }).unwrap();
    service.flags = weir_sdk::ServerFlags::loopback();
    let sockets = weir_sdk::Sockets::bind(&service.flags, &weir_sdk::Env::default()).await.unwrap();
    let running = service.start(sockets);
    let mut client = Client::connect(running.http).await;
    let status = load(&mut client, "", "iris").await.unwrap_err();
    assert_eq!(status.code(), Code::Unimplemented, "{status}");
    assert_eq!(index(&mut client, super::SERVICE, false).await.len(), 1);
}
