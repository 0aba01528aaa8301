//! [`rocketmq_fuzz::inner_batch`] under libFuzzer.
#![cfg_attr(fuzzing, no_main)]

rocketmq_fuzz::target!(inner_batch);
