//! [`rocketmq_fuzz::command_structured`] under libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| rocketmq_fuzz::command_structured(data));
