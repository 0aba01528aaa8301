use super::*;

/// The members of a group changed, says a broker.
pub(super) fn notice(group: &str) -> Frame {
    let preamble = Preamble::oneway(request::NOTIFY_CONSUMER_IDS_CHANGED, Codec::Json);
    decoded(&preamble.encode(|out| out.text("consumerGroup", group), Bytes::new()))
}

fn rounds(world: &World) -> usize {
    world.open(request::GET_CONSUMER_LIST_BY_GROUP, |asked| asked.field("consumerGroup") == "g")
}

fn conn(world: &World) -> ConnId {
    *world.up.keys().next().unwrap()
}

fn queues(world: &World) -> usize {
    world.pulls("T")
}

#[test]
fn notices_cause_one_round_a_second_at_most() {
    let mut world = World::consuming(4, |_| ());
    world.advance(10_000);
    let lists =
        |world: &World| world.log.iter().filter(|line| line.contains("Request") && line.contains("b:1")).count();
    let before = lists(&world);
    for _ in 0..1_000 {
        world.input(Input::BrokerRequest(conn(&world), notice("g")));
        world.advance(5);
    }
    let after = lists(&world) - before;
    // Commits and heartbeats are among them.
    assert!((5..=9).contains(&after), "{after} in 5 s");
    world.input(Input::BrokerRequest(conn(&world), notice("another")));
    assert_eq!(queues(&world), 4);
}

#[test]
fn queues_are_shared_with_the_other_members() {
    let mut world = World::consuming(4, |_| ());
    world.members = alloc::vec!["9".into(), ME.into()];
    world.advance(20_000);
    assert_eq!(queues(&world), 4, "pulls of two revoked queues are still out");
    let shared = world.events.iter().rev().find_map(|event| match event {
        ClientEvent::Rebalanced { added, revoked, members, .. } => Some((added.len(), revoked.len(), *members)),
        _ => None,
    });
    assert_eq!(shared, Some((0, 2, 2)));
}

#[test]
fn members_and_queues_are_in_javas_order_whatever_the_order_they_are_told_in() {
    // Java compares UTF-16 units, in which the first of the two comes after the second.
    let (late, early) = ("10.0.0.1@\u{ff5e}", "10.0.0.1@\u{1f600}");
    for members in [[late, ME, early], [early, late, ME], [ME, early, late]] {
        let mut world = World::with(NS, |config| config.client_id = late.into());
        world.routes.insert("T".into(), route(1, &["c", "a", "b"]));
        world.members = members.map(ClientId::from).into();
        world.start(|_| ());
        world.run();
        let pulls = world.asked.iter().filter(|asked| asked.code() == request::PULL_MESSAGE);
        assert_eq!(pulls.map(|asked| asked.to.as_str()).collect::<Vec<_>>(), ["c:1"], "{members:?}");
    }
}

#[test]
fn who_is_not_on_the_list_owns_nothing() {
    let mut world = World::new();
    world.topic("T", 4, &["b"]);
    world.members = alloc::vec!["other".into()];
    world.start(|_| ());
    world.run();
    assert_eq!(queues(&world), 0);
}

#[test]
fn another_client_of_the_same_id_is_told_of_and_takes_nothing_away() {
    let mut world = World::consuming(4, |_| ());
    let told = |world: &World| world.count(|event| matches!(event, ClientEvent::ClientIdCollision { listed: 2, .. }));
    world.members = alloc::vec![ME.into(), ME.into()];
    world.advance(120_000);
    assert_eq!(told(&world), 0, "a broken connection may be listed as long");
    world.advance(60_000);
    assert_eq!(told(&world), 1);
    world.advance(300_000);
    assert_eq!(told(&world), 1, "once");
    assert_eq!(queues(&world), 4);
}

#[test]
fn an_error_keeps_the_queues_and_is_repeated_in_a_second() {
    let mut world = World::consuming(4, |_| ());
    world.held.insert(request::GET_CONSUMER_LIST_BY_GROUP);
    world.advance(20_000);
    assert_eq!(rounds(&world), 1);
    let asked = world.take(request::GET_CONSUMER_LIST_BY_GROUP);
    world.reply(asked, refusal(1));
    world.advance(999);
    assert_eq!(rounds(&world), 0);
    world.advance(1);
    assert_eq!(rounds(&world), 1);
    let asked = world.take(request::GET_CONSUMER_LIST_BY_GROUP);
    world.fail(asked, Sent::Maybe);
    world.advance(1_000);
    assert_eq!(rounds(&world), 1);
    let asked = world.take(request::GET_CONSUMER_LIST_BY_GROUP);
    world.reply(asked, answer(0, |_| (), *b"not json"));
    world.advance(1_000);
    assert_eq!((rounds(&world), world.machine.consumers.len()), (1, 1));
    assert_eq!(world.count(|event| matches!(event, ClientEvent::Rebalanced { .. })), 1);
}

#[test]
fn a_route_lost_while_the_members_are_asked_takes_no_queue() {
    let mut world = World::consuming(4, |_| ());
    world.held.insert(request::GET_CONSUMER_LIST_BY_GROUP);
    world.advance(20_000);
    let asked = world.take(request::GET_CONSUMER_LIST_BY_GROUP);
    let mut empty = route(4, &["b"]);
    empty.queue_datas[0].perm = Perm(2);
    world.routes.insert("T".into(), empty);
    world.advance(12_000);
    world.held.remove(&request::GET_CONSUMER_LIST_BY_GROUP);
    let frame = world.usual(&asked);
    world.reply(asked, frame);
    world.run();
    assert_eq!(world.count(|event| matches!(event, ClientEvent::Rebalanced { .. })), 1);
}

#[test]
fn a_request_we_do_not_know_is_refused_and_a_oneway_is_not_answered() {
    let mut world = World::consuming(1, |_| ());
    let conn = conn(&world);
    for (preamble, answers) in [(Preamble::request(9_876, Codec::Json), 1), (Preamble::oneway(9_876, Codec::Json), 1)] {
        world.input(Input::BrokerRequest(conn, decoded(&preamble.encode(|_| (), Bytes::new()))));
        assert_eq!(world.answers.len(), answers);
    }
    let header = &world.answers[0].header;
    assert_eq!(header.code, response::REQUEST_CODE_NOT_SUPPORTED);
    assert_eq!(header.remark.as_deref(), Some("request type 9876 not supported"));
    world.input(Input::BrokerRequest(conn, notice("g")));
    assert_eq!(world.answers.len(), 1);
    let asked = Preamble::request(request::NOTIFY_CONSUMER_IDS_CHANGED, Codec::Json);
    world.input(Input::BrokerRequest(conn, decoded(&asked.encode(|out| out.text("consumerGroup", "g"), Bytes::new()))));
    assert_eq!((world.answers.len(), world.answers[1].header.code), (2, 0));
}
