//! Messages whose content follows from their number, so that any copy can be checked.

use bytes::Bytes;
use rocketmq_core::config::Filter;
use rocketmq_core::driver::ReceivedMessage;
use rocketmq_core::message::Message;
use rocketmq_core::rng::Rng;
use rocketmq_core::wire::compress::inflate;
use rocketmq_core::wire::message::{SysFlags, properties};
use serde::de::Error;
use serde::{Deserialize, Deserializer};

use crate::cluster::StoredView;

/// The message with this number.
#[must_use]
pub(crate) fn message(topic: &str, id: u64) -> Message {
    let (flag, odd) = (flag(id), odd(id));
    let message = Message::new(topic, body(id)).with_tag(tag(id)).with_key(format!("k{id}")).with_flag(flag);
    message.with_property(PROPERTY, id.to_string()).with_property("odd", odd)
}

/// The tag of a message.
#[must_use]
pub(crate) fn tag(id: u64) -> &'static str {
    TAGS[usize::try_from(id % 3).unwrap_or(0)]
}

/// Its body.
#[must_use]
pub(crate) fn body(id: u64) -> Bytes {
    let mut rng = Rng::new(id);
    let len = match id % 16 {
        15 if id & LARGE != 0 => 20_000,
        14 => 1,
        _ => 16 + rng.below(100),
    };
    (0..len).map(|at| if at % 4 == 0 { rng.next_u64().to_le_bytes()[0] } else { b'x' }).collect::<Vec<_>>().into()
}

/// The number in encoded properties.
pub(crate) fn id_of(raw: &[u8]) -> Option<u64> {
    properties::get(raw, PROPERTY)?.parse().ok()
}

/// Whether a stored copy is what was sent.
pub(crate) fn is_stored_intact(id: u64, stored: &StoredView) -> bool {
    let flags = SysFlags(stored.sys_flag);
    let body_ok = match flags.compression() {
        Some(kind) => inflate(kind, &stored.body, 1 << 20).is_ok_and(|plain| plain == body(id)),
        None => stored.body == body(id),
    };
    let get = |key| stored.properties.get(key);
    body_ok
        && stored.flag == flag(id)
        && get("TAGS") == Some(tag(id))
        && get("KEYS") == Some(format!("k{id}").as_str())
        && get("odd") == Some(odd(id).as_str())
}

/// Whether a delivered message is what was sent.
pub(crate) fn is_delivered_intact(id: u64, message: &ReceivedMessage) -> bool {
    message.body() == &body(id)
        && message.flag() == flag(id)
        && message.tag() == Some(tag(id))
        && message.property("KEYS") == Some(format!("k{id}").as_str())
        && message.property("odd") == Some(odd(id).as_str())
}

/// One of the expressions in SQL.
pub(crate) fn expression(index: usize) -> &'static str {
    EXPRESSIONS[index % EXPRESSIONS.len()].0
}

/// Whether it selects the message with this number.
pub(crate) fn matches(expression: usize, id: u64) -> bool {
    (EXPRESSIONS[expression % EXPRESSIONS.len()].1)(id)
}

/// One of the filters of groups that change what they want.
pub(crate) fn filter(index: usize) -> Filter {
    let (sql, expression, _) = FILTERS[index % FILTERS.len()];
    if sql { Filter::sql(expression) } else { Filter::tags(expression) }
}

/// Whether it selects messages with this tag.
pub(crate) fn wants(filter: usize, tag: &str) -> bool {
    FILTERS[filter % FILTERS.len()].2.contains(&tag)
}

/// Reads tags, which are few and known.
pub(crate) fn known_tags<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<&'static str>, D::Error> {
    let known = |tag: &String| TAGS.into_iter().find(|known| known == tag);
    let tags = Vec::<String>::deserialize(deserializer)?;
    let tags: Option<_> = tags.iter().map(known).collect();
    tags.ok_or_else(|| D::Error::custom(format!("tags are among {TAGS:?}")))
}

fn flag(id: u64) -> i32 {
    i32::try_from(id % 1_000).unwrap_or(0) - 500
}

/// Text with characters at the edges of what properties may hold.
fn odd(id: u64) -> String {
    let texts = ["plain", "=&;\"'\\", "\u{3}\u{0}x", "zwölf ½ 漢字 🦀", " leading and trailing "];
    texts[usize::try_from(id % 5).unwrap_or(0)].to_owned()
}

/// The property that holds the number.
pub(crate) const PROPERTY: &str = "sim";
/// The tags in use; the first and the last have the same hash.
pub(crate) const TAGS: [&str; 3] = ["Aa", "gone", "BB"];
/// Filters of groups that change what they want: whether it is SQL, and the tags that it selects. All select `Aa`.
pub(crate) const FILTERS: [(bool, &str, &[&str]); 5] = [
    (false, "Aa || gone", &["Aa", "gone"]),
    (false, "Aa || BB", &["Aa", "BB"]),
    (false, "*", &TAGS),
    (true, "TAGS IN ('Aa', 'BB')", &["Aa", "BB"]),
    (true, "TAGS = 'Aa' OR TAGS = 'gone' AND sim IS NOT NULL", &["Aa", "gone"]),
];
/// Expressions in SQL, and the numbers of the messages that each selects.
const EXPRESSIONS: [(&str, Verdict); 4] = [
    ("odd IN ('plain', ' leading and trailing ')", |id| matches!(id % 5, 0 | 4)),
    ("TAGS <> 'gone' AND KEYS IS NOT NULL", |id| id % 3 != 1),
    ("NOT (sim BETWEEN 10 AND 60) AND TAGS IN ('Aa', 'BB')", |id| !(10..=60).contains(&id) && id % 3 != 1),
    ("nothing IS NULL AND (sim < 40 OR sim >= 1099511627776)", |id| !(40..LARGE).contains(&id)),
];
/// Whether the message with this number is selected.
type Verdict = fn(u64) -> bool;
/// A bit in numbers of messages that may be large.
pub(crate) const LARGE: u64 = 1 << 40;
