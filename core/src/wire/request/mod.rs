//! Typed headers of requests and responses.
//!
//! Each is declared once, as a struct whose fields name their key on the wire; the declaration writes both
//! directions. Fields an `Option` are left out when `None`.

mod admin;
mod auth;
mod consume;
mod group;
mod inspect;
mod manage;
mod pop;
mod reply;
mod route;
mod send;
mod transaction;

pub use admin::{
    Boundary, CreateTopic, InvokeConsumerStatus, InvokeResetOffset, QueueOffsetRequest, QueueOffsetResponse,
    SearchOffset, StoreTimeResponse,
};
pub use auth::{
    CreateAcl, CreateUser, DeleteAcl, DeleteUser, GetAcl, GetUser, ListAcls, ListUsers, UpdateAcl, UpdateUser,
};
pub use consume::{
    PullMessage, PullMessageResponse, QueryConsumerOffset, QueryConsumerOffsetResponse, SendMessageBack,
    UpdateConsumerOffset,
};
pub use group::{
    CheckClientConfig, ConsumeDirectly, GetConsumerList, GetConsumerStatus, GetRunningInfo, HeartBeat, LockBatchMq,
    NotifyConsumerIdsChanged, ResetConsumerOffset, UnlockBatchMq, UnregisterClient,
};
pub use inspect::{
    AddWritePerm, AddedTopics, CloneOffsets, DeleteGroup, DeleteTopic, DeleteTopicAtNameServer, GetBrokerConfig,
    GetBrokerRuntime, GetClusterInfo, GetConsumeStats, GetConsumerConnections, GetGroupsOfTopic,
    GetProducerConnections, GetTopicConfig, GetTopicStats, GetTopics, GetTopicsOfCluster, GetTopicsOfGroup,
    QueryMessage, SetBrokerConfig, SetGroup, ViewMessage, WipeWritePerm, WipedTopics,
};
pub use manage::{
    CleanLog, CleanQueues, CleanTopics, DeleteKv, GetAllConsumeStats, GetAllProducers, GetBrokerFigure,
    GetBrokerTopics, GetColdRead, GetCorrectionOffsets, GetGroupConfig, GetGroupConfigs, GetHaStatus, GetKv,
    GetNameServerConfig, GetQueueEntries, GetSubscription, GetSystemTopics, GetTimeSpans, GetTopicConfigs,
    GetUnitSubOnlyTopics, GetUnitSubTopics, GetUnitTopics, GroupMayRead, GroupTotal, KvValue, ListKv, PutKv,
    RemoveColdRead, ResumeHalfMessage, SetColdRead, SetGroups, SetLogReadMode, SetNameServerConfig, SetTopics,
    TopicTotal,
};
pub use pop::{
    AckMessage, BatchAckMessage, ChangeInvisibleTime, ChangeInvisibleTimeResponse, PopMessage, PopMessageResponse,
    QueryAssignmentHeader, SetRequestMode,
};
pub use reply::{PushReply, SendReply};
pub use route::GetRouteInfo;
pub use send::{RecallMessage, RecallMessageResponse, SendBatch, SendMessage, SendMessageResponse};
pub use transaction::{CheckTransaction, EndTransaction};

use bytes::Bytes;

use super::frame::EncodedFrame;
use super::header::{Codec, ExtFields, ExtWriter, FieldError, Preamble};

/// Fields of one kind of command.
pub trait Fields: Sized {
    /// Writes the fields.
    fn write(&self, out: &mut ExtWriter<'_>);
    /// Reads the fields.
    ///
    /// # Errors
    /// A required field is missing, or one is not of its type.
    fn read(ext: &ExtFields) -> Result<Self, FieldError>;

    /// A successful response with these fields.
    fn response(&self, code: i32, remark: Option<&str>, codec: Codec, body: Bytes) -> EncodedFrame {
        Preamble { remark, ..Preamble::response(code, codec) }.encode(|out| self.write(out), body)
    }
}

/// A request: fields and the code they travel under.
pub trait Request: Fields {
    /// The request code.
    const CODE: i32;

    /// The request as a frame that waits for its opaque.
    fn encode(&self, codec: Codec, body: Bytes) -> EncodedFrame {
        Preamble::request(Self::CODE, codec).encode(|out| self.write(out), body)
    }

    /// The same, answered by nobody.
    fn encode_oneway(&self, codec: Codec, body: Bytes) -> EncodedFrame {
        Preamble::oneway(Self::CODE, codec).encode(|out| self.write(out), body)
    }
}

/// A response with nothing but a code.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Empty;

impl Fields for Empty {
    fn write(&self, _: &mut ExtWriter<'_>) {}

    fn read(_: &ExtFields) -> Result<Self, FieldError> {
        Ok(Self)
    }
}

/// Declares a header struct with its wire keys, and its request code if it is a request.
macro_rules! fields {
    ($(#[$doc:meta])* $vis:vis struct $name:ident $(= $code:path)? {
        $($(#[$field_doc:meta])* $field:ident: $type:ty = $key:literal,)*
    }) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq)]
        $vis struct $name {
            $($(#[$field_doc])* pub $field: $type,)*
        }

        impl $crate::wire::request::Fields for $name {
            #[allow(unused_variables, reason = "a header may have no field")]
            fn write(&self, out: &mut $crate::wire::header::ExtWriter<'_>) {
                $($crate::wire::header::FieldValue::put(&self.$field, $key, out);)*
            }

            #[allow(unused_variables, reason = "a header may have no field")]
            fn read(
                ext: &$crate::wire::header::ExtFields,
            ) -> Result<Self, $crate::wire::header::FieldError> {
                Ok(Self { $($field: ext.field($key)?,)* })
            }
        }

        $(impl $crate::wire::request::Request for $name {
            const CODE: i32 = $code;
        })?
    };
}
pub(crate) use fields;

#[cfg(test)]
mod tests;
