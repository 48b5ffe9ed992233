//! JSON to tensor and back: bodies straight into flat tensors, beside serde_json's tree, beside finding every comma.
//!
//! `cargo bench -p weir-tests --bench json`. Best of many rounds, interleaved; the ratios are what counts. The naive way
//! parses into a `serde_json::Value` and flattens it, or builds one and prints it. Two floors tell what is left to gain:
//! `scan` is memchr over the same bytes for each `,` and `]`, which is where values end; `pass` is memchr for a byte that
//! is not there, the least that looking at every byte costs.

// A bench prints, and has nobody to hand an error to.
#![allow(clippy::print_stdout, clippy::unwrap_used)]

use std::hint::black_box;
use std::time::{Duration, Instant};

use bytes::Bytes;
use serde_json::{Value, json};
use weir_proto::{Data, DecodeLimits, Form, InferResponse, Tensor, v1, v2};

fn main() {
    println!(
        "{:<38} {:>9} {:>9} {:>11} {:>7} {:>9} {:>7} {:>9}",
        "body", "kB", "weir us", "naive us", "gain", "scan us", "x scan", "pass us"
    );
    for rows in [1, 16, 256] {
        decode(&format!("v1 {rows} x 4, 2 digits"), &v1_body(&[rows, 4], &fixed(2)));
    }
    for (side, name) in [(32, "32x32x3"), (224, "224x224x3")] {
        for (kind, number) in numbers() {
            decode(&format!("v1 {name}, {kind}"), &v1_body(&[1, side, side, 3], &number));
        }
    }
    for digits in [3, 9, 17] {
        decode_v2(&format!("v2 FP32 flat 150k, {digits} digits"), &v2_body(&[150_000], &fixed(digits)));
    }
    decode_v2("v2 FP32 nested 50k x 3, 9 digits", &v2_body(&[50_000, 3], &fixed(9)));
    for rows in [1, 256] {
        encode_v1(&format!("{rows} x 3 FP64"), &doubles(&[rows, 3]));
    }
    encode_v1("224x224x3 FP32", &singles(&[1, 224, 224, 3]));
    encode_v1("224x224x3 UINT8", &bytes(&[1, 224, 224, 3]));
    encode_v2("FP32 flat 150k", &singles(&[150_000]));
    encode_v2("INT64 flat 150k", &integers(&[150_000]));
}

/// Prints one line: `ours` and `naive` are run in turn, and so are the scans of `text`.
fn line<A, B>(name: &str, text: &[u8], ours: impl Fn() -> A, naive: impl Fn() -> B) {
    let mut best = [Duration::MAX; 4];
    for _ in 0..(20_000_000 / text.len()).clamp(30, 3000) {
        best[0] = best[0].min(timed(&ours));
        best[1] = best[1].min(timed(&naive));
        let text = black_box(text);
        best[2] = best[2].min(timed(|| memchr::memchr2_iter(b',', b']', text).count()));
        best[3] = best[3].min(timed(|| memchr::memchr(b'#', text)));
    }
    let [ours, naive, scan, pass] = best.map(|it| it.as_nanos() as f64 / 1000.0);
    println!(
        "{name:<38} {:>9.1} {ours:>9.2} {naive:>11.2} {:>6.1}x {scan:>9.2} {:>6.1}x {pass:>9.2}",
        text.len() as f64 / 1000.0,
        naive / ours,
        ours / scan
    );
}

fn timed<T>(work: impl FnOnce() -> T) -> Duration {
    let started = Instant::now();
    black_box(work());
    started.elapsed()
}

fn decode(name: &str, body: &[u8]) {
    let ours = || v1::decode_request(black_box(body), Form::default(), &DecodeLimits::default()).unwrap();
    let naive = || tree(black_box(body), |it| &it["instances"]);
    line(&format!("decode {name}"), body, ours, naive);
}

fn decode_v2(name: &str, body: &[u8]) {
    let bytes = Bytes::copy_from_slice(body);
    let ours = || v2::decode_request(black_box(&bytes), None, "m", &DecodeLimits::default()).unwrap();
    let naive = || {
        let wide = tree(black_box(body), |it| &it["inputs"][0]["data"]);
        wide.into_iter().map(|it| it as f32).collect::<Vec<_>>()
    };
    line(&format!("decode {name}"), body, ours, naive);
}

fn encode(
    name: &str,
    tensor: &Tensor,
    ours: impl Fn(InferResponse) -> Bytes,
    naive: impl Fn(&Tensor) -> Vec<u8>,
) {
    let response =
        InferResponse { model_name: "m".to_owned(), outputs: vec![tensor.clone()], ..Default::default() };
    let text = ours(response.clone());
    let naive = || naive(black_box(tensor));
    line(&format!("encode {name}"), &text, || ours(black_box(&response).clone()), naive);
}

fn encode_v1(name: &str, tensor: &Tensor) {
    let ours = |response| v1::encode_response(&response, &Form::default()).unwrap();
    encode(&format!("v1 {name}"), tensor, ours, naive_v1);
}

