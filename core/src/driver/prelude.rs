//! What users of an adapter need: adapters re-export all of it.

pub use super::{
    Admin, AdminError, Brokers, Busy, Client, ClientBuilder, ConnectError, ConsumeContext, ConsumeHook, ConsumeOutcome,
    DelayLevel, Delivery, DeliveryBatch, EventStream, Excerpt, GroupTables, Partial, Producer, ProducerBuilder,
    PushConsumer, PushConsumerBuilder, RecallError, ReceivedMessage, ResetTo, TopicTables, Track, UnitTopics,
};
#[cfg(feature = "acl")]
pub use crate::acl::{Credentials, CredentialsProvider};
pub use crate::client::{
    ClientEvent, Drained, FilterRefusal, ServerVerdict, Snapshot, StartError, StartReason, StartStep, SubscribeError,
    snapshot,
};
pub use crate::config::{
    Allocate, AutoBatch, DiscoveryConfig, Filter, LatencyFaults, MachineRoomResolver, Network, Permission, Proxies,
    ReadFrom, ServerPolicy, SocksProxy, StartFrom, Strategy, TimeoutPolicy, TraceConfig,
};
#[cfg(feature = "tls")]
pub use crate::config::{TlsConfig, TlsConfigError};
pub use crate::dispatch::PoisonPolicy;
pub use crate::error::{AccessDenied, ProxyFailure, TlsFailure};
pub use crate::message::{BatchRule, Message, MessageError};
pub use crate::send::{BatchReceipt, Receipt, SendContext, SendError, SendHook, StoreStatus, Target};
pub use crate::wire::compress::CompressionKind;
pub use crate::{config, error, ids, wire};
