//! Simulated runs of the whole client, a few of them; `sim sweep` runs many.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::path::Path;
use std::time::Duration;

use futures_lite::future;
use rocketmq_core::client::ClientEvent;
use rocketmq_core::config::{ConfigError, StartFrom};
use rocketmq_core::driver::{Client, ClientBuilder, ConnectError, EventStream, Runtime};
use rocketmq_core::message::Message;
use rocketmq_testkit::cluster::Node;
use rocketmq_testkit::sim::workload::{self, Options};
use rocketmq_testkit::sim::{self, Fault, Occasion, Report, Script, Sim, invariants};

#[test]
fn every_invariant_holds_for_some_seeds() {
    for seed in 0..30 {
        let report = workload::check(seed);
        assert_eq!(report.failure, None, "seed {seed:#x}");
        assert!(report.events > 1_000, "seed {seed:#x} does nothing");
    }
}

#[test]
fn a_seed_is_a_run() {
    for seed in 100..104 {
        let (one, two) = (workload::check(seed), workload::check(seed));
        assert_eq!(one.hash, two.hash, "seed {seed:#x}");
    }
    assert_ne!(workload::check(100).hash, workload::check(101).hash);
}

#[test]
fn bytes_are_a_run() {
    let bytes: Vec<u8> = (0..600_u32).map(|at| (at * 97 % 251) as u8).collect();
    let (one, two) = (sim::check_tape(&bytes), sim::check_tape(&bytes));
    assert_eq!((one.failure, one.hash), (None, two.hash));
    assert!(one.counts.iter().any(|(_, times)| times > 0), "bytes make faults happen");
    assert_ne!(one.hash, sim::check_tape(&bytes[..300]).hash);
    assert_eq!(sim::check_tape(&[]).failure, None);
}

#[test]
fn the_script_of_a_run_is_that_run_but_for_what_happens_at_one_instant() {
    for seed in [3, 11, 12] {
        let run = workload::check(seed);
        let options = Options { script: Some(run.happened.clone()), ..Options::default() };
        let (again, once_more) = (workload::check_with(seed, options.clone()), workload::check_with(seed, options));
        assert_eq!((again.hash, &again.failure), (once_more.hash, &None), "seed {seed}");
        let (run, again) = (set_of(&run), set_of(&again));
        assert!(again.is_subset(&run), "seed {seed}: {:?}", again.difference(&run).collect::<Vec<_>>());
        assert!(again.len() * 10 > run.len() * 7, "seed {seed}: {} of {}", again.len(), run.len());
    }
}

#[test]
fn a_script_lets_only_its_faults_happen() {
    let restart = Occasion::At { fault: Fault::Restart, at_us: 30_000_000, draw: 1 };
    let refused = Occasion::Nth { fault: Fault::ErrorCode, nth: 5 };
    let script = vec![restart.clone(), refused.clone(), Occasion::Nth { fault: Fault::Fin, nth: u64::MAX }];
    let report = workload::check_with(7, Options { script: Some(script), ..Options::default() });
    let happened: Vec<_> = report.counts.iter().filter(|(_, times)| *times > 0).collect();
    let unplanned = [Fault::OtherVersion, Fault::OtherProcess];
    let happened: Vec<_> = happened.into_iter().filter(|(fault, _)| !unplanned.contains(fault)).collect();
    assert_eq!(happened, [(Fault::ErrorCode, 1), (Fault::Restart, 1)]);
    assert_eq!(set_of(&report), BTreeSet::from([restart, refused]));
    assert_eq!(report.failure, None);
}

fn set_of(report: &Report) -> BTreeSet<Occasion> {
    report.happened.iter().cloned().collect()
}

#[test]
fn scripts_of_what_once_failed_hold() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("regressions");
    let files = std::fs::read_dir(folder).expect("the folder").map(|file| file.expect("a file").path());
    let paths: Vec<_> = files.filter(|path| path.extension().is_some_and(|extension| extension == "json")).collect();
    assert!(paths.len() >= 20, "only {} scripts", paths.len());
    for path in paths {
        let script = Script::read(&path).expect("a script");
        assert_eq!(script.run().failure, None, "{}: {}", path.display(), script.about);
        assert!(invariants::ALL.iter().any(|known| known.id == script.invariant) || script.invariant == "X1");
    }
}

#[test]
fn a_panicking_task_and_code_that_waits_for_nothing_fail_the_run() {
    let report = Sim::new(1).calm().try_run(|world| async move {
        world.client("10.0.0.7").host().spawn(async { panic!("planted") });
        world.sleep(Duration::from_secs(1)).await;
    });
    let failure = report.failure.expect("a panic is a failure");
    assert_eq!(failure.invariant, "X1");
    assert!(failure.text.contains("planted"), "{failure:?}");
    let report = Sim::new(1).calm().try_run(|_| std::future::pending::<()>());
    assert_eq!(report.failure.expect("nothing will happen any more").invariant, "L1");
}

#[test]
fn a_broker_that_comes_back_is_found_again() {
    Sim::new(5).brokers(1).topic("orders", 2).calm().run(|world| async move {
        let client = world.client("10.0.0.7").connect().await.map_err(|error| error.to_string())?;
        let producer = client.producer("shop").start().await.map_err(|error| error.to_string())?;
        producer.send(Message::new("orders", "1")).await.map_err(|error| error.to_string())?;
        world.crash(Node::Broker(0));
        world.sleep(Duration::from_secs(1)).await;
        let down = producer.send(Message::new("orders", "2")).await;
        assert!(!down.expect_err("nobody is there").may_be_stored());
        world.start(Node::Broker(0));
        world.sleep(Duration::from_secs(60)).await;
        producer.send(Message::new("orders", "3")).await.map_err(|error| error.to_string())?;
        assert_eq!(world.stored("orders").len(), 2);
        client.shutdown().await;
        Ok::<(), String>(())
    });
}

