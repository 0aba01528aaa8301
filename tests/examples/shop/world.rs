//! The shop in the simulator: a day with faults, after which every order must be settled, once.

use std::time::Duration;

use rocketmq_core::driver::Client;
use rocketmq_core::message::Message;
use rocketmq_testkit::sim::{Fault, Host, Report, Sim, Task, World};

use crate::service::{self, Books, Mistake};

/// Runs the day of a seed.
pub(crate) fn day(seed: u64, mistake: Mistake) -> Report {
    sim(seed).try_run(move |world| customers(world, mistake))
}

/// The same, with all that its timeline needs.
pub(crate) fn traced_day(seed: u64, mistake: Mistake) -> Report {
    sim(seed).traced().try_run(move |world| customers(world, mistake))
}

fn sim(seed: u64) -> Sim {
    let sim = Sim::new(seed).topic("orders", 4).topic("payments", 4);
    // What a service cannot mend: brokers that lose or spoil what they have taken. A record that cannot be read and that
    // its broker does not take back either stops its queue, until somebody decides.
    let lossy = [Fault::LostTail, Fault::Retention, Fault::CorruptRecord, Fault::BitFlip, Fault::WrongCrc];
    lossy.into_iter().fold(sim, Sim::without)
}

async fn customers(world: World, mistake: Mistake) -> Result<(), String> {
    let ledger = Books::default();
    let till = open_till(&world, mistake);
    let _books = open_books(&world, &ledger, mistake);
    let shop = world.host("10.0.0.7").named("shop");
    let client = service::connect(&shop, Client::builder()).await;
    let orders = client.producer("shop").start().await.map_err(|error| error.to_string())?;
    world.chaos();
    let mut accepted = Vec::new();
    for number in 0..40 {
        let order = format!("order {number}");
        if orders.send(Message::new("orders", order.clone())).await.is_ok() {
            world.tell(&shop, format!("{order} is accepted"));
            accepted.push(order);
        }
        world.sleep(Duration::from_secs(world.choose(15))).await;
        if number == 20 {
            world.tell(&till.0, "the till crashes");
            world.kill(&till.0);
            // A supervisor starts it again.
            let _till = open_till(&world, mistake);
        }
    }
    world.heal();
    // An order that failed again and again waits longer each time: the whole ladder takes 4 h 46 min.
    for _ in 0..6 * 60 {
        world.sleep(Duration::from_secs(60)).await;
        if accepted.iter().all(|order| ledger.times(order) > 0) {
            break;
        }
    }
    client.shutdown().await;
    let wrong = accepted.iter().filter(|order| ledger.times(order) != 1);
    let wrong: Vec<String> = wrong.map(|order| format!("{order} is settled {} times", ledger.times(order))).collect();
    if wrong.is_empty() { Ok(()) } else { Err(wrong.join(", ")) }
}

/// A process with a till in it.
fn open_till(world: &World, mistake: Mistake) -> (Host, Task<()>) {
    let (host, of) = (world.host("10.0.0.8").named("till"), world.clone());
    let task = world.spawn_on(&host, {
        let host = host.clone();
        async move {
            let client = service::connect(&host, Client::builder()).await;
            let log = {
                let host = host.clone();
                move |text: String| of.tell(&host, text)
            };
            service::till(host, client, mistake, log).await;
        }
    });
    (host, task)
}

/// A process with the books in it.
fn open_books(world: &World, ledger: &Books, mistake: Mistake) -> Task<()> {
    let (host, of, ledger) = (world.host("10.0.0.9").named("books"), world.clone(), ledger.clone());
    world.spawn_on(&host.clone(), async move {
        let client = service::connect(&host, Client::builder()).await;
        let log = {
            let host = host.clone();
            move |text: String| of.tell(&host, text)
        };
        service::books(host, client, ledger, mistake, log).await;
    })
}
