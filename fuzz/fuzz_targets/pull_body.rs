//! [`rocketmq_fuzz::pull_body`] under libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| rocketmq_fuzz::pull_body(data));
