//! Apache RocketMQ client as pure state machines.
#![no_std]

extern crate alloc;
#[cfg(feature = "std")]
extern crate std;

pub mod config;
pub mod conn;
#[cfg(feature = "driver")]
pub mod driver;
pub mod error;
pub mod ids;
pub mod rng;
pub mod time;
pub mod wire;
