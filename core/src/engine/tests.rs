#![allow(
    clippy::arithmetic_side_effects,
    clippy::wildcard_enum_match_arm,
    reason = "a panic in a test is a failed test, and what it does not name does not matter to it"
)]

use alloc::string::{String, ToString};
use core::net::SocketAddr;
use core::time::Duration;

use bytes::Bytes;

use super::*;
use crate::client::StartError;
use crate::dispatch::{Outcome, Settled, Taken};
use crate::error::{CloseReason, IoFailure, IoKind};
use crate::ids::{Opaque, QueueOffset};
use crate::rng::Rng;
use crate::send::Receipt;
use crate::transaction::Resolution;
use crate::wire::body::{BrokerData, ConsumerList, JsonForm, Perm, QueueData, TopicRoute};
use crate::wire::codes::{request, response};
use crate::wire::frame::{self, MAX_FRAME};
use crate::wire::header::{HeaderLimits, Preamble};
use crate::wire::message::{RecordVersion, StoredMessage, SysFlags, encode_record};
use crate::wire::request::{Fields, PullMessageResponse};
use crate::wire::{Codec, Frame};

const ME: &str = "10.0.0.1@me";

/// An engine, and servers that answer it in bytes, cut at random.
struct World {
    engine: Engine,
    now: Instant,
    rng: Rng,
    /// Bytes of each link on their way to its server.
    inboxes: BTreeMap<ConnId, Vec<u8>>,
    /// Bytes on their way back.
    outboxes: BTreeMap<ConnId, VecDeque<u8>>,
    log: Vec<StoredMessage>,
    held_pulls: Vec<(ConnId, Frame)>,
    committed: u64,
    /// Refuses what is handed back and republished.
    refuses: bool,
    dead: bool,
    /// What was sent for nobody to answer.
    oneways: Vec<Frame>,
    events: Vec<EngineEvent>,
    /// Everything that came out, as text and bytes.
    trace: Vec<String>,
}

impl World {
    fn new(seed: u64) -> Self {
        let config = ClientConfig::new(crate::config::parse_name_servers("ns:9876"), ME.into());
        let wall = UnixMillis(1_700_000_000_000);
        Self {
            engine: Engine::new(Arc::new(config), &HostInfo::default(), seed, Instant::ZERO, wall),
            now: Instant::ZERO,
            rng: Rng::new(seed),
            inboxes: BTreeMap::new(),
            outboxes: BTreeMap::new(),
            log: Vec::new(),
            oneways: Vec::new(),
            held_pulls: Vec::new(),
            committed: 0,
            refuses: false,
            dead: false,
            events: Vec::new(),
            trace: Vec::new(),
        }
    }

    /// Moves events and bytes until nothing moves without time passing.
    fn run(&mut self) {
        loop {
            let mut moved = false;
            while let Some(event) = self.engine.poll_event() {
                moved = true;
                self.trace.push(alloc::format!("{:?} {event:?}", self.now));
                match &event {
                    EngineEvent::Connect { conn, .. } if self.dead => {
                        self.engine.connect_failed(self.now, *conn, IoFailure::new(IoKind::Refused, "no"));
                    }
                    EngineEvent::Connect { conn, .. } => {
                        self.inboxes.insert(*conn, Vec::new());
                        self.outboxes.insert(*conn, VecDeque::new());
                        self.engine.connected(self.now, *conn);
                    }
                    EngineEvent::Disconnect { conn, .. } => {
                        self.inboxes.remove(conn);
                        self.outboxes.remove(conn);
                        self.held_pulls.retain(|(held, _)| held != conn);
                    }
                    _ => {}
                }
                self.events.push(event);
            }
            let conns: Vec<_> = self.engine.links().collect();
            for conn in conns {
                moved |= self.write(conn) | self.read(conn);
            }
            if !moved {
                return;
            }
        }
    }

