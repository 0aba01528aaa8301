//! Bodies in fastjson's dialect.

use std::fmt::Debug;

use rocketmq_core::wire::body::{
    BodyError, ClusterInfo, ConsumerList, ConsumerRunningInfo, ConsumerStatus, HeartbeatData, JsonForm, LockQueues,
    LockedQueues, ResetOffsets, TopicRoute,
};
use rocketmq_core::wire::dialect::{self, DialectLimits};

use crate::memory::within;

/// Routes and clusters: within their bounds, those of memory too, and written in either form they are read as the same.
pub fn route_json(data: &[u8]) {
    dialect_is_stable(data);
    if let Ok(route) = within(MEMORY * data.len() + KEPT, || TopicRoute::decode(data)) {
        assert!(route.broker_datas.len() <= 1_024 && route.queue_datas.len() <= 1_024);
        let counts = |data: &rocketmq_core::wire::body::QueueData| [data.read_queue_nums, data.write_queue_nums];
        assert!(route.queue_datas.iter().flat_map(counts).all(|count| (0..=4_096).contains(&count)));
        for form in [JsonForm::Standard, JsonForm::Fastjson] {
            assert_eq!(TopicRoute::decode(&route.encode(form)).as_ref(), Ok(&route));
        }
    }
    if let Ok(info) = ClusterInfo::decode(data) {
        assert!(info.broker_addr_table.len() <= 1_024);
        for form in [JsonForm::Standard, JsonForm::Fastjson] {
            assert_eq!(ClusterInfo::decode(&info.encode(form)).as_ref(), Ok(&info));
        }
    }
}

/// The first byte says which body: what is read can be written, and is then read as the same.
pub fn bodies(data: &[u8]) {
    let Some((selector, body)) = data.split_first() else { return };
    match selector % 7 {
        0 => comes_back(body, ConsumerList::decode, ConsumerList::encode),
        1 => comes_back(body, LockQueues::decode, LockQueues::encode),
        2 => comes_back(body, LockedQueues::decode, LockedQueues::encode),
        3 => {
            comes_back(body, HeartbeatData::decode, HeartbeatData::encode);
            if let Ok(read) = HeartbeatData::decode(body) {
                let other = HeartbeatData { client_id: "another".into(), ..read.clone() };
                assert_eq!(read.fingerprint(), other.fingerprint());
                assert_eq!(HeartbeatData::decode(&read.light().encode()), Ok(read.light()));
            }
        }
        4 => comes_back(body, ResetOffsets::decode, ResetOffsets::encode),
        5 => comes_back(body, ConsumerStatus::decode, ConsumerStatus::encode),
        _ => comes_back(body, ConsumerRunningInfo::decode, ConsumerRunningInfo::encode),
    }
}

fn comes_back<T: PartialEq + Debug>(
    body: &[u8],
    decode: impl Fn(&[u8]) -> Result<T, BodyError>,
    encode: impl Fn(&T) -> Vec<u8>,
) {
    if let Ok(read) = decode(body) {
        assert_eq!(decode(&encode(&read)).as_ref(), Ok(&read));
    }
}

/// What was made JSON stays as it is.
fn dialect_is_stable(data: &[u8]) {
    let limits = DialectLimits::default();
    if let Ok(json) = dialect::normalise(data, &limits) {
        let again = dialect::normalise(&json, &limits).expect("the dialect holds JSON");
        assert_eq!(again, json);
        if serde_json::from_slice::<serde_json::Value>(data).is_ok() {
            assert_eq!(json, data, "JSON is left alone");
        }
    }
}

/// Times its length that a route may take, for what has few bytes and is kept.
const MEMORY: usize = 8;
/// What the most brokers and queues take that a route may have, as often as a list grows.
const KEPT: usize = 1024 * 1024;
