//! What it brings to put requests together: predictions a second and CPU for each of a model that gains from company, off and
//! adaptive; and what it costs those who do not need it: a model of microseconds, beside an earlier build.
//!
//! `ORT_DYLIB_PATH=... cargo bench -p weir-tests --bench batching -- FILE...`, models of one FP32 input; `WEIR_BASELINE=PROGRAM`
//! names the earlier `weir`. Rounds alternate between servers, each a process of its own, and medians are shown.

// A bench prints, and has nobody to hand an error to.
#![allow(clippy::print_stdout, clippy::unwrap_used)]

use std::net::TcpStream;
use std::time::{Duration, Instant};

use weir_predictor::runtime::LoadOptions;
use weir_sdk::{DataType, Env};
use weir_tests::served::{Served, ask, median};

const WEIR: &str = env!("CARGO_BIN_EXE_weir-under-test");
const ROUND: Duration = Duration::from_secs(3);
const ROUNDS: usize = 5;

fn main() {
    // cargo itself adds `--bench`.
    for file in std::env::args().skip(1).filter(|it| !it.starts_with("--")) {
        gains(&file);
    }
    if let Ok(baseline) = std::env::var("WEIR_BASELINE") {
        inline(&baseline);
    }
}

/// A model that gains: off beside adaptive.
fn gains(file: &str) {
    let request = binary(file);
    let args = |batching: &str| -> Vec<String> {
        let told = [format!("--model_dir={file}"), "--model_name=m".to_owned(), batching.to_owned()];
        told.into_iter().filter(|it| !it.is_empty()).collect()
    };
    let servers = [
        ("off", Served::predictor(WEIR, &args("--enable_batching=false"))),
        ("adaptive", Served::predictor(WEIR, &args(""))),
    ];
    for connections in [1, 64] {
        compare(&format!("{file}, {connections} connections"), &servers, &request, connections);
    }
}

/// A model of microseconds: an earlier build beside this one.
fn inline(baseline: &str) {
    let body = r#"{"instances": [[6.8, 2.8, 4.8, 1.4]]}"#;
    let request = post("/v1/models/iris:predict", "", body.as_bytes());
    let args = ["--model_name", "iris", "--model_dir", "deploy/samples/models/iris"].map(str::to_owned);
    let servers =
        [("earlier", Served::predictor(baseline, &args)), ("this build", Served::predictor(WEIR, &args))];
    for connections in [1, 16] {
        compare(&format!("iris, {connections} connections"), &servers, &request, connections);
    }
}

fn compare(title: &str, servers: &[(&str, Served)], request: &[u8], connections: usize) {
    let mut met = vec![<[Vec<f64>; 4]>::default(); servers.len()];
    for _ in 0..ROUNDS {
        for ((_, server), met) in servers.iter().zip(&mut met) {
            let round = round(server, request, connections);
            met.iter_mut().zip(round).for_each(|(all, it)| all.push(it));
        }
    }
    println!(
        "\n{title}\n{:<12} {:>10} {:>12} {:>12} {:>12} {:>7}",
        "", "req/s", "CPU us/req", "p50 us", "p99 us", "CPU"
    );
    let mut base = None;
    for ((name, _), met) in servers.iter().zip(&mut met) {
        let [rate, cpu, p50, p99] = met.each_mut().map(|it| median(it));
        let base = *base.get_or_insert(cpu);
        println!("{name:<12} {rate:>10.1} {cpu:>12.1} {p50:>12.1} {p99:>12.1} {:>6.3}x", cpu / base);
    }
}

/// Requests a second, microseconds of CPU each, and the median and the 99th percentile of what they took.
fn round(server: &Served, request: &[u8], connections: usize) -> [f64; 4] {
    let (before, started) = (server.cpu(), Instant::now());
    let client = || {
        let mut stream = TcpStream::connect(server.address).unwrap();
        stream.set_nodelay(true).unwrap();
        let (mut answer, mut took) = (Vec::new(), Vec::new());
        while started.elapsed() < ROUND {
            let asked = Instant::now();
            ask(&mut stream, request, &mut answer);
            took.push(asked.elapsed().as_secs_f64() * 1e6);
        }
        took
    };
    let mut took: Vec<f64> = std::thread::scope(|scope| {
        let clients: Vec<_> = (0..connections).map(|_| scope.spawn(client)).collect();
        clients.into_iter().flat_map(|it| it.join().unwrap()).collect()
    });
    let (wall, spent) = (started.elapsed().as_secs_f64(), server.cpu().saturating_sub(before));
    let count = took.len() as f64;
    let middle = median(&mut took);
    [count / wall, spent.as_secs_f64() * 1e6 / count, middle, took[took.len() * 99 / 100]]
}

/// A V2 request of one row in binary.
fn binary(file: &str) -> Vec<u8> {
    let options = LoadOptions { env: Env::of_process(), ..LoadOptions::default() };
    let model = weir_predictor::load(file.as_ref(), None, &options).unwrap();
    let spec = &model.signature().inputs[0];
    assert_eq!(spec.datatype, DataType::Fp32, "the bench asks models of one FP32 input");
    let shape: Vec<usize> = spec.shape.iter().map(|&it| usize::try_from(it).unwrap_or(1)).collect();
    let values = (0..shape.iter().product()).map(|it: usize| (it * 7919 % 256) as f32 / 255.0);
    let raw: Vec<u8> = values.flat_map(f32::to_le_bytes).collect();
    let head = serde_json::json!({
        "inputs": [{"name": spec.name, "datatype": "FP32", "shape": shape, "parameters": {"binary_data_size": raw.len()}}],
        "parameters": {"binary_data_output": true}
    });
    let head = head.to_string();
    let length = format!("inference-header-content-length: {}\r\n", head.len());
    post("/v2/models/m/infer", &length, &[head.as_bytes(), &raw].concat())
}

fn post(path: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n{headers}content-length: {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}
