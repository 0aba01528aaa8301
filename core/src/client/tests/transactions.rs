//! Checks of half messages: who answers them, how many at once, and what of.

use super::*;
use crate::client::ServerVerdict;
use crate::config::{Permission, ServerPolicy};
use crate::transaction::Resolution;

const BROKER: &str = "b:1";
const CHECK: i32 = request::CHECK_TRANSACTION_STATE;

/// A half message of a group as a broker asks about it.
fn half(group: &str, key: &str) -> Vec<u8> {
    half_of(group, key, Bytes::from_static(b"hello"))
}

fn half_of(group: &str, key: &str, body: Bytes) -> Vec<u8> {
    let properties = alloc::format!("PGROUP\u{1}{group}\u{2}UNIQ_KEY\u{1}{key}\u{2}");
    let record = StoredMessage {
        queue_id: 3,
        physical_offset: 33_206,
        body,
        properties: properties.into_bytes().into(),
        ..answers::stored(16)
    };
    let mut out = Vec::new();
    encode_record(&record, RecordVersion::V1, &mut out).unwrap();
    out
}

/// A client with a producer and a checker of group `p`, and a link to its broker.
fn producing(policy: ServerPolicy) -> World {
    let mut world = World::with(NS, |config| config.server_policy = policy);
    world.topic("T", 1, &["b"]);
    world.command(Command::StartProducer("p".into()));
    start_checker(&mut world);
    world.run();
    world
}

fn start_checker(world: &mut World) {
    world.command(Command::StartChecker { group: "p".into(), topics: alloc::vec!["T".into()] });
}

fn check(world: &mut World, key: &str, at: &'static str) {
    check_of(world, half("p", key), at);
}

fn check_of(world: &mut World, half: Vec<u8>, at: &'static str) {
    let fields = [("tranStateTableOffset", at), ("commitLogOffset", at), ("transactionId", "TX"), ("topic", "HALF")];
    let frame = Preamble::oneway(CHECK, Codec::Json)
        .encode(|out| fields.iter().for_each(|(key, value)| out.text(key, value)), half.into());
    let conn = *world.up.iter().find(|(_, to)| to.as_str() == BROKER).expect("a link").0;
    world.input(Input::BrokerRequest(conn, decoded(&frame)));
}

fn say(world: &mut World, check: u64, resolution: Resolution) {
    world.input(Input::Transaction { check, resolution });
}

fn words(world: &World) -> Vec<[&str; 3]> {
    let keys = ["commitLogOffset", "commitOrRollback", "msgId"];
    world.oneways.iter().map(|(_, frame)| keys.map(|key| frame.header.ext.get(key).unwrap_or_default())).collect()
}

#[test]
fn brokers_hear_of_a_group_that_has_sent_nothing() {
    let mut world = World::new();
    world.topic("TBW102", 1, &["x", "y"]);
    world.topic("T", 1, &["b"]);
    world.held.insert(request::HEART_BEAT);
    world.command(Command::StartProducer("p".into()));
    world.run();
    assert!(world.asked.is_empty(), "no broker is known");
    start_checker(&mut world);
    world.run();
    let mut told: Vec<_> = world.asked.iter().filter(|asked| asked.code() == request::HEART_BEAT).collect();
    told.sort_by(|a, b| a.to.cmp(&b.to));
    assert_eq!(told.iter().map(|asked| asked.to.as_str()).collect::<Vec<_>>(), ["b:1", "x:1", "y:1"]);
    assert!(told.iter().all(|asked| asked.frame.body.windows(3).any(|at| at == b"\"p\"")));
}

#[test]
fn a_check_is_handed_to_the_checker_and_answered_where_it_came_from() {
    let mut world = producing(ServerPolicy::default());
    check(&mut world, "A", "7");
    let asked = world.checks.pop().expect("a check");
    assert_eq!(asked.group, "p".into());
    assert_eq!(asked.message.queue().topic.as_str(), "T", "the topic that it was sent to");
    assert_eq!(world.verdict(), (ServerVerdict::Done, 1));
    assert!(world.oneways.is_empty(), "nothing is said before the checker has said it");
    say(&mut world, asked.id, Resolution::Commit);
    let (to, frame) = world.oneways.pop().expect("an answer");
    assert_eq!((to.as_str(), frame.header.code, frame.header.is_oneway()), (BROKER, request::END_TRANSACTION, true));
    let fields = [
        ("topic", "HALF"),
        ("producerGroup", "p"),
        ("tranStateTableOffset", "7"),
        ("commitLogOffset", "7"),
        ("commitOrRollback", "8"),
        ("fromTransactionCheck", "true"),
        ("msgId", "A"),
        ("transactionId", "TX"),
    ];
    for (key, value) in fields {
        assert_eq!(frame.header.ext.get(key), Some(value), "{key}");
    }
    say(&mut world, asked.id, Resolution::Rollback);
    assert!(world.oneways.is_empty(), "what is over is over");
}

#[test]
fn a_message_is_checked_once_at_a_time_and_answered_where_it_is_now() {
    let mut world = producing(ServerPolicy::default());
    check(&mut world, "A", "7");
    check(&mut world, "A", "8");
    check(&mut world, "B", "9");
    let asked: Vec<_> = world.checks.drain(..).collect();
    assert_eq!(asked.iter().map(|check| check.place.msg_id.as_str()).collect::<Vec<_>>(), ["A", "B"]);
    say(&mut world, asked[0].id, Resolution::Rollback);
    say(&mut world, asked[1].id, Resolution::Unknown);
    assert_eq!(words(&world), [["8", "12", "A"], ["9", "0", "B"]]);
    check(&mut world, "A", "10");
    assert_eq!(world.checks.len(), 1, "asked again after the answer, it is checked again");
}

