//! [`rocketmq_fuzz::server_request`] under libFuzzer.
#![cfg_attr(fuzzing, no_main)]

rocketmq_fuzz::target!(server_request);
