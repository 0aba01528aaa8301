//! [`rocketmq_fuzz::route_json`] under libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| rocketmq_fuzz::route_json(data));
