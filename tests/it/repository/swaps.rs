//! Fifty swaps while 64 connections send: nobody is refused, everybody gets a version that was there, and what was there is freed.

use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use tonic::client::Grpc;
use tonic_prost::ProstCodec;
use weir_proto::generated::inference::model_infer_request::InferInputTensor;
use weir_proto::generated::inference::{InferTensorContents, ModelInferRequest, ModelInferResponse};

use super::{BODY, LATE, POLL, held, place};
use crate::harness::{client, get, wait_for, weir};

const CONNECTIONS: usize = 64;
const SWAPS: u64 = 50;
/// About a megabyte of trees.
const TREES: usize = 600;
const V2: &str = r#"{"inputs": [{"name": "input-0", "shape": [1, 5], "datatype": "FP32", "data": [0.5, 0.5, 0.5, 0.5, 0.5]}]}"#;

/// A predictor as a process of its own, whose memory is nobody else's.
struct Predictor {
    child: Child,
    http: String,
    admin: String,
}

impl Predictor {
    fn start(folder: &str) -> Self {
        let admin = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let mut child = weir()
            .args([
                "predictor",
                "--host=127.0.0.1",
                "--http_port=0",
                "--grpc_port=0",
                "--lame_duck_seconds=0",
            ])
            .args([&format!("--admin_port={}", admin.port()), "--model_name=m", "--model_dir", folder, POLL])
            .env_remove("WEIR_LOG")
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut log = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
        let listens = log.find(|it| it.contains("predictor listens")).expect("it listens");
        let http = listens.split_once("http=").unwrap().1.split(' ').next().unwrap().to_owned();
        // Read on, or the process would wait for room in the pipe.
        std::thread::spawn(move || log.for_each(drop));
        Self { child, http, admin: admin.to_string() }
    }

    /// What of its memory is in use now, in megabytes.
    fn resident(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|it| it.strip_prefix("VmRSS:")).unwrap();
        line.split_whitespace().next().unwrap().parse::<u64>().unwrap() >> 10
    }
}

