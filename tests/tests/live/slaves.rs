//! A broker with a slave: read from it as suggested, as chosen, and while the master is away.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_lite::future::block_on;
use rocketmq_core::client::ClientEvent;
use rocketmq_core::config::{ReadFrom, StartFrom};
use rocketmq_core::driver::{Client, Delivery, EventStream, Producer, PushConsumer};
use rocketmq_core::ids::Opaque;
use rocketmq_core::message::Message;
use rocketmq_core::wire::codes::request::GET_MAX_OFFSET;
use rocketmq_core::wire::frame::{self, EncodedFrame};
use rocketmq_core::wire::header::HeaderLimits;
use rocketmq_core::wire::request::{Fields, QueryConsumerOffset, QueueOffsetRequest, QueueOffsetResponse, Request};
use rocketmq_core::wire::{Codec, Frame};
use rocketmq_testkit::real::{ConsumerSpec, JavaPeer, Options, RealCluster, RealError};

use super::checks::{Checks, Scope};
use super::kit::{Got, World, at_once, eventually, extra, producer, receipts, receive, send_all, sorted};
use super::runtimes::{Live, OnSmol, OnTokio};

const QUEUES: u32 = 2;
/// Messages before the master goes away.
const BACKLOG: usize = 400;
/// Until a slave has copied offsets: 5.4.0 does so once a minute.
const COPIED_IN: Duration = Duration::from_secs(90);

/// Runs on a cluster of its own; what failed.
pub(crate) fn both_runtimes(
    version: &str,
    java: &Arc<JavaPeer>,
    checks: &Arc<Checks>,
) -> Result<Vec<String>, RealError> {
    let mut options = Options::new(version).conf("slaveReadEnable", "true");
    for (key, value) in super::kit::BROKER_CONF {
        options = options.conf(key, value);
    }
    options.slave = true;
    let mut cluster = RealCluster::start(options)?;
    cluster.start_slave()?;
    let world = World::new(&cluster, java, checks);
    let begun = Instant::now();
    let mut failures = Vec::new();
    let slave = cluster.slave_addr();
    let begin = [Stage::begin::<OnSmol>, Stage::begin::<OnTokio>];
    let stages = at_once("slaves", begin.into(), &mut failures, |begin| begin(&world, &slave));
    cluster.stop_broker(true);
    let stages = at_once("slaves", stages, &mut failures, Stage::without_master);
    cluster.start_broker()?;
    at_once("slaves", stages, &mut failures, |stage| stage.with_master_again(&world));
    eprintln!("{version}: slaves took {:.1?}", begun.elapsed());
    if !failures.is_empty() {
        eprintln!("{}", cluster.log_tail());
    }
    Ok(failures)
}

/// One runtime between two changes of the cluster.
struct Stage {
    check: Scope,
    name: &'static str,
    topic: String,
    client: Client,
    kill: super::runtimes::Kill,
    producer: Producer,
    /// In the middle of its messages.
    half: Member,
    /// The master alone.
    loyal: Member,
    /// Where a group was that starts again while the master is away.
    left_at: i64,
}

/// A consumer, and what is told of its group.
struct Member {
    group: String,
    consumer: PushConsumer,
    events: Arc<Mutex<Vec<ClientEvent>>>,
    /// The replica that a queue was last read from.
    last: i64,
    got: Vec<String>,
}

impl Member {
    fn start(client: &Client, group: String, topic: &str, read_from: ReadFrom) -> Self {
        let events = Arc::<Mutex<Vec<_>>>::default();
        let (mut stream, kept): (EventStream, _) = (client.events(), events.clone());
        std::thread::spawn(move || {
            while let Some(event) = block_on(stream.next()) {
                kept.lock().unwrap().push(event);
            }
        });
        let consumer = client.push_consumer(group.as_str()).subscribe(topic, "*").start_from(StartFrom::First);
        // Little is pulled ahead, so that the place of what follows matters.
        let consumer = consumer.queue_messages(8).pull_batch(8).read_from(read_from).start();
        Self { group, consumer: block_on(consumer).expect("a consumer"), events, last: 0, got: Vec::new() }
    }

    /// Receives so many more messages.
    fn take(&mut self, count: usize) {
        let got = block_on(receive(&self.consumer, count, super::kit::PATIENCE, Delivery::ack));
        self.got.extend(got.iter().map(Got::text));
    }

    /// The replicas that the topic's queues were read from, since the last time, one after the other.
    fn replicas(&mut self, topic: &str) -> Vec<i64> {
        let events = std::mem::take(&mut *self.events.lock().unwrap());
        let replicas = events.iter().filter_map(|event| match event {
            ClientEvent::ReadFrom { group, queue, replica } => {
                (group.as_str() == self.group && queue.topic.as_str() == topic).then_some(*replica)
            }
            ClientEvent::OffsetIllegal { group, queue, .. } => panic!("{group} is outside {queue}"),
            _ => None,
        });
        let replicas: Vec<_> = replicas.collect();
        self.last = replicas.last().copied().unwrap_or(self.last);
        replicas
    }
}

