//! Delays, retries, dead letters.

use std::time::Duration;

use bytes::Bytes;
use rocketmq_core::wire::Codec;
use rocketmq_core::wire::codes::response;
use rocketmq_core::wire::request::{Request, SendMessage};
use rocketmq_testkit::cluster::{BrokerConfig, StoredView};

use crate::talk::{Talk, message};

fn talk() -> Talk {
    let delay_levels = [1, 2, 3, 4, 5].map(Duration::from_secs).to_vec();
    Talk::new(BrokerConfig { delay_levels, ..BrokerConfig::default() })
}

fn stored(talk: &Talk, topic: &str) -> Vec<StoredView> {
    talk.broker.stored(topic).collect()
}

#[test]
fn delayed_messages_come_in_time_and_keep_their_properties() {
    let mut talk = talk();
    let session = talk.connect();
    for level in ["2", "99", "1"] {
        let send =
            message("T", 1, &[("DELAY", level), ("TAGS", level)]).encode(Codec::Json, Bytes::from_static(b"body"));
        let reply = talk.ask(session, &send);
        assert_eq!(reply.header.ext.get("queueOffset"), Some("0"), "that of the level's own queue");
    }
    let tags = |talk: &Talk| {
        stored(talk, "T").iter().map(|view| view.properties.get("TAGS").unwrap().to_owned()).collect::<Vec<_>>()
    };
    talk.advance(Duration::from_millis(999));
    assert!(tags(&talk).is_empty());
    talk.advance(Duration::from_millis(1));
    assert_eq!(tags(&talk), ["1"]);
    talk.advance(Duration::from_secs(1));
    assert_eq!(tags(&talk), ["1", "2"]);
    talk.advance(Duration::from_secs(3));
    assert_eq!(tags(&talk), ["1", "2", "99"], "the last level is the longest");
    let first = &stored(&talk, "T")[0];
    assert_eq!((first.queue_id, first.properties.get("REAL_TOPIC")), (1, Some("T")));
    assert_eq!(first.properties.get("REAL_QID"), Some("1"));
}

#[test]
fn a_message_handed_back_climbs_the_ladder_and_dies() {
    let mut talk = talk();
    let session = talk.connect();
    let sent = talk.send(session, "T", 0, "TagA");
    let mut offset = stored(&talk, "T")[0].physical_offset;
    for (times, delay) in [(1, 3), (2, 4)] {
        assert_eq!(talk.send_back(session, "G", offset, 0, 2).header.code, 0);
        talk.advance(Duration::from_secs(delay) - Duration::from_millis(1));
        assert_eq!(stored(&talk, "%RETRY%G").len(), times - 1);
        talk.advance(Duration::from_millis(1));
        let copy = stored(&talk, "%RETRY%G").pop().expect("a retry copy");
        assert_eq!(copy.reconsume_times, i32::try_from(times).unwrap());
        let property = |key| copy.properties.get(key);
        assert_eq!(property("RETRY_TOPIC"), Some("T"));
        assert_eq!(property("ORIGIN_MESSAGE_ID"), Some(sent.msg_id.as_str()), "that of the first copy");
        assert_eq!(property("WAIT"), Some("false"));
        assert_eq!(property("UNIQ_KEY"), Some("K1"));
        assert_eq!(property("DELAY"), Some(["3", "4"][times - 1]));
        assert_eq!(property("REAL_TOPIC"), Some("%RETRY%G"));
        offset = copy.physical_offset;
    }
    assert_eq!(talk.send_back(session, "G", offset, 0, 2).header.code, 0);
    let dead = stored(&talk, "%DLQ%G").pop().expect("dead at once");
    assert_eq!((dead.reconsume_times, dead.queue_id), (3, 0));
    assert_eq!((dead.properties.get("DELAY"), dead.properties.get("RETRY_TOPIC")), (Some("0"), Some("T")));
}

#[test]
fn the_client_may_choose_the_level_or_death() {
    let mut talk = talk();
    let session = talk.connect();
    talk.send(session, "T", 0, "TagA");
    assert_eq!(talk.send_back(session, "G", 0, 1, 16).header.code, 0);
    talk.advance(Duration::from_secs(1));
    assert_eq!(stored(&talk, "%RETRY%G").len(), 1);
    assert_eq!(talk.send_back(session, "G", 0, -1, 16).header.code, 0);
    assert_eq!(stored(&talk, "%DLQ%G").len(), 1);
    let nowhere = talk.send_back(session, "G", 7, 0, 16);
    assert_eq!(nowhere.header.code, response::SYSTEM_ERROR);
    assert_eq!(nowhere.header.remark.as_deref(), Some("look message by offset failed, 7"));
}

#[test]
fn republishing_dies_only_above_the_limit() {
    let mut talk = talk();
    let session = talk.connect();
    let republish = |talk: &mut Talk, times, max| {
        let send = SendMessage {
            reconsume_times: Some(times),
            max_reconsume_times: Some(max),
            ..message("%RETRY%G", 0, &[("DELAY", "1"), ("RETRY_TOPIC", "T")])
        };
        let reply = talk.ask(session, &send.encode(Codec::Json, Bytes::from_static(b"body")));
        assert_eq!(reply.header.code, 0, "{:?}", reply.header.remark);
    };
    republish(&mut talk, 2, 2);
    talk.advance(Duration::from_secs(1));
    assert_eq!(stored(&talk, "%RETRY%G")[0].reconsume_times, 2);
    republish(&mut talk, 3, 2);
    let dead = &stored(&talk, "%DLQ%G")[0];
    assert_eq!((dead.reconsume_times, dead.properties.get("DELAY")), (3, Some("-1")));
}

#[test]
fn delays_survive_a_restart() {
    let mut talk = talk();
    let session = talk.connect();
    talk.ask(session, &message("T", 0, &[("DELAY", "3")]).encode(Codec::Json, Bytes::from_static(b"body")));
    talk.broker.stop(talk.now);
    talk.advance(Duration::from_secs(3));
    assert_eq!(stored(&talk, "T").len(), 1);
}
