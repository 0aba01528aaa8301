//! The services of a shop: the till turns orders into payments, the books settle each payment once.
//!
//! They run on any runtime: what they need beside the client is a clock to sleep by, and [`Runtime`] has one. A service
//! that also spawns tasks does it by `Runtime::spawn`. The same code serves customers on tokio and is searched for
//! mistakes in the simulator.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rocketmq_core::config::StartFrom;
use rocketmq_core::driver::{Client, ClientBuilder, Producer, PushConsumer, Runtime};
use rocketmq_core::message::Message;

/// Where a service tells what it does: a logger outside, the timeline in the simulator.
pub(crate) trait Log: Fn(String) + Clone + Send + Sync + 'static {}
impl<L: Fn(String) + Clone + Send + Sync + 'static> Log for L {}

/// Settled orders and how often each was: the database of the shop.
#[derive(Clone, Default)]
pub(crate) struct Books(Arc<Mutex<BTreeMap<String, u32>>>);

/// A mistake that programmers make, to see that the simulator finds it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mistake {
    None,
    /// The till acknowledges an order before its payment is stored.
    AcksFirst,
    /// The books do not look whether a payment came before.
    SettlesAgain,
}

impl Books {
    /// How often an order was settled.
    pub(crate) fn times(&self, order: &str) -> u32 {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(order).copied().unwrap_or(0)
    }

    fn settle(&self, order: &str, again: bool) {
        let mut settled = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let times = settled.entry(order.to_owned()).or_default();
        *times = if again { *times + 1 } else { 1 };
    }
}

/// Connects, however long that takes.
pub(crate) async fn connect<R: Runtime>(runtime: &R, builder: ClientBuilder) -> Client {
    persist(runtime, || builder.clone().connect_on(runtime)).await
}

/// Takes orders, and sends a payment for each.
pub(crate) async fn till<R: Runtime>(runtime: R, client: Client, mistake: Mistake, log: impl Log) {
    let payments = persist(&runtime, || client.producer("till").start()).await;
    let orders = consumer(&runtime, &client, "till", "orders").await;
    while let Some(order) = orders.next().await {
        let id = String::from_utf8_lossy(order.message().body()).into_owned();
        if mistake == Mistake::AcksFirst {
            order.ack();
            drop(payments.send(Message::new("payments", id)).await);
        } else if pay(&runtime, &payments, &id).await {
            log(format!("{id} is paid"));
            order.ack();
        } else {
            log(format!("{id} cannot be paid now"));
            order.retry();
        }
    }
}

/// Takes payments, and settles each order once, however often its payment comes.
pub(crate) async fn books<R: Runtime>(runtime: R, client: Client, books: Books, mistake: Mistake, log: impl Log) {
    let payments = consumer(&runtime, &client, "books", "payments").await;
    while let Some(payment) = payments.next().await {
        let id = String::from_utf8_lossy(payment.message().body()).into_owned();
        books.settle(&id, mistake == Mistake::SettlesAgain);
        log(format!("{id} is settled"));
        payment.ack();
    }
}

/// Sends a payment, three times if need be.
async fn pay<R: Runtime>(runtime: &R, payments: &Producer, id: &str) -> bool {
    for pause in [1, 5, 25] {
        match payments.send(Message::new("payments", id.to_owned()).with_key(id)).await {
            Ok(_) => return true,
            Err(_) => sleep(runtime, Duration::from_secs(pause)).await,
        }
    }
    false
}

async fn consumer<R: Runtime>(runtime: &R, client: &Client, group: &str, topic: &str) -> PushConsumer {
    let builder = || client.push_consumer(group).subscribe(topic, "*").start_from(StartFrom::First);
    persist(runtime, || builder().start()).await
}

/// Tries until it works.
async fn persist<R: Runtime, F, T, E>(runtime: &R, attempt: impl Fn() -> F) -> T
where
    F: Future<Output = Result<T, E>>,
{
    loop {
        match attempt().await {
            Ok(done) => return done,
            Err(_) => sleep(runtime, Duration::from_secs(5)).await,
        }
    }
}

async fn sleep<R: Runtime>(runtime: &R, time: Duration) {
    runtime.sleep_until(runtime.now().after(time)).await;
}