impl Stage {
    fn begin<L: Live>(world: &World, slave: &str) -> Self {
        let check = world.scope::<L>("slaves");
        let topic = format!("slaves_{}", L::NAME);
        world.topic(&topic, QUEUES);
        let (client, kill) = L::connect_mortal(world.builder().commit_interval(Duration::from_secs(1)));
        let producer = block_on(producer(&client, "slaves_producer"));
        let send = |from: usize, to: usize| {
            let messages = (from..to).map(|n| Message::new(topic.as_str(), format!("m{n}"))).collect();
            receipts(block_on(send_all(&producer, 8, messages)));
        };
        send(0, BACKLOG);
        let name = |kind: &str| format!("slaves_{kind}_{}", L::NAME);
        let copied = || (0..QUEUES as i32).map(|queue| end_at(slave, &topic, queue)).sum::<i64>() == BACKLOG as i64;
        check.that("the-slave-copies-the-log", super::kit::wait(COPIED_IN, copied), ());
        let route = world.java.topic_route(&world.namesrv, &topic).expect("a route");
        check.that("the-route-has-both", route.iter().all(|broker| broker.addrs.len() == 2), &route);

        // As the master suggests: from the slave while far behind, then from the master again.
        let mut suggested = Member::start(&client, name("suggested"), &topic, ReadFrom::Suggested);
        suggested.take(BACKLOG);
        check.eq("all-by-suggestion", sorted(suggested.got.clone()), names(0..BACKLOG));
        let replicas = suggested.replicas(&topic);
        check.that("the-slave-was-read", replicas.contains(&1), &replicas);
        send(BACKLOG, BACKLOG + 20);
        suggested.take(20);
        let back = sorted(suggested.got[BACKLOG..].iter().cloned());
        check.eq("what-is-new-comes-too", back, names(BACKLOG..BACKLOG + 20));
        check.eq("nothing-twice", block_on(extra(&suggested.consumer)), Vec::<String>::new());
        check.eq("the-master-has-the-offsets", stored(world, &suggested.group, &topic, 420), 420);
        block_on(suggested.consumer.shutdown());

        // As the user chooses.
        let mut loyal = Member::start(&client, name("master"), &topic, ReadFrom::Master);
        loyal.take(200);
        check.eq("the-master-alone", loyal.replicas(&topic), Vec::<i64>::new());
        let mut chosen = Member::start(&client, name("chosen"), &topic, ReadFrom::Replica(1));
        chosen.take(420);
        check.eq("all-from-the-chosen-one", sorted(chosen.got.clone()), names(0..420));
        let replicas = chosen.replicas(&topic);
        check.that("which-is-the-slave", replicas.first() == Some(&1), &replicas);
        let before = chosen.got.len();
        send(420, 440);
        chosen.take(20);
        check.eq("what-is-new-comes-from-it-too", sorted(chosen.got[before..].iter().cloned()), names(420..440));
        check.eq("its-offsets-are-at-the-master", stored(world, &chosen.group, &topic, 440), 440);
        block_on(chosen.consumer.shutdown());

        // One that stops in the middle and starts again when the master is away.
        let mut gone = Member::start(&client, name("gone"), &topic, ReadFrom::Suggested);
        gone.take(100);
        block_on(gone.consumer.shutdown());
        let left_at = world.offsets(&gone.group, &topic).0;
        check.eq("some-is-consumed", left_at, 100);
        let java = format!("slaves-java-{}", L::NAME);
        let spec =
            ConsumerSpec { instance: Some(java.clone()), ..ConsumerSpec::new(&java, &world.namesrv, &java, &topic) };
        world.java.start_consumer(&spec).expect("a Java consumer");
        let theirs = world.java.wait_consumed(&java, 440, super::kit::PATIENCE).expect("consumed");
        let theirs: BTreeSet<_> = theirs.into_iter().map(|got| got.body).collect();
        check.eq("java-gets-the-same", theirs.len(), 440);
        let known =
            || (0..QUEUES as i32).map(|queue| offset_at(slave, &gone.group, &topic, queue)).sum::<i64>() == left_at;
        check.that("the-slave-copies-offsets", super::kit::wait(COPIED_IN, known), left_at);

        let mut half = Member::start(&client, name("half"), &topic, ReadFrom::Suggested);
        half.take(100);
        half.replicas(&topic);
        Self { check, name: L::NAME, topic, client, kill, producer, half, loyal, left_at }
    }

