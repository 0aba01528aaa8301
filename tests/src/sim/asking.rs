//! Processes that ask, and the replies of the group that handles what they ask.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_lite::FutureExt;
use rocketmq_core::client::ClientEvent;
use rocketmq_core::driver::{Client, Producer, ReceivedMessage, ReplyError};
use rocketmq_core::send::{SendError, Target};
use rocketmq_core::time::Instant;
use rocketmq_core::wire::Codec;

use super::history::{Ask, AskEnd, Outcome, What};
use super::member::connected;
use super::payload;
use super::producer::failed;
use super::tape::Stream;
use super::workload::{Run, lock};
use super::{Host, Task, World};

/// A process that asks.
#[derive(Clone)]
struct Asker {
    run: Run,
    host: Host,
    client: Client,
    producer: Producer,
    /// Its requests that wait.
    open: Arc<Mutex<BTreeSet<u64>>>,
}

/// Starts the processes of a run that asks.
pub(crate) fn start(run: &Run) -> Vec<Task<()>> {
    let Some(plan) = run.plan.requests.clone() else { return Vec::new() };
    let asker = |number: usize| {
        let run = run.clone();
        run.world.clone().spawn(async move { serve(run, number, plan.count / plan.askers as u64).await })
    };
    (0..plan.askers).map(asker).collect()
}

/// A member replies to a request, or to something that is none.
pub(crate) async fn answer(run: &Run, producer: &Producer, id: Option<u64>, request: &ReceivedMessage) {
    let world = &run.world;
    let slow = if draw(world, 0, 19) == 0 { 15_000 } else { 400 };
    let time = if run.is_calm() { draw(world, 0, 400) } else { draw(world, 0, slow) };
    world.sleep(Duration::from_millis(time)).await;
    let Some(id) = id else { return };
    let number = run.next_reply();
    world.note(What::Ask(Ask::Said { id, reply: number }));
    let reply = request.reply(body(id, number)).expect("what comes to this topic is a request");
    world.reach(match producer.send(reply.with_property(PROPERTY, id.to_string())).await {
        Ok(_) => "a reply is handed over",
        Err(SendError::Broker { .. }) => "a reply is refused",
        Err(_) => "nobody knows of a reply",
    });
}

/// One place from which is asked: processes come and go, until faults are over.
async fn serve(run: Run, number: usize, count: u64) {
    let world = run.world.clone();
    let pause = u64::try_from(run.plan.safety.as_millis()).unwrap_or(0) * 2 / count.max(1);
    let mut left = count;
    let mut process = 0;
    while left > 0 && !world.is_healed() {
        let host = world.host(&format!("10.0.5.{}", number * 100 + process % 100 + 1));
        let asker = open(&run, host.named(&format!("asker {number}.{process}"))).await;
        process += 1;
        let shift = draw(&world, 3, 40);
        let mut asked = 0;
        while left > 0 && asked < shift && !world.is_healed() {
            let time = draw(&world, 0, pause);
            world.sleep(Duration::from_millis(time)).await;
            // Some at the same time, so that their replies can be mistaken for each other.
            for _ in 0..1 + draw(&world, 0, 2).min(left - 1) {
                world.spawn_on(&asker.host, ask(asker.clone())).detach();
                (left, asked) = (left - 1, asked + 1);
            }
        }
        if !run.is_steady() && left > 0 && draw(&world, 0, 2) == 0 {
            world.reach("a process that asks dies");
            world.kill(&asker.host);
            let open = std::mem::take(&mut *lock(&asker.open));
            open.into_iter().for_each(|id| asker.end(id, AskEnd::GivenUp, Outcome::Cancelled));
            continue;
        }
        // Most wait for their replies; others meet the end of the client.
        if run.is_calm() || draw(&world, 0, 2) > 0 {
            while !lock(&asker.open).is_empty() {
                world.sleep(Duration::from_millis(200)).await;
            }
        }
        world.note(What::Leaving { host: asker.host.index });
        asker.client.shutdown().await;
        asker.note_waiting();
    }
}

