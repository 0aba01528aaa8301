//! [`rocketmq_fuzz::bodies`] under libFuzzer.
#![cfg_attr(fuzzing, no_main)]

rocketmq_fuzz::target!(bodies);