fn encode_v2(name: &str, tensor: &Tensor) {
    let ours = |response| v2::encode_response(response, &Form::default()).unwrap().0;
    encode(&format!("v2 {name}"), tensor, ours, naive_v2);
}

/// Writes a number between 0 and 1, given as one.
type Print = Box<dyn Fn(f64) -> String>;

/// The ways an image is written.
fn numbers() -> [(&'static str, Print); 4] {
    [
        ("0 to 255", Box::new(|unit| ((unit * 256.0) as u8).to_string())),
        ("3 digits", fixed(3)),
        ("17 digits", fixed(17)),
        // `(image.astype(float32) / 255).tolist()` in Python; both languages print the shortest text.
        ("float32 / 255", Box::new(|unit| f64::from((unit * 256.0).floor() as f32 / 255.0).to_string())),
    ]
}

fn fixed(digits: usize) -> Print {
    Box::new(move |unit| format!("{unit:.digits$}"))
}

fn random(count: usize) -> impl Iterator<Item = f64> {
    let mut state = 1_u64;
    (0..count).map(move |_| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 11) as f64 / (1_u64 << 53) as f64
    })
}

fn v1_body(shape: &[usize], print: &Print) -> Vec<u8> {
    format!("{{\"instances\": {}}}", nested(shape, print)).into_bytes()
}

fn v2_body(shape: &[usize], print: &Print) -> Vec<u8> {
    let count: usize = shape.iter().product();
    let data = nested(shape, print);
    let input = format!(r#"{{"name": "x", "shape": [{count}], "datatype": "FP32", "data": {data}}}"#);
    format!(r#"{{"inputs": [{input}]}}"#).into_bytes()
}

/// Lists nested by `shape`, as Python's `json` writes them.
fn nested(shape: &[usize], print: &Print) -> String {
    let mut texts: Vec<String> = random(shape.iter().product()).map(print).collect();
    for &size in shape.iter().rev() {
        texts = texts.chunks(size).map(|it| format!("[{}]", it.join(", "))).collect();
    }
    texts.remove(0)
}

/// A tensor as it comes from a model in another process: a clone of it copies no number.
fn lent(shape: &[usize], data: Data) -> Tensor {
    let (datatype, count) = (data.datatype(), data.len());
    Tensor::new("y", shape, Data::from_raw(datatype, data.into_raw(), count, "y").unwrap())
}

fn doubles(shape: &[usize]) -> Tensor {
    lent(shape, Data::Fp64(random(shape.iter().product()).collect::<Vec<_>>().into()))
}

fn singles(shape: &[usize]) -> Tensor {
    let values = random(shape.iter().product()).map(|it| it as f32);
    lent(shape, Data::Fp32(values.collect::<Vec<_>>().into()))
}

fn bytes(shape: &[usize]) -> Tensor {
    let values = random(shape.iter().product()).map(|it| (it * 256.0) as u8);
    lent(shape, Data::Uint8(values.collect::<Vec<_>>().into()))
}

fn integers(shape: &[usize]) -> Tensor {
    let values = random(shape.iter().product()).map(|it| (it * 1e6) as i64);
    lent(shape, Data::Int64(values.collect::<Vec<_>>().into()))
}

/// What a server without typed decoding does: parse into a tree, then flatten it.
fn tree(body: &[u8], find: impl Fn(&Value) -> &Value) -> Vec<f64> {
    fn flatten(value: &Value, out: &mut Vec<f64>) {
        match value {
            Value::Array(items) => items.iter().for_each(|it| flatten(it, out)),
            other => out.push(other.as_f64().unwrap()),
        }
    }
    let value: Value = serde_json::from_slice(body).unwrap();
    let mut out = Vec::new();
    flatten(find(&value), &mut out);
    out
}

/// The elements of a tensor as a list of values.
fn values(tensor: &Tensor) -> Vec<Value> {
    match &tensor.data {
        Data::Fp32(it) => it.iter().map(|&it| it.into()).collect(),
        Data::Fp64(it) => it.iter().map(|&it| it.into()).collect(),
        Data::Uint8(it) => it.iter().map(|&it| it.into()).collect(),
        Data::Int64(it) => it.iter().map(|&it| it.into()).collect(),
        other => panic!("the bench has no {}", other.datatype()),
    }
}

fn naive_v1(tensor: &Tensor) -> Vec<u8> {
    let mut tree = values(tensor);
    for &size in tensor.shape.iter().skip(1).rev() {
        let mut rest = tree.into_iter();
        let lists = std::iter::from_fn(|| {
            let list: Vec<Value> = rest.by_ref().take(size).collect();
            (!list.is_empty()).then_some(Value::Array(list))
        });
        tree = lists.collect();
    }
    serde_json::to_vec(&json!({"predictions": tree})).unwrap()
}

fn naive_v2(tensor: &Tensor) -> Vec<u8> {
    let output = json!({
        "name": tensor.name, "datatype": tensor.datatype().name(), "shape": tensor.shape, "data": values(tensor)
    });
    serde_json::to_vec(&json!({"model_name": "m", "id": "", "outputs": [output]})).unwrap()
}
