//! Message trace: what producers and consumers note of their messages, in the form of Java's
//! `org.apache.rocketmq.client.trace.TraceDataEncoder`.
//!
//! The body of a trace message is any number of records. U+0001 separates the fields of a record, U+0002 ends it. The keys of
//! a trace message are the ids and the keys of the messages that its records are about: so brokers find it by them.

mod decode;
mod queue;

use alloc::string::{String, ToString};

pub use decode::{BadTrace, decode};
pub use queue::{TraceMessage, TraceQueue};

use crate::ids::{Group, Topic};
use crate::time::UnixMillis;
use crate::transaction::Resolution;

/// One record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TraceRecord {
    /// A message was stored.
    Pub(Pub),
    /// A message was handed out.
    SubBefore(SubBefore),
    /// A message that was handed out is settled.
    SubAfter(SubAfter),
    /// What is to become of a half message was told.
    EndTransaction(EndTransaction),
    /// A message with a timer was taken back.
    Recall(Recall),
}

/// A message was stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pub {
    /// When it was given to the producer.
    pub time: UnixMillis,
    /// The region of the broker.
    pub region: String,
    /// The producer group.
    pub group: Group,
    /// The topic.
    pub topic: Topic,
    /// The id of the message.
    pub msg_id: String,
    /// Its tag.
    pub tags: Option<String>,
    /// Its keys, separated by spaces.
    pub keys: Option<String>,
    /// The address of the broker.
    pub store_host: String,
    /// Bytes of the body. Java counts them after compression.
    pub body_len: i32,
    /// How long it took, ms.
    pub cost: i32,
    /// What kind of message it is.
    pub kind: MessageKind,
    /// The id that says where it is stored. Old clients do not tell.
    pub offset_msg_id: Option<String>,
    /// Whether it is as durable as the broker is set to make it.
    pub success: bool,
}

/// A message was handed out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubBefore {
    /// When.
    pub time: UnixMillis,
    /// The region of the broker.
    pub region: String,
    /// The consumer group.
    pub group: Group,
    /// Tells this handing out from others: all messages of a batch have the same, and so have their [`SubAfter`].
    pub request_id: String,
    /// The id of the message.
    pub msg_id: String,
    /// How often it came before.
    pub retry_times: i32,
    /// Its keys, separated by spaces.
    pub keys: Option<String>,
}

/// A message that was handed out is settled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubAfter {
    /// That of its [`SubBefore`].
    pub request_id: String,
    /// The id of the message.
    pub msg_id: String,
    /// How long it took, ms; of a batch, an equal share.
    pub cost: i32,
    /// Whether it is consumed.
    pub success: bool,
    /// Its keys, separated by spaces.
    pub keys: Option<String>,
    /// How it ended, a [`ContextCode`]. Old clients do not tell.
    pub context_code: Option<i32>,
    /// When, and the consumer group. Old clients, and those in clouds, do not tell.
    pub by: Option<(UnixMillis, Group)>,
}

/// What is to become of a half message was told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndTransaction {
    /// When.
    pub time: UnixMillis,
    /// The region of the broker.
    pub region: String,
    /// The producer group.
    pub group: Group,
    /// The topic.
    pub topic: Topic,
    /// The id of the message.
    pub msg_id: String,
    /// Its tag.
    pub tags: Option<String>,
    /// Its keys, separated by spaces.
    pub keys: Option<String>,
    /// The address of the broker.
    pub store_host: String,
    /// The id of the transaction.
    pub transaction_id: Option<String>,
    /// What is to become of it.
    pub resolution: Resolution,
    /// Whether the broker had asked.
    pub from_check: bool,
}

/// A message with a timer was taken back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recall {
    /// When.
    pub time: UnixMillis,
    /// The region of the broker.
    pub region: String,
    /// The producer group.
    pub group: Group,
    /// The topic.
    pub topic: Topic,
    /// The id of the message.
    pub msg_id: String,
    /// Whether the broker did so.
    pub success: bool,
}

/// The kind of a message. Source: Java `MessageType`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MessageKind {
    /// None of the others.
    Normal,
    /// A half message.
    Half,
    /// The end of a transaction.
    Commit,
    /// To be delivered later. Java's producers say so only of delay levels.
    Delayed,
    /// Of a topic of ordered messages; no client says so.
    Ordered,
}

/// How the handling of a message ended. Source: Java `ConsumeReturnType`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ContextCode {
    /// It is consumed.
    Success,
    /// It took longer than the consumer allows, however it ended.
    TimeOut,
    /// The handler panicked.
    Exception,
    /// Java's listener returned nothing.
    ReturnNull,
    /// It failed.
    Failed,
}

