//! Servers that let only users in, each as far as it may go: their clients sign what they ask.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use rocketmq_core::acl::{Credentials, CredentialsProvider};
use rocketmq_core::client::{ClientEvent, StartError};
use rocketmq_core::config::StartFrom;
use rocketmq_core::driver::Client;
use rocketmq_core::error::AccessDenied;
use rocketmq_core::message::Message;
use rocketmq_core::wire::Codec;
use rocketmq_testkit::real::{JavaPeer, Options, RealCluster, RealError, V4, V5};

use super::checks::{Checks, Scope};
use super::kit::{Got, World, collect, drain, eventually, producer, receipts, send_all, sorted};
use super::runtimes::{Live, OnSmol, OnTokio};

const ADMIN: (&str, &str) = ("live_admin", "admin_secret");
const USER: (&str, &str) = ("live_user", "user_secret");
/// What the user may send to and consume on each runtime, and what it may not.
const OPEN: [&str; 2] = ["acl_open_smol", "acl_open_tokio"];
const GROUPS: [&str; 2] = ["acl_group_smol", "acl_group_tokio"];
const SHUT: &str = "acl_shut";

/// A cluster that knows the two.
fn options(version: &str) -> Options {
    let options =
        Options::new(version).file("tools/conf/tools.yml", format!("accessKey: {}\nsecretKey: {}\n", ADMIN.0, ADMIN.1));
    if version == V4 {
        let perms = |names: [&str; 2], perm: &str| names.map(|name| format!("  - {name}={perm}\n")).concat();
        let (topics, groups) = (perms(OPEN, "PUB|SUB"), perms(GROUPS, "SUB"));
        let text = format!(
            "accounts:\n- accessKey: {}\n  secretKey: {}\n  admin: true\n- accessKey: {}\n  secretKey: {}\n  admin: false\n  \
             defaultTopicPerm: DENY\n  defaultGroupPerm: DENY\n  topicPerms:\n{topics}  groupPerms:\n{groups}",
            ADMIN.0, ADMIN.1, USER.0, USER.1
        );
        return options.conf("aclEnable", "true").file("conf/plain_acl.yml", text);
    }
    let package = "org.apache.rocketmq.auth";
    options
        .conf("authenticationEnabled", "true")
        .conf("authenticationProvider", format!("{package}.authentication.provider.DefaultAuthenticationProvider"))
        .conf(
            "authenticationMetadataProvider",
            format!("{package}.authentication.provider.LocalAuthenticationMetadataProvider"),
        )
        .conf("initAuthenticationUser", format!("{{\"username\":\"{}\",\"password\":\"{}\"}}", ADMIN.0, ADMIN.1))
        .conf(
            "innerClientAuthenticationCredentials",
            format!("{{\"accessKey\":\"{}\",\"secretKey\":\"{}\"}}", ADMIN.0, ADMIN.1),
        )
        .conf("authorizationEnabled", "true")
        .conf("authorizationProvider", format!("{package}.authorization.provider.DefaultAuthorizationProvider"))
        .conf(
            "authorizationMetadataProvider",
            format!("{package}.authorization.provider.LocalAuthorizationMetadataProvider"),
        )
}

pub(crate) fn both_runtimes(
    version: &str,
    java: &Arc<JavaPeer>,
    checks: &Arc<Checks>,
) -> Result<Vec<String>, RealError> {
    let begun = Instant::now();
    let cluster = RealCluster::start(options(version))?;
    let world = World::new(&cluster, java, checks);
    let seen = std::panic::catch_unwind(AssertUnwindSafe(|| {
        OnSmol::block_on(prepare::<OnSmol>(&world, &cluster));
        OnSmol::block_on(scenario::<OnSmol>(&world));
        OnTokio::block_on(scenario::<OnTokio>(&world));
        if version != V4 {
            OnSmol::block_on(users::<OnSmol>(&world, &cluster));
            OnTokio::block_on(users::<OnTokio>(&world, &cluster));
        }
    }));
    let failure = seen.err().map(|panic| format!("acl: {}\n{}", super::kit::panic_text(&*panic), cluster.log_tail()));
    drop(cluster);
    let copies = if version == V4 { None } else { copies(java, checks)? };
    eprintln!("{version}: acl took {:.1?}", begun.elapsed());
    Ok(failure.into_iter().chain(copies).collect())
}

