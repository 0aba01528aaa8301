//! What users of an adapter need: adapters re-export all of it.

pub use super::{
    Admin, AdminError, Brokers, Client, ClientBuilder, ConnectError, DelayLevel, Delivery, DeliveryBatch, EventStream,
    Partial, Producer, ProducerBuilder, PushConsumer, PushConsumerBuilder, ReceivedMessage, ResetTo,
};
pub use crate::client::{
    ClientEvent, Drained, FilterRefusal, ServerVerdict, StartError, StartReason, StartStep, SubscribeError,
};
pub use crate::config::{
    Allocate, Filter, MachineRoomResolver, Permission, ReadFrom, ServerPolicy, StartFrom, Strategy, TimeoutPolicy,
};
pub use crate::dispatch::PoisonPolicy;
pub use crate::message::{Message, MessageError};
pub use crate::send::{Receipt, SendError, StoreStatus};
pub use crate::{config, error, ids, wire};