async fn open(run: &Run, host: Host) -> Asker {
    let world = &run.world;
    let codec = if draw(world, 0, 1) == 0 { Codec::Json } else { Codec::Rocketmq };
    let client = connected(world, &host, &world.builder().codec(codec)).await;
    let (mut events, listener) = (client.events(), world.clone());
    let listen = async move {
        while let Some(event) = events.next().await {
            if matches!(event, ClientEvent::LateReply { .. }) {
                listener.reach("a reply comes too late");
            }
        }
    };
    world.spawn_on(&host, listen).detach();
    let producer =
        client.producer("askers").retries(RETRIES).start().await.expect("the configuration keeps every rule");
    Asker { run: run.clone(), host, client, producer, open: Arc::default() }
}

/// One request, which begins now: to its reply, to the end of its time, or until nobody wants to know any more.
fn ask(asker: Asker) -> impl Future<Output = ()> + Send {
    let world = asker.run.world.clone();
    let least = if asker.run.is_calm() { 8_000 } else { 300 };
    let timeout = Duration::from_millis(draw(&world, least, 20_000));
    let patience = timeout.mul_f64(if draw(&world, 0, 9) == 0 && !asker.run.is_calm() { 0.2 } else { 2.0 });
    let id = asker.begin(world.now().after(timeout));
    async move {
        let message = payload::message(TOPIC, id);
        let replied = async {
            let result = asker.producer.request_with(message, Target::Any, timeout).await;
            Some(ended(&world, result))
        };
        let given_up = async {
            world.sleep(patience).await;
            world.reach("a request is given up");
            None
        };
        let (how, outcome) = replied.or(given_up).await.unwrap_or((AskEnd::GivenUp, Outcome::Cancelled));
        lock(&asker.open).remove(&id);
        asker.end(id, how, outcome);
        asker.note_waiting();
    }
}

/// How a request ended, and its message.
fn ended(world: &World, result: Result<ReceivedMessage, ReplyError>) -> (AskEnd, Outcome) {
    match result {
        Ok(reply) => {
            world.reach("a request is answered");
            let (to, reply) = read(&reply).unzip();
            (AskEnd::Reply { to, reply }, Outcome::Sent)
        }
        Err(ReplyError::Timeout) => {
            world.reach("a request is not answered in time");
            (AskEnd::Late, Outcome::Unknown)
        }
        Err(ReplyError::Send(error)) => {
            world.reach("a request fails");
            (AskEnd::Failed, failed(world, &error))
        }
        // It never leaves where too many wait.
        Err(ReplyError::TooMany) => (AskEnd::Failed, Outcome::Failed),
        Err(ReplyError::Unreadable(_) | ReplyError::Closed) => (AskEnd::Failed, Outcome::Unknown),
    }
}

impl Asker {
    /// Notes that a request begins.
    fn begin(&self, deadline: Instant) -> u64 {
        let (id, host) = (self.run.next_message(), self.host.index);
        lock(&self.open).insert(id);
        self.run.world.note(What::Attempt { id, deadline, attempts: RETRIES + 1 });
        self.run.world.note(What::Ask(Ask::Begun { id, host, deadline }));
        id
    }

    /// Notes that it is over.
    fn end(&self, id: u64, how: AskEnd, outcome: Outcome) {
        self.run.world.note(What::Resolved { id, outcome });
        self.run.world.note(What::Ask(Ask::Ended { id, how }));
    }

    fn note_waiting(&self) {
        let (host, count) = (self.host.index, self.client.waiting_requests());
        self.run.world.note(What::Ask(Ask::Waiting { host, count }));
    }
}

/// The reply with this number to a request; some are compressed.
fn body(id: u64, reply: u64) -> String {
    let filling = if reply % 8 == 3 { "x".repeat(6_000) } else { String::new() };
    format!("{reply} to {id}{filling}")
}

/// Which request a reply is to, and its number.
fn read(reply: &ReceivedMessage) -> Option<(u64, u64)> {
    let text = std::str::from_utf8(reply.body()).ok()?;
    let (number, id) = text.trim_end_matches('x').split_once(" to ")?;
    let (number, id) = (number.parse().ok()?, id.parse().ok()?);
    let whole = body(id, number) == text && reply.property(PROPERTY) == Some(id.to_string().as_str());
    whole.then_some((id, number))
}

fn draw(world: &World, least: u64, most: u64) -> u64 {
    world.with(|state| state.tape.range(Stream::Requests, least, most))
}

/// The topic of requests.
pub(crate) const TOPIC: &str = "r0";
/// The property of a reply that holds the number of its request.
pub(crate) const PROPERTY: &str = "answers";
/// Attempts of a request after the first.
const RETRIES: u32 = 2;
