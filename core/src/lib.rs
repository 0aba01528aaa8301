//! Apache RocketMQ client as pure state machines.
//!
//! Most users want `rocketmq-tokio` or `rocketmq-smol`. This crate is for those who bring a runtime of their own, or
//! none, and for those who want to know why they may trust the others.
//!
//! # The machines
//!
//! * [`client::ClientMachine`]: the control plane of one client: name servers, routes, links, heartbeats, rebalance,
//!   pulls, offsets, shutdown. Nothing that happens once per message touches it.
//! * [`conn::Connection`]: one TCP link: frames, correlation, deadlines, write queue.
//! * [`dispatch::Dispatch`]: what a consumer has pulled and not yet settled.
//! * [`send::SendOp`]: the retries of one send, owned by whoever waits for it.
//!
//! # The contract
//!
//! * **Call order.** Inputs may come in any number and order; then outputs are drained (`poll_output`, `poll_event`)
//!   until there are none, then `poll_timeout` says when `handle_timeout` is due. A call too early is harmless.
//!   After the end, calls are harmless and give the same reason each time.
//! * **Determinism.** The same seed and the same inputs with the same times give the same outputs. There is no hash
//!   order, and what a host knows about itself comes in as values ([`config::HostInfo`]).
//! * **Purity.** No clock, socket, file, thread, lock or randomness of its own: `now` is the first argument of every
//!   input. One monotonic [`time::Instant`] decides; wall-clock time only fills fields of the protocol, so that clock
//!   jumps change nothing.
//! * **Bounds.** Every queue has one, every request has a deadline, and bytes from the network cannot panic.
//! * **Offsets** advance by settlement only: what is committed is never above the first message that is not settled.
//!
//! ```
//! use std::sync::Arc;
//! use rocketmq_core::client::{ClientMachine, Command, Input, Output};
//! use rocketmq_core::config::{ClientConfig, parse_name_servers};
//! use rocketmq_core::ids::OpId;
//! use rocketmq_core::time::{Instant, UnixMillis};
//!
//! let config = ClientConfig::new(parse_name_servers("127.0.0.1:9876"), "10.0.0.1@1".into());
//! let mut machine = ClientMachine::new(Arc::new(config), 42, Instant::ZERO, UnixMillis(0));
//! machine.handle(Instant::ZERO, Input::Command { op: OpId(1), command: Command::Open });
//! let outputs: Vec<_> = std::iter::from_fn(|| machine.poll_output()).collect();
//! assert!(matches!(&outputs[..], [Output::Connect { to, .. }] if to.as_str() == "127.0.0.1:9876"));
//! ```
//!
//! # Features
//!
//! `zlib` (default), `lz4`, `zstd`: codecs of bodies. `driver`: the handles and driver tasks, generic over
//! `driver::Runtime`. `std`: implied by `driver`, `lz4` and `zstd`; without it the crate needs `alloc` only.
//! `acl`: requests are signed. `tls`: links over TLS. `tracing`: events of the client as log records, and
//! spans (`driver::span`). `metrics`: its figures (`driver::metrics`).
#![no_std]
#![cfg_attr(
    test,
    allow(
        clippy::arithmetic_side_effects,
        clippy::disallowed_methods,
        clippy::wildcard_enum_match_arm,
        reason = "a test may fail, and use threads"
    )
)]

extern crate alloc;
#[cfg(feature = "std")]
extern crate std;

#[cfg(feature = "acl")]
pub mod acl;
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
#[cfg(sim_mutants)]
pub mod mutants;
#[cfg(not(sim_mutants))]
mod mutants;
pub mod namespace;
pub mod request;
pub mod rng;
pub mod send;
pub mod time;
mod timers;
pub mod trace;
pub mod transaction;
pub mod wire;