    /// A few bytes from the engine to the server.
    fn write(&mut self, conn: ConnId) -> bool {
        let most = 1 + self.rng.below(3_000);
        let Some(slices) = self.engine.tx_slices(conn) else { return false };
        let bytes: Vec<u8> = slices.iter().flat_map(|slice| slice.iter().copied()).take(most).collect();
        if bytes.is_empty() {
            return false;
        }
        self.trace.push(alloc::format!("{conn:?} {bytes:?}"));
        self.engine.tx_advance(self.now, conn, bytes.len());
        let Some(inbox) = self.inboxes.get_mut(&conn) else { return true };
        inbox.extend(bytes);
        while let Some(inbox) = self.inboxes.get_mut(&conn)
            && let Some(len) = frame::frame_len(inbox, MAX_FRAME).unwrap()
            && len <= inbox.len()
        {
            let whole: Vec<u8> = inbox.drain(..len).collect();
            let frame = frame::decode(&whole, &HeaderLimits::default()).unwrap();
            self.serve(conn, frame);
        }
        true
    }

    /// A few bytes from the server to the engine.
    fn read(&mut self, conn: ConnId) -> bool {
        let most = 1 + self.rng.below(3_000);
        let Some(outbox) = self.outboxes.get_mut(&conn).filter(|outbox| !outbox.is_empty()) else { return false };
        let space = self.engine.rx_space(conn, most.min(outbox.len()));
        let n = space.len();
        for (slot, byte) in space.iter_mut().zip(outbox.drain(..n)) {
            *slot = byte;
        }
        self.engine.rx_commit(self.now, conn, n);
        true
    }

    fn serve(&mut self, conn: ConnId, asked: Frame) {
        let field = |key: &str| asked.header.ext.get(key).unwrap_or_default().to_string();
        let int = |key: &str| field(key).parse::<i64>().unwrap_or_default();
        let mut body = Vec::new();
        let mut fields: Vec<(&str, String)> = Vec::new();
        let mut code = response::SUCCESS;
        match asked.header.code {
            request::GET_ROUTEINFO_BY_TOPIC => match field("topic").as_str() {
                "T" | "%RETRY%g" => body = route().encode(JsonForm::Standard),
                _ => code = response::TOPIC_NOT_EXIST,
            },
            request::GET_CONSUMER_LIST_BY_GROUP => body = ConsumerList { ids: alloc::vec![ME.into()] }.encode(),
            request::QUERY_CONSUMER_OFFSET if field("topic") == "T" => {
                fields.push(("offset", self.committed.to_string()))
            }
            request::QUERY_CONSUMER_OFFSET => code = response::QUERY_NOT_FOUND,
            request::UPDATE_CONSUMER_OFFSET if field("topic") == "T" => {
                self.committed = u64::try_from(int("commitOffset")).unwrap();
            }
            request::CONSUMER_SEND_MSG_BACK if self.refuses => code = response::SYSTEM_ERROR,
            request::SEND_MESSAGE_V2 if field("b") == "T" => {
                let offset = self.store(&asked, &field("i"), i32::try_from(int("f")).unwrap());
                let position = offset.to_string();
                let id = "0A0000090000270F0000000000000007".into();
                fields.extend([("msgId", id), ("queueId", "0".into()), ("queueOffset", position)]);
            }
            request::SEND_MESSAGE_V2 => code = response::SYSTEM_ERROR,
            request::PULL_MESSAGE => return self.serve_pull(conn, asked),
            _ if asked.header.is_oneway() => return self.oneways.push(asked),
            _ => {}
        }
        self.answer(conn, &asked, code, &fields, body);
        for (conn, pull) in core::mem::take(&mut self.held_pulls) {
            self.serve_pull(conn, pull);
        }
    }

    fn store(&mut self, asked: &Frame, properties: &str, sys_flag: i32) -> u64 {
        let host: SocketAddr = "10.0.0.9:1".parse().unwrap();
        let offset = self.log.len() as u64;
        self.log.push(StoredMessage {
            queue_id: 0,
            flag: 0,
            queue_offset: QueueOffset::new(offset),
            physical_offset: 100,
            sys_flag: SysFlags(sys_flag),
            born_timestamp: 1,
            born_host: host,
            store_timestamp: 2,
            store_host: host,
            reconsume_times: 0,
            prepared_transaction_offset: 0,
            body: asked.body.clone(),
            topic: "T".into(),
            properties: Bytes::from(properties.to_string()),
        });
        offset
    }

