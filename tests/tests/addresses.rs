//! Which servers a client connects to, and which way: addresses it is told and may not connect, and proxies, on both
//! runtimes.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::arithmetic_side_effects)]
#![allow(clippy::wildcard_enum_match_arm)]

#[path = "common/runtimes.rs"]
mod runtimes;

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rocketmq_core::error::{IoKind, ProxyFailure, RequestFailure};
use rocketmq_smol::{
    ClientBuilder, ClientEvent, ConnectError, Credentials, DiscoveryConfig, Message, Proxies, SocksProxy, StartFrom,
    TlsConfig,
};
use rocketmq_testkit::cluster::EmbeddedCluster;

use runtimes::RUNTIMES;

/// A server of which every connection is served by a thread.
struct Server {
    address: SocketAddr,
    ended: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    fn serving(serve: impl Fn(TcpStream) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let ended = Arc::<AtomicBool>::default();
        let (stop, serve) = (ended.clone(), Arc::new(serve));
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming() {
                if stop.load(Ordering::SeqCst) {
                    return;
                }
                let (Ok(stream), serve) = (stream, serve.clone()) else { continue };
                std::thread::spawn(move || serve(stream));
            }
        });
        Self { address, ended, thread: Some(thread) }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::SeqCst);
        drop(TcpStream::connect(self.address));
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

/// A cluster whose name server tells this address of its broker.
fn telling(address: SocketAddr) -> EmbeddedCluster {
    let cluster = EmbeddedCluster::builder().topic("t", 2).start().unwrap();
    cluster.with(move |cluster| cluster.broker_mut(0).set_address(address));
    cluster.stop_broker(0).unwrap();
    cluster.start_broker(0).unwrap();
    cluster
}

fn refused(events: &mut rocketmq_smol::EventStream) -> Vec<String> {
    let all = std::iter::from_fn(|| events.try_next());
    let refused = all.filter_map(|event| match event {
        ClientEvent::AddressRefused(endpoint) => Some(endpoint.to_string()),
        _ => None,
    });
    refused.collect()
}

#[test]
fn what_a_name_server_tells_is_connected_only_if_it_may_be() {
    for (runtime, connect) in RUNTIMES {
        let heard = Arc::<Mutex<Vec<u8>>>::default();
        let log = heard.clone();
        let trap = Server::serving(move |mut stream| {
            log.lock().unwrap().push(0);
            let mut all = Vec::new();
            drop(stream.read_to_end(&mut all));
            log.lock().unwrap().extend(all);
        });
        let cluster = telling(trap.address);
        let lists: [&[&str]; 3] = [&["192.0.2.0/24", "broker.example"], &[], &["127.0.0.1:1"]];
        for list in lists {
            let builder = ClientBuilder::new().name_servers(cluster.namesrv()).allow_addresses(list);
            let client = connect(builder.credentials(Credentials::new("user", "the secret"))).unwrap();
            let mut events = client.events();
            let producer = client.producer("p").send_timeout(Duration::from_millis(500)).start();
            let producer = smol::block_on(producer).unwrap();
            let begun = Instant::now();
            let error = smol::block_on(producer.send(Message::new("t", "not for you"))).unwrap_err();
            assert!(!error.may_be_stored() && error.to_string().contains("not allowed"), "{runtime}: {error}");
            assert!(begun.elapsed() < Duration::from_secs(2), "{runtime}: in the time it has");
            assert_eq!(refused(&mut events), [trap.address.to_string()], "{runtime}: told once");
            smol::block_on(client.shutdown());
        }
        assert!(heard.lock().unwrap().is_empty(), "{runtime}: nobody connected, and no signature went out");
    }
}

#[test]
fn what_is_on_the_list_is_connected() {
    let cluster = EmbeddedCluster::builder().topic("t", 2).start().unwrap();
    let broker = cluster.broker_address(0).to_string();
    for (_, connect) in RUNTIMES {
        for list in [vec!["127.0.0.0/8"], vec!["127.0.0.1"], vec!["10.0.0.0/8", &broker]] {
            let client = connect(ClientBuilder::new().name_servers(cluster.namesrv()).allow_addresses(list)).unwrap();
            let producer = smol::block_on(client.producer("p").start()).unwrap();
            smol::block_on(producer.send(Message::new("t", "hello"))).unwrap();
            smol::block_on(client.shutdown());
        }
        let bad = connect(ClientBuilder::new().name_servers("a:1").allow_addresses(["10.0.0.0/99"]));
        assert!(bad.unwrap_err().to_string().contains("10.0.0.0/99"));
    }
}

