//! Apache RocketMQ client as pure state machines.
#![no_std]

extern crate alloc;
#[cfg(feature = "std")]
extern crate std;

pub mod client;
pub mod config;
pub mod conn;
pub mod dispatch;
#[cfg(feature = "driver")]
pub mod driver;
mod effects;
pub mod engine;
pub mod error;
pub mod ids;
pub mod message;
pub mod rng;
pub mod send;
pub mod time;
mod timers;
pub mod wire;
