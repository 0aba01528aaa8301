//! Servers over TLS: one cluster that takes plain text too, one that takes none and wants to know its clients.

use std::ffi::OsString;
use std::fs;
use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use rocketmq_core::client::ClientEvent;
use rocketmq_core::config::{StartFrom, TlsConfig};
use rocketmq_core::driver::{Client, ClientBuilder, ConnectError};
use rocketmq_core::error::{IoFailure, IoKind, RequestFailure, TlsFailure};
use rocketmq_core::message::Message;
use rocketmq_rmq::Streams;
use rocketmq_testkit::real::{
    ConsumerSpec, Encrypt, JavaPeer, Options, ProducerSpec, RealCluster, RealError, SendSpec,
};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use super::checks::{Checks, Scope};
use super::kit::{self, Got, PATIENCE, World, collect, drain, eventually, producer, receipts, send_all, sorted};
use super::pki::{Authority, Identity};
use super::runtimes::{Live, OnSmol, OnTokio};

/// Who is certified by whom in these clusters, and the files that tell servers.
struct Pki {
    root: Authority,
    /// Shown by servers, and by brokers to name servers.
    server: Identity,
    client: Identity,
    folder: PathBuf,
}

impl Pki {
    fn new(version: &str, mode: &str) -> Self {
        let root = Authority::root("live root");
        let server = root.issue(&["127.0.0.1", "brokers.example"], |params| params.extended_key_usages.clear());
        let folder = format!("tls-{version}-{mode}-{}", std::process::id());
        let pki = Self {
            client: root.client("live client"),
            folder: Path::new(env!("CARGO_TARGET_TMPDIR")).join(folder),
            root,
            server,
        };
        fs::create_dir_all(&pki.folder).expect("a folder");
        let (root, chain, key) = (pki.root.pem(), pki.server.chain_pem(), pki.server.key_pem());
        let (mine, my_key) = (pki.client.chain_pem(), pki.client.key_pem());
        for (name, text) in [
            ("root.pem", root.as_str()),
            ("server.pem", chain.as_str()),
            ("server.key", key),
            ("client.pem", mine.as_str()),
            ("client.key", my_key),
        ] {
            fs::write(pki.folder.join(name), text).expect("a file");
        }
        pki
    }

    /// The options of servers in this mode of theirs.
    fn options(&self, version: &str, mode: &str, knows_clients: bool) -> Options {
        let path = |name: &str| self.folder.join(name).display().to_string();
        let (root, server, key) = (path("root.pem"), path("server.pem"), path("server.key"));
        let auth = if knows_clients { "require" } else { "none" };
        let text = format!(
            "tls.test.mode.enable=false\ntls.server.need.client.auth={auth}\ntls.server.authClient={knows_clients}\n\
             tls.server.certPath={server}\ntls.server.keyPath={key}\ntls.server.trustCertPath={root}\n\
             tls.client.certPath={server}\ntls.client.keyPath={key}\ntls.client.trustCertPath={root}\n\
             tls.client.authServer=true\n"
        );
        fs::write(self.folder.join("tls.properties"), text).expect("a file");
        let mut options = Options::new(version);
        for (key, value) in kit::BROKER_CONF {
            options = options.conf(key, value);
        }
        options.jvm = vec![
            format!("-Dtls.server.mode={mode}"),
            "-Dtls.test.mode.enable=false".to_owned(),
            format!("-Dtls.config.file={}", path("tls.properties")),
        ];
        options
    }

    /// How the harness talks to servers that take no plain text.
    fn encrypt(&self) -> Encrypt {
        let mut roots = RootCertStore::empty();
        roots.add(self.root.der()).expect("a root");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let config = config.expect("versions").with_root_certificates(roots);
        let config = config.with_client_auth_cert(self.client.chain.clone(), self.client.key()).expect("a key");
        let config = Arc::new(config);
        Encrypt::new(move |stream| {
            let name = ServerName::try_from("127.0.0.1").expect("a name");
            let tls = ClientConnection::new(config.clone(), name).map_err(std::io::Error::other)?;
            Ok(Box::new(StreamOwned::new(tls, stream)))
        })
    }

