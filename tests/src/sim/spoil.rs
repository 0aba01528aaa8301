//! What becomes of answers on their way: weak statuses, missing fields, impossible offsets, records that cannot be
//! read, and bodies that no server sends.

use std::sync::OnceLock;

use bytes::Bytes;
use rocketmq_core::wire::ExtWriter;
use rocketmq_core::wire::body::{ClusterInfo, JsonForm};
use rocketmq_core::wire::codes::{request, response};
use rocketmq_core::wire::compress::{CompressionKind, deflate};
use rocketmq_core::wire::frame::{self, Frame};
use rocketmq_core::wire::header::{FLAG_RESPONSE, HeaderLimits, Preamble};
use rocketmq_core::wire::message::{Entry, Record, RecordLimits, SysFlags, walk};

use super::faults::Fault;
use super::history::What;
use super::servers::{Asked, preamble};
use super::state::State;
use super::tape::Stream;
use crate::cluster::Draft;

impl State {
    /// What a broker's disk or a bad cable makes of an answer.
    pub(super) fn spoil(&mut self, asked: &Asked, bytes: Bytes) -> Bytes {
        match asked.code {
            request::SEND_MESSAGE | request::SEND_MESSAGE_V2 | request::SEND_BATCH_MESSAGE
                if self.roll(Fault::WeakStore) =>
            {
                let weak = [response::FLUSH_DISK_TIMEOUT, response::FLUSH_SLAVE_TIMEOUT, response::SLAVE_NOT_AVAILABLE];
                let code = self.tape.pick(Stream::Broker, &weak).copied().unwrap_or(response::FLUSH_DISK_TIMEOUT);
                let Some(weak) = success(&bytes) else { return bytes };
                self.count(Fault::WeakStore);
                for id in &asked.messages {
                    self.note(What::Weak { id: *id });
                }
                rewritten(asked, &weak, code, weak.body.clone(), |_, value| value.to_owned())
            }
            request::PULL_MESSAGE if self.roll(Fault::OddOffsets) => self.odd_offsets(asked, bytes),
            request::PULL_MESSAGE => self.spoil_records(asked, bytes),
            request::GET_CONSUMER_LIST_BY_GROUP | request::GET_ROUTEINFO_BY_TOPIC if self.roll(Fault::DeepJson) => {
                let Some(read) = success(&bytes) else { return bytes };
                self.count(Fault::DeepJson);
                let deep = "{\"a\":".repeat(DEPTH);
                rewritten(asked, &read, response::SUCCESS, deep.into(), |_, value| value.to_owned())
            }
            request::GET_ROUTEINFO_BY_TOPIC if self.roll(Fault::HugeRoute) => {
                let Some(read) = success(&bytes) else { return bytes };
                self.count(Fault::HugeRoute);
                let text = String::from_utf8_lossy(&read.body);
                let key = "\"readQueueNums\":";
                let huge = text.replace(key, &format!("{key}{}", i32::MAX / 100));
                rewritten(asked, &read, response::SUCCESS, huge.into(), |_, value| value.to_owned())
            }
            request::QUERY_CONSUMER_OFFSET | request::HEART_BEAT | request::GET_CONSUMER_LIST_BY_GROUP
                if self.roll(Fault::Garbled) =>
            {
                let Some(read) = success(&bytes) else { return bytes };
                self.count(Fault::Garbled);
                let bare = preamble(response::SUCCESS, FLAG_RESPONSE, asked.codec);
                let bare = Preamble { version: read.header.version, ..bare }.encode(|_| (), Bytes::new());
                bare.to_bytes(asked.opaque)
            }
            _ => bytes,
        }
    }

    /// What a name server makes up for an administrator. Whoever sends or pulls cannot tell one broker from another.
    pub(super) fn lie(&mut self, asked: &Asked, bytes: Bytes) -> Bytes {
        let administrator = self.net.links.get(&asked.link).is_some_and(|link| self.hosts[link.host].administrator);
        let of_cluster = asked.code == request::GET_BROKER_CLUSTER_INFO;
        if !administrator || !(of_cluster || asked.code == request::GET_ROUTEINFO_BY_TOPIC) {
            return bytes;
        }
        let Some(read) = success(&bytes) else { return bytes };
        if of_cluster && self.roll(Fault::EmptyCluster) {
            self.count(Fault::EmptyCluster);
            let empty = ClusterInfo::default().encode(JsonForm::Fastjson);
            return rewritten(asked, &read, response::SUCCESS, empty.into(), |_, value| value.to_owned());
        }
        let mut addresses = self.servers.cluster.masters().map(|broker| broker.config().address.to_string());
        let (Some(one), Some(other)) = (addresses.next(), addresses.next()) else { return bytes };
        drop(addresses);
        if !self.roll(Fault::ForeignAddress) {
            return bytes;
        }
        let text = String::from_utf8_lossy(&read.body).replace(&format!("\"{one}\""), &format!("\"{other}\""));
        if text.as_bytes() == &read.body[..] {
            return bytes;
        }
        self.count(Fault::ForeignAddress);
        rewritten(asked, &read, response::SUCCESS, text.into(), |_, value| value.to_owned())
    }

