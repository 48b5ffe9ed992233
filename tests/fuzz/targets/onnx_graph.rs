//! Fuzzes `onnx_graph`; the law it holds stands in `tests/src/fuzz.rs`.

#![no_main]

libfuzzer_sys::fuzz_target!(init: weir_tests::fuzz::plant("onnx_graph"), |data: &[u8]| {
    weir_tests::fuzz::onnx_graph(data);
});
