//! [`rocketmq_fuzz::route_json`] under libFuzzer.
#![cfg_attr(fuzzing, no_main)]

rocketmq_fuzz::target!(route_json);
