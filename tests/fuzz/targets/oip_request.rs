//! Fuzzes `oip_request`; the law it holds stands in `tests/src/fuzz.rs`.

#![no_main]

libfuzzer_sys::fuzz_target!(init: weir_tests::fuzz::plant("oip_request"), |data: &[u8]| {
    weir_tests::fuzz::oip_request(data);
});
