//! A run as a picture: a lane for each host and server, frames as arrows, what happened beside them.

use std::collections::BTreeMap;
use std::fmt::Write;

use rocketmq_core::time::Instant;
use rocketmq_testkit::cluster::Node;
use rocketmq_testkit::sim::Report;
use rocketmq_testkit::sim::history::{Settled, What};

/// One line of the picture.
struct Row {
    at: Instant,
    kind: &'static str,
    from: Option<Lane>,
    to: Option<Lane>,
    text: String,
}

/// A column: servers first, then hosts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Lane {
    Server(Node),
    Host(usize),
}

/// A page that needs nothing else.
pub(crate) fn page(report: &Report) -> String {
    let rows = rows(report);
    let mut lanes: BTreeMap<Lane, usize> = BTreeMap::new();
    lanes.extend(rows.iter().flat_map(|row| row.from.into_iter().chain(row.to)).map(|lane| (lane, 0)));
    lanes.values_mut().enumerate().for_each(|(index, place)| *place = index);
    let x = |lane: Lane| TIME + lanes.get(&lane).copied().unwrap_or(0) * WIDTH + WIDTH / 2;
    let (width, height) = (TIME + lanes.len() * WIDTH + TEXT, rows.len() * STEP + HEAD + STEP);
    let mut svg = String::new();
    for lane in lanes.keys() {
        let (name, class) = match lane {
            Lane::Server(Node::NameServer(index)) => (format!("name server {index}"), "server"),
            Lane::Server(Node::Broker(index)) => (format!("broker {index}"), "server"),
            Lane::Host(index) => (format!("host {index}"), "host"),
        };
        let x = x(*lane);
        put(&mut svg, format_args!("<line class='lane' x1='{x}' y1='{HEAD}' x2='{x}' y2='{height}'/>"));
        put(&mut svg, format_args!("<text class='{class}' x='{x}' y='20' text-anchor='middle'>{name}</text>"));
    }
    let end = TIME + lanes.len() * WIDTH;
    for (index, row) in rows.iter().enumerate() {
        let y = HEAD + (index + 1) * STEP;
        put(&mut svg, format_args!("<text class='time' x='4' y='{}'>{:?}</text>", y + 4, row.at));
        match (row.from, row.to) {
            (Some(from), Some(to)) => {
                let (from, to) = (x(from), x(to));
                put(
                    &mut svg,
                    format_args!(
                        "<line class='{}' x1='{from}' y1='{y}' x2='{to}' y2='{y}' marker-end='url(#tip)'/>",
                        row.kind
                    ),
                );
                let middle = usize::midpoint(from, to);
                put(
                    &mut svg,
                    format_args!(
                        "<text class='small' x='{middle}' y='{}' text-anchor='middle'>{}</text>",
                        y - 2,
                        escaped(&row.text)
                    ),
                );
            }
            (lane, _) => {
                if let Some(lane) = lane {
                    put(&mut svg, format_args!("<circle class='{}' cx='{}' cy='{y}' r='4'/>", row.kind, x(lane)));
                }
                if row.kind == "violated" || row.kind == "fault" {
                    put(
                        &mut svg,
                        format_args!("<line class='{}' x1='{TIME}' y1='{y}' x2='{end}' y2='{y}'/>", row.kind),
                    );
                }
                put(
                    &mut svg,
                    format_args!(
                        "<text class='{}' x='{}' y='{}'>{}</text>",
                        row.kind,
                        end + 8,
                        y + 4,
                        escaped(&row.text)
                    ),
                );
            }
        }
    }
    format!(
        "<!doctype html><meta charset='utf-8'><title>seed {:#x}</title><style>{STYLE}</style>\
         <h1>seed {:#x}</h1><p>{}</p><svg width='{width}' height='{height}' xmlns='http://www.w3.org/2000/svg'>\
         <defs><marker id='tip' markerWidth='8' markerHeight='6' refX='8' refY='3' orient='auto'>\
         <path d='M0,0 L8,3 L0,6 z'/></marker></defs>{svg}</svg>",
        report.seed,
        report.seed,
        escaped(&verdict(report)),
    )
}

