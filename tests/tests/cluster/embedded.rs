//! The embedded cluster over real sockets.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use bytes::Bytes;
use rocketmq_core::ids::Opaque;
use rocketmq_core::wire::body::TopicRoute;
use rocketmq_core::wire::frame::EncodedFrame;
use rocketmq_core::wire::request::{GetRouteInfo, Request};
use rocketmq_core::wire::{Codec, Frame};
use rocketmq_testkit::cluster::Deframer;
use rocketmq_testkit::cluster::tcp::EmbeddedCluster;

use crate::talk::{Pulled, long_pull, message, pull};

struct Client {
    stream: TcpStream,
    inbox: Deframer,
    buffer: Vec<u8>,
    opaque: i32,
}

impl Client {
    fn connect(address: SocketAddr) -> std::io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, inbox: Deframer::default(), buffer: vec![0; 256 * 1024], opaque: 0 })
    }

    fn tell(&mut self, request: &EncodedFrame) {
        self.opaque += 1;
        self.stream.write_all(&request.to_bytes(Opaque(self.opaque))).unwrap();
    }

    fn hear(&mut self) -> std::io::Result<Frame> {
        loop {
            if let Some(frame) = self.inbox.next_frame().unwrap() {
                return Ok(frame);
            }
            match self.stream.read(&mut self.buffer)? {
                0 => return Err(std::io::ErrorKind::UnexpectedEof.into()),
                count => self.inbox.push(&self.buffer[..count]),
            }
        }
    }

    fn ask(&mut self, request: &EncodedFrame) -> Frame {
        self.tell(request);
        self.hear().unwrap()
    }
}

#[test]
fn sends_and_pulls_over_sockets() {
    let cluster = EmbeddedCluster::builder().brokers(2).topic("T", 2).start().unwrap();
    let mut names = Client::connect(cluster.namesrv().parse().unwrap()).unwrap();
    let route = GetRouteInfo { topic: "T".into(), standard_json: Some(true) };
    let route = TopicRoute::decode(&names.ask(&route.encode(Codec::Json, Bytes::new())).body).unwrap();
    let addresses: Vec<_> = route.broker_datas.iter().map(|broker| broker.broker_addrs[&0].as_str()).collect();
    assert_eq!(addresses, [0, 1].map(|index| cluster.broker_address(index).to_string()));

    let mut client = Client::connect(cluster.broker_address(1)).unwrap();
    for n in 0..1_000 {
        client.tell(&message("T", 0, &[]).encode(Codec::Json, Bytes::from(format!("{n}"))));
    }
    for _ in 0..1_000 {
        assert_eq!(client.hear().unwrap().header.code, 0);
    }
    let mut next = 0;
    while next < 1_000 {
        let pulled = Pulled::from(client.ask(&pull("G", "T", 0, next).encode(Codec::Json, Bytes::new())));
        for (body, n) in pulled.bodies().iter().zip(next..) {
            assert_eq!(*body, n.to_string());
        }
        next = u64::try_from(pulled.next()).unwrap();
    }
    assert_eq!(cluster.stored("T").len(), 1_000);
    cluster.stop();
}

#[test]
fn a_held_pull_is_answered_from_another_connection() {
    let cluster = EmbeddedCluster::builder().topic("T", 1).start().unwrap();
    let address = cluster.broker_address(0);
    let (mut consumer, mut producer) = (Client::connect(address).unwrap(), Client::connect(address).unwrap());
    let mut request = long_pull("G", "T", 0, Duration::from_secs(15));
    request.sys_flag |= rocketmq_core::wire::request::PullMessage::SUBSCRIPTION;
    request.subscription = Some("*".into());
    consumer.tell(&request.encode(Codec::Json, Bytes::new()));
    std::thread::sleep(Duration::from_millis(20));
    producer.ask(&message("T", 0, &[]).encode(Codec::Json, Bytes::from_static(b"wake")));
    let started = Instant::now();
    assert_eq!(Pulled::from(consumer.hear().unwrap()).bodies(), ["wake"]);
    assert!(started.elapsed() < Duration::from_secs(1));
}

#[test]
fn delays_run_on_the_real_clock() {
    let cluster = EmbeddedCluster::builder().delay_levels([Duration::from_millis(50)]).start().unwrap();
    let mut client = Client::connect(cluster.broker_address(0)).unwrap();
    client.ask(&message("T", 0, &[("DELAY", "1")]).encode(Codec::Json, Bytes::from_static(b"body")));
    let deadline = Instant::now() + Duration::from_secs(5);
    while cluster.stored("T").is_empty() && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(cluster.stored("T").len(), 1);
}

#[test]
fn a_broker_can_stop_and_come_back_with_its_log() {
    let cluster = EmbeddedCluster::builder().start().unwrap();
    cluster.topic("T", 1);
    let mut client = Client::connect(cluster.broker_address(0)).unwrap();
    client.ask(&message("T", 0, &[]).encode(Codec::Json, Bytes::from_static(b"kept")));
    cluster.with(|models| models.broker_mut(0).set_committed("G", "T", 0, 1));

    cluster.stop_broker(0).unwrap();
    assert!(client.hear().is_err(), "its connections break");
    assert!(Client::connect(cluster.broker_address(0)).is_err(), "its port refuses");
    let mut names = Client::connect(cluster.namesrv().parse().unwrap()).unwrap();
    let route = GetRouteInfo { topic: "T".into(), standard_json: None }.encode(Codec::Json, Bytes::new());
    assert_eq!(names.ask(&route).header.code, 17, "its routes are gone");

    cluster.start_broker(0).unwrap();
    assert_eq!(names.ask(&route).header.code, 0);
    let mut client = Client::connect(cluster.broker_address(0)).unwrap();
    let pulled = Pulled::from(client.ask(&pull("G", "T", 0, 0).encode(Codec::Json, Bytes::new())));
    assert_eq!(pulled.bodies(), ["kept"]);
    assert_eq!(cluster.committed("G").into_values().collect::<Vec<_>>(), [1]);

    cluster.stop_name_server(0).unwrap();
    assert!(names.hear().is_err());
    cluster.start_name_server(0).unwrap();
    let mut names = Client::connect(cluster.namesrv().parse().unwrap()).unwrap();
    assert_eq!(names.ask(&route).header.code, 0);
}

#[test]
fn a_peer_that_speaks_another_protocol_is_hung_up_on() {
    let cluster = EmbeddedCluster::start().unwrap();
    let mut client = Client::connect(cluster.broker_address(0)).unwrap();
    client.stream.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
    assert!(client.hear().is_err());
    let mut other = Client::connect(cluster.broker_address(0)).unwrap();
    assert_eq!(other.ask(&message("T", 0, &[]).encode(Codec::Json, Bytes::from_static(b"body"))).header.code, 0);
}
