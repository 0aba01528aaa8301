//! The runtime-neutral async half: what stands between the machines and an executor.
//!
//! Nothing in here but [`os`], a toolbox for implementations of [`Runtime`], calls the operating system.

pub mod cell;
mod client_task;
mod conn_task;
mod control;
mod dial;
mod events;
mod handle;
mod inbox;
mod intake;
mod lock;
#[cfg(feature = "metrics")]
pub mod metrics;
pub mod os;
pub mod prelude;
pub mod queue;
mod requests;
pub mod runtime;
mod shared;
mod socks;
pub mod span;
#[cfg(feature = "tls")]
mod tls;
#[cfg(feature = "tracing")]
mod trace;
mod transactions;
mod workers;

pub use events::EventStream;
pub use handle::{
    Admin, AdminError, Brokers, Busy, Client, ClientBuilder, ConnectError, ConsumeContext, ConsumeHook, ConsumeOutcome,
    DelayLevel, Delivery, DeliveryBatch, EndError, Excerpt, GroupTables, HalfMessage, Partial, Producer,
    ProducerBuilder, PushConsumer, PushConsumerBuilder, RecallError, ReceivedMessage, ReplyError, ResetTo,
    RespondError, TopicTables, Track, TransactionProducer, TransactionProducerBuilder, TransactionReceipt, UnitTopics,
};
pub use lock::{Lock, Locks, StdLocks};
pub use runtime::{Clock, ClockOf, Runtime, RuntimeExt};
