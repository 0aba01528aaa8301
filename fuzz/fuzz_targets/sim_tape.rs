//! [`rocketmq_fuzz::sim_tape`] under libFuzzer.
#![cfg_attr(fuzzing, no_main)]

rocketmq_fuzz::target!(sim_tape);
