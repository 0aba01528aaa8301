//! A run as a picture: a lane for each process and server, frames as arrows, and what happened beside them.

pub(crate) mod label;

use std::collections::BTreeMap;

use rocketmq_core::time::Instant;
use serde::Serialize;

use super::Report;
use super::history::{Settled, What};
use super::workload::member_name;
use crate::cluster::Node;

/// What the page is made of; its script draws it.
#[derive(Serialize)]
struct Timeline {
    title: String,
    verdict: String,
    failed: bool,
    lanes: Vec<LaneHead>,
    rows: Vec<Row>,
}

#[derive(Serialize)]
struct LaneHead {
    name: String,
    kind: &'static str,
}

/// One line: when, of which kind, from and to which lane, and what.
#[derive(Serialize)]
struct Row(u64, &'static str, Option<usize>, Option<usize>, String);

/// A column: servers first, then processes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Lane {
    Server(Node),
    Host(usize),
}

/// A line whose lanes have no places yet.
struct Draft {
    at: Instant,
    kind: &'static str,
    from: Option<Lane>,
    to: Option<Lane>,
    text: String,
}

impl Report {
    /// The run as a page that needs nothing else: frames, deliveries, faults and what was violated, to scroll through.
    /// It has frames only if the run was [traced](super::Sim::traced).
    #[must_use]
    pub fn html(&self) -> String {
        let timeline = Timeline::of(self);
        let data = serde_json::to_string(&timeline).expect("a timeline is plain data");
        // Inside a script element nothing may look like its end.
        let data = data.replace('<', "\\u003c");
        PAGE.replace("{{title}}", &timeline.title).replace("{{data}}", &data)
    }
}

impl Timeline {
    fn of(report: &Report) -> Self {
        let drafts = drafts(report);
        let mut places: BTreeMap<Lane, usize> = BTreeMap::new();
        places.extend(drafts.iter().flat_map(|draft| draft.from.into_iter().chain(draft.to)).map(|lane| (lane, 0)));
        places.values_mut().enumerate().for_each(|(index, place)| *place = index);
        let lanes = places.keys().map(|lane| lane.head(report)).collect();
        let place = |lane: Option<Lane>| lane.and_then(|lane| places.get(&lane).copied());
        let row = |draft: Draft| {
            let (from, to) = (place(draft.from), place(draft.to));
            Row(draft.at.as_micros(), draft.kind, from, to, draft.text)
        };
        let verdict = match &report.failure {
            Some(failure) => format!("{} is violated: {}", failure.invariant, failure.text),
            None => format!("every invariant holds for {:?}", report.time),
        };
        Self {
            title: format!("seed {:#x}", report.seed),
            verdict,
            failed: report.failure.is_some(),
            lanes,
            rows: drafts.into_iter().map(row).collect(),
        }
    }
}

impl Lane {
    fn head(self, report: &Report) -> LaneHead {
        let (name, kind) = match self {
            Self::Server(Node::NameServer(index)) => (format!("name server {index}"), "name-server"),
            Self::Server(Node::Broker(index)) => (format!("broker {index}"), "broker"),
            Self::Host(index) => {
                let name = report.hosts.get(index).cloned();
                (name.unwrap_or_else(|| format!("process {index}")), "client")
            }
        };
        LaneHead { name, kind }
    }
}

/// All lines in order.
fn drafts(report: &Report) -> Vec<Draft> {
    let frames = report.frames.iter().map(|frame| {
        let (host, server) = (Some(Lane::Host(frame.host)), Some(Lane::Server(frame.node)));
        let (kind, from, to) = if frame.up { ("request", host, server) } else { ("answer", server, host) };
        Draft { at: frame.at, kind, from, to, text: frame.text.clone() }
    });
    let mut drafts: Vec<Draft> = frames.collect();
    let mut members = Members::default();
    for row in &report.history.rows {
        if let Some((kind, lane, text)) = shown(&row.what, report, &mut members) {
            drafts.push(Draft { at: row.at, kind, from: lane, to: None, text });
        }
    }
    // What is violated stands behind what violates it.
    for failure in &report.broken {
        let text = format!("{} is violated: {}", failure.invariant, failure.text);
        drafts.push(Draft { at: failure.at, kind: "violated", from: None, to: None, text });
    }
    if let Some(failure) = report.failure.as_ref().filter(|_| report.broken.is_empty()) {
        drafts.push(Draft { at: failure.at, kind: "violated", from: None, to: None, text: failure.text.clone() });
    }
    drafts.sort_by_key(|draft| draft.at);
    drafts
}