    fn without_master(mut self) -> Self {
        let (check, topic) = (self.check.step("without-master"), self.topic.clone());
        self.half.take(340);
        check.eq("the-rest-comes-from-the-slave", sorted(self.half.got.clone()), names(0..440));
        // It may have been sent there before.
        let replicas = self.half.replicas(&topic);
        check.that("from-the-slave", self.half.last == 1, &replicas);
        let had = self.loyal.got.len();
        let got = block_on(receive(&self.loyal.consumer, 300, Duration::from_secs(3), Delivery::ack));
        // What was pulled before is at hand.
        check.that("the-master-alone-waits", got.len() <= 32, got.len());
        self.loyal.got.extend(got.iter().map(Got::text));
        check.at_least("it-had-some", self.loyal.got.len(), had);

        // A group that starts now: from what the slave knows of its offset.
        let mut again = Member::start(&self.client, format!("slaves_gone_{}", self.name), &topic, ReadFrom::Suggested);
        again.take(340);
        check.eq("a-group-goes-on-where-the-slave-knows", again.got.len(), 340);
        let replicas = again.replicas(&topic);
        check.that("also-from-the-slave", replicas.contains(&1), &replicas);
        // What one consumes that the slave does not know is not committed anywhere: with the master it begins again.
        let unknown = Member::start(&self.client, format!("slaves_new_{}", self.name), &topic, ReadFrom::Suggested);
        block_on(extra(&unknown.consumer));
        block_on(unknown.consumer.shutdown());
        std::mem::swap(&mut self.half, &mut again);
        block_on(again.consumer.shutdown());
        self
    }

    fn with_master_again(mut self, world: &World) {
        let (check, topic) = (self.check.step("with-master-again"), self.topic.clone());
        let sent = block_on(eventually(|| block_on(self.producer.send(Message::new(topic.as_str(), "m440"))).ok()));
        check.that("the-master-is-back", sent.is_some(), &sent);
        self.half.take(1);
        check.eq("what-is-new-comes", self.half.got.last().cloned(), Some("m440".to_owned()));
        // It may have been sent back before, when the slave had no more.
        let back = super::kit::wait(super::kit::PATIENCE, || {
            self.half.replicas(&topic);
            self.half.last == 0
        });
        check.that("from-the-master", back, self.half.last);
        // From what the master knew of them, by what the group has consumed since.
        let mut seen = vec![self.left_at];
        super::kit::wait(Duration::from_secs(30), || {
            seen.push(world.offsets(&self.half.group, &topic).0);
            seen.last() == Some(&441)
        });
        check.eq("its-offsets-go-on", seen.last(), Some(&441));
        check.that("and-never-went-back", seen.is_sorted(), &seen);
        check.eq("nothing-comes-again", block_on(extra(&self.half.consumer)), Vec::<String>::new());
        let left = 441 - self.loyal.got.len();
        self.loyal.take(left);
        check.eq("the-master-alone-goes-on", sorted(self.loyal.got.clone()), names(0..441));
        let mut unknown = Member::start(&self.client, format!("slaves_new_{}", self.name), &topic, ReadFrom::Suggested);
        unknown.take(441);
        check.eq("the-new-group-starts", sorted(unknown.got.clone()), names(0..441));
        let java = format!("slaves-java-{}", self.name);
        let theirs = world.java.wait_consumed(&java, 1, super::kit::PATIENCE).expect("consumed");
        check.that("java-goes-on-too", theirs.iter().any(|got| got.body == "m440"), theirs.len());
        world.java.stop_consumer(&java).expect("stopped");
        for member in [&self.half, &self.loyal, &unknown] {
            check.eq("nothing-is-unsettled", block_on(member.consumer.shutdown()).unsettled, 0);
        }
        block_on(self.client.shutdown());
        (self.kill)();
    }
}

/// What a group has committed at the master, once it is that much.
fn stored(world: &World, group: &str, topic: &str, wanted: i64) -> i64 {
    super::kit::wait(Duration::from_secs(30), || world.offsets(group, topic).0 == wanted);
    world.offsets(group, topic).0
}

fn names(range: std::ops::Range<usize>) -> Vec<String> {
    sorted(range.map(|n| format!("m{n}")))
}

fn end_at(broker: &str, topic: &str, queue_id: i32) -> i64 {
    let request = QueueOffsetRequest::<GET_MAX_OFFSET> { topic: topic.into(), queue_id };
    offset_of(&ask(broker, &request.encode(Codec::Json, Bytes::new())))
}

fn offset_at(broker: &str, group: &str, topic: &str, queue_id: i32) -> i64 {
    let (group, topic) = (group.into(), topic.into());
    let request = QueryConsumerOffset { group, topic, queue_id, set_zero_if_not_found: Some(false), broker: None };
    offset_of(&ask(broker, &request.encode(Codec::Json, Bytes::new())))
}

fn offset_of(frame: &Frame) -> i64 {
    let read = QueueOffsetResponse::read(&frame.header.ext).ok().filter(|_| frame.header.code == 0);
    read.map_or(0, |read| read.offset.to_wire())
}

/// One request to one broker, past the client.
fn ask(broker: &str, request: &EncodedFrame) -> Frame {
    use std::io::{Read, Write};
    let mut stream = std::net::TcpStream::connect(broker).expect("a connection");
    stream.set_read_timeout(Some(Duration::from_secs(10))).expect("a timeout");
    stream.write_all(&request.to_bytes(Opaque(1))).expect("written");
    let mut bytes = vec![0; 4];
    stream.read_exact(&mut bytes).expect("an answer");
    let rest = u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]) as usize;
    bytes.resize(4 + rest, 0);
    stream.read_exact(&mut bytes[4..]).expect("a whole answer");
    frame::decode(&Bytes::from(bytes), &HeaderLimits::default()).expect("a frame")
}
