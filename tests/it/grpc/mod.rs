//! gRPC on the same port: the Open Inference Protocol as its clients speak it, and what stands beside it.

mod health;
mod limits;
mod reflection;
mod repository;
mod stream;

use std::collections::HashMap;

use prost::Message;
use tonic::client::Grpc;
use tonic::codegen::tokio_stream::wrappers::ReceiverStream;
use tonic::metadata::MetadataMap;
use tonic::{Code, Request, Response, Status, Streaming};
use tonic_prost::ProstCodec;
use weir_proto::generated::inference::model_infer_request::{InferInputTensor, InferRequestedOutputTensor};
use weir_proto::generated::inference::*;
use weir_sdk::{Env, Launch, Limits, Metrics, Running, Server, ServerFlags, Sockets};

use crate::harness::{get, mesh, root};

/// A plain client over a connection of tonic's own, as any client would have.
pub(crate) struct Client(Grpc<tonic::transport::Channel>);

/// The service where a path names none.
const SERVICE: &str = "inference.GRPCInferenceService";

impl Client {
    pub(crate) async fn connect(address: std::net::SocketAddr) -> Self {
        let channel = tonic::transport::Endpoint::from_shared(format!("http://{address}")).unwrap();
        Self(Grpc::new(channel.connect().await.unwrap()))
    }

    /// Asks a method of the inference service, or `service/method`.
    pub(crate) async fn ask<Q: Message + 'static, A: Message + Default + 'static>(
        &mut self,
        method: &str,
        message: Q,
    ) -> Result<A, Status> {
        self.send(method, Request::new(message)).await.map(Response::into_inner)
    }

    async fn send<Q: Message + 'static, A: Message + Default + 'static>(
        &mut self,
        method: &str,
        request: Request<Q>,
    ) -> Result<Response<A>, Status> {
        self.0.ready().await.unwrap();
        let codec: ProstCodec<Q, A> = ProstCodec::default();
        self.0.unary(request, path(method), codec).await
    }

    /// Sends one message and closes its half; the answers are a stream.
    async fn open_closed<Q: Message + 'static, A: Message + Default + 'static>(
        &mut self,
        method: &str,
        message: Q,
    ) -> Result<Stream<Q, A>, Status> {
        self.0.ready().await.unwrap();
        let request = Request::new(tonic::codegen::tokio_stream::once(message));
        let codec: ProstCodec<Q, A> = ProstCodec::default();
        let response = self.0.streaming(request, path(method), codec).await?;
        let headers = response.metadata().clone();
        Ok(Stream { send: None, answers: response.into_inner(), headers })
    }

