//! Apache RocketMQ client as pure state machines.
#![no_std]

extern crate alloc;
#[cfg(feature = "std")]
extern crate std;

pub mod ids;
pub mod rng;
pub mod time;
