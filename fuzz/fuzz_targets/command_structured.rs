//! [`rocketmq_fuzz::command_structured`] under libFuzzer.
#![cfg_attr(fuzzing, no_main)]

rocketmq_fuzz::target!(command_structured);
