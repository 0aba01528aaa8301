//! [`rocketmq_fuzz::frame_split`] under libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| rocketmq_fuzz::frame_split(data));
