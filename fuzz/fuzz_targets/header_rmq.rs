//! [`rocketmq_fuzz::header_rmq`] under libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| rocketmq_fuzz::header_rmq(data));
