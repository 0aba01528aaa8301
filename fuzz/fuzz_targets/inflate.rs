//! [`rocketmq_fuzz::inflate`] under libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| rocketmq_fuzz::inflate(data));
