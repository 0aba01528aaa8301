//! [`rocketmq_fuzz::offset_file`] under libFuzzer.
#![cfg_attr(fuzzing, no_main)]

rocketmq_fuzz::target!(offset_file);
