//! [`rocketmq_fuzz::socks`] under libFuzzer.
#![cfg_attr(fuzzing, no_main)]

rocketmq_fuzz::target!(socks);
