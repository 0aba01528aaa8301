//! Texts: addresses, ids, names, tag expressions.

use rocketmq_core::config::{check_group, check_topic, parse_name_servers};
use rocketmq_core::ids::Endpoint;
use rocketmq_core::time::UnixMillis;
use rocketmq_core::wire::java::java_hash;
use rocketmq_core::wire::message::OffsetMsgId;
use rocketmq_core::wire::pop::{PopHandle, QueueOffsets};
use rocketmq_core::wire::subscription::SubscriptionData;

/// Any text, taken for each of them.
pub fn text(data: &[u8]) {
    let text = &*String::from_utf8_lossy(data);
    let servers = parse_name_servers(text);
    let list: Vec<_> = servers.iter().map(Endpoint::as_str).collect();
    let named: Vec<_> = servers.iter().filter(|server| !server.as_str().is_empty()).cloned().collect();
    assert_eq!(parse_name_servers(&list.join(";")), named);

    if let Ok(id) = text.parse::<OffsetMsgId>() {
        assert_eq!(id.to_string(), text.to_ascii_uppercase());
        assert_eq!(id.to_string().parse(), Ok(id));
    }

    if let Ok(handle) = text.parse::<PopHandle>() {
        assert_eq!(handle.to_string().parse(), Ok(handle.clone()));
    }
    if let Ok(offsets) = text.parse::<QueueOffsets>() {
        assert_eq!(offsets.to_string().parse(), Ok(offsets));
    }

    for (name, most) in [(check_topic(&text.into()).is_ok(), 127), (check_group(&text.into()).is_ok(), 120)] {
        let known = |c: char| c.is_ascii_alphanumeric() || "%|-_".contains(c);
        assert_eq!(name, (1..=most).contains(&text.len()) && text.chars().all(known));
    }

    if let Ok(data) = SubscriptionData::tags("T".into(), text, UnixMillis(0)) {
        let all = text.is_empty() || text == "*";
        assert_eq!(data.tags_set.is_empty(), all);
        assert_eq!(data.matches(None), all);
        assert!(data.tags_set.iter().all(|tag| data.matches(Some(tag)) && data.code_set.contains(&java_hash(tag))));
        assert!(data.code_set.len() <= data.tags_set.len());
        // Selecting the tags one by one selects the same, unless the one tag is the sign for all of them.
        let tags: Vec<_> = data.tags_set.iter().map(String::as_str).collect();
        if !all && tags != ["*"] {
            let again = SubscriptionData::tags("T".into(), &tags.join(" || "), UnixMillis(0));
            assert_eq!(again.map(|again| again.tags_set), Ok(data.tags_set.clone()));
        }
    }
}
