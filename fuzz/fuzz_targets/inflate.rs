//! [`rocketmq_fuzz::inflate`] under libFuzzer.
#![cfg_attr(fuzzing, no_main)]

rocketmq_fuzz::target!(inflate);
