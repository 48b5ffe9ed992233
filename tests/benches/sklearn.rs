//! What a prediction of a scikit-learn model costs: CPU time of one call, for each file named on the command line, of one row
//! and of a thousand. `predictor/testdata/golden/bench.py` makes the files, and asks scikit-learn itself in the same run.

// A bench prints, and has nobody to hand an error to.
#![allow(clippy::print_stdout, clippy::unwrap_used)]

use std::hint::black_box;
use std::path::Path;

use weir_predictor::runtime::LoadOptions;
use weir_proto::Tensor;
use weir_sdk::Model;

fn main() {
    // cargo itself adds `--bench`.
    for file in std::env::args().skip(1).filter(|it| !it.starts_with("--")) {
        let model = weir_predictor::load(Path::new(&file), None, &LoadOptions::default()).unwrap();
        for rows in [1, 1000] {
            println!("{file} {rows} {:.0}", call_ns(&*model, rows));
        }
    }
}

/// The least of several rounds of twenty milliseconds at least.
fn call_ns(model: &dyn Model, rows: usize) -> f64 {
    let features = usize::try_from(model.signature().inputs[0].shape[1]).unwrap();
    // Any numbers will do, as long as rows differ.
    let values = (0..rows * features).map(|at| (at * 7919 % 1000) as f64 / 250.0 - 2.0).collect();
    let inputs = [Tensor::fp64("input-0", [rows, features], values)];
    let mut calls = 1;
    let mut best = f64::INFINITY;
    for _ in 0..10 {
        loop {
            let before = cpu_ns();
            (0..calls).for_each(|_| drop(black_box(model.predict(black_box(&inputs), &[0]).unwrap())));
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

/// The CPU time of this thread, as the kernel counts it.
fn cpu_ns() -> f64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    text.split(' ').next().unwrap().parse().unwrap()
}
