//! Reads records, those of older clients too.

use core::str::{FromStr, Split};

use alloc::string::String;

use super::{
    END_TRANSACTION, EndTransaction, FIELD, MessageKind, NULL, PUB, Pub, RECALL, RECORD, Recall, SUB_AFTER, SUB_BEFORE,
    SubAfter, SubBefore, TRUE, TraceRecord, state_of,
};
use crate::ids::{Group, Topic};
use crate::time::UnixMillis;
use crate::transaction::Resolution;

/// Reads the records in the body of a trace message. One that cannot be read keeps nobody from the others.
pub fn decode(body: &[u8]) -> impl Iterator<Item = Result<TraceRecord, BadTrace>> + '_ {
    body.split(|byte| char::from(*byte) == RECORD).filter(|record| !record.is_empty()).map(record)
}

/// A record that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadTrace {
    /// It is no text.
    #[error("a trace record is not UTF-8")]
    Text,
    /// It is of a type that is not known.
    #[error("a trace record of type '{0}'")]
    Type(String),
    /// A field is missing.
    #[error("a trace record without {0}")]
    Missing(&'static str),
    /// A field cannot be read.
    #[error("a trace record with {field} '{value}'")]
    Field {
        /// The field.
        field: &'static str,
        /// What it says.
        value: String,
    },
}

fn record(bytes: &[u8]) -> Result<TraceRecord, BadTrace> {
    let text = core::str::from_utf8(bytes).map_err(|_| BadTrace::Text)?;
    // As Java splits texts: empty fields at the end are none.
    let text = text.trim_end_matches(FIELD);
    let count = text.split(FIELD).count();
    let mut fields = Fields(text.split(FIELD));
    match fields.text("type")? {
        PUB => fields.read_pub(count).map(TraceRecord::Pub),
        SUB_BEFORE => fields.sub_before().map(TraceRecord::SubBefore),
        SUB_AFTER => fields.sub_after(count).map(TraceRecord::SubAfter),
        END_TRANSACTION => fields.end_transaction().map(TraceRecord::EndTransaction),
        RECALL => fields.recall().map(TraceRecord::Recall),
        other => Err(BadTrace::Type(other.into())),
    }
}

/// The fields of a record that are not read yet.
struct Fields<'a>(Split<'a, char>);

impl<'a> Fields<'a> {
    fn read_pub(&mut self, count: usize) -> Result<Pub, BadTrace> {
        Ok(Pub {
            time: self.time()?,
            region: self.string("region")?,
            group: Group::from(self.text("group")?),
            topic: Topic::from(self.text("topic")?),
            msg_id: self.string("message id")?,
            tags: self.or_null("tags")?,
            keys: self.or_null("keys")?,
            store_host: self.string("store host")?,
            body_len: self.number("body length")?,
            cost: self.number("cost")?,
            kind: self.kind()?,
            offset_msg_id: if count > FIELDS_OF_OLD_PUB { self.or_null("offset message id")? } else { None },
            // The oldest do not say.
            success: count < FIELDS_OF_OLD_PUB || self.flag("success")?,
        })
    }

    fn sub_before(&mut self) -> Result<SubBefore, BadTrace> {
        Ok(SubBefore {
            time: self.time()?,
            region: self.string("region")?,
            group: Group::from(self.text("group")?),
            request_id: self.string("request id")?,
            msg_id: self.string("message id")?,
            retry_times: self.number("retry times")?,
            keys: self.0.next().filter(|text| *text != NULL).map(String::from),
        })
    }

    fn sub_after(&mut self, count: usize) -> Result<SubAfter, BadTrace> {
        Ok(SubAfter {
            request_id: self.string("request id")?,
            msg_id: self.string("message id")?,
            cost: self.number("cost")?,
            success: self.flag("success")?,
            keys: self.0.next().filter(|text| *text != NULL).map(String::from),
            context_code: if count >= FIELDS_WITH_CODE { Some(self.number("context code")?) } else { None },
            by: if count >= FIELDS_WITH_GROUP { Some((self.time()?, Group::from(self.text("group")?))) } else { None },
        })
    }

    fn end_transaction(&mut self) -> Result<EndTransaction, BadTrace> {
        let (time, region) = (self.time()?, self.string("region")?);
        let (group, topic) = (Group::from(self.text("group")?), Topic::from(self.text("topic")?));
        let msg_id = self.string("message id")?;
        let (tags, keys) = (self.or_null("tags")?, self.or_null("keys")?);
        let store_host = self.string("store host")?;
        self.kind()?;
        let transaction_id = self.or_null("transaction id")?;
        let (resolution, from_check) = (self.resolution()?, self.flag("from check")?);
        let end = EndTransaction {
            time,
            region,
            group,
            topic,
            msg_id,
            tags,
            keys,
            store_host,
            transaction_id,
            resolution,
            from_check,
        };
        Ok(end)
    }

    fn recall(&mut self) -> Result<Recall, BadTrace> {
        Ok(Recall {
            time: self.time()?,
            region: self.string("region")?,
            group: Group::from(self.text("group")?),
            topic: Topic::from(self.text("topic")?),
            msg_id: self.string("message id")?,
            success: self.flag("success")?,
        })
    }

