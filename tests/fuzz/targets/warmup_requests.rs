//! Fuzzes `warmup_requests`; the law it holds stands in `tests/src/fuzz.rs`.

#![no_main]

libfuzzer_sys::fuzz_target!(init: weir_tests::fuzz::plant("warmup_requests"), |data: &[u8]| {
    weir_tests::fuzz::warmup_requests(data);
});
