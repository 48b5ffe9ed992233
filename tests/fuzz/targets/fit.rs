//! Fuzzes `fit`; the law it holds stands in `tests/src/fuzz.rs`.

#![no_main]

libfuzzer_sys::fuzz_target!(init: weir_tests::fuzz::plant("fit"), |data: &[u8]| {
    weir_tests::fuzz::fit(data);
});
