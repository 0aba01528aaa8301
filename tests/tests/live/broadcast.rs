//! Broadcasting: members of this client and of Java each get every message, and go on from their files, each from the
//! other's too.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use rocketmq_core::client::{ClientEvent, StartReason};
use rocketmq_core::config::StartFrom;
use rocketmq_core::driver::{Client, Delivery, EventStream, PushConsumer};
use rocketmq_core::message::Message;
use rocketmq_core::wire::body::OffsetFile;
use rocketmq_testkit::real::ConsumerSpec;

use super::kit::{
    PATIENCE, World, collect, drain, eventually, extra, producer, receipts, receive, send_all, sleep, sorted,
};
use super::runtimes::Live;

const QUEUES: usize = 4;

pub(crate) async fn scenario<L: Live>(world: &World) {
    let check = world.scope::<L>("broadcast");
    let (topic, group) = (format!("broadcast_{}", L::NAME), format!("broadcast_group_{}", L::NAME));
    world.topic(&topic, QUEUES as u32);
    let store = world.java.home().join(".rocketmq_offsets");
    let at = Place { topic: topic.clone(), group: group.clone(), store: store.clone() };
    let client = world.client::<L>().await;
    let producer = producer(&client, "broadcast_producer").await;
    let batch = |from: usize, count: usize| {
        let message = |n: usize| Message::new(topic.as_str(), format!("m{n}"));
        (from..from + count).map(message).collect::<Vec<_>>()
    };

    // Two of ours and one of Java: each gets all.
    let java = Java { world, at: &at, instance: format!("java-{}", L::NAME) };
    let java_id = java.start();
    let one = Ours::start::<L>(world, &at, "one", None).await;
    let two = Ours::start::<L>(world, &at, "two", None).await;
    receipts(send_all(&producer, 4, batch(0, 40)).await);
    check.eq("one-gets-all", bodies(&collect(&one.consumer, 40).await), names(0..40));
    check.eq("two-gets-all", bodies(&collect(&two.consumer, 40).await), names(0..40));
    check.eq("java-gets-all", java.consumed(40).await, names(0..40));
    check.eq("nothing-twice", extra(&one.consumer).await, Vec::<String>::new());
    let online = world.online(&group).len();
    check.eq("the-broker-knows-three-members", online, 3);

    // What fails is dropped.
    producer.send(Message::new(topic.as_str(), "bad")).await.expect("a receipt");
    let failed = receive(&one.consumer, 1, PATIENCE, Delivery::retry).await;
    check.eq("a-message-fails", bodies(&failed), ["bad"]);
    check.eq("and-does-not-come-again", extra(&one.consumer).await, Vec::<String>::new());
    check.eq("nor-is-it-another-members", bodies(&collect(&two.consumer, 1).await), ["bad"]);
    java.consumed(1).await;
    let mut one = one;
    let dropped = drain(&mut one.events).iter().filter(|event| matches!(event, ClientEvent::Dropped { .. })).count();
    check.eq("which-is-told", dropped, 1);

    // A restart goes on where it was.
    let path = one.path();
    one.stop().await;
    two.stop().await;
    let saved = OffsetFile::decode(&std::fs::read(&path).expect("a file")).expect("offsets").0;
    check.eq("saved-what-was-consumed", saved.values().map(|offset| offset.get()).sum::<u64>(), 41);
    check.eq("of-every-queue", saved.len(), QUEUES);
    receipts(send_all(&producer, 4, batch(100, 20)).await);
    let mut one = Ours::start::<L>(world, &at, "one", None).await;
    let two = Ours::start::<L>(world, &at, "two", None).await;
    check.eq("one-goes-on", bodies(&collect(&one.consumer, 20).await), names(100..120));
    check.eq("two-goes-on", bodies(&collect(&two.consumer, 20).await), names(100..120));
    check.eq("from-its-file", one.reasons(), vec![StartReason::File; QUEUES]);
    check.eq("with-nothing-twice", extra(&one.consumer).await, Vec::<String>::new());
    check.eq("java-got-them-too", java.consumed(20).await, names(100..120));
    one.stop().await;
    two.stop().await;

    // One member, in turn of Java and of this client.
    java.stop().await;
    receipts(send_all(&producer, 4, batch(200, 10)).await);
    let mut heir = Ours::start::<L>(world, &at, &java.instance, Some(&java_id)).await;
    check.eq("we-go-on-from-the-file-of-java", bodies(&collect(&heir.consumer, 10).await), names(200..210));
    check.eq("which-has-every-queue", heir.reasons(), vec![StartReason::File; QUEUES]);
    check.eq("and-get-nothing-twice", extra(&heir.consumer).await, Vec::<String>::new());
    heir.stop().await;
    receipts(send_all(&producer, 4, batch(300, 10)).await);
    java.start();
    check.eq("java-goes-on-from-ours", java.consumed(10).await, names(300..310));
    sleep(Duration::from_secs(1)).await;
    check.eq("and-gets-nothing-twice", java.consumed(0).await, Vec::<String>::new());
    java.stop().await;
    client.shutdown().await;
}

