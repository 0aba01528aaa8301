//! What the official administration tool shows of our consumers, and has them do.

use super::kit::World;
use super::runtimes::Live;

pub(crate) async fn scenario<L: Live>(world: &World) {
    let topic = format!("admin_{}", L::NAME);
    let group = format!("admin_group_{}", L::NAME);
    world.topic(&topic, 2);
    let policy = rocketmq_core::config::ServerPolicy {
        consume_directly: rocketmq_core::config::Permission::Allow,
        ..Default::default()
    };
    let client = L::connect(world.builder().server_policy(policy)).await.expect("a client");
    let consumer = client
        .push_consumer(group.as_str())
        .subscribe(topic.as_str(), "*")
        .start_from(rocketmq_core::config::StartFrom::First)
        .start()
        .await
        .expect("c");
    let producer = super::kit::producer(&client, "admin_p").await;
    let mut ids = Vec::new();
    for n in 0..10 {
        ids.push(
            producer
                .send(rocketmq_core::message::Message::new(topic.as_str(), format!("m{n}")))
                .await
                .expect("sent")
                .offset_msg_id,
        );
    }
    let got = super::kit::collect(&consumer, 10).await;
    eprintln!("got {}", got.len());
    super::kit::sleep(std::time::Duration::from_secs(6)).await;
    let worker = {
        let c = consumer.clone();
        async move {
            while let Some(d) = c.next().await {
                eprintln!("direct {}", d.is_direct());
                d.ack();
            }
        }
    };
    let ask = async {
        let id = client.client_id().to_string();
        for args in [
            vec!["consumerProgress", "-g", &group],
            vec!["consumerStatus", "-g", &group, "-i", &id],
            vec!["consumerStatus", "-g", &group],
            vec!["consumerConnection", "-g", &group],
            vec!["queryMsgById", "-g", &group, "-d", &id, "-i", &ids[0], "-t", &topic],
            vec!["queryMsgById", "-g", &group, "-d", &id, "-i", &ids[0]],
            vec!["resetOffsetByTime", "-g", &group, "-t", &topic, "-s", "0"],
            vec!["consumerProgress", "-g", &group],
        ] {
            let world_admin = world.mqadmin.clone();
            let owned: Vec<String> = args.iter().map(|s| s.to_string()).collect();
            let out =
                smol::unblock(move || world_admin.run(&owned.iter().map(String::as_str).collect::<Vec<_>>())).await;
            eprintln!("=== {} {args:?}\n{}", world.checks.version(), out.unwrap_or_else(|e| e.to_string()));
        }
    };
    use futures_lite::FutureExt;
    ask.or(worker).await;
}
