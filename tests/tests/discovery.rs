//! Name servers that somebody tells by HTTP, and other ones while clients run, on both runtimes.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::arithmetic_side_effects)]
#![allow(clippy::wildcard_enum_match_arm)]

#[path = "common/runtimes.rs"]
mod runtimes;

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rocketmq_core::config::ConfigError;
use rocketmq_smol::{Client, ClientBuilder, ClientEvent, ConnectError, DiscoveryConfig, Message};
use rocketmq_testkit::cluster::EmbeddedCluster;

use runtimes::{OnRuntime, RUNTIMES};

/// A server of HTTP that says the same to everybody until it is told to say something else.
struct Http {
    address: SocketAddr,
    says: Arc<Mutex<Vec<u8>>>,
    heard: Arc<Mutex<Vec<String>>>,
    ended: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Http {
    fn saying(answer: impl Into<Vec<u8>>) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let (says, heard) = (Arc::new(Mutex::new(answer.into())), Arc::<Mutex<Vec<String>>>::default());
        let ended = Arc::<AtomicBool>::default();
        let (answer, log, stop) = (says.clone(), heard.clone(), ended.clone());
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming() {
                if stop.load(Ordering::SeqCst) {
                    return;
                }
                let Ok(mut stream) = stream else { continue };
                stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
                let mut request = Vec::new();
                let mut buf = [0; 1_024];
                while !request.ends_with(b"\r\n\r\n") {
                    match stream.read(&mut buf) {
                        Ok(read @ 1..) => request.extend_from_slice(&buf[..read]),
                        Ok(0) | Err(_) => break,
                    }
                }
                log.lock().unwrap().push(String::from_utf8_lossy(&request).into_owned());
                let answer = answer.lock().unwrap().clone();
                drop(stream.write_all(&answer));
            }
        });
        Self { address, says, heard, ended, thread: Some(thread) }
    }

    fn say(&self, answer: Vec<u8>) {
        *self.says.lock().unwrap() = answer;
    }

    fn discovery(&self) -> DiscoveryConfig {
        DiscoveryConfig::new(self.address.to_string())
    }
}

impl Drop for Http {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::SeqCst);
        drop(TcpStream::connect(self.address));
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

