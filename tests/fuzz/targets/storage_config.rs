//! Fuzzes `storage_config`; the law it holds stands in `tests/src/fuzz.rs`.

#![no_main]

libfuzzer_sys::fuzz_target!(init: weir_tests::fuzz::plant("storage_config"), |data: &[u8]| {
    weir_tests::fuzz::storage_config(data);
});
