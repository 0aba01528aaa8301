//! What a timeline calls a frame.

use std::fmt::Write;

use rocketmq_core::wire::codes::{request, response};
use rocketmq_core::wire::header::HeaderLimits;
use rocketmq_core::wire::{Frame, frame};

/// The label of a frame in bytes, or of bytes that are none.
pub(crate) fn of_bytes(bytes: &[u8]) -> String {
    match frame::decode(bytes, &HeaderLimits::default()) {
        Ok(frame) => of_frame(&frame),
        Err(_) => format!("{} bytes that are no frame", bytes.len()),
    }
}

/// The label of a frame: what it asks or answers, about which queue, and the number that joins both.
pub(crate) fn of_frame(frame: &Frame) -> String {
    let header = &frame.header;
    let mut label = if header.is_response() { answer(header.code) } else { asked(header.code) };
    let text = |names: [&str; 2]| names.into_iter().find_map(|name| header.ext.get(name));
    if !header.is_response() {
        let put = |label: &mut String, before: &str, value: Option<&str>| {
            if let Some(value) = value {
                write!(label, "{before}{value}").expect("a string takes everything");
            }
        };
        // The short header of a send has letters for names.
        put(&mut label, " ", text(["topic", if header.code == request::SEND_MESSAGE_V2 { "b" } else { "topic" }]));
        put(&mut label, "/", text(["queueId", if header.code == request::SEND_MESSAGE_V2 { "e" } else { "queueId" }]));
        put(&mut label, " @", text(["queueOffset", "commitOffset"]).or_else(|| header.ext.get("offset")));
    }
    write!(label, "  #{}", header.opaque.0).expect("a string takes everything");
    if !frame.body.is_empty() {
        write!(label, ", {} B", frame.body.len()).expect("a string takes everything");
    }
    label
}

fn asked(code: i32) -> String {
    let name = match code {
        request::SEND_MESSAGE | request::SEND_MESSAGE_V2 => "send",
        request::SEND_BATCH_MESSAGE => "send a batch",
        request::PULL_MESSAGE => "pull",
        request::QUERY_CONSUMER_OFFSET => "ask for offset",
        request::UPDATE_CONSUMER_OFFSET => "commit",
        request::HEART_BEAT => "heartbeat",
        request::UNREGISTER_CLIENT => "unregister",
        request::CONSUMER_SEND_MSG_BACK => "hand back",
        request::END_TRANSACTION => "end transaction",
        request::GET_CONSUMER_LIST_BY_GROUP => "ask for members",
        request::CHECK_CLIENT_CONFIG => "check filter",
        request::CHECK_TRANSACTION_STATE => "check transaction",
        request::NOTIFY_CONSUMER_IDS_CHANGED => "members changed",
        request::LOCK_BATCH_MQ => "lock queues",
        request::UNLOCK_BATCH_MQ => "unlock queues",
        request::GET_ROUTEINFO_BY_TOPIC => "ask for route",
        request::GET_MAX_OFFSET => "ask for end",
        request::GET_MIN_OFFSET => "ask for start",
        request::UPDATE_AND_CREATE_TOPIC => "create topic",
        other => return format!("request {other}"),
    };
    name.to_owned()
}

fn answer(code: i32) -> String {
    let name = match code {
        response::SUCCESS => "ok",
        response::SYSTEM_ERROR => "system error",
        response::SYSTEM_BUSY => "busy",
        response::FLUSH_DISK_TIMEOUT => "stored, not flushed",
        response::SLAVE_NOT_AVAILABLE => "stored, no slave",
        response::FLUSH_SLAVE_TIMEOUT => "stored, not copied",
        response::SERVICE_NOT_AVAILABLE => "not serving",
        response::NO_PERMISSION => "no permission",
        response::TOPIC_NOT_EXIST => "no such topic",
        response::PULL_NOT_FOUND => "nothing to pull",
        response::PULL_RETRY_IMMEDIATELY => "nothing matched",
        response::PULL_OFFSET_MOVED => "offset outside the queue",
        response::QUERY_NOT_FOUND => "none",
        other => return format!("refused with {other}"),
    };
    name.to_owned()
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use rocketmq_core::ids::Opaque;
    use rocketmq_core::wire::Codec;
    use rocketmq_core::wire::header::{FLAG_RESPONSE, Language, Preamble};

    use super::*;

    fn label(code: i32, flags: i32, fields: &[(&str, &str)]) -> String {
        let language = Language::JAVA;
        let preamble = Preamble { code, flags, language, version: 493, remark: None, codec: Codec::Json };
        let fields = |out: &mut rocketmq_core::wire::ExtWriter<'_>| {
            fields.iter().for_each(|(key, value)| out.text(key, value));
        };
        of_bytes(&preamble.encode(fields, Bytes::from_static(b"12345")).to_bytes(Opaque(7)))
    }

    #[test]
    fn a_label_tells_what_a_frame_is_about() {
        let fields = [("b", "orders"), ("e", "3")];
        assert_eq!(label(request::SEND_MESSAGE_V2, 0, &fields), "send orders/3  #7, 5 B");
        let fields = [("topic", "orders"), ("queueId", "0"), ("queueOffset", "12")];
        assert_eq!(label(request::PULL_MESSAGE, 0, &fields), "pull orders/0 @12  #7, 5 B");
        assert_eq!(label(response::PULL_NOT_FOUND, FLAG_RESPONSE, &[]), "nothing to pull  #7, 5 B");
        assert_eq!(of_bytes(b"?"), "1 bytes that are no frame");
    }
}
