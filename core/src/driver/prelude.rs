//! What users of an adapter need: adapters re-export all of it.

pub use super::{
<<<<<<< HEAD
    Admin, AdminError, Brokers, Client, ClientBuilder, ConnectError, DelayLevel, Delivery, DeliveryBatch, EventStream,
    Partial, Producer, ProducerBuilder, PushConsumer, PushConsumerBuilder, ReceivedMessage, ResetTo,
=======
    Admin, AdminError, Busy, Client, ClientBuilder, ConnectError, DelayLevel, Delivery, DeliveryBatch, EventStream,
    Producer, ProducerBuilder, PushConsumer, PushConsumerBuilder, RecallError, ReceivedMessage, ResetTo,
>>>>>>> main
};
pub use crate::client::{
    ClientEvent, Drained, FilterRefusal, ServerVerdict, StartError, StartReason, StartStep, SubscribeError,
};
pub use crate::config::{
    Allocate, AutoBatch, Filter, LatencyFaults, MachineRoomResolver, Permission, ReadFrom, ServerPolicy, StartFrom,
    Strategy, TimeoutPolicy,
};
pub use crate::dispatch::PoisonPolicy;
pub use crate::message::{BatchRule, Message, MessageError};
pub use crate::send::{BatchReceipt, Receipt, SendContext, SendError, SendHook, StoreStatus, Target};
pub use crate::wire::compress::CompressionKind;
pub use crate::{config, error, ids, wire};