impl TraceRecord {
    /// The id of the message that it is about.
    #[must_use]
    pub fn msg_id(&self) -> &str {
        match self {
            Self::Pub(record) => &record.msg_id,
            Self::SubBefore(record) => &record.msg_id,
            Self::SubAfter(record) => &record.msg_id,
            Self::EndTransaction(record) => &record.msg_id,
            Self::Recall(record) => &record.msg_id,
        }
    }

    /// The keys of that message, separated by spaces.
    #[must_use]
    pub fn keys(&self) -> Option<&str> {
        match self {
            Self::Pub(Pub { keys, .. })
            | Self::SubBefore(SubBefore { keys, .. })
            | Self::SubAfter(SubAfter { keys, .. })
            | Self::EndTransaction(EndTransaction { keys, .. }) => keys.as_deref(),
            Self::Recall(_) => None,
        }
    }

    /// Appends the record in its form on the wire.
    pub fn encode(&self, out: &mut String) {
        match self {
            Self::Pub(record) => Line::new(out, PUB)
                .number(record.time.0)
                .text(&record.region)
                .text(record.group.as_str())
                .text(record.topic.as_str())
                .text(&record.msg_id)
                .or_null(record.tags.as_deref())
                .or_null(record.keys.as_deref())
                .text(&record.store_host)
                .number(record.body_len)
                .number(record.cost)
                .number(record.kind.to_wire())
                .or_null(record.offset_msg_id.as_deref())
                .flag(record.success)
                .end(),
            Self::SubBefore(record) => Line::new(out, SUB_BEFORE)
                .number(record.time.0)
                .text(&record.region)
                .text(record.group.as_str())
                .text(&record.request_id)
                .text(&record.msg_id)
                .number(record.retry_times)
                // Java cannot read the record, nor those beside it, when this is empty.
                .or_null(record.keys.as_deref().filter(|keys| !keys.is_empty()))
                .end(),
            Self::SubAfter(record) => {
                let line = Line::new(out, SUB_AFTER)
                    .text(&record.request_id)
                    .text(&record.msg_id)
                    .number(record.cost)
                    .flag(record.success)
                    .or_null(record.keys.as_deref())
                    .number(record.context_code.unwrap_or(0));
                match &record.by {
                    Some((time, group)) => line.number(time.0).text(group.as_str()).end(),
                    None => line.text("").end(),
                }
            }
            Self::EndTransaction(record) => Line::new(out, END_TRANSACTION)
                .number(record.time.0)
                .text(&record.region)
                .text(record.group.as_str())
                .text(record.topic.as_str())
                .text(&record.msg_id)
                .or_null(record.tags.as_deref())
                .or_null(record.keys.as_deref())
                .text(&record.store_host)
                .number(MessageKind::Commit.to_wire())
                .or_null(record.transaction_id.as_deref())
                .text(state_of(record.resolution))
                .flag(record.from_check)
                .end(),
            Self::Recall(record) => Line::new(out, RECALL)
                .number(record.time.0)
                .text(&record.region)
                .text(record.group.as_str())
                .text(record.topic.as_str())
                .text(&record.msg_id)
                .flag(record.success)
                .end(),
        }
    }
}

impl MessageKind {
    const ALL: [Self; 5] = [Self::Normal, Self::Half, Self::Commit, Self::Delayed, Self::Ordered];

    const fn to_wire(self) -> i32 {
        match self {
            Self::Normal => 0,
            Self::Half => 1,
            Self::Commit => 2,
            Self::Delayed => 3,
            Self::Ordered => 4,
        }
    }
}

impl ContextCode {
    /// As it stands in a record.
    #[must_use]
    pub const fn to_wire(self) -> i32 {
        match self {
            Self::Success => 0,
            Self::TimeOut => 1,
            Self::Exception => 2,
            Self::ReturnNull => 3,
            Self::Failed => 4,
        }
    }
}

/// A record that is being written.
struct Line<'a> {
    out: &'a mut String,
}

impl<'a> Line<'a> {
    fn new(out: &'a mut String, kind: &str) -> Self {
        out.push_str(kind);
        Self { out }
    }

    /// What separates fields and records would tear the record: properties cannot have it, but what brokers say can.
    fn text(self, text: &str) -> Self {
        self.out.push(FIELD);
        self.out.extend(text.chars().filter(|c| !matches!(*c, FIELD | RECORD)));
        self
    }

    fn or_null(self, text: Option<&str>) -> Self {
        self.text(text.unwrap_or(NULL))
    }

    fn number(self, number: impl ToString) -> Self {
        self.text(&number.to_string())
    }

    fn flag(self, flag: bool) -> Self {
        self.text(if flag { TRUE } else { FALSE })
    }

    fn end(self) {
        self.out.push(RECORD);
    }
}

/// Source: Java `LocalTransactionState`.
const fn state_of(resolution: Resolution) -> &'static str {
    match resolution {
        Resolution::Commit => "COMMIT_MESSAGE",
        Resolution::Rollback => "ROLLBACK_MESSAGE",
        Resolution::Unknown => "UNKNOW",
    }
}

