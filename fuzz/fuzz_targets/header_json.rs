//! [`rocketmq_fuzz::header_json`] under libFuzzer.
#![cfg_attr(fuzzing, no_main)]

rocketmq_fuzz::target!(header_json);
