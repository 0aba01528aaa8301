//! [`rocketmq_fuzz::acl_sign`] under libFuzzer.
#![cfg_attr(fuzzing, no_main)]

rocketmq_fuzz::target!(acl_sign);