/// Two brokers that keep their users, of which one gets those of the other.
fn copies(java: &Arc<JavaPeer>, checks: &Arc<Checks>) -> Result<Option<String>, RealError> {
    let mut other = options(V5);
    other.broker_name = "broker-b".to_owned();
    let [one, other] = RealCluster::start_together([options(V5), other])?;
    let world = World::new(&one, java, checks);
    let secret = one.dir().join("secret");
    std::fs::write(&secret, ADMIN.1).map_err(|source| RealError::Io { what: "write a secret".to_owned(), source })?;
    let access = ["--access-key", ADMIN.0, "--secret-key-file", secret.to_str().expect("a path that is text")];
    let seen = std::panic::catch_unwind(AssertUnwindSafe(|| {
        OnSmol::block_on(async {
            let admin = client::<OnSmol>(&world, Some(credentials(ADMIN)), Codec::Json).await;
            let brokers = [&one, &other].map(|part| (part.broker_name(), part.broker_addr()));
            super::admin_users::copied::<OnSmol>(&world, &admin, &brokers, &access).await;
            admin.shutdown().await;
        });
    }));
    Ok(seen.err().map(|panic| format!("acl copies: {}\n{}", super::kit::panic_text(&*panic), other.log_tail())))
}

/// The topics, by our own administration, and on new brokers the user, by that of the version.
async fn prepare<L: Live>(world: &World, cluster: &RealCluster) {
    let check = world.scope::<L>("acl").step("admin");
    let client = client::<L>(world, Some(credentials(ADMIN)), Codec::Json).await;
    for topic in OPEN.into_iter().chain([SHUT]) {
        check.eq(format!("makes-{topic}"), client.admin().create_topic(topic, 2).await, Ok(()));
    }
    client.shutdown().await;
    if world.checks.version() == V4 {
        return;
    }
    let broker = cluster.broker_addr();
    let run = |args: &[&str]| {
        let said = world.mqadmin.run(&[args, &["-b", &broker]].concat()).expect("mqadmin");
        assert!(said.contains("success"), "{args:?}: {said}");
    };
    run(&["createUser", "-u", USER.0, "-p", USER.1, "-t", "Normal"]);
    let topics = OPEN.map(|topic| format!("Topic:{topic}")).join(",");
    let groups = GROUPS.map(|group| format!("Group:{group}")).join(",");
    let (subject, resources) = (format!("User:{}", USER.0), format!("{topics},{groups}"));
    run(&["createAcl", "-s", &subject, "-r", &resources, "-a", "Pub,Sub", "-d", "Allow"]);
}

/// Users and what they may do, changed while they are there.
async fn users<L: Live>(world: &World, cluster: &RealCluster) {
    let admin = client::<L>(world, Some(credentials(ADMIN)), Codec::Json).await;
    let user = async |name: String, secret: &'static str| {
        client::<L>(world, Some(Credentials::new(name, secret)), Codec::Json).await
    };
    super::admin_users::scenario::<L>(world, &admin, &cluster.broker_addr(), user).await;
    admin.shutdown().await;
}

async fn scenario<L: Live>(world: &World) {
    let check = world.scope::<L>("acl");
    for codec in [Codec::Json, Codec::Rocketmq] {
        may::<L>(world, &check.step(format!("right-{codec:?}").to_lowercase()), codec).await;
    }
    let wrong = Credentials::new(USER.0, "another secret");
    let nobody = Credentials::new("live_nobody", "some secret");
    refused::<L>(world, &check.step("wrong-secret"), Some(wrong), &open::<L>(), AccessDenied::Signature).await;
    refused::<L>(world, &check.step("unknown-user"), Some(nobody), &open::<L>(), AccessDenied::User).await;
    refused::<L>(world, &check.step("unsigned"), None, &open::<L>(), AccessDenied::Unsigned).await;
    refused::<L>(world, &check.step("no-permission"), Some(credentials(USER)), SHUT, AccessDenied::Permission).await;
    rotates::<L>(world, &check.step("rotation")).await;
    asks_a_provider::<L>(world, &check.step("provider")).await;
}

/// Sends and consumes, and looks after its group.
async fn may<L: Live>(world: &World, check: &Scope, codec: Codec) {
    let client = client::<L>(world, Some(credentials(USER)), codec).await;
    let (topic, group) = (open::<L>(), format!("acl_group_{}", L::NAME));
    let builder = client.push_consumer(group.as_str()).subscribe(topic.as_str(), "*").start_from(StartFrom::Last);
    let consumer = builder.start().await.expect("a consumer");
    let producer = producer(&client, "acl_producer").await;
    let bodies: Vec<_> = (0..10).map(|n| format!("{codec:?} {} {n}", L::NAME)).collect();
    let message = |body: &String| {
        Message::new(topic.as_str(), body.clone()).with_tag("ä").with_key("a b").with_property("empty", "x")
    };
    let sent = receipts(send_all(&producer, 3, bodies.iter().map(message).collect()).await);
    check.eq("sent", sent.len(), 10);
    check.eq("oneway", producer.send_oneway(Message::new(topic.as_str(), "oneway")).await, Ok(()));
    let batch = (0..3).map(|n| Message::new(topic.as_str(), format!("batch {n}"))).collect();
    check.eq("batch", producer.send_batch(batch).await.map(|sent| sent.messages.len()), Ok(3));
    let got = collect(&consumer, 14).await;
    let mut expected = bodies.clone();
    expected.extend(["oneway", "batch 0", "batch 1", "batch 2"].map(String::from));
    check.eq("consumed", sorted(got.iter().map(Got::text)), sorted(expected));
    check.eq("drained", consumer.shutdown().await.unsettled, 0);
    client.shutdown().await;

    let operator = self::client::<L>(world, Some(credentials(ADMIN)), codec).await;
    let admin = operator.admin();
    let mut left = 0;
    for queue in admin.queues(topic.as_str()).await.expect("queues") {
        let committed = admin.committed(group.as_str(), &queue).await.expect("an offset");
        let end = admin.max_offset(&queue).await.expect("the end");
        left += end.get() - committed.map_or(0, |offset| offset.get());
    }
    check.eq("committed-as-the-administrator-sees-it", left, 0);
    operator.shutdown().await;
}

