//! Routes that ask for much with few bytes.

use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use rocketmq_core::client::RouteError;
use rocketmq_core::wire::body::BodyError;
use rocketmq_core::wire::dialect::DialectError;
use rocketmq_core::wire::request::{Fields, GetRouteInfo};
use rocketmq_smol::{AdminError, ClientBuilder, Message, SendError};

use crate::hostile::{Server, client_of, done, respond};

/// The error of every operation that needs this route; the route of another topic is had over the same link.
fn refused(body: String) -> BodyError {
    let names = Server::answering(move |frame| {
        let topic = GetRouteInfo::read(&frame.header.ext).unwrap().topic;
        match topic.as_str() {
            "bad" => respond(frame, 0, |_| (), Bytes::from(body.clone())),
            "empty" => respond(frame, 0, |_| (), Bytes::from_static(b"{}")),
            _ => done(frame),
        }
    });
    let client = client_of(&names, ClientBuilder::new());
    let error = smol::block_on(async {
        let producer = client.producer("P").send_timeout(Duration::from_millis(500)).start().await.unwrap();
        let sent = producer.send(Message::new("bad", "x")).await;
        let asked = client.admin().queues("bad").await;
        assert_eq!(client.admin().queues("empty").await, Ok(Vec::new()));
        match (sent, asked) {
            (Err(SendError::Route(RouteError::Malformed(a))), Err(AdminError::Route(RouteError::Malformed(b)))) => {
                assert_eq!(a, b);
                a
            }
            other => panic!("{other:?}"),
        }
    });
    assert_eq!(names.connections.load(Ordering::SeqCst), 1, "a bad body is no reason to close the link");
    error
}

#[test]
fn a_route_with_two_to_the_31_queues() {
    for (read, write) in [(i32::MAX, 4), (4, i32::MAX)] {
        let queues = format!(r#"{{"brokerName":"b","perm":6,"readQueueNums":{read},"writeQueueNums":{write}}}"#);
        let body = format!(r#"{{"brokerDatas":[],"queueDatas":[{queues}]}}"#);
        assert_eq!(refused(body), BodyError::QueueCount { broker: "b".into(), count: i32::MAX });
    }
    let many = r#"{"brokerName":"b","perm":6,"readQueueNums":2147483648}"#;
    assert!(matches!(refused(format!(r#"{{"queueDatas":[{many}]}}"#)), BodyError::Json(_)));
}

#[test]
fn a_route_with_many_brokers() {
    let queues = r#"{"brokerName":"b","perm":6,"readQueueNums":4096,"writeQueueNums":4096}"#;
    let body = format!(r#"{{"queueDatas":[{}]}}"#, vec![queues; 1_025].join(","));
    let error = BodyError::TooMany { what: "brokers with queues", count: 1_025, limit: 1_024 };
    assert_eq!(refused(body), error);
}

#[test]
fn a_deep_route() {
    for depth in [33, 20_000] {
        let body = format!(r#"{{"x":{}{}}}"#, "[".repeat(depth), "]".repeat(depth));
        assert_eq!(refused(body), BodyError::Dialect(DialectError::TooDeep { limit: 32 }));
    }
}