struct Place {
    topic: String,
    group: String,
    store: PathBuf,
}

/// This client as a member.
struct Ours {
    client: Client,
    consumer: PushConsumer,
    events: EventStream,
    path: PathBuf,
}

impl Ours {
    /// Starts a member; with the client id of another it takes that one's address, and with it its file.
    async fn start<L: Live>(world: &World, at: &Place, instance: &str, like: Option<&str>) -> Self {
        let mut builder = world.builder().instance_name(instance).offset_dir(at.store.display().to_string());
        let ip = like.and_then(|id| id.split('@').next()?.parse::<IpAddr>().ok());
        if let Some(ip) = ip {
            builder = builder.client_ip(ip);
        }
        let client = L::connect(builder).await.expect("a client");
        let events = client.events();
        let consumer = client.push_consumer(at.group.as_str()).subscribe(at.topic.as_str(), "*").broadcasting();
        let consumer = consumer.start_from(StartFrom::First).start().await.expect("a consumer");
        let path = at.store.join(client.client_id().as_str()).join(&at.group).join("offsets.json");
        Self { client, consumer, events, path }
    }

    fn path(&self) -> PathBuf {
        self.path.clone()
    }

    fn reasons(&mut self) -> Vec<StartReason> {
        let reason = |event| match event {
            ClientEvent::StartPosition { reason, .. } => Some(reason),
            _ => None,
        };
        drain(&mut self.events).into_iter().filter_map(reason).collect()
    }

    async fn stop(self) {
        self.consumer.shutdown().await;
        self.client.shutdown().await;
    }
}

/// The official client as a member.
struct Java<'a> {
    world: &'a World,
    at: &'a Place,
    instance: String,
}

impl Java<'_> {
    fn start(&self) -> String {
        let spec = ConsumerSpec {
            instance: Some(self.instance.clone()),
            broadcast: true,
            ..ConsumerSpec::new(&self.instance, &self.world.namesrv, &self.at.group, &self.at.topic)
        };
        self.world.java.start_consumer(&spec).expect("a Java consumer")
    }

    async fn consumed(&self, count: usize) -> Vec<String> {
        let mut all = Vec::new();
        eventually(|| {
            all.extend(self.world.java.consumed(&self.instance).expect("consumed").into_iter().map(|got| got.body));
            (all.len() >= count).then_some(())
        })
        .await;
        sorted(all)
    }

    /// Stops it in good order, when it has noted what its listener is done with.
    async fn stop(&self) {
        sleep(Duration::from_millis(500)).await;
        self.world.java.stop_consumer(&self.instance).expect("stopped");
    }
}

fn bodies(got: &[super::kit::Got]) -> Vec<String> {
    sorted(got.iter().map(super::kit::Got::text))
}

fn names(range: std::ops::Range<usize>) -> Vec<String> {
    sorted(range.map(|n| format!("m{n}")))
}
