//! `ModelStreamInfer`: answers in the order of the requests, errors among them, and an end.

use std::time::Duration;

use tonic::Code;
use weir_proto::generated::inference::*;
use weir_sdk::Drain;

use super::{Client, Stream, predictor, request};
use crate::harness::mesh;

type Infer = Stream<ModelInferRequest, ModelStreamInferResponse>;

async fn open(client: &mut Client, headers: &[(&'static str, &str)]) -> Infer {
    client.open("ModelStreamInfer", headers).await.unwrap()
}

fn numbered(model: &str, id: usize) -> ModelInferRequest {
    ModelInferRequest { id: id.to_string(), ..request(model) }
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_come_in_order_and_an_error_is_one_of_them() {
    let mesh = mesh("deploy/samples/iris.yaml").await;
    let mut client = Client::connect(mesh.http()).await;
    let mut stream = open(&mut client, &[("x-request-id", "mine")]).await;
    assert_eq!(stream.headers.get("x-request-id").unwrap(), "mine");
    // Sent by a task, since all of it is more than lies in the channel while answers are not read.
    let send = stream.send.take().unwrap();
    let sending = tokio::spawn(async move {
        for id in 0..50 {
            let mut message = numbered(if id % 5 == 3 { "nope" } else { "iris" }, id);
            if id == 7 {
                message.raw_input_contents[0] = message.raw_input_contents[0].slice(..31);
            }
            send.send(message).await.unwrap();
        }
        // Its end is the half close.
    });
    for id in 0..50 {
        let answer = stream.next().await.unwrap().unwrap();
        let inner = answer.infer_response.unwrap();
        assert_eq!(inner.id, id.to_string());
        let part = match id {
            7 => "31 bytes",
            _ if id % 5 == 3 => "Model with name nope does not exist.",
            _ => "",
        };
        assert_eq!(answer.error_message.is_empty(), part.is_empty(), "{id}: {}", answer.error_message);
        assert!(answer.error_message.contains(part), "{}", answer.error_message);
        if part.is_empty() {
            assert_eq!(&inner.raw_output_contents[0][..], b"\x0a\0\0\0versicolor");
        }
    }
    sending.await.unwrap();
    assert_eq!(stream.next().await.unwrap(), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_is_answered_while_it_is_open_and_may_be_empty() {
    let predictor = predictor(|_| {}).await;
    let mut client = Client::connect(predictor.http).await;
    let mut stream = open(&mut client, &[]).await;
    for id in 0..3 {
        stream.send(numbered("iris", id)).await;
        assert_eq!(stream.next().await.unwrap().unwrap().infer_response.unwrap().id, id.to_string());
    }
    stream.half_close();
    assert_eq!(stream.next().await.unwrap(), None);
    let mut empty = open(&mut client, &[]).await;
    empty.half_close();
    assert_eq!(empty.next().await.unwrap(), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_ends_with_its_deadline_and_when_it_lies_idle() {
    let predictor = predictor(|limits| limits.stream_idle = Duration::from_millis(300)).await;
    let mut client = Client::connect(predictor.http).await;
    for (headers, part) in [(&[("grpc-timeout", "100m")][..], "deadline"), (&[], "within 300ms")] {
        let mut stream = open(&mut client, headers).await;
        stream.send(numbered("iris", 1)).await;
        assert!(stream.next().await.unwrap().unwrap().error_message.is_empty());
        let status = stream.next().await.unwrap_err();
        assert_eq!(status.code(), Code::DeadlineExceeded, "{status}");
        assert!(status.message().contains(part), "{status}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_over_the_limit_ends_its_stream() {
    let predictor = predictor(|limits| limits.max_receive_message = 1000).await;
    let mut client = Client::connect(predictor.http).await;
    let mut stream = open(&mut client, &[]).await;
    stream.send(numbered("iris", 1)).await;
    assert!(stream.next().await.unwrap().unwrap().error_message.is_empty());
    stream.send(ModelInferRequest { id: "x".repeat(1000), ..request("iris") }).await;
    let status = stream.next().await.unwrap_err();
    assert_eq!(status.code(), Code::ResourceExhausted, "{status}");
    assert!(status.message().contains("the limit is 1000"), "{status}");
    assert_eq!(status.metadata().get("x-error-origin").unwrap(), "predictor");
}

#[tokio::test(flavor = "multi_thread")]
async fn there_are_only_so_many_streams_and_requests() {
    let predictor = predictor(|limits| limits.max_in_flight = 1).await;
    let mut client = Client::connect(predictor.http).await;
    let mut only = open(&mut client, &[]).await;
    let refused = client.open::<ModelInferRequest, ModelStreamInferResponse>("ModelStreamInfer", &[]).await;
    let status = refused.err().unwrap();
    assert_eq!(status.code(), Code::ResourceExhausted, "{status}");
    assert_eq!(status.metadata().get("retry-after").unwrap(), "1");
    // An open stream takes no request's place.
    let _: ModelInferResponse = client.ask("ModelInfer", request("iris")).await.unwrap();
    only.send(numbered("iris", 1)).await;
    assert_eq!(only.next().await.unwrap().unwrap().error_message, "");
    // Whoever leaves makes room, also without a half close.
    drop(only);
    crate::harness::wait_for(Duration::from_secs(10), || {
        let mut client = Client(client.0.clone());
        async move {
            client.open::<ModelInferRequest, ModelStreamInferResponse>("ModelStreamInfer", &[]).await.is_ok()
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn draining_ends_open_streams() {
    let predictor = predictor(|_| {}).await;
    let mut client = Client::connect(predictor.http).await;
    let mut stream = open(&mut client, &[]).await;
    stream.send(numbered("iris", 1)).await;
    assert!(stream.next().await.unwrap().unwrap().error_message.is_empty());
    let drain = Drain { lame_duck: Duration::ZERO, grace: Duration::from_secs(10) };
    let drained = tokio::spawn(predictor.drain(drain));
    let status = stream.next().await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable, "{status}");
    assert!(status.message().contains("on its way out"), "{status}");
    assert!(drained.await.unwrap(), "the server did not end in time");
}
