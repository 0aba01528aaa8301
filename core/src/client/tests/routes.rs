use super::*;

fn want(world: &mut World, fresh: bool) -> OpId {
    let op = world.command(Command::WantRoute { topic: "T".into(), fresh });
    world.run();
    op
}

fn asks(world: &World) -> usize {
    world.log.iter().filter(|line| line.contains("Request(") && line.contains(NS)).count()
}

fn template(world: &World) -> Arc<view::TopicView> {
    world.machine.routes.view().topics[&Topic::from("T")].clone()
}

#[test]
fn an_unknown_topic_gets_the_shape_of_the_template() {
    let mut world = World::new();
    world.topic("TBW102", 8, &["b"]);
    let op = want(&mut world, false);
    assert!(matches!(world.result(op), CommandResult::Route(Ok(()))));
    let view = template(&world);
    assert!(!view.exists && view.subscribe.is_empty());
    assert_eq!(view.publish.len(), 4, "at most so many queues");
    assert!(view.publish.iter().all(|queue| queue.queue.topic.as_str() == "T"));
    world.topic("T", 2, &["b"]);
    world.advance(30_000);
    let view = template(&world);
    assert!(view.exists && view.publish.len() == 2, "the real one takes its place");
}

#[test]
fn without_template_there_is_no_topic() {
    let mut world = World::new();
    let op = want(&mut world, false);
    assert!(matches!(world.result(op), CommandResult::Route(Err(RouteError::NoTopic))));
    world.topic("TBW102", 8, &["b"]);
    let op = want(&mut world, false);
    assert!(matches!(world.result(op), CommandResult::Route(Ok(()))));
    world.routes.clear();
    world.advance(1_000);
    let op = want(&mut world, true);
    assert!(matches!(world.result(op), CommandResult::Route(Err(RouteError::NoTopic))));
    assert!(!world.views.last().unwrap().topics.contains_key(&Topic::from("T")), "handles see that too");
}

#[test]
fn a_known_route_outlives_a_name_server_that_forgot_it() {
    let mut world = World::new();
    world.topic("T", 2, &["b"]);
    world.topic("TBW102", 8, &["b"]);
    want(&mut world, false);
    world.routes.remove(&Topic::from("T"));
    world.advance(30_000);
    let op = want(&mut world, true);
    assert!(matches!(world.result(op), CommandResult::Route(Ok(()))));
    let view = template(&world);
    assert_eq!((view.exists, view.publish.len(), view.subscribe.len()), (true, 2, 2));
}

#[test]
fn errors_of_name_servers_are_told_apart() {
    let mut world = World::new();
    world.held.insert(request::GET_ROUTEINFO_BY_TOPIC);
    let first = want(&mut world, false);
    let asked = world.take(request::GET_ROUTEINFO_BY_TOPIC);
    world.reply(asked, refusal(1));
    assert!(matches!(world.result(first), CommandResult::Route(Err(RouteError::Refused { code: 1, .. }))));
    let second = want(&mut world, false);
    let asked = world.take(request::GET_ROUTEINFO_BY_TOPIC);
    world.reply(asked, answer(0, |_| (), *b"{{{"));
    assert!(matches!(world.result(second), CommandResult::Route(Err(RouteError::Malformed(_)))));
}

#[test]
fn routes_are_refreshed_and_a_view_tells_only_of_changes() {
    let mut world = World::new();
    world.topic("T", 1, &["b"]);
    want(&mut world, false);
    let (views, before) = (world.views.len(), asks(&world));
    world.advance(29_999);
    assert_eq!(asks(&world), before);
    world.advance(60_001);
    assert_eq!(asks(&world), before + 3);
    assert_eq!(world.views.len(), views, "nothing changed");
    world.topic("T", 3, &["b"]);
    world.advance(30_000);
    assert_eq!(world.views.len(), views + 1);
    assert_eq!(template(&world).publish.len(), 3);
}

#[test]
fn a_link_down_refreshes_at_once_but_not_again_and_again() {
    let mut world = World::new();
    world.topic("T", 1, &["b"]);
    world.command(Command::StartProducer("p".into()));
    want(&mut world, false);
    world.advance(5_000);
    let before = asks(&world);
    world.hang_up("b:1");
    world.run();
    assert_eq!(asks(&world), before + 1, "at once");
    for _ in 0..10 {
        world.advance(600);
        if world.up.values().any(|to| to.as_str() == "b:1") {
            world.hang_up("b:1");
        }
    }
    assert!(asks(&world) <= before + 8, "at most one a second: {}", asks(&world) - before);
    assert!(asks(&world) >= before + 4);
}

#[test]
fn publishing_needs_a_master_and_reading_does_not() {
    let mut world = World::new();
    let mut route = route(2, &["a", "b"]);
    route.broker_datas[0].broker_addrs = BTreeMap::from([(1, "slave:1".into())]);
    route.queue_datas[1].perm = Perm(2);
    world.routes.insert("T".into(), route);
    want(&mut world, false);
    let view = template(&world);
    let publish: Vec<_> = view.publish.iter().map(|queue| queue.queue.to_string()).collect();
    let subscribe: Vec<_> = view.subscribe.iter().map(ToString::to_string).collect();
    assert_eq!(publish, ["T@b#0", "T@b#1"]);
    assert_eq!(subscribe, ["T@a#0", "T@a#1"]);
}