    fn trusting(&self) -> TlsConfig {
        TlsConfig::new().roots_pem(self.root.pem()).expect("roots")
    }

    fn known(&self) -> TlsConfig {
        self.trusting().client_auth_pem(self.client.chain_pem(), self.client.key_pem()).expect("a certificate")
    }
}

impl Drop for Pki {
    fn drop(&mut self) {
        // What is left over is of no use to anybody.
        let _ = fs::remove_dir_all(&self.folder);
    }
}

pub(crate) fn both_runtimes(
    version: &str,
    java: &Arc<JavaPeer>,
    checks: &Arc<Checks>,
) -> Result<Vec<String>, RealError> {
    let begun = Instant::now();
    let mut failures = Vec::new();

    let pki = Pki::new(version, "permissive");
    let cluster = RealCluster::start(pki.options(version, "permissive", false))?;
    let world = World::new(&cluster, java, checks);
    let seen = std::panic::catch_unwind(AssertUnwindSafe(|| {
        OnSmol::block_on(permissive::<OnSmol>(&world, &pki));
        OnTokio::block_on(permissive::<OnTokio>(&world, &pki));
    }));
    failures.extend(seen.err().map(|panic| failure("permissive", &*panic, &cluster)));
    drop((world, cluster));

    let pki = Pki::new(version, "enforcing");
    let mut options = pki.options(version, "enforcing", true);
    options.encrypt = Some(pki.encrypt());
    let mut cluster = RealCluster::start(options)?;
    let world = World::new(&cluster, java, checks);
    let seen = std::panic::catch_unwind(AssertUnwindSafe(|| {
        OnSmol::block_on(enforcing::<OnSmol>(&world, &pki));
        OnTokio::block_on(enforcing::<OnTokio>(&world, &pki));
        OnTokio::block_on(restart::<OnTokio>(&world, &pki, &mut cluster));
    }));
    failures.extend(seen.err().map(|panic| failure("enforcing", &*panic, &cluster)));
    eprintln!("{version}: tls took {:.1?}", begun.elapsed());
    Ok(failures)
}

fn failure(mode: &str, panic: &(dyn std::any::Any + Send), cluster: &RealCluster) -> String {
    format!("tls {mode}: {}\n{}", kit::panic_text(panic), cluster.log_tail())
}

