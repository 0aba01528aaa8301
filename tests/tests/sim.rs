//! Simulated runs of the whole client, a few of them; `sim sweep` runs many.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use rocketmq_core::config::StartFrom;
use rocketmq_core::driver::{Client, Producer, Runtime};
use rocketmq_core::message::Message;
use rocketmq_testkit::cluster::Node;
use rocketmq_testkit::sim::workload::{self, Options};
use rocketmq_testkit::sim::{self, Fault, Host, Sim, Swarm, World};

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
fn a_script_lets_only_its_faults_happen() {
    let script = vec![(Fault::Restart, 0)];
    let swarm = Swarm::calm();
    let mut swarm = swarm;
    swarm.with(Fault::Restart, 50_000);
    let options = Options { swarm: Some(swarm), script: Some(script), ..Options::default() };
    let report = workload::check_with(7, options);
    assert_eq!(report.counts.of(Fault::Restart), 1);
    assert!(report.wanted.of(Fault::Restart) > 1);
    assert_eq!(report.failure, None);
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

/// A payment service: for each order it sends a payment. It is written against the handles, so that it runs on any
/// runtime; `careless` plants the mistake of acknowledging an order before its payment is stored.
async fn payment_service(client: Client, payments: Producer, careless: bool) -> Result<(), String> {
    let consumer = client.push_consumer("payment").subscribe("orders", "*").start_from(StartFrom::First);
    let consumer = consumer.start().await.map_err(|error| error.to_string())?;
    while let Some(order) = consumer.next().await {
        let payment = Message::new("payments", order.message().detach());
        if careless {
            order.ack();
            drop(payments.send(payment).await);
        } else if payments.send(payment).await.is_ok() {
            order.ack();
        } else {
            order.retry();
        }
    }
    Ok(())
}

/// A shop under simulation: orders are sent through faults, then all of them must be paid.
async fn shop(world: World, careless: bool) -> Result<(), String> {
    let connect = async |host: &Host| loop {
        match Client::builder().connect_on(host).await {
            Ok(client) => return client,
            Err(_) => world.sleep(Duration::from_secs(5)).await,
        }
    };
    let (shop, till) = (world.host("10.0.0.7"), world.host("10.0.0.8"));
    let client = connect(&till).await;
    let payments = client.producer("till").start().await.map_err(|error| error.to_string())?;
    let service = {
        let (client, world) = (client.clone(), world.clone());
        async move {
            // A consumer that does not start is tried again, as a supervisor would.
            while payment_service(client.clone(), payments.clone(), careless).await.is_err() {
                world.sleep(Duration::from_secs(5)).await;
            }
        }
    };
    world.spawn_on(&till, service).detach();
    let orders = connect(&shop).await.producer("shop").start().await.map_err(|error| error.to_string())?;
    let accepted = Arc::new(Mutex::new(Vec::new()));
    for order in 0..40 {
        if orders.send(Message::new("orders", format!("order {order}"))).await.is_ok() {
            accepted.lock().map_err(|error| error.to_string())?.push(format!("order {order}"));
        }
        world.sleep(Duration::from_secs(world.choose(10))).await;
        if order == 20 {
            world.crash(Node::Broker(0));
            world.sleep(Duration::from_secs(3)).await;
            world.start(Node::Broker(0));
        }
    }
    world.heal();
    // A payment that failed again and again waits longer each time: the whole ladder takes 4 h 46 min.
    world.sleep(Duration::from_secs(6 * 3_600)).await;
    let paid: Vec<_> = world.stored("payments").into_iter().map(|payment| payment.body).collect();
    let unpaid = |order: &&String| !paid.iter().any(|body| body == order.as_bytes());
    let unpaid: Vec<_> = accepted.lock().map_err(|error| error.to_string())?.iter().filter(unpaid).cloned().collect();
    client.shutdown().await;
    if unpaid.is_empty() { Ok(()) } else { Err(format!("never paid: {unpaid:?}")) }
}

fn shop_of(seed: u64, careless: bool) -> Option<String> {
    let sim = Sim::new(seed).topic("orders", 4).topic("payments", 4).name_servers(2);
    // A record that cannot be read and that the broker does not take back stops its queue until an operator looks:
    // no service can mend that.
    let sim = sim.without(Fault::CorruptRecord).without(Fault::BitFlip);
    sim.try_run(|world| shop(world, careless)).failure.map(|failure| failure.text)
}

#[test]
fn a_service_with_a_planted_mistake_is_caught_and_the_mended_one_is_not() {
    let caught = (0..40).find(|seed| shop_of(*seed, true).is_some_and(|text| text.contains("never paid")));
    let seed = caught.expect("some seed loses a payment");
    assert_eq!(shop_of(seed, true), shop_of(seed, true), "a seed fails the same way each time");
    for seed in (0..10).chain([seed]) {
        assert_eq!(shop_of(seed, false), None, "seed {seed:#x}");
    }
}
