//! The runtime-neutral async half: what stands between the machines and an executor.
//!
//! Nothing in here but [`os`], a toolbox for implementations of [`Runtime`], calls the operating system.

pub mod cell;
mod lock;
pub mod os;
pub mod queue;
pub mod runtime;

pub use lock::{Lock, Locks, StdLocks};
pub use runtime::{Clock, ClockOf, Runtime, RuntimeExt};