/// Topics `A` and `Z` are known, both on broker `b` with a slave; then `Z` is deleted, and `b` has these addresses.
fn moved(addrs: &[(i64, &str)]) -> World {
    let mut world = World::new();
    let on = |addrs: &[(i64, &str)]| {
        let mut route = route(1, &["b"]);
        route.broker_datas[0].broker_addrs = addrs.iter().map(|(id, to)| (*id, (*to).into())).collect();
        route
    };
    for topic in ["A", "Z"] {
        world.routes.insert(topic.into(), on(&[(0, "old:1"), (1, "slave:1")]));
        world.command(Command::WantRoute { topic: topic.into(), fresh: false });
        world.run();
    }
    world.routes = BTreeMap::from([("A".into(), on(addrs))]);
    world.advance(60_000);
    world
}

#[test]
fn a_broker_is_where_the_newest_answer_has_it() {
    let world = moved(&[(0, "new:1")]);
    let view = world.machine.routes.view();
    assert_eq!(view.master(&"b".into()), Some(&"new:1".into()));
    let sends_to = |topic: &str| view.topics[&Topic::from(topic)].publish[0].endpoint.as_str().to_string();
    assert_eq!((sends_to("A"), sends_to("Z")), ("new:1".into(), "new:1".into()));
    let is_broker = |endpoint: &str| world.machine.routes.is_broker(&endpoint.into());
    // As in Java, what the last route of `Z` names is not disconnected: a name server that is behind would have links flap.
    assert_eq!((is_broker("new:1"), is_broker("old:1"), is_broker("slave:1")), (true, true, true));
}

#[test]
fn a_master_that_is_gone_is_not_kept_by_the_route_of_a_deleted_topic() {
    let world = moved(&[(1, "slave:1")]);
    let view = world.machine.routes.view();
    assert_eq!((view.master(&"b".into()), view.brokers[&BrokerName::from("b")].addrs.len()), (None, 1));
    assert!(view.topics[&Topic::from("Z")].publish.is_empty());
}

#[test]
fn a_newer_answer_that_changes_nothing_else_moves_a_broker_too() {
    let mut world = moved(&[(0, "new:1")]);
    let (events, views) = (world.events.len(), world.views.len());
    let answer = world.routes[&Topic::from("A")].clone();
    // A name server that is behind tells of `Z`, then one that is not tells of `A` what is known.
    let mut behind = answer.clone();
    behind.broker_datas[0].broker_addrs = BTreeMap::from([(0, "old:1".into())]);
    world.held.insert(request::GET_ROUTEINFO_BY_TOPIC);
    world.advance(30_000);
    for (topic, route) in [("Z", &behind), ("A", &answer)] {
        let of = |asked: &Asked| asked.field("topic") == topic;
        let at = world.asked.iter().position(of).expect("asked");
        let asked = world.asked.remove(at);
        world.reply(asked, self::answer(0, |_| (), route.encode(JsonForm::Standard)));
        world.run();
    }
    assert_eq!(world.machine.routes.view().master(&"b".into()), Some(&"new:1".into()));
    assert_eq!((world.events.len(), world.views.len()), (events, views + 2));
}

#[test]
fn a_fresh_route_is_asked_for_at_most_once_a_second() {
    let mut world = World::new();
    world.topic("T", 1, &["b"]);
    world.advance(1);
    want(&mut world, false);
    let before = asks(&world);
    for _ in 0..20 {
        let op = want(&mut world, true);
        assert!(matches!(world.result(op), CommandResult::Route(Ok(()))));
        world.advance(100);
    }
    assert_eq!(asks(&world) - before, 1, "one in the second after the first");
}

#[test]
fn messages_go_two_ports_below_when_that_is_wanted() {
    let mut world = World::with(NS, |config| config.vip_channel = true);
    world.topic("T", 1, &["b"]);
    world.routes.values_mut().flat_map(|route| &mut route.broker_datas).for_each(|broker| {
        broker.broker_addrs.insert(0, "b:10911".into());
    });
    want(&mut world, false);
    let view = world.machine.routes.view().clone();
    assert_eq!(view.topics[&Topic::from("T")].publish[0].endpoint, "b:10909".into());
    assert_eq!(view.master(&"b".into()), Some(&"b:10911".into()), "all else goes where it went");
    world.command(Command::WantLink("b:10909".into()));
    world.run();
    world.advance(60_000);
    assert!(world.machine.routes.view().links.contains_key(&Endpoint::from("b:10909")), "it is no stranger's");
    for (from, to) in [("b:3", Some("b:1")), ("[::1]:10911", Some("[::1]:10909")), ("b:2", None), ("b", None)] {
        assert_eq!(Endpoint::from(from).vip_channel(), to.map(Endpoint::from));
    }
}
