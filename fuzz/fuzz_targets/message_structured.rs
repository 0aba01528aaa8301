//! [`rocketmq_fuzz::message_structured`] under libFuzzer.
#![cfg_attr(fuzzing, no_main)]

rocketmq_fuzz::target!(message_structured);