const PUB: &str = "Pub";
const SUB_BEFORE: &str = "SubBefore";
const SUB_AFTER: &str = "SubAfter";
const END_TRANSACTION: &str = "EndTransaction";
const RECALL: &str = "Recall";
/// What Java appends for a text that is not there.
const NULL: &str = "null";
const TRUE: &str = "true";
const FALSE: &str = "false";
/// Between two fields. Source: Java `TraceConstants.CONTENT_SPLITOR`.
const FIELD: char = '\u{1}';
/// After a record. Source: Java `TraceConstants.FIELD_SPLITOR`.
const RECORD: char = '\u{2}';

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use alloc::vec::Vec;

    pub(crate) fn stored(id: &str, keys: Option<&str>) -> TraceRecord {
        TraceRecord::Pub(Pub {
            time: UnixMillis(1_700_000_000_123),
            region: "DefaultRegion".into(),
            group: "p".into(),
            topic: "orders".into(),
            msg_id: id.into(),
            tags: Some("new".into()),
            keys: keys.map(String::from),
            store_host: "10.0.0.1:10911".into(),
            body_len: 5,
            cost: 7,
            kind: MessageKind::Normal,
            offset_msg_id: Some("0A00".into()),
            success: true,
        })
    }

    pub(crate) fn before(keys: Option<&str>) -> TraceRecord {
        TraceRecord::SubBefore(SubBefore {
            time: UnixMillis(3),
            region: "DefaultRegion".into(),
            group: "g".into(),
            request_id: "R".into(),
            msg_id: "U".into(),
            retry_times: 2,
            keys: keys.map(String::from),
        })
    }

    pub(crate) fn after(by: Option<&str>) -> TraceRecord {
        TraceRecord::SubAfter(SubAfter {
            request_id: "R".into(),
            msg_id: "U".into(),
            cost: 4,
            success: false,
            keys: Some("a b".into()),
            context_code: Some(ContextCode::Failed.to_wire()),
            by: by.map(|group| (UnixMillis(9), group.into())),
        })
    }

    fn ended(resolution: Resolution) -> TraceRecord {
        TraceRecord::EndTransaction(EndTransaction {
            time: UnixMillis(5),
            region: "r".into(),
            group: "p".into(),
            topic: "t".into(),
            msg_id: "U".into(),
            tags: None,
            keys: None,
            store_host: "h:1".into(),
            transaction_id: Some("U".into()),
            resolution,
            from_check: true,
        })
    }

    fn recalled() -> TraceRecord {
        TraceRecord::Recall(Recall {
            time: UnixMillis(6),
            region: "r".into(),
            group: "p".into(),
            topic: "t".into(),
            msg_id: "U".into(),
            success: true,
        })
    }

    /// With separators that can be read.
    fn text(record: &TraceRecord) -> String {
        let mut out = String::new();
        record.encode(&mut out);
        out.replace(FIELD, "|").replace(RECORD, ";")
    }

    #[test]
    fn records_are_written_as_java_writes_them() {
        let lines = [
            (stored("U", None), "Pub|1700000000123|DefaultRegion|p|orders|U|new|null|10.0.0.1:10911|5|7|0|0A00|true;"),
            (before(Some("a b")), "SubBefore|3|DefaultRegion|g|R|U|2|a b;"),
            (before(Some("")), "SubBefore|3|DefaultRegion|g|R|U|2|null;"),
            (after(Some("g")), "SubAfter|R|U|4|false|a b|4|9|g;"),
            (after(None), "SubAfter|R|U|4|false|a b|4|;"),
            (ended(Resolution::Rollback), "EndTransaction|5|r|p|t|U|null|null|h:1|2|U|ROLLBACK_MESSAGE|true;"),
            (recalled(), "Recall|6|r|p|t|U|true;"),
        ];
        for (record, line) in lines {
            assert_eq!(text(&record), line);
        }
    }

    #[test]
    fn what_brokers_say_tears_no_record() {
        let TraceRecord::Recall(recall) = recalled() else { unreachable!() };
        let torn = TraceRecord::Recall(Recall { region: "a\u{1}b\u{2}c".into(), ..recall });
        assert_eq!(text(&torn), "Recall|6|abc|p|t|U|true;");
    }

    #[test]
    fn what_is_written_is_read() {
        let mut records: Vec<TraceRecord> =
            [Resolution::Commit, Resolution::Rollback, Resolution::Unknown].map(ended).into();
        records.extend([
            stored("U", Some("k")),
            before(None),
            before(Some("k")),
            after(Some("g")),
            after(None),
            recalled(),
        ]);
        let mut body = String::new();
        records.iter().for_each(|record| record.encode(&mut body));
        let read: Vec<_> = decode(body.as_bytes()).map(Result::unwrap).collect();
        assert_eq!(read, records);
    }
}
