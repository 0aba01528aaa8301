//! The whole client under any sequence of what its user, its servers and the clock do.

use std::collections::BTreeMap;
use std::time::Duration;

use arbitrary::Unstructured;
use bytes::Bytes;
use rocketmq_core::client::{CallTarget, Command};
use rocketmq_core::config::{ConsumerConfig, LinkConfig, ProducerConfig, StartFrom};
use rocketmq_core::conn::Lane;
use rocketmq_core::dispatch::{Outcome, PoisonPolicy, Taken};
use rocketmq_core::engine::EngineEvent;
use rocketmq_core::error::{CloseReason, IoFailure, IoKind};
use rocketmq_core::ids::{ConnId, Group, OpId};
use rocketmq_core::message::Message;
use rocketmq_core::time::{Instant, UnixMillis, Wakeup};
use rocketmq_core::wire::header::Preamble;
use rocketmq_core::wire::{Codec, Header};

use crate::world::World;

/// Any operations, then a shutdown: nothing panics, tables stay within their bounds, a step has few effects, timers lie
/// in the future, every send and command ends once and in time, and the end is the end.
pub fn client_ops(data: &[u8]) {
    let mut run = Run::new();
    let mut from = Unstructured::new(data);
    for _ in 0..MOST_OPERATIONS {
        if from.is_empty() || run.operation(&mut from).is_err() {
            break;
        }
        run.look();
    }
    run.end();
}

struct Run {
    world: World,
    /// Sends and commands under way, and when a send has ended at the latest.
    under_way: BTreeMap<OpId, Instant>,
    consumers: Vec<(Group, OpId)>,
    held: Vec<(Group, Taken)>,
    /// The headers of requests that nobody has answered.
    open: Vec<(ConnId, Header)>,
    stop: Option<Instant>,
}

impl Run {
    fn new() -> Self {
        let link = LinkConfig {
            max_frame: 64 * 1024,
            max_pending: MAX_PENDING,
            control_pending: CONTROL_PENDING,
            max_queued_bytes: 4 * 1024,
            control_queued_bytes: 4 * 1024,
            max_broker_requests: 8,
            max_unmatched: 8,
            ..LinkConfig::default()
        };
        let mut world = World::new(link);
        let config = ProducerConfig { compress_over: 200, ..ProducerConfig::new("p".into()) };
        world.engine.start_producer(world.now, config).expect("a configuration that holds");
        // Nobody knows the id of that command, and nothing is to be said of it here.
        world.listen();
        world.events.clear();
        Self {
            world,
            under_way: BTreeMap::new(),
            consumers: Vec::new(),
            held: Vec::new(),
            open: Vec::new(),
            stop: None,
        }
    }

    fn operation(&mut self, from: &mut Unstructured<'_>) -> arbitrary::Result<()> {
        match from.arbitrary::<u8>()? % 20 {
            0 | 1 => self.world.settle(|_, _| ()),
            2 => {
                if let Some(conn) = pick(from, self.world.opening.keys().copied())? {
                    if from.ratio(1, 4)? { self.world.refuse(conn) } else { self.world.open(conn) }
                }
            }
            3 | 4 => self.write(from)?,
            5 | 6 => {
                if let Some(conn) = pick(from, self.world.links())? {
                    let most = usize::from(from.arbitrary::<u16>()?);
                    self.world.read(conn, most);
                }
            }
            7 | 8 => self.forge(from)?,
            9 => {
                if let Some(conn) = pick(from, self.world.links())? {
                    let bytes = some_bytes(from, 300)?;
                    self.world.send(conn, bytes);
                    self.world.read(conn, usize::MAX);
                }
            }
            10 => {
                if let Some(conn) = pick(from, self.world.links())? {
                    let reset = CloseReason::Io(IoFailure::new(IoKind::Reset, "reset"));
                    self.world.cut(conn, if from.arbitrary()? { CloseReason::PeerClosed } else { reset });
                }
            }
            11 => self.pass(Duration::from_millis(from.arbitrary::<u16>()?.into())),
            12 => self.pass(Duration::from_secs(u64::from(from.arbitrary::<u8>()?) / 4)),
            13 | 14 => self.send(from)?,
            15 => self.start_consumer(from)?,
            16 => self.take(from)?,
            17 => self.settle(from)?,
            18 => self.command(from)?,
            _ => match from.arbitrary::<u8>()? {
                0..128 => {
                    if let Some(op) = pick(from, self.under_way.keys().copied())? {
                        self.under_way.remove(&op);
                        self.world.engine.cancel(self.world.now, op);
                    }
                }
                128..240 => self.world.engine.wall_clock(self.world.now, UnixMillis(from.arbitrary()?)),
                _ => self.shutdown(Duration::from_millis(from.arbitrary::<u16>()?.into())),
            },
        }
        Ok(())
    }

