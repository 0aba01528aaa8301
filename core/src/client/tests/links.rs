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
