//! The shop on tokio, against a cluster in this process.

use std::time::Duration;

use rocketmq_testkit::cluster::tcp::EmbeddedCluster;
use rocketmq_tokio::{Message, Tokio};

use crate::service::{self, Books, Mistake};

/// Serves a few customers and returns how many of their orders are settled.
pub(crate) fn run() -> Result<usize, String> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    runtime.map_err(|error| error.to_string())?.block_on(customers())
}

async fn customers() -> Result<usize, String> {
    let cluster = EmbeddedCluster::builder().topic("orders", 4).topic("payments", 4).start();
    let cluster = cluster.map_err(|error| error.to_string())?;
    let runtime = Tokio::current().map_err(|error| error.to_string())?;
    let client = service::connect(&runtime, rocketmq_tokio::builder().name_servers(cluster.namesrv())).await;
    let ledger = Books::default();
    let log = |text: String| println!("{text}");
    tokio::spawn(service::till(runtime.clone(), client.clone(), Mistake::None, log));
    tokio::spawn(service::books(runtime, client.clone(), ledger.clone(), Mistake::None, log));
    let orders = client.producer("shop").start().await.map_err(|error| error.to_string())?;
    let numbers = (0..10).map(|number| format!("order {number}"));
    let accepted: Vec<String> = numbers.collect();
    for order in &accepted {
        orders.send(Message::new("orders", order.clone())).await.map_err(|error| error.to_string())?;
    }
    let settled = || accepted.iter().filter(|order| ledger.times(order) == 1).count();
    for _ in 0..PATIENCE {
        if settled() == accepted.len() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    client.shutdown().await;
    Ok(settled())
}

/// Ten milliseconds each.
const PATIENCE: usize = 1_000;
