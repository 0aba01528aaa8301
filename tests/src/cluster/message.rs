//! Messages as a broker stores them: the record layout and the properties text.

use std::net::{IpAddr, SocketAddr};

use bytes::{Buf, BufMut, Bytes, BytesMut};

/// The properties of a message, in order; setting one again keeps its place.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Properties(Vec<(String, String)>);

impl Properties {
    /// Reads `key 1 value 2 …`; malformed pairs are skipped, as servers do.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let pair = |pair: &str| pair.split_once('\u{1}').map(|(key, value)| (key.to_owned(), value.to_owned()));
        let whole = |pair: &(String, String)| !pair.0.is_empty() && !pair.1.is_empty();
        Self(text.split('\u{2}').filter_map(pair).filter(whole).collect())
    }

    /// The value of `key`.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == key).map(|(_, value)| value.as_str())
    }

    /// Sets `key`.
    pub fn set(&mut self, key: &str, value: &str) {
        match self.0.iter_mut().find(|(known, _)| known == key) {
            Some((_, known)) => value.clone_into(known),
            None => self.0.push((key.to_owned(), value.to_owned())),
        }
    }

    /// All pairs.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(key, value)| (key.as_str(), value.as_str()))
    }

    /// The text form, each pair ended.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut text = String::with_capacity(self.0.iter().map(|(key, value)| key.len() + value.len() + 2).sum());
        for (key, value) in &self.0 {
            text.push_str(key);
            text.push('\u{1}');
            text.push_str(value);
            text.push('\u{2}');
        }
        text
    }
}

/// A message on its way into the log.
#[derive(Clone, Debug)]
pub(crate) struct Draft {
    pub(crate) topic: String,
    pub(crate) queue_id: i32,
    pub(crate) flag: i32,
    pub(crate) sys_flag: i32,
    pub(crate) born_ms: i64,
    pub(crate) born_host: SocketAddr,
    pub(crate) reconsume_times: i32,
    pub(crate) body: Bytes,
    pub(crate) properties: Properties,
}

/// Where and when a message is stored.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    pub(crate) queue_offset: i64,
    pub(crate) physical: i64,
    pub(crate) stored_ms: i64,
    pub(crate) store_host: SocketAddr,
}

/// The record of a message, layout V1 (V2 for a topic of more than 255 bytes never happens: sends are limited).
pub(crate) fn encode_record(draft: &Draft, properties: &str, place: &Place) -> Bytes {
    let born_v6 = draft.born_host.is_ipv6();
    let store_v6 = place.store_host.is_ipv6();
    let sys_flag = draft.sys_flag | if born_v6 { 0x10 } else { 0 } | if store_v6 { 0x20 } else { 0 };
    let hosts = if born_v6 { 20 } else { 8 } + if store_v6 { 20 } else { 8 };
    let len = FIXED + hosts + draft.body.len() + draft.topic.len() + properties.len();
    let mut out = BytesMut::with_capacity(len);
    out.put_i32(i32::try_from(len).unwrap_or(i32::MAX));
    out.put_u32(MAGIC);
    out.put_u32(crc32fast::hash(&draft.body) & 0x7fff_ffff);
    out.put_i32(draft.queue_id);
    out.put_i32(draft.flag);
    out.put_i64(place.queue_offset);
    out.put_i64(place.physical);
    out.put_i32(sys_flag);
    out.put_i64(draft.born_ms);
    put_host(&mut out, draft.born_host);
    out.put_i64(place.stored_ms);
    put_host(&mut out, place.store_host);
    out.put_i32(draft.reconsume_times);
    out.put_i64(0);
    out.put_i32(i32::try_from(draft.body.len()).unwrap_or(i32::MAX));
    out.put_slice(&draft.body);
    out.put_u8(u8::try_from(draft.topic.len()).unwrap_or(u8::MAX));
    out.put_slice(draft.topic.as_bytes());
    out.put_u16(u16::try_from(properties.len()).unwrap_or(u16::MAX));
    out.put_slice(properties.as_bytes());
    out.freeze()
}

/// The id of a message by its place: `ip port physical-offset` in hexadecimal.
pub(crate) fn offset_msg_id(host: SocketAddr, physical: i64) -> String {
    let address = match host.ip() {
        IpAddr::V4(ip) => hex(&ip.octets()),
        IpAddr::V6(ip) => hex(&ip.octets()),
    };
    format!("{address}{:08X}{physical:016X}", host.port())
}

/// Java's `String.hashCode`, which is the tag code.
pub(crate) fn java_hash(text: &str) -> i32 {
    text.encode_utf16().fold(0_i32, |hash, unit| hash.wrapping_mul(31).wrapping_add(i32::from(unit)))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02X}")).collect()
}

fn put_host(out: &mut BytesMut, host: SocketAddr) {
    match host.ip() {
        IpAddr::V4(ip) => out.put_slice(&ip.octets()),
        IpAddr::V6(ip) => out.put_slice(&ip.octets()),
    }
    out.put_i32(i32::from(host.port()));
}

/// Reads back a record that [`encode_record`] wrote.
pub(crate) fn decode_record(record: &Bytes) -> Option<(Draft, Place)> {
    let mut rest = record.clone();
    if rest.len() < FIXED || rest.get_u32() as usize != record.len() || rest.get_u32() != MAGIC {
        return None;
    }
    let _crc = rest.get_u32();
    let (queue_id, flag) = (rest.get_i32(), rest.get_i32());
    let (queue_offset, physical) = (rest.get_i64(), rest.get_i64());
    let sys_flag = rest.get_i32();
    let born_ms = rest.get_i64();
    let born_host = take_host(&mut rest, sys_flag & 0x10 != 0);
    let stored_ms = rest.get_i64();
    let store_host = take_host(&mut rest, sys_flag & 0x20 != 0);
    let (reconsume_times, _prepared) = (rest.get_i32(), rest.get_i64());
    let body_len = rest.get_i32() as usize;
    let body = rest.split_to(body_len);
    let topic_len = usize::from(rest.get_u8());
    let topic = String::from_utf8_lossy(&rest.split_to(topic_len)).into_owned();
    let properties_len = usize::from(rest.get_u16());
    let properties = Properties::parse(&String::from_utf8_lossy(&rest.split_to(properties_len)));
    let sys_flag = sys_flag & !0x30;
    let draft = Draft { topic, queue_id, flag, sys_flag, born_ms, born_host, reconsume_times, body, properties };
    Some((draft, Place { queue_offset, physical, stored_ms, store_host }))
}

fn take_host(rest: &mut Bytes, v6: bool) -> SocketAddr {
    let ip = if v6 { IpAddr::from(rest.get_u128().to_be_bytes()) } else { IpAddr::from(rest.get_u32().to_be_bytes()) };
    SocketAddr::new(ip, rest.get_i32() as u16)
}

/// Magic word of layout V1.
const MAGIC: u32 = 0xdaa3_20a7;
/// Bytes of a record without its hosts, body, topic and properties.
const FIXED: usize = 4 * 5 + 8 * 2 + 4 + 8 + 8 + 4 + 8 + 4 + 1 + 2;