#[test]
fn so_many_checks_run_at_once_and_so_many_wait() {
    let mut world = producing(ServerPolicy::default());
    (0..2_016).for_each(|number| check(&mut world, &alloc::format!("K{number}"), "1"));
    assert_eq!((world.checks.len(), world.verdict()), (16, (ServerVerdict::Done, 2_016)));
    check(&mut world, "one too many", "1");
    assert_eq!(world.verdict(), (ServerVerdict::Busy, 1));
    let first = world.checks[0].id;
    say(&mut world, first, Resolution::Commit);
    assert_eq!(world.checks.len(), 17, "one that waited");
    assert_eq!(world.checks[16].place.msg_id, "K16");
    check(&mut world, "again there is room", "1");
    assert_eq!(world.verdict().0, ServerVerdict::Done);
    // Checkers that never end give their places up when brokers have long ceased to ask.
    world.advance(599_000);
    assert_eq!(world.checks.len(), 17);
    world.advance(2_000);
    assert_eq!(world.checks.len(), 33);
}

#[test]
fn long_messages_are_checked_a_few_at_a_time() {
    let mut world = producing(ServerPolicy::default());
    let body = Bytes::from(alloc::vec![0; 15 * 1024 * 1024]);
    for (key, verdict) in [
        ("A", (ServerVerdict::Done, 1)),
        ("B", (ServerVerdict::Done, 2)),
        ("C", (ServerVerdict::Done, 3)),
        ("D", (ServerVerdict::Done, 4)),
        ("E", (ServerVerdict::Busy, 1)),
    ] {
        check_of(&mut world, half_of("p", key, body.clone()), "1");
        assert_eq!(world.verdict(), verdict, "{key}");
    }
    check(&mut world, "a short one", "1");
    assert_eq!(world.verdict(), (ServerVerdict::Done, 5));
    let first = world.checks[0].id;
    say(&mut world, first, Resolution::Commit);
    check_of(&mut world, half_of("p", "E", body), "1");
    assert_eq!(world.verdict(), (ServerVerdict::Done, 6));
}

#[test]
fn with_the_last_checker_of_a_group_its_checks_go() {
    let mut world = producing(ServerPolicy::default());
    start_checker(&mut world);
    (0..17).for_each(|number| check(&mut world, &alloc::format!("K{number}"), "1"));
    world.command(Command::StopChecker("p".into()));
    check(&mut world, "by the other one", "1");
    assert_eq!(world.verdict().0, ServerVerdict::Done);
    world.command(Command::StopChecker("p".into()));
    check(&mut world, "by nobody", "1");
    assert_eq!(world.verdict().0, ServerVerdict::NoGroup);
    let first = world.checks[0].id;
    say(&mut world, first, Resolution::Commit);
    assert_eq!(words(&world), [["1", "8", "K0"]], "what a checker began is answered");
    assert_eq!(world.checks.len(), 16, "what waited is not begun any more");
}

#[test]
fn checks_that_make_no_sense_or_are_not_allowed_are_refused() {
    let mut world = producing(ServerPolicy::default());
    let offsets = [("tranStateTableOffset", "1"), ("commitLogOffset", "2")];
    for (fields, body, verdict) in [
        (&offsets[..1], half("p", "A"), ServerVerdict::Malformed),
        (&offsets[..], b"no record".to_vec(), ServerVerdict::Malformed),
        (&offsets[..], records(0..1), ServerVerdict::Malformed),
        (&offsets[..], [half("p", "A"), half("p", "B")].concat(), ServerVerdict::Malformed),
        (&offsets[..], half("other", "A"), ServerVerdict::NoGroup),
    ] {
        world.asks(BROKER, CHECK, fields, body).expect("it was not oneway");
        assert_eq!(world.verdict().0, verdict);
    }
    let mut strict = producing(ServerPolicy { check_transactions: Permission::Deny, ..ServerPolicy::default() });
    check(&mut strict, "A", "1");
    assert_eq!((strict.verdict().0, strict.checks.len()), (ServerVerdict::Refused, 0));
    assert!(world.checks.is_empty() && world.oneways.is_empty());
}

#[test]
fn what_nobody_answers_goes_over_links_that_are_up_only() {
    let mut world = producing(ServerPolicy::default());
    let frame = || Preamble::oneway(request::END_TRANSACTION, Codec::Json).encode(|_| (), Bytes::new());
    let sent = |world: &World, op| match world.result(op) {
        CommandResult::Sent(result) => result.is_ok(),
        other => panic!("{other:?}"),
    };
    let op = world.command(Command::Oneway { to: BROKER.into(), frame: frame() });
    assert!(sent(&world, op));
    let op = world.command(Command::Oneway { to: "nowhere:1".into(), frame: frame() });
    assert!(!sent(&world, op));
    assert_eq!(world.oneways.len(), 1);
}

#[test]
fn nothing_of_checks_is_left_at_the_end() {
    let mut world = producing(ServerPolicy::default());
    check(&mut world, "A", "1");
    let deadline = world.now.after(Duration::from_secs(10));
    world.input(Input::Shutdown { deadline });
    world.advance(11_000);
    assert_eq!((world.closed, world.machine.load()), (1, (0, 0)));
    let first = world.checks[0].id;
    say(&mut world, first, Resolution::Commit);
    assert!(world.oneways.is_empty());
}