    fn serve_pull(&mut self, conn: ConnId, asked: Frame) {
        let from: usize = asked.header.ext.get("queueOffset").unwrap().parse().unwrap();
        let end = self.log.len().min(from + 8);
        let ours = asked.header.ext.get("topic") == Some("T");
        if !ours || from >= end {
            return self.held_pulls.push((conn, asked));
        }
        let mut body = Vec::new();
        for message in &self.log[from..end] {
            encode_record(message, RecordVersion::V1, &mut body).unwrap();
        }
        let fields = PullMessageResponse {
            suggested_broker: 0,
            next_begin_offset: end as i64,
            min_offset: 0,
            max_offset: end as i64,
            offset_delta: None,
        };
        let frame = fields.response(0, None, Codec::Json, Bytes::from(body));
        let bytes = frame.to_bytes(asked.header.opaque);
        self.outboxes.entry(conn).or_default().extend(bytes);
    }

    fn answer(&mut self, conn: ConnId, asked: &Frame, code: i32, fields: &[(&str, String)], body: Vec<u8>) {
        let write =
            |out: &mut crate::wire::header::ExtWriter<'_>| fields.iter().for_each(|(key, value)| out.text(key, value));
        let frame = Preamble::response(code, Codec::Json).encode(write, Bytes::from(body));
        let opaque: Opaque = asked.header.opaque;
        self.outboxes.entry(conn).or_default().extend(frame.to_bytes(opaque));
    }

    fn advance(&mut self, millis: u64) {
        let end = self.now.after(Duration::from_millis(millis));
        self.run();
        while let Some(at) = self.engine.poll_timeout().instant(self.now).filter(|at| *at <= end) {
            self.now = self.now.max(at);
            self.engine.handle_timeout(self.now);
            self.run();
        }
        self.now = end;
    }

    fn producing(seed: u64) -> Self {
        let mut world = Self::new(seed);
        world.engine.start_producer(world.now, ProducerConfig::new("p".into())).unwrap();
        world
    }

    fn consume_from(&mut self, messages: u32) {
        let mut config = ConsumerConfig::new("g".into());
        config.subscriptions.push(("T".into(), "*".into()));
        config.queue_messages = messages;
        let op = self.engine.start_consumer(self.now, config);
        self.run();
        assert!(matches!(self.done(op), Some(CommandResult::Started(Ok(())))));
    }

    fn send(&mut self, body: &str) -> OpId {
        self.engine.send(self.now, &Message::new("T", body.to_string()))
    }

    fn sent(&self, op: OpId) -> Option<&Result<Receipt, SendError>> {
        let mut ends = self.events.iter().filter_map(|event| match event {
            EngineEvent::SendDone { op: done, result } if *done == op => Some(result),
            _ => None,
        });
        let end = ends.next();
        assert!(ends.next().is_none(), "{op:?} ended twice");
        end
    }

    fn done(&self, op: OpId) -> Option<&CommandResult> {
        let mut ends = self.events.iter().filter_map(|event| match event {
            EngineEvent::Done { op: done, result } if *done == op => Some(result),
            _ => None,
        });
        let end = ends.next();
        assert!(ends.next().is_none(), "{op:?} ended twice");
        end
    }

    fn take(&mut self) -> Option<Taken> {
        self.engine.take(self.now, &"g".into())
    }

    fn settle(&mut self, taken: &Taken, outcome: Outcome) -> Settled {
        self.engine.settle(self.now, &"g".into(), taken, outcome)
    }
}

fn route() -> TopicRoute {
    TopicRoute {
        broker_datas: alloc::vec![BrokerData {
            broker_addrs: BTreeMap::from([(0, "b:1".into())]),
            broker_name: "b".into(),
            ..BrokerData::default()
        }],
        order_topic_conf: None,
        queue_datas: alloc::vec![QueueData {
            broker_name: "b".into(),
            perm: Perm::READ_WRITE,
            read_queue_nums: 1,
            write_queue_nums: 1,
            topic_sys_flag: 0,
        }],
    }
}