/// What deliveries are called, and whose they are.
#[derive(Default)]
struct Members {
    lanes: BTreeMap<u32, Option<Lane>>,
    deliveries: BTreeMap<u64, (u32, String)>,
}

impl Members {
    fn lane(&mut self, report: &Report, group: &str, member: u32) -> Option<Lane> {
        let place = || report.hosts.iter().position(|host| *host == member_name(group, member)).map(Lane::Host);
        *self.lanes.entry(member).or_insert_with(place)
    }
}

fn shown(what: &What, report: &Report, members: &mut Members) -> Option<(&'static str, Option<Lane>, String)> {
    let broker = |index: usize| Some(Lane::Server(Node::Broker(index)));
    let message = |id: &Option<u64>| id.map_or_else(|| "a message".to_owned(), |id| format!("message {id}"));
    Some(match what {
        What::Fault(fault) => ("fault", None, format!("{} {fault:?}", fault.id())),
        What::Stored(copy) => {
            let queue = &copy.queue;
            let text = format!("stores {} at {}/{} @{}", message(&copy.id), queue.topic, queue.id, copy.offset);
            ("stored", broker(queue.broker), text)
        }
        What::Committed { host, group, queue, offset } => {
            let by = report.hosts.get(*host).map_or("?", String::as_str);
            let text = format!("{group} is at {}/{} @{offset}, says {by}", queue.topic, queue.id);
            ("committed", broker(queue.broker), text)
        }
        What::Delivered { delivery, member, group, queue, offset, id, .. } => {
            let text =
                format!("{} from {}/{} @{offset} of broker {}", message(id), queue.topic, queue.id, queue.broker);
            members.deliveries.insert(*delivery, (*member, message(id)));
            ("delivered", members.lane(report, group, *member), format!("gets {text}"))
        }
        What::Settled { delivery, how } => {
            let (member, message) = members.deliveries.remove(delivery)?;
            let how = match how {
                Settled::Ack => "acknowledges",
                Settled::Retry => "hands back",
                Settled::Dropped => "drops",
            };
            ("delivered", members.lanes.get(&member).copied().flatten(), format!("{how} {message}"))
        }
        What::Assigned { member, group, added, revoked } => {
            let text = format!("gets {} queues, gives up {}", added.len(), revoked.len());
            ("note", members.lane(report, group, *member), text)
        }
        What::Member { member, group, change } => {
            ("note", members.lane(report, group, *member), format!("{change:?}").to_lowercase())
        }
        What::Start { member, group, queue, offset } => {
            let text = format!("begins at {}/{} @{offset} of broker {}", queue.topic, queue.id, queue.broker);
            ("note", members.lane(report, group, *member), text)
        }
        What::Opened { host, link, to } => ("link", Some(Lane::Host(*host)), format!("link {link} to {to} is open")),
        What::ConnectFailed { host, to } => ("link", Some(Lane::Host(*host)), format!("no link to {to}")),
        What::Said { host, text } => ("said", Some(Lane::Host(*host)), text.clone()),
        What::Attempt { id, .. } => ("note", None, format!("a send of message {id} begins")),
        What::Resolved { id, outcome } => ("note", None, format!("the send of message {id} is over: {outcome:?}")),
        What::Healed => ("healed", None, "from here on nothing goes wrong any more".to_owned()),
        What::Wire { .. } | What::Weak { .. } | What::Readable { .. } => return None,
        other => ("note", None, format!("{other:?}").chars().take(TEXT).collect()),
    })
}

