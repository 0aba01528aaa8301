//! [`rocketmq_fuzz::header_rmq`] under libFuzzer.
#![cfg_attr(fuzzing, no_main)]

rocketmq_fuzz::target!(header_rmq);
