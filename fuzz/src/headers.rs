//! Headers in both codecs.

use std::collections::BTreeMap;
use std::fmt::Debug;

use arbitrary::Unstructured;
use bytes::Bytes;
use rocketmq_core::ids::Opaque;
use rocketmq_core::wire::codes::request;
use rocketmq_core::wire::header::{self, HeaderLimits, Language, Preamble};
use rocketmq_core::wire::request::{
    AckMessage, ChangeInvisibleTime, ChangeInvisibleTimeResponse, Empty, Fields, NotifyConsumerIdsChanged, PopMessage,
    PopMessageResponse, PullMessage, PullMessageResponse, QueryConsumerOffsetResponse, QueueOffsetRequest,
    QueueOffsetResponse, SendMessage, SendMessageResponse,
};
use rocketmq_core::wire::{Codec, ExtFields, Frame, Header, frame};
use serde_json::Value;

use crate::memory::{share, within};

/// A binary header: it takes memory for what there is, its parts fill it, what is read can be written, and is then
/// read as the same.
pub fn header_rmq(data: &[u8]) {
    let limits = limits();
    if let Ok(read) = within(share(data.len()), || header::decode(Codec::Rocketmq, data, &limits)) {
        assert!(read.ext.len() <= limits.max_fields);
        assert_eq!(fields_of(data), Some(read.ext.clone()));
        comes_back(&read);
    }
}

/// Fields enough for a fuzzer to reach more.
fn limits() -> HeaderLimits {
    HeaderLimits { max_fields: 32, ..HeaderLimits::default() }
}

/// The fields of a binary header, read slowly: each lies within the part that is for fields.
fn fields_of(data: &[u8]) -> Option<ExtFields> {
    let len = |data: &[u8], at: usize| -> Option<usize> {
        usize::try_from(i32::from_be_bytes(data.get(at..at + 4)?.try_into().ok()?)).ok()
    };
    let fields_at = 13 + 4 + len(data, 13)?;
    let mut rest = data.get(fields_at + 4..)?;
    if rest.len() != len(data, fields_at)? {
        return None;
    }
    let mut fields = BTreeMap::new();
    while !rest.is_empty() {
        let key_len = usize::from(u16::from_be_bytes([*rest.first()?, *rest.get(1)?]));
        let key = std::str::from_utf8(rest.get(2..2 + key_len)?).ok()?;
        let value_len = len(rest, 2 + key_len)?;
        let end = 2 + key_len + 4 + value_len;
        fields.insert(key, String::from_utf8_lossy(rest.get(end - value_len..end)?));
        rest = &rest[end..];
    }
    Some(fields.iter().filter(|(_, value)| !value.is_empty()).map(|(key, value)| (*key, &**value)).collect())
}

/// A JSON header: what is read is what a whole JSON parser reads, can be written, and is then read as the same.
pub fn header_json(data: &[u8]) {
    let limits = limits();
    let Ok(read) = within(share(data.len()), || header::decode(Codec::Json, data, &limits)) else { return };
    let text = String::from_utf8_lossy(data);
    let value: Value = serde_json::from_str(&text).expect("a header that we read is JSON");
    assert!(depth(&value) <= limits.max_depth, "{} levels", depth(&value));
    let int = |key: &str| match &value[key] {
        Value::Number(number) => number.as_i64(),
        Value::String(text) => text.parse().ok(),
        _ => None,
    };
    assert_eq!(Some(i64::from(read.code)), int("code"));
    assert_eq!(Some(i64::from(read.opaque.0)), int("opaque"));
    assert_eq!(i64::from(read.flags), int("flag").unwrap_or(0));
    assert_eq!(i64::from(read.version), int("version").unwrap_or(0));
    same_text(&value["remark"], read.remark.as_deref());
    let none = serde_json::Map::new();
    let fields = value["extFields"].as_object().unwrap_or(&none);
    for (key, value) in fields {
        same_text(value, read.ext.get(key));
    }
    assert!(read.ext.iter().all(|(key, _)| fields.contains_key(key) && key.len() <= 255 && !key.is_empty()));
    assert!(read.ext.len() <= limits.max_fields);
    comes_back(&read);
}

fn depth(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
        Value::Object(fields) => 1 + fields.values().map(depth).max().unwrap_or(0),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => 0,
    }
}

fn same_text(value: &Value, read: Option<&str>) {
    match value {
        Value::Null => assert_eq!(read, None),
        Value::String(text) => assert_eq!(read, Some(text.as_str())),
        Value::Bool(flag) => assert_eq!(read, Some(flag.to_string().as_str())),
        // A fraction has more than one text.
        Value::Number(number) if number.is_f64() => assert!(read.is_some()),
        Value::Number(number) => assert_eq!(read, Some(number.to_string().as_str())),
        Value::Array(_) | Value::Object(_) => panic!("no scalar: {value}"),
    }
}