    fn text(&mut self, field: &'static str) -> Result<&'a str, BadTrace> {
        self.0.next().ok_or(BadTrace::Missing(field))
    }

    fn string(&mut self, field: &'static str) -> Result<String, BadTrace> {
        self.text(field).map(String::from)
    }

    fn or_null(&mut self, field: &'static str) -> Result<Option<String>, BadTrace> {
        Ok(Some(self.text(field)?).filter(|text| *text != NULL).map(String::from))
    }

    fn number<T: FromStr>(&mut self, field: &'static str) -> Result<T, BadTrace> {
        let text = self.text(field)?;
        text.parse().map_err(|_| BadTrace::Field { field, value: text.into() })
    }

    fn time(&mut self) -> Result<UnixMillis, BadTrace> {
        self.number("time").map(UnixMillis)
    }

    /// As Java's `Boolean.parseBoolean` reads it.
    fn flag(&mut self, field: &'static str) -> Result<bool, BadTrace> {
        Ok(self.text(field)?.eq_ignore_ascii_case(TRUE))
    }

    fn kind(&mut self) -> Result<MessageKind, BadTrace> {
        let number: i32 = self.number("message type")?;
        let known = MessageKind::ALL.into_iter().find(|kind| kind.to_wire() == number);
        known.ok_or_else(|| BadTrace::Field { field: "message type", value: alloc::format!("{number}") })
    }

    fn resolution(&mut self) -> Result<Resolution, BadTrace> {
        let (field, text) = ("transaction state", self.text("transaction state")?);
        let all = [Resolution::Commit, Resolution::Rollback, Resolution::Unknown];
        let known = all.into_iter().find(|resolution| state_of(*resolution) == text);
        known.ok_or_else(|| BadTrace::Field { field, value: text.into() })
    }
}

/// Fields of a `Pub` that says whether it is stored, and not yet where.
const FIELDS_OF_OLD_PUB: usize = 13;
/// Fields of a `SubAfter` that says how it ended.
const FIELDS_WITH_CODE: usize = 7;
/// The same with the time and the group.
const FIELDS_WITH_GROUP: usize = 9;

#[cfg(test)]
mod tests {
    use super::super::tests::{after, before, stored};
    use super::*;
    use alloc::vec::Vec;
    use proptest::prelude::*;

    /// Reads what is written with `|` and `;` for the separators.
    fn read(text: &str) -> Vec<Result<TraceRecord, BadTrace>> {
        decode(text.replace('|', "\u{1}").replace(';', "\u{2}").as_bytes()).collect()
    }

    #[test]
    fn records_of_older_clients_are_read() {
        let TraceRecord::Pub(new) = stored("U", None) else { unreachable!() };
        let old = "Pub|1700000000123|DefaultRegion|p|orders|U|new|null|10.0.0.1:10911|5|7|0";
        let without = Pub { offset_msg_id: None, ..new.clone() };
        let rows = [
            ("", without.clone()),
            ("|true", without.clone()),
            ("|False", Pub { success: false, ..without }),
            ("|0A00|TRUE", new.clone()),
            ("|0A00|true|10.0.0.9", new),
        ];
        for (rest, record) in rows {
            assert_eq!(read(&alloc::format!("{old}{rest};")), [Ok(TraceRecord::Pub(record))], "{rest}");
        }
        let TraceRecord::SubAfter(cloud) = after(None) else { unreachable!() };
        assert_eq!(read("SubAfter|R|U|4|false|a b|4|"), [Ok(after(None))]);
        let old = TraceRecord::SubAfter(SubAfter { context_code: None, ..cloud });
        assert_eq!(read("SubAfter|R|U|4|false|a b"), [Ok(old)]);
        assert_eq!(read("SubBefore|3|DefaultRegion|g|R|U|2|;"), [Ok(before(None))], "Java cannot read this");
    }

    #[test]
    fn a_record_that_cannot_be_read_keeps_nobody_from_the_others() {
        let read = read(
            "Sub|1;;SubBefore|x|r|g|R|U|2|k;Recall|6|r|p|t|U;Pub|1|r|p|t|U|a|b|h|5|7|9|o|true;\
             EndTransaction|5|r|p|t|U|a|b|h|2|U|MAYBE|true;SubAfter|R|U|4|false|a b|4|9|g;",
        );
        let field = |field, value: &str| Err(BadTrace::Field { field, value: value.into() });
        let expected = [
            Err(BadTrace::Type("Sub".into())),
            field("time", "x"),
            Err(BadTrace::Missing("success")),
            field("message type", "9"),
            field("transaction state", "MAYBE"),
            Ok(after(Some("g"))),
        ];
        assert_eq!(read, expected);
        let bytes = [b"\xff\x02".as_slice(), b"SubAfter\x01R\x01U\x014\x01false\x01a b\x014\x02"].concat();
        assert_eq!(decode(&bytes).collect::<Vec<_>>(), [Err(BadTrace::Text), Ok(after(None))]);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_to_their_end(body in proptest::collection::vec(any::<u8>(), 0..400)) {
            prop_assert!(decode(&body).count() <= body.len());
        }

        #[test]
        fn any_fields_are_read(fields in proptest::collection::vec("(Pub|SubBefore|SubAfter|EndTransaction|Recall|null|true|UNKNOW|[0-9]{1,3}|[a-z]*)", 0..16)) {
            // What can be read is written so that the same is read.
            for record in decode(fields.join("\u{1}").as_bytes()).flatten() {
                let mut text = String::new();
                record.encode(&mut text);
                let again: Vec<_> = decode(text.as_bytes()).collect();
                let TraceRecord::SubAfter(SubAfter { context_code: None, .. }) = record else {
                    prop_assert_eq!(again, [Ok(record)]);
                    continue;
                };
                prop_assert_eq!(again.len(), 1);
            }
        }
    }
}