/// Whatever is tried, the error tells why it may not be.
async fn refused<L: Live>(world: &World, check: &Scope, who: Option<Credentials>, topic: &str, why: AccessDenied) {
    let client = client::<L>(world, who, Codec::Json).await;
    let mut events = client.events();
    let producer = producer(&client, "acl_stranger").await;
    let begun = Instant::now();
    let error = producer.send(Message::new(topic, "let me in")).await.expect_err("it is not let in");
    check.eq("send", error.denied(), Some(why));
    check.that("not-stored", !error.may_be_stored(), &error);
    check.below("one-refusal-is-enough", begun.elapsed(), Duration::from_secs(2));
    let group = format!("acl_stranger_{}", L::NAME);
    let started = client.push_consumer(group.as_str()).subscribe(topic, "*").start().await;
    let denied = match &started {
        Err(StartError::Denied { why, .. }) => Some(*why),
        _ => None,
    };
    check.eq("consume", denied, Some(why));
    let made = client.admin().create_topic(format!("acl_made_{}", L::NAME), 1).await;
    check.eq("administrate", made.expect_err("it may not").denied(), Some(why));
    let told = eventually(|| {
        drain(&mut events).into_iter().find_map(|event| match event {
            ClientEvent::Denied { why, .. } => Some(why),
            _ => None,
        })
    });
    check.eq("told-of-heartbeats", told.await, Some(why));
    client.shutdown().await;
}

/// Another secret takes the place of a wrong one while the client runs.
async fn rotates<L: Live>(world: &World, check: &Scope) {
    let topic = open::<L>();
    let client = client::<L>(world, Some(Credentials::new(USER.0, "outdated")), Codec::Json).await;
    let producer = producer(&client, "acl_rotating").await;
    let before = producer.send(Message::new(topic.as_str(), "too early")).await;
    check.eq("before", before.expect_err("it is not let in").denied(), Some(AccessDenied::Signature));
    client.set_credentials(credentials(USER));
    check.that("after", producer.send(Message::new(topic.as_str(), "rotated")).await.is_ok(), ());
    client.set_credentials(Credentials::new(USER.0, "outdated again"));
    let last = producer.send(Message::new(topic.as_str(), "too late")).await;
    check.eq("and-back", last.expect_err("it is not let in").denied(), Some(AccessDenied::Signature));
    client.shutdown().await;
}

/// A provider of the user's own is asked for each request.
async fn asks_a_provider<L: Live>(world: &World, check: &Scope) {
    let topic = open::<L>();
    let vault = Arc::new(Vault::default());
    let builder = world.builder().credentials_provider(InVault(vault.clone()));
    let client = L::connect(builder).await.expect("a client");
    let producer = producer(&client, "acl_vault").await;
    let before = producer.send(Message::new(topic.as_str(), "unsigned")).await;
    check.eq("says-nothing", before.expect_err("it is not let in").denied(), Some(AccessDenied::Unsigned));
    vault.open.store(true, Ordering::Relaxed);
    let asked = vault.asked.load(Ordering::Relaxed);
    for n in 0..5 {
        producer.send(Message::new(topic.as_str(), format!("vault {n}"))).await.expect("it is let in");
    }
    check.at_least("asked-for-each", vault.asked.load(Ordering::Relaxed) - asked, 5);
    client.shutdown().await;
}

#[derive(Default)]
struct Vault {
    open: AtomicBool,
    asked: AtomicUsize,
}

struct InVault(Arc<Vault>);

impl CredentialsProvider for InVault {
    fn credentials(&self) -> Option<Arc<Credentials>> {
        self.0.asked.fetch_add(1, Ordering::Relaxed);
        self.0.open.load(Ordering::Relaxed).then(|| Arc::new(credentials(USER)))
    }
}

async fn client<L: Live>(world: &World, who: Option<Credentials>, codec: Codec) -> Client {
    let builder = world.builder().codec(codec);
    let builder = match who {
        Some(credentials) => builder.credentials(credentials),
        None => builder,
    };
    L::connect(builder).await.expect("name servers let everybody in")
}

fn open<L: Live>() -> String {
    format!("acl_open_{}", L::NAME)
}

fn credentials((user, secret): (&str, &str)) -> Credentials {
    Credentials::new(user, secret)
}
