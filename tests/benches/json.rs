//! JSON to tensor: a V1 body straight into a flat tensor, beside serde_json's tree flattened, in one run.
//!
//! `cargo bench -p weir-tests --bench json`. Best of many rounds, interleaved; the ratio is what counts.

// A bench prints, and has nobody to hand an error to.
#![allow(clippy::print_stdout, clippy::unwrap_used)]

use std::hint::black_box;
use std::time::{Duration, Instant};

use serde_json::Value;
use weir_proto::{DecodeLimits, Form, InferRequest, v1};

fn main() {
    println!("{:<28} {:>10} {:>12} {:>8}", "body", "weir us", "serde_json us", "ratio");
    for (rows, row, digits) in
        [(1, 4, 2), (16, 4, 2), (256, 4, 2), (1, 3072, 3), (1, 3072, 17), (1, 150_528, 3), (1, 150_528, 17)]
    {
        let body = body(rows, row, digits);
        let (mut ours, mut theirs) = (Duration::MAX, Duration::MAX);
        let rounds = (20_000_000 / body.len()).clamp(30, 3000);
        for _ in 0..rounds {
            ours = ours.min(timed(|| drop(black_box(decode(black_box(&body))))));
            theirs = theirs.min(timed(|| drop(black_box(tree(black_box(&body))))));
        }
        let us = |it: Duration| it.as_nanos() as f64 / 1000.0;
        let name = format!("{rows} x {row}, {digits} digits");
        println!("{name:<28} {:>10.2} {:>12.2} {:>7.1}x", us(ours), us(theirs), us(theirs) / us(ours));
    }
}

fn decode(body: &[u8]) -> InferRequest {
    v1::decode_request(body, Form::default(), &DecodeLimits::default()).unwrap().0
}

fn timed(work: impl FnOnce()) -> Duration {
    let started = Instant::now();
    work();
    started.elapsed()
}

/// A body of rows of numbers between 0 and 1 with that many digits; nested as an image is beyond a thousand.
fn body(rows: usize, row: usize, digits: usize) -> Vec<u8> {
    let mut state = 1_u64;
    let mut number = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        format!("{:.digits$}", (state >> 11) as f64 / (1_u64 << 53) as f64)
    };
    let rows: Vec<String> = (0..rows)
        .map(|_| {
            let cells: Vec<String> = (0..row).map(|_| number()).collect();
            if row < 1000 {
                return format!("[{}]", cells.join(", "));
            }
            let pixels: Vec<String> = cells.chunks(3).map(|it| format!("[{}]", it.join(", "))).collect();
            format!("[{}]", pixels.join(", "))
        })
        .collect();
    format!("{{\"instances\": [{}]}}", rows.join(", ")).into_bytes()
}

/// What a server without typed decoding does: parse into a tree, then flatten it.
fn tree(body: &[u8]) -> Vec<f64> {
    fn flatten(value: &Value, out: &mut Vec<f64>) {
        match value {
            Value::Array(items) => items.iter().for_each(|it| flatten(it, out)),
            other => out.push(other.as_f64().unwrap()),
        }
    }
    let value: Value = serde_json::from_slice(body).unwrap();
    let mut out = Vec::new();
    flatten(&value["instances"], &mut out);
    out
}