fn ok(body: &str) -> Vec<u8> {
    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

/// Two name servers with one broker.
fn cluster() -> (EmbeddedCluster, [String; 2]) {
    let cluster = EmbeddedCluster::builder().name_servers(2).topic("t", 2).start().unwrap();
    let servers = cluster.namesrv();
    let (first, second) = servers.split_once(';').unwrap();
    let servers = [first.to_owned(), second.to_owned()];
    (cluster, servers)
}

fn links(client: &Client) -> Vec<String> {
    client.links().into_iter().map(|(to, _)| to.to_string()).collect()
}

#[track_caller]
fn soon(patience: Duration, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + patience;
    while !holds() {
        assert!(Instant::now() < end, "not in time");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_client_follows_who_tells_the_name_servers() {
    let running: Vec<_> = RUNTIMES.into_iter().map(|on| std::thread::spawn(move || follows(on))).collect();
    running.into_iter().for_each(|running| running.join().unwrap());
}

fn follows((_, connect): OnRuntime) {
    let (cluster, [first, second]) = cluster();
    let http = Http::saying(ok(&format!("{first}\r\nand more")));
    let client = connect(ClientBuilder::new().discovery(http.discovery().unit("here"))).unwrap();
    let mut events = client.events();
    assert_eq!(client.name_servers(), [first.as_str().into()]);
    let request = http.heard.lock().unwrap()[0].clone();
    assert!(request.starts_with("GET /rocketmq/nsaddr-here?nofix=1 HTTP/1.1\r\n"), "{request}");
    assert!(request.contains(&format!("\r\nHost: {}\r\n", http.address)), "{request}");
    let producer = smol::block_on(client.producer("p").start()).unwrap();
    smol::block_on(producer.send(Message::new("t", "by the first"))).unwrap();

    // It is asked again after 10 s.
    http.say(ok(&second));
    soon(Duration::from_secs(14), || client.name_servers() == [second.as_str().into()]);
    soon(Duration::from_secs(5), || !links(&client).contains(&first));
    cluster.stop_name_server(0).unwrap();
    cluster.topic("u", 2);
    smol::block_on(producer.send(Message::new("u", "by the second"))).unwrap();
    assert_eq!(http.heard.lock().unwrap().len(), 2);
    let told = std::iter::from_fn(|| events.try_next());
    let told: Vec<_> = told.filter(|event| matches!(event, ClientEvent::NameServers(_))).collect();
    assert_eq!(told, [ClientEvent::NameServers(vec![second.as_str().into()])]);
    smol::block_on(client.shutdown());
}

#[test]
fn answers_that_are_of_no_use_are_told_of_and_change_nothing() {
    let (_cluster, [first, second]) = cluster();
    let list = format!("{first};{second}");
    let unusable = [
        b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n".to_vec(),
        b"HTTP/1.1 500 Sorry\r\nContent-Length: 0\r\n\r\n".to_vec(),
        ok(""),
        ok("<html>no list</html>"),
        b"hello".to_vec(),
        [b"HTTP/1.1 200 OK\r\n\r\n".to_vec(), vec![b'x'; 1 << 20]].concat(),
        Vec::new(),
    ];
    for (runtime, connect) in RUNTIMES {
        for answer in &unusable {
            let http = Http::saying(answer.clone());
            // Those that are given are asked.
            let builder = ClientBuilder::new().discovery(http.discovery()).name_servers(&list);
            let client = connect(builder.clone()).unwrap();
            assert_eq!(client.name_servers().len(), 2, "{runtime}");
            assert!(smol::block_on(client.admin().queues("t")).is_ok());
        }
        let http = Http::saying(unusable[1].clone());
        let error = connect(ClientBuilder::new().discovery(http.discovery())).unwrap_err();
        let ConnectError::Unavailable(unavailable) = error else { panic!("{runtime}: {error}") };
        assert_eq!(unavailable.tried[0].0.as_str(), http.address.to_string());
        assert!(unavailable.to_string().contains("the status is 500"), "{unavailable}");
    }
}

#[test]
fn other_name_servers_by_hand_take_over_at_once() {
    for (_, connect) in RUNTIMES {
        let (cluster, [first, second]) = cluster();
        let client = connect(ClientBuilder::new().name_servers(&first)).unwrap();
        let producer = smol::block_on(client.producer("p").start()).unwrap();
        smol::block_on(producer.send(Message::new("t", "by the first"))).unwrap();
        assert!(links(&client).contains(&first));
        assert_eq!(client.update_name_servers(""), Err(ConfigError::NoNameServer));
        assert_eq!(client.update_name_servers("nowhere"), Err(ConfigError::Endpoint("nowhere".into())));
        client.update_name_servers(&second).unwrap();
        soon(Duration::from_secs(5), || client.name_servers() == [second.as_str().into()]);
        soon(Duration::from_secs(5), || !links(&client).contains(&first));
        cluster.stop_name_server(0).unwrap();
        cluster.topic("u", 2);
        smol::block_on(producer.send(Message::new("u", "by the second"))).unwrap();
        assert!(links(&client).contains(&second));
        smol::block_on(client.shutdown());
    }
}

/// A server that listens at `::1` and hands on to a name server.
fn at_ipv6(behind: SocketAddr) -> SocketAddr {
    let listener = TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).expect("this test needs a host that has ::1");
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let other = TcpStream::connect(behind).unwrap();
            let pump = |mut from: TcpStream, mut to: TcpStream| {
                std::thread::spawn(move || drop(std::io::copy(&mut from, &mut to)));
            };
            pump(stream.try_clone().unwrap(), other.try_clone().unwrap());
            pump(other, stream);
        }
    });
    address
}

#[test]
fn addresses_of_ipv6_are_connected_and_stand_in_brackets() {
    let (_cluster, [first, _]) = cluster();
    let address = at_ipv6(first.parse().unwrap());
    for (_, connect) in RUNTIMES {
        let builder = ClientBuilder::new().name_servers(format!("[::1]:{}", address.port()));
        let client = connect(builder.client_ip(Ipv6Addr::LOCALHOST.into()).instance_name("i")).unwrap();
        assert_eq!(client.client_id().as_str(), "[::1]@i");
        assert_eq!(smol::block_on(client.admin().queues("t")).unwrap().len(), 2);
        smol::block_on(client.shutdown());
    }
}
