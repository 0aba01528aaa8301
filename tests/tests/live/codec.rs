//! Both header codecs, for everything a client asks of its servers.

use rocketmq_core::config::StartFrom;
use rocketmq_core::driver::Delivery;
use rocketmq_core::message::Message;
use rocketmq_core::wire::Codec;

use super::kit::{PATIENCE, World, collect, create, drain, extra, producer, receipts, receive, send_all, sorted};
use super::runtimes::Live;

pub(crate) async fn scenario<L: Live>(world: &World) {
    for (name, codec) in [("json", Codec::Json), ("rocketmq", Codec::Rocketmq)] {
        one::<L>(world, name, codec).await;
    }
}

async fn one<L: Live>(world: &World, name: &str, codec: Codec) {
    let check = world.scope::<L>("codec").step(name);
    let topic = format!("codec_{name}_{}", L::NAME);
    let group = format!("codec_group_{name}_{}", L::NAME);
    let client = L::connect(world.builder().codec(codec)).await.expect("a client");
    create(&client, &topic, 4).await;
    check.eq("topic-created", client.admin().queues(topic.as_str()).await.map(|queues| queues.len()), Ok(4));
    let mut events = client.events();
    let consumer = client.push_consumer(group.as_str()).subscribe(topic.as_str(), "a || b").max_reconsume(3);
    let consumer = consumer.start_from(StartFrom::First).start().await.expect("a consumer");
    let online = world.online(&group);
    let me = client.client_id().to_string();
    check.that("heartbeat-understood", online.iter().any(|known| known.client_id == me), &online);
    check.that("language-known", online.iter().all(|known| known.language.as_deref() == Some("RUST")), &online);

    let producer = producer(&client, "codec_producer").await;
    // Every queue ends with a wanted message: one that nobody wants wakes no held pull, and an offset lags by it.
    let tag = |n: usize| if n < 200 { ["b", "c"][n % 2] } else { "a" };
    let make = |n: usize| {
        let tag = tag(n);
        Message::new(topic.as_str(), format!("{tag} {n}")).with_tag(tag).with_key("schlüssel").with_property("π", "≈3")
    };
    let sent = receipts(send_all(&producer, 16, (0..300).map(make).collect()).await);
    check.eq("all-sent", sent.len(), 300);
    let got = collect(&consumer, 200).await;
    let wanted = (0..300).filter(|n| tag(*n) != "c").map(|n| format!("{} {n}", tag(n)));
    check.eq("consumed-by-tag", sorted(got.iter().map(|got| got.text())), sorted(wanted));
    let equal = got.iter().all(|got| got.keys == ["schlüssel"] && got.properties.get("π").is_some_and(|v| v == "≈3"));
    check.that("unicode-properties", equal, &got[0]);
    check.eq("nothing-more", extra(&consumer).await, Vec::<String>::new());

    let failing = Message::new(topic.as_str(), "again").with_tag("a");
    producer.send(failing).await.expect("a receipt");
    let again = receive(&consumer, 2, PATIENCE, |delivery| match delivery.message().reconsume_times() {
        0 => delivery.retry(),
        _ => Delivery::ack(delivery),
    });
    let again = again.await;
    check.eq("sent-back-and-redelivered", again.iter().map(|got| got.times).collect::<Vec<_>>(), [0, 1]);
    check.eq("redelivered-as-it-was", again.iter().map(|got| got.text()).collect::<Vec<_>>(), ["again"; 2]);

    check.eq("nothing-unsettled", consumer.shutdown().await.unsettled, 0);
    check.eq("committed", world.offsets(&group, &topic), (301, 301));
    let queues = client.admin().queues(topic.as_str()).await.expect("queues");
    let mut sum = 0;
    for queue in &queues {
        let committed = client.admin().committed(group.as_str(), queue).await.expect("an answer");
        sum += committed.map_or(0, |offset| offset.get());
        let (min, max) = (client.admin().min_offset(queue).await, client.admin().max_offset(queue).await);
        check.eq("min-offset-read", min.map(|min| min.get()), Ok(0));
        check.eq("max-offset-is-what-is-committed", max, Ok(committed.unwrap_or_default()));
    }
    check.eq("committed-as-we-read-it", sum, 301);
    let none = client.admin().committed("codec_group_unknown", &queues[0]).await;
    check.eq("no-offset-is-told-from-offset-0", none, Ok(None));
    let left = world.online(&group);
    check.that("left-the-group", left.is_empty(), &left);
    let trouble: Vec<_> = drain(&mut events).into_iter().filter(super::offsets::is_trouble).collect();
    check.that("no-trouble", trouble.is_empty(), trouble);
    client.shutdown().await;
}
