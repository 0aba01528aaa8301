//! [`rocketmq_fuzz::client_ops`] under libFuzzer.
#![cfg_attr(fuzzing, no_main)]

rocketmq_fuzz::target!(client_ops);
