//! Who a client is: namespaces on both sides of it, light heartbeats, the port for messages alone.

use std::time::Duration;

use rocketmq_core::config::StartFrom;
use rocketmq_core::message::Message;
use rocketmq_core::send::Target;
use rocketmq_testkit::real::{ConsumedMessage, ConsumerSpec, ProducerSpec, SendSpec};

use super::filters::{bodies, numbered};
use super::kit::{Got, PATIENCE, World, collect, eventually, receipts, send_all, sorted};
use super::runtimes::Live;

pub(crate) async fn scenario<L: Live>(world: &World) {
    namespace::<L>(world).await;
    heartbeats::<L>(world).await;
    messages_alone::<L>(world).await;
}

/// We are in a namespace, and Java, which is in none, sees its names.
async fn namespace<L: Live>(world: &World) {
    let check = world.scope::<L>("namespace");
    let [space, topic, group] = ["SPACE", "orders", "billing"].map(|name| format!("{name}_{}", L::NAME));
    let outer = |name: &str| format!("{space}%{name}");
    world.topic(&outer(&topic), 2);
    let client = L::connect(world.builder().namespace(&space)).await.expect("a client");
    let producer = client.producer("shop").send_timeout(Duration::from_secs(45)).start().await.expect("a producer");
    let consumer = client.push_consumer(group.as_str()).subscribe(topic.as_str(), "*").start_from(StartFrom::First);
    let consumer = consumer.max_reconsume(3).start().await.expect("a consumer");
    let spec = ConsumerSpec::new(&outer(&group), &world.namesrv, &outer("java"), &outer(&topic));
    world.java.start_consumer(&spec).expect("a Java consumer");

    let sent = receipts(send_all(&producer, 1, numbered(&topic, 0..10)).await);
    check.that("receipts-know-no-namespace", sent.iter().all(|sent| sent.queue.topic.as_str() == topic), &sent);
    let to = sent[0].queue.clone();
    let there = producer.send_to(Message::new(topic.as_str(), "m10"), to.clone()).await.expect("sent");
    check.eq("to-a-queue", there.queue, to);
    let batch = vec![Message::new(topic.as_str(), "m11"), Message::new(topic.as_str(), "m12")];
    check.eq("a-batch", producer.send_batch_with(batch, Target::Any).await.expect("sent").messages.len(), 2);

    let got = collect(&consumer, 13).await;
    check.eq("each-comes", sorted(got.iter().map(Got::text)), bodies(0..13, |_| true));
    check.that("by-the-name-it-was-sent-to", got.iter().all(|got| got.topic == topic), &topic);
    let outside = world.java.wait_consumed(&outer(&group), 13, PATIENCE).expect("messages");
    check.eq("java-gets-them-outside", outside.len(), 13);
    let named = |message: &ConsumedMessage| {
        let named = message.message.properties.as_ref().and_then(|properties| properties.get("INSTANCE_ID"));
        named.is_some_and(|named| *named == space)
    };
    check.that("and-they-name-it", outside.iter().all(named), &outside);

    // A message that fails comes again through the retry topic of the namespace.
    producer.send(Message::new(topic.as_str(), "fails once")).await.expect("sent");
    let first = consumer.next().await.expect("a delivery");
    check.eq("before", first.message().reconsume_times(), 0);
    first.retry();
    let again = consumer.next().await.expect("a delivery");
    check.eq("again", again.message().reconsume_times(), 1);
    check.eq("from-its-own-retry-topic", again.message().queue().topic.as_str(), format!("%RETRY%{}", outer(&group)));
    check.eq("by-its-own-name", again.message().topic().as_str(), topic.as_str());
    again.ack();

    let spec = ProducerSpec::new(&outer("java"), &world.namesrv, &outer("java_shop"));
    world.java.start_producer(&spec).expect("a Java producer");
    world.java.send(&SendSpec::new(&outer("java"), &outer(&topic), "java ", 5)).expect("sent");
    let got = collect(&consumer, 5).await;
    check.that("what-java-sends-there-comes-too", got.iter().all(|got| got.topic == topic), &topic);
    client.shutdown().await;
    let (committed, end) = world.offsets(&outer(&group), &outer(&topic));
    check.eq("committed-by-its-outer-name", committed, end);
}

/// Subscriptions that brokers know are left out of heartbeats, and the group goes on.
async fn heartbeats<L: Live>(world: &World) {
    let check = world.scope::<L>("light-heartbeats");
    let [topic, group] = ["light", "light_group"].map(|name| format!("{name}_{}", L::NAME));
    world.topic(&topic, 2);
    let builder = world.builder().light_heartbeats(true).heartbeat_interval(Duration::from_millis(300));
    let client = L::connect(builder).await.expect("a client");
    let producer = super::kit::producer(&client, "light_producer").await;
    let consumer = client.push_consumer(group.as_str()).subscribe(topic.as_str(), "a || b");
    let consumer = consumer.start_from(StartFrom::First).start().await.expect("a consumer");
    let known = || {
        let known = world.java.consumer_subscriptions(&world.namesrv, &group).ok()?;
        known.into_iter().find(|known| known.topic == topic).map(|known| known.expression)
    };
    check.eq("known-at-first", eventually(known).await.as_deref(), Some("a || b"));
    super::kit::sleep(Duration::from_secs(2)).await;
    check.eq("known-after-some-heartbeats", eventually(known).await.as_deref(), Some("a || b"));
    let tagged = |n: usize| Message::new(topic.as_str(), format!("m{n}")).with_tag(["a", "b", "c"][n % 3]);
    receipts(send_all(&producer, 1, (0..12).map(tagged).collect()).await);
    let got = collect(&consumer, 8).await;
    check.eq("messages-come", sorted(got.iter().map(Got::text)), bodies(0..12, |n| n % 3 != 2));
    check.eq("changed", consumer.subscribe(topic.as_str(), "c").await, Ok(()));
    let changed = || known().filter(|known| known == "c");
    check.eq("a-change-is-known", eventually(changed).await.as_deref(), Some("c"));
    super::kit::sleep(Duration::from_secs(1)).await;
    check.eq("and-stays-known", eventually(known).await.as_deref(), Some("c"));
    client.shutdown().await;
}

/// Messages go to the port two below the broker's, all else to the broker's.
async fn messages_alone<L: Live>(world: &World) {
    let check = world.scope::<L>("vip-channel");
    let [topic, group] = ["vip", "vip_group"].map(|name| format!("{name}_{}", L::NAME));
    world.topic(&topic, 2);
    let client = L::connect(world.builder().vip_channel(true)).await.expect("a client");
    let producer = super::kit::producer(&client, "vip_producer").await;
    let consumer = client.push_consumer(group.as_str()).subscribe(topic.as_str(), "*");
    let consumer = consumer.start_from(StartFrom::First).start().await.expect("a consumer");
    receipts(send_all(&producer, 4, numbered(&topic, 0..20)).await);
    let got = collect(&consumer, 20).await;
    check.eq("each-once", sorted(got.iter().map(Got::text)), bodies(0..20, |_| true));
    let broker = world.java.topic_route(&world.namesrv, &topic).expect("a route")[0].addrs["0"].clone();
    let (host, port) = broker.rsplit_once(':').expect("a port");
    let vip = format!("{host}:{}", port.parse::<u16>().expect("a port") - 2);
    let links: Vec<String> = client.links().into_iter().map(|(to, _)| to.as_str().to_owned()).collect();
    check.that("over-a-link-of-their-own", links.contains(&vip) && links.contains(&broker), &links);
    client.shutdown().await;
}
