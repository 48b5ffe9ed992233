//! Predictions a second of a model that a framework's library computes, through the server, over V1 and over gRPC, beside the
//! same library called in a loop by as many threads as there are cores. Rounds alternate between them, and medians are shown.
//!
//! `TENSORFLOW_LIBRARY=... cargo bench -p weir-tests --bench library -- PATH...`, the folders of a SavedModel's versions or files
//! such as `model.onnx` (with `ORT_DYLIB_PATH`).

// A bench prints, and has nobody to hand an error to.
#![allow(clippy::print_stdout, clippy::unwrap_used)]

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tonic::client::Grpc;
use tonic_prost::ProstCodec;
use weir_predictor::runtime::LoadOptions;
use weir_proto::generated::inference::model_infer_request::InferInputTensor;
use weir_proto::generated::inference::{ModelInferRequest, ModelInferResponse};
use weir_proto::{Data, DataType, Tensor};
use weir_sdk::{Env, Launch, Limits, Metrics, Model, Server, ServerFlags, Sockets};

const ROUND: Duration = Duration::from_secs(2);
const ROUNDS: usize = 3;
const CONNECTIONS: usize = 8;

#[tokio::main]
async fn main() {
    // cargo itself adds `--bench`.
    for folder in std::env::args().skip(1).filter(|it| !it.starts_with("--")) {
        for rows in [1, 8] {
            compare(&folder, rows).await;
        }
    }
}

async fn compare(folder: &str, rows: usize) {
    let args = [format!("--model_base_path={folder}"), "--model_name=m".to_owned()];
    let launch = Launch { args: args.to_vec(), env: Env::of_process() };
    let service = weir_predictor::build(&launch).unwrap();
    let flags = ServerFlags::loopback();
    let mut limits = Limits::from(&flags);
    limits.decode.elements = usize::MAX;
    let sockets = Sockets::bind(&flags, &Env::default()).await.unwrap();
    let running = Server::new(service.handle, limits, Metrics::new()).start(sockets);
    tokio::task::spawn_blocking(service.background.unwrap()).await.unwrap();

    let options = LoadOptions { env: Env::of_process(), ..LoadOptions::default() };
    let path = Path::new(folder);
    let versions = path.read_dir().ok().and_then(|it| it.map(|it| it.unwrap().path()).max());
    let model = weir_predictor::load(versions.as_deref().unwrap_or(path), None, &options).unwrap();
    let input = input(&*model, rows);
    let v1 = v1_body(&input);
    let url = format!("http://{}/v1/models/m:predict", running.http);
    let message = message(&input);
    let mut rates = [Vec::new(), Vec::new(), Vec::new()];
    for _ in 0..ROUNDS {
        rates[0].push(tokio::task::block_in_place(|| in_a_loop(&*model, &input)));
        rates[1].push(over_v1(&url, &v1).await);
        rates[2].push(over_grpc(running.http, &message).await);
    }
    let [library, v1, grpc] = rates.map(|mut it| {
        it.sort_by(f64::total_cmp);
        it[it.len() / 2] * rows as f64
    });
    println!(
        "{folder} batch {rows}: library {library:.0} rows/s; V1 {v1:.0} ({:.0}%); gRPC {grpc:.0} ({:.0}%)",
        100.0 * v1 / library,
        100.0 * grpc / library
    );
}

fn input(model: &dyn Model, rows: usize) -> Tensor {
    let spec = &model.signature().inputs[0];
    assert_eq!(spec.datatype, DataType::Fp32, "the bench asks models of one FP32 input");
    let shape: Vec<usize> = spec.shape.iter().map(|&it| usize::try_from(it).unwrap_or(rows)).collect();
    let count = shape.iter().product::<usize>();
    let values: Vec<f32> = (0..count).map(|it| (it * 7919 % 256) as f32).collect();
    Tensor::new(spec.name.clone(), shape, Data::Fp32(values.into()))
}

/// The input as `instances`, of whole numbers as pixels are.
fn v1_body(input: &Tensor) -> String {
    fn nest(shape: &[usize], values: &[f64]) -> String {
        let Some((size, rest)) = shape.split_first() else { return values[0].to_string() };
        let each = values.len() / size;
        let parts: Vec<_> = values.chunks(each).map(|it| nest(rest, it)).collect();
        format!("[{}]", parts.join(","))
    }
    format!("{{\"instances\":{}}}", nest(&input.shape, &input.data.to_f64().unwrap()))
}

fn message(input: &Tensor) -> ModelInferRequest {
    let tensor = InferInputTensor {
        name: input.name.clone(),
        datatype: input.datatype().name().to_owned(),
        shape: input.shape.iter().map(|&it| it as i64).collect(),
        ..InferInputTensor::default()
    };
    ModelInferRequest {
        model_name: "m".to_owned(),
        inputs: vec![tensor],
        raw_input_contents: vec![input.data.clone().into_raw()],
        ..ModelInferRequest::default()
    }
}

fn in_a_loop(model: &dyn Model, input: &Tensor) -> f64 {
    let done = AtomicUsize::new(0);
    let started = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().unwrap().get() {
            scope.spawn(|| {
                while started.elapsed() < ROUND {
                    model.predict(std::slice::from_ref(input), &[0]).unwrap();
                    done.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
    });
    done.into_inner() as f64 / started.elapsed().as_secs_f64()
}

async fn over_v1(url: &str, body: &str) -> f64 {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let (url, body) = (url.to_owned(), bytes::Bytes::copy_from_slice(body.as_bytes()));
    rate(move || {
        let (client, url, body) = (client.clone(), url.clone(), body.clone());
        async move {
            let answer = client.post(&url).body(body).send().await.unwrap();
            assert_eq!(answer.status(), 200, "{}", answer.text().await.unwrap());
            answer.bytes().await.unwrap();
        }
    })
    .await
}

async fn over_grpc(address: std::net::SocketAddr, message: &ModelInferRequest) -> f64 {
    let endpoint = tonic::transport::Endpoint::from_shared(format!("http://{address}")).unwrap();
    let channel = endpoint.initial_stream_window_size(16 << 20).initial_connection_window_size(64 << 20);
    let channel = channel.connect().await.unwrap();
    let message = message.clone();
    rate(move || {
        let (channel, message) = (channel.clone(), message.clone());
        async move {
            let mut client = Grpc::new(channel).max_decoding_message_size(usize::MAX);
            client.ready().await.unwrap();
            let path = http::uri::PathAndQuery::from_static("/inference.GRPCInferenceService/ModelInfer");
            let codec: ProstCodec<ModelInferRequest, ModelInferResponse> = ProstCodec::default();
            client.unary(tonic::Request::new(message), path, codec).await.unwrap();
        }
    })
    .await
}

/// Requests a second of so many callers, each one after the other.
async fn rate<F: Future<Output = ()> + Send + 'static>(
    ask: impl Fn() -> F + Clone + Send + Sync + 'static,
) -> f64 {
    let started = Instant::now();
    let mut callers = Vec::new();
    for _ in 0..CONNECTIONS {
        let ask = ask.clone();
        callers.push(tokio::spawn(async move {
            let mut done = 0;
            while started.elapsed() < ROUND {
                ask().await;
                done += 1;
            }
            done
        }));
    }
    let mut done = 0;
    for caller in callers {
        done += caller.await.unwrap();
    }
    f64::from(done) / started.elapsed().as_secs_f64()
}
