//! [`rocketmq_fuzz::http`] under libFuzzer.
#![cfg_attr(fuzzing, no_main)]

rocketmq_fuzz::target!(http);
