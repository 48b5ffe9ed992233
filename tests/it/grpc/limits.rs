//! Limits of messages, and compressed ones: framed by hand where a client's library would not send them so.

use std::io::Read;

use flate2::Compression;
use flate2::read::{GzDecoder, GzEncoder, ZlibDecoder, ZlibEncoder};
use prost::Message;
use tonic::Code;
use weir_proto::generated::inference::*;

use super::{Client, predictor, request};

/// Rows, as one raw input.
fn rows(count: usize) -> ModelInferRequest {
    let mut message = request("iris");
    message.inputs[0].shape = vec![count as i64, 4];
    message.raw_input_contents[0] = message.raw_input_contents[0].repeat(count).into();
    message
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_over_a_limit_is_told_with_both_numbers() {
    let predictor = predictor(|limits| {
        limits.max_receive_message = 2000;
        limits.max_send_message = 300;
    })
    .await;
    let mut client = Client::connect(predictor.http).await;
    let mut refused = async |message: ModelInferRequest, parts: &[&str]| {
        let status = client.ask::<_, ModelInferResponse>("ModelInfer", message).await.unwrap_err();
        assert_eq!(status.code(), Code::ResourceExhausted, "{status}");
        assert_eq!(status.metadata().get("x-error-code").unwrap(), "too_large");
        for part in parts {
            assert!(status.message().contains(part), "`{part}` is not in `{status}`");
        }
    };
    let large = rows(1000);
    let length = format!("{} bytes", large.encoded_len());
    refused(large, &[&length, "the limit is 2000", "--grpc_max_receive_message_length"]).await;
    refused(rows(60), &["the answer has", "the limit is 300", "--grpc_max_send_message_length"]).await;
    let answer: ModelInferResponse = client.ask("ModelInfer", rows(10)).await.unwrap();
    assert_eq!(answer.outputs[0].shape, [10]);
}

#[derive(Clone, Copy)]
enum How {
    Gzip,
    Deflate,
}

fn packed(how: How, bytes: impl Read) -> Vec<u8> {
    let mut out = Vec::new();
    match how {
        How::Gzip => GzEncoder::new(bytes, Compression::default()).read_to_end(&mut out),
        How::Deflate => ZlibEncoder::new(bytes, Compression::default()).read_to_end(&mut out),
    }
    .unwrap();
    out
}

fn unpacked(how: How, bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    match how {
        How::Gzip => GzDecoder::new(bytes).read_to_end(&mut out),
        How::Deflate => ZlibDecoder::new(bytes).read_to_end(&mut out),
    }
    .unwrap();
    out
}

struct Answer {
    /// Of an answer without messages; otherwise it is a trailer, which this client does not see.
    status: Option<String>,
    message: String,
    encoding: Option<String>,
    /// The flag and the message.
    body: Option<(u8, Vec<u8>)>,
}

async fn post(address: std::net::SocketAddr, flag: u8, message: &[u8], headers: &[(&str, &str)]) -> Answer {
    let client = reqwest::Client::builder().no_proxy().http2_prior_knowledge().build().unwrap();
    let framed = [&[flag][..], &(message.len() as u32).to_be_bytes(), message].concat();
    let url = format!("http://{address}/inference.GRPCInferenceService/ModelInfer");
    let mut request = client.post(url).header("content-type", "application/grpc").header("te", "trailers");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let response = request.body(framed).send().await.unwrap();
    let header = |name: &str| response.headers().get(name).map(|it| it.to_str().unwrap().to_owned());
    let (status, encoding) = (header("grpc-status"), header("grpc-encoding"));
    let message = header("grpc-message").unwrap_or_default();
    let body = response.bytes().await.unwrap();
    let body = (!body.is_empty()).then(|| (body[0], body[5..].to_vec()));
    Answer { status, message, encoding, body }
}

#[tokio::test(flavor = "multi_thread")]
async fn compressed_messages_are_read_and_answered_in_kind_where_it_is_worth_it() {
    let predictor = predictor(|_| {}).await;
    for (how, name) in [(How::Gzip, "gzip"), (How::Deflate, "deflate")] {
        let headers = [("grpc-encoding", name), ("grpc-accept-encoding", "identity, deflate, gzip")];
        let large = packed(how, &rows(5000).encode_to_vec()[..]);
        let answer = post(predictor.http, 1, &large, &headers).await;
        assert_eq!((answer.status.as_deref(), answer.encoding.as_deref()), (None, Some(name)));
        let (flag, body) = answer.body.unwrap();
        let message = ModelInferResponse::decode(&unpacked(how, &body)[..]).unwrap();
        assert_eq!((flag, message.outputs[0].shape.as_slice()), (1, &[5000][..]));
        assert!(body.len() < 1000, "{}", body.len());
        // A small answer goes as it is.
        let small = packed(how, &rows(1).encode_to_vec()[..]);
        let answer = post(predictor.http, 1, &small, &headers).await;
        let (flag, body) = answer.body.unwrap();
        assert_eq!((flag, answer.encoding), (0, None));
        assert_eq!(ModelInferResponse::decode(&body[..]).unwrap().id, "7");
        // Every library offers to read compressed answers; the offer alone is not taken up.
        let answer = post(predictor.http, 0, &rows(5000).encode_to_vec(), &headers[1..]).await;
        assert_eq!((answer.body.unwrap().0, answer.encoding), (0, None));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bomb_is_held_to_the_limit_and_what_cannot_be_opened_is_refused() {
    let predictor = predictor(|limits| limits.max_receive_message = 1 << 20).await;
    let refused = async |message: Vec<u8>, headers: &[(&str, &str)], status: &str, part: &str| {
        let answer = post(predictor.http, 1, &message, headers).await;
        assert_eq!(answer.status.as_deref(), Some(status), "{}", answer.message);
        let text = answer.message.replace("%20", " ");
        assert!(text.contains(part), "{text}");
    };
    for (how, name) in [(How::Gzip, "gzip"), (How::Deflate, "deflate")] {
        let bomb = packed(how, std::io::repeat(0).take(1 << 26));
        assert!(bomb.len() <= 1 << 20, "{}", bomb.len());
        let held = "1048577 or more decompressed bytes, the limit is 1048576";
        refused(bomb, &[("grpc-encoding", name)], "8", held).await;
        let truncated = packed(how, &rows(100).encode_to_vec()[..]);
        refused(truncated[..20].to_vec(), &[("grpc-encoding", name)], "3", "cannot be read as").await;
    }
    refused(b"x".to_vec(), &[("grpc-encoding", "snappy")], "12", "snappy").await;
    refused(b"x".to_vec(), &[], "3", "does not say how").await;
}
