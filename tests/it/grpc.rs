//! gRPC on the same port: the Open Inference Protocol as its clients speak it.

use std::collections::HashMap;

use prost::Message;
use tonic::client::Grpc;
use tonic::{Code, Request, Status};
use tonic_prost::ProstCodec;
use weir_proto::generated::inference::model_infer_request::{InferInputTensor, InferRequestedOutputTensor};
use weir_proto::generated::inference::*;

use crate::harness::mesh;

/// A plain client: `inference.GRPCInferenceService` over a connection of tonic's own, as any client would have.
struct Client(Grpc<tonic::transport::Channel>);

impl Client {
    async fn connect(address: std::net::SocketAddr) -> Self {
        let channel = tonic::transport::Endpoint::from_shared(format!("http://{address}")).unwrap();
        Self(Grpc::new(channel.connect().await.unwrap()))
    }

    async fn ask<Q: Message + 'static, A: Message + Default + 'static>(
        &mut self,
        method: &str,
        message: Q,
    ) -> Result<A, Status> {
        self.0.ready().await.unwrap();
        let path = format!("/inference.GRPCInferenceService/{method}").parse().unwrap();
        let codec: ProstCodec<Q, A> = ProstCodec::default();
        self.0.unary(Request::new(message), path, codec).await.map(tonic::Response::into_inner)
    }
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
