//! A name server that is down, or that takes connections and never answers, costs a moment at most.

use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rocketmq_core::config::StartFrom;
use rocketmq_core::message::Message;

use super::kit::{World, collect};
use super::runtimes::Live;

/// From nothing to the first stored message.
const AT_MOST: Duration = Duration::from_millis(1_500);
/// The list is shuffled: so often, the bad server is first about half of the times.
const ROUNDS: usize = 8;

pub(crate) async fn scenario<L: Live>(world: &World) {
    let check = world.scope::<L>("names");
    let topic = format!("names_{}", L::NAME);
    world.topic(&topic, 4);

    let dead = dead_address();
    for round in 0..ROUNDS {
        let took = first_send::<L>(world, &format!("{dead};{}", world.namesrv), &topic).await;
        check.below("dead-port-first", took, AT_MOST);
        let took = first_send::<L>(world, &format!("{};{dead}", world.namesrv), &topic).await;
        check.below("dead-port-last", took, AT_MOST);
        eprintln!("{}: {} dead port, round {round}: {took:.0?}", world.checks.version(), L::NAME);
    }

    let hole = BlackHole::open();
    let mut asked = 0;
    for round in 0..ROUNDS {
        let before = hole.accepted();
        let took = first_send::<L>(world, &format!("{};{}", hole.address, world.namesrv), &topic).await;
        check.below("black-hole", took, AT_MOST);
        asked += usize::from(hole.accepted() > before);
        eprintln!("{}: {} black hole, round {round}: {took:.0?}", world.checks.version(), L::NAME);
    }
    check.at_least("the-black-hole-was-met", asked, 1);
    check.that("and-was-asked", hole.heard(), ());

    // All of it with a consumer too.
    let list = format!("{dead};{};{}", hole.address, world.namesrv);
    let client = L::connect(world.builder().name_servers(list)).await.expect("a client");
    let group = format!("names_group_{}", L::NAME);
    let begun = Instant::now();
    let consumer = client.push_consumer(group.as_str()).subscribe(topic.as_str(), "*").start_from(StartFrom::First);
    let consumer = consumer.start().await.expect("a consumer");
    let sent = 3 * ROUNDS;
    check.eq("consumes-among-bad-servers", collect(&consumer, sent).await.len(), sent);
    check.below("and-soon", begun.elapsed(), Duration::from_secs(10));
    client.shutdown().await;

    let begun = Instant::now();
    let error = L::connect(world.builder().name_servers(&dead)).await.expect_err("no server");
    check.that("no-server-is-an-error", error.to_string().contains(&dead), error.to_string());
    check.below("told-in-time", begun.elapsed(), Duration::from_secs(5));
}

async fn first_send<L: Live>(world: &World, servers: &str, topic: &str) -> Duration {
    let begun = Instant::now();
    let client = L::connect(world.builder().name_servers(servers)).await.expect("a client");
    let producer = client.producer("names_producer").start().await.expect("a producer");
    producer.send(Message::new(topic, "hello")).await.expect("a receipt");
    let took = begun.elapsed();
    client.shutdown().await;
    took
}

/// An address where nobody listens.
fn dead_address() -> String {
    let socket = TcpListener::bind("127.0.0.1:0").expect("a port");
    socket.local_addr().expect("an address").to_string()
}

/// A server that accepts and never answers.
struct BlackHole {
    address: String,
    accepted: Arc<AtomicUsize>,
    streams: Arc<Mutex<Vec<TcpStream>>>,
    closed: Arc<AtomicBool>,
}

impl BlackHole {
    fn open() -> Self {
        let socket = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = socket.local_addr().expect("an address").to_string();
        let hole = Self { address, accepted: Arc::default(), streams: Arc::default(), closed: Arc::default() };
        let (accepted, streams, closed) = (hole.accepted.clone(), hole.streams.clone(), hole.closed.clone());
        std::thread::spawn(move || {
            for stream in socket.incoming().flatten() {
                if closed.load(Ordering::SeqCst) {
                    return;
                }
                accepted.fetch_add(1, Ordering::SeqCst);
                streams.lock().unwrap().push(stream);
            }
        });
        hole
    }

    fn accepted(&self) -> usize {
        self.accepted.load(Ordering::SeqCst)
    }

    /// Whether a request waits on any connection.
    fn heard(&self) -> bool {
        let streams = self.streams.lock().unwrap();
        streams.iter().any(|stream| stream.peek(&mut [0; 1]).is_ok_and(|read| read > 0))
    }
}

impl Drop for BlackHole {
    fn drop(&mut self) {
        self.closed.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(&self.address);
    }
}
