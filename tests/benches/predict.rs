//! What a model costs: CPU time to load each file named on the command line, and of one call of one row, of 32, of a thousand;
//! always of others, so that no processor learns by heart which way they go.
//! `predictor/testdata/golden/bench.py` and `bench_boosters.py` make the files, and ask the frameworks themselves in the same run.

// A bench prints, and has nobody to hand an error to.
#![allow(clippy::print_stdout, clippy::unwrap_used)]

use std::cell::Cell;
use std::hint::black_box;
use std::path::Path;

use weir_predictor::runtime::LoadOptions;
use weir_proto::{Data, DataType, Tensor};
use weir_sdk::Model;

fn main() {
    // cargo itself adds `--bench`.
    for file in std::env::args().skip(1).filter(|it| !it.starts_with("--")) {
        let load = || weir_predictor::load(Path::new(&file), None, &LoadOptions::default()).unwrap();
        let before = peak();
        let model = load();
        let memory = peak() - before;
        println!("{file} load {:.0} {memory}", least_ns(|| drop(load())));
        for rows in [1, 32, 1000] {
            println!("{file} {rows} {:.0}", call_ns(&*model, &file, rows));
        }
    }
}

fn call_ns(model: &dyn Model, file: &str, rows: usize) -> f64 {
    let input = &model.signature().inputs[0];
    let features = usize::try_from(input.shape[1]).unwrap();
    let tensor = |values: &[f64]| {
        let data = match input.datatype {
            DataType::Fp32 => Data::Fp32(values.iter().map(|it| *it as f32).collect::<Vec<_>>().into()),
            _ => Data::Fp64(values.to_vec().into()),
        };
        [Tensor::new(&input.name, [rows, features], data)]
    };
    let inputs: Vec<_> = numbers(file, features).chunks_exact(rows * features).map(tensor).collect();
    let next = Cell::new(0);
    least_ns(|| {
        next.set((next.get() + 1) % inputs.len());
        drop(black_box(model.predict(black_box(&inputs[next.get()]), &[0]).unwrap()));
    })
}

/// The least of several rounds of twenty milliseconds at least.
fn least_ns(call: impl Fn()) -> f64 {
    let mut calls = 1;
    let mut best = f64::INFINITY;
    for _ in 0..5 {
        loop {
            let before = cpu_ns();
            (0..calls).for_each(|_| call());
            let took = cpu_ns() - before;
            if took > 20e6 {
                best = best.min(took / f64::from(calls));
                break;
            }
            calls *= 2;
        }
    }
    best
}

/// The numbers of the file's rows (doubles, in `FILE.rows`). Without them any will do, as long as rows differ.
fn numbers(file: &str, features: usize) -> Vec<f64> {
    match std::fs::read(format!("{file}.rows")) {
        Ok(bytes) => bytes.as_chunks().0.iter().map(|it| f64::from_le_bytes(*it)).collect(),
        Err(_) => (0..1000 * features).map(|at| (at * 7919 % 1000) as f64 / 250.0 - 2.0).collect(),
    }
}

/// The CPU time of this thread, as the kernel counts it.
fn cpu_ns() -> f64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    text.split(' ').next().unwrap().parse().unwrap()
}

/// The most memory that this process held so far, in KiB.
fn peak() -> u64 {
    let text = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = text.lines().find(|it| it.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}
