//! [`rocketmq_fuzz::properties`] under libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| rocketmq_fuzz::properties(data));
