//! [`rocketmq_fuzz::inner_batch`] under libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| rocketmq_fuzz::inner_batch(data));
