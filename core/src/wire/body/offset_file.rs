//! The file in which a broadcasting member keeps its offsets. Source: Java `OffsetSerializeWrapper`.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use serde::Deserialize;

use super::{BodyError, QueueTable, read_within};
use crate::ids::{MessageQueue, QueueOffset};
use crate::wire::dialect::DialectLimits;

/// Where a broadcasting member goes on in each queue, as the file `offsets.json` of Java's client has it.
///
/// Ours has a checksum beside the table, which Java does not look at: digits that changed on the disk must not make a
/// member jump forward.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OffsetFile(pub BTreeMap<MessageQueue, QueueOffset>);

impl OffsetFile {
    /// Reads the file.
    ///
    /// # Errors
    /// It has no table, one with an offset below 0, or another than its checksum is of.
    pub fn decode(file: &[u8]) -> Result<Self, OffsetFileError> {
        let Raw { offset_table, crc32 } = read_within(file, &LIMITS)?;
        let mut offsets = BTreeMap::new();
        for (queue, offset) in offset_table.0 {
            let Some(offset) = QueueOffset::from_wire(offset) else {
                return Err(OffsetFileError::Negative { queue, offset });
            };
            offsets.insert(queue, offset);
        }
        let read = Self(offsets);
        match crc32 {
            Some(crc32) if crc32 != crc32fast::hash(&read.table()) => Err(OffsetFileError::Checksum),
            Some(_) | None => Ok(read),
        }
    }

    /// Writes the file; Java reads it too.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let table = self.table();
        let mut out = br#"{"offsetTable":"#.to_vec();
        out.extend_from_slice(&table);
        out.extend_from_slice(br#","crc32":"#);
        out.extend_from_slice(itoa::Buffer::new().format(crc32fast::hash(&table)).as_bytes());
        out.push(b'}');
        out
    }

    /// The table as it is written, which the checksum is of.
    fn table(&self) -> Vec<u8> {
        let table = self.0.iter().map(|(queue, offset)| (queue.clone(), offset.to_wire()));
        let mut out = Vec::new();
        QueueTable(table.collect()).write(&mut out);
        out
    }
}

/// A file that no offsets can be taken from.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OffsetFileError {
    /// It is not JSON, or not of such a file.
    #[error(transparent)]
    Body(#[from] BodyError),
    /// An offset is below 0.
    #[error("offset {offset} of {queue}")]
    Negative {
        /// The queue.
        queue: MessageQueue,
        /// Its offset.
        offset: i64,
    },
    /// The table is not the one that was written.
    #[error("the checksum is that of another table")]
    Checksum,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Raw {
    offset_table: QueueTable<i64>,
    crc32: Option<u32>,
}

/// 65,536 queues, as many as a topic can have, with long names.
const LIMITS: DialectLimits = DialectLimits { max_len: 16 * 1024 * 1024, max_depth: 4 };

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;
    use alloc::string::String;
    use proptest::prelude::*;

    fn queue(topic: &str, broker: &str, id: i32) -> MessageQueue {
        MessageQueue { topic: topic.into(), broker: broker.into(), id }
    }

    fn text(file: &OffsetFile) -> String {
        String::from_utf8(file.encode()).unwrap()
    }

    #[test]
    fn a_file_has_the_form_of_java_and_a_checksum() {
        let file = OffsetFile(BTreeMap::from([(queue("t", "b", 1), QueueOffset::new(7))]));
        let table = r#"{{"brokerName":"b","queueId":1,"topic":"t"}:7}"#;
        let crc = crc32fast::hash(table.as_bytes());
        assert_eq!(text(&file), format!(r#"{{"offsetTable":{table},"crc32":{crc}}}"#));
        assert_eq!(text(&OffsetFile::default()), r#"{"offsetTable":{},"crc32":2745614147}"#);
    }

    #[test]
    fn what_java_writes_is_read() {
        let pretty = "{\n\t\"offsetTable\":{{\n\t\t\t\"brokerName\":\"b\",\n\t\t\t\"queueId\":1,\n\t\t\t\"topic\":\"t\"\n\t\t}:7\n\t}\n}";
        let read = OffsetFile::decode(pretty.as_bytes()).unwrap();
        assert_eq!(read.0, BTreeMap::from([(queue("t", "b", 1), QueueOffset::new(7))]));
    }

    #[test]
    fn what_is_no_such_file_has_an_error() {
        let bad = |file: &str| OffsetFile::decode(file.as_bytes()).unwrap_err();
        for file in ["", "{}", "[]", "null", "{\"offsetTable\":null}", "{\"offsetTable\":{{\"topic\":\"t\"}:null}}"] {
            assert!(matches!(bad(file), OffsetFileError::Body(_)), "{file}");
        }
        let negative = bad(r#"{"offsetTable":{{"brokerName":"b","queueId":1,"topic":"t"}:-1}}"#);
        assert_eq!(negative, OffsetFileError::Negative { queue: queue("t", "b", 1), offset: -1 });
        let file = text(&OffsetFile(BTreeMap::from([(queue("t", "b", 1), QueueOffset::new(7))])));
        assert_eq!(bad(&file.replace(":7", ":9")), OffsetFileError::Checksum);
        assert_eq!(bad(&file.replace("\"queueId\":1", "\"queueId\":2")), OffsetFileError::Checksum);
    }

    fn files() -> impl Strategy<Value = OffsetFile> {
        let queue = (".{1,5}", ".{0,5}", any::<i32>()).prop_map(|(topic, broker, id)| queue(&topic, &broker, id));
        let offset = (0..=i64::MAX as u64).prop_map(QueueOffset::new);
        prop::collection::btree_map(queue, offset, 0..6).prop_map(OffsetFile)
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(file in files()) {
            prop_assert_eq!(OffsetFile::decode(&file.encode()), Ok(file));
        }

        #[test]
        fn a_part_of_a_file_is_none(file in files(), part in 0.0..1.0_f64) {
            let whole = file.encode();
            let part = &whole[..(whole.len() as f64 * part) as usize];
            prop_assert!(OffsetFile::decode(part).is_err());
        }

        #[test]
        fn a_changed_byte_changes_no_offset(file in files(), at: prop::sample::Index, byte: u8) {
            let mut bytes = file.encode();
            let at = at.index(bytes.len());
            bytes[at] = byte;
            if let Ok(read) = OffsetFile::decode(&bytes) {
                // The name of the checksum itself is not covered.
                prop_assert_eq!(read, file);
            }
        }
    }
}
