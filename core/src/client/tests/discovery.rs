use alloc::vec;

use super::*;
use crate::config::DiscoveryConfig;

/// A client that knows no name server but by discovery.
fn discovering(servers: &str) -> World {
    let mut world = World::with(servers, |config| config.discovery = Some(DiscoveryConfig::new("names").unit("u")));
    world.topic("T", 1, &["b"]);
    world.pump();
    world
}

/// Answers the request that is open.
fn answer_with(world: &mut World, body: Result<&str, IoFailure>) {
    let (from, request) = world.fetches.remove(0);
    assert_eq!(from.as_str(), "names:8080");
    assert!(request.starts_with(b"GET /rocketmq/nsaddr-u?nofix=1 HTTP/1.1\r\n"));
    world.input(Input::Fetched(body.map(|body| body.as_bytes().to_vec())));
    world.run();
}

fn failures(world: &World) -> usize {
    world.count(|event| matches!(event, ClientEvent::DiscoveryFailed { .. }))
}

fn want(world: &mut World, topic: &str) -> OpId {
    world.command(Command::WantRoute { topic: topic.into(), fresh: false })
}

fn up(world: &World) -> Vec<String> {
    world.up.values().map(|to| to.to_string()).collect()
}

#[test]
fn the_list_is_asked_for_at_start_after_ten_seconds_and_every_two_minutes() {
    let mut world = discovering("");
    assert_eq!(world.fetches.len(), 1);
    let op = world.command(Command::Open);
    assert!(!world.is_done(op));
    answer_with(&mut world, Ok("n1:1;n2:2\nnot this"));
    assert!(matches!(world.result(op), CommandResult::Opened(Ok(()))));
    assert_eq!(world.name_servers, [["n1:1", "n2:2"].map(Endpoint::from)]);
    let mut pauses = Vec::new();
    for _ in 0..6 {
        let since = world.now;
        while world.fetches.is_empty() {
            world.advance(100);
        }
        pauses.push(world.now.since(since).as_secs());
        answer_with(&mut world, Ok("n2:2;n1:1"));
    }
    assert_eq!(pauses[0], 10);
    assert!(pauses[1..].iter().all(|pause| (114..=126).contains(pause)), "{pauses:?}");
    assert!(pauses[1..].iter().any(|pause| *pause != pauses[1]), "with jitter: {pauses:?}");
    assert_eq!(world.name_servers.len(), 1, "the same servers in another order are no news");
    assert_eq!(failures(&world), 0);
}

#[test]
fn whoever_waits_for_the_first_list_is_served_by_it_or_told_in_time() {
    let mut world = discovering("");
    let (early, late) = (want(&mut world, "T"), want(&mut world, "T"));
    world.advance(1_000);
    assert!(!world.is_done(early));
    answer_with(&mut world, Ok("n1:1"));
    assert!([early, late].iter().all(|op| matches!(world.result(*op), CommandResult::Route(Ok(())))));

    let mut world = discovering("");
    let (route, open) = (want(&mut world, "T"), world.command(Command::Open));
    answer_with(&mut world, Err(refused()));
    world.advance(3_000);
    assert!(matches!(world.result(route), CommandResult::Route(Err(RouteError::Unavailable(_)))));
    let CommandResult::Opened(Err(unavailable)) = world.result(open) else { panic!() };
    assert_eq!(unavailable.tried, [("names:8080".into(), RequestFailure::Connect(refused()))]);
    assert_eq!((failures(&world), world.machine.load().0), (1, 0));
}

#[test]
fn what_makes_no_sense_changes_nothing() {
    let mut world = discovering("n1:1");
    for body in ["", " \n n2:2", "n2", "n2:2;;n3:x", "n2:0", "<html>"] {
        answer_with(&mut world, Ok(body));
        world.advance(130_000);
    }
    let many: Vec<_> = (1..100).map(|n| alloc::format!("n{n}:1")).collect();
    answer_with(&mut world, Ok(&many.join(";")));
    assert!(world.name_servers.len() <= 1);
    assert_eq!(failures(&world), 6, "all but the list after a blank line");
}

#[test]
fn calls_go_on_with_other_servers_and_links_to_those_that_are_gone_are_closed() {
    let mut world = World::with("n1:1", |_| ());
    world.topic("T", 1, &["b"]);
    want(&mut world, "T");
    world.run();
    assert_eq!(up(&world), ["n1:1"]);
    world.silent.insert("n1:1".into());
    world.topic("U", 1, &["b"]);
    let call = want(&mut world, "U");
    world.advance(100);
    assert!(!world.is_done(call));
    let op = world.command(Command::NameServers(vec!["n3:3".into()]));
    world.run();
    assert!(matches!(world.result(op), CommandResult::Done));
    assert!(matches!(world.result(call), CommandResult::Route(Ok(()))), "long before its deadline");
    assert!(!up(&world).contains(&"n1:1".into()), "{:?}", up(&world));
    assert_eq!(world.count(|event| *event == ClientEvent::NameServers(vec!["n3:3".into()])), 1);
    world.topic("V", 1, &["b"]);
    let next = want(&mut world, "V");
    world.run();
    assert!(matches!(world.result(next), CommandResult::Route(Ok(()))));
    assert!(!up(&world).contains(&"n1:1".into()));
}

#[test]
fn whoever_waits_for_the_first_link_waits_for_one_to_the_new_servers() {
    let mut world = World::with("n1:1", |_| ());
    world.dead.insert("n1:1".into());
    let op = world.command(Command::Open);
    world.advance(500);
    assert!(!world.is_done(op));
    world.command(Command::NameServers(vec!["n2:2".into()]));
    world.run();
    assert!(matches!(world.result(op), CommandResult::Opened(Ok(()))));
}

#[test]
fn nobody_is_asked_unless_that_is_wanted_and_nobody_after_the_end() {
    let mut world = World::with("n1:1", |_| ());
    world.advance(200_000);
    assert!(world.fetches.is_empty());
    let mut world = discovering("n1:1");
    world.fetches.clear();
    world.input(Input::Shutdown { deadline: world.now.after(Duration::from_secs(1)) });
    world.run();
    world.input(Input::Fetched(Ok(b"n9:9".to_vec())));
    world.advance(200_000);
    assert!(world.fetches.is_empty() && world.name_servers.is_empty());
    assert_eq!((world.closed, world.machine.load()), (1, (0, 0)));
}
