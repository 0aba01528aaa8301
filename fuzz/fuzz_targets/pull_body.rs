//! [`rocketmq_fuzz::pull_body`] under libFuzzer.
#![cfg_attr(fuzzing, no_main)]

rocketmq_fuzz::target!(pull_body);
