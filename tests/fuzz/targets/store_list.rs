//! Fuzzes `store_list`; the law it holds stands in `tests/src/fuzz.rs`.

#![no_main]

libfuzzer_sys::fuzz_target!(init: weir_tests::fuzz::plant("store_list"), |data: &[u8]| {
    weir_tests::fuzz::store_list(data);
});
