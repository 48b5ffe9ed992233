//! Fuzzes `archive`; the law it holds stands in `tests/src/fuzz.rs`.

#![no_main]

libfuzzer_sys::fuzz_target!(init: weir_tests::fuzz::plant("archive"), |data: &[u8]| {
    weir_tests::fuzz::archive(data);
});
