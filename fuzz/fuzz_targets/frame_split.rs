//! [`rocketmq_fuzz::frame_split`] under libFuzzer.
#![cfg_attr(fuzzing, no_main)]

rocketmq_fuzz::target!(frame_split);