    /// Offsets that no queue has: a client must neither follow them nor fall over them.
    fn odd_offsets(&mut self, asked: &Asked, bytes: Bytes) -> Bytes {
        let Ok(read) = frame::decode(&bytes, &HeaderLimits::default()) else { return bytes };
        if !matches!(read.header.code, response::SUCCESS | response::PULL_NOT_FOUND) {
            return bytes;
        }
        self.count(Fault::OddOffsets);
        let odd = ["-1", "0", "-9223372036854775808", "1e3", ""];
        let odd = self.tape.pick(Stream::Broker, &odd).copied().unwrap_or("-1");
        rewritten(asked, &read, read.header.code, read.body.clone(), |key, value| {
            let spoilt = matches!(key, "nextBeginOffset" | "minOffset" | "maxOffset");
            if spoilt { odd.to_owned() } else { value.to_owned() }
        })
    }

    fn spoil_records(&mut self, asked: &Asked, bytes: Bytes) -> Bytes {
        let kinds = [Fault::BitFlip, Fault::CorruptRecord, Fault::WrongCrc, Fault::Bomb];
        // Each has its chance, the last one that comes up happens.
        let mut happens = None;
        for kind in kinds {
            if self.roll(kind) {
                happens = Some(kind);
            }
        }
        let Some(fault) = happens else { return bytes };
        let Ok(read) = frame::decode(&bytes, &HeaderLimits::default()) else { return bytes };
        let limits = RecordLimits { max_records: 64, verify_crc: false };
        let records: Vec<Record> = walk(&read.body, limits)
            .filter_map(|entry| match entry {
                Entry::Record(record) => Some(record),
                _ => None,
            })
            .collect();
        let Some(record) = self.tape.pick(Stream::Broker, &records) else { return bytes };
        let mut body = read.body.to_vec();
        match fault {
            Fault::BitFlip => {
                let at = usize::try_from(self.tape.below(Stream::Broker, record.body.len() as u64)).unwrap_or(0);
                body[record.body.start + at] ^= 1 << self.tape.below(Stream::Broker, 8);
            }
            // The words after the length of the record: its magic, and the checksum of its body.
            Fault::CorruptRecord => body[record.start + 4] ^= 0x55,
            Fault::WrongCrc => body[record.start + 11] ^= 0x55,
            _ => {
                let end = record.start + record.len;
                let Some(bomb) = bomb_of(&read.body.slice(record.start..end)) else { return bytes };
                body.splice(record.start..end, bomb);
            }
        }
        self.count(fault);
        if let Some((group, queue)) = asked.pull.clone() {
            let offsets = records.iter().map(|record| record.queue_offset.to_wire()).collect();
            let Some(host) = self.net.links.get(&asked.link).map(|link| link.host) else { return bytes };
            // A member of a broadcasting group counts as a group.
            let group = self.hosts[host].member.clone().unwrap_or(group);
            self.note(What::Spoilt { host, group, queue, offset: record.queue_offset.to_wire(), answer: offsets });
        }
        rewritten(asked, &read, read.header.code, body.into(), |_, value| value.to_owned())
    }
}

/// An answer, if it is one of success.
fn success(bytes: &Bytes) -> Option<Frame> {
    frame::decode(bytes, &HeaderLimits::default()).ok().filter(|read| read.header.code == response::SUCCESS)
}

/// The same answer with another code, another body and other fields.
fn rewritten(asked: &Asked, read: &Frame, code: i32, body: Bytes, change: impl Fn(&str, &str) -> String) -> Bytes {
    let fields = |out: &mut ExtWriter<'_>| {
        read.header.ext.iter().for_each(|(key, value)| out.text(key, &change(key, value)));
    };
    preamble(code, FLAG_RESPONSE, asked.codec).encode(fields, body).to_bytes(asked.opaque)
}

/// The same record with a body that inflates to sixteen times the most that a client takes.
fn bomb_of(record: &Bytes) -> Option<Bytes> {
    static BOMB: OnceLock<Bytes> = OnceLock::new();
    let bomb = BOMB.get_or_init(|| {
        // Frames of this kind can stand in a row.
        let part = deflate(CompressionKind::Zstd, 9, &vec![0; BOMB_PART]).unwrap_or_default();
        part.repeat(BOMB_PARTS).into()
    });
    let (draft, place) = Draft::read(record)?;
    let sys_flag = SysFlags(draft.sys_flag).with_compression(CompressionKind::Zstd).0;
    let draft = Draft { body: bomb.clone(), sys_flag, ..draft };
    draft.record(draft.properties.encode().ok()?, &place).ok()
}

/// Levels of nested JSON, enough to overflow the stack of a reader that goes down into each.
const DEPTH: usize = 20_000;
/// Bytes of zeros in a frame of a bomb, and how many frames it has.
const BOMB_PART: usize = 4 * 1024 * 1024;
const BOMB_PARTS: usize = 64;
