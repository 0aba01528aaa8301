//! What users hold: concrete, cheap to clone, and without knowledge of the runtime below.

mod admin;
mod client;
mod consumer;
#[cfg(feature = "acl")]
mod credentials;
mod delivery;
mod delivery_batch;
mod hook;
mod producer;
mod request;
mod snapshot;
mod tracer;
mod transaction;

pub use admin::{Admin, AdminError, Brokers, Excerpt, GroupTables, Partial, ResetTo, TopicTables, Track, UnitTopics};
pub use client::{Client, ClientBuilder, ConnectError};
pub use consumer::{PushConsumer, PushConsumerBuilder};
pub use delivery::{DelayLevel, Delivery, ReceivedMessage};
pub use delivery_batch::DeliveryBatch;
pub use hook::{ConsumeContext, ConsumeHook, ConsumeOutcome};
pub use producer::{Busy, Producer, ProducerBuilder, RecallError};
pub use request::{ReplyError, RespondError};
pub(super) use tracer::{Tracer, Tracers};
pub use transaction::{EndError, HalfMessage, TransactionProducer, TransactionProducerBuilder, TransactionReceipt};
