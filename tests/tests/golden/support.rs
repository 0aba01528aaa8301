//! Fields and typed headers, compared.

use std::collections::BTreeMap;

use bytes::Bytes;
use rocketmq_core::ids::Opaque;
use rocketmq_core::wire::codes::request::{
    ACK_MESSAGE, BATCH_ACK_MESSAGE, CHANGE_MESSAGE_INVISIBLETIME, CONSUMER_SEND_MSG_BACK, GET_CONSUMER_LIST_BY_GROUP,
    GET_MAX_OFFSET, GET_MIN_OFFSET, GET_ROUTEINFO_BY_TOPIC, HEART_BEAT, NOTIFY_CONSUMER_IDS_CHANGED, POP_MESSAGE,
    PULL_MESSAGE, QUERY_ASSIGNMENT, QUERY_CONSUMER_OFFSET, SEND_BATCH_MESSAGE, SEND_MESSAGE_V2,
    SET_MESSAGE_REQUEST_MODE, UNREGISTER_CLIENT, UPDATE_AND_CREATE_TOPIC, UPDATE_CONSUMER_OFFSET,
};
use rocketmq_core::wire::header::{ExtFields, HeaderLimits, Preamble};
use rocketmq_core::wire::request::{
    AckMessage, BatchAckMessage, ChangeInvisibleTime, ChangeInvisibleTimeResponse, CreateTopic, Fields,
    GetConsumerList, GetRouteInfo, HeartBeat, NotifyConsumerIdsChanged, PopMessage, PopMessageResponse, PullMessage,
    PullMessageResponse, QueryAssignmentHeader, QueryConsumerOffset, QueryConsumerOffsetResponse, QueueOffsetRequest,
    QueueOffsetResponse, SendMessage, SendMessageBack, SendMessageResponse, SetRequestMode, UnregisterClient,
    UpdateConsumerOffset,
};
use rocketmq_core::wire::{Codec, Frame, frame};

/// Decodes one whole frame.
pub(crate) fn decoded(bytes: &[u8], name: &str) -> Frame {
    assert_eq!(frame::frame_len(bytes, frame::MAX_FRAME), Ok(Some(bytes.len())), "{name}");
    match frame::decode(bytes, &HeaderLimits::default()) {
        Ok(frame) => frame,
        Err(error) => panic!("{name}: {error}"),
    }
}

/// The fields as a map.
pub(crate) fn map(ext: &ExtFields) -> BTreeMap<String, String> {
    ext.iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}

/// The fields that a typed header has, after it was read, written in both codecs and read again.
pub(crate) type Retype = fn(&ExtFields, &str) -> BTreeMap<String, String>;

fn retype<T: Fields + PartialEq + std::fmt::Debug>(ext: &ExtFields, name: &str) -> BTreeMap<String, String> {
    let typed = T::read(ext).unwrap_or_else(|error| panic!("{name}: {error}"));
    let [json, binary] = [Codec::Json, Codec::Rocketmq].map(|codec| {
        let written = Preamble::request(1, codec).encode(|out| typed.write(out), Bytes::new());
        decoded(&written.to_bytes(Opaque(1)), name).header.ext
    });
    assert_eq!(T::read(&json).as_ref(), Ok(&typed), "{name}");
    let without_empty: BTreeMap<_, _> = map(&json).into_iter().filter(|(_, value)| !value.is_empty()).collect();
    assert_eq!(map(&binary), without_empty, "{name}");
    map(&json)
}

/// How the header of a request is read; `None` when we have no type for it.
pub(crate) fn request(code: i32) -> Option<Retype> {
    Some(match code {
        GET_ROUTEINFO_BY_TOPIC => retype::<GetRouteInfo>,
        SEND_MESSAGE_V2 | SEND_BATCH_MESSAGE => retype::<SendMessage>,
        PULL_MESSAGE => retype::<PullMessage>,
        QUERY_CONSUMER_OFFSET => retype::<QueryConsumerOffset>,
        UPDATE_CONSUMER_OFFSET => retype::<UpdateConsumerOffset>,
        UPDATE_AND_CREATE_TOPIC => retype::<CreateTopic>,
        GET_MAX_OFFSET => retype::<QueueOffsetRequest<GET_MAX_OFFSET>>,
        GET_MIN_OFFSET => retype::<QueueOffsetRequest<GET_MIN_OFFSET>>,
        HEART_BEAT => retype::<HeartBeat>,
        UNREGISTER_CLIENT => retype::<UnregisterClient>,
        CONSUMER_SEND_MSG_BACK => retype::<SendMessageBack>,
        GET_CONSUMER_LIST_BY_GROUP => retype::<GetConsumerList>,
        NOTIFY_CONSUMER_IDS_CHANGED => retype::<NotifyConsumerIdsChanged>,
        QUERY_ASSIGNMENT => retype::<QueryAssignmentHeader>,
        SET_MESSAGE_REQUEST_MODE => retype::<SetRequestMode>,
        POP_MESSAGE => retype::<PopMessage>,
        ACK_MESSAGE => retype::<AckMessage>,
        BATCH_ACK_MESSAGE => retype::<BatchAckMessage>,
        CHANGE_MESSAGE_INVISIBLETIME => retype::<ChangeInvisibleTime>,
        _ => return None,
    })
}

/// How the header of the response to a request is read; `None` when it has none, or we have no type for it.
pub(crate) fn response(request: i32) -> Option<Retype> {
    Some(match request {
        SEND_MESSAGE_V2 | SEND_BATCH_MESSAGE => retype::<SendMessageResponse>,
        PULL_MESSAGE => retype::<PullMessageResponse>,
        QUERY_CONSUMER_OFFSET => retype::<QueryConsumerOffsetResponse>,
        GET_MAX_OFFSET | GET_MIN_OFFSET => retype::<QueueOffsetResponse>,
        POP_MESSAGE => retype::<PopMessageResponse>,
        CHANGE_MESSAGE_INVISIBLETIME => retype::<ChangeInvisibleTimeResponse>,
        _ => return None,
    })
}

/// Checks that a typed header holds every field but those that we have no use for.
pub(crate) fn all_but(unused: &[&str], typed: &BTreeMap<String, String>, ext: &BTreeMap<String, String>, name: &str) {
    let used = ext.iter().filter(|(key, _)| typed.contains_key(*key) || !unused.contains(&key.as_str()));
    let used: BTreeMap<_, _> = used.map(|(key, value)| (key.clone(), value.clone())).collect();
    assert_eq!(*typed, used, "{name}");
}

/// Fields of requests and responses that this client neither sends nor reads.
pub(crate) const UNUSED: [&str; 14] = [
    "ns",
    "empty",
    "键",
    "Signature",
    "bname",
    "committed",
    "force",
    "forbiddenType",
    "groupSysFlag",
    "topicSysFlag",
    "proxyFrowardClientId",
    "requestSource",
    "IS_SUB_CHANGE",
    "IS_SUPPORT_HEART_BEAT_V2",
];