const PAGE: &str = include_str!("page.html");
/// Characters of a line that nothing better is known for.
const TEXT: usize = 200;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rocketmq_core::message::Message;
    use serde_json::Value;

    use crate::cluster::Node;
    use crate::sim::workload::{self, Options};
    use crate::sim::{Report, Sim};

    /// The data in a page, as its script finds it.
    fn data(report: &Report) -> Value {
        let page = report.html();
        let (_, rest) = page.split_once("<script type=\"application/json\" id=\"data\">").expect("data");
        let (data, _) = rest.split_once("</script>").expect("an end");
        serde_json::from_str(data).expect("JSON")
    }

    fn names(data: &Value) -> Vec<&str> {
        data["lanes"].as_array().expect("lanes").iter().filter_map(|lane| lane["name"].as_str()).collect()
    }

    fn rows_of<'a>(data: &'a Value, kind: &str) -> Vec<&'a Value> {
        data["rows"].as_array().expect("rows").iter().filter(|row| row[1] == kind).collect()
    }

    #[test]
    fn a_page_has_a_lane_for_everyone_and_a_line_for_everything() {
        let report = workload::check_with(3, Options { trace: true, canary: true, ..Options::default() });
        let data = data(&report);
        let names = names(&data);
        for name in ["name server 0", "broker 0", "producer 0", "member 0 of g0"] {
            assert!(names.contains(&name), "{names:?}");
        }
        for kind in ["request", "answer", "stored", "committed", "delivered", "fault", "link", "note", "healed"] {
            assert!(!rows_of(&data, kind).is_empty(), "no {kind}");
        }
        let arrow = rows_of(&data, "request")[0];
        assert_ne!(arrow[2], arrow[3], "an arrow has two ends");
        assert_eq!(data["failed"], true);
        let violated = rows_of(&data, "violated");
        assert!(violated[0][4].as_str().is_some_and(|text| text.starts_with("P5 is violated")), "{violated:?}");
        let times: Vec<u64> = data["rows"].as_array().expect("rows").iter().filter_map(|row| row[0].as_u64()).collect();
        assert!(times.is_sorted());
    }

    #[test]
    fn what_a_user_tells_is_text_and_not_markup() {
        let report = Sim::new(1).topic("orders", 1).calm().traced().try_run(|world| async move {
            let host = world.host("10.0.0.7").named("</script><b>");
            let client = rocketmq_core::driver::Client::builder().connect_on(&host).await.expect("a calm world");
            let producer = client.producer("shop").start().await.expect("a group");
            producer.send(Message::new("orders", "1")).await.expect("a calm world");
            world.tell(&host, "<!-- sent");
            world.sleep(Duration::from_secs(1)).await;
            world.crash(Node::Broker(0));
            client.shutdown().await;
            Err::<(), _>("planted")
        });
        let page = report.html();
        assert!(!page.contains("</script><b>") && !page.contains("<!-- sent"));
        let data = data(&report);
        assert!(names(&data).contains(&"</script><b>"));
        assert_eq!(rows_of(&data, "said")[0][4], "<!-- sent");
        assert_eq!(rows_of(&data, "violated").len(), 1);
        assert!(data["verdict"].as_str().is_some_and(|verdict| verdict.contains("planted")));
    }

    #[test]
    fn the_script_finds_what_the_page_has() {
        let page = super::PAGE;
        let (_, script) = page.rsplit_once("<script>").expect("a script");
        let wanted: Vec<&str> = script.split("$('").skip(1).filter_map(|rest| rest.split('\'').next()).collect();
        assert!(wanted.len() > 5, "{wanted:?}");
        for id in wanted {
            assert_eq!(page.matches(&format!("id=\"{id}\"")).count(), 1, "{id}");
        }
        assert!(!page.contains("http"), "the page needs nothing else");
    }
}
