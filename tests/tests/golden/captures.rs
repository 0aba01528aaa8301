//! Frames that clients exchanged with real servers.

use std::collections::BTreeMap;

use bytes::Bytes;
use rocketmq_core::wire::Frame;
use rocketmq_core::wire::body::{
    Assignments, BatchAck, ClusterInfo, ConsumerList, ConsumerStatus, HeartbeatData, JsonForm, LockQueues,
    LockedQueues, QueryAssignment, RequestMode, ResetOffsets, TopicRoute,
};
use rocketmq_core::wire::message::{Entry, Record, RecordLimits, RecordVersion, StoredMessage, encode_record, walk};
use rocketmq_testkit::real::RealError;
use rocketmq_testkit::real::golden::{self, CapturedFrame};

use crate::support::{decoded, map, request, response};

/// A captured frame, and the code of the request if it is the response to one.
struct Exchanged {
    file: String,
    frame: Frame,
    asked: Option<i32>,
}

fn exchanged() -> Result<Vec<Exchanged>, RealError> {
    let mut open = BTreeMap::new();
    let mut all = Vec::new();
    for CapturedFrame { file, to_server, bytes } in golden::captures()? {
        let frame = decoded(&bytes, &file);
        let key = (file.clone(), to_server, frame.header.opaque);
        let asked = if frame.header.is_response() {
            open.get(&key).copied()
        } else {
            open.insert((file.clone(), !to_server, frame.header.opaque), frame.header.code);
            None
        };
        all.push(Exchanged { file, frame, asked });
    }
    Ok(all)
}

#[test]
fn every_frame_decodes_and_most_belong_together() -> Result<(), RealError> {
    let all = exchanged()?;
    assert!(all.len() >= 300, "{}", all.len());
    let responses = all.iter().filter(|one| one.frame.header.is_response()).count();
    let answered = all.iter().filter(|one| one.asked.is_some()).count();
    assert!(responses >= 150 && answered + 5 >= responses, "{answered} of {responses}");
    Ok(())
}

#[test]
fn every_typed_header_comes_back() -> Result<(), RealError> {
    let (mut requests, mut responses) = (0, 0);
    for Exchanged { file, frame, asked } in exchanged()? {
        let header = &frame.header;
        let retype = match asked {
            None if header.is_response() => None,
            None if WRONG.iter().any(|wrong| file.ends_with(wrong)) => None,
            None => request(header.code),
            // Replies that say no carry no fields.
            Some(code) if [0, 19, 20, 21, 210].contains(&header.code) => response(code),
            Some(_) => None,
        };
        let Some(retype) = retype else { continue };
        let ext = map(&header.ext);
        for (key, value) in retype(&header.ext, &file) {
            assert_eq!(Some(&value), ext.get(&key), "{file}: {key}");
        }
        if header.is_response() { responses += 1 } else { requests += 1 }
    }
    assert!(requests >= 80 && responses >= 40, "{requests} {responses}");
    Ok(())
}

#[test]
fn every_body_with_a_type_comes_back() -> Result<(), RealError> {
    let mut kinds = BTreeMap::<_, usize>::new();
    for Exchanged { file, frame, asked } in exchanged()? {
        let body = &frame.body;
        let kind = match (asked, frame.header.code) {
            (None, 34) => comes_back(&file, body, HeartbeatData::decode, HeartbeatData::encode),
            (None, 41 | 42) => comes_back(&file, body, LockQueues::decode, LockQueues::encode),
            (None, 220) => comes_back(&file, body, ResetOffsets::decode, ResetOffsets::encode),
            (None, 400) => comes_back(&file, body, QueryAssignment::decode, QueryAssignment::encode),
            (None, 401) => comes_back(&file, body, RequestMode::decode, RequestMode::encode),
            (None, 200_151) => comes_back(&file, body, BatchAck::decode, BatchAck::encode),
            (Some(400), 0) => comes_back(&file, body, Assignments::decode, Assignments::encode),
            (Some(38), 0) => comes_back(&file, body, ConsumerList::decode, ConsumerList::encode),
            (Some(41), 0) => comes_back(&file, body, LockedQueues::decode, LockedQueues::encode),
            (Some(221), 0) => comes_back(&file, body, ConsumerStatus::decode, ConsumerStatus::encode),
            (Some(105), 0) => {
                comes_back(&file, body, TopicRoute::decode, |route| route.encode(JsonForm::Standard));
                comes_back(&file, body, TopicRoute::decode, |route| route.encode(JsonForm::Fastjson))
            }
            (Some(106), 0) => comes_back(&file, body, ClusterInfo::decode, |info| info.encode(JsonForm::Fastjson)),
            _ => continue,
        };
        *kinds.entry(kind).or_default() += 1;
    }
    assert!(kinds.len() >= 12 && kinds.values().sum::<usize>() >= 40, "{kinds:?}");
    Ok(())
}

/// Reads a body, writes it, reads it again; gives the name of its type.
fn comes_back<T: PartialEq + std::fmt::Debug, E: std::fmt::Debug>(
    file: &str,
    body: &[u8],
    decode: impl Fn(&[u8]) -> Result<T, E>,
    encode: impl Fn(&T) -> Vec<u8>,
) -> &'static str {
    let read = decode(body).unwrap_or_else(|error| panic!("{file}: {error:?}"));
    let again = decode(&encode(&read)).unwrap_or_else(|error| panic!("{file}: {error:?}"));
    assert_eq!(again, read, "{file}");
    std::any::type_name::<T>()
}

#[test]
fn every_record_comes_back_byte_for_byte() -> Result<(), RealError> {
    let mut checked = 0;
    for Exchanged { file, frame, asked } in exchanged()? {
        let of_records = match asked {
            None => frame.header.code == 39,
            Some(code) => frame.header.code == 0 && [11, 12, 33, 200_050].contains(&code),
        };
        if !of_records || frame.body.is_empty() {
            continue;
        }
        let mut written = Vec::new();
        for entry in walk(&frame.body, RecordLimits::default()) {
            let Entry::Record(record) = entry else { panic!("{file}: {entry:?}") };
            write(&record, &frame.body, &mut written);
            checked += 1;
        }
        assert_eq!(written, frame.body, "{file}");
    }
    assert!(checked >= 35, "{checked}");
    Ok(())
}

fn write(record: &Record, buf: &[u8], out: &mut Vec<u8>) {
    let message = StoredMessage {
        queue_id: record.queue_id,
        flag: record.flag,
        queue_offset: record.queue_offset,
        physical_offset: record.physical_offset,
        sys_flag: record.sys_flag,
        born_timestamp: record.born_timestamp,
        born_host: record.born_host,
        store_timestamp: record.store_timestamp,
        store_host: record.store_host,
        reconsume_times: record.reconsume_times,
        prepared_transaction_offset: record.prepared_transaction_offset,
        body: Bytes::copy_from_slice(record.body(buf)),
        topic: record.topic(buf).into(),
        properties: Bytes::copy_from_slice(record.properties(buf)),
    };
    encode_record(&message, RecordVersion::V1, out).expect("a record");
}

/// Requests that are wrong on purpose.
const WRONG: [&str; 2] = ["send_missing_field", "pull_negative"];
