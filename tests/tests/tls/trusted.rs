//! Certificates that hold: the client works as it does without TLS.

use rocketmq_smol::{Client, ClientBuilder, Message, StartFrom, TlsConfig};
use rocketmq_testkit::cluster::EmbeddedCluster;
use rustls::version::{TLS12, TLS13};

use super::front::{Front, Serve};
use super::pki::{Authority, Identity};
use super::{RUNTIMES, serving, serving_known, serving_versions, trusting};

/// A cluster that can be reached over TLS only, as far as its clients know.
struct Encrypted {
    cluster: EmbeddedCluster,
    names: Front,
    broker: Front,
}

impl Encrypted {
    fn start(serve: impl Fn(std::net::SocketAddr) -> Serve) -> Self {
        let cluster = EmbeddedCluster::builder().topic("t", 4).start().unwrap();
        let names = Front::start(serve(cluster.namesrv().parse().unwrap()));
        let broker = Front::start(serve(cluster.broker_address(0)));
        let told = broker.address;
        cluster.with(move |cluster| cluster.broker_mut(0).set_address(told));
        // It registers at its start.
        cluster.stop_broker(0).unwrap();
        cluster.start_broker(0).unwrap();
        Self { cluster, names, broker }
    }

    fn builder(&self, tls: TlsConfig) -> ClientBuilder {
        ClientBuilder::new().name_servers(self.names.address.to_string()).tls(tls)
    }

    /// Sends and consumes, and looks at what went over the wire.
    fn works(&self, client: &Client, name: &str) {
        let secret = format!("{name}: known to nobody on the way");
        let large = format!("{secret} {}", "x".repeat(200_000));
        smol::block_on(async {
            let producer = client.producer("senders").start().await.unwrap();
            let group = format!("group_{name}");
            let consumer = client.push_consumer(group.as_str()).subscribe("t", "*").start_from(StartFrom::First);
            let consumer = consumer.start().await.unwrap();
            for body in [&secret, &large] {
                producer.send(Message::new("t", body.clone())).await.unwrap();
            }
            let mut got = Vec::new();
            while got.len() < 2 {
                let delivery = consumer.next().await.unwrap();
                got.push(String::from_utf8_lossy(delivery.message().body()).into_owned());
                delivery.ack();
            }
            got.sort_by_key(String::len);
            assert_eq!(got, [secret.clone(), large]);
            client.shutdown().await;
            let committed: i64 = self.cluster.committed(&group).values().sum();
            assert!(committed >= 2, "{name}: what was consumed is committed: {committed}");
        });
        for front in [&self.names, &self.broker] {
            let all = front.received();
            assert!(!all.is_empty(), "{name}: links were opened");
            for bytes in all {
                assert_eq!((bytes[0], bytes[5]), (0x16, 1), "{name}: a link begins with a ClientHello");
                for word in [secret.as_bytes(), b"\"code\"", b"group_"] {
                    assert!(!bytes.windows(word.len()).any(|part| part == word), "{name}: {word:?} can be read");
                }
            }
        }
    }
}

#[test]
fn who_is_certified_is_talked_to_and_nobody_else_can_listen() {
    let root = Authority::root("root");
    let between = root.authority("between", |_| {});
    for (runtime, connect) in RUNTIMES {
        for version in [&TLS12, &TLS13] {
            let server = between.server(&["127.0.0.1", "localhost"]);
            let config = serving_versions(&server, &[version]);
            let cluster = Encrypted::start(|behind| Serve::Tls(config.clone(), Some(behind)));
            let client = connect(cluster.builder(trusting(&root))).unwrap();
            cluster.works(&client, &format!("{runtime}_{:?}", version.version));
        }
    }
}

#[test]
fn servers_that_ask_for_it_are_shown_a_certificate() {
    let root = Authority::root("root");
    let server = root.server(&["127.0.0.1"]);
    let mine = root.client("a client");
    for (runtime, connect) in RUNTIMES {
        for version in [&TLS12, &TLS13] {
            let config = serving_known(&server, &root, &[version]);
            let cluster = Encrypted::start(|behind| Serve::Tls(config.clone(), Some(behind)));
            let tls = trusting(&root).client_auth_pem(mine.chain_pem(), mine.key_pem()).unwrap();
            let client = connect(cluster.builder(tls)).unwrap();
            cluster.works(&client, &format!("{runtime}_{:?}", version.version));
        }
    }
}

#[test]
fn other_names_pins_and_anybody_are_trusted_where_that_is_asked_for() {
    let root = Authority::root("root");
    let elsewhere = root.server(&["brokers.example"]);
    let own = Identity::self_signed(&["brokers.example"]);
    let pin = rustls_sha256(&own.chain[0]);
    let cases = [
        ("named", &elsewhere, trusting(&root).server_name("brokers.example").unwrap()),
        ("pinned", &own, TlsConfig::new().dangerous_pin_sha256(pin)),
        ("anybody", &own, TlsConfig::new().dangerous_accept_any_certificate()),
    ];
    for (name, server, tls) in cases {
        for (runtime, connect) in RUNTIMES {
            let config = serving(server);
            let cluster = Encrypted::start(|behind| Serve::Tls(config.clone(), Some(behind)));
            let client = connect(cluster.builder(tls.clone())).unwrap();
            cluster.works(&client, &format!("{runtime}_{name}"));
        }
    }
}

pub(crate) fn rustls_sha256(bytes: &[u8]) -> [u8; 32] {
    let rustls::SupportedCipherSuite::Tls13(suite) = rustls::crypto::ring::cipher_suite::TLS13_AES_128_GCM_SHA256
    else {
        unreachable!("a suite of TLS 1.3");
    };
    suite.common.hash_provider.hash(bytes).as_ref().try_into().unwrap()
}