/// Over TLS and without, on the same ports: Java's client without, ours with.
async fn permissive<L: Live>(world: &World, pki: &Pki) {
    let check = world.scope::<L>("tls-permissive");
    let topic = format!("tls_permissive_{}", L::NAME);
    world.topic(&topic, 4);
    let client = L::connect(world.builder().tls(pki.trusting())).await.expect("a client");
    works(&check, &client, &topic).await;

    let name = format!("tls_java_{}", L::NAME);
    let topic = name.clone();
    world.topic(&topic, 4);
    let group = format!("tls_java_group_{}", L::NAME);
    let spec =
        ConsumerSpec { instance: Some(name.clone()), ..ConsumerSpec::new(&name, &world.namesrv, &group, &topic) };
    world.java.start_consumer(&spec).expect("a Java consumer");
    let consumer = client.push_consumer(format!("tls_ours_{}", L::NAME)).subscribe(topic.as_str(), "*");
    let consumer = consumer.start_from(StartFrom::First).start().await.expect("a consumer");
    let sender = format!("tls_java_sender_{}", L::NAME);
    let spec = ProducerSpec { instance: Some(sender.clone()), ..ProducerSpec::new(&sender, &world.namesrv, &sender) };
    world.java.start_producer(&spec).expect("a Java producer");
    world.java.send(&SendSpec::new(&sender, &topic, "from java ", 5)).expect("sent");
    let ours = producer(&client, "tls_ours").await;
    let messages = (0..5).map(|n| Message::new(topic.as_str(), format!("from us {n}"))).collect();
    check.eq("sent-to-java", receipts(send_all(&ours, 2, messages).await).len(), 5);
    let wanted = sorted(["java", "us"].iter().flat_map(|who| (0..5).map(move |n| format!("from {who} {n}"))));
    let got = collect(&consumer, 10).await;
    check.eq("java-in-plain-text-to-us-encrypted", sorted(got.iter().map(Got::text)), wanted.clone());
    let java = world.java.wait_consumed(&name, 10, PATIENCE).expect("consumed");
    check.eq("us-encrypted-to-java-in-plain-text", sorted(java.into_iter().map(|got| got.body)), wanted);
    world.java.stop_consumer(&name).expect("stopped");
    world.java.stop_producer(&sender).expect("stopped");
    client.shutdown().await;

    let named = pki.trusting().server_name("brokers.example").expect("a name");
    let client = L::connect(world.builder().tls(named)).await.expect("a client");
    check.eq("by-another-name", client.admin().queues(topic.as_str()).await.map(|queues| queues.len()), Ok(4));
    client.shutdown().await;

    let unknown = TlsConfig::new().roots_pem(Authority::root("another").pem()).expect("roots");
    refused::<L>(&check.step("unknown-root"), world.builder(), unknown, TlsFailure::UnknownIssuer).await;
    let other = pki.trusting().server_name("other.example").expect("a name");
    refused::<L>(&check.step("wrong-name"), world.builder(), other, TlsFailure::WrongName).await;
    let pin = TlsConfig::new().dangerous_pin_sha256([1; 32]);
    refused::<L>(&check.step("wrong-pin"), world.builder(), pin, TlsFailure::Pin).await;
}

/// Only over TLS, and only clients that show a certificate.
async fn enforcing<L: Live>(world: &World, pki: &Pki) {
    let check = world.scope::<L>("tls-enforcing");
    let topic = format!("tls_enforcing_{}", L::NAME);
    let client = L::connect(world.builder().tls(pki.known())).await.expect("a client");
    check.eq("administrates", client.admin().create_topic(topic.as_str(), 4).await, Ok(()));
    works(&check, &client, &topic).await;
    client.shutdown().await;

    rmq(world, pki, &check.step("rmq"));
    let why = TlsFailure::ClientCertificate;
    refused::<L>(&check.step("no-certificate"), world.builder(), pki.trusting(), why).await;
    let stranger = Authority::root("another").client("stranger");
    let shown = |identity: &Identity| {
        pki.trusting().client_auth_pem(identity.chain_pem(), identity.key_pem()).expect("a certificate")
    };
    refused::<L>(&check.step("unknown-certificate"), world.builder(), shown(&stranger), why).await;
    let old = pki.root.issue(&["old"], |params| params.not_after = rcgen::date_time_ymd(2020, 1, 1));
    refused::<L>(&check.step("expired-certificate"), world.builder(), shown(&old), why).await;

    let plain = L::connect(world.builder()).await;
    let answered = match &plain {
        Ok(client) => client.admin().queues(topic.as_str()).await.is_ok(),
        Err(_) => false,
    };
    check.that("plain-text-is-not-answered", !answered, ());
}