#[test]
fn what_is_sent_is_consumed_once_and_committed() {
    let mut world = World::producing(1);
    world.consume_from(4);
    let sends: Vec<_> = (0..50).map(|number| world.send(&alloc::format!("{number}"))).collect();
    world.run();
    let offsets: Vec<_> =
        sends.iter().map(|op| world.sent(*op).unwrap().as_ref().unwrap().queue_offset.get()).collect();
    assert_eq!(offsets, (0..50).collect::<Vec<_>>());
    let mut bodies = Vec::new();
    while let Some(taken) = world.take() {
        bodies.push(String::from_utf8(taken.body().unwrap().to_vec()).unwrap());
        assert_eq!(world.settle(&taken, Outcome::Done), Settled::Applied);
        world.run();
    }
    assert_eq!(bodies, (0..50).map(|number| number.to_string()).collect::<Vec<_>>(), "pulls went on");
    world.advance(5_000);
    assert_eq!(world.committed, 50);
}

#[test]
fn a_failed_message_comes_again_when_nobody_takes_it_back() {
    let mut world = World::producing(2);
    world.refuses = true;
    world.consume_from(100);
    world.send("x");
    world.run();
    let taken = world.take().unwrap();
    world.settle(&taken, Outcome::Failed { level: 0 });
    world.advance(15_000);
    assert_eq!(world.committed, 0);
    let again = world.take().unwrap();
    assert_eq!(again.local_retries, 1);
    world.settle(&again, Outcome::Done);
    world.advance(5_000);
    assert_eq!(world.committed, 1);
}

#[test]
fn a_half_message_ends_as_it_is_told_and_a_broker_that_asks_is_answered() {
    let mut world = World::producing(9);
    let start = Command::StartChecker { group: "p".into(), topics: alloc::vec!["T".into()] };
    world.engine.command(world.now, start);
    let op = world.engine.send_half(world.now, &Message::new("T", "money"));
    world.run();
    let receipt = world.events.iter().find_map(|event| match event {
        EngineEvent::SendDone { op: done, result } if *done == op => result.clone().ok(),
        _ => None,
    });
    let stored = world.log.pop().unwrap();
    let property = |key| crate::wire::message::properties::get(&stored.properties, key);
    assert_eq!((property("TRAN_MSG"), property("PGROUP")), (Some("true"), Some("p")));
    let end = world.engine.end_transaction(world.now, &receipt.unwrap(), Resolution::Rollback).unwrap();
    world.run();
    let told = |event: &EngineEvent| matches!(event, EngineEvent::Done { op, result: CommandResult::Sent(Ok(())) } if *op == end);
    assert!(world.events.iter().any(told));
    let mut body = Vec::new();
    encode_record(&stored, RecordVersion::V1, &mut body).unwrap();
    let fields = |out: &mut crate::wire::header::ExtWriter<'_>| {
        out.text("tranStateTableOffset", "8");
        out.text("commitLogOffset", "9");
    };
    let ask = Preamble::oneway(request::CHECK_TRANSACTION_STATE, Codec::Json).encode(fields, Bytes::from(body));
    // The name server's link does as well: any server may ask.
    let conn = world.engine.links().next().unwrap();
    world.outboxes.entry(conn).or_default().extend(ask.to_bytes(Opaque(1)));
    world.run();
    let check = world.events.iter().find_map(|event| match event {
        EngineEvent::Check(check) => Some(check.id),
        _ => None,
    });
    world.engine.resolve(world.now, check.unwrap(), Resolution::Commit);
    world.run();
    let ends =
        world.oneways.iter().map(|end| ["commitLogOffset", "commitOrRollback"].map(|key| end.header.ext.get(key)));
    assert_eq!(ends.collect::<Vec<_>>(), [[Some("7"), Some("12")], [Some("9"), Some("8")]]);
}

#[test]
fn a_large_body_travels_compressed_and_comes_back_whole() {
    let mut world = World::producing(3);
    world.consume_from(100);
    let body = "all work and no play ".repeat(1_000);
    world.send(&body);
    world.run();
    assert!(world.log[0].body.len() < body.len() / 2);
    assert_eq!(world.take().unwrap().body().unwrap(), body.as_bytes());
}