impl Drop for Predictor {
    fn drop(&mut self) {
        // Fails only when it has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What the connections know of each other and of the swaps.
#[derive(Default)]
struct Talk {
    /// The version that certainly is the one since.
    lowest: AtomicU64,
    /// The version that is there at most.
    highest: AtomicU64,
    answered: AtomicU64,
    end: AtomicBool,
}

impl Talk {
    /// The version that was there at least when a request is sent; nothing once no more are to be sent.
    fn begin(&self) -> Option<u64> {
        (!self.end.load(Ordering::Relaxed)).then(|| self.lowest.load(Ordering::SeqCst))
    }

    /// Holds an answer against what was there while it was asked for.
    fn heard(&self, lowest: u64, answer: f64) -> Result<(), String> {
        let (answer, highest) = (answer.round() as u64, self.highest.load(Ordering::SeqCst));
        if !(lowest..=highest).contains(&answer) {
            return Err(format!("version {answer} answered, when {lowest} to {highest} were there"));
        }
        self.answered.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }
}

async fn rest(talk: Arc<Talk>, url: String, body: &'static str, pointer: &'static str) -> Result<(), String> {
    let client = client();
    while let Some(lowest) = talk.begin() {
        let answer = client.post(&url).body(body).send().await.map_err(|it| it.to_string())?;
        let (status, text) = (answer.status(), answer.text().await.map_err(|it| it.to_string())?);
        let read = serde_json::from_str::<serde_json::Value>(&text).ok().filter(|_| status == 200);
        let answered =
            read.and_then(|it| it.pointer(pointer)?.as_f64()).ok_or(format!("{status}: {text}"))?;
        talk.heard(lowest, answered)?;
    }
    Ok(())
}

async fn grpc(talk: Arc<Talk>, address: String) -> Result<(), String> {
    let channel = tonic::transport::Endpoint::from_shared(format!("http://{address}")).unwrap();
    let mut grpc = Grpc::new(channel.connect().await.map_err(|it| it.to_string())?);
    let contents = InferTensorContents { fp32_contents: vec![0.5; 5], ..InferTensorContents::default() };
    let input = InferInputTensor {
        name: "input-0".to_owned(),
        datatype: "FP32".to_owned(),
        shape: vec![1, 5],
        contents: Some(contents),
        ..InferInputTensor::default()
    };
    let request = ModelInferRequest { model_name: "m".to_owned(), inputs: vec![input], ..Default::default() };
    while let Some(lowest) = talk.begin() {
        grpc.ready().await.map_err(|it| it.to_string())?;
        let path = "/inference.GRPCInferenceService/ModelInfer".parse().unwrap();
        let codec: ProstCodec<ModelInferRequest, ModelInferResponse> = ProstCodec::default();
        let answer = grpc.unary(tonic::Request::new(request.clone()), path, codec).await;
        let answer = answer.map_err(|it| it.to_string())?.into_inner();
        let typed = answer.outputs[0].contents.as_ref().and_then(|it| it.fp32_contents.first().copied());
        let raw = answer.raw_output_contents.first().map(|it| f32::from_le_bytes((**it).try_into().unwrap()));
        let answered = typed.or(raw).ok_or("no answer in the answer")?;
        // The version that says so is the one that computed.
        if answer.model_version != (answered.round() as u64).to_string() {
            return Err(format!("version {} answered {answered}", answer.model_version));
        }
        talk.heard(lowest, f64::from(answered))?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_swaps_while_64_connections_send() {
    let folder = tempfile::tempdir().unwrap();
    let base = folder.path().join("m");
    place(&base.join("1"), 1, TREES);
    let predictor = Predictor::start(base.to_str().unwrap());
    let http = predictor.http.clone();
    let status = format!("http://{http}/v1/models/m");
    let is_served = |version: u64| {
        let (status, wanted) = (status.clone(), format!("\"version\":\"{version}\",\"state\":\"AVAILABLE\""));
        async move {
            let told = get(&status).await;
            told.is_ok_and(|it| {
                it.status == 200 && it.text.contains(&wanted) && it.text.matches("state").count() == 1
            })
        }
    };
    wait_for(LATE, || is_served(1)).await;
    let talk = Arc::new(Talk::default());
    talk.lowest.store(1, Ordering::SeqCst);
    talk.highest.store(1, Ordering::SeqCst);
    let senders: Vec<_> = (0..CONNECTIONS)
        .map(|at| {
            let talk = Arc::clone(&talk);
            let url = |path: &str| format!("http://{http}{path}");
            match at % 3 {
                0 => tokio::spawn(rest(talk, url("/v1/models/m:predict"), BODY, "/predictions/0")),
                1 => tokio::spawn(rest(talk, url("/v2/models/m/infer"), V2, "/outputs/0/data/0")),
                _ => tokio::spawn(grpc(talk, http.clone())),
            }
        })
        .collect();
    let mut resident = Vec::new();
    for version in 2..2 + SWAPS {
        let answered = talk.answered.load(Ordering::Relaxed);
        talk.highest.store(version, Ordering::SeqCst);
        place(&base.join(version.to_string()), version, TREES);
        wait_for(LATE, || is_served(version)).await;
        talk.lowest.store(version, Ordering::SeqCst);
        std::fs::remove_dir_all(base.join((version - 1).to_string())).unwrap();
        // Requests are answered by every version.
        wait_for(LATE, || async { talk.answered.load(Ordering::Relaxed) >= answered + CONNECTIONS as u64 })
            .await;
        resident.push(predictor.resident());
    }
    talk.end.store(true, Ordering::Relaxed);
    for sender in senders {
        sender.await.unwrap().unwrap();
    }
    let answered = talk.answered.load(Ordering::Relaxed);
    let last = format!("version=\"{}\"", 1 + SWAPS);
    wait_for(LATE, || async {
        let held = held(&predictor.admin).await;
        held.len() == 1 && held[0].0.contains(&last) && held[0].1 > 500_000
    })
    .await;
    let (early, late) = (resident[9], resident[resident.len() - 1]);
    println!(
        "{SWAPS} swaps, {CONNECTIONS} connections, {answered} requests, none failed; resident {early} MB after 10 swaps, {late} MB after {SWAPS}"
    );
    // Forty models that were kept would be several times as much.
    assert!(late < early + 32, "{resident:?} megabytes");
}
