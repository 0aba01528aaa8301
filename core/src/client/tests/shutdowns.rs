use super::*;

fn shutdown(world: &mut World, millis: u64) {
    let deadline = world.now.after(Duration::from_millis(millis));
    world.input(Input::Shutdown { deadline });
}

impl World {
    /// After the end completions still come; `pump` refuses anything else.
    fn command_after_end(&mut self, command: Command) -> CommandResult {
        let op = OpId(self.next_op);
        self.next_op += 1;
        self.machine.handle(self.now, Input::Command { op, command });
        match (self.machine.poll_output(), self.machine.poll_output()) {
            (Some(Output::Complete { op: done, result }), None) if done == op => result,
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn an_idle_client_ends_at_once() {
    let mut world = World::new();
    shutdown(&mut world, 30_000);
    assert_eq!((world.closed, world.machine.load()), (1, (0, 0)));
    assert!(matches!(world.command_after_end(Command::Open), CommandResult::Closed));
}

#[test]
fn stages_follow_one_another() {
    let mut world = World::consuming(1, |_| ());
    world.command(Command::StartProducer("p".into()));
    world.run();
    let pull = world.pull("T");
    world.found(pull, 500..503);
    let mut taken = None;
    world.dispatch(&"g".into(), |dispatch| taken = dispatch.take(Instant::ZERO));
    world.held.extend([request::UPDATE_CONSUMER_OFFSET, request::UNREGISTER_CLIENT]);
    shutdown(&mut world, 30_000);
    world.run();
    let mut more = None;
    world.dispatch(&"g".into(), |dispatch| more = dispatch.take(Instant::ZERO));
    assert!(more.is_none(), "nothing more is handed out");
    assert_eq!(world.open(request::UPDATE_CONSUMER_OFFSET, |_| true), 0, "what is out may be settled");
    world.dispatch(&"g".into(), |dispatch| {
        dispatch.settle(&taken.unwrap(), Outcome::Done);
    });
    world.run();
    let commit = world.take(request::UPDATE_CONSUMER_OFFSET);
    assert_eq!(commit.field("commitOffset"), "501");
    assert_eq!(world.open(request::UNREGISTER_CLIENT, |_| true), 0);
    world.reply(commit, answer(0, |_| (), []));
    world.run();
    let leave = world.take(request::UNREGISTER_CLIENT);
    assert_eq!((leave.field("consumerGroup"), leave.field("producerGroup")), ("g", ""));
    assert_eq!(world.closed, 0);
    world.reply(leave, answer(0, |_| (), []));
    world.run();
    let leave = world.take(request::UNREGISTER_CLIENT);
    assert_eq!((leave.field("consumerGroup"), leave.field("producerGroup")), ("", "p"));
    world.reply(leave, answer(0, |_| (), []));
    world.run();
    assert_eq!((world.closed, world.machine.load()), (1, (0, 0)));
}

#[test]
fn a_second_shutdown_changes_nothing() {
    let mut world = World::consuming(1, |_| ());
    world.held.insert(request::UNREGISTER_CLIENT);
    shutdown(&mut world, 30_000);
    shutdown(&mut world, 1);
    world.run();
    assert_eq!(world.closed, 0);
    world.held.clear();
    world.run();
    assert_eq!((world.closed, world.machine.load()), (1, (0, 0)));
    world.machine.handle(world.now, Input::Shutdown { deadline: world.now });
    assert!(world.machine.poll_output().is_none());
}

#[test]
fn a_start_under_way_ends_as_closed() {
    let mut world = World::new();
    world.topic("T", 1, &["b"]);
    world.held.insert(request::HEART_BEAT);
    let start = world.start(|_| ());
    world.run();
    shutdown(&mut world, 30_000);
    world.run();
    assert!(matches!(world.result(start), CommandResult::Started(Err(StartError::Closed))));
    assert_eq!((world.closed, world.machine.load()), (1, (0, 0)));
}

#[test]
fn with_dead_brokers_it_ends_by_the_deadline_and_tells_what_is_unsettled() {
    let mut world = World::consuming(1, |_| ());
    let pull = world.pull("T");
    world.found(pull, 500..503);
    world.dispatch(&"g".into(), |dispatch| {
        assert!(dispatch.take(Instant::ZERO).is_some() && dispatch.take(Instant::ZERO).is_some());
    });
    world.run();
    let deadline = world.now.after(Duration::from_secs(60));
    let stop = world.stop("g", deadline);
    world.silent.insert("b:1".into());
    shutdown(&mut world, 5_000);
    world.advance(4_999);
    world.advance(1);
    assert_eq!((world.closed, world.machine.load()), (1, (0, 0)));
    assert!(matches!(world.result(stop), CommandResult::Stopped(Drained { unsettled: 2 })));
}

#[test]
fn a_stop_under_way_gives_way_to_the_earlier_end_and_still_commits() {
    let mut world = World::consuming(1, |_| ());
    world.advance(6_000);
    let pull = world.pull("T");
    world.found(pull, 500..503);
    let mut taken = Vec::new();
    world.dispatch(&"g".into(), |dispatch| taken.extend(core::iter::from_fn(|| dispatch.take(Instant::ZERO))));
    world.dispatch(&"g".into(), |dispatch| {
        dispatch.settle(&taken[0], Outcome::Done);
    });
    let deadline = world.now.after(Duration::from_secs(60));
    let stop = world.stop("g", deadline);
    world.held.insert(request::UPDATE_CONSUMER_OFFSET);
    shutdown(&mut world, 4_000);
    world.advance(3_500);
    let commit = world.take(request::UPDATE_CONSUMER_OFFSET);
    assert_eq!(commit.field("commitOffset"), "501");
    world.reply(commit, answer(0, |_| (), []));
    world.advance(500);
    assert!(matches!(world.result(stop), CommandResult::Stopped(Drained { unsettled: 2 })));
    assert_eq!(world.closed, 1);
}

#[test]
fn a_call_that_fails_over_while_links_close_opens_no_new_one() {
    let mut world = World::with("n1:1;n2:2", |_| ());
    world.held.insert(request::GET_ROUTEINFO_BY_TOPIC);
    let op = world.command(Command::WantRoute { topic: "T".into(), fresh: false });
    let open = world.command(Command::Open);
    world.run();
    assert_eq!(world.up.len(), 1);
    shutdown(&mut world, 5_000);
    world.run();
    assert_eq!((world.closed, world.machine.load()), (1, (0, 0)));
    assert!(world.connecting.is_empty() && world.up.is_empty());
    assert!(world.is_done(op) && world.is_done(open));
}

#[test]
fn connects_under_way_end_too() {
    let mut world = World::with("n1:1;n2:2", |_| ());
    world.silent.extend(["n1:1".into(), "n2:2".into(), "b:1".into()]);
    let ops = [world.command(Command::Open), world.command(Command::WantLink("b:1".into()))];
    shutdown(&mut world, 5_000);
    world.run();
    assert_eq!((world.closed, world.machine.load()), (1, (0, 0)));
    assert!(ops.iter().all(|op| world.done[op].len() == 1), "{:?}", world.done);
}

#[test]
fn a_stopped_consumer_leaves_the_others_alone() {
    let mut world = World::consuming(1, |_| ());
    let deadline = world.now.after(Duration::from_secs(30));
    let stop = world.stop("g", deadline);
    let twice = world.stop("g", deadline);
    let nobody = world.stop("other", deadline);
    world.run();
    for op in [stop, twice, nobody] {
        assert!(matches!(world.result(op), CommandResult::Stopped(Drained { unsettled: 0 })));
    }
    assert_eq!(world.closed, 0);
    let again = world.start(|_| ());
    world.run();
    assert!(matches!(world.result(again), CommandResult::Started(Ok(()))));
}

#[test]
fn who_stops_a_consumer_that_is_stopping_waits_for_the_same_end() {
    let mut world = World::consuming(1, |_| ());
    let pull = world.pull("T");
    world.found(pull, 500..503);
    world.dispatch(&"g".into(), |dispatch| assert!(dispatch.take(Instant::ZERO).is_some()));
    world.run();
    let (late, early) = (world.now.after(Duration::from_secs(60)), world.now.after(Duration::from_secs(8)));
    let stops = [world.stop("g", late), world.stop("g", early), world.stop("g", late)];
    world.advance(5_000);
    assert!(stops.iter().all(|op| !world.is_done(*op)), "a message may still be settled");
    world.advance(3_000);
    for op in stops {
        assert!(matches!(world.result(op), CommandResult::Stopped(Drained { unsettled: 1 })));
    }
}

/// A client that consumes and traces, on its way to its end.
fn tracing(millis: u64) -> World {
    let mut world = World::consuming(1, |_| ());
    world.topic("trace", 1, &["c"]);
    world.command(Command::StartTracer("tracer".into()));
    world.command(Command::StartProducer("p".into()));
    world.run();
    let pull = world.pull("T");
    world.found(pull, 500..503);
    world.dispatch(&"g".into(), |dispatch| assert!(dispatch.take(Instant::ZERO).is_some()));
    world.run();
    shutdown(&mut world, millis);
    world.run();
    assert!(world.flushes.is_empty(), "a message is in a handler");
    world
}

/// Waits until trace records are to be sent: for how much longer the client may live, and they may take, milliseconds.
fn flushing(world: &mut World, millis: u64) -> [u128; 2] {
    let end = world.now.after(Duration::from_millis(millis));
    while world.flushes.is_empty() {
        assert_eq!(world.closed, 0);
        world.advance(100);
    }
    [end, world.flushes[0]].map(|at| world.now.until(at).as_millis())
}

#[test]
fn the_last_trace_records_are_sent_once_consumers_are_stopped() {
    let mut world = tracing(30_000);
    let [left, by] = flushing(&mut world, 30_000);
    assert_eq!(by, left / 2);
    // Their topic may be new, and so may be the link to its broker.
    let route = world.command(Command::WantRoute { topic: "trace".into(), fresh: false });
    let link = world.command(Command::WantLink("c:1".into()));
    world.run();
    assert!(matches!(world.result(route), CommandResult::Route(Ok(()))), "{:?}", world.result(route));
    assert!(matches!(world.result(link), CommandResult::Link(Ok(()))));
    let other = world.command(Command::StartProducer("q".into()));
    let stop = world.command(Command::StopProducer("p".into()));
    world.run();
    assert!([other, stop].iter().all(|op| matches!(world.result(*op), CommandResult::Closed)));
    assert_eq!(world.closed, 0);
    let stop = world.command(Command::StopProducer("tracer".into()));
    world.run();
    assert!(matches!(world.result(stop), CommandResult::Done));
    assert_eq!((world.closed, world.machine.load(), world.flushes.len()), (1, (0, 0), 1));
}

#[test]
fn trace_records_that_cannot_be_sent_delay_the_end_by_five_seconds_at_most() {
    let mut world = tracing(4_000);
    let [left, by] = flushing(&mut world, 4_000);
    assert_eq!((by, left), (left / 2, 2 * by), "half of the time that is left");
    world.advance(u64::try_from(by).unwrap() - 1);
    assert_eq!(world.closed, 0);
    world.advance(1);
    assert_eq!((world.closed, world.machine.load()), (1, (0, 0)));
    let mut world = World::new();
    world.command(Command::StartTracer("tracer".into()));
    world.run();
    shutdown(&mut world, 30_000);
    world.run();
    world.advance(4_999);
    assert_eq!(world.closed, 0);
    world.advance(1);
    assert_eq!((world.closed, world.machine.load()), (1, (0, 0)));
}

#[test]
fn who_has_stopped_tracing_is_not_waited_for() {
    let mut world = World::new();
    world.command(Command::StartTracer("tracer".into()));
    world.command(Command::StopProducer("tracer".into()));
    world.run();
    shutdown(&mut world, 30_000);
    world.run();
    assert_eq!((world.closed, world.flushes.len()), (1, 0));
    assert!(matches!(world.command_after_end(Command::WantLink("b:1".into())), CommandResult::Closed));
}
