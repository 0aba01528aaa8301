//! Offsets of groups and of queues.

use std::time::Duration;

use super::{Cell, cell};
use crate::call::{BORN, Call, commit, max_offset, message, min_offset, pull, query_offset};
use crate::lab::Lab;

pub(super) fn cells() -> Vec<Cell> {
    let mut cells = groups();
    cells.extend(queues());
    cells.extend(times());
    cells.extend(by_position());
    cells
}

fn groups() -> Vec<Cell> {
    vec![
        cell(QUERY, "none, in a queue that is whole", |lab| {
            let (topic, group) = (lab.topic_with(&["A"]), lab.group());
            lab.ask(query_offset(&group, &topic));
        }),
        cell(QUERY, "none, and 0 is welcome", |lab| {
            let (topic, group) = (lab.topic_with(&["A"]), lab.group());
            lab.ask(query_offset(&group, &topic).with("setZeroIfNotFound", true));
        }),
        cell(QUERY, "none, and 0 is not welcome", |lab| {
            let (topic, group) = (lab.topic_with(&["A"]), lab.group());
            lab.ask(query_offset(&group, &topic).with("setZeroIfNotFound", false));
        }),
        cell(QUERY, "none, in an empty queue", |lab| {
            let (topic, group) = (lab.topic(1), lab.group());
            lab.ask(query_offset(&group, &topic));
        }),
        cell(QUERY, "none, in an empty queue, and 0 is not welcome", |lab| {
            let (topic, group) = (lab.topic(1), lab.group());
            lab.ask(query_offset(&group, &topic).with("setZeroIfNotFound", false));
        }),
        cell(QUERY, "unknown topic", |lab| {
            let (topic, group) = (lab.name("nowhere"), lab.group());
            lab.ask(query_offset(&group, &topic));
        }),
        cell(QUERY, "queue after the last", |lab| {
            let (topic, group) = (lab.topic_with(&["A"]), lab.group());
            lab.ask(query_offset(&group, &topic).with("queueId", 4));
        }),
        cell(QUERY, "negative queue", |lab| {
            let (topic, group) = (lab.topic_with(&["A"]), lab.group());
            lab.ask(query_offset(&group, &topic).with("queueId", -1));
        }),
        cell(QUERY, "one that was committed", |lab| {
            let (topic, group) = (lab.topic_with(&["A", "B"]), lab.group());
            lab.join(0, &[(&topic, "*")]);
            lab.must(commit(&group, &topic, 2));
            lab.ask(query_offset(&group, &topic));
        }),
        cell(QUERY, "one of another group", |lab| {
            let (topic, group) = (lab.topic_with(&["A", "B"]), lab.group());
            lab.join(0, &[(&topic, "*")]);
            lab.must(commit(&group, &topic, 2));
            let other = lab.name("_G2");
            lab.ask(query_offset(&other, &topic));
        }),
        cell(QUERY, "no group", |lab| {
            let topic = lab.topic(1);
            lab.ask(query_offset("G", &topic).without("consumerGroup"));
        }),
        cell(QUERY, "garbage for the queue", |lab| {
            let topic = lab.topic(1);
            lab.ask(query_offset("G", &topic).with("queueId", "first"));
        }),
        cell(QUERY, "binary header", |lab| {
            let (topic, group) = (lab.topic_with(&["A"]), lab.group());
            lab.ask(query_offset(&group, &topic).binary());
        }),
        cell(COMMIT, "new group", |lab| {
            let (topic, group) = (lab.topic_with(&["A", "B"]), lab.group());
            lab.ask(commit(&group, &topic, 1));
            lab.ask(query_offset(&group, &topic));
        }),
        cell(COMMIT, "group that is known by its pulls only", |lab| {
            let (topic, group) = (lab.topic_with(&["A", "B"]), lab.group());
            lab.must(pull(&group, &topic, 0));
            lab.ask(commit(&group, &topic, 1));
            lab.ask(query_offset(&group, &topic));
        }),
        cell(COMMIT, "the first one", |lab| committed(lab, &[1])),
        cell(COMMIT, "a higher one", |lab| committed(lab, &[1, 2])),
        cell(COMMIT, "a lower one", |lab| committed(lab, &[2, 1])),
        cell(COMMIT, "after the end of the queue", |lab| committed(lab, &[1_000])),
        cell(COMMIT, "negative", |lab| {
            let (topic, group) = member(lab);
            lab.ask(commit(&group, &topic, 0).with("commitOffset", -1));
            lab.ask(query_offset(&group, &topic));
        }),
        cell(COMMIT, "unknown topic", |lab| {
            let (_, group) = member(lab);
            let topic = lab.name("nowhere");
            lab.ask(commit(&group, &topic, 1));
        }),
        cell(COMMIT, "queue after the last", |lab| {
            let (topic, group) = member(lab);
            lab.ask(commit(&group, &topic, 1).with("queueId", 9));
            lab.ask(query_offset(&group, &topic).with("queueId", 9));
        }),
        cell(COMMIT, "group with too long a name", |lab| {
            let (topic, group) = (lab.topic_with(&["A"]), format!("{:g<121}", lab.name("")));
            lab.ask(commit(&group, &topic, 1));
        }),
        cell(COMMIT, "no offset", |lab| {
            let (topic, group) = member(lab);
            lab.ask(commit(&group, &topic, 1).without("commitOffset"));
        }),
        cell(COMMIT, "garbage for the offset", |lab| {
            let (topic, group) = member(lab);
            lab.ask(commit(&group, &topic, 1).with("commitOffset", "first"));
        }),
        cell(COMMIT, "oneway", |lab| {
            let (topic, group) = member(lab);
            let asked = lab.tell_as(0, commit(&group, &topic, 1).oneway());
            lab.silence(asked);
            lab.ask(query_offset(&group, &topic));
        }),
        cell(COMMIT, "binary header", |lab| {
            let (topic, group) = member(lab);
            lab.ask(commit(&group, &topic, 1).binary());
            lab.ask(query_offset(&group, &topic));
        }),
    ]
}