    /// The client writes some bytes, and each request is served, swallowed or kept to be answered otherwise.
    fn write(&mut self, from: &mut Unstructured<'_>) -> arbitrary::Result<()> {
        let Some(conn) = pick(from, self.world.links())? else { return Ok(()) };
        let most = usize::from(from.arbitrary::<u16>()?);
        for frame in self.world.write(conn, most) {
            match from.arbitrary::<u8>()? % 4 {
                0 => self.open.push((conn, frame.header)),
                _ => self.world.serve(conn, frame),
            }
        }
        let first = self.open.len().saturating_sub(MOST_OPEN);
        self.open.drain(..first);
        Ok(())
    }

    /// A made-up answer, or a made-up request of a server.
    fn forge(&mut self, from: &mut Unstructured<'_>) -> arbitrary::Result<()> {
        let codec = if from.arbitrary()? { Codec::Json } else { Codec::Rocketmq };
        let (conn, opaque) = match pick(from, 0..self.open.len())? {
            Some(index) => {
                let (conn, header) = self.open.swap_remove(index);
                (conn, header.opaque)
            }
            None => match pick(from, self.world.links())? {
                Some(conn) => (conn, rocketmq_core::ids::Opaque(from.arbitrary()?)),
                None => return Ok(()),
            },
        };
        let code = if from.arbitrary()? { 0 } else { i32::from(from.arbitrary::<u16>()? % 400) };
        let flags = if from.ratio(7, 8)? { 1 } else { i32::from(from.arbitrary::<u8>()? % 4) };
        let mut fields = Vec::new();
        for _ in 0..from.arbitrary::<u8>()? % 6 {
            let key = KEYS[usize::from(from.arbitrary::<u8>()?) % KEYS.len()];
            let value = match from.arbitrary::<u8>()? % 4 {
                0 => i64::from(from.arbitrary::<i8>()?).to_string(),
                1 => from.arbitrary::<i64>()?.to_string(),
                2 => String::from("T"),
                _ => String::from_utf8_lossy(some_bytes(from, 20)?).into_owned(),
            };
            fields.push((key, value));
        }
        let body = if from.arbitrary()? { some_bytes(from, 400)? } else { b"" };
        let preamble = Preamble { flags, ..Preamble::response(code, codec) };
        let frame = preamble
            .encode(|out| fields.iter().for_each(|(key, value)| out.text(key, value)), Bytes::copy_from_slice(body));
        self.world.send(conn, &frame.to_bytes(opaque));
        if from.arbitrary()? {
            self.world.read(conn, usize::MAX);
        }
        Ok(())
    }

    fn pass(&mut self, time: Duration) {
        let under_way = &mut self.under_way;
        self.world.pass(time, |world| ends(world, under_way));
    }

    fn send(&mut self, from: &mut Unstructured<'_>) -> arbitrary::Result<()> {
        let topic = ["T", "T", "new", "not a topic"][usize::from(from.arbitrary::<u8>()?) % 4];
        let len = usize::from(from.arbitrary::<u8>()?) * if from.ratio(1, 8)? { 64 } else { 1 };
        let message = Message::new(topic, vec![b'x'; len]).with_tag("a").with_key("k");
        if self.under_way.len() < MOST_UNDER_WAY {
            let op = self.world.engine.send(self.world.now, &message);
            self.under_way.insert(op, self.world.now.after(SEND_TIMEOUT));
        }
        Ok(())
    }

