//! Fuzzes `model_config`; the law it holds stands in `tests/src/fuzz.rs`.

#![no_main]

libfuzzer_sys::fuzz_target!(init: weir_tests::fuzz::plant("model_config"), |data: &[u8]| {
    weir_tests::fuzz::model_config(data);
});