/// The command line, shown a certificate and not.
fn rmq(world: &World, pki: &Pki, check: &Scope) {
    let path = |name: &str| pki.folder.join(name).display().to_string();
    let run = |more: &[&str]| {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let words = [&["rmq", "cluster", "list", "-n", &world.namesrv], more].concat();
        let streams = Streams { out: &mut out, err: &mut err, out_is_terminal: false, err_is_terminal: false };
        let code = rocketmq_rmq::run(words.iter().map(OsString::from), streams);
        out.extend(err);
        (code, String::from_utf8_lossy(&out).into_owned())
    };
    let (root, chain, key) = (path("root.pem"), path("client.pem"), path("client.key"));
    // A broker of 4.9 has no figures in its first seconds, and fails when it is asked for them.
    let known = || run(&["--tls-ca", &root, "--tls-cert", &chain, "--tls-key", &key]);
    kit::wait(PATIENCE, || known().0 == 0);
    let (code, said) = known();
    check.that("known", code == 0 && said.contains(&world.broker_name), &said);
    let (code, said) = run(&["--tls-ca", &root]);
    check.that("unknown", code == 3 && said.contains("TLS"), (code, said));
}

/// Links are encrypted again after the broker was away.
async fn restart<L: Live>(world: &World, pki: &Pki, cluster: &mut RealCluster) {
    let check = world.scope::<L>("tls-restart");
    let client = L::connect(world.builder().tls(pki.known())).await.expect("a client");
    let topic = format!("tls_enforcing_{}", L::NAME);
    let sender = producer(&client, "tls_restart").await;
    check.that("before", sender.send(Message::new(topic.as_str(), "before")).await.is_ok(), ());
    cluster.restart_broker(true).expect("a restart");
    let begun = Instant::now();
    let again = loop {
        match sender.send(Message::new(topic.as_str(), "after")).await {
            Ok(_) => break true,
            Err(_) if begun.elapsed() < PATIENCE => kit::sleep(std::time::Duration::from_millis(200)).await,
            Err(_) => break false,
        }
    };
    check.that("after", again, begun.elapsed());
    client.shutdown().await;
}

/// Sends and consumes, small and large.
async fn works(check: &Scope, client: &Client, topic: &str) {
    let consumer = client.push_consumer(format!("{topic}_group")).subscribe(topic, "*").start_from(StartFrom::First);
    let consumer = consumer.start().await.expect("a consumer");
    let sender = producer(client, "tls_producer").await;
    let mut bodies: Vec<_> = (0..50).map(|n| format!("{n} {}", "x".repeat(n * 100))).collect();
    bodies.push(format!("large {}", (0..300_000).map(|n| char::from(b'a' + (n * 7 % 26) as u8)).collect::<String>()));
    let messages = bodies.iter().map(|body| Message::new(topic, body.clone())).collect();
    check.eq("sent", receipts(send_all(&sender, 8, messages).await).len(), bodies.len());
    let got = collect(&consumer, bodies.len()).await;
    check.eq("consumed", sorted(got.iter().map(Got::text)), sorted(bodies));
    check.eq("drained", consumer.shutdown().await.unsettled, 0);
}

/// It does not connect, and says why: as an error, and as an event.
async fn refused<L: Live>(check: &Scope, builder: ClientBuilder, tls: TlsConfig, expected: TlsFailure) {
    let builder = builder.tls(tls);
    let said = |why: &IoFailure| why.kind == IoKind::Tls(expected);
    let error = L::connect(builder.clone()).await.expect_err("it is not who it should be");
    let typed = match &error {
        ConnectError::Unavailable(unavailable) => unavailable.tried.iter().all(|(_, why)| match why {
            RequestFailure::Connect(why) => said(why),
            _ => false,
        }),
        _ => false,
    };
    check.that("connect", typed, &error);
    let client = L::connect(builder.lazy()).await.expect("a client that waits");
    let mut events = client.events();
    let asked = client.admin().queues("tls_permissive_smol").await;
    check.that("nothing-is-asked", asked.is_err(), &asked);
    let told = eventually(|| {
        drain(&mut events).into_iter().find_map(|event| match event {
            ClientEvent::ConnectFailed { why, .. } => Some(why),
            _ => None,
        })
    });
    let told = told.await;
    check.that("event", told.as_ref().is_some_and(said), &told);
    client.shutdown().await;
}
