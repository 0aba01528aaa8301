//! Frames that Java wrote.

use std::collections::{BTreeMap, BTreeSet};

use rocketmq_core::wire::body::{
    ConsumerList, HeartbeatData, JsonForm, LockQueues, LockedQueues, ResetOffsets, TopicRoute,
};
use rocketmq_core::wire::message::batch;
use rocketmq_core::wire::{Codec, Frame};
use rocketmq_testkit::real::RealError;
use rocketmq_testkit::real::golden::{self, GoldenFrame};

use crate::support::{Retype, UNUSED, all_but, decoded, map, request, response};

#[test]
fn every_frame_decodes_to_the_fields_java_reads() -> Result<(), RealError> {
    let mut codecs = BTreeMap::<_, usize>::new();
    for GoldenFrame { name, hex, fields } in golden::frames()? {
        let frame = decoded(&golden::bytes(&hex), &name);
        let header = &frame.header;
        let codec = match header.codec {
            Codec::Json => "JSON",
            Codec::Rocketmq => "ROCKETMQ",
        };
        *codecs.entry(codec).or_default() += 1;
        assert_eq!(codec, fields.codec, "{name}");
        assert_eq!((header.is_response(), header.is_oneway()), (fields.response, fields.oneway), "{name}");
        assert_eq!((header.code, header.version), (fields.code, fields.version), "{name}");
        assert_eq!((header.opaque.0, header.flags), (fields.opaque, fields.flag), "{name}");
        assert_eq!(Some(header.language.name()), fields.language.as_deref(), "{name}");
        assert_eq!(header.remark, fields.remark, "{name}");
        // Java's null is an empty value in the binary codec; we call it absent.
        let ext = fields.ext.unwrap_or_default().into_iter().filter_map(|(key, value)| Some((key, value?)));
        assert_eq!(map(&header.ext), ext.collect(), "{name}");
        assert_eq!(frame.body, golden::bytes(&fields.body.unwrap_or_default()), "{name}");
    }
    assert!(codecs["JSON"] >= 60 && codecs["ROCKETMQ"] >= 60, "{codecs:?}");
    Ok(())
}

#[test]
fn every_typed_header_holds_the_fields_java_reads() -> Result<(), RealError> {
    let mut types = BTreeSet::new();
    let mut checked = 0;
    for golden in golden::frames()? {
        let Some(class) = golden.fields.header_class.as_deref() else { continue };
        let Some(retype) = of_class(class, golden.fields.code) else { continue };
        if NEGATIVE.iter().any(|case| golden.name.starts_with(case)) {
            continue;
        }
        let frame = decoded(&golden::bytes(&golden.hex), &golden.name);
        let typed = retype(&frame.header.ext, &golden.name);
        // Fields that Java fills with a default are in its header object only.
        let java = golden.fields.header.unwrap_or_default();
        for (key, value) in &typed {
            let text = java.get(key).map(|value| value.as_str().map_or_else(|| value.to_string(), str::to_owned));
            let expected = text.or_else(|| frame.header.ext.get(key).map(str::to_owned));
            assert_eq!(Some(value), expected.as_ref(), "{}: {key}", golden.name);
        }
        all_but(&UNUSED, &typed, &map(&frame.header.ext), &golden.name);
        types.insert(class.to_owned());
        checked += 1;
    }
    assert!(checked >= 90 && types.len() >= 17, "{checked} of {types:?}");
    Ok(())
}

fn of_class(class: &str, code: i32) -> Option<Retype> {
    match class {
        "SendMessageRequestHeaderV2" => request(310),
        "PullMessageRequestHeader" => request(11),
        "SendMessageResponseHeader" => response(310),
        "PullMessageResponseHeader" => response(11),
        "QueryConsumerOffsetResponseHeader" => response(14),
        "GetMaxOffsetResponseHeader" | "GetMinOffsetResponseHeader" | "SearchOffsetResponseHeader" => response(30),
        _ if class.ends_with("ResponseHeader") => None,
        _ => request(code),
    }
}

#[test]
fn every_body_we_have_a_type_for_is_read_and_written_back() -> Result<(), RealError> {
    let mut checked = 0;
    for golden in golden::frames()? {
        let frame = decoded(&golden::bytes(&golden.hex), &golden.name);
        let case = golden.name.split('/').next().unwrap_or_default();
        checked += usize::from(body_comes_back(case, &frame));
    }
    assert!(checked >= 20, "{checked}");
    Ok(())
}

/// Whether we have a type for the body, which must then come back.
fn body_comes_back(case: &str, frame: &Frame) -> bool {
    let body = &frame.body;
    let written = match (frame.header.is_response(), frame.header.code) {
        (false, 34) => {
            // Java's sets have an order of their own.
            let data = HeartbeatData::decode(body).expect(case);
            assert_eq!(HeartbeatData::decode(&data.encode()).as_ref(), Ok(&data), "{case}");
            assert_eq!(data.encode().len(), body.len(), "{case}");
            return true;
        }
        (false, 41 | 42) => LockQueues::decode(body).map(|lock| lock.encode()),
        (false, 220) => ResetOffsets::decode(body).map(|reset| reset.encode()),
        (false, 320) => {
            let items = batch::decode(body, 0..body.len(), rocketmq_core::ids::QueueOffset::ZERO, 100).expect(case);
            let item = |item: &batch::InnerItem| batch::BatchItem {
                flag: item.flag,
                body: &body[item.body.clone()],
                properties: &body[item.properties.clone()],
            };
            Ok(batch::encode(&items.iter().map(item).collect::<Vec<_>>()).expect(case))
        }
        (true, 0) if case == "route_reply" => TopicRoute::decode(body).map(|route| route.encode(JsonForm::Fastjson)),
        (true, 0) if case == "consumer_list_reply" => ConsumerList::decode(body).map(|list| list.encode()),
        (true, 0) if case.starts_with("lock_reply") => LockedQueues::decode(body).map(|locked| locked.encode()),
        _ => return false,
    };
    assert_eq!(written.as_deref(), Ok(&**body), "{case}");
    true
}

/// Frames with what no queue has: a negative offset.
const NEGATIVE: [&str; 2] = ["pull_negative", "min_offset_reply"];