fn comes_back(read: &Header) {
    let preamble = Preamble {
        code: read.code,
        flags: read.flags,
        language: read.language,
        version: read.version,
        remark: read.remark.as_deref(),
        codec: read.codec,
    };
    let known: BTreeMap<_, _> = read.ext.iter().collect();
    let write = |out: &mut header::ExtWriter<'_>| known.iter().for_each(|(key, value)| out.text(key, value));
    let again = whole(&preamble.encode(write, Bytes::new()).to_bytes(read.opaque)).header;
    // A language without a name is a number in the binary codec only.
    let language = if read.codec == Codec::Json { Language::from_name(read.language.name()) } else { read.language };
    assert_eq!(again, Header { language, ..read.clone() });
    typed::<PullMessage>(&read.ext);
    typed::<PullMessageResponse>(&read.ext);
    typed::<QueryConsumerOffsetResponse>(&read.ext);
    typed::<QueueOffsetRequest<{ request::GET_MAX_OFFSET }>>(&read.ext);
    typed::<QueueOffsetResponse>(&read.ext);
    typed::<SendMessage>(&read.ext);
    typed::<SendMessageResponse>(&read.ext);
    typed::<NotifyConsumerIdsChanged>(&read.ext);
    typed::<PopMessage>(&read.ext);
    typed::<PopMessageResponse>(&read.ext);
    typed::<AckMessage>(&read.ext);
    typed::<ChangeInvisibleTime>(&read.ext);
    typed::<ChangeInvisibleTimeResponse>(&read.ext);
    typed::<Empty>(&read.ext);
}

/// Fields that are those of a command are read as the same once they were written.
fn typed<T: Fields + PartialEq + Debug>(fields: &ExtFields) {
    if let Ok(read) = T::read(fields) {
        let frame = read.response(0, Some("why"), Codec::Json, Bytes::new());
        assert_eq!(T::read(&whole(&frame.to_bytes(Opaque(1))).header.ext), Ok(read));
    }
}

fn whole(bytes: &[u8]) -> Frame {
    assert_eq!(frame::frame_len(bytes, frame::MAX_FRAME), Ok(Some(bytes.len())));
    // Bytes that are no UTF-8 take three bytes each once they were replaced.
    let limits = HeaderLimits { max_len: usize::MAX, ..HeaderLimits::default() };
    frame::decode(bytes, &limits).expect("our own frame")
}

/// A made-up command: written in both codecs, it is read as the same, and its sizes are exact.
pub fn command_structured(data: &[u8]) {
    let _ = command(&mut Unstructured::new(data));
}

fn command(from: &mut Unstructured<'_>) -> arbitrary::Result<()> {
    let (code, flags, opaque): (i32, i32, i32) = from.arbitrary()?;
    let version = i32::from(from.int_in_range(0..=i16::MAX)?);
    let language = Language(from.int_in_range(0..=13)?);
    let remark: Option<String> = from.arbitrary()?;
    let mut fields = BTreeMap::<String, String>::new();
    for _ in 0..from.int_in_range(0..=40)? {
        let (key, value): (String, String) = from.arbitrary()?;
        if !key.is_empty() && key.len() <= 255 {
            fields.insert(key, value);
        }
    }
    let body = Bytes::copy_from_slice(from.bytes(from.len())?);
    for codec in [Codec::Json, Codec::Rocketmq] {
        let preamble = Preamble { code, flags, language, version, remark: remark.as_deref(), codec };
        let write = |out: &mut header::ExtWriter<'_>| fields.iter().for_each(|(key, value)| out.text(key, value));
        let encoded = preamble.encode(write, body.clone());
        let bytes = encoded.to_bytes(Opaque(opaque));
        assert!(bytes.len() <= encoded.len_bound());
        let Frame { header, body: read } = whole(&bytes);
        let binary = codec == Codec::Rocketmq && i16::try_from(code).is_ok();
        let present = |text: &&str| !(binary && text.is_empty());
        assert_eq!((header.code, header.flags, header.opaque), (code, flags, Opaque(opaque)));
        assert_eq!((header.version, header.language), (version, language));
        assert_eq!(header.codec == Codec::Rocketmq, binary);
        assert_eq!(header.remark.as_deref(), remark.as_deref().filter(present));
        let expected = fields.iter().map(|(key, value)| (key.as_str(), value.as_str()));
        let expected: ExtFields = expected.filter(|(_, value)| present(value)).collect();
        assert_eq!(header.ext, expected);
        assert_eq!(read, body);
    }
    Ok(())
}