fn queues() -> Vec<Cell> {
    vec![
        cell(MAX, "queue with messages", |lab| {
            let topic = lab.topic_with(&["A", "B"]);
            lab.ask(max_offset(&topic, 0));
        }),
        cell(MAX, "empty queue", |lab| {
            let topic = lab.topic(1);
            lab.ask(max_offset(&topic, 0));
        }),
        cell(MAX, "unknown topic", |lab| {
            let topic = lab.name("nowhere");
            lab.ask(max_offset(&topic, 0));
        }),
        cell(MAX, "queue after the last", |lab| {
            let topic = lab.topic_with(&["A"]);
            lab.ask(max_offset(&topic, 7));
        }),
        cell(MAX, "negative queue", |lab| {
            let topic = lab.topic_with(&["A"]);
            lab.ask(max_offset(&topic, -1));
        }),
        cell(MAX, "no queue", |lab| drop(lab.ask(max_offset("T", 0).without("queueId")))),
        cell(MAX, "no topic", |lab| drop(lab.ask(max_offset("T", 0).without("topic")))),
        cell(MAX, "garbage for the queue", |lab| drop(lab.ask(max_offset("T", 0).with("queueId", "one")))),
        cell(MAX, "binary header", |lab| {
            let topic = lab.topic_with(&["A", "B"]);
            lab.ask(max_offset(&topic, 0).binary());
        }),
        cell(MIN, "queue with messages", |lab| {
            let topic = lab.topic_with(&["A", "B"]);
            lab.ask(min_offset(&topic, 0));
        }),
        cell(MIN, "empty queue", |lab| {
            let topic = lab.topic(1);
            lab.ask(min_offset(&topic, 0));
        }),
        cell(MIN, "unknown topic", |lab| {
            let topic = lab.name("nowhere");
            lab.ask(min_offset(&topic, 0));
        }),
        cell(MIN, "queue after the last", |lab| {
            let topic = lab.topic_with(&["A"]);
            lab.ask(min_offset(&topic, 7));
        }),
        cell(MIN, "no queue", |lab| drop(lab.ask(min_offset("T", 0).without("queueId")))),
        cell(EARLIEST, "queue with messages", |lab| {
            let topic = lab.topic_with(&["A", "B"]);
            lab.ask(max_offset(&topic, 0).code(EARLIEST));
        }),
        cell(EARLIEST, "empty queue", |lab| {
            let topic = lab.topic(1);
            lab.ask(max_offset(&topic, 0).code(EARLIEST));
        }),
        cell(EARLIEST, "unknown topic", |lab| {
            let topic = lab.name("nowhere");
            lab.ask(max_offset(&topic, 0).code(EARLIEST));
        }),
        cell(EARLIEST, "no topic", |lab| drop(lab.ask(max_offset("T", 0).code(EARLIEST).without("topic")))),
    ]
}

