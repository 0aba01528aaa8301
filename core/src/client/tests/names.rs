use super::*;

const TWO: &str = "n1:1;n2:2";

fn ask(world: &mut World) -> OpId {
    world.command(Command::WantRoute { topic: "T".into(), fresh: false })
}

fn two() -> World {
    let mut world = World::with(TWO, |_| ());
    world.topic("T", 1, &["b"]);
    world
}

/// The name server that is asked first, and the other.
fn order(world: &mut World) -> (Endpoint, Endpoint) {
    let first = world.connecting[0].1.clone();
    let other = if first.as_str() == "n1:1" { "n2:2" } else { "n1:1" };
    (first, other.into())
}

#[test]
fn a_dead_name_server_is_passed_at_once() {
    let mut world = two();
    let op = ask(&mut world);
    let (first, other) = order(&mut world);
    world.dead.insert(first);
    world.run();
    assert!(matches!(world.result(op), CommandResult::Route(Ok(()))));
    assert_eq!(world.now, Instant::ZERO);
    assert!(world.up.values().any(|to| *to == other));
}

#[test]
fn a_silent_name_server_costs_one_hedge_and_is_not_asked_first_again() {
    let mut world = two();
    let op = ask(&mut world);
    let (first, other) = order(&mut world);
    let (conn, _) = world.connecting.remove(0);
    world.up.insert(conn, first.clone());
    world.input(Input::Connected(conn));
    world.silent.insert(first.clone());
    world.advance(499);
    assert!(!world.is_done(op));
    assert!(world.up.values().all(|to| *to == first), "the other is not bothered before");
    world.advance(1);
    assert!(matches!(world.result(op), CommandResult::Route(Ok(()))));
    // The late answer of the first changes nothing.
    let late = world.take(request::GET_ROUTEINFO_BY_TOPIC);
    assert_eq!(late.to, first);
    let views = world.views.len();
    let frame = answer(0, |_| (), route(9, &["x"]).encode(JsonForm::Standard));
    world.reply(late, frame);
    assert_eq!((world.views.len(), world.done[&op].len()), (views, 1));
    world.held.insert(request::GET_ROUTEINFO_BY_TOPIC);
    world.command(Command::WantRoute { topic: "U".into(), fresh: false });
    world.run();
    assert_eq!(world.take(request::GET_ROUTEINFO_BY_TOPIC).to, other);
}

#[test]
fn when_all_fail_the_caller_learns_it_by_the_deadline() {
    let mut world = two();
    world.silent.extend(["n1:1".into(), "n2:2".into()]);
    let op = ask(&mut world);
    world.advance(3_500);
    assert!(matches!(world.result(op), CommandResult::Route(Err(RouteError::Unavailable(_)))));
    assert_eq!(world.machine.load().0, 0);
}

#[test]
fn opening_is_staggered_and_the_first_link_wins() {
    let mut world = two();
    world.silent.extend(["n1:1".into(), "n2:2".into()]);
    let op = world.command(Command::Open);
    let later = world.command(Command::Open);
    assert_eq!(world.connecting.len(), 1);
    world.advance(249);
    assert_eq!(world.connecting.len(), 1);
    world.advance(1);
    assert_eq!(world.connecting.len(), 2);
    let second = world.connecting[1].1.clone();
    world.silent.remove(&second);
    world.run();
    assert!([op, later].iter().all(|op| matches!(world.result(*op), CommandResult::Opened(Ok(())))));
    let third = world.command(Command::Open);
    assert!(matches!(world.result(third), CommandResult::Opened(Ok(()))));
    assert!(!world.machine.fx.timers.is_armed(&TimerKey::OpenDeadline));
}

#[test]
fn unavailable_tells_of_each_address_why() {
    let mut world = two();
    world.dead.insert("n1:1".into());
    world.silent.insert("n2:2".into());
    let op = world.command(Command::Open);
    world.advance(2_999);
    assert!(!world.is_done(op));
    world.advance(1);
    let CommandResult::Opened(Err(unavailable)) = world.result(op) else { panic!() };
    let mut tried = unavailable.tried.clone();
    tried.sort_by(|a, b| a.0.cmp(&b.0));
    assert_eq!(tried[0], ("n1:1".into(), RequestFailure::Connect(refused())));
    assert_eq!(tried[1].0.as_str(), "n2:2");
    assert!(unavailable.to_string().contains("n1:1 (cannot connect: refused)"), "{unavailable}");
}

#[test]
fn a_server_that_comes_up_in_time_is_found() {
    let mut world = two();
    world.dead.extend(["n1:1".into(), "n2:2".into()]);
    let op = world.command(Command::Open);
    world.advance(1_500);
    world.dead.clear();
    world.advance(1_499);
    assert!(matches!(world.result(op), CommandResult::Opened(Ok(()))));
}