/// The environment says what a builder does not.
#[test]
fn environments_name_clients_and_choose_their_codec() {
    let report = Sim::new(9).topic("orders", 1).calm().run(|world| async move {
        let host = world.host("10.0.0.7").with_env("rocketmq.client.name", "till");
        let host = host.with_env("ROCKETMQ_SERIALIZE_TYPE", "ROCKETMQ");
        let client = world.builder().connect_on(&host).await.map_err(|error| error.to_string())?;
        assert_eq!(client.client_id().as_str(), "10.0.0.7@till");
        let producer = client.producer("shop").start().await.map_err(|error| error.to_string())?;
        producer.send(Message::new("orders", "1")).await.map_err(|error| error.to_string())?;
        let host = world.host("10.0.0.8").with_env("ROCKETMQ_SERIALIZE_TYPE", "XML");
        let unknown = world.builder().connect_on(&host).await;
        assert!(matches!(unknown, Err(ConnectError::Config(ConfigError::Codec(named))) if named == "XML"));
        Ok::<(), String>(())
    });
    assert!(report.marks["a request in the binary codec"] > 0, "{:?}", report.marks);
}

/// Everything goes over TLS, through restarts and broken links; a client that does not speak it gets nowhere.
#[test]
fn encrypted_links_work_as_others_do() {
    let run = || {
        Sim::new(8).encrypted().brokers(1).topic("orders", 2).without(Fault::Blackhole).run(|world| async move {
            let client = loop {
                if let Ok(client) = world.client("10.0.0.7").connect().await {
                    break client;
                }
            };
            let consumer = client.push_consumer("billing").subscribe("orders", "*").start_from(StartFrom::First);
            let consumer = consumer.start().await.map_err(|error| error.to_string())?;
            let producer = client.producer("shop").start().await.map_err(|error| error.to_string())?;
            world.chaos();
            for number in 0..50 {
                while producer.send(Message::new("orders", number.to_string())).await.is_err() {}
                if number == 20 {
                    world.crash(Node::Broker(0));
                    world.sleep(Duration::from_secs(5)).await;
                    world.start(Node::Broker(0));
                }
            }
            world.heal();
            let mut missing: BTreeSet<_> = (0..50).map(|number| number.to_string().into_bytes()).collect();
            while !missing.is_empty() {
                let delivery = consumer.next().await.ok_or("closed")?;
                missing.remove(&delivery.message().body()[..]);
                delivery.ack();
            }
            let plain = Client::builder().lazy().connect_on(&world.host("10.0.0.8")).await;
            let plain = plain.map_err(|error| error.to_string())?.producer("shop").start().await;
            let unheard = plain.map_err(|error| error.to_string())?.send(Message::new("orders", "in plain text")).await;
            assert!(unheard.is_err(), "servers answer those only who speak TLS");
            client.shutdown().await;
            Ok::<(), String>(())
        })
    };
    assert_eq!(run().hash, run().hash);
}

/// Clients of two containers that got the same address and name: both own the same queues, and both are told.
#[test]
fn two_clients_of_one_id_are_told_of_each_other() {
    Sim::new(6).brokers(1).topic("orders", 4).calm().run(|world| async move {
        let container = |ip| {
            let same =
                |builder: ClientBuilder| builder.client_ip(Ipv4Addr::new(172, 17, 0, 2).into()).instance_name("app");
            world.client(ip).configure(same).connect()
        };
        let first = container("10.0.0.7").await.map_err(|error| error.to_string())?;
        let (events, group) = (first.events(), first.push_consumer("billing").subscribe("orders", "*"));
        let _consumer = group.start().await.map_err(|error| error.to_string())?;
        world.sleep(Duration::from_secs(300)).await;
        assert_eq!(collisions(events), 0, "one alone");

        let second = container("10.0.0.8").await.map_err(|error| error.to_string())?;
        assert_eq!(first.client_id(), second.client_id());
        let (events, more) = (first.events(), second.events());
        let _twin = second.push_consumer("billing").subscribe("orders", "*").start().await;
        world.sleep(Duration::from_secs(300)).await;
        assert_eq!((collisions(events), collisions(more)), (1, 1));
        Ok::<(), String>(())
    });
}

/// A connection that broke unnoticed is listed beside its successor until the broker drops it.
#[test]
fn a_broken_connection_is_no_other_client() {
    Sim::new(7).brokers(1).topic("orders", 4).calm().run(|world| async move {
        let client = world.client("10.0.0.7");
        let host = client.host().clone();
        let client = client.connect().await.map_err(|error| error.to_string())?;
        let events = client.events();
        let _consumer = client.push_consumer("billing").subscribe("orders", "*").start().await;
        for _ in 0..3 {
            world.partition(&host, Node::Broker(0), Duration::from_secs(60));
            world.sleep(Duration::from_secs(200)).await;
        }
        assert_eq!(collisions(events), 0);
        Ok::<(), String>(())
    });
}

/// How often a client told by now that another has its id.
fn collisions(mut events: EventStream) -> usize {
    let told = std::iter::from_fn(|| future::block_on(future::poll_once(events.next())).flatten());
    told.filter(|event| matches!(event, ClientEvent::ClientIdCollision { .. })).count()
}