    fn start_consumer(&mut self, from: &mut Unstructured<'_>) -> arbitrary::Result<()> {
        let group = Group::from(["g", "h", "not a group"][usize::from(from.arbitrary::<u8>()?) % 3]);
        let mut config = ConsumerConfig::new(group.clone());
        let expression = ["*", "a", "b", "||"][usize::from(from.arbitrary::<u8>()?) % 4];
        config.subscriptions.push(("T".into(), expression.into()));
        config.queue_messages = 1 + u32::from(from.arbitrary::<u8>()?);
        config.start_from = if from.arbitrary()? { StartFrom::First } else { StartFrom::Last };
        let policies = [PoisonPolicy::SendBack, PoisonPolicy::Stop, PoisonPolicy::Skip, PoisonPolicy::Deliver];
        config.on_poison = policies[usize::from(from.arbitrary::<u8>()?) % 4];
        if self.under_way.len() < MOST_UNDER_WAY {
            let op = self.world.engine.start_consumer(self.world.now, config);
            self.under_way.insert(op, Instant::FAR);
            self.consumers.push((group, op));
        }
        Ok(())
    }

    fn take(&mut self, from: &mut Unstructured<'_>) -> arbitrary::Result<()> {
        let Some((group, _)) = pick(from, self.consumers.iter().cloned())? else { return Ok(()) };
        for _ in 0..from.arbitrary::<u8>()? % 8 {
            let Some(taken) = self.world.engine.take(self.world.now, &group) else { break };
            match taken.body() {
                Ok(_) => self.held.push((group.clone(), taken)),
                Err(cause) => {
                    let back = self.world.engine.poisoned(self.world.now, &group, taken, cause);
                    self.held.extend(back.map(|taken| (group.clone(), taken)));
                }
            }
        }
        let first = self.held.len().saturating_sub(MOST_HELD);
        self.held.drain(..first);
        Ok(())
    }

    fn settle(&mut self, from: &mut Unstructured<'_>) -> arbitrary::Result<()> {
        if let Some(index) = pick(from, 0..self.held.len())? {
            let (group, taken) = self.held.swap_remove(index);
            let level = i32::from(from.arbitrary::<i8>()?);
            let outcome = if from.ratio(1, 3)? { Outcome::Failed { level } } else { Outcome::Done };
            self.world.engine.settle(self.world.now, &group, &taken, outcome);
        }
        Ok(())
    }

    fn command(&mut self, from: &mut Unstructured<'_>) -> arbitrary::Result<()> {
        let topic = ["T", "new", "%RETRY%g"][usize::from(from.arbitrary::<u8>()?) % 3];
        let address = ["127.0.0.1:10911", "nowhere:1"][usize::from(from.arbitrary::<u8>()?) % 2];
        let command = match from.arbitrary::<u8>()? % 7 {
            0 => Command::Open,
            1 => Command::WantRoute { topic: topic.into(), fresh: from.arbitrary()? },
            2 => Command::WantLink(address.into()),
            3 => Command::StartProducer("q".into()),
            4 => Command::StopProducer("q".into()),
            5 => {
                let Some((group, start)) = pick(from, self.consumers.iter().cloned())? else { return Ok(()) };
                let deadline = self.world.now.after(Duration::from_millis(from.arbitrary::<u16>()?.into()));
                Command::StopConsumer { group, start, deadline }
            }
            _ => {
                let to = if from.arbitrary()? { CallTarget::NameServer } else { CallTarget::Endpoint(address.into()) };
                let code = from.arbitrary::<u16>()?.into();
                let frame = Preamble::request(code, Codec::Json).encode(|_| (), Bytes::new());
                Command::Call { to, frame, timeout: Duration::from_millis(from.arbitrary::<u16>()?.into()) }
            }
        };
        if self.under_way.len() < MOST_UNDER_WAY {
            let op = self.world.engine.command(self.world.now, command);
            self.under_way.insert(op, Instant::FAR);
        }
        Ok(())
    }

