use super::*;
use crate::error::TlsFailure;

fn want(world: &mut World) -> OpId {
    world.command(Command::WantLink("b:1".into()))
}

fn failed(world: &World, op: OpId) -> bool {
    match world.result(op) {
        CommandResult::Link(result) => result.is_err(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn one_attempt_serves_everybody_who_waits() {
    let mut world = World::new();
    let ops = [want(&mut world), want(&mut world), want(&mut world)];
    assert_eq!(world.connecting.len(), 1);
    let (conn, _) = world.connecting.remove(0);
    world.input(Input::ConnectFailed(conn, refused()));
    assert!(ops.iter().all(|op| failed(&world, *op)), "all at once, long before the timeout");
    let failed = ClientEvent::ConnectFailed { endpoint: "b:1".into(), why: refused() };
    assert_eq!(world.events, [failed, ClientEvent::LinkDown("b:1".into())]);
}

#[test]
fn links_that_come_up_fail_and_break_are_told_of() {
    let mut world = World::new();
    world.dead.insert("b:1".into());
    want(&mut world);
    world.run();
    world.dead.clear();
    world.advance(1_000);
    want(&mut world);
    world.run();
    world.hang_up("b:1");
    let endpoint = Endpoint::from("b:1");
    let told = [
        ClientEvent::ConnectFailed { endpoint: endpoint.clone(), why: refused() },
        ClientEvent::LinkDown(endpoint.clone()),
        ClientEvent::LinkUp(endpoint.clone()),
        ClientEvent::LinkDown(endpoint),
    ];
    assert_eq!(world.events, told);
}

#[test]
fn who_breaks_tls_off_is_left_alone_for_a_while_and_others_are_not() {
    for (kind, at_once) in [(IoKind::Tls(TlsFailure::ClientCertificate), false), (IoKind::Reset, true)] {
        let mut world = World::new();
        want(&mut world);
        let (conn, _) = world.connecting.remove(0);
        world.input(Input::Connected(conn));
        world.input(Input::Closed(conn, CloseReason::Io(IoFailure::new(kind, "no"))));
        let again = want(&mut world);
        assert_eq!(world.connecting.len(), usize::from(at_once), "{kind:?}");
        assert_eq!(world.is_done(again), !at_once, "and who asks is told why");
    }
}

#[test]
fn a_cancelled_wait_is_forgotten() {
    let mut world = World::new();
    let (gone, stays) = (want(&mut world), want(&mut world));
    world.input(Input::Cancel(gone));
    world.run();
    assert!(!world.is_done(gone) && !failed(&world, stays));
}

#[test]
fn back_off_grows_and_is_capped() {
    let mut world = World::new();
    world.dead.insert("b:1".into());
    let mut pauses = Vec::new();
    for _ in 0..8 {
        let op = want(&mut world);
        world.run();
        assert!(failed(&world, op));
        let failed_at = world.now;
        // Until the pause is over the same answer comes at once and without an attempt.
        while {
            want(&mut world);
            world.connecting.is_empty()
        } {
            world.now = world.now.after(Duration::from_millis(5));
        }
        pauses.push(u64::try_from(world.now.since(failed_at).as_millis()).unwrap());
        world.run();
        world.now = world.now.after(Duration::from_secs(3));
    }
    // Two failures each round: 100, 400, 1600, then the cap, each give or take a tenth.
    for (pause, expected) in pauses.iter().zip([100, 400, 1_600, 2_000, 2_000, 2_000, 2_000, 2_000]) {
        assert!((expected * 9 / 10..=expected * 11 / 10 + 5).contains(pause), "{pauses:?}");
    }
}

#[test]
fn success_ends_the_back_off() {
    let mut world = World::new();
    world.dead.insert("b:1".into());
    for _ in 0..4 {
        want(&mut world);
        world.run();
        world.now = world.now.after(Duration::from_secs(3));
    }
    world.dead.clear();
    want(&mut world);
    world.run();
    world.hang_up("b:1");
    world.dead.insert("b:1".into());
    want(&mut world);
    world.run();
    world.now = world.now.after(Duration::from_millis(111));
    want(&mut world);
    assert_eq!(world.connecting.len(), 1, "the first pause is short again");
}

#[test]
fn news_of_an_earlier_link_is_ignored() {
    let mut world = World::new();
    let first = want(&mut world);
    let (old, _) = world.connecting.remove(0);
    world.input(Input::ConnectFailed(old, refused()));
    assert!(failed(&world, first));
    world.now = world.now.after(Duration::from_secs(1));
    let second = want(&mut world);
    let (new, _) = world.connecting.remove(0);
    assert_eq!((new.index, new.generation), (old.index, old.generation + 1), "the slot is used again");
    world.input(Input::Connected(old));
    world.input(Input::ConnectFailed(old, refused()));
    world.input(Input::Closed(old, CloseReason::PeerClosed));
    assert!(!world.is_done(second));
    world.up.insert(new, "b:1".into());
    world.input(Input::Connected(new));
    assert!(!failed(&world, second));
    world.input(Input::Closed(old, CloseReason::PeerClosed));
    assert_eq!(world.views.last().unwrap().links.get(&Endpoint::from("b:1")), Some(&new));
}

#[test]
fn a_connect_that_takes_too_long_fails_what_waits() {
    let mut world = World::new();
    world.silent.insert("b:1".into());
    let op = want(&mut world);
    let frame = Preamble::request(99, Codec::Json).encode(|_| (), Bytes::new());
    let to = CallTarget::Endpoint("b:1".into());
    let call = world.command(Command::Call { to, frame, timeout: Duration::from_secs(30) });
    world.advance(2_999);
    assert!(!world.is_done(op));
    world.advance(1);
    assert!(failed(&world, op));
    assert!(world.connecting.is_empty(), "the attempt is given up");
    let CommandResult::Called(Err(error)) = world.result(call) else { panic!() };
    assert_eq!(error.sent, Sent::Never);
}

#[test]
fn links_that_no_route_leads_over_are_closed() {
    let mut world = World::new();
    world.topic("T", 1, &["a", "b"]);
    world.command(Command::StartProducer("p".into()));
    let op = world.command(Command::WantRoute { topic: "T".into(), fresh: false });
    world.run();
    assert!(matches!(world.result(op), CommandResult::Route(Ok(()))));
    let links = |world: &World| world.up.values().map(Endpoint::to_string).collect::<Vec<_>>();
    assert_eq!(links(&world), [NS, "a:1", "b:1"], "heartbeats opened them");
    world.topic("T", 1, &["b"]);
    world.advance(31_000);
    assert_eq!(links(&world), [NS, "b:1"]);
}

#[test]
fn what_may_not_be_connected_is_refused_at_once_and_told_once() {
    let mut world = World::with("169.254.0.1:9876", |_| ());
    for _ in 0..3 {
        let op = world.command(Command::WantLink("169.254.169.254:80".into()));
        assert!(matches!(world.result(op), CommandResult::Link(Err(RequestFailure::NotAllowed))));
    }
    assert!(world.connecting.is_empty());
    assert_eq!(world.events, [ClientEvent::AddressRefused("169.254.169.254:80".into())]);
    world.command(Command::WantLink("169.254.0.1:9876".into()));
    assert_eq!(world.connecting.len(), 1, "what is given by hand is meant");
    world.command(Command::NameServers(alloc::vec!["[fe80::1]:9876".into()]));
    world.command(Command::WantLink("[fe80::1]:9876".into()));
    assert!(world.connecting.iter().any(|(_, to)| to.as_str() == "[fe80::1]:9876"));
    for at in 0..1_000 {
        world.command(Command::WantLink(alloc::format!("169.254.{}.{}:1", at / 250, at % 250).into()));
    }
    let told = world.count(|event| matches!(event, ClientEvent::AddressRefused(_)));
    assert_eq!(told, 256, "and no more than can be kept in mind");
}

/// Each tries the server again within 2 s, but not all at the same moment.
#[test]
fn a_thousand_clients_of_a_server_that_was_away_do_not_come_back_together() {
    let mut tries: BTreeMap<u64, usize> = BTreeMap::new();
    for seed in 0..1_000 {
        let config = ClientConfig::new(crate::config::parse_name_servers("n:1"), ME.into());
        let mut machine = ClientMachine::new(Arc::new(config), seed, Instant::ZERO, UnixMillis(0));
        let mut now = Instant::ZERO;
        let mut op = 0;
        // They lose it together, and want it all the time.
        while now < Instant::from_millis(10_000) {
            op += 1;
            machine.handle(now, Input::Command { op: OpId(op), command: Command::WantLink("n:1".into()) });
            machine.handle_timeout(now);
            while let Some(output) = machine.poll_output() {
                if let Output::Connect { conn, .. } = output {
                    *tries.entry(now.as_micros() / 10_000).or_default() += 1;
                    machine.handle(now, Input::ConnectFailed(conn, refused()));
                }
            }
            now = now.after(Duration::from_millis(10));
        }
    }
    let late: Vec<_> = tries.range(500..).collect();
    let all: usize = late.iter().map(|(_, tries)| **tries).sum();
    let most = late.iter().map(|(_, tries)| **tries).max().unwrap_or(0);
    assert!((2_000..4_000).contains(&all), "every client tries every 2 s: {all} in 5 s");
    assert!(most < 100, "at most a tenth of them within 10 ms: {most}");
}