    /// Opens a stream, both ways.
    async fn open<Q: Message + 'static, A: Message + Default + 'static>(
        &mut self,
        method: &str,
        headers: &[(&'static str, &str)],
    ) -> Result<Stream<Q, A>, Status> {
        self.0.ready().await.unwrap();
        let (send, receiver) = tokio::sync::mpsc::channel(16);
        let mut request = Request::new(ReceiverStream::new(receiver));
        for (name, value) in headers {
            request.metadata_mut().insert(*name, value.parse().unwrap());
        }
        let codec: ProstCodec<Q, A> = ProstCodec::default();
        let response = self.0.streaming(request, path(method), codec).await?;
        let headers = response.metadata().clone();
        Ok(Stream { send: Some(send), answers: response.into_inner(), headers })
    }
}

fn path(method: &str) -> http::uri::PathAndQuery {
    let path = if method.contains('/') { format!("/{method}") } else { format!("/{SERVICE}/{method}") };
    path.parse().unwrap()
}

struct Stream<Q, A> {
    send: Option<tokio::sync::mpsc::Sender<Q>>,
    answers: Streaming<A>,
    headers: MetadataMap,
}

impl<Q, A> Stream<Q, A> {
    async fn send(&self, message: Q) {
        self.send.as_ref().unwrap().send(message).await.unwrap_or_else(|_| panic!("the stream is gone"));
    }

    fn half_close(&mut self) {
        self.send = None;
    }

    /// The next answer; a test that would wait for ever fails instead.
    async fn next(&mut self) -> Result<Option<A>, Status> {
        let wait = std::time::Duration::from_secs(20);
        tokio::time::timeout(wait, self.answers.message()).await.expect("no answer came")
    }
}

/// A predictor alone, of the iris sample, with these limits.
async fn predictor(limits: impl FnOnce(&mut Limits)) -> Running {
    let folder = root().join("deploy/samples/models/iris").display().to_string();
    let args = ["--model_name", "iris", "--model_dir", &folder];
    let launch = Launch { args: args.map(str::to_owned).to_vec(), env: Env::default() };
    let service = weir_predictor::build(&launch).unwrap();
    let flags = ServerFlags::loopback();
    let mut its = Limits::from(&flags);
    limits(&mut its);
    let sockets = Sockets::bind(&flags, &Env::default()).await.unwrap();
    let running = Server::new(service.handle, its, Metrics::new()).start(sockets);
    tokio::task::spawn_blocking(service.background.unwrap());
    let url = format!("http://{}/v2/health/ready", running.http);
    crate::harness::wait_for(std::time::Duration::from_secs(20), || async {
        get(&url).await.is_ok_and(|it| it.status == 200)
    })
    .await;
    running
}

const ROW: [f64; 4] = [6.8, 2.8, 4.8, 1.4];

fn request(model: &str) -> ModelInferRequest {
    let input = InferInputTensor {
        name: "input-0".to_owned(),
        datatype: "FP64".to_owned(),
        shape: vec![1, 4],
        parameters: HashMap::new(),
        contents: None,
    };
    let raw: Vec<u8> = ROW.iter().flat_map(|it| it.to_le_bytes()).collect();
    ModelInferRequest {
        model_name: model.to_owned(),
        id: "7".to_owned(),
        inputs: vec![input],
        raw_input_contents: vec![raw.into()],
        ..ModelInferRequest::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn raw_in_is_raw_out_and_typed_in_is_typed_out() {
    let mesh = mesh("deploy/samples/iris.yaml").await;
    for address in [mesh.router().http, mesh.router().grpc] {
        let mut client = Client::connect(address).await;
        let answer: ModelInferResponse = client.ask("ModelInfer", request("iris")).await.unwrap();
        assert_eq!((answer.model_name.as_str(), answer.id.as_str()), ("iris", "7"));
        assert_eq!(answer.outputs[0].datatype, "BYTES");
        assert_eq!(&answer.raw_output_contents[0][..], b"\x0a\0\0\0versicolor");

        let mut typed = request("iris");
        typed.raw_input_contents.clear();
        let contents = InferTensorContents { fp64_contents: ROW.to_vec(), ..InferTensorContents::default() };
        typed.inputs[0].contents = Some(contents);
        let proba =
            InferRequestedOutputTensor { name: "predict_proba".to_owned(), parameters: HashMap::new() };
        typed.outputs = vec![proba];
        let answer: ModelInferResponse = client.ask("ModelInfer", typed).await.unwrap();
        assert!(answer.raw_output_contents.is_empty());
        let values = &answer.outputs[0].contents.as_ref().unwrap().fp64_contents;
        assert_eq!((answer.outputs.len(), values.len()), (1, 3));
        assert!(values[1] > 0.5 && (values.iter().sum::<f64>() - 1.0).abs() < 1e-9, "{values:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn health_and_metadata_are_told() {
    let mesh = mesh("deploy/samples/iris.yaml").await;
    let mut client = Client::connect(mesh.http()).await;
    let live: ServerLiveResponse = client.ask("ServerLive", ServerLiveRequest {}).await.unwrap();
    let ready: ServerReadyResponse = client.ask("ServerReady", ServerReadyRequest {}).await.unwrap();
    let named = ModelReadyRequest { name: "iris".to_owned(), version: String::new() };
    let model: ModelReadyResponse = client.ask("ModelReady", named).await.unwrap();
    assert!(live.live && ready.ready && model.ready);
    let server: ServerMetadataResponse =
        client.ask("ServerMetadata", ServerMetadataRequest {}).await.unwrap();
    assert_eq!(server.name, "weir");
    let named = ModelMetadataRequest { name: "iris".to_owned(), version: String::new() };
    let model: ModelMetadataResponse = client.ask("ModelMetadata", named).await.unwrap();
    assert_eq!((model.inputs[0].datatype.as_str(), model.inputs[0].shape.as_slice()), ("FP64", &[-1, 4][..]));
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_have_the_tables_status_and_the_origin() {
    let mesh = mesh("deploy/samples/iris.yaml").await;
    let mut client = Client::connect(mesh.http()).await;
    let mut check = async |message: ModelInferRequest, code: Code, origin: &str, part: &str| {
        let status = client.ask::<_, ModelInferResponse>("ModelInfer", message).await.unwrap_err();
        assert_eq!(status.code(), code, "{status}");
        assert_eq!(status.metadata().get("x-error-origin").unwrap(), origin, "{status}");
        assert!(status.message().contains(part), "`{part}` is not in `{}`", status.message());
    };
    check(request("nope"), Code::NotFound, "router", "Model with name nope does not exist.").await;
    let mut short = request("iris");
    short.raw_input_contents[0] = short.raw_input_contents[0].slice(..31);
    check(short, Code::InvalidArgument, "transformer", "31 bytes").await;
    let mut versioned = request("iris");
    versioned.model_version = "7".to_owned();
    check(versioned, Code::NotFound, "predictor", "version 7").await;
    let named = ModelReadyRequest { name: "nope".to_owned(), version: String::new() };
    let status = client.ask::<_, ModelReadyResponse>("ModelReady", named).await.unwrap_err();
    assert_eq!(status.code(), Code::NotFound);
    let status = client.ask::<_, ServerLiveResponse>("Fly", ServerLiveRequest {}).await.unwrap_err();
    assert_eq!(status.code(), Code::Unimplemented);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_texts_of_raw_contents_are_kserves() {
    let mesh = mesh("deploy/samples/iris.yaml").await;
    let mut client = Client::connect(mesh.http()).await;
    let mut refused = async |message: ModelInferRequest| {
        let status = client.ask::<_, ModelInferResponse>("ModelInfer", message).await.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument, "{status}");
        status.message().to_owned()
    };
    let mut two = request("iris");
    two.inputs.push(two.inputs[0].clone());
    assert_eq!(
        refused(two).await,
        "the number of inputs (2) does not match the expected number of raw input contents (1) for model 'iris'."
    );
    let mut both = request("iris");
    both.inputs[0].contents = Some(InferTensorContents::default());
    assert_eq!(
        refused(both).await,
        "contents field must not be specified when using raw_input_contents for input 'input-0' for model 'iris'"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn versions_and_outputs_are_honoured() {
    let mesh = mesh("deploy/samples/iris.yaml").await;
    let mut client = Client::connect(mesh.http()).await;
    let named = |name: &str| InferRequestedOutputTensor { name: name.to_owned(), parameters: HashMap::new() };
    let mut message = request("iris");
    message.model_version = "1".to_owned();
    message.outputs = vec![named("decision_function"), named("predict_proba")];
    let answer: ModelInferResponse = client.ask("ModelInfer", message.clone()).await.unwrap();
    let names: Vec<_> = answer.outputs.iter().map(|it| it.name.as_str()).collect();
    assert_eq!(
        (names.as_slice(), answer.model_version.as_str()),
        (&["decision_function", "predict_proba"][..], "1")
    );
    message.outputs.push(named("nope"));
    let status = client.ask::<_, ModelInferResponse>("ModelInfer", message).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
    assert!(status.message().contains("Unexpected inference output 'nope'"), "{status}");
    for (version, known) in [("", true), ("1", true), ("7", false)] {
        let (name, version) = ("iris".to_owned(), version.to_owned());
        let ready = ModelReadyRequest { name: name.clone(), version: version.clone() };
        let ready = client.ask::<_, ModelReadyResponse>("ModelReady", ready).await;
        let metadata = ModelMetadataRequest { name, version };
        let metadata = client.ask::<_, ModelMetadataResponse>("ModelMetadata", metadata).await;
        if known {
            assert!(ready.unwrap().ready && metadata.unwrap().versions == ["1"]);
        } else {
            let codes = (ready.unwrap_err().code(), metadata.unwrap_err().code());
            assert_eq!(codes, (Code::NotFound, Code::NotFound));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_id_comes_back_and_the_extensions_are_those_of_rest() {
    let mesh = mesh("deploy/samples/iris.yaml").await;
    let mut client = Client::connect(mesh.http()).await;
    for (model, good) in [("iris", true), ("nope", false)] {
        for id in [Some("mine"), None] {
            let mut message = Request::new(request(model));
            if let Some(id) = id {
                message.metadata_mut().insert("x-request-id", id.parse().unwrap());
            }
            let answer = client.send::<_, ModelInferResponse>("ModelInfer", message).await;
            assert_eq!(answer.is_ok(), good);
            let headers = answer.map_or_else(|it| it.metadata().clone(), |it| it.metadata().clone());
            let met = headers.get("x-request-id").unwrap().to_str().unwrap();
            assert!(id.map_or(met.len() == 36, |id| met == id), "{met}");
            assert_eq!(
                headers.get("x-error-code").map(|it| it.to_str().unwrap()),
                (!good).then_some("not_found")
            );
        }
    }
    let server: ServerMetadataResponse =
        client.ask("ServerMetadata", ServerMetadataRequest {}).await.unwrap();
    let rest = get(&format!("http://{}/v2", mesh.http())).await.unwrap().json();
    assert_eq!(serde_json::json!(server.extensions), rest["extensions"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_server_says_in_grpc_what_it_does_not_offer() {
    let mesh = mesh("deploy/samples/iris.yaml").await;
    let mut client = Client::connect(mesh.http()).await;
    for (method, part) in [
        ("inference.GRPCInferenceService/ModelConfig", "reflection"),
        ("inference.Other/Do", "reflection"),
        ("grpc.channelz.v1.Channelz/GetServers", "reflection"),
        ("some.Service/Do", "reflection"),
        ("weir.mesh.v1.Predictor/Fly", "reflection"),
        ("tensorflow.serving.PredictionService/Predict", "REST"),
    ] {
        let status = client.ask::<_, ServerLiveResponse>(method, ServerLiveRequest {}).await.unwrap_err();
        assert_eq!(status.code(), Code::Unimplemented, "{method}: {status}");
        assert!(status.message().contains(method) && status.message().contains(part), "{status}");
    }
    // The same path without gRPC is a route that is not there.
    let answer = get(&format!("http://{}/some.Service/Do", mesh.http())).await.unwrap();
    assert_eq!(answer.status, 404);
}
