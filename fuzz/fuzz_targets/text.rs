//! [`rocketmq_fuzz::text`] under libFuzzer.
#![cfg_attr(fuzzing, no_main)]

rocketmq_fuzz::target!(text);
