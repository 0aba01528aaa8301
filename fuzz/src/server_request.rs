//! Requests of servers that nobody asked for, sent to a client at work.

use std::collections::BTreeMap;
use std::sync::OnceLock;
use std::time::Duration;

use arbitrary::Unstructured;
use bytes::Bytes;
use rocketmq_core::config::{ConsumerConfig, Permission, ProducerConfig, ServerPolicy, StartFrom};
use rocketmq_core::dispatch::Outcome;
use rocketmq_core::engine::EngineEvent;
use rocketmq_core::ids::{ConnId, Group, Opaque};
use rocketmq_core::message::Message;
use rocketmq_core::wire::codes::{request, response};
use rocketmq_core::wire::header::{FLAG_ONEWAY, Preamble};
use rocketmq_core::wire::{Codec, ExtWriter, Frame};

use crate::world::World;

/// Up to `MOST` requests, each at some step of a consumer's work: every one that wants an answer gets one, which
/// tells nothing, and the consumer gets the same messages, pulls and commits the same offsets as without them.
pub fn server_request(data: &[u8]) {
    static CALM: OnceLock<Work> = OnceLock::new();
    let calm = CALM.get_or_init(|| work(&[]));
    assert_eq!(work(&requests(data)), *calm);
}

/// A request and the step before which it comes.
struct Unsolicited {
    step: u8,
    to_broker: bool,
    code: i32,
    oneway: bool,
    codec: Codec,
    opaque: i32,
    fields: Vec<(String, String)>,
    body: Vec<u8>,
}

/// What a consumer did.
#[derive(Debug, Default, PartialEq, Eq)]
struct Work {
    /// Queue, offset and body of each message.
    taken: Vec<(i32, u64, Bytes)>,
    /// The pulls of each queue.
    pulls: BTreeMap<(String, String), Vec<String>>,
    /// The commits of each queue.
    commits: BTreeMap<(String, String), Vec<String>>,
    /// What the broker has in the end.
    committed: BTreeMap<(String, String, i32), i64>,
}

/// A consumer takes, settles and fails messages, and commits.
fn work(unsolicited: &[Unsolicited]) -> Work {
    // Whoever moves a consumer changes what it does.
    let policy = ServerPolicy { reset_offsets: Permission::Deny, ..ServerPolicy::default() };
    let mut world = World::with(|config| config.server_policy = policy);
    let mut work = Work::default();
    world.engine.start_producer(world.now, ProducerConfig::new("p".into())).expect("a configuration that holds");
    for number in 0..8 {
        send(&mut world, number);
    }
    world.settle(|_, _| ());
    let group = Group::from("g");
    let mut config = ConsumerConfig::new(group.clone());
    config.subscriptions.push(("T".into(), "*".into()));
    (config.start_from, config.queue_messages, config.pull_batch) = (StartFrom::First, 4, 2);
    world.engine.start_consumer(world.now, config);
    world.settle(|_, frame| work.note(frame));
    let mut held = Vec::new();
    for step in 0..STEPS {
        for asked in unsolicited.iter().filter(|asked| asked.step % STEPS == step) {
            work.ask(&mut world, asked);
        }
        for _ in 0..2 {
            if let Some(taken) = world.engine.take(world.now, &group) {
                let offset = taken.item().map_or(u64::MAX, |item| item.offset.get());
                let body = taken.body().expect("a body that was sent");
                work.taken.push((taken.batch.queue.id, offset, body));
                held.push(taken);
            }
        }
        // The first one is settled last, so that an offset that is not to be passed is there all the time.
        let settled = if step + 1 == STEPS { 0 } else { held.len().min(1) };
        for taken in held.drain(settled..) {
            world.engine.settle(world.now, &group, &taken, Outcome::Done);
        }
        world.settle(|_, frame| work.note(frame));
        send(&mut world, 100 + u32::from(step));
        world.pass(Duration::from_millis(900), |world| world.settle(|_, frame| work.note(frame)));
    }
    world.engine.shutdown(world.now, world.now.after(Duration::from_secs(3)));
    world.pass(Duration::from_secs(3), |world| world.settle(|_, frame| work.note(frame)));
    assert!(world.is_closed());
    let failed = world.events.iter().find(|event| matches!(event, EngineEvent::SendDone { result: Err(_), .. }));
    assert!(failed.is_none(), "{failed:?}");
    work.committed = world.cluster.committed("g");
    work
}

