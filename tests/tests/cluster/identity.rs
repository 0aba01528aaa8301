//! What a client says of itself in every request, as a server reads it.

use std::collections::BTreeMap;
use std::io::Read;
use std::net::TcpListener;
use std::time::Duration;

use rocketmq_core::config::{ConfigError, LinkConfig};
use rocketmq_core::wire::Codec;
use rocketmq_core::wire::frame;
use rocketmq_core::wire::header::HeaderLimits;
use rocketmq_smol::{ClientBuilder, ConnectError, Message, StartError};
use rocketmq_testkit::cluster::EmbeddedCluster;

/// The fields of the first request of a client, and its id.
fn first_request(build: impl FnOnce(ClientBuilder) -> ClientBuilder) -> (BTreeMap<String, String>, String) {
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = server.local_addr().unwrap().to_string();
    smol::block_on(async {
        let builder = build(rocketmq_smol::builder().name_servers(&address).instance_name("me"));
        let client = rocketmq_smol::connect_with(builder.lazy()).await.unwrap();
        let producer = client.producer("PG").send_timeout(Duration::from_secs(5)).start().await.unwrap();
        let sending = smol::spawn(async move { producer.send(Message::new("T", "body")).await });
        let fields = smol::unblock(move || {
            let (mut stream, _) = server.accept().unwrap();
            let mut bytes = Vec::new();
            loop {
                let mut more = [0; 4_096];
                let count = stream.read(&mut more).unwrap();
                assert!(count > 0, "the client hung up");
                bytes.extend_from_slice(&more[..count]);
                if let Some(length) = frame::frame_len(&bytes, 1 << 20).unwrap()
                    && bytes.len() >= length
                {
                    let request = frame::decode(&bytes[..length], &HeaderLimits::default()).unwrap();
                    return request.header.ext.iter().map(|(key, value)| (key.into(), value.into())).collect();
                }
            }
        })
        .await;
        drop(sending);
        let id = client.client_id().to_string();
        client.shutdown_within(Duration::from_millis(10)).await;
        (fields, id)
    })
}

fn fields(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect()
}

const ROUTE: (&str, &str) = ("topic", "T");
const ANSWERS: (&str, &str) = ("acceptStandardJsonOnly", "true");

#[test]
fn a_client_says_nothing_that_it_was_not_told_to_say() {
    let (said, id) = first_request(|builder| builder);
    assert_eq!(said, fields(&[ROUTE, ANSWERS]));
    assert!(id.ends_with("@me"), "{id}");
}

/// `PID#NONCE`, unless it is named: two clients of one process differ by the nonce.
#[test]
fn clients_that_are_not_named_have_ids_of_their_own() {
    let id = || {
        smol::block_on(async {
            let builder = rocketmq_smol::builder().name_servers("127.0.0.1:1").client_ip([10, 0, 0, 7].into());
            rocketmq_smol::connect_with(builder.lazy()).await.unwrap().client_id().to_string()
        })
    };
    let nonce = |id: &str| {
        let nonce = id.strip_prefix(&format!("10.0.0.7@{}#", std::process::id())).expect("address and process");
        assert_eq!(nonce.len(), 8, "{id}");
        u32::from_str_radix(nonce, 16).unwrap()
    };
    let (first, second) = (id(), id());
    assert_ne!(nonce(&first), nonce(&second));
}

#[test]
fn what_builders_are_told_reaches_the_configuration() {
    let seconds = Duration::from_secs;
    let builder = rocketmq_smol::builder().route_interval(seconds(41)).rebalance_interval(seconds(42));
    let told = format!("{:?}", builder.request_timeout(seconds(43)).template_topic("shape").template_queues(3));
    let expected = [
        "route_interval: 41s",
        "rebalance_interval: 42s",
        "request_timeout: 43s",
        "template_topic: \"shape\"",
        "template_queues: 3",
    ];
    for said in expected {
        assert!(told.contains(said), "{said}: {told}");
    }
    let cluster = EmbeddedCluster::builder().start().unwrap();
    smol::block_on(async {
        let builder = rocketmq_smol::builder().name_servers(cluster.namesrv());
        let client = rocketmq_smol::connect_with(builder.clone().template_queues(3)).await.unwrap();
        let producer = client.producer("PG").start().await.unwrap();
        producer.send(Message::new("made", "body")).await.unwrap();
        assert_eq!(client.admin().queues("made").await.unwrap().len(), 3);
        let consumer = client.push_consumer("G").subscribe("made", "*").queue_span(44);
        assert!(format!("{consumer:?}").contains("queue_span: 44"));
        let Err(StartError::Config(ConfigError::Range { name, .. })) = consumer.queue_span(0).start().await else {
            panic!("a span of nothing")
        };
        assert_eq!(name, "queue_span");
        client.shutdown().await;
        let Err(ConnectError::Config(ConfigError::Range { name, .. })) =
            rocketmq_smol::connect_with(builder.template_queues(0)).await
        else {
            panic!("topics without queues")
        };
        assert_eq!(name, "template_queues");
    });
}

#[test]
fn namespace_zone_and_stream_are_in_every_request_in_both_codecs() {
    for codec in [Codec::Json, Codec::Rocketmq] {
        let (said, id) = first_request(|builder| {
            let builder = builder.codec(codec).namespace_v2("space").zone("east", "strict").stream_requests();
            builder.unit_name("u1").link(LinkConfig::default())
        });
        let own = [("nsd", "true"), ("ns", "space"), ("__ZONE_NAME", "east"), ("__ZONE_MODE", "strict"), ("ReqT", "0")];
        assert_eq!(said, fields(&[&own[..], &[ROUTE, ANSWERS]].concat()), "{codec:?}");
        assert!(id.ends_with("@me@u1@STREAM"), "{id}");
    }
}

#[test]
fn the_last_field_of_a_name_counts() {
    let (said, _) =
        first_request(|builder| builder.request_field("a", "1").request_field("b", "2").request_field("a", "3"));
    assert_eq!(said, fields(&[("a", "3"), ("b", "2"), ROUTE, ANSWERS]));
}
