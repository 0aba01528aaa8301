//! What of an answer must be equal on both sides: addresses, ids, times and log positions by their role.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use rocketmq_core::wire::dialect::{self, DialectLimits};
use rocketmq_core::wire::message::{Entry, OffsetMsgId, Record, RecordLimits, properties, walk};
use rocketmq_core::wire::{Codec, Frame};
use serde_json::Value;

use crate::lab::now_millis;

/// What a script saw: (step, field) → value.
pub(crate) type Transcript = BTreeMap<(String, String), String>;

/// The names by which addresses and positions are known on one side.
#[derive(Debug, Default)]
pub(crate) struct Roles {
    addresses: Vec<(String, String)>,
    positions: Vec<i64>,
}

impl Roles {
    pub(crate) fn name(&mut self, address: SocketAddr, role: impl Into<String>) {
        self.addresses.push((address.to_string(), role.into()));
    }

    /// The lines of an answer; `records` says whether its body holds messages.
    pub(crate) fn read(&mut self, frame: &Frame, records: bool) -> Vec<(String, String)> {
        let header = &frame.header;
        let codec = match header.codec {
            Codec::Json => "JSON",
            Codec::Rocketmq => "ROCKETMQ",
        };
        let mut lines = vec![
            ("code".to_owned(), header.code.to_string()),
            ("flags".to_owned(), header.flags.to_string()),
            ("language".to_owned(), header.language.name().to_owned()),
            ("version".to_owned(), header.version.to_string()),
            ("codec".to_owned(), codec.to_owned()),
            ("remark".to_owned(), self.text(header.remark.as_deref().unwrap_or_default())),
        ];
        for (key, value) in header.ext.iter() {
            match key {
                "properties" => {
                    let pairs = properties::iter(value.as_bytes());
                    lines.extend(pairs.map(|(key, value)| (format!("field property {key}"), self.value(value))));
                }
                key => lines.push((format!("field {key}"), self.value(value))),
            }
        }
        if records {
            self.messages(&frame.body, &mut lines);
        } else if !frame.body.is_empty() {
            self.json(&frame.body, &mut lines);
        }
        lines
    }

    /// Positions in the log by the order in which a script meets them.
    fn position(&mut self, physical: i64) -> String {
        let known = self.positions.iter().position(|seen| *seen == physical);
        let index = known.unwrap_or_else(|| {
            self.positions.push(physical);
            self.positions.len() - 1
        });
        format!("@{index}")
    }

    fn messages(&mut self, body: &bytes::Bytes, lines: &mut Vec<(String, String)>) {
        let mut count = 0;
        for entry in walk(body, RecordLimits::default()) {
            match entry {
                Entry::Record(record) => self.message(body, &record, lines),
                Entry::Poison(poison) => lines.push(("poison".to_owned(), format!("{poison:?}"))),
                Entry::Rest(rest) => lines.push(("rest".to_owned(), format!("{rest:?}"))),
            }
            count += 1;
        }
        lines.push(("messages".to_owned(), count.to_string()));
    }

    fn message(&mut self, body: &[u8], record: &Record, lines: &mut Vec<(String, String)>) {
        let at = record.queue_offset;
        let mut line = |what: &str, value: String| lines.push((format!("message {at} {what}"), value));
        line("topic", record.topic(body).to_owned());
        line("queue", record.queue_id.to_string());
        line("flag", record.flag.to_string());
        line("sys flag", record.sys_flag.0.to_string());
        line("born", record.born_timestamp.to_string());
        line("born host", self.text(&record.born_host.to_string()));
        line("stored", self.value(&record.store_timestamp.to_string()));
        line("store host", self.text(&record.store_host.to_string()));
        line("position", self.position(record.physical_offset));
        line("redeliveries", record.reconsume_times.to_string());
        let half = record.prepared_transaction_offset;
        line("half message", if half == 0 { "none".to_owned() } else { "somewhere".to_owned() });
        let text = record.body(body);
        line("body", format!("{} bytes, {}", text.len(), String::from_utf8_lossy(&text[..text.len().min(40)])));
        for (key, value) in properties::iter(record.properties(body)) {
            let value = self.value(value);
            line(&format!("property {key}"), value);
        }
    }

    fn json(&mut self, body: &[u8], lines: &mut Vec<(String, String)>) {
        let standard = serde_json::from_slice::<Value>(body).is_ok();
        let limits = DialectLimits::default();
        let parsed = dialect::normalise(body, &limits).ok().and_then(|body| serde_json::from_slice(&body).ok());
        let Some(mut parsed) = parsed else {
            lines.push(("body".to_owned(), format!("{:?}", String::from_utf8_lossy(body))));
            return;
        };
        self.tidy(&mut parsed);
        lines.push(("form".to_owned(), if standard { "standard JSON" } else { "fastjson" }.to_owned()));
        match parsed {
            Value::Object(parts) => {
                lines.extend(parts.into_iter().map(|(key, value)| (format!("body {key}"), value.to_string())));
            }
            other => lines.push(("body".to_owned(), other.to_string())),
        }
    }

    fn tidy(&mut self, value: &mut Value) {
        match value {
            Value::Null | Value::Bool(_) => {}
            Value::Number(number) => {
                let text = number.to_string();
                let told = self.value(&text);
                if told != text {
                    *value = Value::String(told);
                }
            }
            Value::String(text) => *text = self.value(text),
            Value::Array(items) => {
                items.iter_mut().for_each(|item| self.tidy(item));
                items.sort_by_key(ToString::to_string);
            }
            Value::Object(parts) => parts.values_mut().for_each(|part| self.tidy(part)),
        }
    }

    fn value(&mut self, value: &str) -> String {
        if value.contains(',') {
            return value.split(',').map(|part| self.value(part)).collect::<Vec<_>>().join(",");
        }
        if is_id(value) {
            return match value.parse::<OffsetMsgId>() {
                Ok(id) if self.addresses.iter().any(|(known, _)| *known == id.host.to_string()) => {
                    format!("{} {}", self.text(&id.host.to_string()), self.position(id.physical_offset))
                }
                _ => "an id".to_owned(),
            };
        }
        match value.parse::<i64>() {
            Ok(number) if (number - now_millis()).abs() < RECENT => "now".to_owned(),
            _ => self.text(value),
        }
    }

    fn text(&self, text: &str) -> String {
        // The page for further details moved.
        let text = text.split("\nSee http").next().unwrap_or(text).to_owned();
        self.addresses.iter().fold(text, |text, (address, role)| text.replace(address, role))
    }
}

fn is_id(text: &str) -> bool {
    text.len() == 32 && text.bytes().all(|digit| digit.is_ascii_digit() || (b'A'..=b'F').contains(&digit))
}

/// Times this near, in milliseconds, are those of the test.
const RECENT: i64 = 600_000;