fn send(world: &mut World, number: u32) {
    world.engine.send(world.now, &Message::new("T", number.to_string()));
}

impl Work {
    fn note(&mut self, frame: &Frame) {
        let field = |key: &str| frame.header.ext.get(key).unwrap_or_default().to_owned();
        let queue = || (field("topic"), field("queueId"));
        match frame.header.code {
            _ if frame.header.is_response() => panic!("nobody asked for {:?}", frame.header),
            request::PULL_MESSAGE => self.pulls.entry(queue()).or_default().push(field("queueOffset")),
            request::UPDATE_CONSUMER_OFFSET => self.commits.entry(queue()).or_default().push(field("commitOffset")),
            _ => {}
        }
    }

    /// Sends a request and looks at what is said to it.
    fn ask(&mut self, world: &mut World, asked: &Unsolicited) {
        let links = world.links();
        let broker = |conn: &&ConnId| {
            matches!(world.node(**conn), Some(rocketmq_testkit::cluster::Node::Broker(_))) == asked.to_broker
        };
        let Some(conn) = links.iter().find(broker).copied() else { return };
        let flags = if asked.oneway { FLAG_ONEWAY } else { 0 };
        let preamble = Preamble { flags, ..Preamble::request(asked.code, asked.codec) };
        let fields = |out: &mut ExtWriter<'_>| asked.fields.iter().for_each(|(key, value)| out.text(key, value));
        let frame = preamble.encode(fields, Bytes::copy_from_slice(&asked.body));
        world.send(conn, &frame.to_bytes(Opaque(asked.opaque)));
        let mut answers = Vec::new();
        world.settle(|to, frame| {
            if to == conn && frame.header.is_response() {
                answers.push(frame.clone());
            } else {
                self.note(frame);
            }
        });
        assert_eq!(answers.len(), usize::from(!asked.oneway), "{answers:?}");
        for Frame { header, body } in answers {
            assert_eq!(header.opaque, Opaque(asked.opaque));
            let expected: &[i32] = match asked.code {
                request::NOTIFY_CONSUMER_IDS_CHANGED
                | request::GET_CONSUMER_STATUS_FROM_CLIENT
                | request::GET_CONSUMER_RUNNING_INFO => &[response::SUCCESS, response::SYSTEM_ERROR],
                request::RESET_CONSUMER_CLIENT_OFFSET | request::CONSUME_MESSAGE_DIRECTLY => &[response::NO_PERMISSION],
                _ => &[response::REQUEST_CODE_NOT_SUPPORTED],
            };
            assert!(expected.contains(&header.code), "{header:?}");
            let tells = header.code == response::SUCCESS && asked.code != request::NOTIFY_CONSUMER_IDS_CHANGED;
            assert!((body.is_empty() || tells) && header.ext.is_empty(), "{header:?} tells something");
        }
    }
}

/// Requests as [`write`] writes them.
fn requests(data: &[u8]) -> Vec<Unsolicited> {
    let mut from = Unstructured::new(data);
    let mut requests = Vec::new();
    while requests.len() < MOST && !from.is_empty() {
        match read(&mut from) {
            Ok(asked) => requests.push(asked),
            Err(_) => break,
        }
    }
    requests
}