#[test]
fn nobody_is_led_to_the_secrets_of_clouds() {
    for (runtime, connect) in RUNTIMES {
        let cluster = telling("169.254.169.254:80".parse().unwrap());
        let client = connect(ClientBuilder::new().name_servers(cluster.namesrv())).unwrap();
        let mut events = client.events();
        let producer = client.producer("p").send_timeout(Duration::from_millis(500)).start();
        let producer = smol::block_on(producer).unwrap();
        let begun = Instant::now();
        assert!(smol::block_on(producer.send(Message::new("t", "GET /latest"))).is_err());
        assert!(begun.elapsed() < Duration::from_secs(2), "{runtime}");
        assert_eq!(refused(&mut events), ["169.254.169.254:80"], "{runtime}");
        smol::block_on(client.shutdown());

        // Whoever tells the name servers cannot do it either.
        let http = Server::serving(|mut stream| {
            drop(stream.read(&mut [0; 4_096]));
            drop(stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n169.254.169.254:80"));
        });
        let discovery = DiscoveryConfig::new(http.address.to_string());
        let error = connect(ClientBuilder::new().discovery(discovery)).unwrap_err();
        assert!(error.to_string().contains("not allowed"), "{runtime}: {error}");
    }
}

/// How a proxy behaves.
#[derive(Clone)]
enum Proxy {
    Open,
    Password(&'static str, &'static str),
    /// Says this after what it is told first, and hangs up.
    Says(Vec<u8>),
    /// The same to the second thing it is told, after having agreed to the first.
    SaysSecond(Vec<u8>),
}

/// A proxy that writes down where it was asked to connect to.
fn proxy(behaviour: Proxy) -> (Server, Arc<Mutex<Vec<String>>>) {
    let asked = Arc::<Mutex<Vec<String>>>::default();
    let log = asked.clone();
    let server = Server::serving(move |stream| drop(socks(stream, &behaviour, &log)));
    (server, asked)
}

fn socks(mut stream: TcpStream, behaviour: &Proxy, asked: &Mutex<Vec<String>>) -> std::io::Result<()> {
    let mut take = |len: usize| {
        let mut bytes = vec![0; len];
        stream.read_exact(&mut bytes).map(|()| bytes)
    };
    let head = take(2)?;
    let methods = take(usize::from(head[1]))?;
    let answer = match behaviour {
        Proxy::Says(bytes) => bytes.clone(),
        Proxy::Open | Proxy::SaysSecond(_) => vec![5, 0],
        Proxy::Password(..) => vec![5, if methods.contains(&2) { 2 } else { 0xff }],
    };
    stream.write_all(&answer)?;
    if matches!(behaviour, Proxy::Says(_)) {
        return Ok(());
    }
    let mut take = |len: usize| {
        let mut bytes = vec![0; len];
        stream.read_exact(&mut bytes).map(|()| bytes)
    };
    if let Proxy::Password(user, password) = behaviour {
        let len = take(2)?[1];
        let name = take(usize::from(len))?;
        let len = take(1)?[0];
        let given = take(usize::from(len))?;
        let right = name == user.as_bytes() && given == password.as_bytes();
        stream.write_all(&[1, u8::from(!right)])?;
        if !right {
            return Ok(());
        }
    }
    let mut take = |len: usize| {
        let mut bytes = vec![0; len];
        stream.read_exact(&mut bytes).map(|()| bytes)
    };
    let request = take(4)?;
    let host = match request[3] {
        1 => take(4)?.iter().map(u8::to_string).collect::<Vec<_>>().join("."),
        3 => {
            let len = take(1)?[0];
            String::from_utf8_lossy(&take(usize::from(len))?).into_owned()
        }
        _ => return Ok(()),
    };
    let port = take(2)?;
    let target = format!("{host}:{}", u16::from_be_bytes([port[0], port[1]]));
    asked.lock().unwrap().push(target.clone());
    if let Proxy::SaysSecond(bytes) = behaviour {
        return stream.write_all(bytes);
    }
    // The names of these tests are known to nobody else.
    let Ok(other) = TcpStream::connect(target.replace("names.invalid", "127.0.0.1")) else {
        return stream.write_all(&[5, 5, 0, 1, 0, 0, 0, 0, 0, 0]);
    };
    // In two parts.
    stream.write_all(&[5, 0, 0, 3, 4])?;
    stream.write_all(b"here\x01\x02")?;
    let (mut up, mut down) = (stream.try_clone()?, other.try_clone()?);
    std::thread::spawn(move || {
        drop(std::io::copy(&mut up, &mut down));
        drop(down.shutdown(std::net::Shutdown::Write));
    });
    drop(std::io::copy(&mut &other, &mut &stream));
    stream.shutdown(std::net::Shutdown::Write)
}

#[test]
fn servers_are_reached_through_a_proxy() {
    let cluster = EmbeddedCluster::builder().topic("t", 2).start().unwrap();
    let (names, broker) = (cluster.namesrv(), cluster.broker_address(0).to_string());
    let by_name = names.replace("127.0.0.1", "names.invalid");
    let known = |address: &SocketAddr| SocksProxy::new(address.to_string()).user("me", "a secret");
    for (runtime, connect) in RUNTIMES {
        for (behaviour, servers) in
            [(Proxy::Open, &names), (Proxy::Password("me", "a secret"), &names), (Proxy::Open, &by_name)]
        {
            let (proxy, asked) = proxy(behaviour);
            let builder = ClientBuilder::new().name_servers(servers).proxies(Proxies::all(known(&proxy.address)));
            let client = connect(builder).unwrap();
            let producer = smol::block_on(client.producer("p").start()).unwrap();
            let body = format!("through {}", proxy.address);
            smol::block_on(producer.send(Message::new("t", body.clone()))).unwrap();
            let group = format!("g{}", proxy.address.port());
            let consumer = client.push_consumer(group).subscribe("t", "*").start_from(StartFrom::First);
            let consumer = smol::block_on(consumer.start()).unwrap();
            smol::block_on(async {
                loop {
                    let delivery = consumer.next().await.unwrap();
                    let is_it = delivery.message().body() == body.as_bytes();
                    delivery.ack();
                    if is_it {
                        break;
                    }
                }
            });
            smol::block_on(client.shutdown());
            let asked = asked.lock().unwrap();
            assert!(asked.contains(servers) && asked.contains(&broker), "{runtime}: {asked:?}");
        }

        // Others are connected directly.
        let (proxy, asked) = proxy(Proxy::Open);
        let json = format!(r#"{{"10.0.0.0/8": {{"addr": "{}"}}}}"#, proxy.address);
        let builder = ClientBuilder::new().name_servers(&names).proxies(Proxies::from_json(&json).unwrap());
        let client = connect(builder).unwrap();
        assert!(smol::block_on(client.admin().queues("t")).is_ok());
        assert!(asked.lock().unwrap().is_empty());
    }
}

#[test]
fn a_proxy_that_refuses_or_lies_is_a_typed_error() {
    let cases = [
        (Proxy::Password("me", "another"), ProxyFailure::Credentials),
        (Proxy::Says(vec![5, 0xff]), ProxyFailure::Credentials),
        (Proxy::Says(vec![5, 9]), ProxyFailure::Protocol),
        (Proxy::Says(b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec()), ProxyFailure::NotSocks),
        (Proxy::Says(vec![4, 0]), ProxyFailure::NotSocks),
        (Proxy::Says(Vec::new()), ProxyFailure::CutShort),
        (Proxy::SaysSecond(vec![5, 2, 0, 1, 0, 0, 0, 0, 0, 0]), ProxyFailure::Target(2)),
        (Proxy::SaysSecond(vec![5, 5, 0, 1, 0, 0, 0, 0, 0, 0]), ProxyFailure::Target(5)),
        (Proxy::SaysSecond(vec![5, 0, 0, 7, 0, 0]), ProxyFailure::Protocol),
        (Proxy::SaysSecond(vec![5, 0, 0, 1, 0, 0]), ProxyFailure::CutShort),
        (Proxy::SaysSecond([&[5, 0, 0, 1, 0, 0, 0, 0, 0, 0][..], &[0x41; 9]].concat()), ProxyFailure::Protocol),
    ];
    let running: Vec<_> = RUNTIMES
        .into_iter()
        .flat_map(|on| cases.iter().cloned().map(move |case| (on, case)))
        .map(|((runtime, connect), (behaviour, expected))| {
            std::thread::spawn(move || {
                let (proxy, _asked) = proxy(behaviour);
                let through = SocksProxy::new(proxy.address.to_string()).user("me", "a secret");
                let builder = ClientBuilder::new().name_servers("192.0.2.1:9876").proxies(Proxies::all(through));
                let Err(ConnectError::Unavailable(unavailable)) = connect(builder) else { panic!("connected") };
                let RequestFailure::Connect(why) = &unavailable.tried[0].1 else { panic!("{unavailable}") };
                assert_eq!(why.kind, IoKind::Proxy(expected), "{runtime}: {why}");
                assert!(!unavailable.to_string().contains("a secret"), "{unavailable}");
            })
        })
        .collect();
    running.into_iter().for_each(|case| case.join().unwrap());
}

/// Where links are encrypted, a proxy sees nothing but where they lead to.
#[test]
fn tls_goes_through_a_proxy_and_not_beside_it() {
    let said = Arc::<Mutex<Vec<u8>>>::default();
    let log = said.clone();
    let server = Server::serving(move |mut stream| {
        let mut first = [0; 6];
        drop(stream.read_exact(&mut first));
        log.lock().unwrap().extend(first);
    });
    let (proxy, asked) = proxy(Proxy::Open);
    for (runtime, connect) in RUNTIMES {
        said.lock().unwrap().clear();
        let through = Proxies::all(SocksProxy::new(proxy.address.to_string()));
        let tls = TlsConfig::new().dangerous_accept_any_certificate();
        let builder = ClientBuilder::new().name_servers(server.address.to_string()).tls(tls).proxies(through);
        assert!(connect(builder).is_err(), "{runtime}: it closes each connection");
        let said = said.lock().unwrap();
        assert_eq!((said[0], said[5]), (0x16, 1), "{runtime}: a ClientHello");
        assert!(asked.lock().unwrap().contains(&server.address.to_string()));
    }
}