    fn shutdown(&mut self, within: Duration) {
        let deadline = self.world.now.after(within);
        self.stop.get_or_insert(deadline);
        self.world.engine.shutdown(self.world.now, deadline);
    }

    /// What must hold after every operation.
    fn look(&mut self) {
        self.world.listen();
        ends(&mut self.world, &mut self.under_way);
        for conn in self.world.links() {
            let pending = |lane| self.world.engine.pending(conn, lane);
            assert!(pending(Lane::Data) <= MAX_PENDING && pending(Lane::Control) <= CONTROL_PENDING);
        }
    }

    /// Nobody answers any more, and the client ends all the same.
    fn end(mut self) {
        self.shutdown(Duration::from_secs(1));
        self.look();
        let now = self.world.now;
        let deadline = self.stop.map_or(now, |stop| stop.max(now));
        self.pass(now.until(deadline) + GRACE);
        assert!(self.world.is_closed(), "it is to end");
        assert!(self.under_way.is_empty(), "never ended: {:?}", self.under_way);
        assert_eq!(self.world.engine.poll_timeout(), Wakeup::Never);
        assert_eq!(self.world.engine.links().count(), 0);
        assert!(self.world.opening.is_empty(), "{:?}", self.world.opening);
        // Calls after the end are harmless.
        let op = self.world.engine.send(self.world.now, &Message::new("T", "late"));
        let end = self.world.engine.poll_event();
        assert!(matches!(end, Some(EngineEvent::SendDone { op: ended, result: Err(_) }) if ended == op), "{end:?}");
    }
}

/// Sends and commands end once, and sends in time.
fn ends(world: &mut World, under_way: &mut BTreeMap<OpId, Instant>) {
    while let Some(event) = world.events.pop_front() {
        if let EngineEvent::SendDone { op, .. } | EngineEvent::Done { op, .. } = event {
            assert!(under_way.remove(&op).is_some(), "{op:?} ends twice, or though it was cancelled");
        }
    }
    let late = under_way.iter().find(|(_, deadline)| **deadline < world.now);
    assert!(late.is_none(), "{late:?} is under way at {:?}", world.now);
}

fn pick<T>(from: &mut Unstructured<'_>, of: impl IntoIterator<Item = T>) -> arbitrary::Result<Option<T>> {
    let mut of: Vec<T> = of.into_iter().collect();
    if of.is_empty() {
        return Ok(None);
    }
    let index = usize::from(from.arbitrary::<u8>()?) % of.len();
    Ok(Some(of.swap_remove(index)))
}

fn some_bytes<'a>(from: &mut Unstructured<'a>, most: usize) -> arbitrary::Result<&'a [u8]> {
    let len = usize::from(from.arbitrary::<u16>()?) % (most + 1);
    from.bytes(len.min(from.len()))
}

const MOST_OPERATIONS: usize = 200;
const MOST_UNDER_WAY: usize = 48;
const MOST_OPEN: usize = 64;
const MOST_HELD: usize = 256;
const MAX_PENDING: usize = 8;
const CONTROL_PENDING: usize = 16;
/// What a send has, and the time its last attempt has for its end.
const SEND_TIMEOUT: Duration = Duration::from_secs(3);
/// Links may flush for a second after the deadline.
const GRACE: Duration = Duration::from_secs(2);
/// Fields of answers.
const KEYS: [&str; 12] = [
    "offset",
    "queueOffset",
    "nextBeginOffset",
    "minOffset",
    "maxOffset",
    "suggestWhichBrokerId",
    "msgId",
    "queueId",
    "consumerGroup",
    "brokerVersion",
    "offsetDelta",
    "topic",
];