fn read(from: &mut Unstructured<'_>) -> arbitrary::Result<Unsolicited> {
    let [step, bits, code, fields] = from.arbitrary::<[u8; 4]>()?;
    let opaque = if bits & 8 == 0 { i32::from(bits) } else { from.arbitrary()? };
    let code = match CODES.get(usize::from(code)) {
        Some(code) => *code,
        None => i32::from(from.arbitrary::<i16>()?),
    };
    let fields = (0..fields % 16).map(|_| {
        let key = match KEYS.get(usize::from(from.arbitrary::<u8>()?)) {
            Some(key) => (*key).to_owned(),
            None => text(from)?.chars().filter(char::is_ascii_alphanumeric).take(255).collect(),
        };
        Ok((key, text(from)?))
    });
    let fields: Vec<_> = fields.collect::<arbitrary::Result<_>>()?;
    let len = usize::from(from.arbitrary::<u16>()?);
    Ok(Unsolicited {
        step,
        to_broker: bits & 1 == 0,
        code,
        oneway: bits & 2 != 0,
        codec: if bits & 4 == 0 { Codec::Json } else { Codec::Rocketmq },
        opaque,
        fields: fields.into_iter().filter(|(key, _)| !key.is_empty()).collect(),
        body: from.bytes(len.min(from.len()))?.to_vec(),
    })
}

fn text(from: &mut Unstructured<'_>) -> arbitrary::Result<String> {
    let len = usize::from(from.arbitrary::<u8>()?);
    Ok(String::from_utf8_lossy(from.bytes(len.min(from.len()))?).into_owned())
}

/// Appends a request to an input of this target, for seeds.
pub fn write(step: u8, request: &Frame, out: &mut Vec<u8>) {
    let header = &request.header;
    let fields: Vec<_> = header.ext.iter().take(15).collect();
    let code = CODES.iter().position(|code| *code == header.code);
    let byte = |at: Option<usize>| at.and_then(|at| u8::try_from(at).ok()).unwrap_or(u8::MAX);
    out.extend([step, if header.is_oneway() { 2 } else { 0 }, byte(code), byte(Some(fields.len()))]);
    if code.is_none() {
        out.extend(i16::try_from(header.code).unwrap_or_default().to_le_bytes());
    }
    let text = |out: &mut Vec<u8>, text: &str| {
        let bytes = &text.as_bytes()[..text.len().min(255)];
        out.push(byte(Some(bytes.len())));
        out.extend(bytes);
    };
    for (key, value) in fields {
        let known = KEYS.iter().position(|known| *known == key);
        out.push(byte(known));
        if known.is_none() {
            text(out, key);
        }
        text(out, value);
    }
    let body = &request.body[..request.body.len().min(usize::from(u16::MAX))];
    out.extend(u16::try_from(body.len()).unwrap_or_default().to_le_bytes());
    out.extend(body);
}

/// Requests of one input.
const MOST: usize = 24;
/// Steps of the work: long enough for commits, which come every 5 s.
const STEPS: u8 = 8;
/// What servers ask.
const CODES: [i32; 10] = [
    request::CHECK_TRANSACTION_STATE,
    request::NOTIFY_CONSUMER_IDS_CHANGED,
    request::RESET_CONSUMER_CLIENT_OFFSET,
    request::GET_CONSUMER_STATUS_FROM_CLIENT,
    request::GET_CONSUMER_RUNNING_INFO,
    request::CONSUME_MESSAGE_DIRECTLY,
    request::PUSH_REPLY_MESSAGE_TO_CLIENT,
    request::PULL_MESSAGE,
    request::UPDATE_CONSUMER_OFFSET,
    response::GO_AWAY,
];
/// Fields of such requests.
const KEYS: [&str; 20] = [
    "consumerGroup",
    "group",
    "topic",
    "timestamp",
    "isForce",
    "clientId",
    "clientAddr",
    "jstackEnable",
    "msgId",
    "brokerName",
    "topicSysFlag",
    "groupSysFlag",
    "producerGroup",
    "tranStateTableOffset",
    "commitLogOffset",
    "transactionId",
    "offsetMsgId",
    "queueId",
    "queueOffset",
    "offset",
];