fn times() -> Vec<Cell> {
    vec![
        cell(SEARCH, "before all", |lab| searched(lab, None, |_| BORN)),
        cell(SEARCH, "before all, UPPER", |lab| searched(lab, Some("UPPER"), |_| BORN)),
        cell(SEARCH, "time of a message", |lab| searched(lab, None, |stored| stored[1])),
        cell(SEARCH, "time of a message, LOWER", |lab| searched(lab, Some("LOWER"), |stored| stored[1])),
        cell(SEARCH, "time of a message, UPPER", |lab| searched(lab, Some("UPPER"), |stored| stored[1])),
        cell(SEARCH, "time of the first message", |lab| searched(lab, None, |stored| stored[0])),
        cell(SEARCH, "time of the last message, UPPER", |lab| searched(lab, Some("UPPER"), |stored| stored[2])),
        cell(SEARCH, "between two", |lab| searched(lab, None, |stored| stored[1] + 1)),
        cell(SEARCH, "between two, UPPER", |lab| searched(lab, Some("UPPER"), |stored| stored[1] + 1)),
        cell(SEARCH, "after all", |lab| searched(lab, None, |stored| stored[2] + 1)),
        cell(SEARCH, "after all, UPPER", |lab| searched(lab, Some("UPPER"), |stored| stored[2] + 1)),
        cell(SEARCH, "the far future", |lab| searched(lab, None, |_| i64::MAX)),
        cell(SEARCH, "negative", |lab| searched(lab, None, |_| -1)),
        cell(SEARCH, "boundary in small letters", |lab| searched(lab, Some("upper"), |stored| stored[1])),
        cell(SEARCH, "boundary that does not exist", |lab| searched(lab, Some("MIDDLE"), |stored| stored[1])),
        cell(SEARCH, "empty queue", |lab| {
            let topic = lab.topic(1);
            lab.ask(search(&topic, BORN));
        }),
        cell(SEARCH, "unknown topic", |lab| {
            let topic = lab.name("nowhere");
            lab.ask(search(&topic, BORN));
        }),
        cell(SEARCH, "queue after the last", |lab| {
            let topic = lab.topic_with(&["A"]);
            lab.ask(search(&topic, BORN).with("queueId", 5));
        }),
        cell(SEARCH, "no time", |lab| {
            let topic = lab.topic_with(&["A"]);
            lab.ask(search(&topic, BORN).without("timestamp"));
        }),
    ]
}

fn by_position() -> Vec<Cell> {
    vec![
        cell(VIEW, "a message", |lab| {
            let topic = lab.topic(1);
            let at = lab.send_call(&topic, message(&topic, 0, &[("TAGS", "A")]));
            lab.ask(view(at));
        }),
        cell(VIEW, "between messages", |lab| {
            let topic = lab.topic(1);
            let at = lab.send_call(&topic, message(&topic, 0, &[("TAGS", "A")]));
            lab.ask_without(view(at + 1), "remark");
        }),
        cell(VIEW, "after the end", |lab| drop(lab.ask(view(1 << 50)))),
        cell(VIEW, "negative", |lab| drop(lab.ask(view(-1)))),
        cell(VIEW, "no position", |lab| drop(lab.ask(view(0).without("offset")))),
    ]
}

/// A topic, and a group with a member, which only may commit.
fn member(lab: &mut Lab) -> (String, String) {
    let topic = lab.topic_with(&["A", "B"]);
    lab.join(0, &[(&topic, "*")]);
    lab.forget_pushes(0);
    (topic, lab.group())
}

/// Commits these offsets one after the other, and asks for what is stored.
fn committed(lab: &mut Lab, offsets: &[u64]) {
    let (topic, group) = (lab.topic_with(&["A", "B"]), lab.group());
    lab.join(0, &[(&topic, "*")]);
    for offset in offsets {
        lab.ask(commit(&group, &topic, *offset));
    }
    lab.ask(query_offset(&group, &topic));
}

/// Searches a queue of three messages that were stored at different times.
fn searched(lab: &mut Lab, boundary: Option<&str>, time: fn(&[i64]) -> i64) {
    let (topic, group) = (lab.topic(1), lab.group());
    for tag in ["A", "B", "C"] {
        lab.send(&topic, tag);
        std::thread::sleep(APART);
    }
    let found = lab.must(pull(&group, &topic, 0));
    let time = time(&crate::lab::store_times(&found.body));
    let call = search(&topic, time);
    lab.ask(boundary.map_or(call.clone(), |boundary| call.with("boundaryType", boundary)));
}

fn search(topic: &str, time: i64) -> Call {
    max_offset(topic, 0).code(SEARCH).with("timestamp", time)
}

fn view(position: i64) -> Call {
    Call::new(VIEW).with("offset", position)
}

const QUERY: i32 = 14;
const COMMIT: i32 = 15;
const SEARCH: i32 = 29;
const MAX: i32 = 30;
const MIN: i32 = 31;
const EARLIEST: i32 = 32;
const VIEW: i32 = 33;
/// So that no two messages have the same time.
const APART: Duration = Duration::from_millis(5);
