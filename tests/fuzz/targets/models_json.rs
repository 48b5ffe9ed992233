//! Fuzzes `models_json`; the law it holds stands in `tests/src/fuzz.rs`.

#![no_main]

libfuzzer_sys::fuzz_target!(init: weir_tests::fuzz::plant("models_json"), |data: &[u8]| {
    weir_tests::fuzz::models_json(data);
});