#[test]
fn shutdown_drains_commits_and_ends_every_operation_once() {
    let mut world = World::producing(4);
    world.consume_from(100);
    world.send("x");
    world.send("y");
    world.run();
    let taken = world.take().unwrap();
    let deadline = world.now.after(Duration::from_secs(30));
    world.engine.shutdown(world.now, deadline);
    let late = world.send("late");
    world.run();
    assert!(world.take().is_none());
    assert!(!matches!(world.events.last(), Some(EngineEvent::Closed)));
    world.settle(&taken, Outcome::Done);
    world.advance(1_000);
    assert_eq!(world.committed, 1);
    assert!(world.sent(late).is_some());
    assert!(matches!(world.events.last(), Some(EngineEvent::Closed)));
    assert_eq!(world.engine.poll_timeout(), Wakeup::Never);
    assert_eq!(world.engine.links().count(), 0);
    let after = world.send("after");
    world.run();
    assert_eq!(world.sent(after), Some(&Err(SendError::Closed)));
    assert_eq!(world.settle(&taken, Outcome::Done), Settled::Released);
}

#[test]
fn without_servers_everything_ends_by_its_deadline() {
    let mut world = World::producing(5);
    world.dead = true;
    let mut config = ConsumerConfig::new("g".into());
    config.subscriptions.push(("T".into(), "*".into()));
    let start = world.engine.start_consumer(world.now, config);
    let send = world.send("x");
    let open = world.engine.command(world.now, Command::Open);
    world.advance(2_999);
    assert!(world.sent(send).is_none() && world.done(open).is_none());
    world.advance(1);
    let error = world.sent(send).unwrap().as_ref().unwrap_err();
    assert!(!error.may_be_stored() && error.is_retryable(), "{error}");
    assert!(matches!(world.done(open), Some(CommandResult::Opened(Err(_)))));
    world.advance(2_000);
    assert!(matches!(world.done(start), Some(CommandResult::Started(Err(StartError::Unavailable(_))))));
}

#[test]
fn a_cancelled_send_has_no_end_and_leaves_nothing_behind() {
    let mut world = World::producing(6);
    world.dead = true;
    let cancelled = world.send("x");
    world.engine.cancel(world.now, cancelled);
    world.advance(5_000);
    assert!(world.sent(cancelled).is_none());
    world.dead = false;
    let stays = world.send("y");
    let flying = world.send("z");
    world.engine.cancel(world.now, flying);
    world.advance(5_000);
    assert!(world.sent(stays).unwrap().is_ok() && world.sent(flying).is_none());
    assert_eq!(world.engine.sends.next_wake(), Wakeup::Never);
}

#[test]
fn a_link_that_breaks_is_opened_again() {
    let mut world = World::producing(7);
    world.consume_from(100);
    let first = world.send("x");
    world.run();
    assert!(world.sent(first).unwrap().is_ok());
    let conns: Vec<_> = world.engine.links().collect();
    for conn in conns {
        world.engine.closed(world.now, conn, CloseReason::PeerClosed);
    }
    let second = world.send("y");
    world.advance(5_000);
    assert!(world.sent(second).unwrap().is_ok());
    assert_eq!(core::iter::from_fn(|| world.take()).count(), 2);
}

/// A run with sends, failures, broken links and a shutdown, all chosen by the seed.
fn trace(seed: u64) -> Vec<String> {
    let mut world = World::producing(seed);
    world.consume_from(5);
    let mut choice = Rng::new(seed ^ 0xabcd);
    for number in 0..200 {
        match choice.below(8) {
            0..=2 => {
                world.send(&number.to_string());
            }
            3..=4 => {
                let outcome = if choice.below(4) == 0 { Outcome::Failed { level: 0 } } else { Outcome::Done };
                if let Some(taken) = world.take() {
                    world.settle(&taken, outcome);
                }
            }
            5 => world.advance(choice.below(900) as u64),
            6 if choice.below(5) == 0 => {
                let conn = world.engine.links().next();
                if let Some(conn) = conn {
                    world.engine.closed(world.now, conn, CloseReason::PeerClosed);
                }
            }
            _ => world.run(),
        }
    }
    let deadline = world.now.after(Duration::from_secs(3));
    world.engine.shutdown(world.now, deadline);
    world.advance(3_000);
    assert!(matches!(world.events.last(), Some(EngineEvent::Closed)));
    world.trace
}

#[test]
fn the_same_seed_gives_the_same_events_and_bytes() {
    for seed in 0..10 {
        assert_eq!(trace(seed), trace(seed), "{seed}");
    }
    assert_ne!(trace(1), trace(2));
}
