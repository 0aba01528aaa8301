//! [`rocketmq_fuzz::properties`] under libFuzzer.
#![cfg_attr(fuzzing, no_main)]

rocketmq_fuzz::target!(properties);