fn verdict(report: &Report) -> String {
    match &report.failure {
        Some(failure) => format!("{} is violated at {:?}: {}", failure.invariant, failure.at, failure.text),
        None => format!("every invariant holds; {:?} of virtual time", report.time),
    }
}

/// What is shown: the last rows before the violation, or before the end.
fn rows(report: &Report) -> Vec<Row> {
    let mut rows: Vec<Row> = report
        .frames
        .iter()
        .map(|frame| {
            let (host, server) = (Some(Lane::Host(frame.host)), Some(Lane::Server(frame.node)));
            let (from, to) = if frame.up { (host, server) } else { (server, host) };
            Row { at: frame.at, kind: "frame", from, to, text: frame.text.clone() }
        })
        .collect();
    rows.extend(report.history.rows.iter().filter_map(|row| {
        let (kind, lane, text) = shown(&row.what)?;
        Some(Row { at: row.at, kind, from: lane, to: None, text })
    }));
    for failure in &report.broken {
        let text = format!("{} VIOLATED: {}", failure.invariant, failure.text);
        rows.push(Row { at: failure.at, kind: "violated", from: None, to: None, text });
    }
    rows.sort_by_key(|row| row.at);
    let end = rows.iter().position(|row| row.kind == "violated").map_or(rows.len(), |at| (at + AFTER).min(rows.len()));
    rows.truncate(end);
    rows.drain(..end.saturating_sub(MOST));
    rows
}

fn shown(what: &What) -> Option<(&'static str, Option<Lane>, String)> {
    let broker = |index: usize| Some(Lane::Server(Node::Broker(index)));
    Some(match what {
        What::Fault(fault) => ("fault", None, format!("{} {fault:?}", fault.id())),
        What::Stored(copy) => {
            let text = format!("stored {:?} at {} {} {}", copy.id, copy.queue.topic, copy.queue.id, copy.offset);
            ("stored", broker(copy.queue.broker), text)
        }
        What::Committed { host, group, queue, offset } => {
            let text = format!("{group} commits {offset} of {} {} (host {host})", queue.topic, queue.id);
            ("committed", broker(queue.broker), text)
        }
        What::Delivered { member, group, queue, offset, id, .. } => {
            let text =
                format!("delivered {id:?} to member {member} of {group} from {} {} {offset}", queue.topic, queue.id);
            ("delivered", None, text)
        }
        What::Settled { delivery, how } => {
            let how = match how {
                Settled::Ack => "acknowledged",
                Settled::Retry => "handed back",
                Settled::Dropped => "dropped",
            };
            ("delivered", None, format!("delivery {delivery} {how}"))
        }
        What::Opened { host, link, to } => ("link", Some(Lane::Host(*host)), format!("link {link} to {to}")),
        What::ConnectFailed { host, to } => ("link", Some(Lane::Host(*host)), format!("no link to {to}")),
        What::Wire { .. } | What::Weak { .. } => return None,
        other => ("note", None, format!("{other:?}").chars().take(160).collect()),
    })
}

fn put(svg: &mut String, part: std::fmt::Arguments<'_>) {
    writeln!(svg, "{part}").expect("a string takes everything");
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// Rows before the violation that are shown.
const MOST: usize = 1_500;
/// And after it.
const AFTER: usize = 40;
/// Pixels of the column with the time, of a lane, of the text at the right, of the head, of a row.
const TIME: usize = 110;
const WIDTH: usize = 130;
const TEXT: usize = 900;
const HEAD: usize = 30;
const STEP: usize = 15;
const STYLE: &str = "body{font:13px sans-serif;margin:16px}text{font-size:11px}.time{fill:#888}.small{font-size:9px;\
fill:#666}.lane{stroke:#ccc}.server{font-weight:bold}.frame{stroke:#79a;stroke-width:1}line.fault{stroke:#fb6;\
stroke-dasharray:4}text.fault{fill:#b60}.stored{fill:#070}.committed{fill:#06a}.delivered{fill:#505}.link{fill:#888}\
.note{fill:#444}line.violated{stroke:#e00;stroke-width:3}text.violated{fill:#e00;font-weight:bold;font-size:13px}";
